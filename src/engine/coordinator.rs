//! The loop that joins plan, scheduler, pool and store, and the only writer of the index while it runs.

mod closing;
mod limits;
mod run;

use std::{
    collections::HashMap,
    io::Write,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use petgraph::graph::NodeIndex;

use self::{closing::Closing, limits::Attempts};
pub use run::{Finish, Options, make, run};

use super::{
    estimate::Estimate,
    event::Event,
    experiment::{self, Arms, Chosen},
    packs::Packs,
    pool::{Assignment, Message, Pool, Remains, Seat},
    rows,
    scheduler::{Scheduler, State},
    thaw_line::ThawLines,
};
use crate::{
    plan::{
        Plan, TrialId,
        sources::{DiskSources, Seen},
    },
    protocol::{self, Answer, Epoch, Input, Manifest, Report},
    spec::Experiment,
    store::{NodeRecord, Store},
};

/// How often what depends on the time is looked at when nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// The same where memory is limited: it is filled fast.
const SHORT_TICK: Duration = Duration::from_millis(100);

/// One run under way.
struct Coordinator<'a> {
    experiment: &'a Experiment,
    options: &'a Options,
    run: i64,
    commit: Option<String>,
    plan: Plan,
    files: Seen,
    scheduler: Scheduler,
    pool: Pool,
    store: &'a mut Store,
    on_event: &'a mut dyn FnMut(&Event),
    started: Instant,
    /// Which trials a node scores.
    scored_by: HashMap<NodeIndex, Vec<TrialId>>,
    estimate: Estimate,
    /// When the estimate was last put on record.
    estimated: Option<Instant>,
    /// Whether a person was told how long it will take.
    told: bool,
    attempts: Attempts,
    limits_memory: bool,
    closing: Closing,
    /// Seconds of the longest epoch of this run, and when each worker's last one ended.
    longest_epoch: f64,
    epoch_ended: HashMap<usize, Instant>,
    packs: Packs,
    thaw_lines: ThawLines,
    /// The status to end with, once no new node is to start.
    stopping: Option<&'static str>,
}

