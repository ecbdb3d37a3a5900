//! What reports leave behind to compute with: `trials`, `curves`, `predictions` and `costs`, each as Parquet and as CSV. Their
//! columns are documented in `docs/report.md`.

use std::{collections::BTreeSet, fs::File, path::Path};

use anyhow::{Context as _, Result};
use polars::prelude::{Column, CsvWriter, DataFrame, IdxCa, NamedFrom, ParquetWriter, SerWriter};

use super::{Row, Study, curves::Curves, frame};
use crate::artifact::{Predictions, Split};

/// Longer tables are written as Parquet only: their CSV would be read by nobody and take most of the time.
const CSV_ROWS: usize = 200_000;

/// Writes all of them into `dir`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(study: &Study, dir: &Path) -> Result<()> {
    let tables = [
        ("trials", frame::trials(&study.rows)?),
        ("curves", curves(&study.rows, &study.evidence.curves)?),
        ("predictions", predictions(study)?),
        ("costs", costs(study)?),
    ];
    for (name, mut table) in tables {
        let path = dir.join(format!("{name}.parquet"));
        let file = || Ok::<_, anyhow::Error>(File::create(&path)?);
        file()
            .and_then(|file| Ok(ParquetWriter::new(file).finish(&mut table)?))
            .with_context(|| format!("writing {}", path.display()))?;
        let path = dir.join(format!("{name}.csv"));
        if table.height() > CSV_ROWS {
            // One of an earlier, smaller run would contradict the other file.
            if path.exists() {
                std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
            continue;
        }
        let mut write = || -> Result<()> { Ok(CsvWriter::new(File::create(&path)?).finish(&mut table)?) };
        write().with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// One row an epoch of a trial: `arm`, `seed`, `trial`, `node`, `node_epoch` (of the node), `epoch` (of the trial), metrics.
fn curves(rows: &[Row], curves: &Curves) -> Result<DataFrame> {
    let (mut arm, mut seed, mut trial, mut node) = (vec![], vec![], vec![], vec![]);
    let (mut epoch, mut taken) = (Vec::<u32>::new(), Vec::<u32>::new());
    for row in rows {
        let mut at = 0;
        for (label, range) in curves.rows(&row.trial) {
            for source in range {
                at += 1;
                arm.push(row.arm.as_str());
                seed.push(row.seed);
                trial.push(row.trial.as_str());
                node.push(label);
                epoch.push(at);
                taken.push(source as u32);
            }
        }
    }
    let node_epoch: Vec<u32> = taken.iter().map(|&source| curves.epochs[source as usize]).collect();
    let mut columns = vec![
        Column::new("arm".into(), arm),
        Column::new("seed".into(), seed),
        Column::new("trial".into(), trial),
        Column::new("node".into(), node),
        Column::new("node_epoch".into(), node_epoch),
        Column::new("epoch".into(), epoch),
    ];
    for (name, values) in curves.metrics.iter().zip(&curves.values) {
        let all = Column::new(name.as_str().into(), values);
        columns.push(all.take(&IdxCa::new("".into(), &taken))?);
    }
    Ok(DataFrame::new(taken.len(), columns)?)
}

/// What a trial said of a split.
type Said<'a> = (&'a Row, Split, &'a Predictions);

/// One row an image of a chosen trial: `arm`, `seed`, `trial`, `split`, `id`, `path`, `label`, `predicted`, `p_<class>`.
fn predictions(study: &Study) -> Result<DataFrame> {
    let mut all: Vec<Said> = Vec::new();
    for row in study.rows.iter().filter(|row| row.selected) {
        for split in [Split::Val, Split::Test] {
            let found = study.evidence.predictions.get(&(row.trial.clone(), split));
            all.extend(found.map(|predictions| (row, split, predictions.as_ref())));
        }
    }
    let each = |get: &dyn Fn(&Said, usize) -> String| -> Vec<String> {
        all.iter().flat_map(|one| (0..one.2.ids.len()).map(move |image| get(one, image))).collect()
    };
    let class = |p: &Predictions, of: u32| p.classes[of as usize].clone();
    let seeds: Vec<u64> = all.iter().flat_map(|(row, _, p)| std::iter::repeat_n(row.seed, p.ids.len())).collect();
    let height = seeds.len();
    let mut columns = vec![
        Column::new("arm".into(), each(&|(row, ..), _| row.arm.clone())),
        Column::new("seed".into(), seeds),
        Column::new("trial".into(), each(&|(row, ..), _| row.trial.clone())),
        Column::new("split".into(), each(&|(_, split, _), _| split.name().to_owned())),
        Column::new("id".into(), each(&|(_, _, p), image| p.ids[image].clone())),
        Column::new("path".into(), each(&|(_, _, p), image| p.paths[image].clone())),
        Column::new("label".into(), each(&|(_, _, p), image| class(p, p.labels[image]))),
        Column::new("predicted".into(), each(&|(_, _, p), image| class(p, p.predicted[image]))),
    ];
    let classes: BTreeSet<&String> = all.iter().flat_map(|(_, _, p)| &p.classes).collect();
    for name in classes {
        let mut values: Vec<Option<f64>> = Vec::with_capacity(height);
        for (_, _, p) in &all {
            let (at, width) = (p.classes.iter().position(|known| known == name), p.classes.len());
            values.extend((0..p.ids.len()).map(|image| at.map(|at| p.probabilities[image * width + at])));
        }
        columns.push(Column::new(format!("p_{name}").into(), values));
    }
    Ok(DataFrame::new(height, columns)?)
}

/// One row a node: `node`, `kind`, `key`, `seconds`, `epochs`, and how many `trials` share it.
fn costs(study: &Study) -> Result<DataFrame> {
    let nodes = &study.evidence.nodes;
    let text = |get: fn(&super::evidence::Node) -> &str| nodes.iter().map(get).collect::<Vec<_>>();
    let columns = vec![
        Column::new("node".into(), text(|node| &node.label)),
        Column::new("kind".into(), text(|node| &node.kind)),
        Column::new("key".into(), text(|node| &node.key)),
        Column::new("seconds".into(), nodes.iter().map(|node| node.seconds).collect::<Vec<_>>()),
        Column::new("epochs".into(), nodes.iter().map(|node| node.epochs).collect::<Vec<_>>()),
        Column::new("trials".into(), nodes.iter().map(|node| node.trials).collect::<Vec<_>>()),
    ];
    Ok(DataFrame::new(nodes.len(), columns)?)
}
