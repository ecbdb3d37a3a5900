//! The real programs on small real projects: one file a behaviour.

mod cache;
mod corruption;
mod determinism;
mod interrupt;
mod kills;
mod predict;
mod preview;
mod results;
mod structure;
mod support;
mod validate;
