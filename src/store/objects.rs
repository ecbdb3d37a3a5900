//! Artifacts as content-addressed folders. A folder's digest covers the names and bytes of its files; it is written beside,
//! synced, and renamed in. The first to arrive wins: equal digest, equal content.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::files::digest_file;

/// The `store/` folder.
#[derive(Debug, Clone)]
pub struct Objects {
    dir: PathBuf,
}

/// Digest (hex) and size of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub digest: String,
    pub bytes: u64,
}

/// The files of an artifact folder by name. Artifacts are flat.
fn listing(dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        ensure!(entry.file_type()?.is_file(), "{} holds `{name}`, which is not a file", dir.display());
        files.insert(name, entry.path());
    }
    Ok(files)
}

/// The digest of the artifact in `dir`.
pub fn measure(dir: &Path) -> Result<Measured> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    for (name, path) in listing(dir)? {
        let size = std::fs::metadata(&path)?.len();
        bytes += size;
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&size.to_le_bytes()).update(digest_file(&path)?.as_bytes());
    }
    Ok(Measured { digest: hasher.finalize().to_hex().to_string(), bytes })
}

/// Makes the files of `dir` durable and read-only, so that nothing changes them by accident.
pub fn seal(dir: &Path) -> Result<()> {
    for path in listing(dir)?.values() {
        let file = File::open(path)?;
        file.sync_all()?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(path, permissions)?;
    }
    Ok(File::open(dir)?.sync_all()?)
}

impl Objects {
    pub fn new(dir: PathBuf) -> Objects {
        Objects { dir }
    }

    /// Where the artifact with this digest lies, or would lie.
    pub fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(digest.get(..2).unwrap_or("__")).join(digest)
    }

    pub fn contains(&self, digest: &str) -> bool {
        self.path(digest).is_dir()
    }

    /// Moves a sealed folder in under its digest.
    pub fn adopt(&self, from: &Path, digest: &str) -> Result<()> {
        let to = self.path(digest);
        let parent = to.parent().context("an artifact has a parent folder")?;
        std::fs::create_dir_all(parent)?;
        match std::fs::rename(from, &to) {
            Ok(()) => Ok(File::open(parent)?.sync_all()?),
            // It is there already, perhaps from another coordinator a moment ago.
            Err(_) if to.is_dir() => Ok(std::fs::remove_dir_all(from)?),
            Err(error) => Err(error).with_context(|| format!("moving {} to {}", from.display(), to.display())),
        }
    }

    /// Whether the artifact is there with the content that its name promises.
    pub fn verify(&self, digest: &str) -> bool {
        measure(&self.path(digest)).is_ok_and(|found| found.digest == digest)
    }

    /// Nanoseconds of the latest change to a file of the artifact; `None` when it is not there.
    pub fn changed(&self, digest: &str) -> Option<i64> {
        use std::os::unix::fs::MetadataExt;
        let files = listing(&self.path(digest)).ok()?;
        let times = files.values().map(|path| {
            let meta = std::fs::metadata(path).ok()?;
            Some(meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec()))
        });
        times.collect::<Option<Vec<_>>>().map(|all| all.into_iter().max().unwrap_or(0))
    }

    /// Takes a broken artifact away. It is renamed first, so that nobody sees half of it.
    pub fn discard(&self, digest: &str) -> Result<()> {
        let path = self.path(digest);
        let doomed = path.with_extension(format!("broken-{}", std::process::id()));
        match std::fs::rename(&path, &doomed) {
            Ok(()) => Ok(std::fs::remove_dir_all(&doomed)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("removing {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = root.join(name);
        std::fs::create_dir_all(&dir).expect("a folder");
        for (file, text) in files {
            std::fs::write(dir.join(file), text).expect("a file");
        }
        dir
    }

    #[test]
    fn a_digest_covers_names_and_bytes_and_their_borders() {
        let root = tempfile::tempdir().expect("a folder");
        let digest = |name, files: &[(&str, &str)]| measure(&folder(root.path(), name, files)).expect("digest").digest;
        let base = digest("a", &[("x", "12"), ("y", "3")]);
        assert_eq!(base, digest("b", &[("y", "3"), ("x", "12")]));
        assert_ne!(base, digest("c", &[("x", "1"), ("y", "23")]));
        assert_ne!(base, digest("d", &[("x", "12"), ("z", "3")]));
        assert_ne!(base, digest("e", &[("x", "12")]));
    }

    #[test]
    fn the_first_wins_and_a_flipped_bit_is_noticed() {
        let root = tempfile::tempdir().expect("a folder");
        let objects = Objects::new(root.path().join("store"));
        let first = folder(root.path(), "a", &[("x", "12")]);
        let digest = measure(&first).expect("digest").digest;
        seal(&first).expect("sealed");
        objects.adopt(&first, &digest).expect("adopted");
        let second = folder(root.path(), "b", &[("x", "12")]);
        objects.adopt(&second, &digest).expect("adopted");
        assert!(!second.exists() && objects.verify(&digest));

        let file = objects.path(&digest).join("x");
        let mut permissions = std::fs::metadata(&file).expect("meta").permissions();
        #[allow(clippy::permissions_set_readonly_false)] // a test file that is about to be deleted
        permissions.set_readonly(false);
        std::fs::set_permissions(&file, permissions).expect("writable");
        std::fs::write(&file, "13").expect("written");
        assert!(!objects.verify(&digest) && objects.contains(&digest));
        objects.discard(&digest).expect("discarded");
        assert!(!objects.contains(&digest));
    }
}
