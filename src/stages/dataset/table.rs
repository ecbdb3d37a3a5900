//! `table`: images, labels and perhaps splits from a text file with columns.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Candidate, Column, Found, GroupBy, LabelMatch, Misplaced, Separator, Table, join_some, list_some, split_name,
};
use crate::artifact::Split;

/// Labels that differ by no more than this are the same number.
const TOLERANCE: f64 = 1e-6;

/// Every image that the table in `file` names, but for those whose label is dropped. `root` is what its paths are relative to.
pub(super) fn scan(table: &Table, file: &Path, root: &Path, group_by: Option<&GroupBy>) -> Result<Found> {
    let rows = rows_of(file, table.separator)?;
    let group = group_by.and_then(GroupBy::column);
    read(table, rows, root, group).with_context(|| format!("table {}", file.display()))
}

/// The fields of every line that is not empty, a first line of names among them.
///
/// # Errors
/// When the file cannot be read or is not UTF-8 text.
pub fn lines(file: &Path) -> Result<Vec<Vec<String>>> {
    Ok(rows_of(file, Separator::Auto)?.into_iter().map(|row| row.fields).collect())
}

fn rows_of(file: &Path, separator: Separator) -> Result<Vec<Row>> {
    let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let text = String::from_utf8(text).with_context(|| format!("{} is not UTF-8 text", file.display()))?;
    rows(text.trim_start_matches('\u{feff}'), file, separator)
}

/// A line of the file: its number from 1, and its fields without surrounding blanks.
struct Row {
    line: u64,
    fields: Vec<String>,
}

fn rows(text: &str, file: &Path, separator: Separator) -> Result<Vec<Row>> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    let count = |c: char| first.matches(c).count();
    let delimiter = match separator {
        Separator::Comma => b',',
        Separator::Tab => b'\t',
        Separator::Semicolon => b';',
        Separator::Auto if ending.as_deref() == Some("tsv") || count('\t') > 0 => b'\t',
        Separator::Auto if count(';') > count(',') => b';',
        Separator::Auto if count(',') > 0 => b',',
        Separator::Auto | Separator::Whitespace => {
            let fields = |line: &str| line.split_whitespace().map(str::to_string).collect();
            let rows = (1..).zip(text.lines()).map(|(line, text)| Row { line, fields: fields(text) });
            return Ok(rows.filter(|row| !row.fields.is_empty()).collect());
        }
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.with_context(|| format!("reading {}", file.display()))?;
        let line = record.position().map_or(0, |position| position.line());
        Ok(Row { line, fields: record.iter().map(str::to_string).collect() })
    };
    reader.records().map(row).collect()
}

fn read(table: &Table, mut rows: Vec<Row>, root: &Path, group: Option<&Column>) -> Result<Found> {
    let columns = [Some(&table.image), Some(&table.label), table.split.as_ref(), group];
    let named = columns.iter().flatten().any(|column| matches!(column, Column::Name(_)));
    let header = match table.header.unwrap_or(named) {
        true if rows.is_empty() => bail!("it is empty"),
        true => Some(rows.remove(0).fields),
        false => None,
    };
    ensure!(!rows.is_empty(), "it has no rows");
    let places = ["table.image", "table.label", "table.split", "group_by"];
    let at = |i: usize| columns[i].map(|column| position(places[i], column, header.as_deref())).transpose();
    let (image, label, split, group) = (at(0)?, at(1)?, at(2)?, at(3)?);

    let mut problems = Problems::default();
    let mut candidates = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut dropped = 0;
    for row in &rows {
        let mut field = |at: Option<usize>, what: &str| match at.map(|at| row.fields.get(at)) {
            Some(Some(text)) if !text.is_empty() => Some(text.as_str()),
            Some(_) => {
                problems.add(format!("no {what}"), row.line);
                None
            }
            None => None,
        };
        let (image, label, split_text) = (field(image, "image path"), field(label, "label"), field(split, "split"));
        let group = field(group, "group").map(str::to_owned);
        let (Some(image), Some(label)) = (image, label) else { continue };
        if table.drop.iter().any(|drop| drop.matches(label)) {
            dropped += 1;
            continue;
        }
        let class = match table.class_of(label) {
            Ok(class) => class,
            Err(problem) => {
                problems.add(problem, row.line);
                continue;
            }
        };
        let split = match split_text.map(split_or_problem).transpose() {
            Ok(split) => split,
            Err(problem) => {
                problems.add(problem, row.line);
                continue;
            }
        };
        match relative(image) {
            Err(problem) => problems.add(problem, row.line),
            Ok(path) if !root.join(&path).is_file() => {
                problems.add(format!("no file `{path}` in {}", root.display()), row.line);
            }
            Ok(path) => match lines.insert(path.clone(), row.line) {
                Some(line) => problems.add(format!("`{path}` again, after line {line}"), row.line),
                None => candidates.push(Candidate { path, label: class, split, group }),
            },
        }
    }
    problems.fail()?;
    ensure!(!candidates.is_empty(), "every row's label is in `drop`: no images are left");

    let mut classes: Vec<String> = match &table.classes {
        Some(classes) => classes.keys().cloned().collect(),
        None => candidates.iter().map(|c| c.label.clone()).collect(),
    };
    sort_labels(&mut classes);
    let absent: Vec<&String> = classes.iter().filter(|class| candidates.iter().all(|c| c.label != **class)).collect();
    ensure!(absent.is_empty(), "classes without images: {}", list_some(&absent));
    let notes = if dropped > 0 { vec![format!("{dropped} rows have a label in `drop`")] } else { Vec::new() };
    Ok(Found { classes, candidates, notes, files: None })
}

