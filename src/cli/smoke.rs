//! `thawline run --smoke`: every kind of node on a handful of images, in a store that is thrown away.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{Common, Outcome, TextOrJson, output, progress::Reporter, text};
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
    let scratch = Scratch::new(&experiment.root)?;
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
            "interrupted" => format!("smoke: interrupted after {time}; nothing was kept."),
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
        "interrupted" => 130,
        _ => 1,
    }))
}

/// A folder beside the store, gone when dropped.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new(root: &Path) -> Result<Scratch> {
        let store = root.join(".thawline");
        remove_abandoned(&store);
        let folder = store.join(format!("smoke-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(Scratch { folder })
    }
}

/// Removes what smoke tests left that were killed.
fn remove_abandoned(store: &Path) {
    for entry in store.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix("smoke-").and_then(|pid| pid.parse::<u32>().ok());
        if process.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = remove(&entry.path());
        }
    }
}

/// Artifacts are read-only, their folders too.
fn remove(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in folder.read_dir()?.flatten() {
        if entry.file_type()?.is_dir() {
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o755))?;
            remove(&entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_dir(folder)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.folder);
        // Only where there was no store before.
        if let Some(store) = self.folder.parent() {
            let _ = std::fs::remove_dir(store);
        }
    }
}
