//! An experiment file: arms over pipelines, what is swept, repeated and reported, and which metric selects.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Params,
    arm::{Arm, Axis, Method},
    diagnostic::{Fault, Problems, nearest, quote},
    locate::{NodePath, Source, Step, join, join_index},
    metric::{Goal, Metric},
    pipeline::{Pipeline, check_literal},
    schema,
};

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
    /// One trial a configuration and seed.
    pub seeds: Vec<u64>,
    /// Axes that are reported side by side.
    pub facets: Vec<Axis>,
    pub metric: Metric,
    pub report: ReportSpec,
    /// What a person should know, one line each.
    pub notices: Vec<String>,
    /// Every YAML text that was read, for the record.
    pub sources: Vec<(PathBuf, String)>,
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
    description: Option<String>,
    /// For every arm.
    params: Params,
    /// The recipes to compare, by name.
    #[schemars(with = "BTreeMap<String, ArmFile>")]
    arms: Map<String, Value>,
    /// The search axes: one configuration is chosen on validation.
    sweep: Option<Sweep>,
    repeats: Option<Repeats>,
    /// Axes that are reported side by side, with selection inside each.
    #[schemars(with = "BTreeMap<String, Vec<Value>>")]
    facets: Map<String, Value>,
    metric: Option<MetricFile>,
    report: Option<ReportSpec>,
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
    params: Params,
    sweep: Option<Sweep>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Sweep {
    method: Option<String>,
    /// Most configurations an arm may run.
    #[schemars(range(min = 1))]
    run_cap: Option<u64>,
    #[schemars(with = "BTreeMap<String, AxisFile>")]
    parameters: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["values"]))]
