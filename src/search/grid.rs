//! Every combination of the axes' values, in order: the last axis moves fastest.

use serde_json::{Map, Value};

use super::{Search, Suggestion};
use crate::spec::Axis;

/// `method: grid`.
#[derive(Debug, Clone)]
pub struct Grid {
    axes: Vec<Axis>,
    next: usize,
    end: usize,
}

impl Grid {
    /// At most `run_cap` combinations, the first ones.
    pub fn new(axes: &[Axis], run_cap: Option<u64>) -> Grid {
        let all = axes.iter().fold(1usize, |n, axis| n.saturating_mul(axis.values.len()));
        let cap = run_cap.map_or(usize::MAX, |cap| usize::try_from(cap).unwrap_or(usize::MAX));
        Grid { axes: axes.to_vec(), next: 0, end: all.min(cap) }
    }
}

/// Combination number `id` of the axes.
fn combination(axes: &[Axis], id: usize) -> Map<String, Value> {
    let mut rest = id;
    let mut values = Vec::new();
    for axis in axes.iter().rev() {
        values.push((axis.name.clone(), axis.values[rest % axis.values.len()].clone()));
        rest /= axis.values.len();
    }
    values.into_iter().rev().collect()
}

impl Search for Grid {
    fn ask(&mut self) -> Option<Suggestion> {
        if self.next >= self.end {
            return None;
        }
        self.next += 1;
        Some(Suggestion { id: self.next - 1, values: combination(&self.axes, self.next - 1) })
    }

    fn tell(&mut self, _id: usize, _value: Option<f64>) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn axes() -> Vec<Axis> {
        vec![
            Axis { name: "lr".into(), values: vec![json!(0.1), json!(0.01)] },
            Axis { name: "wd".into(), values: vec![json!(0), json!(1), json!(2)] },
        ]
    }

    fn all(mut grid: Grid) -> Vec<Value> {
        std::iter::from_fn(|| grid.ask()).map(|s| Value::Object(s.values)).collect()
    }

    #[test]
    fn suggests_every_combination_once_in_order() {
        let points = all(Grid::new(&axes(), None));
        assert_eq!(points.len(), 6);
        assert_eq!(points[0], json!({"lr": 0.1, "wd": 0}));
        assert_eq!(points[1], json!({"lr": 0.1, "wd": 1}));
        assert_eq!(points[5], json!({"lr": 0.01, "wd": 2}));
    }

    #[test]
    fn no_axes_are_one_point_and_a_cap_caps() {
        assert_eq!(all(Grid::new(&[], None)), vec![json!({})]);
        assert_eq!(all(Grid::new(&axes(), Some(4))).len(), 4);
    }
}
