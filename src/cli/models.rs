//! `thawline models`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, TextOrJson, output, text};
use crate::backbones::{self, Backbone, weights};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Only this backbone, with its blocks and preprocessing.
    name: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    format: TextOrJson,
}

pub fn run(arguments: &Arguments) -> Outcome {
    let chosen: Vec<&Backbone> = match &arguments.name {
        Some(name) => vec![backbones::named(name).map_err(super::usage)?],
        None => backbones::all().iter().collect(),
    };
    if arguments.format == TextOrJson::Json {
        output::json(&chosen.into_iter().map(as_json).collect::<Vec<_>>())?;
    } else if let (Some(_), [backbone]) = (&arguments.name, chosen.as_slice()) {
        output::print(&details(backbone));
    } else {
        output::print(&table(&chosen));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(backbones: &[&Backbone]) -> String {
    let header = ["backbone", "parameters", "GFLOPs", "features", "pixels", "blocks", "weights"];
    // A narrow screen has room for what chooses a backbone.
    let narrow = output::screen().width.is_some_and(|width| width < 100);
    let shown: &[usize] = if narrow { &[0, 1, 2, 6] } else { &[0, 1, 2, 3, 4, 5, 6] };
    let row = |backbone: &&Backbone| {
        let names = backbone.published.iter().map(|published| match is_cached(published) {
            true => format!("{} (in the cache)", published.name),
            false => published.name.to_string(),
        });
        vec![
            backbone.name.to_string(),
            text::count(backbone.parameters()),
            format!("{:.2}", backbone.gflops()),
            backbone.channels().to_string(),
            backbone.preprocessing.crop.to_string(),
            backbone.blocks.len().to_string(),
            names.collect::<Vec<_>>().join(", "),
        ]
    };
    let pick = |row: Vec<String>| shown.iter().map(|column| row[*column].clone()).collect();
    let header: Vec<&str> = shown.iter().map(|column| header[*column]).collect();
    let right: Vec<usize> = (1..shown.len() - 1).collect();
    text::table(&header, backbones.iter().map(|backbone| pick(row(backbone))).collect(), &right)
}

fn details(backbone: &Backbone) -> String {
    let p = &backbone.preprocessing;
    let mut lines = vec![
        format!(
            "{}: {} parameters, {:.2} GFLOPs, {} features",
            backbone.name,
            text::count(backbone.parameters()),
            backbone.gflops(),
            backbone.channels()
        ),
        format!(
            "images: shorter side to {}, {}x{} from the middle, {}; mean {:?}, standard deviation {:?}",
            p.resize, p.crop, p.crop, p.interpolation, p.mean, p.std
        ),
    ];
    for published in &backbone.published {
        let here = if is_cached(published) { "in the cache" } else { "not on this machine" };
        lines.push(format!("weights: {} ({here}), from {}", published.name, published.source));
    }
    let row = |b: &backbones::Block| vec![b.name.clone(), text::count(b.parameters()), b.channels.to_string()];
    let rows = backbone.blocks.iter().map(row).collect();
    lines.push(text::table(&["block", "parameters", "channels"], rows, &[1, 2]));
    lines.join("\n")
}

fn is_cached(published: &backbones::Published) -> bool {
    weights::cached(published).is_ok_and(|path| path.is_file())
}

fn as_json(backbone: &Backbone) -> Value {
    let p = &backbone.preprocessing;
    json!({
        "name": backbone.name,
        "family": backbone.family,
        "parameters": backbone.parameters(),
        "gflops": (backbone.gflops() * 1e3).round() / 1e3,
        "features": backbone.channels(),
        "pooling": backbone.pooling,
        "blocks": backbone.blocks.iter().map(|b| json!({"name": b.name, "parameters": b.parameters(), "channels": b.channels})).collect::<Vec<_>>(),
        "preprocessing": {"resize": p.resize, "crop": p.crop, "interpolation": p.interpolation, "mean": p.mean, "std": p.std},
        "weights": backbone.published.iter().map(|p| json!({"name": p.name, "file": p.file, "source": p.source, "cached": is_cached(p)})).collect::<Vec<_>>(),
    })
}
