//! What an experiment wants computed: each arm, at each facet, searches; validation selects; only then is the test half
//! asked for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use super::scheduler::{Scheduler, State};
use crate::{
    artifact::{Dataset, Split},
    plan::{Configuration, Plan, Sources, Trial, TrialId, sources::DiskSources},
    search::{Search, Suggestion, select},
    spec::{Arm, Axis, Experiment, Fold, Method, Params},
    store::{
        Store,
        runs::Selection,
        searches::{SearchName, Suggested},
    },
};

/// A configuration that an arm tried.
struct Candidate {
    suggestion: usize,
    /// What the journal knows it by; `None` where the search keeps none.
    suggested: Option<Suggested>,
    configuration: Arc<Configuration>,
    trials: Vec<TrialId>,
    /// Set once all its trials are settled: the mean of its repeats, or `None` inside when one failed.
    value: Option<Option<f64>>,
}

impl Candidate {
    fn new(suggestion: &Suggestion, suggested: Option<Suggested>, configuration: Arc<Configuration>) -> Candidate {
        Candidate { suggestion: suggestion.id, suggested, configuration, trials: Vec::new(), value: None }
    }
}

/// One arm at one facet, in cross-validation at one outer fold: the unit that a configuration is selected for.
struct Group {
    arm: String,
    facet: Map<String, Value>,
    fold: Option<Fold>,
    search: Search,
    /// `None` for a grid: it is the same whatever happened before.
    journal: Option<SearchName>,
    /// What was suggested before this run.
    recalled: VecDeque<Suggested>,
    candidates: Vec<Candidate>,
    selected: bool,
}

impl Group {
    fn new(experiment: &Experiment, arm: &Arm, facet: &Params, fold: Option<Fold>, store: &Store) -> Result<Group> {
        let journal = (arm.sweep.method != Method::Grid).then(|| {
            let mut place = facet.clone();
            // No parameter can have a name in brackets.
            place.extend(fold.map(|fold| ("(fold)".to_string(), fold.number().into())));
            SearchName {
                experiment: experiment.name.clone(),
                arm: arm.name.clone(),
                facet: place,
                method: arm.sweep.method.name().to_owned(),
                seed: arm.sweep.seed,
            }
        });
        let recalled = journal.as_ref().map(|name| store.suggestions(name)).transpose()?;
        Ok(Group {
            arm: arm.name.clone(),
            search: Search::new(&arm.sweep, arm.fixed(facet), &arm.name, experiment.metric.goal),
            facet: facet.clone(),
            fold,
            journal,
            recalled: recalled.unwrap_or_default().into(),
            candidates: Vec::new(),
            selected: false,
        })
    }

    /// The next configuration, if there is one now; its trials are still to be planned.
    fn next(&mut self, arm: &Arm, device: &str, sources: &mut dyn Sources) -> Result<Option<Candidate>> {
        while let Some(before) = self.recalled.pop_front() {
            let Some(values) = self.search.recall(&before.params) else { continue };
            let Ok(configuration) = self.configuration(arm, &values) else { continue };
            // The same parameters of other stages or other images have other results.
            if recipe(&configuration, device, sources)? == before.recipe
                && let Some(suggestion) = self.search.replay(&values)
            {
                return Ok(Some(Candidate::new(&suggestion, Some(before), configuration)));
            }
        }
        let Some(suggestion) = self.search.ask() else { return Ok(None) };
        let configuration = self.configuration(arm, &suggestion.values)?;
        let suggested = match self.journal {
            Some(_) => Some(Suggested {
                params: configuration.resolved.params.clone(),
                recipe: recipe(&configuration, device, sources)?,
                told: None,
            }),
            None => None,
        };
        Ok(Some(Candidate::new(&suggestion, suggested, configuration)))
    }

    fn configuration(&self, arm: &Arm, values: &Params) -> Result<Arc<Configuration>> {
        let values = self.facet.iter().chain(values).map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Arc::new(Configuration {
            arm: arm.name.clone(),
            facet: self.facet.clone(),
            resolved: Arc::new(arm.resolve(&values)?),
            metric_stage: arm.metric_stage.clone(),
            fold: self.fold,
        }))
    }

    fn is_settled(&self) -> bool {
        self.candidates.iter().all(|c| c.value.is_some())
    }
}

/// All arms of an experiment at all facets.
pub struct Arms<'a> {
    experiment: &'a Experiment,
    groups: Vec<Group>,
    /// Asks and tells that are not on record yet.
    journal: Vec<(SearchName, Suggested)>,
}

/// A selection, and the trials that it unseals.
pub struct Chosen {
    pub selection: Selection,
    pub trials: Vec<TrialId>,
}

/// Every combination of the axes' values; the last axis moves fastest.
fn combinations(axes: &[Axis]) -> Vec<Params> {
    axes.iter().fold(vec![Params::new()], |combinations, axis| {
        let extended = combinations.iter().flat_map(|combination| {
            axis.values.iter().map(|value| {
                let mut combination = combination.clone();
                combination.insert(axis.name.clone(), value.clone());
                combination
            })
        });
        extended.collect()
    })
}

