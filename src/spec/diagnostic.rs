//! What is wrong with a file, and where: collected while reading, shown to people and to programs.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use super::locate::{At, NodePath, Source};

/// More located messages than this help nobody; the rest are counted.
const SHOWN: usize = 100;
/// Looking up a place reads the text again, so that huge texts show fewer: this many bytes are read in all.
const READ: usize = 4 << 20;
/// Longest part of a source line that is shown, in characters.
const LINE_WIDTH: usize = 140;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Notice,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Notice => "notice",
        }
    }
}

/// One message about one place. Lines and columns count from 1, columns and widths in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The YAML file; `-S key` for a value from the command line.
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub width: usize,
    pub message: String,
    pub help: Option<String>,
    pub source_line: String,
}

impl Diagnostic {
    /// `file:line:column: message`.
    pub fn one_line(&self) -> String {
        format!("{}:{}:{}: {}", display(&self.file), self.line, self.column, self.message)
    }

    fn to_json(&self) -> Value {
        json!({
            "severity": self.severity.name(), "file": display(&self.file), "line": self.line, "column": self.column,
            "width": self.width, "message": self.message, "help": self.help, "source_line": self.source_line,
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len() + 1);
        writeln!(f, "{}: {}", self.severity.name(), self.message)?;
        writeln!(f, "{gutter}--> {}:{}:{}", display(&self.file), self.line, self.column)?;
        if self.source_line.is_empty() {
            return self.help.iter().try_for_each(|help| writeln!(f, "{gutter} = help: {help}"));
        }
        let (line, before, width) = window(&self.source_line, self.column, self.width);
        writeln!(f, "{gutter} |")?;
        writeln!(f, " {number} | {line}")?;
        writeln!(f, "{gutter} | {}{}", " ".repeat(before), "^".repeat(width))?;
        if let Some(help) = &self.help {
            writeln!(f, "{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

/// The part of a long line around the column, the characters before the mark, and the width of the mark.
fn window(line: &str, column: usize, width: usize) -> (String, usize, usize) {
    let before = column.saturating_sub(1);
    let total = line.chars().count();
    let start = if total <= LINE_WIDTH { 0 } else { before.saturating_sub(LINE_WIDTH / 3) };
    let mut shown: String = if start > 0 { "…".into() } else { String::new() };
    let rest = line.chars().skip(start).take(LINE_WIDTH);
    shown.extend(rest.map(|c| if c.is_control() { ' ' } else { c }));
    let before = before - start + usize::from(start > 0);
    let room = shown.chars().count().saturating_sub(before);
    if start + LINE_WIDTH < total {
        shown.push('…');
    }
    (shown, before, width.min(room).max(1))
}

/// The path as people know it: relative to the current directory when below it.
pub fn display(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    short.display().to_string()
}

/// Everything that was found, sorted by file, line and column, each once. As an error it holds at least one error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn to_json(&self) -> Value {
        Value::Array(self.0.iter().map(Diagnostic::to_json).collect())
    }

    pub fn errors(&self) -> usize {
        self.0.iter().filter(|d| d.severity == Severity::Error).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A problem at a node of a tree, before anyone looks for its line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    pub path: NodePath,
    pub at: At,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    /// About the value at `path`.
    pub fn value(path: &NodePath, message: impl Into<String>) -> Fault {
        Fault { path: path.clone(), at: At::Value, message: message.into(), help: None }
    }

    /// About the key that `path` ends in.
    pub fn key(path: &NodePath, message: impl Into<String>) -> Fault {
        Fault { path: path.clone(), at: At::Key, message: message.into(), help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// Suggests the nearest of `names` to `wrong`, or lists them when none is near.
    pub fn suggest<'a>(mut self, wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Fault {
        let names: Vec<&str> = names.into_iter().collect();
        self.help = match nearest(wrong, names.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if names.is_empty() => self.help,
            None => Some(format!("expected {}", alternatives(&names))),
        };
        self
    }
}

/// Problems of all files, as they are found.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<(Severity, Arc<Source>, Fault)>,
    seen: HashSet<(PathBuf, Fault)>,
    located: Vec<Diagnostic>,
}

impl Problems {
    pub fn add(&mut self, source: &Arc<Source>, fault: Fault) {
        self.push(Severity::Error, source, fault);
    }

    /// Adds it unless something is already said about this value: the first thing said is the cause.
    pub fn add_first(&mut self, source: &Arc<Source>, fault: Fault) {
        let same_place = |known: &Fault| known.at == At::Value && known.path == fault.path;
        let known = self.found.iter().any(|(_, of, known)| of.path == source.path && same_place(known));
        if fault.at != At::Value || !known {
            self.add(source, fault);
        }
    }

    pub fn notice(&mut self, source: &Arc<Source>, fault: Fault) {
        self.push(Severity::Notice, source, fault);
    }

    pub fn add_located(&mut self, diagnostic: Diagnostic) {
        self.located.push(diagnostic);
    }

    fn push(&mut self, severity: Severity, source: &Arc<Source>, fault: Fault) {
        if self.seen.insert((source.path.clone(), fault.clone())) {
            self.found.push((severity, source.clone(), fault));
        }
    }

    /// Whether something is wrong with this file.
    pub fn any_in(&self, source: &Source) -> bool {
        let of =
            |(severity, of, _): &(Severity, Arc<Source>, Fault)| *severity == Severity::Error && of.path == source.path;
        self.found.iter().any(of)
    }

    /// Whether any of them is an error.
    pub fn any_errors(&self) -> bool {
        let found = self.found.iter().any(|(severity, ..)| *severity == Severity::Error);
        found || self.located.iter().any(|d| d.severity == Severity::Error)
    }

    /// Without the notices.
    pub fn errors(mut self) -> Problems {
        self.found.retain(|(severity, ..)| *severity == Severity::Error);
        self
    }

    /// Looks up every line and column.
    pub fn locate(self) -> Diagnostics {
        let mut all = self.located;
        let largest = self.found.iter().map(|(_, source, _)| source.text.len()).max().unwrap_or(0);
        let shown = (READ / largest.max(1)).clamp(10, SHOWN);
        let left_out = self.found.len().saturating_sub(shown);
        let located = self.found.into_iter().take(shown);
        all.extend(located.map(|(severity, source, fault)| source.diagnostic(severity, &fault)));
        all.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.file.clone(), d.line, d.column, d.severity);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        all.dedup();
        if let Some(last) = all.last_mut().filter(|_| left_out > 0) {
            let more = format!("{left_out} more problems are not shown");
            last.help = Some(last.help.as_ref().map_or(more.clone(), |help| format!("{help}; {more}")));
        }
        Diagnostics(all)
    }
}

/// The name that was probably meant: within a third of its length in edits, or with the other as its beginning.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.chars().count() > 64 {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).max(1);
    let candidates = names.into_iter().map(|name| (strsim::osa_distance(wrong, name), name));
    let best = candidates.min_by_key(|(distance, _)| *distance)?;
    (best.0 <= allowed).then_some(best.1)
}

/// "`a`, `b` or `c`"; long lists end in an ellipsis.
pub fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().take(24).map(|name| quote(name)).collect();
    match quoted.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some(_) if names.len() > quoted.len() => format!("one of {}, …", quoted.join(", ")),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// A name in backticks, safe to print.
pub fn quote(name: &str) -> String {
    let short: String = name.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let more = if short.len() < name.len() { "…" } else { "" };
    format!("`{short}{more}`")
}

/// "a list", "the number 3", "the text \"high\"": what a value is, in a message.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing (null)".into(),
        Value::Bool(b) => format!("`{b}`"),
        Value::Number(n) => format!("the number {n}"),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            format!("the text {:?}", format!("{short}{more}"))
        }
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_around_the_mark() {
        let line = format!("{}wrong{}", "a".repeat(500), "b".repeat(500));
        let (shown, before, width) = window(&line, 501, 5);
        assert_eq!(shown.chars().skip(before).take(width).collect::<String>(), "wrong");
        assert!(shown.chars().count() <= LINE_WIDTH + 2);
        assert_eq!(window("ab", 3, 9), ("ab".into(), 2, 1));
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("lrr", ["momentum", "lr"]), Some("lr"));
        assert_eq!(nearest("learning_rate", ["momentum", "lr"]), None);
        assert_eq!(nearest("momentun", ["momentum", "lr"]), Some("momentum"));
    }
}
