//! Trials as a Polars frame.
//!
//! Columns: `arm`, `facet.<axis>`, `params.<name>` of the parameters that differ, `fold` in cross-validation, `seed`, `trial`, `configuration`,
//! `status`, `selected`, the metrics (`val/accuracy`), `cost.<what>`, `error`, and last the parameters that do not differ.

use std::collections::BTreeSet;

use anyhow::Result;
use polars::prelude::{Column, CsvWriter, DataFrame, SerWriter};
use serde_json::Value;

use super::{
    Row,
    parameters::{self, distinct},
    text,
};

/// One row a trial, in the order of `rows`.
pub fn trials(rows: &[Row]) -> Result<DataFrame> {
    let text = |name: &str, get: fn(&Row) -> &str| Column::new(name.into(), rows.iter().map(get).collect::<Vec<_>>());
    let param = |name: &String| values(&format!("params.{name}"), rows.iter().map(|row| row.params.get(name)));

    let mut columns = vec![text("arm", |row| &row.arm)];
    for axis in distinct(rows.iter().flat_map(|row| row.facet.keys())) {
        columns.push(values(&format!("facet.{axis}"), rows.iter().map(|row| row.facet.get(&axis))));
    }
    columns.extend(parameters::differing(rows).iter().map(param));
    if rows.iter().any(|row| row.fold.is_some()) {
        columns.push(Column::new("fold".into(), rows.iter().map(|row| row.fold).collect::<Vec<_>>()));
    }
    columns.push(Column::new("seed".into(), rows.iter().map(|row| row.seed).collect::<Vec<_>>()));
    columns.push(text("trial", |row| &row.trial));
    columns.push(text("configuration", |row| &row.configuration));
    columns.push(text("status", |row| row.status.name()));
    columns.push(Column::new("selected".into(), rows.iter().map(|row| row.selected).collect::<Vec<_>>()));
    for name in metrics(rows) {
        let metric = |row: &Row| row.metrics.get(name).copied().filter(|value| value.is_finite());
        columns.push(Column::new(name.into(), rows.iter().map(metric).collect::<Vec<_>>()));
    }
    columns.extend(costs(rows));
    columns.push(Column::new("error".into(), rows.iter().map(|row| row.error.as_deref()).collect::<Vec<_>>()));
    columns.extend(parameters::constant(rows).iter().map(|constant| param(&constant.name)));
    Ok(DataFrame::new(rows.len(), columns)?)
}

/// Names of all metrics that some trial has.
pub fn metrics(rows: &[Row]) -> BTreeSet<&str> {
    rows.iter().flat_map(|row| row.metrics.keys()).map(String::as_str).collect()
}

fn costs(rows: &[Row]) -> Vec<Column> {
    let float = |name: &str, get: fn(&Row) -> f64| Column::new(name.into(), rows.iter().map(get).collect::<Vec<_>>());
    let count = |name: &str, get: fn(&Row) -> u64| Column::new(name.into(), rows.iter().map(get).collect::<Vec<_>>());
    vec![
        float("cost.seconds", |row| row.cost.seconds),
        float("cost.cpu_seconds", |row| row.cost.cpu_seconds),
        count("cost.peak_memory_bytes", |row| row.cost.peak_memory_bytes),
        count("cost.trained_parameters", |row| row.cost.trained_parameters),
        count("cost.total_parameters", |row| row.cost.total_parameters),
        count("cost.epochs", |row| row.cost.epochs),
        count("cost.images_seen", |row| row.cost.images_seen),
    ]
}

/// The narrowest type that all present values share: whole numbers, numbers, booleans, otherwise text.
fn values<'a>(name: &str, cells: impl Iterator<Item = Option<&'a Value>>) -> Column {
    let cells: Vec<Option<&Value>> = cells.map(|cell| cell.filter(|value| !value.is_null())).collect();
    let all = |fits: fn(&Value) -> bool| cells.iter().flatten().all(|value| fits(value));
    let name = name.into();
    if all(Value::is_i64) {
        Column::new(name, cells.iter().map(|cell| cell.and_then(Value::as_i64)).collect::<Vec<_>>())
    } else if all(Value::is_number) {
        Column::new(name, cells.iter().map(|cell| cell.and_then(Value::as_f64)).collect::<Vec<_>>())
    } else if all(Value::is_boolean) {
        Column::new(name, cells.iter().map(|cell| cell.and_then(Value::as_bool)).collect::<Vec<_>>())
    } else {
        Column::new(name, cells.iter().map(|cell| cell.map(text::value)).collect::<Vec<_>>())
    }
}

/// The frame as CSV text.
pub fn csv(rows: &[Row]) -> Result<String> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).finish(&mut trials(rows)?)?;
    Ok(String::from_utf8(bytes)?)
}
