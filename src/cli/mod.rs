//! How people reach all of it: one file a verb. A verb wires the phases and renders to the terminal; it decides nothing.
//!
//! Exit codes: 0 all done or up to date; 1 a trial or stage failed; 2 wrong use or configuration; 130 interrupted.

mod ask;
mod budget;
mod compare;
mod dag;
mod detach;
mod device;
mod diff;
mod examples;
mod explain;
mod export;
mod forecast;
mod gc;
mod import;
mod init;
mod logs;
mod lr_find;
mod manual;
mod models;
mod notify;
mod output;
mod plan;
mod predict;
mod preview;
mod progress;
mod project;
mod report;
mod results;
mod run;
mod schema;
mod scratch;
mod show;
mod smoke;
mod status;
mod stop;
mod text;
mod trained;
mod validate;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// A declarative experiment runner for transfer learning in image classification.
#[derive(Debug, Parser)]
#[command(name = "thawline", version, propagate_version = true)]
#[command(
    after_help = "Begin with `thawline init FOLDER`, which writes a project for a folder of images.\n`thawline VERB --help` shows examples."
)]
struct Cli {
    /// The project's root; by default the nearest folder with `.thawline`, `pipelines`, `experiments` or `.git`.
    #[arg(long, global = true, env = "THAWLINE_PROJECT", value_name = "DIR")]
    project: Option<PathBuf>,
    /// More on standard error: which files are read, what starts, every epoch.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Only errors on standard error.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a working project for a folder or a table of images.
    Init(init::Arguments),
    /// Run an experiment; what is on record is not done again.
    Run(run::Arguments),
    /// Show what a run would do, and why.
    Plan(plan::Arguments),
    /// Check YAML files; all errors at once.
    Validate(validate::Arguments),
    /// Print the graph of stages.
    Dag(dag::Arguments),
    /// Show how far runs are.
    Status(status::Arguments),
    /// Stop what runs: epochs under way are finished and saved.
    Stop(stop::Arguments),
    /// Stop what runs at once: epochs under way are lost.
    Cancel(stop::Arguments),
    /// Run what failed again, and nothing else that is left.
    Retry(run::Retry),
    /// Print what the nodes of a trial said.
    Logs(logs::Arguments),
    /// Show a trial or a node: parameters, metrics, cost, curve, log.
    Show(show::Arguments),
    /// Say why nodes are cached or have to run.
    Explain(explain::Arguments),
    /// Write the report of the latest run and print the comparison.
    Report(report::Arguments),
    /// Compare two experiments, two revisions of one, or two trials.
    Compare(compare::Arguments),
    /// Take in trials from the records of a report, a colleague's for example.
    Import(import::Arguments),
    /// Print a row a trial.
    Results(results::Arguments),
    /// Classify images with a trial's model, or with a published network.
    Predict(predict::Arguments),
    /// Write a trial's model as a file that PyTorch loads.
    Export(export::Arguments),
    /// Draw what an augment stage makes of some training images, as a contact sheet.
    Preview(preview::Arguments),
    /// Find a learning rate to train with: run the pipeline's `lr_find` stages alone.
    LrFind(lr_find::Arguments),
    /// Throw away artifacts that can be made again.
    Gc(gc::Arguments),
    /// List the backbones, their blocks and where their weights come from.
    Models(models::Arguments),
    /// Print the JSON Schema of a kind of YAML file, for editors.
    Schema(schema::Arguments),
    /// Print a shell's completions.
    Completions(manual::Completions),
    /// Print or write manual pages.
    Man(manual::Man),
}

/// The experiment to work on.
#[derive(Debug, Args)]
struct Target {
    /// An experiment's or a pipeline's YAML.
    #[arg(value_name = "YAML")]
    path: PathBuf,
    /// Set a parameter of every arm: stronger than the YAML.
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    if key.is_empty() { Err(format!("`{text}` names no parameter")) } else { Ok((key.to_string(), value.to_string())) }
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TextOrJson {
    Text,
    Json,
}

/// What all verbs share.
struct Common {
    project: Option<PathBuf>,
    verbose: u8,
    quiet: bool,
}

/// A failure with its exit code.
enum Failure {
    /// Exit code 1: something that ran failed.
    Failed(anyhow::Error),
    /// Exit code 2: wrong use or configuration.
    Usage(anyhow::Error),
}

impl From<crate::spec::Diagnostics> for Failure {
    fn from(diagnostics: crate::spec::Diagnostics) -> Failure {
        Failure::Usage(diagnostics.into())
    }
}

/// An error that happened while working is a failure; one before is made with [`usage`].
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::Failed(error)
    }
}

/// A mistake of the person who called.
fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Usage(error.into())
}

type Outcome = Result<ExitCode, Failure>;

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let matches = examples::add_to(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let common = Common { project: cli.project, verbose: cli.verbose, quiet: cli.quiet };
    let outcome = match cli.verb {
        Verb::Init(arguments) => init::run(&common, &arguments),
        Verb::Run(arguments) => run::run(&common, &arguments),
        Verb::Plan(arguments) => plan::run(&common, &arguments),
        Verb::Validate(arguments) => validate::run(&common, &arguments),
        Verb::Dag(arguments) => dag::run(&common, &arguments),
        Verb::Status(arguments) => status::run(&common, &arguments),
        Verb::Stop(arguments) => stop::run(&common, &arguments, stop::Way::AfterTheEpoch),
        Verb::Cancel(arguments) => stop::run(&common, &arguments, stop::Way::AtOnce),
        Verb::Retry(arguments) => run::retry(&common, arguments),
        Verb::Logs(arguments) => logs::run(&common, &arguments),
        Verb::Show(arguments) => show::run(&common, &arguments),
        Verb::Explain(arguments) => explain::run(&common, &arguments),
        Verb::Report(arguments) => report::run(&common, &arguments),
        Verb::Compare(arguments) => compare::run(&common, &arguments),
        Verb::Import(arguments) => import::run(&common, &arguments),
        Verb::Results(arguments) => results::run(&common, &arguments),
        Verb::Predict(arguments) => predict::run(&common, &arguments),
        Verb::Export(arguments) => export::run(&common, &arguments),
        Verb::Preview(arguments) => preview::run(&common, &arguments),
        Verb::LrFind(arguments) => lr_find::run(&common, &arguments),
        Verb::Gc(arguments) => gc::run(&common, &arguments),
        Verb::Models(arguments) => models::run(&arguments),
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => manual::completions(examples::add_to(Cli::command()), &arguments),
        Verb::Man(arguments) => manual::man(examples::add_to(Cli::command()), &arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure::Failed(error)) => {
            output::error(&error);
            ExitCode::from(1)
        }
        Err(Failure::Usage(error)) => {
            output::error(&error);
            ExitCode::from(2)
        }
    }
}
