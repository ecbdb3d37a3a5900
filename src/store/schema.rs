//! The tables, and how an older index becomes a newer one: `user_version` counts the migrations that were applied.

use anyhow::{Result, ensure};
use rusqlite::Connection;

/// Append only: entry i brings version i to version i + 1.
const MIGRATIONS: &[&str] = &[
    r#"
-- File digests, remembered while size, modification time and inode stay.
CREATE TABLE files(path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, inode INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;

-- Checkpoints whose published checksum was found right, by their own digest.
CREATE TABLE checked(digest TEXT PRIMARY KEY) WITHOUT ROWID;

-- Finished nodes. `inputs` is the list that the key was made of; `explain` compares such lists.
CREATE TABLE nodes(
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, inputs TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
    changed INTEGER NOT NULL, outcome TEXT NOT NULL, wall REAL NOT NULL, cpu REAL NOT NULL, memory INTEGER NOT NULL, threads INTEGER NOT NULL, run INTEGER, finished REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX nodes_by_kind ON nodes(kind, finished);
CREATE INDEX nodes_by_digest ON nodes(digest);

CREATE TABLE runs(
    id INTEGER PRIMARY KEY, experiment TEXT NOT NULL, path TEXT NOT NULL, root TEXT NOT NULL, started REAL NOT NULL, finished REAL, status TEXT NOT NULL,
    pid INTEGER NOT NULL, jobs INTEGER NOT NULL, command TEXT NOT NULL, git_commit TEXT, git_diff TEXT, sources TEXT NOT NULL, context TEXT NOT NULL,
    nodes_total INTEGER NOT NULL DEFAULT 0, nodes_cached INTEGER NOT NULL DEFAULT 0, nodes_done INTEGER NOT NULL DEFAULT 0, nodes_failed INTEGER NOT NULL DEFAULT 0,
    eta REAL
);
CREATE INDEX runs_by_experiment ON runs(experiment, id);

-- Every attempt at a node, also those that failed, were stopped or died.
CREATE TABLE node_runs(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id), key TEXT NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL,
    status TEXT NOT NULL, error TEXT, started REAL NOT NULL, finished REAL, epoch INTEGER, epochs INTEGER
);
CREATE INDEX node_runs_by_key ON node_runs(key);
CREATE INDEX node_runs_by_run ON node_runs(run, status);

CREATE TABLE epochs(key TEXT NOT NULL, epoch INTEGER NOT NULL, metric TEXT NOT NULL, value REAL, PRIMARY KEY(key, epoch, metric)) WITHOUT ROWID;

-- One row a trial of a run, as the report reads it.
CREATE TABLE trials(
    run INTEGER NOT NULL REFERENCES runs(id), trial TEXT NOT NULL, arm TEXT NOT NULL, facet TEXT NOT NULL, configuration TEXT NOT NULL, seed INTEGER NOT NULL,
    params TEXT NOT NULL, status TEXT NOT NULL, error TEXT, selected INTEGER NOT NULL DEFAULT 0, metrics TEXT NOT NULL DEFAULT '{}', cost TEXT NOT NULL DEFAULT '{}',
    nodes TEXT NOT NULL DEFAULT '[]', PRIMARY KEY(run, trial)
) WITHOUT ROWID;

-- A test half is created only after its row is here.
CREATE TABLE selections(
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id), experiment TEXT NOT NULL, arm TEXT NOT NULL, facet TEXT NOT NULL, configuration TEXT NOT NULL,
    metric TEXT NOT NULL, value REAL NOT NULL, scores TEXT NOT NULL, git_commit TEXT, made REAL NOT NULL
);

-- Every distinct model that was scored on a test split.
CREATE TABLE looks(test_digest TEXT NOT NULL, key TEXT NOT NULL, experiment TEXT NOT NULL, arm TEXT NOT NULL, made REAL NOT NULL, PRIMARY KEY(test_digest, key)) WITHOUT ROWID;

CREATE TABLE events(id INTEGER PRIMARY KEY, run INTEGER NOT NULL, at REAL NOT NULL, event TEXT NOT NULL);
CREATE INDEX events_by_run ON events(run, id);
"#,
    r#"
-- Cross-validation: the outer fold whose images are the test split.
ALTER TABLE trials ADD COLUMN fold INTEGER;
ALTER TABLE selections ADD COLUMN fold INTEGER;
"#,
    super::searches::MIGRATION,
];

/// Applies what is missing.
pub fn migrate(db: &mut Connection) -> Result<()> {
    let version = |db: &Connection| db.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    if version(db)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    ensure!(
        found <= MIGRATIONS.len(),
        ".thawline was written by a newer thawline (index version {found}, this one knows {}): update thawline",
        MIGRATIONS.len()
    );
    for (i, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", i + 1)?;
    }
    transaction.commit()?;
    Ok(())
}
