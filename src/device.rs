//! What numerical stages compute on: the processor, or GPUs through a full libtorch that is found when a run starts.
//!
//! thawline is linked against a libtorch for processors alone. A full one of the same version (pip's `torch` has it) adds its
//! `libtorch_cuda.so` to the same program, which a worker opens before it does anything else.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// The libtorch this program was built against.
pub const LIBTORCH: &str = env!("THAWLINE_LIBTORCH");

/// What a full libtorch has more.
pub const CUDA_LIBRARY: &str = "lib/libtorch_cuda.so";

/// What a person asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// GPUs where they can be used, else the processor.
    #[default]
    Auto,
    Cpu,
    /// This GPU; without a number every GPU like the first.
    Cuda(Option<usize>),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text {
            "auto" => Ok(Wanted::Auto),
            "cpu" => Ok(Wanted::Cpu),
            "cuda" => Ok(Wanted::Cuda(None)),
            _ => {
                let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
                index.map(|index| Wanted::Cuda(Some(index))).ok_or("expected auto, cpu, cuda or cuda:N".into())
            }
        }
    }
}

/// What a run computes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Devices of one class give equal bits; it is part of every numerical key.
    pub class: String,
    pub gpus: Option<Gpus>,
}

/// GPUs of one class, a worker each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    /// The folder of the full libtorch: [`CUDA_LIBRARY`] is in it.
    pub libtorch: PathBuf,
    /// CUDA's numbers of them.
    pub indices: Vec<usize>,
}

impl Device {
    pub fn cpu() -> Device {
        Device { class: cpu_class().into(), gpus: None }
    }

    /// Those of the GPUs with these `names`, in CUDA's order, that are wanted.
    ///
    /// # Errors
    /// When there are none, or not the one that is wanted.
    pub fn of_gpus(libtorch: PathBuf, names: &[String], wanted: Wanted) -> Result<Device> {
        ensure!(!names.is_empty(), "there is no GPU that CUDA can use");
        let first = if let Wanted::Cuda(Some(index)) = wanted { index } else { 0 };
        let name = names.get(first).with_context(|| {
            let there: Vec<String> = names.iter().enumerate().map(|(i, name)| format!("cuda:{i} ({name})")).collect();
            format!("there is no cuda:{first}; there are: {}", there.join(", "))
        })?;
        let like = |i: &usize| if matches!(wanted, Wanted::Cuda(Some(_))) { *i == first } else { names[*i] == *name };
        let indices = (0..names.len()).filter(like).collect();
        Ok(Device { class: format!("cuda {name}"), gpus: Some(Gpus { libtorch, indices }) })
    }
}

/// `cpu-x86_64-avx512`, or `cuda NVIDIA H100 80GB HBM3 (2)`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gpus {
            Some(gpus) => write!(f, "{} ({})", self.class, gpus.indices.len()),
            None => f.write_str(&self.class),
        }
    }
}

/// The class of processors that give equal bits: libtorch chooses its kernels by it.
pub fn cpu_class() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "cpu-x86_64-avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "cpu-x86_64-avx2";
        }
    }
    "cpu"
}

/// Whether a driver for GPUs runs here: without one there is no use in looking further.
pub fn has_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

/// Where a full libtorch may be.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// (what names it, folder), the strongest first.
    pub folders: Vec<(String, PathBuf)>,
    /// Whose `torch` package is looked at after those.
    pub python: Option<PathBuf>,
}

impl Places {
    /// `THAWLINE_LIBTORCH_CUDA`, `LIBTORCH`, and the Python of `VIRTUAL_ENV` or the `PATH`.
    pub fn of_environment() -> Places {
        let folder = |name: &str| Some((name.to_string(), PathBuf::from(env::var_os(name)?)));
        let venv = env::var_os("VIRTUAL_ENV").map(|venv| PathBuf::from(venv).join("bin/python3"));
        Places {
            folders: ["THAWLINE_LIBTORCH_CUDA", "LIBTORCH"].into_iter().filter_map(folder).collect(),
            python: venv.filter(|python| python.is_file()).or(Some("python3".into())),
        }
    }

    /// The first folder that holds a full libtorch of this program's version.
    ///
    /// # Errors
    /// When there is none: the error lists what was looked at, and what was wrong with it.
    pub fn find(&self) -> Result<PathBuf> {
        let mut looked = Vec::new();
        for (name, folder) in &self.folders {
            match check(folder) {
                Ok(()) => return Ok(folder.clone()),
                Err(problem) => looked.push(format!("{name}={}: {problem:#}", folder.display())),
            }
        }
        if let Some(python) = &self.python {
            let found = torch_of(python).and_then(|folder| match check(&folder) {
                Ok(()) => Ok(folder),
                Err(problem) => Err(anyhow!("{}: {problem:#}", folder.display())),
            });
            match found {
                Ok(folder) => return Ok(folder),
                Err(problem) => looked.push(format!("torch of {}: {problem:#}", python.display())),
            }
        }
        bail!(
            "no libtorch {LIBTORCH} with CUDA was found. `pip install torch=={LIBTORCH}`, or name the folder of one in \
             THAWLINE_LIBTORCH_CUDA. Looked at:\n  {}",
            if looked.is_empty() { "nothing".into() } else { looked.join("\n  ") }
        )
    }
}

/// Whether `folder` holds a full libtorch of this program's version.
fn check(folder: &Path) -> Result<()> {
    ensure!(folder.is_dir(), "no such folder");
    ensure!(folder.join(CUDA_LIBRARY).is_file(), "it has no {CUDA_LIBRARY}: it is for processors alone");
    let version = version(folder).context("its version is nowhere in it")?;
    ensure!(version == LIBTORCH, "it is of version {version}, this program needs {LIBTORCH}");
    Ok(())
}

