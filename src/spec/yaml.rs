//! YAML text to a tree of plain values. What other readers pass over in silence is an error here: duplicate keys, keys that
//! are not text, numbers that JSON has no form for, tags, a second document.

use std::{fmt, sync::Arc};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{
    diagnostic::{Diagnostic, Fault, Problems, Severity, quote},
    locate::{At, KeyText, NodePath, Source, Step},
};

/// Largest text that is read, in bytes.
const LARGEST: usize = 4 << 20;
/// Most values that a text may stand for, aliases expanded.
const MOST_VALUES: usize = 500_000;
/// Most brackets, or block indicators on one line, inside each other.
const DEEPEST: usize = 128;

/// The tree of `source`. Problems inside it are added to `problems` and leave a tree without the faulty parts; `None` when
/// the text is not YAML.
pub fn read(source: &Arc<Source>, problems: &mut Problems) -> Option<Value> {
    match parse(source) {
        Ok((value, faults)) => {
            faults.into_iter().for_each(|fault| problems.add(source, fault));
            Some(value)
        }
        Err(diagnostic) => {
            problems.add_located(*diagnostic);
            None
        }
    }
}

fn parse(source: &Source) -> Result<(Value, Vec<Fault>), Box<Diagnostic>> {
    let at = |line, column, message: String, help: Option<&str>| {
        let help = help.map(str::to_owned);
        Box::new(source.diagnostic_at(Severity::Error, line, column, message, help))
    };
    if source.text.len() > LARGEST {
        return Err(at(1, 1, format!("the file has {} bytes; at most {LARGEST} are read", source.text.len()), None));
    }
    if let Some(line) = too_deep(&source.text) {
        return Err(at(line, 1, format!("nested more than {DEEPEST} levels deep"), None));
    }
    let mut documents = serde_yaml::Deserializer::from_str(&source.text);
    let mut reader = Reader::default();
    let Some(first) = documents.next() else { return Ok((Value::Null, Vec::new())) };
    let value = match (Node { reader: &mut reader }).deserialize(first) {
        Ok(value) => value,
        Err(error) => {
            let (line, column) = error.location().map_or((1, 1), |l| (l.line(), l.column()));
            let help = help_for(&source.text, line, &error);
            return Err(at(line, column, explain(&error), help.as_deref()));
        }
    };
    if let Some(second) = documents.next() {
        let error = (KeyText { fail_at: None }).deserialize(second).err();
        let (line, column) = error.and_then(|e| e.location()).map_or_else(
            || (source.text.lines().take_while(|line| !line.starts_with("---")).count() + 1, 1),
            |location| (location.line(), location.column()),
        );
        return Err(at(line, column, "a second YAML document begins here; a file holds one".into(), None));
    }
    Ok((value, reader.faults))
}

/// The line where brackets, or block indicators on one line, nest deeper than any real file: the parser's time grows with
/// the square of the depth. Brackets inside quotes are counted too, which only matters to files nobody writes.
fn too_deep(text: &str) -> Option<usize> {
    let mut brackets = 0usize;
    for (i, line) in text.lines().enumerate() {
        let indicators = line.split(' ').take_while(|word| matches!(*word, "" | "-" | "?" | ":")).count();
        let indented = line.len() - line.trim_start().len();
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => brackets += 1,
                b']' | b'}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            if brackets > DEEPEST {
                return Some(i + 1);
            }
        }
        if indicators.saturating_sub(indented) > DEEPEST {
            return Some(i + 1);
        }
    }
    None
}

/// The parser's message without its position, in our words where its own mislead.
fn explain(error: &serde_yaml::Error) -> String {
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or(&full);
    match message {
        "recursion limit exceeded" => format!("nested more than {DEEPEST} levels deep"),
        "repetition limit exceeded" => "aliases repeat too much".into(),
        other if other.contains("stands for more than") => {
            format!("the file stands for more than {MOST_VALUES} values")
        }
        other if other.contains("invalid type: enum") => "tags (`!name`) have no meaning here".into(),
        // The parser's own words speak of its grammar.
        other if other.starts_with("did not find expected key") => {
            "this line does not fit those above it: it is indented by another number of spaces, or a `:` is missing"
                .into()
        }
        other if other.starts_with("mapping values are not allowed") => {
            "a `key: value` cannot stand here: a line above is not finished, or this one is indented too far".into()
        }
        other if other.starts_with("did not find expected ',' or '}'") => {
            "a `{ ... }` is not closed, or a `,` is missing in it".into()
        }
        other if other.starts_with("did not find expected ',' or ']'") => {
            "a `[ ... ]` is not closed, or a `,` is missing in it".into()
        }
        other if other.starts_with("found unexpected end of stream") => "the file ends inside a quoted text".into(),
        other if other.starts_with("unknown anchor") => "no anchor (`&name`) of this name stands above".into(),
        other if other.starts_with("found character that cannot start") => "no value begins with this character".into(),
        other if other.starts_with("could not find expected ':'") => "a `:` is missing after a key".into(),
        other => format!("this is not valid YAML: {}", other.chars().take(200).collect::<String>()),
    }
}

