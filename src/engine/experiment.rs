//! What an experiment wants computed: each arm, at each facet, searches; validation selects; only then is the test half
//! asked for.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::scheduler::{Scheduler, State};
use crate::{
    artifact::{Dataset, Split},
    plan::{Configuration, Plan, Sources, Trial, TrialId},
    search::{self, Search, select},
    spec::{Axis, Experiment, Fold},
    store::{Store, runs::Selection},
};

/// A configuration that an arm tried.
struct Candidate {
    suggestion: usize,
    configuration: Arc<Configuration>,
    trials: Vec<TrialId>,
    /// Set once all its trials are settled: the mean of its repeats, or `None` inside when one failed.
    value: Option<Option<f64>>,
}

/// One arm at one facet, in cross-validation at one outer fold: the unit that a configuration is selected for.
struct Group {
    arm: String,
    facet: Map<String, Value>,
    fold: Option<Fold>,
    search: Box<dyn Search>,
    candidates: Vec<Candidate>,
    selected: bool,
}

impl Group {
    fn is_settled(&self) -> bool {
        self.candidates.iter().all(|c| c.value.is_some())
    }
}

/// All arms of an experiment at all facets.
pub struct Arms<'a> {
    experiment: &'a Experiment,
    groups: Vec<Group>,
}

/// A selection, and the trials that it unseals.
pub struct Chosen {
    pub selection: Selection,
    pub trials: Vec<TrialId>,
}

/// Every combination of the axes' values.
fn combinations(axes: &[Axis]) -> Vec<Map<String, Value>> {
    let mut grid = search::Grid::new(axes, None);
    std::iter::from_fn(|| grid.ask()).map(|suggestion| suggestion.values).collect()
}

