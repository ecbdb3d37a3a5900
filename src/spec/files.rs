//! The files that stages name: whether they are there, and whether they hold what the parameters ask of them. Lists folders
//! and reads tables; decodes no image and opens no checkpoint, so that it costs next to nothing before a run does.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    diagnostic::{Fault, Severity, quote},
    experiment::Folds,
    locate::{NodePath, Step, join},
    pipeline::Checked,
};
use crate::{
    artifact::Split,
    backbones::{
        self, Chosen,
        weights::{self, Wanted, WeightsLocation},
    },
    images::transforms::Transform,
    stages::{
        Stage, augment, command,
        dataset::{self, Found, Misplaced},
    },
};

/// Something about the files of a stage, given by its position.
pub type Finding = (usize, Severity, Fault);

/// What was found so far, each dataset and checkpoint once however many configurations name it.
pub struct Files {
    root: PathBuf,
    folds: Option<Folds>,
    datasets: HashMap<String, Arc<Listed>>,
    weights: HashMap<(String, Wanted), Option<(Severity, String)>>,
}

/// What a dataset's parameters lead to.
enum Listed {
    Images(Counts),
    /// Files of many images, which are there but were not opened.
    Unopened,
    Wrong(Vec<Misplaced>),
}

/// Images by class and by the split that the files say.
struct Counts {
    classes: BTreeMap<String, [usize; 4]>,
    splits: bool,
    grouped: bool,
    has_test_but_no_val: bool,
}

/// Position of images of no said split, after those of [`Split::ALL`].
const UNSAID: usize = 3;

impl Counts {
    fn of(found: &Found, grouped: bool) -> Counts {
        let mut classes: BTreeMap<String, [usize; 4]> = BTreeMap::new();
        for candidate in &found.candidates {
            let at = candidate.split.and_then(|split| Split::ALL.iter().position(|s| *s == split)).unwrap_or(UNSAID);
            classes.entry(candidate.label.clone()).or_default()[at] += 1;
        }
        let has_test_but_no_val = found.has(Split::Test) && !found.has(Split::Val);
        Counts { classes, splits: found.has_splits(), grouped, has_test_but_no_val }
    }

    fn total(&self) -> usize {
        self.classes.values().flatten().sum()
    }
}

impl Files {
    /// For a project with this root.
    pub fn new(root: &Path, folds: Option<Folds>) -> Files {
        Files { root: root.to_path_buf(), folds, datasets: HashMap::new(), weights: HashMap::new() }
    }