fn help_for(text: &str, line_number: usize, error: &serde_yaml::Error) -> Option<String> {
    let line = text.lines().nth(line_number.saturating_sub(1)).unwrap_or("");
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.contains('\t') {
        return Some("indent with spaces; YAML does not allow tabs there".into());
    }
    if unquoted_hole(text, line_number) {
        return Some("put the parameter into quotes: \"${name}\"; a bare { opens a map".into());
    }
    if [": @", ": `", ": %"].iter().any(|start| line.contains(start)) {
        return Some("put the text into quotes".into());
    }
    // "while parsing a flow mapping at line 3 column 5": where the unfinished thing begins.
    let error = error.to_string();
    let (_, context) = error.split_once(", while ")?;
    let (what, place) = context.split_once(" at ").unwrap_or((context, "line 1 column 1"));
    let what = match what {
        "parsing a block mapping" => "the map that it would belong to",
        "parsing a block collection" => "the list that it would belong to",
        "parsing a flow mapping" => "the `{`",
        "parsing a flow sequence" => "the `[`",
        "scanning a quoted scalar" => "the quoted text",
        _ => return Some(format!("while {context}")),
    };
    Some(format!("{what} begins at {place}"))
}

/// Whether a `${` stands outside quotes on this line or the one before.
fn unquoted_hole(text: &str, line: usize) -> bool {
    let bare =
        |line: &str| line.match_indices("${").any(|(at, _)| line[..at].matches(['"', '\'']).count().is_multiple_of(2));
    text.lines().skip(line.saturating_sub(2)).take(2).any(bare)
}

/// What is noticed on the way.
#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
    path: NodePath,
    values: usize,
}

impl Reader {
    fn fault(&mut self, at: At, message: String, help: &str) {
        self.faults.push(Fault { path: self.path.clone(), at, message, help: Some(help.to_owned()) });
    }
}

struct Node<'r> {
    reader: &'r mut Reader,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.reader.values += 1;
        if self.reader.values > MOST_VALUES {
            return Err(de::Error::custom("stands for more than is read"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    /// What an empty document is.
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or_else(
            || {
                self.reader.fault(At::Value, format!("`{value}` is not a finite number"), "write a finite number");
                Value::Null
            },
            Value::Number,
        ))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.reader.path.push(Step::Index(list.len()));
            let element = seq.next_element_seed(Node { reader: &mut *self.reader })?;
            self.reader.path.pop();
            match element {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut count = 0;
        while let Some(key) = entries.next_key_seed(KeyText { fail_at: None })? {
            match key {
                Some(key) if key == "<<" => {
                    entries.next_value::<IgnoredAny>()?;
                    let help = "write the keys out, or put what is shared into `params`";
                    self.reader.fault(At::Entry(count), "merge keys (`<<`) are not read".into(), help);
                }
                Some(key) if !map.contains_key(&key) => {
                    self.reader.path.push(Step::Key(key.clone()));
                    let value = entries.next_value_seed(Node { reader: &mut *self.reader })?;
                    self.reader.path.pop();
                    if value.is_null() && !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit()) {
                        let message = format!("{} stands here as a key of its own", quote(&key));
                        self.reader.fault(At::Entry(count), message, "decimals are written with a point: 0.01");
                    }
                    map.insert(key, value);
                }
                Some(key) => {
                    entries.next_value::<IgnoredAny>()?;
                    let message = format!("duplicate key {}", quote(&key));
                    self.reader.fault(At::Entry(count), message, "remove one: the first would win in silence");
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                    self.reader.fault(At::Entry(count), "a key must be text".into(), "put it in quotes");
                }
            }
            count += 1;
        }
        Ok(Value::Object(map))
    }
}
