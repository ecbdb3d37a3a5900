//! A pipeline file: declared parameters and stages with holes. Filling the holes for one configuration gives typed stages;
//! a stage is checked once for each set of values that it sees, however many configurations share them.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde_json::Value;

use super::{
    Params,
    diagnostic::{Fault, Problems, quote},
    interpolate::{Template, Use},
    layers::{Layer, Written, WrittenStage},
    locate::{NodePath, Source, Step, dotted, join},
    schema::{self, Reference},
    semantics,
};
use crate::stages::{self, ArtifactType, KINDS, Kind, Stage, lr_find::Field};

/// Far more than any pipeline has.
pub(super) const MOST_STAGES: usize = 1000;

static SCHEMAS: LazyLock<HashMap<&'static str, Value>> =
    LazyLock::new(|| KINDS.iter().map(|kind| (kind.name, (kind.schema)())).collect());

/// A pipeline as written, with what was learnt while filling it.
#[derive(Debug)]
pub struct Pipeline {
    /// The file's stem.
    pub name: String,
    pub path: PathBuf,
    pub description: Option<String>,
    /// The declared parameters with the values that the file gives them.
    pub params: Params,
    /// Where each of them has its value.
    pub(super) origins: HashMap<String, (Arc<Source>, NodePath)>,
    /// Its own file, not those that it extends.
    pub(super) source: Arc<Source>,
    stages: Vec<StageTemplate>,
    /// By stage, and by the values of the parameters that it reads.
    checked: Mutex<Vec<HashMap<String, Arc<Checked>>>>,
}

#[derive(Debug)]
struct StageTemplate {
    name: String,
    /// The file that it is written in.
    source: Arc<Source>,
    /// `{ kind: { parameters } }`.
    template: Template,
    uses: Vec<Use>,
    /// Numbers of the parameters that it names.
    reads: Vec<usize>,
    late: Vec<LateValue>,
}

/// A number that is known once another stage has run: `${find.suggestion}`.
#[derive(Debug, Clone, PartialEq)]
pub struct LateValue {
    /// `find.suggestion`.
    written: String,
    /// From the stage's kind: `train_head`, `optimizer`, `sgd`, `lr`.
    path: NodePath,
    /// The `lr_find` stage.
    pub stage: String,
    pub field: Field,
}

impl LateValue {
    /// The place in the stage's parameters: `optimizer.sgd.lr`.
    pub fn place(&self) -> String {
        dotted(&self.path[1..])
    }

    /// How it is written.
    pub fn text(&self) -> String {
        format!("${{{}}}", self.written)
    }

    /// Where a stage can take one.
    fn is_placed(used: &Use) -> bool {
        let keys: Vec<&str> = used.path.iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
        let at_lr = matches!(keys[..], ["train_head", "optimizer", _, "lr"] | ["freeze_schedule", "phases", "", "lr"]);
        at_lr && !used.in_text
    }
}

/// What stands for a late value until it is known.
static PLACEHOLDER: LazyLock<Value> = LazyLock::new(|| 1.0.into());

/// A stage for one set of parameter values. Paths start at the stage: `train_head`, `optimizer`, ...
#[derive(Debug)]
pub(super) struct Checked {
    pub name: String,
    pub kind: Option<&'static Kind>,
    /// `None` when something is wrong with it.
    pub stage: Option<Stage>,
    pub faults: Vec<Fault>,
    pub references: Vec<Reference>,
    pub late: Vec<LateValue>,
}

impl Checked {
    /// The stage that the parameter `role` names, also where other parameters are faulty.
    pub fn refers(&self, role: &str) -> Option<&str> {
        let named = |reference: &&Reference| reference.path.last() == Some(&Step::Key(role.to_owned()));
        self.references.iter().find(named).map(|reference| reference.target.as_str())
    }
}

