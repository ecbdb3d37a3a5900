//! 4: runs each node once. [`run`] coordinates worker processes over the plan and emits [`Event`]s; it prints nothing. [`make`] does so for single nodes.
//!
//! `scheduler` decides what may run (states of nodes, no processes), `packs` what runs side by side, `pool` owns the processes, `thaw_line` what is stored below it, `experiment` knows arms,
//! searches and selections, `estimate` how long the rest will take, `coordinator` is the loop that joins them.

mod coordinator;
pub mod deadline;
mod estimate;
pub mod event;
mod experiment;
pub mod explain;
pub mod git;
mod interrupt;
mod packs;
pub mod pool;
pub mod rows;
pub mod scheduler;
pub mod thaw_line;

pub use coordinator::{Finish, Options, make, run};
pub use event::Event;
pub use experiment::{Arms, plan_all};
pub use thaw_line::Storing;
