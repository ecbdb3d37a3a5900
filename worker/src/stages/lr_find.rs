//! `lr_find`: a learning-rate range test (Smith 2017).

use anyhow::{Context, Result, ensure};
use thawline::{
    artifact::{Dataset, Features, LearningRate, Split, learning_rate::Point, model::HeadSpec},
    protocol::{Answer, Epoch, Outcome},
    rng::Draws,
    stages::{
        fine_tune,
        lr_find::{Field, Suggestion, Trains, Work},
        optimizer::Metrics,
        train_head,
    },
};

use super::{
    fine_tune::{Data, Start},
    train_head::{parameters_up_to, read_view},
};
use crate::{
    nn::{Head, HeadPack, Images, Score, Targets, Trainer, class_weights, gather},
    task::{Stopped, Task},
};

/// Of the exponential average of the losses.
const BETA: f64 = 0.98;
/// The test ends when the smoothed loss is this many times its best.
const EXPLODED: f64 = 4.0;
/// A curve that falls by a smaller part of its first value is doubtful.
const LEAST_FALL: f64 = 0.02;
/// Most points of the curve that are reported as epochs.
const REPORTED: usize = 50;

/// # Errors
/// When the inputs do not fit together or the settings cannot work, when the loss never falls, and [`Stopped`] when told to.
pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let (mut learner, mut outcome) = match &work.trains {
        Trains::Head(of) => Learner::head(of, task)?,
        Trains::Network(of) => Learner::network(of, task)?,
    };
    let images = learner.images();
    let mut curve = Curve::default();
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let (mut pass, mut dropout) = (0, Draws::new(task.seed, "", 0, "dropout"));
    for step in 0..work.steps {
        if batches.is_empty() {
            // The draws of the epochs of what is trained later.
            let order = Draws::new(task.seed, "", pass, "batch_order").permutation(images);
            batches = learner.batches(&order);
            batches.reverse();
            dropout = Draws::new(task.seed, "", pass, "dropout");
            pass += 1;
        }
        let rows = batches.pop().context("there are training images")?;
        let lr = work.lr(step);
        let loss = learner.step(&rows, lr, &mut dropout)?;
        outcome.images_seen += rows.len() as u64;
        if !curve.add(lr, loss) {
            break;
        }
        if task.link.progress(u64::from(step) + 1, u64::from(work.steps)) != Answer::Continue {
            return Err(Stopped.into());
        }
    }

    let points = curve.points;
    let (steepest, minimum) = suggestions(&points).with_context(|| {
        format!(
            "the loss does not fall anywhere between the learning rates {} and {}, so none can be suggested: set `min` lower, \
             `max` higher, or more `steps` than {}",
            work.min, work.max, work.steps
        )
    })?;
    report(task, &points)?;
    outcome.notes.extend(doubt(&points));
    let suggestion = match work.suggestion {
        Suggestion::Steepest => steepest,
        Suggestion::Minimum => minimum,
    };
    let found = LearningRate { suggestion, steepest, minimum, curve: points };
    outcome.metrics = Field::ALL.map(|field| (field.name().to_string(), field.of(&found))).into();
    found.write(&task.out)?;
    Ok(outcome)
}

/// The losses so far.
#[derive(Default)]
struct Curve {
    points: Vec<Point>,
    average: f64,
    best: f64,
}

impl Curve {
    /// Adds a step; whether the test goes on. A loss that is no number is left out.
    fn add(&mut self, lr: f64, loss: f64) -> bool {
        self.average = BETA * self.average + (1.0 - BETA) * loss;
        let smoothed = self.average / (1.0 - BETA.powi(self.points.len() as i32 + 1));
        if !smoothed.is_finite() {
            return false;
        }
        if self.points.is_empty() || smoothed < self.best {
            self.best = smoothed;
        }
        self.points.push(Point { lr, loss, smoothed });
        smoothed <= EXPLODED * self.best
    }
}

/// Where the smoothed loss falls fastest over the logarithm of the learning rate, between the first tenth of the curve and its
/// minimum, and a tenth of the learning rate of that minimum. `None` where it does not fall there.
fn suggestions(curve: &[Point]) -> Option<(f64, f64)> {
    let lowest = (0..curve.len()).min_by(|&a, &b| curve[a].smoothed.total_cmp(&curve[b].smoothed))?;
    let slope = |at: usize| {
        let (before, after) = (curve[at.saturating_sub(1)], curve[(at + 1).min(curve.len() - 1)]);
        (after.smoothed - before.smoothed) / (after.lr / before.lr).ln()
    };
    let falling = (curve.len() / 10..=lowest).map(|at| (at, slope(at))).filter(|(_, slope)| *slope < 0.0);
    let (steepest, _) = falling.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some((curve[steepest].lr, curve[lowest].lr / 10.0))
}