impl Pipeline {
    /// Puts together what the layers of a pipeline say; the last one is its own file. What is wrong is added to `problems`;
    /// what is right is kept.
    pub(super) fn new(name: String, layers: Vec<Layer>, problems: &mut Problems) -> Pipeline {
        let source = layers.last().map(|layer| layer.source.clone()).expect("a pipeline has its own file");
        let mut written = Written::default();
        layers.into_iter().for_each(|layer| written.add(layer, problems));
        let Written { description, mut params, origins, stages: written } = written;
        let at_stages = vec![Step::Key("stages".to_owned())];
        if written.is_empty() && !problems.any_in(&source) {
            problems.add(&source, Fault::key(&at_stages, "a pipeline needs at least one stage"));
        }
        if written.len() > MOST_STAGES {
            let message = format!("a pipeline has at most {MOST_STAGES} stages; this one has {}", written.len());
            problems.add(&source, Fault::key(&at_stages, message));
        }
        let mut stages = Vec::new();
        let names: Vec<String> = written.iter().map(|stage| stage.name.clone()).collect();
        for WrittenStage { name, body, source } in written.into_iter().take(MOST_STAGES) {
            let path = join(&at_stages, &name);
            let mut faults = Vec::new();
            let template = Template::new(&body, &path, &mut faults);
            let (declared, unknown): (Vec<Use>, Vec<Use>) =
                template.uses(&Vec::new()).into_iter().partition(|used| params.contains_key(&used.parameter));
            let (mut uses, mut late) = (declared, Vec::new());
            for unknown in unknown {
                match late_value(&unknown, &names) {
                    Some(Ok(value)) => {
                        late.push(value);
                        continue;
                    }
                    Some(Err(fault)) => {
                        let path = path.iter().chain(&unknown.path).cloned().collect();
                        faults.push(Fault { path, ..fault });
                        uses.push(unknown);
                        continue;
                    }
                    None => {}
                }
                let at = path.iter().chain(&unknown.path).cloned().collect();
                let message = format!("{} is not declared in `params`", quote(&unknown.parameter));
                let known = params.keys().map(String::as_str);
                faults.push(Fault::value(&at, message).suggest(&unknown.parameter, known));
                uses.push(unknown);
            }
            faults.into_iter().for_each(|fault| problems.add(&source, fault));
            stages.push(StageTemplate { name, source, template, uses, reads: Vec::new(), late });
        }
        let used = |name: &str| stages.iter().flat_map(|stage| &stage.uses).any(|used| used.parameter == name);
        params.retain(|name, _| {
            let (used, origin) = (used(name), &origins[name]);
            let own = origin.0.path == source.path;
            if !used && own {
                let message = format!("parameter {} is declared, but nothing uses it", quote(name));
                problems.notice(&source, Fault::key(&origin.1, message));
            }
            // What is inherited goes with the stages that used it; a parameter file may serve other pipelines too.
            used || own
        });
        for stage in &mut stages {
            stage.reads = stage.uses.iter().filter_map(|used| index_of(&params, &used.parameter)).collect();
            stage.reads.sort_unstable();
            stage.reads.dedup();
        }
        let (path, checked) = (source.path.clone(), Mutex::new(vec![HashMap::new(); stages.len()]));
        Pipeline { name, path, description, params, origins, source, stages, checked }
    }

    /// Every stage, in file order, for these values of the parameters, in their order.
    pub(super) fn check(&self, values: &[&Value]) -> Vec<Arc<Checked>> {
        let parameter = |name: &str| index_of(&self.params, name).and_then(|i| values.get(i).copied());
        // A panic while the lock was held leaves a map that is still sound.
        let mut memo = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let check = |(stage, memo): (&StageTemplate, &mut HashMap<String, Arc<Checked>>)| {
            let mut seen = String::new();
            for value in stage.reads.iter().filter_map(|i| values.get(*i)) {
                seen += &value.to_string();
                seen.push('\n');
            }
            if let Some(known) = memo.get(&seen) {
                return known.clone();
            }
            memo.entry(seen).or_insert(Arc::new(stage.check(&parameter))).clone()
        };
        self.stages.iter().zip(memo.iter_mut()).map(check).collect()
    }

    /// Where the fault of a stage is written: here, or where the parameter that it comes from was given its value.
    pub(super) fn place(
        &self,
        stage: usize,
        fault: Fault,
        origin: &impl Fn(&str) -> Option<(Arc<Source>, NodePath)>,
    ) -> (Arc<Source>, Fault) {
        let stage = &self.stages[stage];
        let from_parameter = stage.template.origin(&fault.path).and_then(|(parameter, steps)| {
            // The key in front of `${x}` is written here.
            let own_key = fault.at == super::locate::At::Key && steps == fault.path.len();
            let (source, place) = origin(parameter).filter(|_| !own_key)?;
            let path = place.into_iter().chain(fault.path[steps..].iter().cloned()).collect();
            let message = format!("{} (`${{{parameter}}}` in stage {})", fault.message, quote(&stage.name));
            Some((source, Fault { path, message, ..fault.clone() }))
        });
        from_parameter.unwrap_or_else(|| {
            let here = [Step::Key("stages".into()), Step::Key(stage.name.clone())];
            let path = here.into_iter().chain(fault.path.iter().cloned()).collect();
            (stage.source.clone(), Fault { path, ..fault })
        })
    }
}

