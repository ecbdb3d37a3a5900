//! From a path to an [`Experiment`]: reads the files, puts the arms together, checks every configuration they span.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    arm::{Arm, Axis},
    diagnostic::{Diagnostic, Diagnostics, Fault, Problems, Severity, alternatives, describe, display, nearest, quote},
    experiment::{Experiment, File, OneOrMany, Override, ReportSpec},
    files::Files,
    layers::{Layer, ParamFile},
    locate::{NodePath, Source, Step, join},
    metric::Metric,
    pipeline::Pipeline,
    precedence, yaml,
};
use crate::{protocol::Limits, stages::Stage};

/// Configurations of an arm that are checked before anything runs; the others when they are resolved.
pub(super) const CHECKED: usize = 2000;
/// What marks a project's folder.
const ROOT_MARKS: [&str; 4] = [".thawline", "pipelines", "experiments", ".git"];

/// Reads the experiment at `path`, or the pipeline there as an experiment of one arm and the seed 0. `overrides` are
/// `(parameter, value as YAML)` and win over everything that is written. The project's root is `project`, or else the
/// nearest folder above the file that looks like one.
///
/// # Errors
/// Everything that is wrong, in all files and all configurations.
pub fn load(path: &Path, overrides: &[(String, String)], project: Option<&Path>) -> Result<Experiment, Diagnostics> {
    let mut loader = Loader::default();
    match loader.load(path, overrides, project) {
        Some(experiment) if !loader.problems.any_errors() => {
            let notices = loader.problems.locate().0.iter().map(Diagnostic::one_line).collect();
            Ok(Experiment { notices, ..experiment })
        }
        _ => Err(loader.problems.errors().locate()),
    }
}

/// As [`load`], and looks at the files that stages name: images, tables and weights. Gives notices as located as errors.
///
/// # Errors
/// Those of [`load`], and whatever is not there or not enough.
pub fn check(
    path: &Path,
    overrides: &[(String, String)],
    project: Option<&Path>,
) -> Result<(Experiment, Diagnostics), Diagnostics> {
    let mut loader = Loader { looks_at_files: true, ..Loader::default() };
    match loader.load(path, overrides, project) {
        Some(experiment) if !loader.problems.any_errors() => {
            let found = loader.problems.locate();
            let notices = found.0.iter().map(Diagnostic::one_line).collect();
            Ok((Experiment { notices, ..experiment }, found))
        }
        _ => Err(loader.problems.errors().locate()),
    }
}

#[derive(Default)]
struct Loader {
    problems: Problems,
    sources: Vec<(PathBuf, String)>,
    pipelines: HashMap<PathBuf, Option<Arc<Pipeline>>>,
    looks_at_files: bool,
}

impl Loader {
    fn load(&mut self, path: &Path, overrides: &[(String, String)], project: Option<&Path>) -> Option<Experiment> {
        let path = absolute(path);
        let (source, tree) = match self.read(&path) {
            Ok(read) => read?,
            Err(message) => {
                self.problems.add_located(nowhere(&path, message));
                return None;
            }
        };
        let overrides = self.overrides(overrides);
        let name = stem(&path);
        let has = |key: &str| tree.get(key).is_some();
        let (mut arms, mut experiment) = match (has("arms"), has("stages") || has("extends")) {
            (true, false) => {
                let mut file = File::new(&source, tree, &mut self.problems);
                let files = self.param_files(&source, file.param_files());
                let named = file.pipelines().into_iter();
                let read = named.filter_map(|(arm, text)| {
                    let pipeline = self.pipeline_of_arm(&source, &arm, &text)?;
                    Some((arm, pipeline))
                });
                let pipelines = read.collect();
                file.assemble(&source, &files, &overrides, &pipelines, &mut self.problems)
            }
            (false, true) => {
                let layers = self.layers(source.clone(), tree)?;
                let pipeline = Arc::new(Pipeline::new(name.clone(), layers, &mut self.problems));
                let arm = precedence::single(name.clone(), pipeline.clone(), &overrides);
                (vec![arm], of_pipeline(&pipeline))
            }
            (both, _) => {
                self.problems.add(&source, what_it_should_be(&tree, both));
                return None;
            }
        };
        self.check_overrides(&overrides, &arms);
        experiment.root = project_root(&path, project);
        let mut files = self.looks_at_files.then(|| Files::new(&experiment.root, experiment.folds));
        for arm in &mut arms {
            self.settle_metric(arm, &experiment.metric, &source);
            if experiment.folds.is_some() {
                self.check_folds(arm, &source);
            }
            for assignment in arm.sample(CHECKED) {
                arm.resolve_into(&assignment, &mut self.problems);
                if let Some(files) = &mut files {
                    arm.check_files(&assignment, files, &mut self.problems);
                }
            }
        }
        experiment.name = name;
        experiment.arms = arms;
        experiment.sources = std::mem::take(&mut self.sources);
        Some(experiment)
    }

