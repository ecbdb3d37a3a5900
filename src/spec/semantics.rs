//! What a schema cannot say: rules between the parameters of one stage, and of what stands on what (`graph` has the order of
//! the stages).

use std::sync::Arc;

use super::{
    diagnostic::{Fault, quote},
    locate::{NodePath, Step},
    pipeline::{Checked, MOST_STAGES},
};
use crate::{
    artifact::model::Pooling,
    backbones::{
        self, Backbone, Chosen, TORCHSCRIPT,
        weights::{self, Misnamed, Wanted},
    },
    images::transforms::{Transform, check_order},
    stages::{
        Stage, augment, dataset, evaluate, extract_features, fine_tune, freeze_schedule, lr_find, optimizer::Optimizer,
        train_head,
    },
};

/// A path inside a stage: `fine_tune.optimizer.sgd`.
fn inside(path: &str) -> NodePath {
    path.split('.').map(|part| part.parse().map_or_else(|_| Step::Key(part.to_owned()), Step::Index)).collect()
}

/// What is wrong with one stage by itself.
pub fn check_stage(stage: &Stage) -> Vec<Fault> {
    match stage {
        Stage::Dataset(params) => check_dataset(params),
        Stage::Augment(params) => check_augment(params),
        Stage::FreezeSchedule(_) | Stage::Command(_) => Vec::new(),
        Stage::ExtractFeatures(params) => check_extract_features(params),
        Stage::LrFind(params) => check_lr_find(params),
        Stage::TrainHead(params) => check_train_head(params),
        Stage::FineTune(params) => {
            let mut faults = check_start(&StartParams::of_fine_tune(params));
            faults.extend(check_optimizer(&inside("fine_tune.optimizer"), &params.optimizer));
            faults
        }
        Stage::Evaluate(params) => check_evaluate(params),
    }
}

fn check_dataset(params: &dataset::Params) -> Vec<Fault> {
    let mut faults = Vec::new();
    match params.listings()[..] {
        [] => {
            let fault = Fault::key(&inside("dataset"), "a dataset needs `image_folder` or `table`");
            faults.push(fault.help("or, for files that hold many images, `tar`, `parquet` or `arrays`"));
        }
        [_] => {}
        [first, second, ..] => {
            let message = format!("a dataset has either `{first}` or `{second}`, not both");
            faults.push(Fault::key(&inside(&format!("dataset.{second}")), message));
        }
    }
    let named = [("image_folder", params.image_folder.is_some()), ("table", params.table.is_some())];
    if let Some((listing, _)) = named.into_iter().find(|(_, given)| *given && params.class_names.is_some()) {
        let message = format!("`class_names` does nothing beside `{listing}`, which names the classes itself");
        faults.push(Fault::key(&inside("dataset.class_names"), message).help("remove it"));
    }
    if let Some(split) = &params.split {
        let sum = split.train + split.val + split.test;
        if (sum - 1.0).abs() > 1e-6 {
            // Rounded: a sum like 0.9999999999999999 is shown as people added it.
            let message = format!("the fractions must sum to 1; these sum to {}", (sum * 1e6).round() / 1e6);
            faults.push(Fault::key(&inside("dataset.split"), message));
        }
        if params.table.as_ref().is_some_and(|table| table.split.is_some()) {
            let message = "the table has a `split` column; these fractions contradict it";
            faults.push(Fault::key(&inside("dataset.split"), message).help("remove one of them"));
        }
    }
    faults
}

