//! A folder for what one command needs and nobody keeps.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A folder beside the store, gone when dropped.
pub struct Scratch {
    pub folder: PathBuf,
}

impl Scratch {
    /// An empty one for this `purpose` in the project at `root`.
    pub fn new(root: &Path, purpose: &str) -> Result<Scratch> {
        let store = root.join(".thawline");
        remove_abandoned(&store, purpose);
        let folder = store.join(format!("{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Scratch { folder })
    }
}

/// Removes what processes left that were killed.
fn remove_abandoned(store: &Path, purpose: &str) {
    for entry in store.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(&format!("{purpose}-")).and_then(|pid| pid.parse::<u32>().ok());
        if process.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Artifacts are read-only, their folders too.
fn remove(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in folder.read_dir()?.flatten() {
        if entry.file_type()?.is_dir() {
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755))?;
            remove(&entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_dir(folder)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.folder);
        // Only where there was no store before.
        if let Some(store) = self.folder.parent() {
            let _ = std::fs::remove_dir(store);
        }
    }
}
