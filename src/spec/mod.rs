//! Phase 1: YAML to Spec. The only YAML reader. [`load`] reads an experiment (or a pipeline, as an experiment of one arm),
//! checks every configuration that it spans, and gives either an [`Experiment`] whose arms resolve to typed stages, or
//! everything that is wrong with it, located, at once. Knows nothing of nodes, caches or results.
//!
//! The way of a file: `yaml` (text to a tree), `interpolate` (`${x}`), `schema`, `semantics` and `graph` (what may stand there),
//! `layers` (pipelines that extend others, parameter files), `pipeline` and `experiment` (the two kinds of file), `arm` (one
//! recipe, resolved per configuration), `resolved` (that, written down), `files` (what is on the disk), `json_schema` (what
//! editors are told), `locate` and `diagnostic` (what is wrong, and where).

mod arm;
mod balance;
mod diagnostic;
mod domain;
mod experiment;
mod files;
mod graph;
mod interpolate;
pub mod json_schema;
mod layers;
pub mod limits;
mod load;
mod locate;
mod metric;
mod pipeline;
mod precedence;
mod read_sweep;
mod resolved;
mod schema;
mod semantics;
mod smoke;
mod sweep;
mod yaml;

#[cfg(test)]
mod tests;

pub use crate::stages::dataset::Fold;
pub use arm::{Arm, Axis, Resolved};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, display};
pub use domain::Domain;
pub use experiment::{Experiment, Folds, ReportSpec, schema as experiment_schema};
pub use load::{check, load, project_root};
pub use metric::{Goal, Metric};
pub use pipeline::{LateValue, Pipeline};
pub use resolved::resolved;
pub use semantics::BackboneChoice;
pub use sweep::{Method, Parameter, Sweep, scaled};

/// Parameters by name, in the order they were declared.
pub type Params = serde_json::Map<String, serde_json::Value>;