    /// Looks at the files of these stages. Paths of faults start at their stage.
    pub fn check(&mut self, stages: &[Arc<Checked>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (i, checked) in stages.iter().enumerate() {
            let of_stage = match &checked.stage {
                Some(Stage::Dataset(params)) => self.check_dataset(params),
                Some(Stage::Augment(params)) => self.check_room(params, stages).into_iter().collect(),
                Some(Stage::ExtractFeatures(p)) => {
                    self.check_backbone("extract_features", Some(&p.backbone), p.weights.as_ref())
                }
                Some(Stage::Command(params)) => self.check_program(params).into_iter().collect(),
                Some(Stage::LrFind(p)) => self.check_backbone("lr_find", p.backbone.as_ref(), p.weights.as_ref()),
                Some(Stage::FineTune(p)) => self.check_backbone("fine_tune", p.backbone.as_ref(), p.weights.as_ref()),
                _ => Vec::new(),
            };
            findings.extend(of_stage.into_iter().map(|(severity, fault)| (i, severity, fault)));
        }
        findings
    }

    fn listed(&mut self, params: &dataset::Params) -> Arc<Listed> {
        let id = serde_json::to_string(params).unwrap_or_default();
        if let Some(known) = self.datasets.get(&id) {
            return known.clone();
        }
        let listed = Arc::new(list(params, &self.root));
        self.datasets.insert(id, listed.clone());
        listed
    }

    fn check_dataset(&mut self, params: &dataset::Params) -> Vec<(Severity, Fault)> {
        match &*self.listed(params) {
            Listed::Unopened => Vec::new(),
            Listed::Wrong(wrong) => wrong.iter().map(|wrong| (Severity::Error, misplaced(wrong, params))).collect(),
            Listed::Images(counts) => check_counts(params, counts, self.folds),
        }
    }

    /// Whether the prepared images fit on the disk.
    fn check_room(&mut self, params: &augment::Params, stages: &[Arc<Checked>]) -> Option<(Severity, Fault)> {
        let dataset = stages.iter().find(|stage| stage.name == params.images)?;
        let Some(Stage::Dataset(dataset)) = &dataset.stage else { return None };
        let listed = self.listed(dataset);
        let Listed::Images(counts) = &*listed else { return None };
        let [train, val, test] = sizes(dataset, counts);
        let drawn = params.train.iter().any(Transform::draws);
        let views = if drawn { params.views.min(epochs(stages)) } else { 1 };
        let folds = self.folds.map_or(1, |folds| folds.all().count());
        let image = u64::from(params.size).pow(2) * 3;
        let bytes = (train as u64 * u64::from(views) + val as u64 + test as u64) * image * folds as u64;
        let free = free_bytes(&self.root)?;
        // What is stored already may be these very images.
        if bytes <= free || bytes <= free + stored_bytes(&self.root.join(".thawline")) {
            return None;
        }
        let folds = if folds > 1 { format!(" in each of {folds} folds") } else { String::new() };
        let message = format!(
            "{views} views of {train} training images of {0}x{0} pixels{folds} take {1} GiB; {2} GiB are free in {3}",
            params.size,
            gib(bytes),
            gib(free),
            self.root.display()
        );
        let key = if views > 1 { "views" } else { "size" };
        let fault = Fault::value(&stage_path("augment", key), message);
        Some((Severity::Error, fault.help("fewer `views`, a smaller `size`, or `sample` in the dataset take less")))
    }

    /// Whether the program can be started, and its files are there.
    fn check_program(&self, params: &command::Params) -> Option<(Severity, Fault)> {
        let name = params.run.first()?;
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let on_path = || std::env::split_paths(&folders).any(|folder| folder.join(name).is_file());
        let found = if name.contains('/') { self.root.join(name).is_file() } else { on_path() };
        if !found {
            let place = if name.contains('/') { self.root.display().to_string() } else { "the PATH".to_owned() };
            let fault =
                Fault::value(&stage_path("command", "run"), format!("there is no program {} in {place}", quote(name)));
            return Some((Severity::Error, fault.help("`run` is a list: the program, then its arguments")));
        }
        let wrong = command::files(params, &self.root).err()?;
        Some((Severity::Error, Fault::value(&stage_path("command", "files"), format!("{wrong:#}"))))
    }

    fn check_backbone(
        &mut self,
        kind: &str,
        chosen: Option<&Chosen>,
        given: Option<&Wanted>,
    ) -> Vec<(Severity, Fault)> {
        match chosen.and_then(|chosen| Some((chosen, chosen.weights(given)?))) {
            Some((Chosen::Name(name), wanted)) => self.check_weights(&stage_path(kind, "weights"), name, wanted),
            Some((chosen @ Chosen::Torchscript(_), wanted)) => {
                self.check_weights(&join(&stage_path(kind, "backbone"), "torchscript"), chosen.name(), wanted)
            }
            None => Vec::new(),
        }
    }

    fn check_weights(&mut self, path: &NodePath, name: &str, wanted: &Wanted) -> Vec<(Severity, Fault)> {
        let Ok(backbone) = backbones::named(name) else { return Vec::new() };
        let root = &self.root;
        let found = self.weights.entry((name.to_owned(), wanted.clone())).or_insert_with(|| {
            match weights::locate(backbone, wanted, root) {
                Ok(WeightsLocation::Random | WeightsLocation::File { .. }) => None,
                Ok(WeightsLocation::Absent(absent)) => Some((Severity::Notice, format!("{absent}"))),
                Err(error) => Some((Severity::Error, format!("{error:#}"))),
            }
        });
        let Some((severity, message)) = found else { return Vec::new() };
        let fault = Fault::value(path, message.as_str());
        let help = match severity {
            Severity::Notice => "`thawline run` fetches them",
            Severity::Error => "`weights: none` starts from random weights",
        };
        vec![(*severity, fault.help(help))]
    }
}

fn list(params: &dataset::Params, root: &Path) -> Listed {
    let found = dataset::sources(params, root).and_then(|sources| {
        if params.image_folder.is_none() && params.table.is_none() {
            let missing = dataset::missing_files(params, &sources["root"]);
            return Ok(if missing.is_empty() { Listed::Unopened } else { Listed::Wrong(missing) });
        }
        let found = dataset::scan(params, &sources["root"], sources.get("table").map(PathBuf::as_path))?;
        Ok(Listed::Images(Counts::of(&found, params.group_by.is_some())))
    });
    found.unwrap_or_else(|error| {
        let whole = || Misplaced { parameter: String::new(), message: format!("{error:#}"), help: None };
        Listed::Wrong(vec![error.downcast_ref::<Misplaced>().cloned().unwrap_or_else(whole)])
    })
}

/// At the parameter, or else at what says where the images are.
fn misplaced(wrong: &Misplaced, params: &dataset::Params) -> Fault {
    let listing = params.listings().first().copied().unwrap_or("image_folder");
    let parameter = if wrong.parameter.is_empty() { listing } else { &wrong.parameter };
    let path = stage_path("dataset", parameter);
    let message = wrong.message.as_str();
    let fault = if parameter == "split" { Fault::key(&path, message) } else { Fault::value(&path, message) };
    Fault { help: wrong.help.clone(), ..fault }
}

fn check_counts(params: &dataset::Params, counts: &Counts, folds: Option<Folds>) -> Vec<(Severity, Fault)> {
    let listing = params.listings().first().copied().unwrap_or("image_folder");
    let at = |key: &str| stage_path("dataset", key);
    let total = counts.total();
    let mut found = Vec::new();
    if let [only] = counts.classes.keys().collect::<Vec<_>>()[..] {
        let message = format!("all {total} images are of one class, {}: there is nothing to tell apart", quote(only));
        found.push((Severity::Error, Fault::value(&at(listing), message).help("a folder (or a label) a class")));
        return found;
    }
    if let Some(sample) = params.sample.filter(|sample| *sample > total as u64) {
        let message = format!("`sample` is {sample}, but there are {total} images");
        found.push((Severity::Error, Fault::value(&at("sample"), message).help("leave it out to take all")));
    }
    if counts.splits && folds.is_some() {
        let message = "folds choose the test images themselves, but the files already say the splits";
        let help = "put all images into one folder a class, or write `repeats: { seeds: ... }`";
        found.push((Severity::Error, Fault::value(&at(listing), message).help(help)));
    } else if let Some(folds) = folds.filter(|folds| folds.count as usize > total) {
        let message = format!("{} folds of {total} images leave folds without a test image", folds.count);
        found.push((Severity::Error, Fault::value(&at(listing), message).help("fewer folds, or more images")));
    } else if counts.splits {
        found.extend(said_splits(params, counts, &at(listing)));
    } else if params.stratify && !counts.grouped && params.sample.is_none() {
        found.extend(divided(params, counts, folds));
    }
    found
}

/// Classes against the splits that folders or a column say.
fn said_splits(params: &dataset::Params, counts: &Counts, at: &NodePath) -> Vec<(Severity, Fault)> {
    let mut found = Vec::new();
    let takes_val = params.split.is_some() && counts.has_test_but_no_val;
    for (i, split) in Split::ALL.into_iter().enumerate() {
        let in_split = |class: &[usize; 4]| class[i] > 0;
        let absent: Vec<&str> =
            counts.classes.iter().filter(|(_, class)| !in_split(class)).map(|(name, _)| name.as_str()).collect();
        let (name, none) = (split.name(), absent.len() == counts.classes.len());
        if absent.is_empty() || (split == Split::Val && takes_val) {
            continue;
        }
        let classes = dataset::list_some(&absent.iter().map(|class| quote(class)).collect::<Vec<_>>());
        let (severity, message, help) = match split {
            Split::Val if none && counts.has_test_but_no_val => (
                Severity::Error,
                "there are no val images, and configurations are chosen on them".to_owned(),
                "`split: { train: 0.8, val: 0.2, test: 0 }` takes them from train",
            ),
            _ if none => (
                if split == Split::Test { Severity::Notice } else { Severity::Error },
                format!("there are no {name} images"),
                "fill all of train, val and test; or have one folder a class, and `split` divides the images",
            ),
            Split::Train => (
                Severity::Error,
                format!("no training images of class {classes}"),
                "a class that is never trained on cannot be recognised: add images, or remove it from the other splits",
            ),
            _ => (
                Severity::Notice,
                format!("no {name} images of class {classes}, which train has"),
                "no score will say anything about it",
            ),
        };
        found.push((severity, Fault::value(at, message).help(help)));
    }
    found
}

/// Whether each class has images for every split that `split` or folds make.
fn divided(params: &dataset::Params, counts: &Counts, folds: Option<Folds>) -> Vec<(Severity, Fault)> {
    let Some(split) = params.split else { return Vec::new() };
    let at = stage_path("dataset", "split");
    let mut found = Vec::new();
    for (name, class) in &counts.classes {
        let images = class[UNSAID];
        let (rest, of_fold) = match folds {
            Some(folds) => {
                let largest = images.div_ceil(folds.count as usize);
                (images - largest, images / folds.count as usize)
            }
            None => (images, usize::MAX),
        };
        let weights = [split.train, split.val, if folds.is_some() { 0.0 } else { split.test }];
        let parts = dataset::largest_remainder(rest, &weights);
        let images = if images == 1 { "1 image".to_owned() } else { format!("{images} images") };
        let empty: Vec<&str> =
            (0..3).filter(|i| weights[*i] > 0.0 && parts[*i] == 0).map(|i| Split::ALL[i].name()).collect();
        let by = folds.map_or(String::new(), |folds| format!(" in {} folds", folds.count));
        if empty.contains(&"train") {
            let message = format!("class {} has {images}{by}: none is left to train on", quote(name));
            found.push((Severity::Error, Fault::key(&at, message).help("add images, or leave the class out")));
        } else if of_fold == 0 {
            let message = format!("class {} has {images}: too few for every one of the folds", quote(name));
            found.push((Severity::Notice, Fault::key(&at, message).help("some folds test none of it")));
        } else if !empty.is_empty() {
            let message = format!("class {} has {images}{by}: none is left for {}", quote(name), empty.join(" and "));
            found.push((Severity::Notice, Fault::key(&at, message).help("no score there will say anything about it")));
        }
    }
    found
}

/// Images of train, val and test, about: what `fraction` and `per_class` keep of train is rounded by class.
fn sizes(params: &dataset::Params, counts: &Counts) -> [usize; 3] {
    let sum = |i: usize| counts.classes.values().map(|class| class[i]).sum::<usize>();
    let mut sizes = match params.split {
        Some(split) if !counts.splits => {
            let total = params.sample.map_or(counts.total(), |sample| (sample as usize).min(counts.total()));
            let parts = dataset::largest_remainder(total, &[split.train, split.val, split.test]);
            [parts[0], parts[1], parts[2]]
        }
        _ => [sum(0), sum(1), sum(2)],
    };
    if let Some(fraction) = params.fraction {
        sizes[0] = (sizes[0] as f64 * fraction).ceil() as usize;
    }
    if let Some(most) = params.per_class {
        sizes[0] = sizes[0].min((most as usize).saturating_mul(counts.classes.len()));
    }
    sizes
}

/// Most epochs that a stage trains: no more views are made than that. What a preset spans is not counted.
fn epochs(stages: &[Arc<Checked>]) -> u32 {
    let of = |stage: &Arc<Checked>| match &stage.stage {
        Some(Stage::TrainHead(params)) => params.training.epochs,
        Some(Stage::FreezeSchedule(params)) => params.phases.iter().map(|phase| phase.epochs).sum(),
        _ => 0,
    };
    stages.iter().map(of).max().unwrap_or(0).max(1)
}

fn stage_path(kind: &str, parameter: &str) -> NodePath {
    let steps = parameter.split('.').filter(|step| !step.is_empty());
    steps.fold(vec![Step::Key(kind.to_owned())], |path, step| match step.parse() {
        Ok(index) => super::locate::join_index(&path, index),
        Err(_) => join(&path, step),
    })
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of the files below a folder; links are not followed.
fn stored_bytes(folder: &Path) -> u64 {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => stored_bytes(&entry.path()),
            _ => entry.metadata().map_or(0, |meta| meta.len()),
        })
        .sum()
}

fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 30))
}
