//! What stages compute with: the only user of tch beside them.

pub mod optimizer;
