//! From a node of the tree to its line and column. The parser that read the file walks it again along the path and fails on
//! purpose at the node; its error says where that was. Costs nothing until something is wrong.

use std::{fmt, path::PathBuf};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::diagnostic::{Diagnostic, Fault, Severity};

/// One step down a tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// From the root to a node.
pub type NodePath = Vec<Step>;

/// `path` and one key more.
pub fn join(path: &[Step], key: &str) -> NodePath {
    path.iter().cloned().chain([Step::Key(key.to_owned())]).collect()
}

/// `path` and one index more.
pub fn join_index(path: &[Step], index: usize) -> NodePath {
    path.iter().cloned().chain([Step::Index(index)]).collect()
}

/// `a.b.0`, for messages.
pub fn dotted(path: &[Step]) -> String {
    let steps = path.iter().map(|step| match step {
        Step::Key(key) => key.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Step::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<String>>().join(".")
}

/// Which part of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    Value,
    /// The key that the path ends in.
    Key,
    /// The key of the map's entry with this number, whatever it is: duplicates and keys that are not text.
    Entry(usize),
}

/// A YAML text and where it came from.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Absolute; `-S key` for a value from the command line.
    pub path: PathBuf,
    /// Without a byte order mark.
    pub text: String,
}

impl Source {
    /// The fault with its line and column.
    pub fn diagnostic(&self, severity: Severity, fault: &Fault) -> Diagnostic {
        let (line, column) = self.locate(&fault.path, fault.at);
        let (message, help) = (fault.message.clone(), fault.help.clone());
        self.diagnostic_at(severity, line, column, message, help)
    }

    /// A diagnostic at a place that is already known.
    pub fn diagnostic_at(
        &self,
        severity: Severity,
        line: usize,
        column: usize,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        // An end that was not expected lies behind the last line: it is shown at that line's end.
        let lines = self.text.lines().count().max(1);
        let (line, column) = if line <= lines { (line, column) } else { (lines, usize::MAX) };
        let source_line = self.text.lines().nth(line.saturating_sub(1)).unwrap_or("").to_owned();
        let column = column.min(source_line.chars().count() + 1);
        let width = token_width(&source_line, column);
        Diagnostic { severity, file: self.path.clone(), line, column, width, message, help, source_line }
    }

    /// Line and column, both from 1. A node that is not in the text is at the nearest ancestor that is.
    fn locate(&self, path: &[Step], at: At) -> (usize, usize) {
        let at = if path.is_empty() && at == At::Key { At::Value } else { at };
        let failed = Walk { path, at }.deserialize(serde_yaml::Deserializer::from_str(&self.text));
        match failed {
            Err(error) => error.location().map_or((1, 1), |l| (l.line(), l.column())),
            Ok(()) => match path.split_last() {
                Some((_, parent)) => self.locate(parent, At::Key),
                None => (1, 1),
            },
        }
    }
}

/// Characters of the key, scalar or bracket that starts at `column`.
fn token_width(line: &str, column: usize) -> usize {
    let rest: Vec<char> = line.chars().skip(column.saturating_sub(1)).collect();
    match rest.first() {
        None | Some('{' | '[') => 1,
        Some(quote @ ('"' | '\'')) => rest.iter().skip(1).position(|c| c == quote).map_or(rest.len(), |end| end + 2),
        Some(_) => {
            let ends = |i: usize| {
                let space_follows = rest.get(i + 1).is_none_or(|c| c.is_whitespace());
                match rest[i] {
                    ',' | '}' | ']' => true,
                    ':' => space_follows,
                    '#' => i > 0 && rest[i - 1].is_whitespace(),
                    _ => false,
                }
            };
            let end = (0..rest.len()).find(|&i| ends(i)).unwrap_or(rest.len());
            rest[..end].iter().collect::<String>().trim_end().chars().count().max(1)
        }
    }
}

/// Fails at the node, succeeds when there is none.
struct Walk<'a> {
    path: &'a [Step],
    at: At,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match (self.path, self.at) {
            ([], At::Value | At::Key) => deserializer.deserialize_any(Nothing),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the next step of the path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let ([], At::Entry(wanted)) = (self.path, self.at) {
            for _ in 0..wanted {
                map.next_entry::<IgnoredAny, IgnoredAny>()?;
            }
            return map.next_key_seed(Walk { path: &[], at: At::Value }).map(|_| ());
        }
        let (wanted, rest) = match self.path.split_first() {
            Some((Step::Key(wanted), rest)) => (wanted, rest),
            _ => return IgnoredAny.visit_map(map).map(|_| ()),
        };
        let fail_at = (rest.is_empty() && self.at == At::Key).then_some(wanted.as_str());
        while let Some(key) = map.next_key_seed(KeyText { fail_at })? {
            if key.as_ref() == Some(wanted) {
                map.next_value_seed(Walk { path: rest, at: self.at })?;
                break;
            }
            map.next_value::<IgnoredAny>()?;
        }
        IgnoredAny.visit_map(map).map(|_| ())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.path.split_first() {
            for _ in 0..*wanted {
                seq.next_element::<IgnoredAny>()?;
            }
            // An element has no key: its value stands for it.
            let at = if rest.is_empty() && self.at == At::Key { At::Value } else { self.at };
            seq.next_element_seed(Walk { path: rest, at })?;
        }
        IgnoredAny.visit_seq(seq).map(|_| ())
    }
}

/// A key's text, or `None` when it is not text. Fails on purpose at the key `fail_at`.
pub struct KeyText<'a> {
    pub fail_at: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for KeyText<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyText<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<String>, E> {
        if self.fail_at == Some(text) { Err(E::custom("here")) } else { Ok(Some(text.to_owned())) }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<String>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<String>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| None)
    }
}

/// Accepts nothing.
struct Nothing;

impl Visitor<'_> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}
