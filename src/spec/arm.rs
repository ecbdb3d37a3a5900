//! One recipe under comparison: a pipeline with its parameters settled, except those that are swept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Params, balance,
    diagnostic::{Diagnostics, Fault, Problems, Severity, quote},
    files::Files,
    graph,
    locate::{NodePath, Source, Step},
    pipeline::{Checked, LateValue, Pipeline},
    semantics::{self, BackboneChoice},
    smoke,
    sweep::{Sweep, scaled},
};
use crate::stages::Stage;

/// A facet and the values it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub name: String,
    pub values: Vec<Value>,
}

/// One recipe.
#[derive(Debug, Clone)]
pub struct Arm {
    pub name: String,
    pub pipeline: Arc<Pipeline>,
    /// Every declared parameter that is neither swept nor a facet, after precedence, in the pipeline's order.
    pub params: Params,
    /// What the pipeline gives the searched parameters that a configuration leaves out, because their condition does not hold.
    pub idle: Params,
    /// What is searched: a value of each of its parameters makes a configuration.
    pub sweep: Sweep,
    /// The experiment's facets that this arm declares; selection happens inside each of their combinations.
    pub facets: Vec<Axis>,
    /// The `evaluate` stage whose metric selects.
    pub metric_stage: String,
    /// Its stages work on two batches of images.
    pub(super) smoke: bool,
    /// Where every parameter got its value; of what is swept, its list of values or its range.
    pub(super) origins: HashMap<String, (Arc<Source>, NodePath)>,
}

/// A configuration: typed stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Every declared parameter, in the pipeline's order.
    pub params: Params,
    /// In topological order; ties in file order.
    pub stages: Vec<(String, Stage)>,
    /// By stage, what other stages find for it; a placeholder stands there meanwhile.
    pub late: BTreeMap<String, Vec<LateValue>>,
}

impl Resolved {
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|(stage, _)| stage == name).map(|(_, stage)| stage)
    }

    /// What other stages find for `stage`.
    pub fn late(&self, stage: &str) -> &[LateValue] {
        self.late.get(stage).map_or(&[], Vec::as_slice)
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
            let value = assignment.get(name).or_else(|| self.params.get(name)).or_else(|| self.idle.get(name));
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
        let (between, order) = graph::check(&checked);
        faults.extend(between);
        if order.is_some() {
            faults.extend(semantics::check_schedules(&checked));
            faults.extend(semantics::check_programs(&checked));
            faults.extend(balance::check(&checked));
        }
        let sound = complete && faults.is_empty();
        for (stage, fault) in faults {
            let (source, fault) = self.pipeline.place(stage, fault, &|name| self.origin(name, assignment));
            problems.add_first(&source, fault);
        }
        let stages = order?.into_iter().map(|i| checked[i].stage.clone().map(|stage| (checked[i].name.clone(), stage)));
        let mut stages = stages.collect::<Option<Vec<_>>>()?;
        if self.smoke {
            smoke::shrink(&mut stages);
        }
        let params = declared.keys().cloned().zip(values.into_iter().cloned()).collect();
        let with_late = checked.iter().filter(|stage| !stage.late.is_empty());
        let late = with_late.map(|stage| (stage.name.clone(), stage.late.clone())).collect();
        sound.then_some(Resolved { params, stages, late })
    }

    /// The stages of the first configuration, sound or not.
    pub(super) fn first(&self) -> Vec<Arc<Checked>> {
        self.checked(&self.first_assignment())
    }

    /// Looks at the files that a configuration names.
    pub(super) fn check_files(&self, assignment: &Params, files: &mut Files, problems: &mut Problems) {
        for (stage, severity, fault) in files.check(&self.checked(assignment)) {
            let (source, fault) = self.pipeline.place(stage, fault, &|name| self.origin(name, assignment));
            match severity {
                Severity::Error => problems.add(&source, fault),
                Severity::Notice => problems.notice(&source, fault),
            }
        }
    }

    fn checked(&self, assignment: &Params) -> Vec<Arc<Checked>> {
        let value =
            |name: &String| assignment.get(name).or_else(|| self.params.get(name)).or_else(|| self.idle.get(name));
        let values: Vec<&Value> = self.pipeline.params.keys().map(|name| value(name).unwrap_or(&Value::Null)).collect();
        self.pipeline.check(&values)
    }

    /// The first value of every facet and of everything that is searched.
    pub fn first_assignment(&self) -> Params {
        self.assignment(&self.facet_values(&[]), |i| self.sweep.parameters[i].domain.at(0.0))
    }

    /// The values of the facets at these positions; the first where there is none.
    fn facet_values(&self, positions: &[usize]) -> Params {
        let value = |(i, axis): (usize, &Axis)| {
            Some((axis.name.clone(), axis.values.get(positions.get(i).copied().unwrap_or(0))?.clone()))
        };
        self.facets.iter().enumerate().filter_map(value).collect()
    }

    /// What is not searched, at one facet.
    pub fn fixed(&self, facet: &Params) -> Params {
        let all = self.params.iter().chain(&self.idle).chain(facet);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn assignment(&self, facet: &Params, choose: impl Fn(usize) -> Value) -> Params {
        let chosen = self.sweep.assign(&self.fixed(facet), |i, factor| Some(scaled(choose(i), factor)));
        facet.clone().into_iter().chain(chosen.unwrap_or_default()).collect()
    }

    fn origin(&self, name: &str, assignment: &Params) -> Option<(Arc<Source>, NodePath)> {
        let (source, mut path) = self.origins.get(name)?.clone();
        let value = assignment.get(name);
        if let Some(axis) = self.facets.iter().find(|axis| axis.name == name) {
            path.extend(axis.values.iter().position(|v| Some(v) == value).map(Step::Index));
        } else if let Some(parameter) = self.sweep.parameters.iter().find(|p| p.targets().contains(&name)) {
            path.extend(parameter.place_of(name, value));
        }
        Some((source, path))
    }

    /// The configurations to check before anything runs: the first `cap` combinations of the values, of ranges the ends, and
    /// of a larger space as many more that meet every value.
    pub(super) fn sample(&self, cap: usize) -> impl Iterator<Item = Params> + '_ {
        let witnesses: Vec<Vec<Value>> = self.sweep.parameters.iter().map(|p| p.domain.witnesses()).collect();
        let mut counts: Vec<usize> = self.facets.iter().map(|axis| axis.values.len()).collect();
        counts.extend(witnesses.iter().map(Vec::len));
        let size = counts.iter().fold(1usize, |n, count| n.saturating_mul(*count));
        let longest = counts.iter().copied().max().unwrap_or(0);
        let longest = if size > cap { longest.min(cap) } else { 0 };
        let facets = self.facets.len();
        let combination = {
            let counts = counts.clone();
            move |number: usize| {
                // The last one moves fastest.
                let mut rest = number;
                let mut positions: Vec<usize> = Vec::with_capacity(counts.len());
                for count in counts.iter().rev() {
                    positions.push(rest % count);
                    rest /= count;
                }
                positions.reverse();
                positions
            }
        };
        let diagonal = (0..longest).map(move |k| counts.iter().map(|count| k % count).collect());
        let positions = (0..size.min(cap)).map(combination).chain(diagonal);
        positions.map(move |at: Vec<usize>| {
            self.assignment(&self.facet_values(&at[..facets]), |i| witnesses[i][at[facets + i]].clone())
        })
    }
}
