//! `thawline validate`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::Value;

use super::{Common, Outcome, TextOrJson, key_value, output, project, text};
use crate::spec;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Experiments' or pipelines' YAML files.
    #[arg(required = true, value_name = "YAML")]
    paths: Vec<PathBuf>,
    /// Set a parameter of every arm: stronger than the YAML.
    #[arg(short = 'S', long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print what the file comes to: everything looked up that it extends, names and leaves to defaults.
    #[arg(long, conflicts_with = "format")]
    resolved: bool,
    /// `json`: an array of what was found, for editors (docs/diagnostics.md).
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(common: &Common, arguments: &Arguments) -> Outcome {
    let mut valid = true;
    let mut found = Vec::new();
    for path in &arguments.paths {
        let checked = spec::check(path, &arguments.set, common.project.as_deref());
        valid &= checked.is_ok();
        if arguments.format == TextOrJson::Json {
            let diagnostics = checked.map_or_else(|errors| errors, |(_, notices)| notices);
            if let Value::Array(items) = diagnostics.to_json() {
                found.extend(items);
            }
            continue;
        }
        match checked {
            Ok((experiment, _)) if arguments.resolved => output::print(&spec::resolved(&experiment)?),
            Ok(_) if common.quiet => {}
            Ok((experiment, _)) => {
                project::say_read(common, &experiment);
                for notice in &experiment.notices {
                    output::remark(&format!("notice: {notice}"));
                }
                let arms = text::plural(experiment.arms.len(), "arm");
                let seeds = text::plural(experiment.seeds.len(), "seed");
                let folds = experiment.folds.map(|folds| format!(", {}", text::plural(folds.all().count(), "fold")));
                output::print(&format!("{}: valid, {arms}, {seeds}{}", path.display(), folds.unwrap_or_default()));
            }
            Err(diagnostics) => output::remark(diagnostics.to_string().trim_end()),
        }
    }
    if arguments.format == TextOrJson::Json {
        output::json(&Value::Array(found))?;
    }
    Ok(ExitCode::from(if valid { 0 } else { 2 }))
}