fn check_augment(params: &augment::Params) -> Vec<Fault> {
    let lists = [("augment.train", &params.train), ("augment.eval", &params.eval)];
    let wrong = lists.into_iter().filter_map(|(path, list)| Some((path, check_order(list).err()?)));
    let mut faults: Vec<Fault> = wrong.map(|(path, message)| Fault::key(&inside(path), message)).collect();
    if let Some((at, mixing)) = params.eval.iter().enumerate().find(|(_, transform)| transform.mixing().is_some()) {
        let message = format!("`{}` mixes the labels of two images: it can only train", mixing.name());
        faults.push(Fault::value(&inside(&format!("augment.eval.{at}")), message).help("move it to `train`"));
    }
    let constants = |list: &[Transform]| list.iter().find_map(Transform::normalization).flatten();
    if let (Some(train), Some(eval)) = (constants(&params.train), constants(&params.eval))
        && train != eval
    {
        let message = "`train` and `eval` normalise (or rescale) differently; a model has one normalisation";
        faults.push(Fault::key(&inside("augment.train"), message));
    }
    faults
}

fn check_extract_features(params: &extract_features::Params) -> Vec<Fault> {
    let mut faults = check_backbone("extract_features", &params.backbone, params.weights.as_ref());
    if let (Some(backbone), Some(block)) = (backbones::find(params.backbone.name()), &params.block)
        && backbone.block_index(block).is_none()
    {
        let message = format!("{} has no block {}", backbone.name, quote(block));
        let fault = Fault::value(&inside("extract_features.block"), message);
        faults.push(fault.suggest(block, backbone.block_names()));
    }
    faults
}

fn check_backbone(kind: &str, chosen: &Chosen, wanted: Option<&Wanted>) -> Vec<Fault> {
    let name = match chosen {
        Chosen::Name(name) => name,
        Chosen::Torchscript(script) => return check_torchscript(kind, &script.torchscript, wanted),
    };
    let names = || backbones::all().iter().map(|backbone| backbone.name);
    let Some(backbone) = backbones::all().iter().find(|backbone| backbone.name == name) else {
        let fault = Fault::value(&inside(&format!("{kind}.backbone")), format!("there is no backbone {}", quote(name)));
        return vec![fault.suggest(name, names())];
    };
    let Some(wanted) = wanted else {
        return vec![Fault::key(&inside(&format!("{kind}.backbone")), "`backbone` without `weights`")];
    };
    let misnamed = weights::parse(backbone, wanted).err();
    let fault = |wrong: Misnamed| Fault::value(&inside(&format!("{kind}.weights")), wrong.message).help(wrong.help);
    misnamed.map(fault).into_iter().collect()
}

fn check_torchscript(kind: &str, script: &Wanted, weights: Option<&Wanted>) -> Vec<Fault> {
    if weights.is_some() {
        let message = "`weights` are in the TorchScript file";
        return vec![Fault::key(&inside(&format!("{kind}.weights")), message).help("remove them")];
    }
    let fault = |message: &str, help: String| {
        vec![Fault::value(&inside(&format!("{kind}.backbone.torchscript")), message).help(help)]
    };
    match weights::parse(&TORCHSCRIPT, script) {
        Err(Misnamed { message, help }) if script.file.contains(':') || script.sha256.is_some() => {
            fault(&message, help)
        }
        Err(_) | Ok(weights::Name::None) => {
            fault(&format!("{} is no file", quote(&script.file)), "write the path of a .pt file".into())
        }
        Ok(_) if !script.strict => fault("a TorchScript file fits itself", "remove `strict`".into()),
        Ok(_) => Vec::new(),
    }
}

fn check_train_head(params: &train_head::Params) -> Vec<Fault> {
    let path = inside("train_head.optimizer");
    if params.training.optimizer.lr().is_none() {
        return vec![Fault::key(&path, "the optimizer needs its learning rate, `lr`")];
    }
    check_optimizer(&path, &params.training.optimizer)
}

fn check_optimizer(path: &NodePath, optimizer: &Optimizer) -> Vec<Fault> {
    optimizer.check().err().map(|message| Fault::key(path, message)).into_iter().collect()
}

/// What fine-tuning starts from, of a stage of this kind.
struct StartParams<'p> {
    kind: &'static str,
    start_from: Option<&'p String>,
    backbone: Option<&'p Chosen>,
    weights: Option<&'p Wanted>,
    pooling: bool,
    hidden: bool,
}

