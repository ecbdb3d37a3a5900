//! The real programs on small real projects: one file a behaviour.

mod book;
mod budget;
mod cache;
mod command;
mod control;
mod corruption;
mod determinism;
mod device;
mod diff;
mod export;
mod folds;
mod gallery;
mod golden;
mod init;
mod interrupt;
mod kills;
mod lr_find;
mod mistakes;
mod photos;
mod predict;
mod preview;
mod report;
mod results;
mod reuse;
mod scale;
mod schemas;
mod search;
#[allow(dead_code, reason = "breaking off is for the unit tests of downloads")]
mod server;
mod smoke;
mod structure;
mod support;
mod terminal;
mod thaw_line;
mod torchscript;
mod weights;