    /// The text and tree of a file. `Err` with a message when there is no text, `Ok(None)` when it is reported.
    fn read(&mut self, path: &Path) -> Result<Option<(Arc<Source>, Value)>, String> {
        let bytes = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "this is a folder, not a YAML file".to_owned(),
            _ => format!("this file cannot be read: {error}"),
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|error| format!("this is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))?;
        // The parser counts the mark as a column, which would end the document at the second line.
        let read = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
        let source = Arc::new(Source { path: path.to_owned(), text: read });
        if self.sources.iter().all(|(known, _)| known != path) {
            self.sources.push((path.to_owned(), text));
        }
        Ok(yaml::read(&source, &mut self.problems).map(|tree| (source, tree)))
    }

    fn overrides(&mut self, overrides: &[(String, String)]) -> Vec<Override> {
        let mut read: Vec<Override> = Vec::new();
        for (key, text) in overrides {
            let source = Arc::new(Source { path: PathBuf::from(format!("-S {key}")), text: text.clone() });
            if let Some(value) = yaml::read(&source, &mut self.problems) {
                let mut faults = Vec::new();
                super::pipeline::check_literal(&value, &Vec::new(), &mut faults);
                faults.into_iter().for_each(|fault| self.problems.add(&source, fault));
                read.retain(|(earlier, ..)| earlier != key);
                read.push((key.clone(), value, source));
            }
        }
        read
    }

    fn check_overrides(&mut self, overrides: &[Override], arms: &[Arm]) {
        let declared = || arms.iter().flat_map(|arm| arm.pipeline.params.keys()).map(String::as_str);
        for (key, _, source) in overrides.iter().filter(|(key, ..)| !declared().any(|name| name == key)) {
            // When no arm could be read, nothing is known of its parameters.
            if !arms.is_empty() {
                let fault = Fault::value(&Vec::new(), format!("no pipeline declares the parameter {}", quote(key)));
                self.problems.add(source, fault.suggest(key, declared()));
            }
        }
    }

    /// The pipeline that an arm names, read once however many arms name it.
    fn pipeline_of_arm(&mut self, from: &Arc<Source>, arm: &str, text: &str) -> Option<Arc<Pipeline>> {
        let path = beside(from, text);
        if let Some(known) = self.pipelines.get(&path) {
            return known.clone();
        }
        let at = key_path(&["arms", arm, "pipeline"]);
        if !path.is_file() {
            // Said at every arm that names it.
            self.read_beside(from, &path, &at);
            return None;
        }
        let read = self.read_beside(from, &path, &at);
        let pipeline = read.and_then(|(source, tree)| self.pipeline(&path, source, tree));
        self.pipelines.insert(path, pipeline.clone());
        pipeline
    }

    fn pipeline(&mut self, path: &Path, source: Arc<Source>, tree: Value) -> Option<Arc<Pipeline>> {
        if tree.get("stages").is_none() && tree.get("extends").is_none() {
            let message = match tree {
                Value::Object(_) => "this is no pipeline: it has no `stages`".to_owned(),
                Value::Null => "this pipeline is empty".to_owned(),
                other => format!("a pipeline is a map, not {}", describe(&other)),
            };
            self.problems.add(&source, Fault::value(&Vec::new(), message).help(PIPELINE));
            return None;
        }
        let layers = self.layers(source, tree)?;
        Some(Arc::new(Pipeline::new(stem(path), layers, &mut self.problems)))
    }

    /// A pipeline file behind those that it extends, the base first, each with its parameter files. `None` when one of them
    /// cannot be read: what stands on it would only be wrong for the same reason.
    fn layers(&mut self, source: Arc<Source>, tree: Value) -> Option<Vec<Layer>> {
        let mut layers = Vec::new();
        let mut next = Some((source, tree));
        let mut extended: Vec<PathBuf> = Vec::new();
        while let Some((source, tree)) = next.take() {
            extended.push(source.path.clone());
            next = match tree.get("extends") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(self.extended(&source, text, &extended)?),
                Some(other) => {
                    let message = format!("`extends`: expected the path of a pipeline, found {}", describe(other));
                    self.problems.add(&source, Fault::value(&key_path(&["extends"]), message));
                    return None;
                }
            };
            let named = match tree.get("params_from").cloned().map(serde_json::from_value::<OneOrMany>) {
                None => Vec::new(),
                Some(Ok(files)) => files.with_places(&key_path(&["params_from"])),
                Some(Err(_)) => {
                    let found = describe(&tree["params_from"]);
                    let message = format!("`params_from`: expected a path or a list of paths, found {found}");
                    self.problems.add(&source, Fault::value(&key_path(&["params_from"]), message));
                    Vec::new()
                }
            };
            let files = self.param_files(&source, named);
            layers.push(Layer { source, tree, files });
        }
        layers.reverse();
        Some(layers)
    }