impl StageTemplate {
    fn check<'v>(&self, parameter: &impl Fn(&str) -> Option<&'v Value>) -> Checked {
        let mut checked = Checked {
            name: self.name.clone(),
            kind: None,
            stage: None,
            faults: Vec::new(),
            references: Vec::new(),
            late: self.late.clone(),
        };
        let is_late = |name: &str| self.late.iter().any(|value| value.written == name);
        let misfits = self.uses.iter().filter_map(|used| used.misfit(parameter(&used.parameter)?));
        checked.faults.extend(misfits);
        let body = self.template.fill(&|name| if is_late(name) { Some(&*PLACEHOLDER) } else { parameter(name) });
        let Some((name, mut params)) = single_entry(body) else {
            let message = format!("stage {} must be of exactly one kind", quote(&self.name));
            let help = format!("write `{}: {{ kind: {{ parameters }} }}`", self.name);
            checked.faults.push(Fault::key(&Vec::new(), message).help(help));
            return checked;
        };
        let path = vec![Step::Key(name.clone())];
        let Some(kind) = stages::kind(&name) else {
            let fault = Fault::key(&path, format!("there is no stage kind {}", quote(&name)));
            checked.faults.push(fault.suggest(&name, KINDS.iter().map(|kind| kind.name)));
            return checked;
        };
        checked.kind = Some(kind);
        let found = schema::check(&SCHEMAS[kind.name], &mut params, &path);
        checked.references = found.references;
        checked.references.extend(self.late.iter().map(|value| Reference {
            path: value.path.clone(),
            target: value.stage.clone(),
            accepts: vec![ArtifactType::LearningRate.name().to_owned()],
        }));
        checked.faults.extend(found.faults);
        // A parameter that is not declared is told by itself; what its absence leads to is not.
        let filled = self.uses.iter().all(|used| parameter(&used.parameter).is_some());
        if checked.faults.is_empty() && filled {
            match Stage::parse(kind.name, params) {
                Ok(stage) => {
                    checked.faults = semantics::check_stage(&stage);
                    checked.stage = checked.faults.is_empty().then_some(stage);
                }
                Err(error) => {
                    let inner = error.path().iter().filter_map(step);
                    let message = format!("`{}`: {}", error.path(), error.inner());
                    checked.faults.push(Fault::value(&path.into_iter().chain(inner).collect(), message));
                }
            }
        }
        checked
    }
}

/// `used`, which names no parameter, as what a stage finds: where it names one of `stages`, or one of the figures that an
/// `lr_find` has. A fault has no path yet.
fn late_value(used: &Use, stages: &[String]) -> Option<Result<LateValue, Fault>> {
    let (stage, figure) = used.parameter.rsplit_once('.')?;
    let field = Field::ALL.into_iter().find(|field| field.name() == figure);
    if field.is_none() && !stages.iter().any(|name| name == stage) {
        return None;
    }
    let Some(field) = field else {
        let fault = Fault::value(&Vec::new(), format!("a stage has no {} to fill in", quote(figure)));
        return Some(Err(fault.suggest(figure, Field::ALL.map(Field::name))));
    };
    if !LateValue::is_placed(used) {
        let message = format!("`${{{}}}` is not known before {} has run", used.parameter, quote(stage));
        let help = "it may be the whole `lr` of the optimizer of a `train_head`, or of a phase of a `freeze_schedule`";
        return Some(Err(Fault::value(&Vec::new(), message).help(help)));
    }
    let (written, path, stage) = (used.parameter.clone(), used.path.clone(), stage.to_owned());
    Some(Ok(LateValue { written, path, stage, field }))
}

fn index_of(params: &Params, name: &str) -> Option<usize> {
    params.keys().position(|key| key == name)
}

fn step(segment: &serde_path_to_error::Segment) -> Option<Step> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
        serde_path_to_error::Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        serde_path_to_error::Segment::Unknown => None,
    }
}

fn single_entry(body: Value) -> Option<(String, Value)> {
    let Value::Object(map) = body else { return None };
    let mut entries = map.into_iter();
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Some(entry),
        _ => None,
    }
}

/// Parameters are literals: a `${` in one would never be filled.
pub(super) fn check_literal(value: &Value, path: &NodePath, faults: &mut Vec<Fault>) {
    for used in Template::new(value, path, faults).uses(path) {
        let message = format!("a parameter is a literal; `${{{}}}` is not filled here", used.parameter);
        faults.push(Fault::value(&used.path, message).help("name both parameters in the stage"));
    }
}
