//! The real programs on small real projects: one file a behaviour.

mod cache;
mod corruption;
mod determinism;
mod golden;
mod interrupt;
mod kills;
mod predict;
mod results;
mod search;
mod structure;
mod support;
mod validate;