/// What to say of a curve that hardly falls: its suggestions may be read off noise.
fn doubt(curve: &[Point]) -> Option<String> {
    let lowest = curve.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
    let fall = 1.0 - lowest / curve.first()?.smoothed;
    (fall < LEAST_FALL).then(|| {
        format!(
            "the smoothed loss falls by only {:.2} %: look at the curve before trusting what it suggests",
            100.0 * fall
        )
    })
}

/// The curve as epochs, so that it is on record like any other; thinned out where it is long.
fn report(task: &mut Task<'_>, points: &[Point]) -> Result<()> {
    let every = points.len().div_ceil(REPORTED);
    let shown: Vec<&Point> = points.iter().step_by(every.max(1)).collect();
    for (i, point) in shown.iter().enumerate() {
        let metrics = Metrics::from([
            ("lr".to_string(), point.lr),
            ("train/loss".to_string(), point.loss),
            ("train/smoothed_loss".to_string(), point.smoothed),
        ]);
        let epoch = Epoch { epoch: i as u32 + 1, epochs: shown.len() as u32, metrics };
        if task.link.epochs(vec![(0, epoch)]) != Answer::Continue {
            return Err(Stopped.into());
        }
    }
    Ok(())
}

/// What is trained, on its first view.
enum Learner {
    Head { pack: Box<HeadPack>, features: Features, targets: Targets, batch_size: usize },
    Network { trainer: Box<Trainer>, images: Images, targets: Targets },
}

impl Learner {
    fn head(work: &train_head::Work, task: &Task<'_>) -> Result<(Learner, Outcome)> {
        let training = &work.training;
        let dataset = Dataset::read(task.input("dataset")?)?;
        let (labels, classes) = (dataset.labels(Split::Train), dataset.classes.len());
        ensure!(!labels.is_empty(), "there are no training images");
        let weights = class_weights(training.class_weights, &labels, classes);
        let labels = Targets::new(labels, weights, training.label_smoothing)?;
        let (features, targets) = read_view(task, "features.train.0", &labels)?;
        let spec = HeadSpec { inputs: features.width, hidden: training.hidden.clone(), classes };
        let head = Head::random(&spec, task.seed)?;
        // The factor of each step is its learning rate.
        let rule = training.optimizer.with_lr(1.0);
        let pack = Box::new(HeadPack::new(&[&head], &[rule], training.dropout, training.clip_norm)?);
        let outcome = Outcome {
            trained_parameters: spec.parameters(),
            total_parameters: spec.parameters() + parameters_up_to(&work.backbone)?,
            ..Outcome::default()
        };
        Ok((Learner::Head { pack, features, targets, batch_size: training.batch_size }, outcome))
    }

    fn network(work: &fine_tune::Work, task: &Task<'_>) -> Result<(Learner, Outcome)> {
        let mut data = Data::open(work, task)?;
        let Start { network, head, kept, .. } = Start::open(work, task, &data)?;
        let (images, targets) = data.views.remove(&0).context("a view of the training images")?;
        let in_head = head.spec.parameters();
        let trainer = Trainer::new(network, head, &work.backbone, &work.phase, &work.training, &kept)?;
        let outcome = Outcome {
            trained_parameters: trainer.trained_parameters(),
            total_parameters: in_head + trainer.network().parameters(trainer.network().cut(&work.backbone)?),
            ..Outcome::default()
        };
        Ok((Learner::Network { trainer: Box::new(trainer), images, targets }, outcome))
    }

    fn images(&self) -> usize {
        match self {
            Learner::Head { targets, .. } | Learner::Network { targets, .. } => targets.len(),
        }
    }

    fn batches(&self, order: &[usize]) -> Vec<Vec<usize>> {
        match self {
            Learner::Head { batch_size, .. } => order.chunks(*batch_size).map(<[usize]>::to_vec).collect(),
            Learner::Network { trainer, .. } => trainer.batches(order).into_iter().map(<[usize]>::to_vec).collect(),
        }
    }

    /// The loss on the images `rows` before the update at `lr`.
    fn step(&mut self, rows: &[usize], lr: f64, dropout: &mut Draws) -> Result<f64> {
        let mut score = Score::default();
        match self {
            Learner::Head { pack, features, targets, batch_size } => {
                let (x, batch) = (gather(features, rows, *batch_size)?, targets.batch(rows, *batch_size)?);
                pack.step(&x, &batch, lr, dropout, std::slice::from_mut(&mut score))?;
            }
            Learner::Network { trainer, images, targets } => {
                trainer.step(images, targets, rows, lr, dropout, &mut score)?;
            }
        }
        Ok(score.loss())
    }
}

#[cfg(test)]
mod tests;
