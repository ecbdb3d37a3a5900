//! Where an arm's parameters get their values: `-S`, then the arm, what is searched, the experiment, its parameter files, and
//! last the pipeline.

use std::sync::Arc;

use super::{
    Params,
    arm::Arm,
    diagnostic::{Fault, Problems, quote},
    experiment::{Facet, Override},
    layers::ParamFile,
    locate::{NodePath, Source, join},
    pipeline::Pipeline,
    read_sweep::{ReadSweep, Swept},
    sweep::Sweep,
};

/// Everything that gives an arm's parameters their values, in the order of precedence.
pub(super) struct Layers<'a> {
    pub source: &'a Arc<Source>,
    /// Of the arm.
    pub path: &'a NodePath,
    pub files: &'a [ParamFile],
    pub experiment: &'a Params,
    pub shared: &'a ReadSweep,
    pub facets: &'a [Facet],
    pub arm: &'a Params,
    pub own: &'a ReadSweep,
    pub overrides: &'a [Override],
}

impl Layers<'_> {
    /// The arm; what is wrong is added to `faults` of the experiment's file.
    pub(super) fn arm(
        &self,
        name: String,
        pipeline: Arc<Pipeline>,
        problems: &mut Problems,
        faults: &mut Vec<Fault>,
    ) -> Arm {
        let mut arm = single(name, pipeline, self.overrides);
        let (pipeline, title) = (arm.pipeline.clone(), quote(&arm.name));
        let overridden = |key: &str| self.overrides.iter().any(|(name, ..)| name == key);
        let declares = |key: &str| pipeline.params.contains_key(key);
        let dropped = |key: &str| format!("arm {title} does not declare {}; it is left out there", quote(key));
        // A file may serve other experiments too: what an arm does not declare is none of its business.
        for file in self.files {
            for (key, value) in file.params.iter().filter(|(key, _)| declares(key) && !overridden(key)) {
                arm.params.insert(key.clone(), value.clone());
                arm.origins.insert(key.clone(), (file.source.clone(), join(&[], key)));
            }
        }
        let experiment = self.experiment.iter().map(|(key, value)| (key, value, join(&join(&[], "params"), key)));
        let own = self.arm.iter().map(|(key, value)| (key, value, join(&join(self.path, "params"), key)));
        for (key, value, place) in experiment.chain(own).filter(|(key, ..)| !overridden(key)) {
            if declares(key) {
                arm.params.insert(key.clone(), value.clone());
                arm.origins.insert(key.clone(), (self.source.clone(), place));
            } else if self.experiment.contains_key(key) {
                problems.notice(self.source, Fault::key(&place, dropped(key)));
            }
        }
        // Whether a parameter is left to be searched; says so where the pipeline does not have it.
        let mut is_open = |key: &str, place: &NodePath| {
            if !declares(key) {
                problems.notice(self.source, Fault::key(place, dropped(key)));
            }
            declares(key) && !overridden(key) && !self.arm.contains_key(key)
        };
        for facet in self.facets.iter().filter(|facet| is_open(&facet.axis.name, &facet.key)) {
            arm.params.shift_remove(&facet.axis.name);
            arm.origins.insert(facet.axis.name.clone(), (self.source.clone(), facet.key.clone()));
            arm.facets.push(facet.axis.clone());
        }
        let replaced = |swept: &&Swept| swept.parameter.targets().into_iter().any(|name| self.own.sets(name));
        let mut open = Vec::new();
        for swept in self.shared.swept.iter().filter(|swept| !replaced(swept)).chain(&self.own.swept) {
            let names = swept.parameter.targets().into_iter();
            let left: Vec<String> = names.filter(|name| is_open(name, &swept.key)).map(str::to_owned).collect();
            for name in &left {
                if !swept.parameter.when.is_empty() {
                    arm.idle.insert(name.clone(), pipeline.params[name].clone());
                }
                arm.params.shift_remove(name);
                arm.origins.insert(name.clone(), (self.source.clone(), swept.place()));
            }
            open.extend((!left.is_empty()).then(|| swept.narrowed(&left)));
        }
        arm.sweep = ReadSweep::of_arm(self.own, self.shared, open, &arm.params, faults);
        arm
    }
}

/// An arm of a pipeline's own parameters, and `-S`.
pub(super) fn single(name: String, pipeline: Arc<Pipeline>, overrides: &[Override]) -> Arm {
    let mut params = pipeline.params.clone();
    let mut origins = pipeline.origins.clone();
    for (key, value, source) in overrides.iter().filter(|(key, ..)| pipeline.params.contains_key(key)) {
        params.insert(key.clone(), value.clone());
        origins.insert(key.clone(), (source.clone(), Vec::new()));
    }
    let (idle, sweep, facets, metric_stage) = (Params::new(), Sweep::default(), Vec::new(), String::new());
    Arm { name, pipeline, params, idle, sweep, facets, metric_stage, smoke: false, origins }
}
