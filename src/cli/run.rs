//! `thawline run`.

use std::{collections::HashSet, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{
    Common, Outcome, Target, TextOrJson, budget::Budget, detach, device::Placement, notify, output, plan,
    progress::Reporter, project, report, smoke, text,
};
use crate::{
    engine::{self, Finish, Options, Storing},
    report as page,
    store::Store,
};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    placement: Placement,
    #[command(flatten)]
    budget: Budget,
    /// Threads in use at once; by default one a core.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Only show what would run, and why.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Try every kind of node on two batches of images before the night, in a store that is thrown away.
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    smoke: bool,
    /// Go on in the background, also when the terminal is closed.
    #[arg(long, conflicts_with_all = ["dry_run", "smoke"])]
    detach: bool,
    /// Make everything again, whatever is on record.
    #[arg(short, long)]
    force: bool,
    /// Go on with what does not depend on a failure; the default.
    #[arg(short, long, overrides_with = "fail_fast")]
    keep_going: bool,
    /// Start nothing new after a failure.
    #[arg(long)]
    fail_fast: bool,
    /// Whether activations below a thaw line are stored: when that is cheaper, always, or never. Results are the same.
    #[arg(long, value_enum, default_value = "auto")]
    store_activations: Storing,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// As `run`, for what failed.
#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    run: Arguments,
    /// Trials that failed in the latest run; the default.
    #[arg(long)]
    failed: bool,
}

/// Runs what failed, and leaves what is still to do.
pub fn retry(common: &Common, arguments: Retry) -> Outcome {
    perform(common, &arguments.run, Scope::Failed)
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    perform(common, arguments, Scope::All)
}

/// Which trials a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Failed,
}

fn perform(common: &Common, arguments: &Arguments, scope: Scope) -> Outcome {
    if arguments.dry_run {
        return plan::show(common, &arguments.target, arguments.placement, arguments.format);
    }
    let experiment = project::check(common, &arguments.target)?;
    let device = arguments.placement.device(common)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        jobs: arguments.jobs.map_or(cores, usize::from),
        force: arguments.force,
        keep_going: !arguments.fail_fast || arguments.keep_going,
        storing: arguments.store_activations,
        device,
        limits: arguments.budget.limits(),
        deadline: arguments.budget.deadline(),
        max_trials: arguments.budget.max_trials(),
        only: None,
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    if arguments.smoke {
        return smoke::run(common, experiment, &options, arguments.format);
    }
    if arguments.detach {
        return detach::run(&experiment);
    }
    let mut store = Store::open(&experiment.root)?;
    if scope == Scope::Failed {
        let latest = project::latest_run(&store, &experiment.name)?;
        let failed = store.trials(latest.id)?.into_iter().filter(|trial| trial.status == "failed");
        let failed: HashSet<String> = failed.map(|trial| trial.trial).collect();
        if failed.is_empty() {
            output::print(&format!("no trial failed in run {} of {}", latest.id, latest.experiment));
            return Ok(ExitCode::SUCCESS);
        }
        options.only = Some(failed);
    }
    trace_to(&store)?;
    let silent = arguments.format == TextOrJson::Json;
    let mut reporter = Reporter::new(common, silent);
    for notice in &experiment.notices {
        reporter.show(&engine::Event::Notice { text: notice.clone() });
    }
    let finish = engine::run(&experiment, &options, &mut store, &mut |event| reporter.show(event))?;

    let record = project::latest_run(&store, &experiment.name)?;
    let (summary, written) = report::write(&store, &record, crate::report::Seal::Kept)?;
    let text = page::terminal(&summary, output::screen());
    notify::run(&experiment, &finish, &text, &written.markdown);
    if silent {
        output::json(&json!({
            "run": finish.run,
            "status": finish.status,
            "nodes": finish.progress,
            "seconds": finish.seconds,
            "report": written.markdown,
            "comparison": summary,
        }))?;
    } else {
        output::print(&text);
        output::print(&format!("report: {}\n        {}", written.markdown.display(), written.html.display()));
        if !common.quiet {
            output::remark(&last_line(&finish, arguments));
        }
    }
    Ok(ExitCode::from(match finish.status {
        // A run that stopped in time did what it was asked for, unless something failed.
        "done" => 0,
        "stopped" if finish.progress.failed == 0 => 0,
        "interrupted" | "cancelled" => 130,
        _ => 1,
    }))
}

fn last_line(finish: &Finish, arguments: &Arguments) -> String {
    let p = finish.progress;
    let ran = text::plural(p.done, "node");
    let time = text::seconds(finish.seconds);
    let path = arguments.target.path.display();
    match finish.status {
        "done" => format!("done: {ran} ran, {} cached, in {time}", p.cached),
        "interrupted" | "cancelled" | "stopped" => {
            format!("{} after {time}: {ran} finished and kept. Go on with: thawline run {path}", finish.status)
        }
        _ => format!("failed: {ran} ran, {} cached, {} failed or stand on what failed, in {time}", p.cached, p.failed),
    }
}

/// Sends tracing events to `.thawline/log/thawline.log`; `THAWLINE_LOG` filters them as `RUST_LOG` would.
fn trace_to(store: &Store) -> Result<()> {
    let path = store.dir().join("log/thawline.log");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("opening {}", path.display()))?;
    let filter = EnvFilter::try_from_env("THAWLINE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::sync::Mutex::new(file));
    // A second subscriber in one process (tests) changes nothing.
    let _ = subscriber.try_init();
    Ok(())
}
