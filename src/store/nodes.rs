//! Finished nodes by key.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, now};
use crate::protocol::{Epoch, Outcome, Usage};

/// A finished node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRecord {
    pub key: String,
    pub kind: String,
    /// What people call it: `tuned.phase2`, `features[train.0]`.
    pub label: String,
    /// What the key was made of: (name, value).
    pub inputs: Vec<(String, String)>,
    /// Of the artifact.
    pub digest: String,
    pub bytes: u64,
    pub outcome: Outcome,
    pub usage: Usage,
}

/// What reports ask of many nodes at once.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeBrief {
    pub kind: String,
    /// Of the artifact, which may have been evicted.
    pub digest: String,
    /// Wall seconds.
    pub seconds: f64,
    pub epochs: u64,
}

const COLUMNS: &str = "key, kind, label, inputs, digest, bytes, outcome, wall, cpu, memory, threads";

fn record(row: &Row) -> rusqlite::Result<NodeRecord> {
    Ok(NodeRecord {
        key: row.get(0)?,
        kind: row.get(1)?,
        label: row.get(2)?,
        inputs: json(row, 3)?,
        digest: row.get(4)?,
        bytes: row.get::<_, i64>(5)? as u64,
        outcome: json(row, 6)?,
        usage: Usage {
            wall: row.get(7)?,
            cpu: row.get(8)?,
            memory: row.get::<_, i64>(9)? as u64,
            threads: row.get::<_, i64>(10)? as usize,
        },
    })
}

/// A column that holds JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

impl Store {
    /// The finished node with this key, if its artifact is still there.
    pub fn node(&self, key: &str) -> Result<Option<NodeRecord>> {
        Ok(self.node_record(key)?.filter(|node| self.objects.contains(&node.digest)))
    }

