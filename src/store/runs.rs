//! Runs, the trials and node runs in them, selections, looks and events.

use anyhow::Result;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Store, nodes::json, now};

/// What a run is told at its start.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub experiment: String,
    /// The YAML.
    pub path: String,
    pub root: String,
    pub jobs: usize,
    pub command: String,
    pub commit: Option<String>,
    /// `git diff HEAD`, if the tree was dirty.
    pub diff: Option<String>,
    /// Every YAML text that was read: (path, text).
    pub sources: Vec<(String, String)>,
    /// What the report wants to know of the experiment, as JSON.
    pub context: Value,
}

/// (path, text) of files.
pub type Texts = Vec<(String, String)>;

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Distinct nodes that are needed as far as is known.
    pub total: usize,
    /// Of these, found finished at the start.
    pub cached: usize,
    pub done: usize,
    pub failed: usize,
}

/// A run as recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRecord {
    pub id: i64,
    pub experiment: String,
    pub path: String,
    pub started: f64,
    pub finished: Option<f64>,
    /// `running`, `done`, `failed`, `interrupted`, `stopped`, `cancelled`.
    pub status: String,
    pub pid: u32,
    pub jobs: usize,
    pub command: String,
    pub commit: Option<String>,
    pub dirty: bool,
    pub context: Value,
    pub progress: Progress,
    /// Seconds from the last update to the end, as estimated then.
    pub eta: Option<f64>,
}

impl RunRecord {
    /// Whether its process is there. A number that was given to another program since does not count, nor does a process that
    /// has ended and that nobody has asked how.
    pub fn is_alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // `pid (name) state ...`; the name is this program's, whatever it was installed as.
        let Some((process, rest)) = stat.rsplit_once(')') else { return false };
        let mine = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
        process.ends_with(&format!("({}", mine.trim_end())) && !rest.trim_start().starts_with(['Z', 'X'])
    }

    /// Its status; a run that was killed never said that it ended.
    pub fn state(&self) -> &str {
        if self.status == "running" && !self.is_alive() { "killed" } else { &self.status }
    }
}

/// One trial of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    pub trial: String,
    pub arm: String,
    pub facet: Map<String, Value>,
    pub configuration: String,
    /// The outer fold, in cross-validation.
    pub fold: Option<u32>,
    pub seed: u64,
    pub params: Map<String, Value>,
    /// `pending`, `done`, `failed`.
    pub status: String,
    pub error: Option<String>,
    pub selected: bool,
    pub metrics: Map<String, Value>,
    pub cost: Value,
    /// (label, key) of its nodes in order; a key is empty while it is not known.
    pub nodes: Vec<(String, String)>,
}

/// Why a configuration may be tested.
#[derive(Debug, Clone)]
pub struct Selection {
    pub experiment: String,
    pub arm: String,
    pub facet: Map<String, Value>,
    /// The outer fold, in cross-validation: every fold has a selection of its own.
    pub fold: Option<u32>,
    pub configuration: String,
    pub metric: String,
    pub value: f64,
    /// Every candidate's mean validation score: (configuration, value).
    pub scores: Vec<(String, f64)>,
    pub commit: Option<String>,
}

/// Proof that a selection is committed. Only [`Store::record_selection`] makes one, and nothing plans a test half without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectionId(i64);

/// An attempt at a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeRun {
    pub id: i64,
    pub run: i64,
    pub key: String,
    pub label: String,
    /// `running`, `done`, `failed`, `stopped`.
    pub status: String,
    pub error: Option<String>,
    pub started: f64,
    pub finished: Option<f64>,
    pub epoch: Option<u32>,
    pub epochs: Option<u32>,
}

const RUN: &str = "id, experiment, path, started, finished, status, pid, jobs, command, git_commit, git_diff IS NOT NULL, context, nodes_total, nodes_cached, nodes_done, nodes_failed, eta";

fn run_record(row: &rusqlite::Row) -> rusqlite::Result<RunRecord> {
    let count = |column: usize| row.get::<_, i64>(column).map(|n| n as usize);
    Ok(RunRecord {
        id: row.get(0)?,
        experiment: row.get(1)?,
        path: row.get(2)?,
        started: row.get(3)?,
        finished: row.get(4)?,
        status: row.get(5)?,
        pid: row.get(6)?,
        jobs: count(7)?,
        command: row.get(8)?,
        commit: row.get(9)?,
        dirty: row.get(10)?,
        context: json(row, 11)?,
        progress: Progress { total: count(12)?, cached: count(13)?, done: count(14)?, failed: count(15)? },
        eta: row.get(16)?,
    })
}

