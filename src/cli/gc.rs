//! `thawline gc`.

use std::{
    collections::{BTreeMap, HashSet},
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use super::{Common, Failure, Outcome, TextOrJson, output, project, text};
use crate::{
    spec::limits::{duration, size},
    stages::{ArtifactType, kind},
    store::{
        Store,
        eviction::{Artifact, Leftover},
        now,
    },
};

/// Small, and read by every report and prediction.
const KEPT: [&str; 2] = ["dataset", "evaluate"];

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub struct Arguments {
    /// What was made longer ago than this: `30d`, `12h`.
    #[arg(long, value_name = "DURATION", value_parser = duration, group = "what")]
    older_than: Option<f64>,
    /// As much as is needed to bring the store down to this size, first what is made again soonest for its size: `20GB`.
    #[arg(long, value_name = "SIZE", value_parser = size, group = "what")]
    max_size: Option<u64>,
    /// All that the latest runs of these experiments do not reach; can be repeated.
    #[arg(long, value_name = "EXPERIMENT", group = "what")]
    keep: Vec<String>,
    /// Only show what would go.
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

/// What goes.
struct Doomed {
    artifacts: Vec<Artifact>,
    leftovers: Vec<Leftover>,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let store = project::existing_store(common, arguments.keep.first().map(String::as_str))?;
    let artifacts = store.artifacts()?;
    let total: u64 = artifacts.iter().map(|artifact| artifact.bytes).sum();
    let doomed = choose(&store, arguments, artifacts, total)?;
    if !arguments.dry_run {
        doomed.artifacts.iter().try_for_each(|artifact| store.evict(&artifact.digest))?;
        doomed.leftovers.iter().try_for_each(|leftover| store.clear(&leftover.key))?;
    }
    let mut kinds: BTreeMap<&str, (usize, u64, f64)> = BTreeMap::new();
    for artifact in &doomed.artifacts {
        let (count, bytes, seconds) = kinds.entry(&artifact.kind).or_default();
        *count += 1;
        *bytes += artifact.bytes;
        *seconds += artifact.seconds;
    }
    for leftover in &doomed.leftovers {
        let (count, bytes, _) = kinds.entry("unfinished work").or_default();
        *count += 1;
        *bytes += leftover.bytes;
    }
    let freed: u64 = kinds.values().map(|(_, bytes, _)| bytes).sum();
    let left = total.saturating_sub(doomed.artifacts.iter().map(|artifact| artifact.bytes).sum());
    if arguments.format == TextOrJson::Json {
        let kinds: BTreeMap<&str, _> = kinds
            .iter()
            .map(|(kind, (count, bytes, seconds))| {
                (*kind, json!({ "count": count, "bytes": bytes, "seconds": seconds }))
            })
            .collect();
        output::json(&json!({ "dry_run": arguments.dry_run, "freed": freed, "left": left, "kinds": kinds }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !kinds.is_empty() {
        let row = |(kind, (count, bytes, seconds)): (&&str, &(usize, u64, f64))| {
            vec![kind.to_string(), count.to_string(), text::bytes(*bytes), text::seconds(*seconds)]
        };
        output::print(&text::table(
            &["what", "how many", "size", "to make again"],
            kinds.iter().map(row).collect(),
            &[1, 2, 3],
        ));
    }
    let verb = if arguments.dry_run { "would free" } else { "freed" };
    output::print(&format!("{verb} {}; {} of artifacts stay", text::bytes(freed), text::bytes(left)));
    Ok(ExitCode::SUCCESS)
}

fn choose(store: &Store, arguments: &Arguments, artifacts: Vec<Artifact>, total: u64) -> Result<Doomed, Failure> {
    let mut reached = HashSet::new();
    for experiment in &arguments.keep {
        reached.extend(store.keys_of_run(project::latest_run(store, experiment)?.id)?);
    }
    let protected = Protected::new(store)?;
    let (mut doomed, mut rest): (Vec<Artifact>, Vec<Artifact>) = artifacts.into_iter().partition(|artifact| {
        let unreached = !arguments.keep.is_empty() && !artifact.keys.iter().any(|key| reached.contains(key));
        let old = arguments.older_than.is_some_and(|age| now() - artifact.made > age) && protected.is_spare(artifact);
        (unreached || old) && !protected.is_in_use(artifact)
    });
    if let Some(most) = arguments.max_size {
        let mut left = total - doomed.iter().map(|artifact| artifact.bytes).sum::<u64>();
        let cost = |artifact: &Artifact| artifact.seconds / artifact.bytes.max(1) as f64;
        rest.sort_by(|a, b| cost(a).total_cmp(&cost(b)).then_with(|| a.digest.cmp(&b.digest)));
        for artifact in rest {
            if left > most && protected.is_spare(&artifact) && !protected.is_in_use(&artifact) {
                left -= artifact.bytes;
                doomed.push(artifact);
            }
        }
        if left > most {
            output::remark(&format!(
                "{} cannot go: models of selected trials, evaluations, and what a run under way needs",
                text::bytes(left)
            ));
        }
    }
    let is_doomed = |leftover: &Leftover| {
        let old = arguments.older_than.is_some_and(|age| now() - leftover.changed > age);
        let unreached = !arguments.keep.is_empty() && !reached.contains(&leftover.key);
        (old || unreached) && !protected.in_use.contains(&leftover.key)
    };
    let leftovers = store.leftovers()?.into_iter().filter(is_doomed).collect();
    Ok(Doomed { artifacts: doomed, leftovers })
}

/// What age and size do not touch.
struct Protected {
    /// Runs under way, and all that their trials stand on.
    runs: HashSet<i64>,
    in_use: HashSet<String>,
    /// When the earliest of them began: whatever was made since may be for it.
    since: f64,
    /// Nodes of selected trials, of the latest run of every experiment.
    selected: HashSet<String>,
}

impl Protected {
    fn new(store: &Store) -> anyhow::Result<Protected> {
        let mut protected =
            Protected { runs: HashSet::new(), in_use: HashSet::new(), since: f64::INFINITY, selected: HashSet::new() };
        let mut seen = HashSet::new();
        for run in store.runs(None, 10_000)? {
            if run.state() == "running" {
                protected.in_use.extend(store.keys_of_run(run.id)?);
                protected.runs.insert(run.id);
                protected.since = protected.since.min(run.started);
            }
            if seen.insert(run.experiment.clone()) {
                let selected = store.trials(run.id)?.into_iter().filter(|trial| trial.selected);
                protected.selected.extend(selected.flat_map(|trial| trial.nodes).map(|(_, key)| key));
            }
        }
        Ok(protected)
    }

    fn is_in_use(&self, artifact: &Artifact) -> bool {
        artifact.made >= self.since
            || artifact.runs.iter().any(|run| self.runs.contains(run))
            || artifact.keys.iter().any(|key| self.in_use.contains(key))
    }

    /// Whether it may go though it is reached: neither small nor a selected model.
    fn is_spare(&self, artifact: &Artifact) -> bool {
        let is_model =
            kind(&artifact.kind).is_some_and(|kind| matches!(kind.makes, ArtifactType::Model | ArtifactType::Program));
        let is_selected = is_model && artifact.keys.iter().any(|key| self.selected.contains(key));
        !is_selected && !KEPT.contains(&artifact.kind.as_str())
    }
}
