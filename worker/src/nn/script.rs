//! A TorchScript file as one frozen function: what no backbone here knows.

use std::{
    collections::BTreeSet,
    io::Cursor,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use tch::{CModule, Kind, Tensor, no_grad_guard};

use super::device;

/// The network of one file, in evaluation mode.
#[derive(Debug)]
pub struct Script {
    module: CModule,
    path: PathBuf,
}

impl Script {
    /// # Errors
    /// When the file is not the one of this BLAKE3 digest (hex), or none of `torch.jit.save`.
    pub fn open(path: &Path, digest: &str) -> Result<Script> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let found = blake3::hash(&bytes).to_hex().to_string();
        ensure!(
            found == digest,
            "{} has changed since the run was planned: its BLAKE3 digest is {found}",
            path.display()
        );
        let module = load(&bytes).with_context(|| format!("reading {}", path.display()))?;
        Ok(Script { module, path: path.to_path_buf() })
    }

    /// Features of images [n, 3, height, width], f32: [n, d] or [n, channels, height, width].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let _guard = no_grad_guard();
        let y = self.module.forward_ts(&[x]).map_err(anyhow::Error::from);
        let y = y.with_context(|| format!("running {} on images {:?}", self.path.display(), x.size()))?;
        let shape = y.size();
        ensure!(
            matches!(shape.len(), 2 | 4) && shape[0] == x.size()[0] && !shape.contains(&0),
            "{} makes {shape:?} of images {:?}; expected [n, features] or [n, channels, height, width]",
            self.path.display(),
            x.size()
        );
        Ok(y.f_to_kind(Kind::Float)?)
    }
}

fn load(bytes: &[u8]) -> Result<CModule> {
    const WANTED: &str = "torch.jit.save(torch.jit.script(model), FILE) writes one";
    let archive = zip::ZipArchive::new(Cursor::new(bytes));
    let archive = archive.with_context(|| format!("this is no TorchScript file: {WANTED}"))?;
    let names: BTreeSet<&str> = archive.file_names().collect();
    let has = |part: &str| names.iter().any(|name| name.contains(part));
    let weights = !has("/code/") && has("data.pkl");
    ensure!(
        !weights,
        "this holds tensors without a network: name their backbone, and the file as its `weights`; {WANTED}"
    );
    ensure!(has("/code/") && has("constants.pkl"), "this is a zip archive, but no TorchScript file: {WANTED}");
    // Optimised after a few calls, the same network would have other bits in its first batches than in later ones.
    tch::jit::f_set_graph_executor_optimize(false)?;
    let mut module = CModule::load_data_on_device(&mut &bytes[..], device::current())?;
    module.f_set_eval()?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::nn::checkpoint;

    /// Three channels to two by a matrix, then ReLU: the fixture of the integration tests too.
    fn tiny() -> CModule {
        let matrix = Tensor::from_slice(&[1f32, 0.5, -1.0, -0.25, 2.0, 0.75]).view([2, 3, 1, 1]);
        let mut compute = |x: &[Tensor]| vec![x[0].conv2d(&matrix, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1).relu()];
        let example = Tensor::ones([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        CModule::create_by_tracing("tiny", "forward", &[example], &mut compute).unwrap()
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/torchscript/tiny.pt")
    }

    fn open(path: &Path) -> Result<Script> {
        let digest = std::fs::read(path).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
        Script::open(path, &digest.unwrap_or_default())
    }

    #[test]
    #[ignore = "writes the fixture anew"]
    fn write_the_fixture() {
        tiny().save(fixture()).unwrap();
    }

    #[test]
    fn a_script_computes_what_was_traced() {
        let script = open(&fixture()).unwrap();
        let x = Tensor::from_slice(&[1f32, -2.0, 3.0, 0.5, 4.0, -1.0]).view([2, 3, 1, 1]);
        let y = Vec::<f32>::try_from(&script.forward(&x).unwrap().view([-1])).unwrap();
        assert_eq!(y, [0.0, 0.0, 3.5, 7.125]);
        for _ in 0..4 {
            assert_eq!(script.forward(&x).unwrap(), script.forward(&x).unwrap());
        }
        let error = format!("{:#}", script.forward(&x.narrow(1, 0, 2)).unwrap_err());
        assert!(error.contains("tiny.pt on images [2, 2, 1, 1]"), "{error}");
        let error = Script::open(&fixture(), "0123").unwrap_err().to_string();
        assert!(error.contains("has changed since the run was planned"), "{error}");
    }

    #[test]
    fn other_files_and_outputs_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            format!("{:#}", open(&path).unwrap_err())
        };
        assert!(refused("text.pt", b"hello").contains("this is no TorchScript file: torch.jit.save("));
        let state = std::fs::read(fixture().with_file_name("../checkpoints/zip.pth")).unwrap();
        assert!(checkpoint::parse(&state).is_ok());
        assert!(refused("state.pt", &state).contains("this holds tensors without a network"));
        let whole = std::fs::read(fixture()).unwrap();
        refused("cut.pt", &whole[..whole.len() / 2]);
        // Damage inside is the library's to find: it may not be found, but it ends in an answer.
        for at in (0..whole.len()).step_by(whole.len() / 60) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let path = dir.path().join("damaged.pt");
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(script) = open(&path) {
                drop(script.forward(&Tensor::ones([1, 3, 2, 2], (Kind::Float, Device::Cpu))));
            }
        }
        let mut flat = |x: &[Tensor]| vec![x[0].flatten(0, -1)];
        let example = Tensor::ones([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let module = CModule::create_by_tracing("flat", "forward", &[example.shallow_clone()], &mut flat).unwrap();
        let path = dir.path().join("flat.pt");
        module.save(&path).unwrap();
        let error = open(&path).unwrap().forward(&example).unwrap_err().to_string();
        assert!(error.contains("makes [96] of images [2, 3, 4, 4]; expected [n, features]"), "{error}");
    }
}
