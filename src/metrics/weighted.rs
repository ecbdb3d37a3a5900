//! Metrics of a resample: every image counts as often as it was drawn. What can be prepared is prepared once, so that a
//! value takes time in proportion to the images.

use super::{Classified, top};

/// One metric of one model's predictions, ready to be computed under any counts of the images.
#[derive(Debug, Clone)]
pub struct Weighted(Form);

#[derive(Debug, Clone)]
enum Form {
    /// The mean of a value an image: `accuracy`, `top_<k>`, `log_loss`.
    Mean(Vec<f64>),
    /// (label, predicted) an image.
    BalancedAccuracy {
        classes: usize,
        pairs: Vec<(u32, u32)>,
    },
    MacroF1 {
        classes: usize,
        pairs: Vec<(u32, u32)>,
    },
    /// Of each class that counts, images by ascending score, those of equal score together: (image, is of the class).
    Auroc(Vec<Vec<Vec<(u32, bool)>>>),
    /// (bin, confidence, hit) an image.
    Ece {
        bins: usize,
        images: Vec<(u32, f64, bool)>,
    },
}

impl<'a> Classified<'a> {
    /// The metric of that name (as in [`Classified::metrics`]), ready for resamples; `None` when there is none.
    pub fn weighted(self, metric: &str, bins: u32) -> Option<Weighted> {
        let hit = |k: usize| {
            move |(label, row): (usize, &[f64])| {
                let before = |(class, &p): (usize, &f64)| p > row[label] || (p == row[label] && class < label);
                f64::from(u8::from(row.iter().enumerate().filter(|&other| before(other)).count() < k))
            }
        };
        let pairs = || self.rows().map(|(label, row)| (label as u32, top(row).0 as u32)).collect();
        let form = match metric {
            "accuracy" => Form::Mean(self.rows().map(hit(1)).collect()),
            "log_loss" => {
                let loss = |(label, row): (usize, &[f64])| -row[label].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
                Form::Mean(self.rows().map(loss).collect())
            }
            "balanced_accuracy" => Form::BalancedAccuracy { classes: self.classes, pairs: pairs() },
            "macro_f1" => Form::MacroF1 { classes: self.classes, pairs: pairs() },
            "auroc" => {
                let classes = if self.classes == 2 { 1..2 } else { 0..self.classes };
                Form::Auroc(classes.map(|class| self.by_score(class)).collect())
            }
            "ece" if bins > 0 => {
                let image = |(label, row): (usize, &'a [f64])| {
                    let (predicted, confidence) = top(row);
                    let bin = (1..bins).filter(|&edge| confidence > f64::from(edge) / f64::from(bins)).count();
                    (bin as u32, confidence, predicted == label)
                };
                Form::Ece { bins: bins as usize, images: self.rows().map(image).collect() }
            }
            _ => {
                let k = metric.strip_prefix("top_")?.parse().ok().filter(|k| (1..self.classes).contains(k))?;
                Form::Mean(self.rows().map(hit(k)).collect())
            }
        };
        Some(Weighted(form))
    }

    fn by_score(self, class: usize) -> Vec<Vec<(u32, bool)>> {
        let mut scored: Vec<(f64, u32, bool)> =
            self.rows().enumerate().map(|(image, (label, row))| (row[class], image as u32, label == class)).collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        let tied = scored.chunk_by(|a, b| a.0 == b.0);
        tied.map(|tied| tied.iter().map(|&(_, image, of_class)| (image, of_class)).collect()).collect()
    }
}

impl Weighted {
    /// The metric where image i counts `times[i]` times; `None` where it is undefined.
    pub fn value(&self, times: &[u32]) -> Option<f64> {
        let count = |image: usize| f64::from(times[image]);
        match &self.0 {
            Form::Mean(values) => {
                let total: u64 = times.iter().map(|&n| u64::from(n)).sum();
                let sum: f64 = values.iter().zip(times).map(|(value, &n)| value * f64::from(n)).sum();
                (total > 0).then(|| sum / total as f64)
            }
            Form::BalancedAccuracy { classes, pairs } => {
                let (hits, support, _) = tally(*classes, pairs, times);
                mean(hits.iter().zip(&support).filter(|(_, n)| **n > 0.0).map(|(hits, n)| hits / n))
            }
            Form::MacroF1 { classes, pairs } => {
                let (hits, support, predicted) = tally(*classes, pairs, times);
                let all = hits.iter().zip(support.iter().zip(&predicted).map(|(a, b)| a + b));
                mean(all.filter(|(_, n)| *n > 0.0).map(|(hits, n)| 2.0 * hits / n))
            }
            Form::Auroc(classes) => {
                let area = |groups: &Vec<Vec<(u32, bool)>>| {
                    let (mut below, mut pairs, mut positives) = (0.0, 0.0, 0.0);
                    for tied in groups {
                        let (mut hits, mut misses) = (0.0, 0.0);
                        for &(image, of_class) in tied {
                            *(if of_class { &mut hits } else { &mut misses }) += count(image as usize);
                        }
                        pairs += hits * (below + misses / 2.0);
                        below += misses;
                        positives += hits;
                    }
                    (positives > 0.0 && below > 0.0).then(|| pairs / (positives * below))
                };
                let areas: Vec<f64> = classes.iter().map(area).collect::<Option<_>>()?;
                mean(areas.into_iter())
            }
            Form::Ece { bins, images } => {
                let mut sums = vec![0.0; *bins];
                let mut total = 0.0;
                for (&(bin, confidence, hit), &n) in images.iter().zip(times) {
                    sums[bin as usize] += f64::from(n) * (confidence - f64::from(u8::from(hit)));
                    total += f64::from(n);
                }
                (total > 0.0).then(|| sums.iter().map(|sum| sum.abs()).sum::<f64>() / total)
            }
        }
    }
}

/// Of each class: images of it that were found, images of it, images taken for it.
fn tally(classes: usize, pairs: &[(u32, u32)], times: &[u32]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut hits, mut support, mut predicted) = (vec![0.0; classes], vec![0.0; classes], vec![0.0; classes]);
    for (&(label, guess), &n) in pairs.iter().zip(times) {
        let n = f64::from(n);
        support[label as usize] += n;
        predicted[guess as usize] += n;
        if label == guess {
            hits[label as usize] += n;
        }
    }
    (hits, support, predicted)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
