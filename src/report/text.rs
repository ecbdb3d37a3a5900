//! How numbers, parameters and tables are written for people.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentArrangement};
use serde_json::Value;

use super::{Estimate, document::escape_html};

/// A comfy-table preset: a line under the header and no other.
const UNDERLINED_HEADER: &str = "     ──            ";

/// Stands in a cell where there is nothing to say.
pub const NONE: &str = "-";

/// A parameter's value: text without quotes, anything nested as JSON.
pub fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `fraction = 0.1, size = 128`; empty without facets.
pub fn facet(facet: &BTreeMap<String, Value>) -> String {
    facet.iter().map(|(axis, v)| format!("{axis} = {}", value(v))).collect::<Vec<_>>().join(", ")
}

/// A name that people chose, marked as such: `` `fine_tuning` ``.
pub fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "'"))
}

/// `test/accuracy` is spoken `test accuracy`.
pub fn spoken(metric: &str) -> String {
    metric.replace(['/', '_'], " ")
}

pub fn metric(value: f64) -> String {
    format!("{value:.4}")
}

pub fn signed(value: f64) -> String {
    format!("{value:+.4}")
}

/// `0.8710 ± 0.0042`.
pub fn estimate(estimate: &Estimate) -> String {
    match estimate.std {
        Some(std) => format!("{} ± {}", metric(estimate.mean), metric(std)),
        None => metric(estimate.mean),
    }
}

/// `0.8710 ± 0.0042 (3)`: with the number of repeats.
pub fn counted(of: &Estimate) -> String {
    format!("{} ({})", estimate(of), of.n)
}

/// A probability: `0.0120`, `< 0.0001`.
pub fn p(value: f64) -> String {
    if value < 1e-4 { "< 0.0001".to_owned() } else { format!("{value:.4}") }
}

/// `+0.0510 to +0.1050`.
pub fn interval([low, high]: [f64; 2]) -> String {
    format!("{} to {}", signed(low), signed(high))
}

pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..100 => format!("{seconds:.1} s"),
        100..7200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

pub fn memory(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 { format!("{mebibytes:.0} MiB") } else { format!("{:.1} GiB", mebibytes / 1024.0) }
}

/// `3,413,024`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// A mean of whole numbers: without decimals where it is one.
pub fn mean_count(mean: f64) -> String {
    if mean.fract() == 0.0 { count(mean as u64) } else { format!("{mean:.1}") }
}

/// `1 seed`, `3 seeds`.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A table before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Table {
        Table { header: header.iter().map(|&h| h.to_owned()).collect(), rows: Vec::new() }
    }

    /// Without the columns in which no row says anything.
    pub fn compact(mut self) -> Table {
        let empty = |column: usize| self.rows.iter().all(|row| [NONE, ""].contains(&row[column].as_str()));
        let keep: Vec<bool> = (0..self.header.len()).map(|column| self.rows.is_empty() || !empty(column)).collect();
        for row in std::iter::once(&mut self.header).chain(&mut self.rows) {
            let mut kept = keep.iter();
            row.retain(|_| *kept.next().unwrap_or(&true));
        }
        self
    }

    /// Numbers stand on the right.
    fn is_numeric(&self, column: usize) -> bool {
        let number =
            |cell: &str| cell == NONE || cell.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-');
        self.rows.iter().all(|row| number(&row[column]))
    }

    /// GitHub's markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rules: Vec<&str> =
            (0..self.header.len()).map(|column| if self.is_numeric(column) { "---:" } else { "---" }).collect();
        let mut out = line(&self.header);
        out += &format!("| {} |\n", rules.join(" | "));
        self.rows.iter().for_each(|row| out += &line(row));
        out
    }

    /// An element that scrolls by itself where it is wider than the page.
    pub fn html(&self) -> String {
        let class = |column: usize| if self.is_numeric(column) { " class=\"number\"" } else { "" };
        let cell = |tag: &str, scope: &str, column: usize, text: &String| {
            format!("<{tag}{scope}{}>{}</{tag}>", class(column), escape_html(text))
        };
        let head: Vec<String> =
            self.header.iter().enumerate().map(|(c, text)| cell("th", " scope=\"col\"", c, text)).collect();
        let row = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().enumerate().map(|(c, text)| cell("td", "", c, text)).collect();
            format!("<tr>{}</tr>\n", cells.concat())
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        format!(
            "<div class=\"scroll\"><table><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>\n",
            head.concat(),
            rows.concat()
        )
    }

    /// Of [`Table::plain`], in columns.
    pub fn width(&self) -> usize {
        self.plain().lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    /// For a terminal; as wide as its cells.
    pub fn plain(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(UNDERLINED_HEADER).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header).add_rows(&self.rows);
        for (i, column) in table.column_iter_mut().enumerate() {
            column.set_cell_alignment(if self.is_numeric(i) { CellAlignment::Right } else { CellAlignment::Left });
        }
        table.trim_fmt()
    }
}

/// A cell must neither end its column nor its line, nor be anything but text.
fn escape(cell: &str) -> String {
    let mut out = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '\\' | '|' | '<' | '`' | '*' | '[' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
