//! Softmax cross-entropy against soft targets, so that class weights, label smoothing and padding rows are all in the
//! targets. Equal to `torch.nn.CrossEntropyLoss(weight, label_smoothing, reduction="mean")`.

use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

use super::device::placed;
use thawline::{artifact::SoftTargets, stages::optimizer::ClassWeights};

/// What the images of one split show, and how each counts.
#[derive(Debug, Clone)]
pub struct Targets {
    labels: Vec<i64>,
    classes: usize,
    smoothing: f64,
    /// A weight a class.
    weights: Vec<f64>,
    /// Of a view whose images are mixed.
    soft: Option<SoftTargets>,
}

/// The targets of one batch; padding rows come last and count nothing.
#[derive(Debug)]
pub struct Batch {
    /// f32 [rows, classes]: row i is `w_c ((1 - smoothing) p_ic + smoothing / classes)`, or zeros; p is the share of class c in
    /// image i, for a label 1 and 0.
    pub soft: Tensor,
    /// i64 [rows]: the label, or the class with the larger share; -1 in padding rows.
    pub labels: Tensor,
    /// What the summed loss is divided by, as PyTorch does: the sum of `w_(y_i)` for labels, the number of images for shares.
    pub total_weight: f64,
    /// Rows that are no padding.
    pub images: usize,
}

impl Targets {
    /// # Errors
    /// When a label is not below `classes`.
    pub fn new(labels: Vec<i64>, weights: Vec<f64>, smoothing: f64) -> Result<Targets> {
        let classes = weights.len();
        let wrong = labels.iter().find(|&&y| y < 0 || y >= classes as i64);
        ensure!(wrong.is_none(), "label {} with {classes} classes", wrong.copied().unwrap_or_default());
        Ok(Targets { labels, classes, smoothing, weights, soft: None })
    }

    /// The same images in a view of `images` rows, which may mix some and hold more; as they are where `soft` is `None`.
    ///
    /// # Errors
    /// When a class is not below the number of classes, or there are not as many rows.
    pub fn of_view(&self, soft: Option<SoftTargets>, images: usize) -> Result<Targets> {
        let rows = soft.as_ref().map_or(self.len(), |soft| soft.classes.len());
        ensure!(rows == images, "{images} rows for {rows} images");
        if let Some(soft) = &soft {
            let wrong = soft.classes.iter().flatten().find(|&&class| class as usize >= self.classes);
            ensure!(wrong.is_none(), "class {} with {} classes", wrong.copied().unwrap_or_default(), self.classes);
        }
        Ok(Targets { soft, ..self.clone() })
    }

    /// The shares of two classes in an image.
    fn shares(&self, row: usize) -> [(i64, f64); 2] {
        match &self.soft {
            Some(soft) => {
                let ([class, other], [share, rest]) = (soft.classes[row], soft.shares[row]);
                [(i64::from(class), f64::from(share)), (i64::from(other), f64::from(rest))]
            }
            None => [(self.labels[row], 1.0), (-1, 0.0)],
        }
    }

    /// Every image and class counts the same and nothing is smoothed: what a split is scored with.
    pub fn plain(labels: Vec<i64>, classes: usize) -> Result<Targets> {
        Targets::new(labels, vec![1.0; classes], 0.0)
    }

    pub fn len(&self) -> usize {
        self.soft.as_ref().map_or(self.labels.len(), |soft| soft.classes.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of `rows` (indices below `len`), padded to `padded` rows.
    pub fn batch(&self, rows: &[usize], padded: usize) -> Result<Batch> {
        let size = padded.max(rows.len());
        let mut soft = vec![0f32; size * self.classes];
        let mut labels = vec![-1i64; size];
        let mut total_weight = 0.0;
        for (i, &row) in rows.iter().enumerate() {
            let shares = self.shares(row);
            let label = if shares[1].1 > shares[0].1 { shares[1].0 } else { shares[0].0 };
            labels[i] = label;
            total_weight += if self.soft.is_some() { 1.0 } else { self.weights[label as usize] };
            for (class, target) in soft[i * self.classes..(i + 1) * self.classes].iter_mut().enumerate() {
                let of_class = shares.iter().filter(|(shown, _)| *shown == class as i64);
                let hit = of_class.map(|(_, share)| share * (1.0 - self.smoothing)).sum::<f64>();
                *target = (self.weights[class] * (hit + self.smoothing / self.classes as f64)) as f32;
            }
        }
        let soft = placed(Tensor::f_from_slice(&soft)?.f_view([size as i64, self.classes as i64])?)?;
        Ok(Batch { soft, labels: placed(Tensor::f_from_slice(&labels)?)?, total_weight, images: rows.len() })
    }
}

/// One weight a class, from the training labels. A class without training images weighs 0 under `balanced`.
pub fn class_weights(kind: ClassWeights, labels: &[i64], classes: usize) -> Vec<f64> {
    if kind == ClassWeights::None {
        return vec![1.0; classes];
    }
    let count = |class: usize| labels.iter().filter(|&&y| y == class as i64).count();
    let weight = |n: usize| if n == 0 { 0.0 } else { labels.len() as f64 / (classes * n) as f64 };
    (0..classes).map(|class| weight(count(class))).collect()
}

/// The mean loss of `logits` [rows, classes] as a scalar that gradients flow through.
pub fn cross_entropy(logits: &Tensor, batch: &Batch) -> Result<Tensor> {
    let log_probabilities = logits.f_log_softmax(-1, Kind::Float)?;
    let summed = log_probabilities.f_mul(&batch.soft)?.f_sum(Kind::Float)?;
    Ok(summed.f_mul_scalar(-1.0 / batch.total_weight)?)
}

/// How many images of `batch` have their largest logit [rows, classes] at their label.
pub fn count_correct(logits: &Tensor, batch: &Batch) -> Result<u64> {
    Ok(logits.f_argmax(-1, false)?.f_eq_tensor(&batch.labels)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as u64)
}

/// Running loss and accuracy over batches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    loss: f64,
    weight: f64,
    correct: u64,
    images: u64,
}

impl Score {
    /// Adds a batch with its mean loss and how many of its images were right.
    pub fn add(&mut self, mean_loss: f64, correct: u64, batch: &Batch) {
        self.loss += mean_loss * batch.total_weight;
        self.weight += batch.total_weight;
        self.correct += correct;
        self.images += batch.images as u64;
    }

