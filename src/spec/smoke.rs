//! The smoke test of an experiment: the same arms and stages on two batches of images, one epoch a phase, one seed, and only
//! as many configurations as differ in more than numbers.

use std::collections::HashSet;

use super::{Arm, Domain, Experiment, Method, Params, Sweep, load::CHECKED, sweep::Parameter};
use crate::stages::{
    Stage,
    dataset::Fractions,
    freeze_schedule::{self, Preset},
};

impl Experiment {
    /// What to run before the night: every kind of node that this experiment has, on as little as shows that it works.
    pub fn smoke(mut self) -> Experiment {
        self.seeds.truncate(1);
        self.facets.clear();
        self.arms.iter_mut().for_each(reduce);
        self.smoke = true;
        self
    }
}

/// Leaves the configurations in which some value that is no number stands for the first time.
fn reduce(arm: &mut Arm) {
    let mut seen = HashSet::new();
    let mut kept: Vec<Params> = Vec::new();
    for assignment in arm.sample(CHECKED) {
        let words = assignment.iter().filter(|(_, value)| !value.is_number());
        let new = words.filter(|(name, value)| seen.insert(format!("{name} {value}"))).count();
        if kept.is_empty() || new > 0 {
            kept.push(assignment);
        }
    }
    let searches = kept.first().is_some_and(|first| !first.is_empty());
    let parameter = Parameter { name: "smoke".into(), domain: Domain::Together(kept), when: Vec::new(), times: None };
    arm.sweep = Sweep {
        method: Method::Grid,
        parameters: if searches { vec![parameter] } else { Vec::new() },
        ..Sweep::default()
    };
    arm.facets.clear();
    arm.smoke = true;
}

/// Two batches of training images, one view and one epoch a phase.
pub(super) fn shrink(stages: &mut [(String, Stage)]) {
    let batch = stages.iter().filter_map(|(_, stage)| match stage {
        Stage::TrainHead(params) => Some(params.training.batch_size),
        Stage::FineTune(params) => Some(params.training.batch_size),
        _ => None,
    });
    let batch = batch.max().unwrap_or(32);
    for (_, stage) in stages {
        match stage {
            Stage::Dataset(params) => {
                // Files that say the split themselves mostly train.
                let train = params.split.map_or(0.5, |Fractions { train, .. }| train.max(0.1));
                let images = (2.0 * batch as f64 / train).ceil() as u64;
                params.at_most = Some(images);
                params.fraction = None;
            }
            Stage::Augment(params) => params.views = 1,
            Stage::TrainHead(params) => params.training.epochs = 1,
            Stage::FreezeSchedule(params) => shorten(params),
            Stage::ExtractFeatures(_)
            | Stage::LrFind(_)
            | Stage::FineTune(_)
            | Stage::Command(_)
            | Stage::Evaluate(_) => {}
        }
    }
}

fn shorten(schedule: &mut freeze_schedule::Params) {
    schedule.phases.iter_mut().for_each(|phase| phase.epochs = 1);
    match &mut schedule.preset {
        None => {}
        Some(
            Preset::FeatureExtraction { epochs, .. }
            | Preset::FineTuneAll { epochs, .. }
            | Preset::LastN { epochs, .. },
        ) => *epochs = 1,
        Some(Preset::Gradual { head_epochs, epochs, .. } | Preset::LpFt { head_epochs, epochs, .. }) => {
            (*head_epochs, *epochs) = (1, 1);
        }
    }
}