impl<'a> Arms<'a> {
    /// Reads what the searches suggested in earlier runs.
    pub fn new(experiment: &'a Experiment, store: &Store) -> Result<Arms<'a>> {
        let folds = experiment.outer_folds();
        let mut groups = Vec::new();
        for arm in &experiment.arms {
            for facet in combinations(&arm.facets) {
                for &fold in &folds {
                    groups.push(Group::new(experiment, arm, &facet, fold, store)?);
                }
            }
        }
        Ok(Arms { experiment, groups, journal: Vec::new() })
    }

    /// Asks every search for what it suggests now, and plans it: first what earlier runs suggested and still belongs, then
    /// what is new. The new trials.
    pub fn ask(&mut self, plan: &mut Plan, sources: &mut dyn Sources) -> Result<Vec<TrialId>> {
        // By when it was asked of its search, then by search.
        let mut asked: Vec<(usize, usize, usize)> = Vec::new();
        for (g, group) in self.groups.iter_mut().enumerate() {
            let arm =
                self.experiment.arms.iter().find(|arm| arm.name == group.arm).context("every group has an arm")?;
            let before = group.candidates.len();
            while let Some(candidate) = group.next(arm, plan.device(), sources)? {
                self.journal.extend(group.journal.clone().zip(candidate.suggested.clone()));
                group.candidates.push(candidate);
                let at = group.candidates.len() - 1;
                asked.push((at - before, g, at));
            }
        }
        // All arms at one seed before another seed, so that there is something to compare early: what is planned first runs first.
        asked.sort_unstable();
        let mut new = Vec::new();
        for &seed in &self.experiment.seeds {
            for &(_, group, candidate) in &asked {
                let candidate = &mut self.groups[group].candidates[candidate];
                let trial = plan.add(&candidate.configuration, seed, sources)?;
                candidate.trials.push(trial);
                new.push(trial);
            }
        }
        Ok(new)
    }

    /// How many configurations will be selected: one an arm, facet and fold.
    pub fn selections(&self) -> usize {
        self.groups.len()
    }

    /// Asks and tells since the last call, for the record.
    pub fn take_journal(&mut self) -> Vec<(SearchName, Suggested)> {
        std::mem::take(&mut self.journal)
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
                let told = candidate.suggested.clone().map(|suggested| Suggested { told: Some(value), ..suggested });
                self.journal.extend(group.journal.clone().zip(told));
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
        due.into_iter()
            .filter_map(|i| {
                let candidates = &self.groups[i].candidates;
                let values = candidates.iter().map(|candidate| candidate.value.flatten()).collect();
                self.choose(i, values, self.experiment.seeds.len(), commit)
            })
            .collect()
    }

    /// Selects though not everything was tried, in every facet and fold where each arm has a configuration with some of its repeats:
    /// by as many repeats, the first ones, as all arms have.
    pub fn select_early(&mut self, plan: &Plan, scheduler: &Scheduler, commit: Option<&str>) -> Vec<Chosen> {
        let metric = &self.experiment.metric.name;
        let settled = |candidate: &Candidate| -> Vec<f64> {
            let scores = candidate.trials.iter().map(|&t| score(&plan.trials()[t], scheduler, metric));
            scores.map_while(Score::value).collect()
        };
        let scores: Vec<Vec<Vec<f64>>> =
            self.groups.iter().map(|group| group.candidates.iter().map(settled).collect()).collect();
        let most = |g: usize| scores[g].iter().map(Vec::len).max().unwrap_or(0);
        let open: Vec<usize> = (0..self.groups.len()).filter(|&g| !self.groups[g].selected).collect();
        let mut chosen = Vec::new();
        for g in open {
            let same = |other: &usize| {
                self.groups[*other].facet == self.groups[g].facet && self.groups[*other].fold == self.groups[g].fold
            };
            let repeats = (0..self.groups.len()).filter(same).map(most).min().unwrap_or(0);
            if repeats == 0 {
                continue;
            }
            let mean = |scores: &Vec<f64>| {
                (scores.len() >= repeats).then(|| scores[..repeats].iter().sum::<f64>() / repeats as f64)
            };
            let values = scores[g].iter().map(mean).collect();
            chosen.extend(self.choose(g, values, repeats, commit));
        }
        chosen
    }

    /// The best of a group by its candidates' values, with its first `repeats` trials.
    fn choose(
        &mut self,
        group: usize,
        values: Vec<Option<f64>>,
        repeats: usize,
        commit: Option<&str>,
    ) -> Option<Chosen> {
        let group = &mut self.groups[group];
        group.selected = true;
        let best = select::best(&values, self.experiment.metric.goal)?;
        let candidate = &group.candidates[best];
        let scores = group.candidates.iter().zip(&values);
        Some(Chosen {
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
            trials: candidate.trials[..repeats].to_vec(),
        })
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

/// Names the results that a configuration has, whatever its seeds: what validation scores at seed 0 is made of.
fn recipe(configuration: &Arc<Configuration>, device: &str, sources: &mut dyn Sources) -> Result<String> {
    let mut alone = Plan::on(device);
    let trial = alone.add(configuration, 0, sources)?;
    let scored = alone.trials()[trial].evaluations.iter().find(|e| e.stage == configuration.metric_stage);
    let scored = scored.context("the stage that selects is planned")?;
    Ok(alone.node(scored.node).recipe.to_hex().to_string())
}

/// Plans everything that is known before anything has run.
pub fn plan_all<'a>(experiment: &'a Experiment, plan: &mut Plan, sources: &mut DiskSources) -> Result<Arms<'a>> {
    let mut arms = Arms::new(experiment, sources.store())?;
    arms.ask(plan, sources)?;
    Ok(arms)
}
