//! Every pair of arms at every facet value: how far apart the chosen configurations are, and how sure that is.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::Value;

use super::{
    Row, Status, Study,
    evidence::same_images,
    outlook::Outlook,
    statistics::{self, Components, Discordant, Estimate, T},
    verdict::{self, Verdict},
};
use crate::{
    artifact::{Predictions, Split},
    metrics::{Classified, Weighted},
    spec::Folds,
};

/// As `evaluate` has it unless told otherwise.
const BINS: u32 = 15;

/// What an interval is over: what it is a statement about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Other images and other repeats: images crossed with repeats.
    ImagesAndRepeats,
    /// Other images, of this one repeat.
    Images,
    /// Other repeats, on this test set: there are no predictions to resample.
    Repeats,
    /// Other splits: the corrected resampled t.
    Folds,
    /// Nothing: one repeat, and no predictions.
    Nothing,
}

/// One arm minus another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    pub mean: f64,
    /// 95 %.
    pub interval: Option<[f64; 2]>,
    /// Two-sided, of no difference; not adjusted.
    pub p: Option<f64>,
    pub basis: Basis,
    /// Student's t over repeats, on this test set: 95 %.
    pub over_repeats: Option<[f64; 2]>,
    /// Pairs of trials of equal seed and fold; unpaired, trials of the smaller arm.
    pub n: u64,
    /// Images that both were scored on.
    pub images: u64,
    pub paired: bool,
}

/// Two arms, and what may be said of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    pub arm: String,
    pub against: String,
    /// `arm` minus `against`, by [`super::Summary::judged_by`].
    pub difference: Difference,
    /// By Holm over all pairs of the facet value.
    pub p_adjusted: Option<f64>,
    /// Hedges' g of the differences over repeats.
    pub effect_size: Option<f64>,
    /// The part of `against`'s errors that `arm` does not make, of scores whose best is 1.
    pub error_reduction: Option<f64>,
    /// Where the variance comes from.
    pub components: Option<Components>,
    /// Of two single models only.
    pub mcnemar: Option<McNemar>,
    /// What would settle it, where it is inconclusive.
    pub outlook: Option<Outlook>,
    pub verdict: Verdict,
    /// The verdict in words.
    pub sentence: String,
}

/// McNemar's exact test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    #[serde(flatten)]
    pub counts: Discordant,
    pub p: f64,
}

/// A chosen and finished trial with its score.
struct Trial<'a> {
    row: &'a Row,
    score: f64,
    /// Column of the resamples.
    model: Option<usize>,
}

/// All pairs of arms, by facet value: the later against the earlier, but always against the baseline where it is one of them.
pub fn compare(study: &Study, judged_by: &str, arms: &[(&BTreeMap<String, Value>, &String)]) -> Vec<Comparison> {
    let mut all = Vec::new();
    let mut facets: Vec<&BTreeMap<String, Value>> = arms.iter().map(|(facet, _)| *facet).collect();
    facets.dedup();
    for facet in facets {
        let names: Vec<&str> = arms.iter().filter(|(f, _)| *f == facet).map(|(_, arm)| arm.as_str()).collect();
        let models = Models::new(study, facet, judged_by);
        let trials = |arm: &str| models.trials(study, facet, arm, judged_by);
        let mut found = Vec::new();
        for (i, first) in names.iter().enumerate() {
            for second in &names[i + 1..] {
                let reversed = study.context.baseline.as_deref() == Some(second);
                let (arm, against) = if reversed { (first, second) } else { (second, first) };
                let pair = Pair { facet, arm, against, a: trials(arm), b: trials(against) };
                found.extend(pair.compared(study, &models, judged_by));
            }
        }
        let known: Vec<usize> = (0..found.len()).filter(|&i| found[i].difference.p.is_some()).collect();
        let p: Vec<f64> = known.iter().filter_map(|&i| found[i].difference.p).collect();
        for (&i, adjusted) in known.iter().zip(statistics::holm(&p)) {
            found[i].p_adjusted = Some(adjusted);
        }
        for comparison in &mut found {
            verdict::judge(comparison, &study.context, judged_by);
        }
        all.extend(found);
    }
    all
}

/// The models behind the chosen trials of a facet value, on the images that they share.
struct Models<'a> {
    /// Column of the resamples, by trial.
    columns: HashMap<&'a str, usize>,
    predictions: Vec<&'a Predictions>,
    metrics: Vec<Weighted>,
    /// [draws, models]; empty where the models do not share their images.
    draws: Vec<Vec<f64>>,
}