struct AxisFile {
    values: Vec<Value>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Repeats {
    /// A list of seeds, or their number: 3 means 0, 1, 2.
    seeds: Option<Seeds>,
    /// Reserved.
    folds: Option<Value>,
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
    goal: Option<Goal>,
}

/// JSON Schema of an experiment file.
pub fn schema() -> Value {
    schemars::schema_for!(File).to_value()
}

fn at(path: &str) -> NodePath {
    path.split('.').map(|key| Step::Key(key.to_owned())).collect()
}

/// A parameter's values and where they are written.
struct Swept {
    axis: Axis,
    /// Of the parameter's key.
    key: NodePath,
    /// Of the list of values.
    list: NodePath,
}

impl File {
    /// Reads the tree. What is wrong is added to `problems` and left out of the result.
    pub(super) fn new(source: &Arc<Source>, mut root: Value, problems: &mut Problems) -> File {
        let faults = schema::check(&schema(), &mut root, &Vec::new()).faults;
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

    /// The experiment but for its arms' metric stages; `pipelines` are those that could be read, by arm.
    pub(super) fn assemble(
        mut self,
        source: &Arc<Source>,
        overrides: &[Override],
        pipelines: &HashMap<String, Arc<Pipeline>>,
        problems: &mut Problems,
    ) -> (Vec<Arm>, Experiment) {
        let mut faults = Vec::new();
        check_literal(&self.params.clone().into(), &at("params"), &mut faults);
        let seeds = self.seeds(&mut faults);
        let metric = self.metric(&mut faults);
        let shared = axes(self.sweep.as_ref(), &at("sweep"), &mut faults);
        let run_cap = self.sweep.as_ref().and_then(|sweep| sweep.run_cap);
        let facets = facet_axes(&self.facets, &mut faults);
        for facet in facets.iter().filter(|facet| shared.iter().any(|swept| swept.axis.name == facet.axis.name)) {
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
            let own = axes(written.sweep.as_ref(), &join(&path, "sweep"), &mut faults);
            check_literal(&written.params.clone().into(), &join(&path, "params"), &mut faults);
            for swept in &own {
                let fixed = [(&written.params, "the arm"), (&self.params, "the experiment")];
                faults.extend(fixed.iter().filter_map(|(params, whose)| fixed_and_swept(swept, params, whose)));
            }
            let facets_fixed = facets.iter().filter(|facet| written.params.contains_key(&facet.axis.name));
            for facet in facets_fixed {
                let key = join(&join(&path, "params"), &facet.axis.name);
                let message = format!("{} is a facet of the experiment and fixed here", quote(&facet.axis.name));
                faults.push(Fault::key(&key, message).help("remove one of them"));
            }
            for facet in facets.iter().filter(|facet| own.iter().any(|swept| swept.axis.name == facet.axis.name)) {
                let message = format!("{} is both a facet and swept by arm {}", quote(&facet.axis.name), quote(&name));
                faults.push(Fault::key(&facet.key, message).help("remove one of them"));
            }
            let Some(pipeline) = pipelines.get(&name).cloned() else {
                all_read = false;
                continue;
            };
            declared.extend(pipeline.params.keys().cloned());
            let in_arm = written.params.keys().map(|key| (key, join(&join(&path, "params"), key)));
            for (key, place) in in_arm.chain(own.iter().map(|swept| (&swept.axis.name, swept.key.clone()))) {
                if !pipeline.params.contains_key(key) {
                    let message = format!("{} is not a parameter of pipeline {}", quote(key), quote(&pipeline.name));
                    faults.push(Fault::key(&place, message).suggest(key, pipeline.params.keys().map(String::as_str)));
                }
            }
            let layers = Layers {
                source,
                path: &path,
                experiment: &self.params,
                shared: &shared,
                facets: &facets,
                arm: &written.params,
                own: &own,
                overrides,
            };
            let own_cap = written.sweep.as_ref().and_then(|sweep| sweep.run_cap);
            arms.push(layers.arm(name, pipeline, own_cap.or(run_cap), problems));
        }
        faults.extend(shared.iter().chain(&facets).filter_map(|s| fixed_and_swept(s, &self.params, "the experiment")));
        if all_read {
            let in_file = self.params.keys().map(|key| (key.as_str(), join(&at("params"), key)));
            let swept = shared.iter().chain(&facets).map(|swept| (swept.axis.name.as_str(), swept.key.clone()));
            for (key, place) in in_file.chain(swept).filter(|(key, _)| !declared.iter().any(|name| name == key)) {
                let message = format!("no arm's pipeline declares the parameter {}", quote(key));
                faults.push(Fault::key(&place, message).suggest(key, declared.iter().map(String::as_str)));
            }
        }
        let report = self.report.take().unwrap_or_default();
        if let Some(baseline) = report.baseline.as_ref().filter(|b| all_read && !arms.iter().any(|a| a.name == **b)) {
            let fault = Fault::value(&at("report.baseline"), format!("there is no arm {}", quote(baseline)));
            faults.push(fault.suggest(baseline, arms.iter().map(|arm| arm.name.as_str())));
        }
        faults.extend(report.margin.and_then(|margin| implausible(margin, &metric)));
        faults.into_iter().for_each(|fault| problems.add(source, fault));
        let fixed = |swept: &Swept| overrides.iter().any(|(key, ..)| *key == swept.axis.name);
        let experiment = Experiment {
            name: String::new(),
            path: source.path.clone(),
            root: PathBuf::new(),
            description: self.description,
            arms: Vec::new(),
            seeds,
            facets: facets.into_iter().filter(|facet| !fixed(facet)).map(|facet| facet.axis).collect(),
            metric,
            report,
            notices: Vec::new(),
            sources: Vec::new(),
        };
        (arms, experiment)
    }

    fn seeds(&self, faults: &mut Vec<Fault>) -> Vec<u64> {
        let Some(repeats) = &self.repeats else { return vec![0] };
        if repeats.folds.is_some() {
            let fault = Fault::key(&at("repeats.folds"), "`folds` are not supported yet");
            faults.push(fault.help("supported: `seeds`"));
        }
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

fn axes(sweep: Option<&Sweep>, path: &NodePath, faults: &mut Vec<Fault>) -> Vec<Swept> {
    let Some(sweep) = sweep else { return Vec::new() };
    if let Some(method) = sweep.method.as_deref().filter(|method| *method != "grid") {
        let message = match method {
            "random" | "sobol" | "tpe" | "gp" | "bayes" | "hyperband" | "asha" => {
                format!("the method {} is not supported yet", quote(method))
            }
            other => format!("there is no method {}", quote(other)),
        };
        let help = match nearest(method, ["grid"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "supported: `grid`".into(),
        };
        faults.push(Fault::value(&join(path, "method"), message).help(help));
    }
    let path = join(path, "parameters");
    let mut axes = Vec::new();
    for (name, written) in &sweep.parameters {
        let key = join(&path, name);
        // A list that was reported and left out says nothing more.
        if let Some(values) = written.get("values") {
            axes.extend(axis(name, values, key.clone(), join(&key, "values"), faults));
        }
    }
    axes
}

fn facet_axes(facets: &Map<String, Value>, faults: &mut Vec<Fault>) -> Vec<Swept> {
    let read = |(name, values): (&String, &Value)| {
        let key = join(&at("facets"), name);
        axis(name, values, key.clone(), key, faults)
    };
    facets.iter().filter_map(read).collect()
}

fn axis(name: &str, values: &Value, key: NodePath, list: NodePath, faults: &mut Vec<Fault>) -> Option<Swept> {
    let values = values.as_array()?.clone();
    if values.is_empty() {
        faults.push(Fault::value(&list, format!("{} needs at least one value", quote(name))));
        return None;
    }
    let mut seen = HashSet::new();
    for (i, value) in values.iter().enumerate() {
        let path = join_index(&list, i);
        if !seen.insert(value.to_string()) {
            faults.push(Fault::value(&path, format!("this value of {} appears twice", quote(name))));
        }
        check_literal(value, &path, faults);
    }
    Some(Swept { axis: Axis { name: name.to_owned(), values }, key, list })
}

fn fixed_and_swept(swept: &Swept, params: &Params, whose: &str) -> Option<Fault> {
    let name = &swept.axis.name;
    let message = || format!("{} is both fixed in {whose}'s `params` and swept", quote(name));
    params.contains_key(name).then(|| Fault::key(&swept.key, message()).help("remove one of them"))
}

/// Everything that gives an arm's parameters their values, in the order of precedence.
struct Layers<'a> {
    source: &'a Arc<Source>,
    /// Of the arm.
    path: &'a NodePath,
    experiment: &'a Params,
    shared: &'a [Swept],
    facets: &'a [Swept],
    arm: &'a Params,
    own: &'a [Swept],
    overrides: &'a [Override],
}

impl Layers<'_> {
    fn arm(&self, name: String, pipeline: Arc<Pipeline>, run_cap: Option<u64>, problems: &mut Problems) -> Arm {
        let mut arm = single(name, pipeline, self.overrides);
        arm.run_cap = run_cap;
        let (pipeline, title) = (arm.pipeline.clone(), quote(&arm.name));
        let overridden = |key: &str| self.overrides.iter().any(|(name, ..)| name == key);
        let declares = |key: &str| pipeline.params.contains_key(key);
        let dropped = |key: &str| format!("arm {title} does not declare {}; it is left out there", quote(key));
        let experiment = self.experiment.iter().map(|(key, value)| (key, value, join(&at("params"), key)));
        let own = self.arm.iter().map(|(key, value)| (key, value, join(&join(self.path, "params"), key)));
        for (key, value, place) in experiment.chain(own).filter(|(key, ..)| !overridden(key)) {
            if declares(key) {
                arm.params.insert(key.clone(), value.clone());
                arm.origins.insert(key.clone(), (self.source.clone(), place));
            } else if self.experiment.contains_key(key) {
                problems.notice(self.source, Fault::key(&place, dropped(key)));
            }
        }
        let replaced = |key: &str| self.own.iter().any(|swept| swept.axis.name == key);
        for (swept, is_facet) in self.facets.iter().map(|facet| (facet, true)).chain(
            self.shared.iter().filter(|swept| !replaced(&swept.axis.name)).chain(self.own).map(|swept| (swept, false)),
        ) {
            let key = swept.axis.name.as_str();
            if !declares(key) {
                problems.notice(self.source, Fault::key(&swept.key, dropped(key)));
            } else if !overridden(key) && !self.arm.contains_key(key) {
                arm.params.shift_remove(key);
                arm.origins.insert(key.to_owned(), (self.source.clone(), swept.list.clone()));
                if is_facet { &mut arm.facets } else { &mut arm.axes }.push(swept.axis.clone());
            }
        }
        arm
    }
}

/// An arm of a pipeline's own parameters, and `-S`.
pub(super) fn single(name: String, pipeline: Arc<Pipeline>, overrides: &[Override]) -> Arm {
    let mut params = pipeline.params.clone();
    let mut origins: HashMap<_, _> =
        params.keys().map(|key| (key.clone(), (pipeline.source.clone(), join(&at("params"), key)))).collect();
    for (key, value, source) in overrides.iter().filter(|(key, ..)| pipeline.params.contains_key(key)) {
        params.insert(key.clone(), value.clone());
        origins.insert(key.clone(), (source.clone(), Vec::new()));
    }
    let (axes, facets, metric_stage) = (Vec::new(), Vec::new(), String::new());
    Arm { name, pipeline, params, axes, facets, method: Method::Grid, run_cap: None, metric_stage, origins }
}
