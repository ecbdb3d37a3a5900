//! How a run begins and ends: what is planned at once, and what goes on record.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::mpsc::channel,
    time::Instant,
};

use anyhow::Result;
use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use super::{
    super::{
        event::Event,
        experiment::{self, Arms},
        git,
        interrupt::Interrupts,
        packs::Packs,
        pool::Pool,
        rows,
        scheduler::{Scheduler, State},
        thaw_line::{Storing, ThawLines},
    },
    Attempts, Closing, Coordinator,
};
use crate::{
    device::Device,
    engine::{deadline::Deadline, estimate::Estimate},
    plan::{
        Plan, Sources, TrialId,
        sources::{DiskSources, Seen},
    },
    protocol::Limits,
    spec::{Experiment, Goal},
    store::{
        NodeRecord, Store,
        runs::{NewRun, Progress},
    },
};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads in use at once, summed over workers.
    pub jobs: usize,
    /// Make everything again, whatever is on record.
    pub force: bool,
    /// Go on with what does not depend on a failure.
    pub keep_going: bool,
    /// Activations below the thaw lines.
    pub storing: Storing,
    /// What numerical nodes compute on.
    pub device: Device,
    /// What a node may cost, where its stage does not say.
    pub limits: Limits,
    /// When the run has to be over.
    pub deadline: Option<Deadline>,
    /// Close after so many trials were validated by this run.
    pub max_trials: Option<usize>,
    /// Only trials of these names run; of the others what is on record is used.
    pub only: Option<HashSet<String>>,
    /// The command line, for the record.
    pub command: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    pub run: i64,
    /// `done`, `failed`, `interrupted`, `stopped` (in time) or `cancelled`.
    pub status: &'static str,
    pub progress: Progress,
    pub seconds: f64,
}

/// Runs an experiment until nothing is left to do. What is on record already is not done again.
pub fn run(
    experiment: &Experiment,
    options: &Options,
    store: &mut Store,
    on_event: &mut dyn FnMut(&Event),
) -> Result<Finish> {
    let mut arms = Arms::new(experiment, store)?;
    let nothing: PlanNodes = &mut |_, _| Ok(Vec::new());
    Ok(run_arms(experiment, &mut arms, nothing, options, store, on_event)?.0)
}

/// Adds nodes to a plan.
pub type PlanNodes<'a> = &'a mut dyn FnMut(&mut Plan, &mut dyn Sources) -> Result<Vec<NodeIndex>>;

/// Makes the nodes that `wanted` plans, with what they stand on, and none of the experiment's trials: a run like any other.
/// It needs a name of its own: under the experiment's the latest run would be one without trials. What is on record of each afterwards.
pub fn make(
    experiment: &Experiment,
    options: &Options,
    store: &mut Store,
    wanted: PlanNodes,
    on_event: &mut dyn FnMut(&Event),
) -> Result<(Finish, Vec<Option<NodeRecord>>)> {
    let experiment = Experiment { arms: Vec::new(), ..experiment.clone() };
    let mut arms = Arms::new(&experiment, store)?;
    run_arms(&experiment, &mut arms, wanted, options, store, on_event)
}

