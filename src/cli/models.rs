//! `thawline models`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, TextOrJson, output, text};
use crate::backbones::{self, Backbone, weights};

#[derive(Debug, Args)]
pub struct Arguments {
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let all = backbones::all();
    if arguments.format == TextOrJson::Json {
        output::json(&all.iter().map(as_json).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    for backbone in all {
        let p = &backbone.preprocessing;
        output::print(&format!(
            "{}  {} parameters, {} features, native {}x{} (resize {}, {})\n  blocks: {}",
            backbone.name,
            text::count(backbone.parameters()),
            backbone.channels(),
            p.crop,
            p.crop,
            p.resize,
            p.interpolation,
            backbone.block_names().join(", ")
        ));
        for published in &backbone.published {
            let here = if is_cached(published) { "in the cache" } else { "not on this machine" };
            output::print(&format!("  weights: {} ({here}), from {}", published.name, published.source));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_cached(published: &backbones::Published) -> bool {
    weights::cached(published).is_ok_and(|path| path.is_file())
}

fn as_json(backbone: &Backbone) -> Value {
    json!({
        "name": backbone.name,
        "parameters": backbone.parameters(),
        "features": backbone.channels(),
        "blocks": backbone.blocks.iter().map(|b| json!({"name": b.name, "parameters": b.parameters(), "channels": b.channels})).collect::<Vec<_>>(),
        "weights": backbone.published.iter().map(|p| json!({"name": p.name, "file": p.file, "source": p.source, "cached": is_cached(p)})).collect::<Vec<_>>(),
    })
}