impl<'a> Models<'a> {
    fn new(study: &'a Study, facet: &BTreeMap<String, Value>, judged_by: &str) -> Models<'a> {
        let split = if judged_by.contains("test/") { Split::Test } else { Split::Val };
        let metric = judged_by.rsplit('/').next().unwrap_or(judged_by);
        let mut models = Models { columns: HashMap::new(), predictions: vec![], metrics: vec![], draws: vec![] };
        for row in study.rows.iter().filter(|row| row.selected && row.facet == *facet) {
            let Some(predictions) = study.evidence.predictions.get(&(row.trial.clone(), split)) else { continue };
            let Some(score) = row.metrics.get(judged_by) else { continue };
            let Some(weighted) = prepared(predictions, metric, *score) else { continue };
            models.columns.insert(&row.trial, models.metrics.len());
            models.predictions.push(predictions);
            models.metrics.push(weighted);
        }
        let shared = models.predictions.windows(2).all(|pair| same_images(pair[0], pair[1]));
        if let Some(first) = models.predictions.first().filter(|_| shared) {
            let under = |times: &[u32]| models.metrics.iter().map(|metric| metric.value(times)).collect();
            models.draws = statistics::resampled(first.ids.len(), under);
        }
        models
    }

    fn trials<'r>(
        &self,
        study: &'r Study,
        facet: &BTreeMap<String, Value>,
        arm: &str,
        judged_by: &str,
    ) -> Vec<Trial<'r>> {
        let of_arm = |row: &&Row| row.selected && row.status == Status::Done && row.arm == arm && row.facet == *facet;
        let trial = |row: &'r Row| {
            let score = *row.metrics.get(judged_by)?;
            Some(Trial { row, score, model: self.columns.get(row.trial.as_str()).copied() })
        };
        study.rows.iter().filter(of_arm).filter_map(trial).collect()
    }

    fn images(&self, model: usize) -> u64 {
        self.predictions[model].ids.len() as u64
    }

    /// The components of one arm by itself, on its own images.
    fn alone(&self, trials: &[Trial]) -> Option<Components> {
        let models: Vec<usize> = trials.iter().map(|trial| trial.model).collect::<Option<_>>()?;
        let scores: Vec<f64> = trials.iter().map(|trial| trial.score).collect();
        let first = *models.first()?;
        if !models.iter().all(|&m| same_images(self.predictions[m], self.predictions[first])) {
            return None;
        }
        let under = |times: &[u32]| models.iter().map(|&m| self.metrics[m].value(times)).collect();
        let draws = statistics::resampled(self.predictions[first].ids.len(), under);
        Components::new(&scores, &draws, self.images(first))
    }
}

/// The metric ready for resamples, if computed from the predictions it is what the row says.
fn prepared(predictions: &Predictions, metric: &str, score: f64) -> Option<Weighted> {
    let classes = predictions.classes.len();
    let classified = Classified::new(&predictions.labels, &predictions.probabilities, classes).ok()?;
    let weighted = classified.weighted(metric, BINS)?;
    let again = weighted.value(&vec![1; predictions.labels.len()])?;
    ((again - score).abs() < 1e-9).then_some(weighted)
}

struct Pair<'a> {
    facet: &'a BTreeMap<String, Value>,
    arm: &'a str,
    against: &'a str,
    a: Vec<Trial<'a>>,
    b: Vec<Trial<'a>>,
}

