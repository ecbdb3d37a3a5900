//! `thawline schema`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Outcome, output};
use crate::spec::json_schema;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Which kind of file.
    #[arg(value_enum)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Files with `stages`.
    Pipeline,
    /// Files with `arms`.
    Experiment,
}

pub fn run(arguments: &Arguments) -> Outcome {
    output::json(&match arguments.kind {
        Kind::Pipeline => json_schema::pipeline(),
        Kind::Experiment => json_schema::experiment(),
    })?;
    Ok(ExitCode::SUCCESS)
}