/// `2.11.0`, from libtorch's own header, or the `build-version` of its archives.
fn version(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("include/torch/headeronly/version.h")) {
        let part = |name: &str| {
            let prefix = format!("#define TORCH_VERSION_{name} ");
            text.lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value.trim().to_string())
        };
        return Some(["MAJOR", "MINOR", "PATCH"].into_iter().map(part).collect::<Option<Vec<_>>>()?.join("."));
    }
    let text = fs::read_to_string(folder.join("build-version")).ok()?;
    Some(text.trim().split('+').next().unwrap_or_default().to_string())
}

/// The folder of the `torch` package that this Python would import, which it does not do.
fn torch_of(python: &Path) -> Result<PathBuf> {
    let script = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '', end='')";
    let output = Command::new(python).args(["-c", script]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| anyhow!("it cannot be started: {error}"))?;
    ensure!(output.status.success(), "it failed: {}", output.status);
    let origin = PathBuf::from(String::from_utf8_lossy(&output.stdout).into_owned());
    let folder = origin.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(folder.context("it has no package `torch`")?.to_path_buf())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// What discovery looks at of a libtorch.
    fn libtorch(folder: &Path, version: &str, cuda: bool) {
        let header = folder.join("include/torch/headeronly/version.h");
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        let parts: Vec<&str> = version.split('.').collect();
        let define = |(name, value): (&str, &&str)| format!("#define TORCH_VERSION_{name} {value}\n");
        let lines: String = ["MAJOR", "MINOR", "PATCH"].into_iter().zip(&parts).map(define).collect();
        fs::write(header, format!("#pragma once\n{lines}#define TORCH_VERSION \"{version}\"\n")).unwrap();
        fs::create_dir_all(folder.join("lib")).unwrap();
        if cuda {
            fs::write(folder.join(CUDA_LIBRARY), "").unwrap();
        }
    }

    /// A Python whose `torch` is at `origin`.
    fn python(path: &Path, origin: &Path) {
        fs::write(path, format!("#!/bin/sh\nprintf %s '{}'\n", origin.display())).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_first_full_libtorch_of_the_right_version_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        libtorch(&at("full"), LIBTORCH, true);
        libtorch(&at("packages/torch"), LIBTORCH, true);
        libtorch(&at("plain"), LIBTORCH, false);
        libtorch(&at("old"), "2.10.1", true);
        fs::create_dir_all(at("archive/lib")).unwrap();
        fs::write(at("archive").join(CUDA_LIBRARY), "").unwrap();
        fs::write(at("archive/build-version"), format!("{LIBTORCH}+cu130\n")).unwrap();
        python(&at("python3"), &at("packages/torch/__init__.py"));
        let find = |folders: &[&str], python: Option<&str>| {
            let folders = folders.iter().map(|name| ("LIBTORCH".to_string(), at(name))).collect();
            Places { folders, python: python.map(at) }.find()
        };
        assert_eq!(find(&["full"], Some("python3")).unwrap(), at("full"));
        assert_eq!(find(&["plain", "archive"], None).unwrap(), at("archive"));
        assert_eq!(find(&["old", "plain", "missing"], Some("python3")).unwrap(), at("packages/torch"));

        fs::remove_file(at("packages/torch").join(CUDA_LIBRARY)).unwrap();
        let error = find(&["old", "plain", "missing"], Some("python3")).unwrap_err().to_string();
        for told in [
            format!("no libtorch {LIBTORCH} with CUDA was found"),
            format!("LIBTORCH={}: it is of version 2.10.1, this program needs {LIBTORCH}", at("old").display()),
            format!("LIBTORCH={}: it has no lib/libtorch_cuda.so", at("plain").display()),
            format!("LIBTORCH={}: no such folder", at("missing").display()),
            format!("torch of {}: {}: it has no lib/", at("python3").display(), at("packages/torch").display()),
        ] {
            assert!(error.contains(&told), "{told}\nis not in\n{error}");
        }
        python(&at("python3"), Path::new(""));
        let error = find(&[], Some("python3")).unwrap_err().to_string();
        assert!(error.contains("it has no package `torch`"), "{error}");
        let error = find(&[], Some("no-python")).unwrap_err().to_string();
        assert!(error.contains("no-python: it cannot be started"), "{error}");
    }

    #[test]
    fn gpus_are_chosen_by_number_or_by_likeness() {
        let names = ["A", "B", "A"].map(String::from);
        let of = |wanted: &str| Device::of_gpus("lib".into(), &names, wanted.parse().unwrap());
        let indices = |wanted: &str| of(wanted).unwrap().gpus.unwrap().indices;
        assert_eq!((indices("cuda"), indices("auto")), (vec![0, 2], vec![0, 2]));
        assert_eq!((indices("cuda:1"), of("cuda:1").unwrap().class.as_str()), (vec![1], "cuda B"));
        assert_eq!(of("cuda").unwrap().to_string(), "cuda A (2)");
        let error = of("cuda:3").unwrap_err().to_string();
        assert_eq!(error, "there is no cuda:3; there are: cuda:0 (A), cuda:1 (B), cuda:2 (A)");
        assert!(Device::of_gpus("lib".into(), &[], Wanted::Auto).is_err());
        for wrong in ["gpu", "cuda:", "cuda:-1", "cuda1", "CPU"] {
            assert!(wrong.parse::<Wanted>().is_err(), "{wrong}");
        }
    }
}
