//! An experiment file: arms over pipelines, what is swept, repeated and reported, and which metric selects.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Params,
    arm::{Arm, Axis},
    diagnostic::{Fault, Problems, quote},
    layers::ParamFile,
    limits::LimitsFile,
    locate::{NodePath, Source, Step, join, join_index},
    metric::{Goal, Metric},
    pipeline::{Pipeline, check_literal},
    precedence::Layers,
    read_sweep::{self, ReadSweep, SweepFile, Swept},
    schema,
};
use crate::{protocol::Limits, stages::dataset::Fold};

/// What to compare.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The file's stem.
    pub name: String,
    pub path: PathBuf,
    /// The project's folder: data and weight paths are relative to it.
    pub root: PathBuf,
    pub description: Option<String>,
    pub arms: Vec<Arm>,
    /// One trial a configuration, fold and seed.
    pub seeds: Vec<u64>,
    /// Cross-validation: every outer fold is the test split once.
    pub folds: Option<Folds>,
    /// A smoke test: only the first fold, and no test half.
    pub smoke: bool,
    /// Axes that are reported side by side.
    pub facets: Vec<Axis>,
    pub metric: Metric,
    pub report: ReportSpec,
    /// What a node may cost.
    pub limits: Limits,
    /// A program to run when a run has ended.
    pub notify: Option<Vec<String>>,
    /// What a person should know, one line each.
    pub notices: Vec<String>,
    /// Every YAML text that was read, for the record.
    pub sources: Vec<(PathBuf, String)>,
}

impl Experiment {
    /// The outer folds; one that is none where there is no cross-validation.
    pub fn outer_folds(&self) -> Vec<Option<Fold>> {
        let all = match self.folds {
            Some(folds) => folds.all().map(Some).collect(),
            None => vec![None],
        };
        if self.smoke { all[..1].to_vec() } else { all }
    }
}

/// Cross-validation: `count` folds, divided anew `times` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folds {
    pub count: u32,
    pub times: u32,
}

impl Folds {
    /// Every outer fold by number, those of the first division first.
    pub fn all(self) -> impl Iterator<Item = Fold> {
        let fold = move |number| Fold { index: number % self.count, of: self.count, repeat: number / self.count };
        (0..self.count * self.times).map(fold)
    }
}

/// A value from the command line: parameter, value, and a source to point at.
pub(super) type Override = (String, Value, Arc<Source>);

/// How the comparison is reported.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSpec {
    /// The arm that the others are compared with.
    pub baseline: Option<String>,
    /// Differences smaller than this do not matter in practice. In the metric's unit: 0.005 is half a point of accuracy.
    #[schemars(range(min = 0.0))]
    pub margin: Option<f64>,
    /// Arms are scored on the same test images, so that differences are taken image by image.
    pub paired: bool,
}

impl Default for ReportSpec {
    fn default() -> ReportSpec {
        ReportSpec { baseline: None, margin: None, paired: true }
    }
}

/// The file as written. Every field may be missing, so that what is sound can be read beside what is not.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    /// What is compared and why, in a line.
    description: Option<String>,
    /// For every arm.
    params: Params,
    /// Files of parameters for every arm, relative to this file: weaker than `params` and than what is swept.
    params_from: Option<OneOrMany>,
    /// The recipes to compare, by name.
    #[schemars(with = "BTreeMap<String, ArmFile>")]
    arms: Map<String, Value>,
    /// The search axes: one configuration is chosen on validation.
    sweep: Option<SweepFile>,
    /// Seeds that are averaged, or folds.
    repeats: Option<Repeats>,
    /// Axes that are reported side by side, with selection inside each.
    #[schemars(with = "BTreeMap<String, Vec<Value>>")]
    facets: Map<String, Value>,
    /// What chooses configurations.
    metric: Option<MetricFile>,
    /// How the comparison is reported.
    report: Option<ReportSpec>,
    /// What a node may cost before it is ended.
    limits: Option<LimitsFile>,
    /// A program and its arguments, run in the project's folder when a run has ended, however it did: the summary is on its standard input, and in
    /// `THAWLINE_EXPERIMENT`, `THAWLINE_STATUS` and `THAWLINE_REPORT`.
    notify: Option<Vec<String>>,
    /// Some part of the arms was wrong and is left out.
    #[serde(skip)]
    arms_incomplete: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["pipeline"]))]
