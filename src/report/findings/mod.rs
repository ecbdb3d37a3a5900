//! What the data holds beside the comparison: which images move, where labels look wrong, how training went, what a point
//! of score costs. Of chosen configurations; pure.

mod fit;
mod images;
mod labels;
mod pareto;
mod scores;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Row, Status, Study, evidence};
use crate::artifact::{Predictions, Split};

pub use fit::{Fit, Shape, mean_curve};
pub use images::{Flips, Mistake};
pub use labels::{LabelErrors, Suspect};
pub use pareto::Offer;
pub use scores::{Bin, ClassScore};

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Findings {
    /// In the order of the summary's arms; only those of which there is some evidence.
    pub arms: Vec<ArmFindings>,
    /// Each arm against the baseline, or against the first arm.
    pub flips: Vec<Flips>,
    pub label_errors: Option<LabelErrors>,
    /// What each arm reaches and costs.
    pub offers: Vec<Offer>,
}

/// One arm at one facet value, over the repeats of its chosen configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmFindings {
    pub arm: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    pub classes: Vec<String>,
    pub per_class: Vec<ClassScore>,
    /// Rows are true classes, columns predicted ones; mean counts over repeats.
    pub confusion: Vec<Vec<f64>>,
    pub reliability: Vec<Bin>,
    /// (false positive rate, true positive rate), pooled over repeats; of more than two classes the micro average.
    pub roc: Vec<[f64; 2]>,
    /// (recall, precision), likewise.
    pub precision_recall: Vec<[f64; 2]>,
    /// The most confident first.
    pub mistakes: Vec<Mistake>,
    pub fit: Option<Fit>,
}

/// Predictions of all repeats of one arm, on the same images in the same order.
pub(super) struct Repeats<'a> {
    pub arm: &'a str,
    pub facet: &'a BTreeMap<String, Value>,
    pub all: Vec<&'a Predictions>,
}

impl Repeats<'_> {
    /// `None` without predictions, or where repeats are scored on different images.
    pub(super) fn of<'a>(
        study: &'a Study,
        facet: &'a BTreeMap<String, Value>,
        arm: &'a str,
        split: Split,
    ) -> Option<Repeats<'a>> {
        let find = |row: &Row| study.evidence.predictions.get(&(row.trial.clone(), split)).map(AsRef::as_ref);
        let all: Vec<&Predictions> = chosen(study, facet, arm).filter_map(find).collect();
        let first = *all.first()?;
        all.iter().all(|other| evidence::same_images(first, other)).then_some(Repeats { arm, facet, all })
    }

    fn first(&self) -> &Predictions {
        self.all[0]
    }

    fn classes(&self) -> usize {
        self.first().classes.len()
    }

    /// The mean probability of a class for an image.
    fn probability(&self, image: usize, class: usize) -> f64 {
        let width = self.classes();
        self.all.iter().map(|p| p.probabilities[image * width + class]).sum::<f64>() / self.all.len() as f64
    }

    /// Repeats that are right on an image.
    fn right(&self, image: usize) -> usize {
        self.all.iter().filter(|p| p.predicted[image] == p.labels[image]).count()
    }

    /// The class of the highest mean probability.
    fn predicted(&self, image: usize) -> usize {
        let better = |best: usize, class: usize| {
            if self.probability(image, class) > self.probability(image, best) { class } else { best }
        };
        (1..self.classes()).fold(0, better)
    }
}

/// Finished trials of the arm's chosen configuration.
fn chosen<'a>(study: &'a Study, facet: &'a BTreeMap<String, Value>, arm: &'a str) -> impl Iterator<Item = &'a Row> {
    let is_it = move |row: &&Row| row.selected && row.status == Status::Done && row.arm == arm && row.facet == *facet;
    study.rows.iter().filter(is_it)
}

/// Looks at everything there is. `arms`: every (facet value, arm) in the summary's order.
pub fn find(study: &Study, judged_by: &str, arms: &[(&BTreeMap<String, Value>, &String)]) -> Findings {
    let split = if judged_by.contains("test/") { Split::Test } else { Split::Val };
    let mut found = Findings { offers: pareto::offers(study, judged_by, arms), ..Findings::default() };
    for &(facet, arm) in arms {
        let repeats = Repeats::of(study, facet, arm, split);
        let fit = fit::judge(study, facet, arm);
        if repeats.is_none() && fit.is_none() {
            continue;
        }
        let mut one = ArmFindings {
            arm: arm.clone(),
            facet: facet.clone(),
            classes: Vec::new(),
            per_class: Vec::new(),
            confusion: Vec::new(),
            reliability: Vec::new(),
            roc: Vec::new(),
            precision_recall: Vec::new(),
            mistakes: Vec::new(),
            fit,
        };
        if let Some(repeats) = repeats {
            one.classes = repeats.first().classes.clone();
            one.per_class = scores::per_class(&repeats);
            one.confusion = scores::confusion(&repeats);
            one.reliability = scores::reliability(&repeats);
            (one.roc, one.precision_recall) = scores::curves(&repeats);
            one.mistakes = images::mistakes(&repeats);
        }
        found.arms.push(one);
    }
    found.flips = images::flips(study, split, arms);
    found.label_errors = labels::find(study, judged_by, arms);
    found
}
