//! One recipe under comparison: a pipeline with its parameters settled, except those that are swept.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Params,
    diagnostic::{Diagnostics, Fault, Problems, quote},
    locate::{NodePath, Source, Step},
    pipeline::{Checked, Pipeline},
    semantics::{self, BackboneChoice},
};
use crate::stages::Stage;

/// A parameter and the values it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub name: String,
    pub values: Vec<Value>,
}

/// How configurations are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every combination of the axes' values.
    Grid,
}

/// One recipe.
#[derive(Debug, Clone)]
pub struct Arm {
    pub name: String,
    pub pipeline: Arc<Pipeline>,
    /// Every declared parameter that is neither swept nor a facet, after precedence, in the pipeline's order.
    pub params: Params,
    /// The search axes: a value of each makes a configuration.
    pub axes: Vec<Axis>,
    /// The experiment's facets that this arm declares; selection happens inside each of their combinations.
    pub facets: Vec<Axis>,
    pub method: Method,
    /// Most configurations this arm may run.
    pub run_cap: Option<u64>,
    /// The `evaluate` stage whose metric selects.
    pub metric_stage: String,
    /// Where every parameter got its value; of an axis, its list of values.
    pub(super) origins: HashMap<String, (Arc<Source>, NodePath)>,
}

/// A configuration: typed stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Every declared parameter, in the pipeline's order.
    pub params: Params,
    /// In topological order; ties in file order.
    pub stages: Vec<(String, Stage)>,
}

impl Resolved {
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|(stage, _)| stage == name).map(|(_, stage)| stage)
    }

    /// The backbone under `stage`: follows `features`, `start_from` and `model` to where it is named.
    pub fn backbone_of(&self, stage: &str) -> Option<BackboneChoice> {
        semantics::backbone_of(&|name| self.stage(name), stage)
    }
}

impl Arm {
    /// The typed stages for one value of every axis and facet.
    ///
    /// # Errors
    /// Everything that is wrong with this configuration; nothing when it is one that `load` has checked.
    pub fn resolve(&self, assignment: &Params) -> Result<Resolved, Diagnostics> {
        let mut problems = Problems::default();
        self.resolve_into(assignment, &mut problems).ok_or_else(|| problems.locate())
    }

    pub(super) fn resolve_into(&self, assignment: &Params, problems: &mut Problems) -> Option<Resolved> {
        let declared = &self.pipeline.params;
        let mut values = Vec::with_capacity(declared.len());
        let mut complete = true;
        for name in declared.keys() {
            let value = assignment.get(name).or_else(|| self.params.get(name));
            if value.is_none() {
                let message = format!("no value is chosen for {} in arm {}", quote(name), quote(&self.name));
                let (source, path) = self.origin(name, assignment)?;
                problems.add(&source, Fault::value(&path, message));
                complete = false;
            }
            values.push(value.unwrap_or(&Value::Null));
        }
        for name in assignment.keys().filter(|name| !declared.contains_key(*name)) {
            let message = format!("{} is not a parameter of this pipeline", quote(name));
            problems.add(&self.pipeline.source, Fault::key(&vec![Step::Key("params".into())], message));
            complete = false;
        }
        let checked = self.pipeline.check(&values);
        let own = checked.iter().enumerate().flat_map(|(i, stage)| stage.faults.iter().map(move |fault| (i, fault)));
        let mut faults: Vec<(usize, Fault)> = own.map(|(i, fault)| (i, fault.clone())).collect();
        let (between, order) = semantics::check_graph(&checked);
        faults.extend(between);
        if order.is_some() {
            faults.extend(semantics::check_schedules(&checked));
        }
        let sound = complete && faults.is_empty();
        for (stage, fault) in faults {
            let (source, fault) = self.pipeline.place(stage, fault, &|name| self.origin(name, assignment));
            problems.add_first(&source, fault);
        }
        let stages = order?.into_iter().map(|i| checked[i].stage.clone().map(|stage| (checked[i].name.clone(), stage)));
        let stages = stages.collect::<Option<Vec<_>>>()?;
        let params = declared.keys().cloned().zip(values.into_iter().cloned()).collect();
        sound.then_some(Resolved { params, stages })
    }

    /// The stages for the first value of every axis, sound or not.
    pub(super) fn first(&self) -> Vec<Arc<Checked>> {
        let swept = |name: &str| self.axes.iter().chain(&self.facets).find(|axis| axis.name == name);
        let value = |name: &String| self.params.get(name).or_else(|| swept(name)?.values.first());
        let values: Vec<&Value> = self.pipeline.params.keys().map(|name| value(name).unwrap_or(&Value::Null)).collect();
        self.pipeline.check(&values)
    }

    fn origin(&self, name: &str, assignment: &Params) -> Option<(Arc<Source>, NodePath)> {
        let (source, path) = self.origins.get(name)?;
        let mut path = path.clone();
        if let Some(axis) = self.axes.iter().chain(&self.facets).find(|axis| axis.name == name) {
            let value = assignment.get(name);
            path.extend(axis.values.iter().position(|v| Some(v) == value).map(Step::Index));
        }
        Some((source.clone(), path))
    }

    /// The configurations to check before anything runs: the first `cap` of the grid, and of a larger grid as many more
    /// that meet every value of every axis.
    pub(super) fn sample(&self, cap: usize) -> impl Iterator<Item = Params> + '_ {
        let axes: Vec<&Axis> = self.facets.iter().chain(&self.axes).collect();
        let size = axes.iter().fold(1usize, |n, axis| n.saturating_mul(axis.values.len()));
        let longest = axes.iter().map(|axis| axis.values.len()).max().unwrap_or(0);
        let longest = if size > cap { longest.min(cap) } else { 0 };
        let grid = (0..size.min(cap)).map({
            let axes = axes.clone();
            move |number| {
                // The last axis moves fastest.
                let mut rest = number;
                let mut chosen: Vec<(String, Value)> = Vec::with_capacity(axes.len());
                for axis in axes.iter().rev() {
                    chosen.push((axis.name.clone(), axis.values[rest % axis.values.len()].clone()));
                    rest /= axis.values.len();
                }
                chosen.into_iter().rev().collect()
            }
        });
        let diagonal = (0..longest).map(move |k| {
            axes.iter().map(|axis| (axis.name.clone(), axis.values[k % axis.values.len()].clone())).collect()
        });
        grid.chain(diagonal)
    }
}