    /// The finished node with this key, whether or not its artifact is still there.
    pub fn node_record(&self, key: &str) -> Result<Option<NodeRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM nodes WHERE key = ?1");
        Ok(self.db.prepare_cached(&sql)?.query_row([key], record).optional()?)
    }

    /// Finished nodes whose key starts with `prefix`, at most `limit`.
    pub fn nodes_with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<NodeRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM nodes WHERE substr(key, 1, ?2) = ?1 LIMIT ?3");
        let mut query = self.db.prepare_cached(&sql)?;
        let rows = query.query_map(params![prefix, prefix.len() as i64, limit as i64], record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The latest finished nodes of a kind, newest first: what `explain` looks for the nearest relative among.
    pub fn recent_nodes(&self, kind: &str, limit: usize) -> Result<Vec<NodeRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM nodes WHERE kind = ?1 ORDER BY finished DESC LIMIT ?2");
        let mut query = self.db.prepare_cached(&sql)?;
        let rows = query.query_map(params![kind, limit as i64], record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes a finished node in: its artifact from `out`, then its row. After this it survives anything.
    pub fn commit_node(&mut self, run: i64, node: &NodeRecord, out: &std::path::Path) -> Result<()> {
        self.objects.adopt(out, &node.digest)?;
        let changed = self.objects.changed(&node.digest).unwrap_or(0);
        self.write(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO nodes VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)")?
                .execute(params![
                node.key,
                node.kind,
                node.label,
                serde_json::to_string(&node.inputs)?,
                node.digest,
                node.bytes as i64,
                changed,
                serde_json::to_string(&node.outcome)?,
                node.usage.wall,
                node.usage.cpu,
                node.usage.memory as i64,
                node.usage.threads as i64,
                run,
                now()
            ])?;
            Ok(())
        })
    }

    /// Whether the artifact of a finished node is as it was made. Files whose modification time is the one on record are
    /// taken as unchanged; the worker that reads them checks their digest anyway. A copied store has new times: its
    /// artifacts are checked once, and the new times go on record.
    pub fn is_intact(&mut self, key: &str, digest: &str) -> Result<bool> {
        let recorded: Option<i64> = self
            .db
            .prepare_cached("SELECT changed FROM nodes WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let (Some(now), Some(then)) = (self.objects.changed(digest), recorded) else { return Ok(false) };
        if now == then {
            return Ok(true);
        }
        if !self.objects.verify(digest) {
            return Ok(false);
        }
        self.write(|db| {
            db.execute("UPDATE nodes SET changed = ?1 WHERE digest = ?2", params![now, digest])?;
            Ok(())
        })?;
        Ok(true)
    }

    /// Forgets an artifact whose content is not what its name promises, and every node that made it.
    pub fn discard(&mut self, digest: &str) -> Result<()> {
        self.objects.discard(digest)?;
        self.write(|db| {
            db.execute("DELETE FROM nodes WHERE digest = ?1", [digest])?;
            Ok(())
        })
    }

    /// Bytes of the artifacts that nodes of a kind made.
    pub fn bytes_of_kind(&self, kind: &str) -> Result<u64> {
        let sql = "SELECT coalesce(sum(bytes), 0) FROM nodes WHERE kind = ?1";
        Ok(self.db.query_row(sql, [kind], |row| row.get::<_, i64>(0))? as u64)
    }

    /// The mean of a metric that nodes say of themselves, over all that say it.
    pub fn mean_metric(&self, name: &str) -> Result<Option<f64>> {
        let sql = "SELECT avg(json_extract(outcome, '$.metrics.' || ?1)) FROM nodes";
        Ok(self.db.query_row(sql, [name], |row| row.get(0))?)
    }

    /// Mean wall seconds of finished nodes by kind: what an ETA is made of.
    pub fn mean_seconds(&self) -> Result<BTreeMap<String, f64>> {
        let mut query = self.db.prepare_cached("SELECT kind, avg(wall) FROM nodes GROUP BY kind")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps the figures of epochs, of the nodes with these keys, and how far their attempts (`node_runs`) are.
    pub fn record_epochs<'a>(&mut self, epochs: impl Iterator<Item = (&'a str, i64, &'a Epoch)>) -> Result<()> {
        self.write(|db| {
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO epochs VALUES(?1, ?2, ?3, ?4)")?;
            let mut advance = db.prepare_cached("UPDATE node_runs SET epoch = ?2, epochs = ?3 WHERE id = ?1")?;
            for (key, node_run, epoch) in epochs {
                for (metric, value) in &epoch.metrics {
                    insert.execute(params![key, epoch.epoch, metric, value])?;
                }
                advance.execute(params![node_run, epoch.epoch, epoch.epochs])?;
            }
            Ok(())
        })
    }

    /// The curve of a training node: (epoch, metric name to value).
    pub fn epochs(&self, key: &str) -> Result<BTreeMap<u32, BTreeMap<String, f64>>> {
        let mut query =
            self.db.prepare_cached("SELECT epoch, metric, value FROM epochs WHERE key = ?1 AND value IS NOT NULL")?;
        let mut curve: BTreeMap<u32, BTreeMap<String, f64>> = BTreeMap::new();
        let rows = query.query_map([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for row in rows {
            let (epoch, metric, value) = row?;
            curve.entry(epoch).or_default().insert(metric, value);
        }
        Ok(curve)
    }

    /// Every finished node by key, with a little of each: one pass over the table.
    pub fn nodes_in_brief(&self) -> Result<HashMap<String, NodeBrief>> {
        let mut query = self.db.prepare_cached("SELECT key, kind, digest, wall, outcome ->> '$.epochs' FROM nodes")?;
        let brief = |row: &Row| {
            let epochs: Option<i64> = row.get(4)?;
            let (kind, digest, seconds) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, NodeBrief { kind, digest, seconds, epochs: epochs.unwrap_or(0) as u64 }))
        };
        let rows = query.query_map([], brief)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every recorded value of every curve, ordered by (key, epoch, metric).
    pub fn for_each_epoch(&self, mut take: impl FnMut(&str, u32, &str, f64)) -> Result<()> {
        let mut query = self.db.prepare_cached(
            "SELECT key, epoch, metric, value FROM epochs WHERE value IS NOT NULL ORDER BY key, epoch, metric",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
            take(text(0)?, row.get(1)?, text(2)?, row.get(3)?);
        }
        Ok(())
    }
}
