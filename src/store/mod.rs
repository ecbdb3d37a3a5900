//! 6: what was made. Artifacts are content-addressed folders; SQLite (WAL) indexes them with runs, trials, node runs,
//! per-epoch metrics, selections and looks. Only a coordinator writes here, and only this module speaks SQL.
//!
//! ```text
//! .thawline/
//!   index.sqlite                the index
//!   store/ab/abcd.../           one artifact, named by the digest of its files
//!   work/<key>/                 a node under way: out/, checkpoint/, lock
//!   log/                        traces, and one file a node
//! ```

pub mod eviction;
pub mod files;
pub mod nodes;
pub mod objects;
pub mod runs;
mod schema;
pub mod searches;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use rusqlite::Connection;

pub use nodes::{NodeBrief, NodeRecord};
pub use objects::Objects;

/// An open store.
pub struct Store {
    db: Connection,
    dir: PathBuf,
    objects: Objects,
}

impl Store {
    /// Opens, and if need be creates, the store of the project at `root`.
    pub fn open(root: &Path) -> Result<Store> {
        let dir = root.join(".thawline");
        for sub in ["store", "work", "log"] {
            let sub = dir.join(sub);
            std::fs::create_dir_all(&sub).with_context(|| format!("creating {}", sub.display()))?;
        }
        // The folder ignores itself, so that results never end up in a commit by accident.
        let ignore = dir.join(".gitignore");
        if !ignore.exists() {
            std::fs::write(&ignore, "*\n").with_context(|| format!("writing {}", ignore.display()))?;
        }
        let path = dir.join("index.sqlite");
        let db = Connection::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Store::with(db, dir)
    }

    /// Opens the store of the project at `root` if there is one.
    pub fn open_existing(root: &Path) -> Result<Option<Store>> {
        if root.join(".thawline/index.sqlite").exists() { Store::open(root).map(Some) } else { Ok(None) }
    }

    fn with(db: Connection, dir: PathBuf) -> Result<Store> {
        db.busy_timeout(Duration::from_secs(60))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        let mut store = Store { db, objects: Objects::new(dir.join("store")), dir };
        schema::migrate(&mut store.db)?;
        Ok(store)
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// `.thawline`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The working folder of the node with this key.
    pub fn work_dir(&self, key: &str) -> PathBuf {
        self.dir.join("work").join(key)
    }

    /// The log of the node with this key.
    pub fn log_path(&self, key: &str) -> PathBuf {
        self.dir.join("log").join(format!("{key}.log"))
    }

    /// One transaction that is a writer from its start, so that two coordinators queue instead of failing.
    fn write<T>(&mut self, body: impl FnOnce(&rusqlite::Transaction) -> Result<T>) -> Result<T> {
        let transaction = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let out = body(&transaction)?;
        transaction.commit()?;
        Ok(out)
    }
}

/// Seconds since 1970, with fractions.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
