//! thawline: a declarative experiment runner for transfer learning in image classification.
//!
//! The modules in the order that a run flows through them:
//! `spec` (YAML to Spec), `plan` (Spec to a graph of nodes), `search` (which trials next), `engine` (each node once, in
//! `worker` processes that run `stages`), `store` (what was made), `report` (what it means). Beside them: `backbones` and
//! `rng` are plain data and arithmetic, `artifact` the values that pass between stages, `images` and `nn` what stages
//! compute with.

pub mod artifact;
pub mod backbones;
pub mod images;
pub mod metrics;
pub mod nn;
pub mod report;
pub mod rng;
pub mod stages;
