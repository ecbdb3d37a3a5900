//! The real programs on small real projects: one file a behaviour.

mod cache;
mod corruption;
mod determinism;
mod folds;
mod golden;
mod interrupt;
mod kills;
mod photos;
mod predict;
mod results;
mod structure;
mod support;
mod validate;
