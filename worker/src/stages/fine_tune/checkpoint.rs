//! Where a phase goes on after an interruption: everything that the epochs done so far left behind. One file, replaced
//! whole at the end of every epoch: a BLAKE3 digest, then safetensors with the rest as metadata.

use std::{collections::HashMap, fs::File, io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use safetensors::{SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use thawline::stages::optimizer::{Best, Metrics};

use crate::nn::checkpoint::{self, Tensors};

const FILE: &str = "epoch.checkpoint";

/// Weights (the changed blocks with their statistics, and the head) and the optimiser's state after some epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    pub weights: Tensors,
    pub state: Tensors,
}

/// A phase after its first `curve.len()` epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Digest of the work; another work's checkpoint is not gone on with.
    pub work: String,
    pub curve: Vec<Metrics>,
    pub last: Snapshot,
    /// With early stopping, the best epoch so far.
    pub best: Option<(Best, Snapshot)>,
}

/// Floats as bits: JSON would round them.
#[derive(Serialize, Deserialize)]
struct Header {
    work: String,
    curve: Vec<Vec<(String, u64)>>,
    best: Option<(u32, u64)>,
}

impl Checkpoint {
    /// Replaces the checkpoint in `dir`, and returns once it is safe on disk.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let bits = |metrics: &Metrics| metrics.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect();
        let header = Header {
            work: self.work.clone(),
            curve: self.curve.iter().map(bits).collect(),
            best: self.best.as_ref().map(|(best, _)| (best.epoch, best.value.to_bits())),
        };
        let mut parts = vec![("last", &self.last)];
        parts.extend(self.best.as_ref().map(|(_, snapshot)| ("best", snapshot)));
        let mut views = Vec::new();
        for (part, snapshot) in parts {
            for (kind, tensors) in [("weights", &snapshot.weights), ("state", &snapshot.state)] {
                for (name, data) in tensors {
                    let view = TensorView::new(data.dtype.to_safetensors(), data.shape.clone(), &data.bytes)?;
                    views.push((format!("{part}/{kind}/{name}"), view));
                }
            }
        }
        let metadata = HashMap::from([("checkpoint".to_string(), serde_json::to_string(&header)?)]);
        let bytes = safetensors::serialize(views, Some(metadata))?;

        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let (path, beside) = (dir.join(FILE), dir.join(format!("{FILE}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(blake3::hash(&bytes).as_bytes())?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// The checkpoint in `dir`, if there is one.
    ///
    /// # Errors
    /// When it is damaged, or of another work than the one with this digest.
    pub fn read(dir: &Path, work: &str) -> Result<Option<Checkpoint>> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let (digest, bytes) = bytes.split_at_checked(blake3::OUT_LEN).context("the checkpoint is cut short")?;
        ensure!(blake3::hash(bytes).as_bytes() == digest, "the checkpoint does not match its digest");
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get("checkpoint"));
        let header: Header = serde_json::from_str(header.context("the checkpoint has no header")?)?;
        ensure!(header.work == work, "the checkpoint is of another work");

        let (mut last, mut best) = (Snapshot::default(), Snapshot::default());
        for (path, data) in checkpoint::parse(bytes)? {
            let mut parts = path.splitn(3, '/');
            let (part, kind, name) = (parts.next(), parts.next(), parts.next());
            let snapshot = if part == Some("best") { &mut best } else { &mut last };
            let tensors = if kind == Some("state") { &mut snapshot.state } else { &mut snapshot.weights };
            tensors.insert(name.context("the checkpoint holds an unnamed tensor")?.to_string(), data);
        }
        let metrics =
            |epoch: Vec<(String, u64)>| epoch.into_iter().map(|(n, bits)| (n, f64::from_bits(bits))).collect();
        Ok(Some(Checkpoint {
            work: header.work,
            curve: header.curve.into_iter().map(metrics).collect(),
            last,
            best: header.best.map(|(epoch, bits)| (Best { epoch, value: f64::from_bits(bits) }, best)),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::checkpoint::TensorData;

    fn sample() -> Checkpoint {
        let tensors = |value: f32| Tensors::from([("a.b".to_string(), TensorData::from_f32(vec![2], &[value, 0.1]))]);
        let snapshot = |value| Snapshot { weights: tensors(value), state: tensors(-value) };
        let metrics = Metrics::from([("val/loss".to_string(), 0.1 + 0.2)]);
        let best = Some((Best { epoch: 1, value: 1.0 / 3.0 }, snapshot(2.0)));
        Checkpoint { work: "w".into(), curve: vec![metrics.clone(), metrics], last: snapshot(1.0), best }
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::read(dir.path(), "w").unwrap(), None);
        sample().write(dir.path()).unwrap();
        assert_eq!(Checkpoint::read(dir.path(), "w").unwrap(), Some(sample()));
        let without_best = Checkpoint { best: None, ..sample() };
        without_best.write(dir.path()).unwrap();
        assert_eq!(Checkpoint::read(dir.path(), "w").unwrap(), Some(without_best));
    }

    #[test]
    fn damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        sample().write(dir.path()).unwrap();
        assert!(Checkpoint::read(dir.path(), "other").unwrap_err().to_string().contains("another work"));
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 20, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Checkpoint::read(dir.path(), "w").is_err(), "{length} bytes");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(Checkpoint::read(dir.path(), "w").unwrap_err().to_string().contains("digest"));
    }
}