impl Coordinator<'_> {
    fn drive(
        &mut self,
        arms: &mut Arms,
        messages: &Receiver<Message>,
        trials: Vec<TrialId>,
        wanted: &[NodeIndex],
    ) -> Result<()> {
        for &node in wanted {
            self.scheduler.want(&self.plan, self.store, node)?;
        }
        self.want(&trials)?;
        self.emit(Event::Started {
            experiment: self.experiment.name.clone(),
            run: self.run,
            trials: trials.len(),
            progress: self.scheduler.progress(),
        });
        loop {
            self.advance(arms)?;
            self.watch_the_time(arms)?;
            self.end_excessive();
            self.dispatch()?;
            self.put_estimate()?;
            if self.pool.running() == 0 {
                let stuck = !self.scheduler.ready().any(|node| self.closing.allows(node));
                if self.stopping.is_some() || stuck {
                    return Ok(());
                }
            }
            match messages.recv_timeout(if self.limits_memory { SHORT_TICK } else { TICK }) {
                Ok(message) => self.handle(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Wants all evaluations of trials, and puts their rows on record.
    fn want(&mut self, trials: &[TrialId]) -> Result<()> {
        for &trial in trials {
            let nodes: Vec<NodeIndex> = self.plan.trials()[trial].evaluations.iter().map(|e| e.node).collect();
            for node in nodes {
                let scored = self.scored_by.entry(node).or_default();
                if !scored.contains(&trial) {
                    scored.push(trial);
                }
                self.scheduler.want(&self.plan, self.store, node)?;
            }
        }
        self.scheduler.check_dormant(&self.plan, self.store)?;
        let rows: Vec<_> = trials.iter().map(|&t| rows::trial(&self.plan, t, &self.scheduler, self.store)).collect();
        self.store.put_trials(self.run, &rows)
    }

    /// Everything that follows from nodes that have settled: rows, tells, new suggestions, selections, test halves.
    fn advance(&mut self, arms: &mut Arms) -> Result<()> {
        loop {
            for (label, digest) in self.scheduler.take_broken() {
                self.emit(Event::Corrupt { label, digest });
            }
            let settled = self.scheduler.take_settled();
            if settled.is_empty() {
                return Ok(());
            }
            let mut affected: Vec<TrialId> =
                settled.iter().filter_map(|n| self.scored_by.get(n)).flatten().copied().collect();
            affected.sort_unstable();
            affected.dedup();
            let rows: Vec<_> =
                affected.iter().map(|&t| rows::trial(&self.plan, t, &self.scheduler, self.store)).collect();
            self.store.put_trials(self.run, &rows)?;
            self.record_scored(&settled, &affected)?;
            if self.scheduler.progress().failed > 0 && !self.options.keep_going {
                self.stopping.get_or_insert("failed");
            }
            self.count_validated(&affected);
            if self.stopping.is_some() || self.closing.has_begun() {
                continue;
            }
            arms.tell(&self.plan, &self.scheduler);
            let mut sources = DiskSources::new(self.store, &mut self.files, &self.experiment.root);
            let new = arms.ask(&mut self.plan, &mut sources)?;
            self.store.record_suggestions(&arms.take_journal())?;
            self.want(&new)?;
            if !self.experiment.smoke {
                self.unseal(arms)?;
            }
        }
    }

    /// Commits the selections that are due, then plans and wants the test halves that they allow.
    fn unseal(&mut self, arms: &mut Arms) -> Result<()> {
        let chosen = arms.select(self.commit.as_deref());
        self.open(arms, chosen)
    }

    fn open(&mut self, arms: &Arms, chosen: Vec<Chosen>) -> Result<()> {
        arms.check_paired(&self.plan, &chosen, &self.scheduler, self.store)?;
        for one in chosen {
            let tests =
                one.trials.first().and_then(|&t| experiment::test_split(&self.plan, t, &self.scheduler, self.store));
            let id = self.store.record_selection(self.run, &one.selection)?;
            self.emit(Event::Selected {
                arm: one.selection.arm.clone(),
                facet: serde_json::to_string(&one.selection.facet)?,
                configuration: one.selection.configuration.clone(),
                metric: one.selection.metric.clone(),
                value: one.selection.value,
                candidates: one.selection.scores.len(),
            });
            for &trial in &one.trials {
                match tests {
                    Some(_) => {
                        let mut sources = DiskSources::new(self.store, &mut self.files, &self.experiment.root);
                        self.plan.unseal(trial, id, &mut sources)?;
                    }
                    None => self.plan.select(trial, id),
                }
            }
            self.want(&one.trials)?;
            if let Some((digest, _)) = tests {
                self.record_looks(&one.trials, &digest, &one.selection.arm)?;
            }
        }
        Ok(())
    }

    /// Looks of test halves that have now been scored: before, the key of one may not have been known.
    fn record_scored(&mut self, settled: &[NodeIndex], affected: &[TrialId]) -> Result<()> {
        for &id in affected {
            let trial = &self.plan.trials()[id];
            let is_scored = |e: &&crate::plan::Evaluation| {
                e.split == crate::artifact::Split::Test
                    && settled.contains(&e.node)
                    && self.scheduler.state(e.node) == State::Done
            };
            if !trial.evaluations.iter().any(|e| is_scored(&e)) {
                continue;
            }
            let arm = trial.configuration.arm.clone();
            if let Some((digest, _)) = experiment::test_split(&self.plan, id, &self.scheduler, self.store) {
                self.record_looks(&[id], &digest, &arm)?;
            }
        }
        Ok(())
    }

    /// A look is a model scored on a test split; its key names it whether or not it is on record already.
    fn record_looks(&mut self, trials: &[TrialId], digest: &str, arm: &str) -> Result<()> {
        for &trial in trials {
            let test = self.plan.trials()[trial].evaluations.iter().filter(|e| e.split == crate::artifact::Split::Test);
            for evaluation in test {
                if let Some(key) = self.scheduler.keys().known(evaluation.node) {
                    self.store.record_look(digest, key, &self.experiment.name, arm)?;
                }
            }
        }
        Ok(())
    }

    /// Gives ready nodes to workers while there is room.
    fn dispatch(&mut self) -> Result<()> {
        if self.stopping.is_some() {
            return Ok(());
        }
        loop {
            let Some(node) = self.next()? else { return Ok(()) };
            let seat = self.seat(node);
            let pack = self.packs.gather(&self.plan, &self.scheduler, node, self.pool.room(seat));
            let (mut assignments, mut manifests) = (Vec::new(), Vec::new());
            for node in pack {
                let manifest = self.manifest(node)?;
                let planned = self.plan.node(node);
                let node_run = self.store.begin_node_run(self.run, &manifest.key, planned.kind.name, &planned.label)?;
                assignments.push(Assignment { node, key: manifest.key.clone(), node_run, locked: None });
                self.scheduler.started(&self.plan, node);
                self.emit(Event::NodeStarted { label: self.plan.node(node).label.clone(), key: manifest.key.clone() });
                manifests.push(manifest);
            }
            self.pool.assign(assignments, &manifests, seat)?;
        }
    }

    fn seat(&self, node: NodeIndex) -> Seat {
        let node = self.plan.node(node);
        self.pool.seat(node.threads, !node.kind.bitwise)
    }

    /// The earliest ready node that there is room for. One that waits for its stored activations is not due yet.
    fn next(&mut self) -> Result<Option<NodeIndex>> {
        let ready: Vec<NodeIndex> = self.scheduler.ready().collect();
        for node in ready {
            let starts = self.closing.allows(node) && self.attempts.is_due(node);
            if starts && self.pool.room(self.seat(node)) > 0 && !self.waits_for_activations(node)? {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Wants those activations of a ready node that are worth storing; whether some of them are still being made.
    fn waits_for_activations(&mut self, node: NodeIndex) -> Result<bool> {
        let aids: Vec<NodeIndex> = self.plan.aids(node).iter().map(|aid| aid.node).collect();
        let mut waits = false;
        for aid in aids {
            if self.scheduler.state(aid) == State::Dormant {
                let decision = self.thaw_lines.decide(&self.plan, &self.scheduler, aid);
                if self.scheduler.find(&self.plan, self.store, aid)? || decision.is_some_and(|decision| decision.stored)
                {
                    self.scheduler.want(&self.plan, self.store, aid)?;
                }
            }
            waits |= !matches!(self.scheduler.state(aid), State::Dormant | State::Done | State::Failed);
        }
        Ok(waits)
    }

    fn manifest(&self, node: NodeIndex) -> Result<Manifest> {
        let planned = self.plan.node(node);
        let key = self.scheduler.keys().known(node).context("a ready node has a key")?.to_string();
        let input = |role: &str, record: &NodeRecord| Input {
            role: role.to_string(),
            digest: record.digest.clone(),
            path: self.store.objects().path(&record.digest),
        };
        let mut inputs = Vec::new();
        for (role, node) in self.plan.inputs(node) {
            inputs.push(input(role, self.scheduler.record(node).context("a ready node's inputs are done")?));
        }
        // An aid that is there is used; one that is not, or could not be made, is done without.
        let aids = self.plan.aids(node).iter();
        inputs.extend(aids.filter_map(|aid| Some(input(&aid.role, self.scheduler.record(aid.node)?))));
        Ok(Manifest {
            inputs,
            dir: self.store.work_dir(&key),
            kind: planned.kind.name.to_string(),
            work: planned.work.clone(),
            seed: planned.seed.unwrap_or(0),
            sources: planned.sources.clone(),
            limits: self.limits(node),
            key,
        })
    }

    fn handle(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Interrupt if self.stopping == Some("interrupted") => self.pool.kill(),
            Message::Cancel => {
                self.stopping = Some("cancelled");
                self.pool.kill();
            }
            Message::Interrupt => {
                self.stopping = Some("interrupted");
                self.pool.kill_waiting();
                self.emit(Event::Stopping { running: self.pool.running() });
            }
            Message::Gone { worker } => {
                self.epoch_ended.remove(&worker);
                let Some(Remains { pack, reason, ended }) = self.pool.bury(worker) else { return Ok(()) };
                self.lost(&pack, &reason, ended)?;
            }
            Message::Said { worker, message } => {
                let protocol::Message { member, report } = message;
                let Some(assignment) = self.pool.assignment(worker, member).cloned() else { return Ok(()) };
                self.report(worker, member, assignment, report)?;
            }
        }
        Ok(())
    }

    fn report(&mut self, worker: usize, member: usize, assignment: Assignment, report: Report) -> Result<()> {
        let label = self.plan.node(assignment.node).label.clone();
        let key = assignment.key.clone();
        match report {
            Report::Locked => {
                self.pool.set_locked(worker, member);
                let there = !self.options.force && self.store.node(&key)?.is_some();
                let stop = there || self.stopping.is_some();
                self.pool.answer(worker, if stop { Answer::Stop } else { Answer::Continue });
            }
            Report::Log { line } => self.log(&key, &line)?,
            Report::Progress { done, total } => {
                let answer = match self.answer(assignment.node) {
                    Answer::Continue => Answer::Continue,
                    _ => Answer::Stop,
                };
                self.pool.answer(worker, answer);
                self.emit(Event::NodeProgress { label, key, done, total });
            }
            Report::Epochs { epochs } => {
                let of = |(member, epoch)| Some((self.pool.assignment(worker, member)?.clone(), epoch));
                let epochs: Vec<(Assignment, Epoch)> = epochs.into_iter().filter_map(of).collect();
                self.store.record_epochs(epochs.iter().map(|(a, epoch)| (a.key.as_str(), a.node_run, epoch)))?;
                self.pool.answer(worker, self.answer(assignment.node));
                let before = self.epoch_ended.insert(worker, Instant::now()).or(assignment.locked);
                self.longest_epoch =
                    self.longest_epoch.max(before.map_or(0.0, |before| before.elapsed().as_secs_f64()));
                for (assignment, Epoch { epoch, epochs, metrics }) in epochs {
                    let figures: Vec<String> =
                        metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                    self.log(&assignment.key, &format!("epoch {epoch}/{epochs}  {}", figures.join("  ")))?;
                    let label = self.plan.node(assignment.node).label.clone();
                    self.emit(Event::Epoch { label, key: assignment.key, epoch, epochs, metrics });
                }
            }
            Report::Done { digest, bytes, outcome, usage } => {
                let planned = self.plan.node(assignment.node);
                let record = NodeRecord {
                    key: key.clone(),
                    kind: planned.kind.name.to_string(),
                    label: label.clone(),
                    inputs: self.scheduler.keys().inputs(&self.plan, assignment.node).unwrap_or_default(),
                    digest,
                    bytes,
                    outcome,
                    usage,
                };
                self.store.commit_node(self.run, &record, &self.store.work_dir(&key).join("out"))?;
                self.pool.answer(worker, Answer::Continue);
                self.pool.release(worker, member);
                self.store.finish_node_run(assignment.node_run, "done", None)?;
                for note in &record.outcome.notes {
                    self.log(&key, note)?;
                }
                self.estimate.measure(&self.plan, assignment.node, record.usage.wall);
                self.closing.ran(assignment.node);
                self.epoch_ended.remove(&worker);
                let (seconds, notes) = (record.usage.wall, record.outcome.notes.clone());
                self.log(&key, &format!("done in {seconds:.2} s, {} bytes", record.bytes))?;
                self.scheduler.finished(&self.plan, self.store, assignment.node, record)?;
                self.emit(Event::NodeFinished { label, key, seconds, notes, progress: self.scheduler.progress() });
            }
            Report::Failed { error } => {
                self.pool.release(worker, member);
                self.epoch_ended.remove(&worker);
                self.fail(&assignment, error)?;
            }
            Report::Corrupt { digest } => {
                self.pool.release(worker, member);
                self.store.finish_node_run(assignment.node_run, "stopped", Some("an input was broken"))?;
                self.scheduler.corrupt(&self.plan, self.store, assignment.node, &digest)?;
                // Broken artifacts are announced in `advance`, which runs only when something has settled.
                for (label, digest) in self.scheduler.take_broken() {
                    self.emit(Event::Corrupt { label, digest });
                }
            }
            Report::Stopped => {
                self.pool.release(worker, member);
                match self.store.node(&key)? {
                    Some(record) if !self.is_ending() => {
                        self.store.finish_node_run(assignment.node_run, "done", None)?;
                        self.scheduler.finished(&self.plan, self.store, assignment.node, record)?;
                        self.emit(Event::NodeFoundFinished { label, key, progress: self.scheduler.progress() });
                    }
                    _ => self.stopped(&assignment)?,
                }
            }
        }
        Ok(())
    }

    fn stopped(&mut self, assignment: &Assignment) -> Result<()> {
        self.store.finish_node_run(assignment.node_run, "stopped", None)?;
        self.scheduler.returned(&self.plan, assignment.node);
        Ok(())
    }

    fn fail(&mut self, assignment: &Assignment, error: String) -> Result<()> {
        let label = self.plan.node(assignment.node).label.clone();
        self.log(&assignment.key, &format!("failed: {error}"))?;
        self.store.finish_node_run(assignment.node_run, "failed", Some(&error))?;
        if self.plan.aided(assignment.node).next().is_some() {
            // Readers do without what could not be stored.
            self.scheduler.gave_up(&self.plan, assignment.node);
            return Ok(());
        }
        self.scheduler.failed(&self.plan, self.store, assignment.node, format!("{label}: {error}"))?;
        let progress = self.scheduler.progress();
        self.emit(Event::NodeFailed { label, key: assignment.key.clone(), error, progress });
        Ok(())
    }

    /// Appends to the node's log, with the seconds since the run's start.
    fn log(&self, key: &str, line: &str) -> Result<()> {
        let path = self.store.log_path(key);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        writeln!(file, "run {} {:8.1} s  {line}", self.run, self.started.elapsed().as_secs_f64())?;
        Ok(())
    }

    /// Whether this side has told nodes to stop.
    fn is_ending(&self) -> bool {
        matches!(self.stopping, Some("interrupted" | "stopped" | "cancelled"))
    }

    /// Once a second: how far it is and how long it will still take, and to a person once that is known.
    fn put_estimate(&mut self) -> Result<()> {
        if self.estimated.is_some_and(|estimated| estimated.elapsed() < TICK) {
            return Ok(());
        }
        self.estimated = Some(Instant::now());
        let work = self.estimate.of(&self.plan, self.scheduler.open());
        let seconds = work.seconds / self.options.jobs as f64;
        self.store.update_run(self.run, self.scheduler.progress(), Some(seconds))?;
        if !self.told && work.guessed == 0 && work.seconds > 0.0 {
            self.told = true;
            let time = self.options.deadline.map(|deadline| deadline.left());
            self.emit(Event::Estimated { seconds, time });
        }
        Ok(())
    }

    fn emit(&mut self, event: Event) {
        tracing::info!(run = self.run, event = %serde_json::to_string(&event).unwrap_or_default());
        let lasting = !matches!(event, Event::NodeProgress { .. } | Event::Epoch { .. });
        if lasting && let Ok(value) = serde_json::to_value(&event) {
            let _ = self.store.record_event(self.run, &value);
        }
        (self.on_event)(&event);
    }
}