/// Where a column is, from 0. `place` is the parameter that names it.
fn position(place: &'static str, column: &Column, header: Option<&[String]>) -> Result<usize> {
    let wrong = |message: String| Misplaced::at(place, message);
    match (column, header) {
        (Column::Number(0), _) => Err(wrong("column 0: columns are numbered from 1".into()).into()),
        (Column::Number(number), _) => Ok(*number as usize - 1),
        (Column::Name(name), Some(header)) => match header.iter().position(|h| h == name) {
            Some(at) => Ok(at),
            None => Err(wrong(format!("no column `{name}` in the table")).among(name, header).into()),
        },
        (Column::Name(name), None) => {
            let message = format!("column `{name}` is given by name, but `header: false`");
            Err(wrong(message).help("give its number, or leave `header` out").into())
        }
    }
}

fn split_or_problem(text: &str) -> Result<Split, String> {
    split_name(&text.to_lowercase()).ok_or_else(|| format!("split `{text}` is none of train, val, test"))
}

/// `path` with `/` between its parts and without `.`.
fn relative(path: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => parts.push("..".into()),
            Component::RootDir | Component::Prefix(_) => {
                return Err("absolute image paths; make them relative to the folder `images`".into());
            }
        }
    }
    Ok(parts.join("/"))
}

/// By number where all are numbers, else as text; without repetitions.
pub(super) fn sort_labels(labels: &mut Vec<String>) {
    labels.sort();
    labels.dedup();
    let number = |label: &String| label.parse::<f64>().ok().filter(|n| !n.is_nan());
    if labels.iter().all(|label| number(label).is_some()) {
        labels.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
}

impl Table {
    fn class_of(&self, label: &str) -> Result<String, String> {
        let Some(classes) = &self.classes else { return Ok(label.to_string()) };
        let matching: Vec<&String> = classes.iter().filter(|(_, m)| m.matches(label)).map(|(name, _)| name).collect();
        match matching[..] {
            [class] => Ok(class.clone()),
            [] => Err(format!("label `{label}` is in no class and not in `drop`")),
            _ => Err(format!("label `{label}` is in several classes: {}", list_some(&matching))),
        }
    }
}

impl LabelMatch {
    fn matches(&self, label: &str) -> bool {
        let number = label.parse::<f64>().ok();
        match self {
            LabelMatch::Number(wanted) => number.is_some_and(|n| (n - wanted).abs() <= TOLERANCE),
            LabelMatch::Text(text) => text == label,
            LabelMatch::Range(range) => number.is_some_and(|n| {
                range.min.is_none_or(|min| n >= min - TOLERANCE) && range.max.is_none_or(|max| n <= max + TOLERANCE)
            }),
            LabelMatch::Any(any) => any.iter().any(|m| m.matches(label)),
        }
    }
}

/// What is wrong, with the lines where it is, so that one error names everything.
#[derive(Default)]
struct Problems(BTreeMap<String, Vec<u64>>);

impl Problems {
    fn add(&mut self, problem: String, line: u64) {
        self.0.entry(problem).or_default().push(line);
    }

    fn fail(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut problems: Vec<(String, Vec<u64>)> = self.0.into_iter().collect();
        problems.sort_by_key(|(_, lines)| lines[0]);
        let one = |(problem, lines): &(String, Vec<u64>)| {
            let word = if lines.len() == 1 { "line" } else { "lines" };
            format!("{problem} ({word} {})", list_some(lines))
        };
        bail!("{}", join_some(&problems.iter().map(one).collect::<Vec<_>>(), "; "))
    }
}
