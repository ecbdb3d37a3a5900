//! 3: which trials next. A search suggests configurations and is told how they scored; it knows nothing of nodes, files or
//! processes. Every method goes through the same [`Search`], grids too.

mod grid;
pub mod select;

use serde_json::{Map, Value};

pub use grid::Grid;

use crate::spec::{Arm, Method};

/// A point of the search space.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// From 0, in the order of suggestion.
    pub id: usize,
    /// A value for every axis.
    pub values: Map<String, Value>,
}

/// The ask/tell boundary.
pub trait Search {
    /// The next suggestion; `None` when there is none before more results are told, or none at all.
    fn ask(&mut self) -> Option<Suggestion>;
    /// The value of a suggestion (the mean of its repeats), or `None` when it has none because a repeat failed.
    fn tell(&mut self, id: usize, value: Option<f64>);
}

/// The search that an arm asks for.
pub fn for_arm(arm: &Arm) -> Box<dyn Search> {
    match arm.method {
        Method::Grid => Box::new(Grid::new(&arm.axes, arm.run_cap)),
    }
}
