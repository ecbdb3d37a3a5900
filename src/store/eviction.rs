//! What could be thrown away, and throwing it away. A node whose artifact is gone stays on record with its figures; it is made again
//! only when somebody needs what is in it.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};

use super::Store;

/// An artifact that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    pub digest: String,
    pub kind: String,
    /// Of the nodes that made it, equal content may have been made twice.
    pub keys: Vec<String>,
    pub bytes: u64,
    /// Seconds of wall time that making it took.
    pub seconds: f64,
    /// When it was last made, in seconds since 1970.
    pub made: f64,
    /// Runs that made it.
    pub runs: Vec<i64>,
}

/// A working folder of a node that is not under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Leftover {
    pub key: String,
    pub bytes: u64,
    /// When it was last written to, in seconds since 1970.
    pub changed: f64,
}

impl Store {
    /// Every artifact that is on the disk, by digest.
    pub fn artifacts(&self) -> Result<Vec<Artifact>> {
        let mut query = self.db.prepare_cached(
            "SELECT digest, kind, key, bytes, wall, finished, coalesce(run, 0) FROM nodes ORDER BY digest",
        )?;
        let mut found: BTreeMap<String, Artifact> = BTreeMap::new();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let digest: String = row.get(0)?;
            let (seconds, made): (f64, f64) = (row.get(4)?, row.get(5)?);
            let bytes = row.get::<_, i64>(3)? as u64;
            let kind = row.get(1)?;
            let artifact = found.entry(digest.clone()).or_insert_with(|| Artifact {
                digest,
                kind,
                keys: Vec::new(),
                bytes,
                seconds,
                made,
                runs: Vec::new(),
            });
            artifact.keys.push(row.get(2)?);
            artifact.runs.push(row.get(6)?);
            artifact.made = artifact.made.max(made);
        }
        Ok(found.into_values().filter(|artifact| self.objects.contains(&artifact.digest)).collect())
    }

    /// Removes an artifact from the disk.
    pub fn evict(&self, digest: &str) -> Result<()> {
        self.objects.discard(digest)
    }

    /// Checkpoints and half-made artifacts that nobody works on now.
    pub fn leftovers(&self) -> Result<Vec<Leftover>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.dir.join("work"))?.flatten() {
            let Ok(lock) = std::fs::File::open(entry.path().join("lock")) else { continue };
            if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
                continue;
            }
            let modified = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            found.push(Leftover {
                key: entry.file_name().to_string_lossy().into_owned(),
                bytes: size(&entry.path()),
                changed: modified.as_secs_f64(),
            });
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Removes the working folder of a node, unless somebody has begun to work on it meanwhile.
    pub fn clear(&self, key: &str) -> Result<()> {
        let folder = self.work_dir(key);
        let Ok(lock) = std::fs::File::open(folder.join("lock")) else { return Ok(()) };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            std::fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    /// Keys of all nodes of a run's trials.
    pub fn keys_of_run(&self, run: i64) -> Result<HashSet<String>> {
        let trials = self.trials(run)?;
        Ok(trials.into_iter().flat_map(|trial| trial.nodes).map(|(_, key)| key).filter(|key| !key.is_empty()).collect())
    }
}

fn size(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let size_of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size_of).sum()
}
