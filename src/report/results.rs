//! A row a trial, for `results` and for the page.

use std::collections::HashSet;

use anyhow::{Result, bail};
use polars::prelude::{Column, SortMultipleOptions};

use super::{
    Row,
    compare::on_test,
    frame,
    parameters::{self, distinct},
    text::{self, NONE, Table},
};
use crate::metrics::smaller_is_better;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For the terminal.
    Table,
    /// A markdown table.
    Md,
    /// Every column.
    Csv,
    /// A list of trials, everything known of each.
    Json,
}

/// One row a trial, ending with a line break. Tables show the experiment's `metric`, its counterpart on test and the key that
/// they are sorted by; `csv` and `json` hold everything.
///
/// `sort_by`: a column of `trials.csv`; `lr` stands for `params.lr`, `seconds` for `cost.seconds`, `fraction` for
/// `facet.fraction`. Metrics sort the best first, everything else ascends; trials without a value come last.
///
/// # Errors
/// When there is no such column: the error lists those that there are.
pub fn table(rows: &[Row], metric: &str, format: Format, sort_by: Option<&str>) -> Result<String> {
    let sorted = sort_by.map(|key| sort(rows, key)).transpose()?;
    let rows = sorted.as_deref().unwrap_or(rows);
    Ok(match format {
        Format::Table => format!("{}\n", trials(rows, &shown(rows, metric, sort_by)).plain()),
        Format::Md => trials(rows, &shown(rows, metric, sort_by)).markdown(),
        Format::Csv => frame::csv(rows)?,
        Format::Json => serde_json::to_string_pretty(rows)? + "\n",
    })
}

fn shown<'a>(rows: &'a [Row], metric: &str, sort_by: Option<&str>) -> Vec<&'a str> {
    let test = on_test(metric);
    let wanted: HashSet<&str> = [Some(metric), test.as_deref(), sort_by].into_iter().flatten().collect();
    let mut names: Vec<&str> = frame::metrics(rows).into_iter().filter(|name| wanted.contains(name)).collect();
    names.sort_by_key(|name| *name != metric);
    names
}

fn sort(rows: &[Row], key: &str) -> Result<Vec<Row>> {
    let mut frame = frame::trials(rows)?;
    let names = frame.get_column_names_owned();
    let written = ["", "params.", "cost.", "facet."].map(|prefix| format!("{prefix}{key}"));
    let Some(column) = written.iter().find(|name| names.iter().any(|known| known == name.as_str())) else {
        let near = names.iter().map(|name| name.rsplit('.').next().unwrap_or(name));
        let near = near.map(|name| (strsim::damerau_levenshtein(name, key), name)).min();
        let hint = near.filter(|(distance, _)| *distance <= 2).map(|(_, name)| format!("; did you mean `{name}`?"));
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        bail!("cannot sort by `{key}`{}\nthere are: {}", hint.unwrap_or_default(), names.join(", "));
    };
    let best_first = frame::metrics(rows).contains(column.as_str()) && !smaller_is_better(column);
    frame.with_column(Column::new("".into(), (0..rows.len() as u64).collect::<Vec<_>>()))?;
    let options =
        SortMultipleOptions::new().with_order_descending(best_first).with_nulls_last(true).with_maintain_order(true);
    let sorted = frame.sort([column.as_str()], options)?;
    Ok(sorted.column("")?.u64()?.iter().flatten().map(|at| rows[at as usize].clone()).collect())
}

/// The arm and what tells the trials apart first, then how each did and what it cost.
pub fn trials(rows: &[Row], metrics: &[&str]) -> Table {
    let axes = distinct(rows.iter().flat_map(|row| row.facet.keys()));
    let params = parameters::differing(rows);
    let mut header = vec!["arm"];
    header.extend(axes.iter().chain(&params).map(String::as_str));
    let folds = rows.iter().any(|row| row.fold.is_some());
    header.extend(folds.then_some("fold"));
    header.extend(["seed", "status"]);
    header.extend(metrics);
    header.extend(["time", "trial"]);
    let mut table = Table::new(&header);
    for row in rows {
        let mut cells = vec![row.arm.clone()];
        cells.extend(axes.iter().map(|axis| row.facet.get(axis).map_or(NONE.to_owned(), text::value)));
        cells.extend(params.iter().map(|name| row.params.get(name).map_or(NONE.to_owned(), text::value)));
        if folds {
            cells.push(row.fold.map_or(NONE.to_owned(), |fold| fold.to_string()));
        }
        cells.push(row.seed.to_string());
        cells.push(if row.selected { format!("{}, chosen", row.status.name()) } else { row.status.name().to_owned() });
        cells.extend(metrics.iter().map(|name| row.metrics.get(*name).map_or(NONE.to_owned(), |v| text::metric(*v))));
        let ran = row.status != super::Status::Pending;
        cells.push(if ran { text::duration(row.cost.seconds) } else { NONE.to_owned() });
        cells.push(row.trial.clone());
        table.rows.push(cells);
    }
    table
}
