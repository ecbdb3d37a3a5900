//! Digests of files outside the store, remembered by (path, size, modification time, inode).

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rayon::prelude::*;
use rusqlite::params;

use super::Store;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    size: i64,
    mtime: i64,
    inode: i64,
}

fn stat(path: &Path) -> Result<Stat> {
    let meta = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let mtime = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    Ok(Stat { size: meta.size() as i64, mtime, inode: meta.ino() as i64 })
}

/// BLAKE3 of a file's bytes, in hex.
pub fn digest_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

impl Store {
    /// Runs `check` on a file with this digest, unless it passed before.
    pub fn check_once(&mut self, digest: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let known = self
            .db
            .query_row("SELECT count(*) FROM checked WHERE digest = ?1", [digest], |row| row.get::<_, i64>(0))?
            > 0;
        if known {
            return Ok(());
        }
        check()?;
        self.write(|db| {
            db.execute("INSERT OR IGNORE INTO checked VALUES(?1)", [digest])?;
            Ok(())
        })
    }

    /// Files outside the store that had this content when they were last looked at.
    pub fn files_with_digest(&self, digest: &str) -> Result<Vec<PathBuf>> {
        let mut query = self.db.prepare_cached("SELECT path FROM files WHERE digest = ?1 ORDER BY path")?;
        let rows = query.query_map([digest], |row| row.get::<_, String>(0))?;
        rows.map(|path| Ok(PathBuf::from(path?))).collect()
    }

    /// Files outside the store whose names end so and that were looked at.
    pub fn files_named(&self, ending: &str) -> Result<Vec<PathBuf>> {
        let mut query =
            self.db.prepare_cached("SELECT path FROM files WHERE substr(path, -length(?1)) = ?1 ORDER BY path")?;
        let rows = query.query_map([ending], |row| row.get::<_, String>(0))?;
        rows.map(|path| Ok(PathBuf::from(path?))).collect()
    }

    /// BLAKE3 digests (hex) of `paths`, in their order; only files that changed since the last call are read.
    pub fn file_digests(&mut self, paths: &[PathBuf]) -> Result<Vec<String>> {
        let mut known: Vec<Option<(Stat, String)>> = Vec::with_capacity(paths.len());
        {
            // One transaction: a lock for each of a million files would take longer than the look-up.
            let reading = self.db.unchecked_transaction()?;
            let mut query = reading.prepare_cached("SELECT size, mtime, inode, digest FROM files WHERE path = ?1")?;
            for path in paths {
                let mut rows = query.query([path.to_string_lossy()])?;
                known.push(match rows.next()? {
                    Some(row) => {
                        let stat = Stat { size: row.get(0)?, mtime: row.get(1)?, inode: row.get(2)? };
                        Some((stat, row.get(3)?))
                    }
                    None => None,
                });
            }
        }
        let found: Vec<(Stat, String, bool)> = paths
            .par_iter()
            .zip(known)
            .map(|(path, known)| {
                let now = stat(path)?;
                match known {
                    Some((then, digest)) if then == now => Ok((now, digest, false)),
                    _ => Ok((now, digest_file(path)?, true)),
                }
            })
            .collect::<Result<_>>()?;
        if found.iter().any(|(_, _, fresh)| *fresh) {
            self.write(|db| {
                let mut insert = db.prepare_cached("INSERT OR REPLACE INTO files VALUES(?1, ?2, ?3, ?4, ?5)")?;
                for (path, (stat, digest, fresh)) in paths.iter().zip(&found) {
                    if *fresh {
                        insert.execute(params![path.to_string_lossy(), stat.size, stat.mtime, stat.inode, digest])?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(found.into_iter().map(|(_, digest, _)| digest).collect())
    }
}