    /// The pipeline that `from` extends, unless that is among those `already` met.
    fn extended(&mut self, from: &Arc<Source>, text: &str, already: &[PathBuf]) -> Option<(Arc<Source>, Value)> {
        let at = key_path(&["extends"]);
        let path = beside(from, text);
        if let Some(first) = already.iter().position(|known| *known == path) {
            let names: Vec<String> = already[first..].iter().chain([&path]).map(|path| display(path)).collect();
            let message = format!("pipelines extend each other in a circle: {}", names.join(" -> "));
            self.problems.add(from, Fault::value(&at, message));
            return None;
        }
        let (source, tree) = self.read_beside(from, &path, &at)?;
        if tree.get("stages").is_none() && tree.get("extends").is_none() {
            let fault = Fault::value(&at, format!("{} is no pipeline: it has no `stages`", display(&path)));
            self.problems.add(from, fault.help(PIPELINE));
            return None;
        }
        Some((source, tree))
    }

    /// The parameter files of these names, those that can be read.
    fn param_files(&mut self, from: &Arc<Source>, named: Vec<(String, NodePath)>) -> Vec<ParamFile> {
        let mut files = Vec::new();
        for (text, at) in named {
            if let Some((source, tree)) = self.read_beside(from, &beside(from, &text), &at) {
                files.push(ParamFile::new(source, tree, &mut self.problems));
            }
        }
        files
    }

    /// Reads a file that `from` names at `at`; says there when it has no text.
    fn read_beside(&mut self, from: &Arc<Source>, path: &Path, at: &NodePath) -> Option<(Arc<Source>, Value)> {
        match self.read(path) {
            Ok(read) => read,
            Err(message) => {
                let fault = Fault::value(at, format!("{}: {message}", display(path)));
                let help = nearest_file(path).map(|near| format!("did you mean {near}?"));
                self.problems.add(from, Fault { help, ..fault });
                None
            }
        }
    }

    /// Folds divide the images themselves, and take val from what is left in `split`'s proportion.
    fn check_folds(&mut self, arm: &Arm, source: &Arc<Source>) {
        let at = key_path(&["repeats", "folds"]);
        for stage in arm.first() {
            let Some(Stage::Dataset(params)) = &stage.stage else { continue };
            if !params.split.is_some_and(|split| split.val > 0.0) {
                let message =
                    format!("dataset {} of arm {} has no `split` with val", quote(&stage.name), quote(&arm.name));
                let fault = Fault::value(&at, message);
                self.problems
                    .add(source, fault.help("folds take val from the images that are not tested: by its part there"));
            }
        }
    }

    /// Finds the `evaluate` stage whose metric selects, and the metric in it.
    fn settle_metric(&mut self, arm: &mut Arm, metric: &Metric, source: &Arc<Source>) {
        let stages = arm.first();
        let scores = |kind: &crate::stages::Kind| kind.name == "evaluate";
        let evaluates: Vec<_> = stages.iter().filter(|stage| stage.kind.is_some_and(scores)).collect();
        let names: Vec<&str> = evaluates.iter().map(|stage| stage.name.as_str()).collect();
        let (pipeline, at_metric) = (&arm.pipeline.source, key_path(&["metric", "name"]));
        let of_pipeline = source.path == pipeline.path;
        let chosen = match (&metric.stage, &evaluates[..]) {
            (Some(wanted), _) => {
                let found = evaluates.iter().find(|stage| stage.name == *wanted);
                if found.is_none() {
                    let message = format!("arm {} has no `evaluate` stage {}", quote(&arm.name), quote(wanted));
                    let fault = Fault::value(&at_metric, message).suggest(wanted, names.iter().copied());
                    self.problems.add(source, fault);
                }
                found
            }
            (None, []) => {
                // A stage that is faulty may have been meant as the one.
                if stages.iter().all(|stage| stage.kind.is_some()) && !self.problems.any_in(pipeline) {
                    let fault = Fault::key(&key_path(&["stages"]), "no stage evaluates: there is nothing to compare");
                    self.problems.add(pipeline, fault.help("add `score: { evaluate: { model: ... } }`"));
                }
                None
            }
            (None, [only]) => Some(only),
            (None, several) if of_pipeline => {
                let message = format!("{} all evaluate; the last one's metric counts", names.join(", "));
                self.problems.notice(source, Fault::key(&key_path(&["stages"]), message));
                several.last()
            }
            (None, [first, ..]) => {
                let message = format!(
                    "`{metric}` is ambiguous: in arm {} there are the `evaluate` stages {}",
                    quote(&arm.name),
                    alternatives(&names).replace(" or ", " and ")
                );
                let fault = Fault::value(&at_metric, message);
                self.problems.add(source, fault.help(format!("name one: `{}.{metric}`", first.name)));
                None
            }
        };
        let Some(chosen) = chosen else { return };
        let wanted_k = metric.name.strip_prefix("top_").and_then(|k| k.parse::<u32>().ok());
        if let (Some(k), Some(Stage::Evaluate(params))) = (wanted_k, &chosen.stage)
            && !params.top_k.contains(&k)
        {
            let message = format!("stage {} of arm {} gives no `top_{k}`", quote(&chosen.name), quote(&arm.name));
            let fault = Fault::value(&at_metric, message);
            self.problems.add(source, fault.help(format!("add {k} to its `top_k`")));
        }
        arm.metric_stage = chosen.name.clone();
    }
}

