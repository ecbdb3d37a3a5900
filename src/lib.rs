//! thawline: a declarative experiment runner for transfer learning in image classification.
//!
//! The modules in the order that a run flows through them:
//! `spec` (YAML to Experiment), `search` (which configurations next), `plan` (trials to a graph of nodes), `engine` (each
//! node once, in worker processes spoken to by `protocol`), `store` (what was made), `report` (what it means). Beside them:
//! `stages` says what can be written and run, `device` what it is computed on, `backbones` and `rng` are plain data and arithmetic, `artifact` the values
//! that pass between stages, `images` how files become pixels, `metrics` how predictions are scored, `cli` how people reach
//! all of it. The worker, a package of its own, computes; nothing here loads libtorch.

pub mod artifact;
pub mod backbones;
pub mod cli;
pub mod device;
pub mod engine;
pub mod images;
pub mod metrics;
pub mod plan;
pub mod protocol;
pub mod report;
pub mod rng;
pub mod search;
pub mod spec;
pub mod stages;
pub mod store;