impl<'p> StartParams<'p> {
    fn of_fine_tune(params: &'p fine_tune::Params) -> StartParams<'p> {
        StartParams {
            kind: "fine_tune",
            start_from: params.start_from.as_ref(),
            backbone: params.backbone.as_ref(),
            weights: params.weights.as_ref(),
            pooling: params.pooling.is_some(),
            hidden: !params.hidden.is_empty(),
        }
    }

    fn of_lr_find(params: &'p lr_find::Params) -> StartParams<'p> {
        StartParams {
            kind: "lr_find",
            start_from: params.start_from.as_ref(),
            backbone: params.backbone.as_ref(),
            weights: params.weights.as_ref(),
            pooling: params.pooling.is_some(),
            hidden: !params.hidden.is_empty(),
        }
    }

    /// Those given, of the ones that `start_from` brings along.
    fn own(&self) -> impl Iterator<Item = &'static str> {
        let backbone = [("backbone", self.backbone.is_some()), ("weights", self.weights.is_some())];
        let all = backbone.into_iter().chain([("pooling", self.pooling), ("hidden", self.hidden)]);
        all.filter(|(_, given)| *given).map(|(name, _)| name)
    }
}

fn check_start(params: &StartParams) -> Vec<Fault> {
    let kind = params.kind;
    if params.start_from.is_some() {
        let excess = params.own().map(|name| {
            let message = format!("`{name}` comes from the model that `start_from` names");
            Fault::key(&inside(&format!("{kind}.{name}")), message).help("remove one of them")
        });
        return excess.collect();
    }
    match (params.backbone, params.weights) {
        (Some(backbone), weights) if backbone.weights(weights).is_some() => check_backbone(kind, backbone, weights),
        (None, None) => {
            let fault = Fault::key(&inside(kind), "nothing says what to start from");
            vec![fault.help("give `start_from`, or `backbone` and `weights`")]
        }
        (backbone, _) => {
            let (given, missing) = if backbone.is_some() { ("backbone", "weights") } else { ("weights", "backbone") };
            vec![Fault::key(&inside(&format!("{kind}.{given}")), format!("`{given}` without `{missing}`"))]
        }
    }
}

fn check_lr_find(params: &lr_find::Params) -> Vec<Fault> {
    let start = StartParams::of_lr_find(params);
    let mut faults = match (&params.features, &params.images) {
        (None, None) => {
            let fault = Fault::key(&inside("lr_find"), "nothing says what to train");
            vec![fault.help("give `features` for a head, or `images` and `train` for fine-tuning")]
        }
        (Some(_), None) => {
            let of_networks = [("start_from", params.start_from.is_some()), ("train", params.train.is_some())];
            let given = of_networks.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
            let excess = given.chain(start.own().filter(|name| *name != "hidden")).map(|name| {
                let message = format!("`{name}` is for fine-tuning; a head stands on its `features`");
                Fault::key(&inside(&format!("lr_find.{name}")), message).help("remove one of them")
            });
            excess.collect()
        }
        (Some(_), Some(_)) => {
            let fault = Fault::key(&inside("lr_find.images"), "a head trains on `features`, a network on `images`");
            vec![fault.help("remove one of them")]
        }
        (None, Some(_)) => {
            let mut faults = check_start(&start);
            if params.train.is_none() {
                let fault = Fault::key(&inside("lr_find"), "nothing says which blocks train");
                faults.push(
                    fault.help("give `train`, as in a phase of a `freeze_schedule`: `train: [{ last: 2 }, head]`"),
                );
            }
            faults
        }
    };
    if params.min >= params.max {
        let message = format!("`min` is {}, and `max` {}: the learning rate rises", params.min, params.max);
        faults.push(Fault::value(&inside("lr_find.min"), message));
    }
    let path = inside("lr_find.optimizer");
    if params.optimizer.lr().is_some() {
        let fault = Fault::key(&path, "the learning rate goes from `min` to `max`: leave `lr` out");
        faults.push(fault);
    }
    faults.extend(check_optimizer(&path, &params.optimizer));
    faults
}

fn check_evaluate(params: &evaluate::Params) -> Vec<Fault> {
    let zeros = params.top_k.iter().enumerate().filter(|(_, k)| **k == 0);
    let mut faults: Vec<Fault> =
        zeros.map(|(i, _)| Fault::value(&inside(&format!("evaluate.top_k.{i}")), "`top_k`: k is at least 1")).collect();
    let conditions = &params.conditions;
    for (i, condition) in conditions.iter().enumerate().filter(|(i, c)| conditions[..*i].contains(c)) {
        let message = format!("`conditions`: `{}` is there twice", condition.name());
        faults.push(Fault::value(&inside(&format!("evaluate.conditions.{i}")), message));
    }
    faults
}

/// The backbone that a stage's artifact stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackboneChoice {
    /// A name of the `backbones` registry.
    pub backbone: String,
    /// As written.
    pub weights: Wanted,
    /// The last block that is used.
    pub cut: String,
    pub pooling: Pooling,
    /// The `augment` stage whose views the asked stage itself reads (those of its features where it names none).
    pub images: String,
}

