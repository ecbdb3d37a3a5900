//! Which parameters tell the trials apart, and which are the same wherever they occur.

use serde_json::Value;

use super::Row;

/// A parameter that has one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    pub name: String,
    pub value: Value,
    /// The arms that have it; empty when all do.
    pub arms: Vec<String>,
}

/// Names of the parameters with more than one value over all trials, in the order in which they first occur. Facet axes are
/// not among them: they are columns of their own.
pub fn differing(rows: &[Row]) -> Vec<String> {
    split(rows).0
}

/// The parameters with one value.
pub fn constant(rows: &[Row]) -> Vec<Constant> {
    split(rows).1
}

fn split(rows: &[Row]) -> (Vec<String>, Vec<Constant>) {
    let arms = distinct(rows.iter().map(|row| &row.arm));
    let (mut differing, mut constant) = (Vec::new(), Vec::new());
    for name in distinct(rows.iter().flat_map(|row| row.params.keys().filter(|name| !row.facet.contains_key(*name)))) {
        let having = || rows.iter().filter_map(|row| Some((row, row.params.get(&name)?)));
        let Some((_, value)) = having().next() else { continue };
        if having().any(|(_, other)| !same(value, other)) {
            differing.push(name);
            continue;
        }
        let of = distinct(having().map(|(row, _)| &row.arm));
        let of = if of.len() == arms.len() { Vec::new() } else { of };
        constant.push(Constant { name, value: value.clone(), arms: of });
    }
    (differing, constant)
}

/// 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b)
}

/// In the order in which they first occur.
pub fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names.filter(|name| seen.insert(*name)).cloned().collect()
}
