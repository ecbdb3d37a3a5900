//! The process that computes: takes one node at a time from its coordinator, runs its stage, and hands the artifact over.
//! A pure function from (manifest, input files) to output files; it knows no plan and no database.
//!
//! [`protocol`] is what the two say to each other, one JSON object a line; [`serve`](serve::serve) is the worker's side.

pub mod predict;
pub mod protocol;
pub mod serve;
mod usage;