/// What lies under a stage on the way to its backbone.
enum Below<'s> {
    /// The stage that it takes its backbone from.
    Stage(&'s str),
    /// The backbone, weights, cut and pooling that it names.
    Backbone(&'s str, &'s Wanted, Option<&'s str>, Option<Pooling>),
    Nothing,
}

fn below(stage: &Stage) -> Below<'_> {
    match stage {
        Stage::ExtractFeatures(p) => match p.backbone.weights(p.weights.as_ref()) {
            Some(weights) => Below::Backbone(p.backbone.name(), weights, p.block.as_deref(), p.pooling),
            None => Below::Nothing,
        },
        Stage::TrainHead(params) => Below::Stage(&params.features),
        Stage::LrFind(lr_find::Params { features: Some(features), .. }) => Below::Stage(features),
        Stage::LrFind(p) => below_start(p.start_from.as_deref(), p.backbone.as_ref(), p.weights.as_ref(), p.pooling),
        Stage::FineTune(p) => below_start(p.start_from.as_deref(), p.backbone.as_ref(), p.weights.as_ref(), p.pooling),
        Stage::Evaluate(params) => Below::Stage(&params.model),
        Stage::Dataset(_) | Stage::Augment(_) | Stage::FreezeSchedule(_) | Stage::Command(_) => Below::Nothing,
    }
}

fn below_start<'s>(
    start_from: Option<&'s str>,
    backbone: Option<&'s Chosen>,
    weights: Option<&'s Wanted>,
    pooling: Option<Pooling>,
) -> Below<'s> {
    let chosen = || backbone.and_then(|chosen| Some((chosen, chosen.weights(weights)?)));
    match start_from {
        Some(start) => Below::Stage(start),
        None => {
            chosen().map_or(Below::Nothing, |(chosen, weights)| Below::Backbone(chosen.name(), weights, None, pooling))
        }
    }
}

fn own_images(stage: &Stage) -> Option<&str> {
    match stage {
        Stage::ExtractFeatures(params) => Some(&params.images),
        Stage::LrFind(params) => params.images.as_deref(),
        Stage::FineTune(params) => Some(&params.images),
        Stage::Evaluate(params) => params.images.as_deref(),
        _ => None,
    }
}

/// Follows `features`, `start_from` and `model` from `stage` to where the backbone is named. `None` when that leads nowhere.
pub fn backbone_of<'s>(find: &impl Fn(&str) -> Option<&'s Stage>, stage: &str) -> Option<BackboneChoice> {
    let mut stage = find(stage)?;
    let mut images = own_images(stage);
    // Longer than any sound pipeline: a cycle ends here.
    for _ in 0..MOST_STAGES {
        match below(stage) {
            Below::Stage(name) => stage = find(name)?,
            Below::Backbone(name, weights, cut, pooling) => {
                let known = backbones::find(name);
                let cut = cut.or_else(|| last_block(known?))?;
                let pooling = pooling.or(known.map(|backbone| backbone.pooling)).unwrap_or_default();
                return Some(BackboneChoice {
                    backbone: name.to_owned(),
                    weights: weights.clone(),
                    cut: cut.to_owned(),
                    pooling,
                    images: images?.to_owned(),
                });
            }
            Below::Nothing => return None,
        }
        images = images.or_else(|| own_images(stage));
    }
    None
}