impl<'a> Arms<'a> {
    pub fn new(experiment: &'a Experiment) -> Arms<'a> {
        let folds: Vec<Option<Fold>> = match experiment.folds {
            Some(folds) => folds.all().map(Some).collect(),
            None => vec![None],
        };
        let groups = experiment.arms.iter().flat_map(|arm| {
            let folds = &folds;
            combinations(&arm.facets).into_iter().flat_map(move |facet| {
                folds.iter().map(move |&fold| Group {
                    arm: arm.name.clone(),
                    facet: facet.clone(),
                    fold,
                    search: search::for_arm(arm),
                    candidates: Vec::new(),
                    selected: false,
                })
            })
        });
        Arms { experiment, groups: groups.collect() }
    }

    /// Asks every search for what it suggests now, and plans it. The new trials.
    pub fn ask(&mut self, plan: &mut Plan, sources: &mut dyn Sources) -> Result<Vec<TrialId>> {
        let mut new = Vec::new();
        for group in &mut self.groups {
            let arm =
                self.experiment.arms.iter().find(|arm| arm.name == group.arm).context("every group has an arm")?;
            while let Some(suggestion) = group.search.ask() {
                let mut values = group.facet.clone();
                values.extend(suggestion.values);
                let configuration = Arc::new(Configuration {
                    arm: arm.name.clone(),
                    facet: group.facet.clone(),
                    resolved: Arc::new(arm.resolve(&values)?),
                    metric_stage: arm.metric_stage.clone(),
                    fold: group.fold,
                });
                let seeds = self.experiment.seeds.iter();
                let trials: Vec<TrialId> =
                    seeds.map(|&seed| plan.add(&configuration, seed, sources)).collect::<Result<_>>()?;
                new.extend(&trials);
                group.candidates.push(Candidate { suggestion: suggestion.id, configuration, trials, value: None });
            }
        }
        Ok(new)
    }

    /// Tells the searches what has been settled since the last call.
    pub fn tell(&mut self, plan: &Plan, scheduler: &Scheduler) {
        let metric = &self.experiment.metric;
        for group in &mut self.groups {
            for candidate in group.candidates.iter_mut().filter(|c| c.value.is_none()) {
                let scores: Vec<Score> =
                    candidate.trials.iter().map(|&t| score(&plan.trials()[t], scheduler, &metric.name)).collect();
                if scores.contains(&Score::Open) {
                    continue;
                }
                let values: Option<Vec<f64>> = scores.iter().map(|s| s.value()).collect();
                let value = values.map(|v| v.iter().sum::<f64>() / v.len() as f64);
                candidate.value = Some(value);
                group.search.tell(candidate.suggestion, value);
            }
        }
    }

    /// The selections that are due: those of every facet and fold whose arms are all settled, each once.
    pub fn select(&mut self, commit: Option<&str>) -> Vec<Chosen> {
        let due: Vec<usize> = (0..self.groups.len())
            .filter(|&i| {
                let same = |g: &&Group| g.facet == self.groups[i].facet && g.fold == self.groups[i].fold;
                !self.groups[i].selected && self.groups.iter().filter(same).all(Group::is_settled)
            })
            .collect();
        let mut chosen = Vec::new();
        for i in due {
            let group = &mut self.groups[i];
            group.selected = true;
            let values: Vec<Option<f64>> = group.candidates.iter().map(|c| c.value.flatten()).collect();
            let Some(best) = select::best(&values, self.experiment.metric.goal) else { continue };
            let candidate = &group.candidates[best];
            let scores = group.candidates.iter().zip(&values);
            chosen.push(Chosen {
                selection: Selection {
                    experiment: self.experiment.name.clone(),
                    arm: group.arm.clone(),
                    facet: group.facet.clone(),
                    fold: group.fold.map(Fold::number),
                    configuration: candidate.configuration.digest(),
                    metric: self.experiment.metric.to_string(),
                    value: values[best].unwrap_or(f64::NAN),
                    scores: scores.filter_map(|(c, v)| Some((c.configuration.digest(), (*v)?))).collect(),
                    commit: commit.map(str::to_string),
                },
                trials: candidate.trials.clone(),
            });
        }
        chosen
    }

    /// Compared arms must share the test split (of each fold): checked on the datasets before any test half is planned.
    pub fn check_paired(&self, plan: &Plan, chosen: &[Chosen], scheduler: &Scheduler, store: &Store) -> Result<()> {
        if !self.experiment.report.paired {
            return Ok(());
        }
        let mut first: HashMap<Option<u32>, (String, String)> = HashMap::new();
        for one in chosen {
            let Some((digest, _)) = one.trials.first().and_then(|&t| test_split(plan, t, scheduler, store)) else {
                continue;
            };
            match first.get(&one.selection.fold) {
                None => drop(first.insert(one.selection.fold, (one.selection.arm.clone(), digest))),
                Some((arm, expected)) if *expected != digest => bail!(
                    "arms `{arm}` and `{}` have different test images, so their scores cannot be paired.\n\
                     Give both the same dataset and split, or say `report: {{ paired: false }}`.",
                    one.selection.arm
                ),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// The digest and the number of images of the test split that a trial is scored on; `None` when it has no test images.
pub fn test_split(plan: &Plan, trial: TrialId, scheduler: &Scheduler, store: &Store) -> Option<(String, usize)> {
    let trial = &plan.trials()[trial];
    let evaluation = trial.evaluations.iter().find(|e| e.stage == trial.configuration.metric_stage)?;
    let digest = scheduler.keys().digest(evaluation.dataset)?;
    let dataset = Dataset::read(&store.objects().path(digest)).ok()?;
    let images = dataset.rows(Split::Test).len();
    (images > 0).then(|| (dataset.split_digest(Split::Test), images))
}

/// A trial's part in its configuration's value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Score {
    Open,
    Failed,
    Value(f64),
}

impl Score {
    fn value(self) -> Option<f64> {
        if let Score::Value(value) = self { Some(value) } else { None }
    }
}

fn score(trial: &Trial, scheduler: &Scheduler, metric: &str) -> Score {
    let is_it = |e: &&crate::plan::Evaluation| e.stage == trial.configuration.metric_stage && e.split == Split::Val;
    let Some(evaluation) = trial.evaluations.iter().find(is_it) else { return Score::Failed };
    match scheduler.state(evaluation.node) {
        State::Done => {
            let value = scheduler.record(evaluation.node).and_then(|r| r.outcome.metrics.get(metric));
            value.map_or(Score::Failed, |&v| Score::Value(v))
        }
        State::Failed => Score::Failed,
        _ => Score::Open,
    }
}

/// Plans everything that is known before anything has run.
pub fn plan_all<'a>(experiment: &'a Experiment, plan: &mut Plan, sources: &mut dyn Sources) -> Result<Arms<'a>> {
    let mut arms = Arms::new(experiment);
    arms.ask(plan, sources)?;
    Ok(arms)
}