fn run_arms(
    experiment: &Experiment,
    arms: &mut Arms,
    wanted: PlanNodes,
    options: &Options,
    store: &mut Store,
    on_event: &mut dyn FnMut(&Event),
) -> Result<(Finish, Vec<Option<NodeRecord>>)> {
    let files: Vec<_> = experiment.sources.iter().map(|(path, _)| path.clone()).collect();
    let tree = git::tree(&experiment.root, &files);
    let mut plan = Plan::on(&options.device.class);
    let mut files = Seen::default();
    let mut announce = |line: &str| on_event(&Event::Notice { text: line.to_string() });
    let mut sources = DiskSources::new(store, &mut files, &experiment.root).announcing(&mut announce);
    let trials = arms.ask(&mut plan, &mut sources)?;
    let wanted = wanted(&mut plan, &mut sources)?;
    store.record_suggestions(&arms.take_journal())?;

    let thaw_lines = ThawLines::new(options.storing, store)?;
    let run = store.begin_run(&new_run(experiment, options, &tree))?;
    let (sender, messages) = channel();
    let _interrupts = Interrupts::forward(sender.clone())?;
    let mut coordinator = Coordinator {
        experiment,
        options,
        run,
        commit: tree.commit,
        pool: Pool::new(options.jobs, &store.dir().join("log"), options.device.gpus.clone(), sender)?,
        scheduler: Scheduler::new(options.force),
        estimate: Estimate::new(store.mean_seconds()?),
        estimated: None,
        told: false,
        attempts: Attempts::default(),
        limits_memory: options.limits.or(experiment.limits).max_memory.is_some(),
        closing: Closing::default(),
        longest_epoch: 0.0,
        epoch_ended: HashMap::new(),
        plan,
        files,
        store,
        on_event,
        started: Instant::now(),
        scored_by: HashMap::new(),
        packs: Packs::default(),
        thaw_lines,
        stopping: None,
    };
    coordinator.leave_out(&trials);
    let outcome = coordinator.drive(arms, &messages, trials, &wanted);
    let status = match &outcome {
        Ok(()) => coordinator.status(),
        Err(_) => "failed",
    };
    coordinator.finish(status)?;
    outcome?;
    let (progress, seconds) = (coordinator.scheduler.progress(), coordinator.started.elapsed().as_secs_f64());
    let made = wanted.iter().map(|node| coordinator.scheduler.record(*node).cloned()).collect();
    Ok((Finish { run, status, progress, seconds }, made))
}

fn new_run(experiment: &Experiment, options: &Options, tree: &git::Tree) -> NewRun {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    NewRun {
        experiment: experiment.name.clone(),
        path: text(&experiment.path),
        root: text(&experiment.root),
        jobs: options.jobs,
        command: options.command.clone(),
        commit: tree.commit.clone(),
        diff: tree.diff.clone(),
        sources: experiment.sources.iter().map(|(path, source)| (text(path), source.clone())).collect(),
        context: context(experiment, &options.device),
    }
}

/// What the report wants to know of an experiment.
fn context(experiment: &Experiment, device: &Device) -> Value {
    json!({
        "description": experiment.description,
        "metric": experiment.metric.to_string(),
        "goal": if experiment.metric.goal == Goal::Maximize { "maximize" } else { "minimize" },
        "baseline": experiment.report.baseline,
        "margin": experiment.report.margin,
        "paired": experiment.report.paired,
        "seeds": experiment.seeds,
        "folds": experiment.folds,
        "arms": experiment.arms.iter().map(|arm| &arm.name).collect::<Vec<_>>(),
        "notices": experiment.notices,
        "device": device.to_string(),
    })
}

impl Coordinator<'_> {
    /// Puts on record how it ended.
    fn finish(&mut self, status: &'static str) -> Result<()> {
        let ids: Vec<TrialId> = (0..self.plan.trials().len()).collect();
        let open = |id: &TrialId| {
            self.plan.trials()[*id]
                .evaluations
                .iter()
                .any(|e| !matches!(self.scheduler.state(e.node), State::Done | State::Failed))
        };
        let rows: Vec<_> = ids
            .iter()
            .filter(|id| open(id))
            .map(|&t| rows::trial(&self.plan, t, &self.scheduler, self.store))
            .collect();
        self.store.put_trials(self.run, &rows)?;
        let mut context = context(self.experiment, &self.options.device);
        context["data"] = json!(rows::data_lines(&self.plan, &self.scheduler, self.store));
        let selected = ids.iter().filter(|&&t| self.plan.trials()[t].selection.is_some());
        let tests: BTreeMap<String, usize> =
            selected.filter_map(|&t| experiment::test_split(&self.plan, t, &self.scheduler, self.store)).collect();
        context["test_digests"] = json!(tests.keys().collect::<Vec<_>>());
        // Where arms are tested on different images, the smallest split limits what can be told.
        context["test_images"] = json!(tests.values().min());
        self.store.set_context(self.run, &context)?;
        self.store.update_run(self.run, self.scheduler.progress(), None)?;
        self.store.finish_run(self.run, status)?;
        let (seconds, progress) = (self.started.elapsed().as_secs_f64(), self.scheduler.progress());
        self.emit(Event::Finished { status: status.to_string(), seconds, progress });
        Ok(())
    }
}
