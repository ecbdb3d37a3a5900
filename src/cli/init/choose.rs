//! Defaults that suit the images that were seen.

use anyhow::Result;

use super::look::Seen;
use crate::{
    backbones::{self, Backbone, weights},
    cli::text,
};

/// Where a class has this many times the images of another, accuracy alone would mislead.
const IMBALANCED: f64 = 1.5;
/// Backbones to take where none has its weights here: the first is small, and its weights can be downloaded.
const FALLBACK: &str = "resnet18";
/// The one that is tried first: small, and fast on a processor.
const PREFERRED: &str = "efficientnet_lite0";

/// What a new project starts with.
pub struct Choices {
    pub backbone: &'static Backbone,
    /// Its weights are on this machine.
    pub has_weights: bool,
    /// Height and width of prepared images.
    pub size: u32,
    /// Train, val and test; `None` where the files say them.
    pub split: Option<[f64; 3]>,
    pub views: u32,
    pub batch_size: usize,
    /// Images of the largest class for each of the smallest.
    pub imbalance: f64,
    pub metric: &'static str,
    /// The last blocks that fine-tuning thaws first, and then.
    pub thaw: [usize; 2],
}

impl Choices {
    /// # Errors
    /// When there is no such backbone.
    pub fn new(seen: &Seen, backbone: Option<&str>) -> Result<Choices> {
        let backbone = match backbone {
            Some(name) => backbones::named(name)?,
            None => default_backbone(),
        };
        let median = seen.shorter_sides.get(seen.shorter_sides.len() / 2).copied().unwrap_or(0);
        let counts: Vec<usize> = seen.classes.iter().map(|class| class.images()).collect();
        let (least, most) = (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
        let imbalance = most as f64 / least.max(1) as f64;
        let images = seen.images();
        let split = match (seen.has_splits, seen.lacks_val) {
            (false, _) if images < 5000 => Some([0.6, 0.2, 0.2]),
            (false, _) => Some([0.8, 0.1, 0.1]),
            // val is taken from train.
            (true, true) => Some([0.8, 0.2, 0.0]),
            (true, false) => None,
        };
        let train = match split {
            Some([train, ..]) => (images as f64 * train) as usize,
            None => seen.classes.iter().map(|class| class.splits[0]).sum(),
        };
        let blocks = backbone.blocks.len();
        let top = (blocks / 8).max(1);
        Ok(Choices {
            backbone,
            has_weights: has_weights(backbone),
            size: size(backbone, median),
            split,
            views: if train < 1000 {
                4
            } else if train < 10_000 {
                2
            } else {
                1
            },
            batch_size: if train < 64 {
                8
            } else if train < 300 {
                16
            } else {
                32
            },
            imbalance,
            metric: if imbalance > IMBALANCED { "balanced_accuracy" } else { "accuracy" },
            thaw: [top, (blocks / 3).max(top + 1).min(blocks)],
        })
    }

    /// Height and width that images are resized to before the middle is cut out.
    pub fn resize(&self) -> u32 {
        let p = &self.backbone.preprocessing;
        (f64::from(self.size) * f64::from(p.resize) / f64::from(p.crop.max(1))).round() as u32
    }

    /// What was seen and what follows from it, a sentence each.
    pub fn reasons(&self, seen: &Seen) -> Vec<String> {
        let sides = &seen.shorter_sides;
        let (least, most) = (sides.first().copied().unwrap_or(0), sides.last().copied().unwrap_or(0));
        let median = sides.get(sides.len() / 2).copied().unwrap_or(0);
        let span =
            if least == most { format!("all {least}") } else { format!("{least} to {most}, half below {median}") };
        let looked = if seen.decoded < seen.images() {
            format!(" (of {} looked at)", text::count(seen.decoded as u64))
        } else {
            String::new()
        };
        let mut reasons = vec![
            format!(
                "{}, shorter sides {span} pixels{looked}: prepared at {} x {}",
                if seen.grey { "grey" } else { "in colour" },
                self.size,
                self.size
            ),
            format!(
                "backbone {}: {}",
                self.backbone.name,
                if self.has_weights { "its weights are on this machine" } else { "`run` fetches its weights first" }
            ),
            match (seen.has_splits, self.split) {
                (false, Some([a, b, c])) => {
                    format!("divided into {a} train, {b} val and {c} test, the same in every class")
                }
                (true, Some([_, val, _])) => format!("the files say train and test; {val} of train becomes val"),
                _ => "the files say train, val and test".to_owned(),
            },
            if self.metric == "accuracy" {
                "classes of about one size: chosen by accuracy".to_owned()
            } else {
                format!(
                    "the largest class has {:.1} times the images of the smallest: chosen by balanced accuracy",
                    self.imbalance
                )
            },
        ];
        if let Some((path, why)) = seen.unreadable.first() {
            let left_out = match seen.unreadable.len() {
                1 => "1 image cannot be read and is left out".to_owned(),
                n => format!("{} images cannot be read and are left out", text::count(n as u64)),
            };
            reasons.push(format!("{left_out}: {path} is {why}"));
        }
        reasons
    }
}

fn has_weights(backbone: &Backbone) -> bool {
    backbone.published.iter().any(|p| p.name == "imagenet" && weights::cached(p).is_ok_and(|path| path.is_file()))
}

fn default_backbone() -> &'static Backbone {
    let preferred = backbones::find(PREFERRED).filter(|backbone| has_weights(backbone));
    let smallest = || {
        let here = backbones::all().iter().filter(|backbone| has_weights(backbone));
        here.min_by(|a, b| a.gflops().total_cmp(&b.gflops()))
    };
    preferred.or_else(smallest).or_else(|| backbones::find(FALLBACK)).unwrap_or(&backbones::all()[0])
}

/// The native size, or less where the images are smaller: scaling them up costs time and shows nothing new. Pretrained
/// features are poor much below half the native size.
fn size(backbone: &Backbone, median: u32) -> u32 {
    let native = backbone.preprocessing.crop;
    let wanted = median.div_ceil(32) * 32;
    let wanted = wanted.clamp((native / 2).min(96), native);
    let fits = |size: u32| backbone.outputs(size as usize, size as usize).is_ok();
    if fits(wanted) { wanted } else { native }
}