struct ArmFile {
    /// Relative to this file.
    pipeline: String,
    /// Parameters of the pipeline, fixed here.
    params: Params,
    /// Search axes of this arm alone, beside the experiment's.
    sweep: Option<SweepFile>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Repeats {
    /// A list of seeds, or their number: 3 means 0, 1, 2.
    seeds: Option<Seeds>,
    /// Cross-validation: the images are divided into so many folds, each is the test split once, and a configuration is
    /// chosen for each.
    #[schemars(range(min = 2, max = 1_000))]
    folds: Option<u32>,
    /// Divide into folds anew so many times.
    #[schemars(range(min = 1, max = 1_000))]
    times: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Seeds {
    Count(#[schemars(range(min = 1, max = 10_000))] u32),
    List(Vec<u64>),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct MetricFile {
    name: Option<String>,
    /// Whether more or less of it is better.
    goal: Option<Goal>,
}

/// One path, or a list of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// Each with where it is written.
    pub(super) fn with_places(self, path: &NodePath) -> Vec<(String, NodePath)> {
        match self {
            OneOrMany::One(one) => vec![(one, path.clone())],
            OneOrMany::Many(many) => many.into_iter().enumerate().map(|(i, one)| (one, join_index(path, i))).collect(),
        }
    }
}

/// JSON Schema of an experiment file.
pub fn schema() -> Value {
    schemars::schema_for!(File).to_value()
}

fn at(path: &str) -> NodePath {
    path.split('.').map(|key| Step::Key(key.to_owned())).collect()
}

/// A facet and where it is written.
pub(super) struct Facet {
    pub axis: Axis,
    pub key: NodePath,
}

impl File {
    /// Reads the tree. What is wrong is added to `problems` and left out of the result.
    pub(super) fn new(source: &Arc<Source>, mut root: Value, problems: &mut Problems) -> File {
        static SCHEMA: LazyLock<Value> = LazyLock::new(schema);
        let faults = schema::check(&SCHEMA, &mut root, &Vec::new()).faults;
        let arms_incomplete = faults.iter().any(|fault| fault.path.starts_with(&at("arms")));
        for fault in faults {
            prune(&mut root, &fault.path);
            problems.add(source, fault);
        }
        match serde_json::from_value(root) {
            Ok(file) => File { arms_incomplete, ..file },
            Err(error) => {
                problems.add(source, Fault::value(&Vec::new(), format!("this is no experiment: {error}")));
                File { arms_incomplete: true, ..File::default() }
            }
        }
    }

    /// Every arm's pipeline as written. An arm whose path was no text is not among them.
    pub(super) fn pipelines(&self) -> Vec<(String, String)> {
        let path = |arm: &Value| Some(arm.get("pipeline")?.as_str()?.to_owned());
        self.arms.iter().filter_map(|(name, arm)| Some((name.clone(), path(arm)?))).collect()
    }

    /// The parameter files that it names, each with where it is written.
    pub(super) fn param_files(&mut self) -> Vec<(String, NodePath)> {
        self.params_from.take().map_or_else(Vec::new, |files| files.with_places(&at("params_from")))
    }

    /// The experiment but for its arms' metric stages; `files` are its parameter files, `pipelines` those that could be read,
    /// by arm.
    pub(super) fn assemble(
        mut self,
        source: &Arc<Source>,
        files: &[ParamFile],
        overrides: &[Override],
        pipelines: &HashMap<String, Arc<Pipeline>>,
        problems: &mut Problems,
    ) -> (Vec<Arm>, Experiment) {
        let mut faults = Vec::new();
        check_literal(&self.params.clone().into(), &at("params"), &mut faults);
        let (seeds, folds) = (self.seeds(&mut faults), self.folds(&mut faults));
        let metric = self.metric(&mut faults);
        if metric.goal != metric.natural_goal() {
            let better = if metric.natural_goal() == Goal::Maximize { "larger" } else { "smaller" };
            let message = format!("this goal chooses the worst: {} is better when {better}", metric.name);
            problems.notice(source, Fault::value(&at("metric.goal"), message));
        }
        let shared = ReadSweep::new(self.sweep.as_ref(), &at("sweep"), &mut faults);
        let facets = facet_axes(&self.facets, &mut faults);
        for facet in facets.iter().filter(|facet| shared.sets(&facet.axis.name)) {
            let message = format!("{} is both a facet and swept", quote(&facet.axis.name));
            faults.push(Fault::key(&facet.key, message).help("remove one of them"));
        }
        let mut arms = Vec::new();
        let mut all_read = !self.arms_incomplete;
        if self.arms.is_empty() && all_read {
            faults.push(Fault::key(&at("arms"), "an experiment needs at least one arm"));
            all_read = false;
        }
        let mut declared: Vec<String> = Vec::new();
        for (name, written) in std::mem::take(&mut self.arms) {
            let path = join(&at("arms"), &name);
            let written: ArmFile = serde_json::from_value(written).unwrap_or_default();
            let own = ReadSweep::new(written.sweep.as_ref(), &join(&path, "sweep"), &mut faults);
            check_literal(&written.params.clone().into(), &join(&path, "params"), &mut faults);
            for swept in &own.swept {
                let fixed = [(&written.params, "the arm"), (&self.params, "the experiment")];
                faults.extend(fixed.iter().flat_map(|(params, whose)| fixed_and_swept(swept, params, whose)));
            }
            let facets_fixed = facets.iter().filter(|facet| written.params.contains_key(&facet.axis.name));
            for facet in facets_fixed {
                let key = join(&join(&path, "params"), &facet.axis.name);
                let message = format!("{} is a facet of the experiment and fixed here", quote(&facet.axis.name));
                faults.push(Fault::key(&key, message).help("remove one of them"));
            }
            for facet in facets.iter().filter(|facet| own.sets(&facet.axis.name)) {
                let message = format!("{} is both a facet and swept by arm {}", quote(&facet.axis.name), quote(&name));
                faults.push(Fault::key(&facet.key, message).help("remove one of them"));
            }
            let Some(pipeline) = pipelines.get(&name).cloned() else {
                all_read = false;
                continue;
            };
            declared.extend(pipeline.params.keys().cloned());
            let in_arm = written.params.keys().map(|key| (key, join(&join(&path, "params"), key)));
            for (key, place) in in_arm.map(|(key, place)| (key.as_str(), place)).chain(own.names()) {
                if !pipeline.params.contains_key(key) {
                    let message = format!("{} is not a parameter of pipeline {}", quote(key), quote(&pipeline.name));
                    faults.push(Fault::key(&place, message).suggest(key, pipeline.params.keys().map(String::as_str)));
                }
            }
            let layers = Layers {
                source,
                path: &path,
                files,
                experiment: &self.params,
                shared: &shared,
                facets: &facets,
                arm: &written.params,
                own: &own,
                overrides,
            };
            arms.push(layers.arm(name, pipeline, problems, &mut faults));
        }
        faults.extend(shared.swept.iter().flat_map(|s| fixed_and_swept(s, &self.params, "the experiment")));
        for facet in facets.iter().filter(|facet| self.params.contains_key(&facet.axis.name)) {
            faults.push(twice(&facet.axis.name, &facet.key, "the experiment"));
        }
        if all_read {
            let in_file = self.params.keys().map(|key| (key.as_str(), join(&at("params"), key)));
            let faceted = facets.iter().map(|facet| (facet.axis.name.as_str(), facet.key.clone()));
            let swept = shared.names().chain(faceted);
            for (key, place) in in_file.chain(swept).filter(|(key, _)| !declared.iter().any(|name| name == key)) {
                let message = format!("no arm's pipeline declares the parameter {}", quote(key));
                faults.push(Fault::key(&place, message).suggest(key, declared.iter().map(String::as_str)));
            }
        }
        for file in files.iter().filter(|_| all_read) {
            for key in file.params.keys().filter(|key| !declared.contains(key)) {
                let message = format!("no arm's pipeline declares the parameter {}", quote(key));
                let fault = Fault::key(&join(&[], key), message);
                problems.notice(&file.source, fault.suggest(key, declared.iter().map(String::as_str)));
            }
        }
        let report = self.report.take().unwrap_or_default();
        if let Some(baseline) = report.baseline.as_ref().filter(|b| all_read && !arms.iter().any(|a| a.name == **b)) {
            let fault = Fault::value(&at("report.baseline"), format!("there is no arm {}", quote(baseline)));
            faults.push(fault.suggest(baseline, arms.iter().map(|arm| arm.name.as_str())));
        }
        faults.extend(report.margin.and_then(|margin| implausible(margin, &metric)));
        let limits = self.limits.take().unwrap_or_default().read(&at("limits"), &mut faults);
        if self.notify.as_ref().is_some_and(Vec::is_empty) {
            faults.push(Fault::value(&at("notify"), "this names no program"));
        }
        faults.into_iter().for_each(|fault| problems.add(source, fault));
        let fixed = |facet: &Facet| overrides.iter().any(|(key, ..)| *key == facet.axis.name);
        let experiment = Experiment {
            name: String::new(),
            path: source.path.clone(),
            root: PathBuf::new(),
            description: self.description,
            arms: Vec::new(),
            seeds,
            folds,
            smoke: false,
            facets: facets.into_iter().filter(|facet| !fixed(facet)).map(|facet| facet.axis).collect(),
            metric,
            report,
            limits,
            notify: self.notify,
            notices: Vec::new(),
            sources: Vec::new(),
        };
        (arms, experiment)
    }

    fn seeds(&self, faults: &mut Vec<Fault>) -> Vec<u64> {
        let Some(repeats) = &self.repeats else { return vec![0] };
        match &repeats.seeds {
            None => vec![0],
            Some(Seeds::Count(count)) => (0..u64::from(*count)).collect(),
            Some(Seeds::List(seeds)) => {
                if seeds.is_empty() {
                    faults.push(Fault::value(&at("repeats.seeds"), "there must be at least one seed"));
                }
                for (i, seed) in seeds.iter().enumerate().filter(|(i, seed)| seeds[..*i].contains(seed)) {
                    let path = join_index(&at("repeats.seeds"), i);
                    faults.push(Fault::value(&path, format!("seed {seed} appears twice")));
                }
                seeds.clone()
            }
        }
    }

    fn folds(&self, faults: &mut Vec<Fault>) -> Option<Folds> {
        let repeats = self.repeats.as_ref()?;
        if repeats.times.is_some() && repeats.folds.is_none() {
            let fault =
                Fault::key(&at("repeats.times"), "`times` repeats the division into folds, and there are no `folds`");
            faults.push(fault.help("say `folds: 5`, or remove it"));
        }
        Some(Folds { count: repeats.folds?, times: repeats.times.unwrap_or(1) })
    }

    fn metric(&self, faults: &mut Vec<Fault>) -> Metric {
        let Some(MetricFile { name, goal }) = &self.metric else { return Metric::default() };
        match Metric::parse(name.as_deref().unwrap_or("val/accuracy"), *goal) {
            Ok(metric) => metric,
            Err((message, help)) => {
                faults.push(Fault::value(&at("metric.name"), message).help(help));
                Metric::default()
            }
        }
    }
}

/// Of a metric from 0 to 1, more than this is surely meant in points.
const LARGEST_MARGIN: f64 = 0.25;

fn implausible(margin: f64, metric: &Metric) -> Option<Fault> {
    if !metric.is_share() || margin <= LARGEST_MARGIN {
        return None;
    }
    let message = format!("a margin of {margin} would call {} points of {} equal", 100.0 * margin, metric.name);
    let help = "the margin is in the metric's unit, from 0 to 1: half a point is 0.005";
    Some(Fault::value(&at("report.margin"), message).help(help))
}

/// Removes the faulty node; of a list, the list.
fn prune(root: &mut Value, path: &NodePath) {
    let keys: Vec<&String> =
        path.iter().map_while(|step| if let Step::Key(key) = step { Some(key) } else { None }).collect();
    let Some((last, parents)) = keys.split_last() else { return };
    let mut node = root;
    for key in parents {
        let Some(next) = node.get_mut(key.as_str()) else { return };
        node = next;
    }
    node.as_object_mut().map(|map| map.shift_remove(last.as_str()));
}

fn facet_axes(facets: &Map<String, Value>, faults: &mut Vec<Fault>) -> Vec<Facet> {
    let read = |(name, values): (&String, &Value)| {
        let key = join(&at("facets"), name);
        let values = read_sweep::list(name, values.as_array()?, &key, faults)?;
        Some(Facet { axis: Axis { name: name.clone(), values }, key })
    };
    facets.iter().filter_map(read).collect()
}

fn fixed_and_swept(swept: &Swept, params: &Params, whose: &str) -> Vec<Fault> {
    let names = swept.parameter.targets().into_iter().filter(|name| params.contains_key(*name));
    names.map(|name| twice(name, &swept.key, whose)).collect()
}

fn twice(name: &str, key: &NodePath, whose: &str) -> Fault {
    let message = format!("{} is both fixed in {whose}'s `params` and swept", quote(name));
    Fault::key(key, message).help("remove one of them")
}
