//! `thawline run`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use super::{
    Common, Outcome, Target, TextOrJson, device::Placement, output, plan, progress::Reporter, project, report, smoke,
    text,
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
    /// Threads in use at once; by default one a core.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Only show what would run, and why.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Try every kind of node on two batches of images before the night, in a store that is thrown away.
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    smoke: bool,
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

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    if arguments.dry_run {
        return plan::show(common, &arguments.target, arguments.placement, arguments.format);
    }
    let experiment = project::check(common, &arguments.target)?;
    let device = arguments.placement.device(common)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        jobs: arguments.jobs.map_or(cores, usize::from),
        force: arguments.force,
        keep_going: !arguments.fail_fast || arguments.keep_going,
        storing: arguments.store_activations,
        device,
        command: std::env::args().collect::<Vec<_>>().join(" "),
    };
    if arguments.smoke {
        return smoke::run(common, experiment, &options, arguments.format);
    }
    let mut store = Store::open(&experiment.root)?;
    trace_to(&store)?;
    let silent = arguments.format == TextOrJson::Json;
    let mut reporter = Reporter::new(common, silent);
    for notice in &experiment.notices {
        reporter.show(&engine::Event::Notice { text: notice.clone() });
    }
    let finish = engine::run(&experiment, &options, &mut store, &mut |event| reporter.show(event))?;

    let record = project::latest_run(&store, &experiment.name)?;
    let (summary, written) = report::write(&store, &record, crate::report::Seal::Kept)?;
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
        output::print(&page::terminal(&summary, output::screen()));
        output::print(&format!("report: {}\n        {}", written.markdown.display(), written.html.display()));
        if !common.quiet {
            output::remark(&last_line(&finish, arguments));
        }
    }
    Ok(ExitCode::from(match finish.status {
        "done" => 0,
        "interrupted" => 130,
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
        "interrupted" => format!("interrupted after {time}: {ran} finished and kept. Go on with: thawline run {path}"),
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