impl Pair<'_> {
    /// `None` when one of the two has no score yet.
    fn compared(&self, study: &Study, models: &Models, judged_by: &str) -> Option<Comparison> {
        let mean = |trials: &[Trial]| Estimate::of(&trials.iter().map(|trial| trial.score).collect::<Vec<_>>());
        let (a, b) = mean(&self.a).zip(mean(&self.b))?;
        let context = &study.context;
        let pairs: Vec<(&Trial, &Trial)> = self.pairs();
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a.score - b.score).collect();
        let (difference, components) = if context.paired {
            Estimate::of(&differences)?;
            paired(&pairs, &differences, models, context.folds)
        } else {
            self.unpaired(a, b, models)
        };
        let best_is_one = verdict::is_share(judged_by) && !crate::metrics::smaller_is_better(judged_by);
        Some(Comparison {
            facet: self.facet.clone(),
            arm: self.arm.to_owned(),
            against: self.against.to_owned(),
            difference,
            p_adjusted: None,
            effect_size: if context.paired { statistics::hedges(&differences) } else { None },
            error_reduction: best_is_one.then(|| statistics::error_reduction(a.mean, b.mean)).flatten(),
            components,
            mcnemar: self.mcnemar(models),
            outlook: None,
            verdict: Verdict::NotCompared,
            sentence: String::new(),
        })
    }

    /// Trials of equal seed and fold; two single ones whatever their seeds.
    fn pairs(&self) -> Vec<(&Trial<'_>, &Trial<'_>)> {
        if let ([a], [b]) = (self.a.as_slice(), self.b.as_slice()) {
            return vec![(a, b)];
        }
        let repeat = |trial: &Trial| (trial.row.fold, trial.row.seed);
        let partner = |a| self.b.iter().find(|b| repeat(b) == repeat(a)).map(|b| (a, b));
        self.a.iter().filter_map(partner).collect()
    }

    fn unpaired(&self, a: Estimate, b: Estimate, models: &Models) -> (Difference, Option<Components>) {
        let over_repeats = statistics::welch(a, b);
        let both = models.alone(&self.a).zip(models.alone(&self.b));
        let images = both.map_or(0, |(a, b)| a.image_count.min(b.image_count));
        let crossed = both.map(|(a, b)| {
            let (a, b) = (a.estimate(), b.estimate());
            let parts = [a, b].map(|t| (t.standard_error.powi(2), t.freedom));
            let variance: f64 = parts.iter().map(|(variance, _)| variance).sum();
            let spread: f64 = parts.iter().map(|(variance, freedom)| variance * variance / freedom).sum();
            let freedom = if spread > 0.0 { variance * variance / spread } else { 1.0 };
            T { mean: a.mean - b.mean, standard_error: variance.sqrt(), freedom }
        });
        let several = a.n > 1 && b.n > 1;
        let basis = match (&crossed, several) {
            (Some(_), true) => Basis::ImagesAndRepeats,
            (Some(_), false) => Basis::Images,
            (None, true) => Basis::Repeats,
            (None, false) => Basis::Nothing,
        };
        let headline = crossed.or(over_repeats);
        let difference = Difference {
            mean: a.mean - b.mean,
            interval: headline.map(|t| t.interval()),
            p: headline.map(|t| t.p()),
            basis,
            over_repeats: over_repeats.map(|t| t.interval()),
            n: a.n.min(b.n),
            images,
            paired: false,
        };
        (difference, None)
    }

    /// Only where each arm is one model.
    fn mcnemar(&self, models: &Models) -> Option<McNemar> {
        let ([a], [b]) = (self.a.as_slice(), self.b.as_slice()) else { return None };
        let [a, b] = [a.model?, b.model?].map(|model| models.predictions[model]);
        if !same_images(a, b) {
            return None;
        }
        let only = |x: &Predictions, y: &Predictions| {
            let right = |p: &Predictions, i: usize| p.predicted[i] == p.labels[i];
            (0..x.labels.len()).filter(|&i| right(x, i) && !right(y, i)).count() as u64
        };
        let counts = Discordant { only_first: only(a, b), only_second: only(b, a) };
        Some(McNemar { counts, p: statistics::mcnemar(counts) })
    }
}

fn paired(
    pairs: &[(&Trial, &Trial)],
    differences: &[f64],
    models: &Models,
    divided: Option<Folds>,
) -> (Difference, Option<Components>) {
    let over_repeats = statistics::paired(differences);
    let mut difference = Difference {
        mean: differences.iter().sum::<f64>() / differences.len() as f64,
        interval: over_repeats.map(|t| t.interval()),
        p: over_repeats.map(|t| t.p()),
        basis: if differences.len() > 1 { Basis::Repeats } else { Basis::Nothing },
        over_repeats: over_repeats.map(|t| t.interval()),
        n: differences.len() as u64,
        images: 0,
        paired: true,
    };
    let mut folds: Vec<u32> = pairs.iter().filter_map(|(a, _)| a.row.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    if folds.len() > 1 {
        // In k folds, 1 part is tested and k - 1 are trained on, however often the images are divided anew.
        let parts = divided.map_or(folds.len() as u64, |divided| divided.count.into());
        let corrected = statistics::corrected_resampled(differences, parts - 1, 1);
        difference.interval = corrected.map(|t| t.interval());
        difference.p = corrected.map(|t| t.p());
        difference.over_repeats = None;
        difference.basis = Basis::Folds;
        return (difference, None);
    }
    let columns: Option<Vec<(usize, usize)>> = pairs.iter().map(|(a, b)| a.model.zip(b.model)).collect();
    let Some(columns) = columns.filter(|columns| !columns.is_empty() && !models.draws.is_empty()) else {
        return (difference, None);
    };
    let under = |draw: &Vec<f64>| columns.iter().map(|&(a, b)| draw[a] - draw[b]).collect();
    let draws: Vec<Vec<f64>> = models.draws.iter().map(under).collect();
    let components = Components::new(differences, &draws, models.images(columns[0].0));
    if let Some(components) = components {
        let estimate = components.estimate();
        difference.interval = Some(estimate.interval());
        difference.p = Some(estimate.p());
        difference.images = components.image_count;
        difference.basis = if components.repeats.is_some() { Basis::ImagesAndRepeats } else { Basis::Images };
    }
    (difference, components)
}