const PIPELINE: &str = "a pipeline has `stages: { name: { kind: { parameters } } }`";
const EXPERIMENT: &str = "an experiment has `arms: { name: { pipeline: file.yaml } }`";

fn what_it_should_be(tree: &Value, both: bool) -> Fault {
    let message = match tree {
        Value::Null => "the file is empty".to_owned(),
        Value::Object(_) if both => "this has both `arms` and `stages`: it is an experiment or a pipeline".to_owned(),
        Value::Object(_) => "this has neither `arms` nor `stages`".to_owned(),
        other => format!("expected a map, found {}", describe(other)),
    };
    Fault::value(&Vec::new(), message).help(format!("{EXPERIMENT}; {PIPELINE}"))
}

/// The experiment that a pipeline alone stands for, but for its arm.
fn of_pipeline(pipeline: &Pipeline) -> Experiment {
    Experiment {
        name: String::new(),
        path: pipeline.path.clone(),
        root: PathBuf::new(),
        description: pipeline.description.clone(),
        arms: Vec::new(),
        seeds: vec![0],
        folds: None,
        smoke: false,
        facets: Vec::<Axis>::new(),
        metric: Metric::default(),
        report: ReportSpec::default(),
        limits: Limits::default(),
        notify: None,
        notices: Vec::new(),
        sources: Vec::new(),
    }
}

/// The file that a path written in `from` means.
fn beside(from: &Source, text: &str) -> PathBuf {
    absolute(&from.path.parent().unwrap_or(Path::new(".")).join(text))
}

fn key_path(keys: &[&str]) -> NodePath {
    keys.iter().fold(Vec::<Step>::new(), |path, key| join(&path, key))
}

/// A message about a file that has no text.
fn nowhere(file: &Path, message: String) -> Diagnostic {
    let (line, column, width, source_line) = (1, 1, 1, String::new());
    let near = nearest_file(file).map(|near| format!("did you mean {near}?"));
    let help = near.or_else(|| Some("`thawline init FOLDER` writes a project for a folder of images".into()));
    Diagnostic { severity: Severity::Error, file: file.to_owned(), line, column, width, message, help, source_line }
}

/// The file of the same folder with the nearest name.
fn nearest_file(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let names: Vec<String> =
        folder.read_dir().ok()?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let near = nearest(&path.file_name()?.to_string_lossy(), names.iter().map(String::as_str))?.to_owned();
    let near = folder.join(near);
    (near != path && near.is_file()).then(|| display(&near))
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "unnamed".into(), |stem| stem.to_string_lossy().into_owned())
}

/// Absolute, with `.` and `..` resolved by name alone, so that what is shown is what was written.
fn absolute(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut out = PathBuf::new();
    for part in full.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// The project that a file belongs to: `project` where given, else the nearest folder above the file that looks like one,
/// else the file's own.
pub fn project_root(file: &Path, project: Option<&Path>) -> PathBuf {
    if let Some(project) = project {
        return absolute(project);
    }
    let file = absolute(file);
    let folder = file.parent().unwrap_or(&file);
    let marked = |dir: &&Path| ROOT_MARKS.iter().any(|mark| dir.join(mark).exists());
    folder.ancestors().find(marked).unwrap_or(folder).to_owned()
}
