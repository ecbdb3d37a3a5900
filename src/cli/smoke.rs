//! `thawline run --smoke`: every kind of node on a handful of images, in a store that is thrown away.

use std::{collections::BTreeMap, process::ExitCode};

use serde_json::json;

use super::{Common, Outcome, TextOrJson, output, progress::Reporter, scratch::Scratch, text};
use crate::{
    engine::{self, Options},
    spec::Experiment,
    stages,
    store::Store,
};

/// Runs the smoke test of `experiment`.
pub fn run(common: &Common, experiment: Experiment, options: &Options, format: TextOrJson) -> Outcome {
    let (name, path) = (experiment.name.clone(), experiment.path.clone());
    let experiment = experiment.smoke();
    let scratch = Scratch::new(&experiment.root, "smoke")?;
    let mut store = Store::open(&scratch.folder)?;
    let silent = format == TextOrJson::Json;
    let mut reporter = Reporter::new(common, silent);
    let finish = engine::run(&experiment, options, &mut store, &mut |event| reporter.show(event))?;
    let seconds: BTreeMap<String, f64> = store.mean_seconds()?;
    let kinds: Vec<&str> =
        stages::KINDS.iter().map(|kind| kind.name).filter(|kind| seconds.contains_key(*kind)).collect();
    let (progress, status) = (finish.progress, finish.status);
    if silent {
        output::json(
            &json!({ "experiment": name, "status": status, "kinds": kinds, "nodes": progress, "seconds": finish.seconds }),
        )?;
    } else {
        let (ran, time) = (text::plural(progress.done, "node"), text::seconds(finish.seconds));
        let said = match status {
            "done" => format!("smoke: {ran} work ({}), in {time}; nothing was kept.", kinds.join(", ")),
            "interrupted" | "cancelled" | "stopped" => format!("smoke: {status} after {time}; nothing was kept."),
            _ => format!(
                "smoke: {} failed or stand on what failed, {ran} work, in {time}; nothing was kept.",
                progress.failed
            ),
        };
        output::print(&said);
        if status == "done" {
            output::remark(&format!(
                "The whole of it: thawline run {}",
                path.strip_prefix(&experiment.root).unwrap_or(&path).display()
            ));
        }
    }
    Ok(ExitCode::from(match status {
        "done" => 0,
        "interrupted" | "cancelled" => 130,
        _ => 1,
    }))
}