fn last_block(backbone: &'static Backbone) -> Option<&'static str> {
    backbone.blocks.last().map(|block| block.name.as_str())
}

/// The backbone and cut under a stage of which, or of those under it, some are faulty: goes by what they refer to.
fn backbone_under<'s>(stages: &'s [Arc<Checked>], stage: &'s Checked) -> Option<(&'static Backbone, &'s str)> {
    let mut checked = stage;
    for _ in 0..MOST_STAGES {
        let next = match checked.stage.as_ref().map(below) {
            Some(Below::Backbone(name, _, cut, _)) => {
                let backbone = backbones::find(name)?;
                return Some((backbone, cut.or_else(|| last_block(backbone))?));
            }
            Some(Below::Stage(name)) => name,
            Some(Below::Nothing) => return None,
            None => ["features", "start_from", "model"].iter().find_map(|role| checked.refers(role))?,
        };
        checked = stages.iter().find(|stage| stage.name == next)?;
    }
    None
}

/// What a program cannot be asked for, as (stage, fault): it sees its own inputs, as they are.
pub fn check_programs(stages: &[Arc<Checked>]) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        let Some(Stage::Evaluate(params)) = &stage.stage else { continue };
        let is_program =
            |other: &Arc<Checked>| other.name == params.model && matches!(other.stage, Some(Stage::Command(_)));
        if !stages.iter().any(is_program) {
            continue;
        }
        let mut refuse = |key: &str| {
            let message =
                format!("`{key}`: {} is a program, which predicts the images of its own inputs", quote(&params.model));
            faults.push((i, Fault::key(&inside(&format!("evaluate.{key}")), message).help(format!("remove `{key}`"))));
        };
        if params.images.is_some() {
            refuse("images");
        }
        if !params.conditions.is_empty() {
            refuse("conditions");
        }
    }
    faults
}

/// Schedules, and what an `lr_find` trains, against the backbones that they are used with, as (stage, fault).
pub fn check_schedules(stages: &[Arc<Checked>]) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    for (i, stage) in stages.iter().enumerate() {
        let Some(kind) = stage.kind else { continue };
        let (index, schedule, optimizer) = match (&stage.stage, kind.name) {
            (Some(Stage::LrFind(params)), _) => {
                let Some(schedule) = params.schedule() else { continue };
                (i, schedule, params.optimizer)
            }
            (_, "fine_tune") => {
                let Some(name) = stage.refers("schedule") else { continue };
                let Some(index) = stages.iter().position(|s| s.name == name) else { continue };
                let Some(Stage::FreezeSchedule(schedule)) = &stages[index].stage else { continue };
                let optimizer = match &stage.stage {
                    Some(Stage::FineTune(params)) => params.optimizer,
                    _ => Optimizer::Sgd { lr: None, momentum: 0.0, nesterov: false, weight_decay: 0.0 },
                };
                (index, schedule.clone(), optimizer)
            }
            _ => continue,
        };
        let Some((backbone, cut)) = backbone_under(stages, stage) else { continue };
        for misfit in freeze_schedule::resolve(&schedule, backbone, cut, optimizer).err().unwrap_or_default() {
            let path = match kind.name {
                "lr_find" => format!("lr_find.{}", misfit.path.trim_start_matches("phases.0.")),
                _ => format!("freeze_schedule.{}", misfit.path),
            };
            let mut fault = Fault::value(&inside(path.trim_end_matches('.')), misfit.message);
            fault.help = misfit.nearest.map(|near| format!("did you mean `{near}`?"));
            faults.push((index, fault));
        }
    }
    faults
}
