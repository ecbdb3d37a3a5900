//! All training curves of a run, in columns: ten million values must not be ten million objects.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use anyhow::Result;

use super::evidence::{Curve, Point};
use crate::store::Store;

/// Values by node, and which nodes a trial trained through.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// Names of the metrics, sorted.
    pub metrics: Vec<String>,
    /// [metric][row]; NaN where an epoch has no value.
    pub values: Vec<Vec<f64>>,
    /// Of the node, from 1, by row.
    pub epochs: Vec<u32>,
    /// Rows of a node, by key.
    nodes: HashMap<String, Range<usize>>,
    /// (label, key) of the nodes that a trial trained through, in order.
    trials: HashMap<String, Vec<(String, String)>>,
}

impl Curves {
    /// `trials`: of every trial, (label, key) of the nodes that trained. One pass over the index.
    pub fn read(store: &Store, trials: HashMap<String, Vec<(String, String)>>) -> Result<Curves> {
        let mut curves = Curves::default();
        let wanted: std::collections::HashSet<&str> = trials.values().flatten().map(|(_, key)| key.as_str()).collect();
        if wanted.is_empty() {
            return Ok(curves);
        }
        let mut columns: HashMap<String, usize> = HashMap::new();
        let (mut current, mut is_wanted, mut start) = (String::new(), false, 0);
        let close = |curves: &mut Curves, key: &str, start: usize| {
            if curves.epochs.len() > start {
                curves.nodes.insert(key.to_owned(), start..curves.epochs.len());
            }
        };
        store.for_each_epoch(|key, epoch, metric, value| {
            if key != current {
                close(&mut curves, &current, start);
                start = curves.epochs.len();
                current = key.to_owned();
                is_wanted = wanted.contains(key);
            }
            if !is_wanted {
                return;
            }
            if curves.epochs.len() == start || curves.epochs.last() != Some(&epoch) {
                curves.epochs.push(epoch);
                curves.values.iter_mut().for_each(|column| column.push(f64::NAN));
            }
            let column = columns.get(metric).copied().unwrap_or_else(|| {
                columns.insert(metric.to_owned(), curves.values.len());
                curves.metrics.push(metric.to_owned());
                curves.values.push(vec![f64::NAN; curves.epochs.len()]);
                curves.values.len() - 1
            });
            if let Some(last) = curves.values[column].last_mut() {
                *last = value;
            }
        })?;
        close(&mut curves, &current, start);
        // In order of names, whatever the order in which they came.
        let mut order: Vec<usize> = (0..curves.metrics.len()).collect();
        order.sort_by(|&a, &b| curves.metrics[a].cmp(&curves.metrics[b]));
        curves.metrics = order.iter().map(|&i| curves.metrics[i].clone()).collect();
        curves.values = order.iter().map(|&i| std::mem::take(&mut curves.values[i])).collect();
        curves.trials = trials;
        Ok(curves)
    }

    /// (label, rows) of the nodes that a trial trained through, in order.
    pub fn rows(&self, trial: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
        let nodes = self.trials.get(trial).into_iter().flatten();
        nodes.filter_map(|(label, key)| Some((label.as_str(), self.nodes.get(key)?.clone())))
    }

    /// The curve of one trial; `None` when it has none.
    pub fn curve(&self, trial: &str) -> Option<Curve> {
        let mut curve = Curve::default();
        for (label, rows) in self.rows(trial) {
            let node: std::sync::Arc<str> = label.into();
            for row in rows {
                let metrics = self.metrics.iter().zip(&self.values).filter(|(_, values)| !values[row].is_nan());
                let metrics: BTreeMap<String, f64> =
                    metrics.map(|(name, values)| (name.clone(), values[row])).collect();
                curve.epochs.push(Point { node: node.clone(), epoch: self.epochs[row], metrics });
            }
        }
        (!curve.epochs.is_empty()).then_some(curve)
    }

    /// Puts a trial's curve under another name, for a page that joins several runs.
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> Curves {
        self.trials = self.trials.into_iter().map(|(trial, nodes)| (name(&trial), nodes)).collect();
        self
    }

    /// Both; nodes that both have are kept once.
    pub fn joined(mut self, other: Curves) -> Curves {
        let offset = self.epochs.len();
        self.epochs.extend(&other.epochs);
        for (name, values) in other.metrics.iter().zip(&other.values) {
            let at = self.metrics.iter().position(|known| known == name).unwrap_or_else(|| {
                self.metrics.push(name.clone());
                self.values.push(vec![f64::NAN; offset]);
                self.metrics.len() - 1
            });
            self.values[at].extend(values);
        }
        self.values.iter_mut().for_each(|values| values.resize(self.epochs.len(), f64::NAN));
        let moved = other.nodes.into_iter().map(|(key, rows)| (key, rows.start + offset..rows.end + offset));
        self.nodes.extend(moved);
        self.trials.extend(other.trials);
        self
    }
}