impl Store {
    pub fn begin_run(&mut self, new: &NewRun) -> Result<i64> {
        let sources = serde_json::to_string(&new.sources)?;
        let context = serde_json::to_string(&new.context)?;
        self.write(|db| {
            db.execute(
                "INSERT INTO runs(experiment, path, root, started, status, pid, jobs, command, git_commit, git_diff, sources, context)
                 VALUES(?1, ?2, ?3, ?4, 'running', ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![new.experiment, new.path, new.root, now(), std::process::id(), new.jobs as i64, new.command, new.commit, new.diff, sources, context],
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    pub fn update_run(&mut self, run: i64, progress: Progress, eta: Option<f64>) -> Result<()> {
        self.write(|db| {
            db.prepare_cached("UPDATE runs SET nodes_total = ?2, nodes_cached = ?3, nodes_done = ?4, nodes_failed = ?5, eta = ?6 WHERE id = ?1")?
                .execute(params![run, progress.total as i64, progress.cached as i64, progress.done as i64, progress.failed as i64, eta])?;
            Ok(())
        })
    }

    /// Ends a run, also its node runs that were left open.
    pub fn finish_run(&mut self, run: i64, status: &str) -> Result<()> {
        self.write(|db| {
            db.execute(
                "UPDATE runs SET finished = ?2, status = ?3, eta = NULL WHERE id = ?1",
                params![run, now(), status],
            )?;
            db.execute(
                "UPDATE node_runs SET finished = ?2, status = 'stopped' WHERE run = ?1 AND status = 'running'",
                params![run, now()],
            )?;
            Ok(())
        })
    }

    pub fn set_context(&mut self, run: i64, context: &Value) -> Result<()> {
        let context = serde_json::to_string(context)?;
        self.write(|db| {
            db.execute("UPDATE runs SET context = ?2 WHERE id = ?1", params![run, context])?;
            Ok(())
        })
    }

    /// The latest runs, newest first; of one experiment, or of all.
    pub fn runs(&self, experiment: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let sql = format!("SELECT {RUN} FROM runs WHERE ?1 IS NULL OR experiment = ?1 ORDER BY id DESC LIMIT ?2");
        let mut query = self.db.prepare_cached(&sql)?;
        let rows = query.query_map(params![experiment, limit as i64], run_record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn run(&self, id: i64) -> Result<RunRecord> {
        let sql = format!("SELECT {RUN} FROM runs WHERE id = ?1");
        Ok(self.db.prepare_cached(&sql)?.query_row([id], run_record)?)
    }

    /// Adds or replaces trials of a run.
    pub fn put_trials(&mut self, run: i64, trials: &[TrialRecord]) -> Result<()> {
        self.write(|db| {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO trials VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?;
            for t in trials {
                insert.execute(params![
                    run,
                    t.trial,
                    t.arm,
                    serde_json::to_string(&t.facet)?,
                    t.configuration,
                    t.seed as i64,
                    serde_json::to_string(&t.params)?,
                    t.status,
                    t.error,
                    t.selected,
                    serde_json::to_string(&t.metrics)?,
                    serde_json::to_string(&t.cost)?,
                    serde_json::to_string(&t.nodes)?,
                    t.fold,
                ])?;
            }
            Ok(())
        })
    }

    /// The trials of a run by name.
    pub fn trials(&self, run: i64) -> Result<Vec<TrialRecord>> {
        let mut query = self.db.prepare_cached(
            "SELECT trial, arm, facet, configuration, seed, params, status, error, selected, metrics, cost, nodes, fold FROM trials WHERE run = ?1 ORDER BY trial",
        )?;
        let rows = query.query_map([run], |row| {
            Ok(TrialRecord {
                trial: row.get(0)?,
                arm: row.get(1)?,
                facet: json(row, 2)?,
                configuration: row.get(3)?,
                seed: row.get::<_, i64>(4)? as u64,
                params: json(row, 5)?,
                status: row.get(6)?,
                error: row.get(7)?,
                selected: row.get(8)?,
                metrics: json(row, 9)?,
                cost: json(row, 10)?,
                nodes: json(row, 11)?,
                fold: row.get(12)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The latest run that has a trial of this name.
    pub fn run_of_trial(&self, trial: &str) -> Result<Option<i64>> {
        Ok(self
            .db
            .query_row("SELECT max(run) FROM trials WHERE trial = ?1", [trial], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// Puts a selection on record; once this returns, the test half of `selection.configuration` may be created.
    pub fn record_selection(&mut self, run: i64, selection: &Selection) -> Result<SelectionId> {
        let (facet, scores) = (serde_json::to_string(&selection.facet)?, serde_json::to_string(&selection.scores)?);
        self.write(|db| {
            db.execute(
                "INSERT INTO selections(run, experiment, arm, facet, configuration, metric, value, scores, git_commit, made, fold) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
                params![run, selection.experiment, selection.arm, facet, selection.configuration, selection.metric, selection.value, scores, selection.commit, now(), selection.fold],
            )?;
            Ok(SelectionId(db.last_insert_rowid()))
        })
    }

    /// Counts a look at a test split; the same model scored again is not another look.
    pub fn record_look(&mut self, test_digest: &str, key: &str, experiment: &str, arm: &str) -> Result<()> {
        self.write(|db| {
            db.execute(
                "INSERT OR IGNORE INTO looks VALUES(?1, ?2, ?3, ?4, ?5)",
                params![test_digest, key, experiment, arm, now()],
            )?;
            Ok(())
        })
    }

    /// Distinct models that were scored on this test split, over all experiments: (key, experiment, arm).
    pub fn looks(&self, test_digest: &str) -> Result<Vec<(String, String, String)>> {
        let mut query =
            self.db.prepare_cached("SELECT key, experiment, arm FROM looks WHERE test_digest = ?1 ORDER BY key")?;
        let rows = query.query_map([test_digest], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The test split that the model with this key is scored on, if that is on record.
    pub fn test_split_of(&self, key: &str) -> Result<Option<String>> {
        let mut query = self.db.prepare_cached("SELECT test_digest FROM looks WHERE key = ?1")?;
        Ok(query.query_row([key], |row| row.get(0)).optional()?)
    }

    /// What a run was made from: (path, text) of every YAML, and the difference to its commit if the tree was dirty.
    pub fn run_sources(&self, run: i64) -> Result<(Texts, Option<String>)> {
        let sql = "SELECT sources, git_diff FROM runs WHERE id = ?1";
        Ok(self.db.query_row(sql, [run], |row| Ok((json(row, 0)?, row.get(1)?)))?)
    }

    pub fn begin_node_run(&mut self, run: i64, key: &str, kind: &str, label: &str) -> Result<i64> {
        self.write(|db| {
            db.prepare_cached(
                "INSERT INTO node_runs(run, key, kind, label, status, started) VALUES(?1, ?2, ?3, ?4, 'running', ?5)",
            )?
            .execute(params![run, key, kind, label, now()])?;
            Ok(db.last_insert_rowid())
        })
    }

    pub fn finish_node_run(&mut self, id: i64, status: &str, error: Option<&str>) -> Result<()> {
        self.write(|db| {
            db.prepare_cached("UPDATE node_runs SET status = ?2, error = ?3, finished = ?4 WHERE id = ?1")?
                .execute(params![id, status, error, now()])?;
            Ok(())
        })
    }

    /// Attempts at nodes: of a run, or with a key.
    pub fn node_runs(&self, run: Option<i64>, key: Option<&str>) -> Result<Vec<NodeRun>> {
        let mut query = self.db.prepare_cached(
            "SELECT id, run, key, label, status, error, started, finished, epoch, epochs FROM node_runs
             WHERE (?1 IS NULL OR run = ?1) AND (?2 IS NULL OR key = ?2) ORDER BY id",
        )?;
        let rows = query.query_map(params![run, key], |row| {
            Ok(NodeRun {
                id: row.get(0)?,
                run: row.get(1)?,
                key: row.get(2)?,
                label: row.get(3)?,
                status: row.get(4)?,
                error: row.get(5)?,
                started: row.get(6)?,
                finished: row.get(7)?,
                epoch: row.get(8)?,
                epochs: row.get(9)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps an event of a run, as JSON.
    pub fn record_event(&mut self, run: i64, event: &Value) -> Result<()> {
        let event = serde_json::to_string(event)?;
        self.write(|db| {
            db.prepare_cached("INSERT INTO events(run, at, event) VALUES(?1, ?2, ?3)")?.execute(params![
                run,
                now(),
                event
            ])?;
            Ok(())
        })
    }
}