    /// Weighted mean, as the loss itself is.
    pub fn loss(&self) -> f64 {
        self.loss / self.weight
    }

    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_pytorchs_cross_entropy() {
        let logits = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 1.5, 0.1, 0.2]).view([2, 3]);
        for (weights, smoothing) in [(vec![1.0; 3], 0.0), (vec![0.5, 2.0, 1.5], 0.0), (vec![0.5, 2.0, 1.5], 0.1)] {
            let targets = Targets::new(vec![1, 0], weights.clone(), smoothing).unwrap();
            let weight = Tensor::from_slice(&weights).to_kind(Kind::Float);
            let labels = Tensor::from_slice(&[1i64, 0]);
            let mean = tch::Reduction::Mean;
            let expected = logits.cross_entropy_loss(&labels, Some(&weight), mean, -100, smoothing).double_value(&[]);
            let found = cross_entropy(&logits, &targets.batch(&[0, 1], 2).unwrap()).unwrap().double_value(&[]);
            assert!((found - expected).abs() < 1e-6, "{weights:?} {smoothing}: {found} {expected}");

            let padded = Tensor::cat(&[&logits, &Tensor::from_slice(&[9f32, 9.0, 9.0]).view([1, 3])], 0);
            let batch = targets.batch(&[0, 1], 3).unwrap();
            assert_eq!(cross_entropy(&padded, &batch).unwrap().double_value(&[]), found);
            let mut score = Score::default();
            score.add(found, count_correct(&padded, &batch).unwrap(), &batch);
            assert_eq!((score.loss(), score.accuracy()), (found, 0.5));
        }
    }

    #[test]
    fn soft_targets_equal_pytorchs_cross_entropy_with_probabilities() {
        let logits = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 1.5, 0.1, 0.2, 0.3, 0.0, -2.0]).view([3, 3]);
        let mut soft = SoftTargets::default();
        soft.push(1, 2, 0.3);
        soft.push(0, 0, 0.6);
        soft.push(2, 1, 0.9);
        let probabilities = Tensor::from_slice(&[0.0f32, 0.3, 0.7, 1.0, 0.0, 0.0, 0.0, 0.1, 0.9]).view([3, 3]);
        for (weights, smoothing) in [(vec![1.0; 3], 0.0), (vec![0.5, 2.0, 1.5], 0.0), (vec![0.5, 2.0, 1.5], 0.1)] {
            let hard = Targets::new(vec![1, 0, 2], weights.clone(), smoothing).unwrap();
            let targets = hard.of_view(Some(soft.clone()), 3).unwrap();
            let weight = Tensor::from_slice(&weights).to_kind(Kind::Float);
            let mean = tch::Reduction::Mean;
            let expected = logits.cross_entropy_loss(&probabilities, Some(&weight), mean, -100, smoothing);
            let batch = targets.batch(&[0, 1, 2], 4).unwrap();
            let padded = Tensor::cat(&[&logits, &Tensor::from_slice(&[9f32, 9.0, 9.0]).view([1, 3])], 0);
            let found = cross_entropy(&padded, &batch).unwrap().double_value(&[]);
            let expected = expected.double_value(&[]);
            assert!((found - expected).abs() < 1e-6, "{weights:?} {smoothing}: {found} {expected}");
            assert_eq!(Vec::<i64>::try_from(&batch.labels).unwrap(), [2, 0, 2, -1]);
        }
        // A view may hold more than the images.
        let hard = Targets::plain(vec![0, 1], 3).unwrap();
        assert_eq!(hard.of_view(Some(soft.clone()), 3).unwrap().len(), 3);
        assert!(hard.of_view(Some(soft), 2).unwrap_err().to_string().contains("2 rows for 3 images"));
    }

    #[test]
    fn balanced_weights_are_scikit_learns() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 0, 0, 1, 1, 2])
        let expected = [6.0 / 9.0, 1.0, 2.0];
        assert_eq!(class_weights(ClassWeights::Balanced, &[0, 0, 0, 1, 1, 2], 3), expected);
        assert_eq!(class_weights(ClassWeights::None, &[0, 1], 2), [1.0, 1.0]);
    }
}
