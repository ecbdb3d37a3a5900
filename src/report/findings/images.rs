//! Single images: which ones an arm fixes or breaks, and where it is surest and wrong.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Repeats, Study};
use crate::artifact::Split;

const MISTAKES: usize = 20;

/// An image that an arm takes for something else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    pub path: String,
    pub label: String,
    pub predicted: String,
    /// Mean probability of `predicted` over repeats: not always the highest, as flips go by what most repeats say.
    pub confidence: f64,
    /// Repeats that are right, and how many there are.
    pub right: u64,
    pub repeats: u64,
}

/// Images on which two arms differ in most repeats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flips {
    pub arm: String,
    pub against: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    pub images: u64,
    /// Wrong in at least half of `against`'s repeats, right in more than half of `arm`'s.
    pub fixed: Vec<Mistake>,
    /// The reverse.
    pub broken: Vec<Mistake>,
}

/// Images that are wrong by the mean probabilities, the surest first.
pub fn mistakes(repeats: &Repeats) -> Vec<Mistake> {
    let labels = &repeats.first().labels;
    let wrong = (0..labels.len()).filter(|&image| repeats.predicted(image) != labels[image] as usize);
    let mut found: Vec<Mistake> = wrong.map(|image| describe(repeats, image, repeats.predicted(image))).collect();
    sort(&mut found);
    found.truncate(MISTAKES);
    found
}

fn sort(found: &mut [Mistake]) {
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.path.cmp(&b.path)));
}

/// The wrong class that most repeats take the image for; of equals that of the highest mean probability.
fn taken_for(repeats: &Repeats, image: usize) -> usize {
    let label = repeats.first().labels[image] as usize;
    let votes = |class: usize| repeats.all.iter().filter(|p| p.predicted[image] as usize == class).count();
    let order = |&a: &usize, &b: &usize| {
        votes(a).cmp(&votes(b)).then(repeats.probability(image, a).total_cmp(&repeats.probability(image, b)))
    };
    (0..repeats.classes()).filter(|&class| class != label).max_by(order).unwrap_or(label)
}

fn describe(repeats: &Repeats, image: usize, predicted: usize) -> Mistake {
    let first = repeats.first();
    Mistake {
        path: first.paths[image].clone(),
        label: first.classes[first.labels[image] as usize].clone(),
        predicted: first.classes[predicted].clone(),
        confidence: repeats.probability(image, predicted),
        right: repeats.right(image) as u64,
        repeats: repeats.all.len() as u64,
    }
}

/// Every arm against the baseline of its facet value, or against the first arm there.
pub fn flips(study: &Study, split: Split, arms: &[(&BTreeMap<String, Value>, &String)]) -> Vec<Flips> {
    let mut all = Vec::new();
    for &(facet, arm) in arms {
        let of_facet = || arms.iter().filter(|(f, _)| *f == facet).map(|(_, arm)| *arm);
        let baseline =
            of_facet().find(|arm| study.context.baseline.as_ref() == Some(*arm)).or_else(|| of_facet().next());
        let Some(against) = baseline.filter(|against| *against != arm) else { continue };
        let pair = Repeats::of(study, facet, arm, split).zip(Repeats::of(study, facet, against, split));
        let Some((own, other)) = pair else { continue };
        if !super::evidence::same_images(own.first(), other.first()) {
            continue;
        }
        let mostly = |repeats: &Repeats, image: usize| 2 * repeats.right(image) > repeats.all.len();
        let images = own.first().labels.len();
        let differing = |good: &Repeats, bad: &Repeats| {
            let mut found: Vec<Mistake> = (0..images)
                .filter(|&image| mostly(good, image) && !mostly(bad, image))
                .map(|image| describe(bad, image, taken_for(bad, image)))
                .collect();
            sort(&mut found);
            found
        };
        all.push(Flips {
            arm: own.arm.to_owned(),
            against: other.arm.to_owned(),
            facet: own.facet.clone(),
            images: images as u64,
            fixed: differing(&own, &other),
            broken: differing(&other, &own),
        });
    }
    all
}
