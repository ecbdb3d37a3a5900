//! Checks a value against the JSON Schema of what it should be, walking both together, and names everything that is wrong
//! with it: each unknown key, missing key, wrong type and number out of range, where a deserialiser stops at the first.
//!
//! Knows the part of JSON Schema that `schemars` derives for our parameters: `$ref`, `type`, `properties`, `required`,
//! `additionalProperties`, `enum`, `const`, `items`, `prefixItems`, `minimum`, `maximum`, and `oneOf`/`anyOf` of
//! constants, types and externally tagged enums. Where the value is a whole number in floating form it becomes an integer.

use serde_json::{Map, Value};

use super::{
    diagnostic::{Fault, alternatives, describe, quote},
    locate::{NodePath, Step, dotted},
};

/// Most names that a message lists where one was to be given.
const MOST_NAMED: usize = 12;

/// A parameter that names another stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub path: NodePath,
    pub target: String,
    /// Names of the artifact types it may be.
    pub accepts: Vec<String>,
}

/// What a check finds.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub faults: Vec<Fault>,
    pub references: Vec<Reference>,
}

/// Checks `value` against the schema document `root`. `path` is where it lies; messages name places inside it.
pub fn check(root: &Value, value: &mut Value, path: &NodePath) -> Findings {
    let mut checker = Checker { root, base: path.len(), path: path.clone(), found: Findings::default() };
    checker.check(root, value);
    checker.found
}

struct Checker<'s> {
    root: &'s Value,
    /// Steps of `path` that lead to the checked value.
    base: usize,
    path: NodePath,
    found: Findings,
}

impl<'s> Checker<'s> {
    fn check(&mut self, schema: &'s Value, value: &mut Value) {
        let schema = self.follow(schema);
        if let Some(branches) = alternatives_of(schema) {
            return self.check_branches(branches, value);
        }
        if let Some(constants) = constants_of(schema) {
            return self.check_constant(&constants, &[], value);
        }
        if !fits_type(schema, value) {
            let expected = expected(schema, self.root);
            let help = help_on_type(schema, value);
            let mut fault =
                Fault::value(&self.path, format!("{}expected {expected}, found {}", self.at(), describe(value)));
            fault.help = help;
            self.found.faults.push(fault);
            return;
        }
        match value {
            Value::Object(map) => self.check_map(schema, map),
            Value::Array(list) => self.check_list(schema, list),
            Value::Number(_) => self.check_number(schema, value),
            Value::String(text) => {
                if let Some(accepts) = schema.get("x-stage").and_then(Value::as_array) {
                    let accepts = accepts.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                    let reference = Reference { path: self.path.clone(), target: text.clone(), accepts };
                    self.found.references.push(reference);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The schema behind `$ref`, however many.
    fn follow(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..16 {
            let Some(pointer) = schema.get("$ref").and_then(Value::as_str) else { break };
            let Some(target) = pointer.strip_prefix('#').and_then(|p| self.root.pointer(p)) else { break };
            schema = target;
        }
        schema
    }

    fn check_map(&mut self, schema: &'s Value, map: &mut Map<String, Value>) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let open = ["additionalProperties", "unevaluatedProperties"].iter().find_map(|key| schema.get(key));
        for name in required.iter().filter_map(Value::as_str).filter(|name| !map.contains_key(*name)) {
            let near = |key: &str| super::diagnostic::nearest(key, [name]).is_some();
            let misspelt = map.keys().any(|key| near(key) && !properties.is_some_and(|p| p.contains_key(key)));
            if !misspelt {
                let message = format!("{}missing key {}", self.at(), quote(name));
                self.found.faults.push(Fault::key(&self.path, message));
            }
        }
        for (key, item) in map {
            self.path.push(Step::Key(key.clone()));
            match (properties.and_then(|p| p.get(key)), open) {
                (Some(schema), _) => self.check(schema, item),
                (None, Some(Value::Bool(false))) => {
                    let place = self.name_of(self.path.len() - 1);
                    let within = if place.is_empty() { String::new() } else { format!(" in `{place}`") };
                    let fault = Fault::key(&self.path, format!("unknown key {}{within}", quote(key)));
                    let names = properties.unwrap_or(&none).keys().map(String::as_str);
                    self.found.faults.push(fault.suggest(key, names));
                }
                (None, Some(schema @ Value::Object(_))) => self.check(schema, item),
                (None, _) => {}
            }
            self.path.pop();
        }
    }

    fn check_list(&mut self, schema: &'s Value, list: &mut [Value]) {
        if let Some(fixed) = schema.get("prefixItems").and_then(Value::as_array) {
            if fixed.len() != list.len() {
                let message = format!("{}expected {} values, found {}", self.at(), fixed.len(), list.len());
                return self.found.faults.push(Fault::value(&self.path, message));
            }
            for (i, (schema, item)) in fixed.iter().zip(list).enumerate() {
                self.check_element(schema, i, item);
            }
            return;
        }
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let (least, most) = (bound("minItems").unwrap_or(0), bound("maxItems").unwrap_or(u64::MAX));
        if !(least..=most).contains(&(list.len() as u64)) {
            let wanted = if least == most { format!("{least} values") } else { format!("at least {least}") };
            let message = format!("{}expected {wanted}, found {}", self.at(), list.len());
            self.found.faults.push(Fault::value(&self.path, message));
        }
        if let Some(schema) = schema.get("items") {
            for (i, item) in list.iter_mut().enumerate() {
                self.check_element(schema, i, item);
            }
        }
    }

    fn check_element(&mut self, schema: &'s Value, index: usize, item: &mut Value) {
        self.path.push(Step::Index(index));
        self.check(schema, item);
        self.path.pop();
    }

    fn check_number(&mut self, schema: &Value, value: &mut Value) {
        let Some(number) = value.as_f64() else { return };
        if names_type(schema, "integer") && !names_type(schema, "number") && value.is_f64() {
            // Exact: `fits_type` has seen that it is whole and below 2^53.
            *value = (number as i64).into();
        }
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let largest = match schema.get("format").and_then(Value::as_str) {
            Some("uint8") => Some(f64::from(u8::MAX)),
            Some("uint16") => Some(f64::from(u16::MAX)),
            Some("uint32") => Some(f64::from(u32::MAX)),
            _ => None,
        };
        let (low, high) = (bound("minimum"), bound("maximum").or(largest));
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            let range = match (low, high) {
                (Some(low), Some(high)) => format!("between {low} and {high}"),
                (Some(low), None) => format!("at least {low}"),
                (_, high) => format!("at most {}", high.unwrap_or_default()),
            };
            let message = format!("{}must be {range}, found {value}", self.at());
            let mut fault = Fault::value(&self.path, message);
            if high == Some(1.0) && number > 1.0 && number <= 100.0 {
                fault = fault.help(format!("{value} percent are {}", number / 100.0));
            }
            self.found.faults.push(fault);
        }
    }

    /// `constants`: plain values; `tagged`: keys of variants that have settings.
    fn check_constant(&mut self, constants: &[&str], tagged: &[&str], value: &Value) {
        let Value::String(text) = value else {
            let names = every(constants, tagged);
            let message = format!("{}expected {}, found {}", self.at(), alternatives(&names), describe(value));
            return self.found.faults.push(Fault::value(&self.path, message));
        };
        if constants.contains(&text.as_str()) {
            return;
        }
        if tagged.contains(&text.as_str()) {
            let fault = Fault::value(&self.path, format!("{}{} has settings", self.at(), quote(text)));
            return self.found.faults.push(fault.help(format!("write `{{ {text}: ... }}`")));
        }
        let fault = Fault::value(&self.path, format!("{}there is no {}", self.at(), quote(text)));
        self.found.faults.push(fault.suggest(text, every(constants, tagged)));
    }

    fn check_branches(&mut self, branches: &'s [Value], value: &mut Value) {
        let branches: Vec<&'s Value> = branches.iter().map(|branch| self.follow(branch)).collect();
        if value.is_null() && branches.iter().any(|branch| fits_type(branch, value)) {
            return;
        }
        let branches: Vec<&'s Value> = branches.into_iter().filter(|branch| !names_only_null(branch)).collect();
        if let [branch] = branches[..] {
            return self.check(branch, value);
        }
        let constants: Vec<&str> = branches.iter().filter_map(|branch| constants_of(branch)).flatten().collect();
        let variants: Vec<(&str, &'s Value)> = branches.iter().filter_map(|branch| variant_of(branch)).collect();
        let tagged: Vec<&str> = variants.iter().map(|(key, _)| *key).collect();
        // What is neither a constant nor a tagged variant is told apart by its type.
        let mut fitting = branches.iter().filter(|b| constants_of(b).is_none() && variant_of(b).is_none()).copied();
        if constants.is_empty() && variants.is_empty() {
            let candidates: Vec<&'s Value> = fitting.filter(|branch| self.admits(branch, value)).collect();
            return match candidates[..] {
                [] => self.no_branch(&branches, value),
                [first, ..] => self.check(first, value),
            };
        }
        match value {
            Value::Object(map) if !variants.is_empty() => self.check_variant(&variants, &constants, map),
            other => match fitting.find(|branch| fits_type(branch, other)) {
                Some(branch) => self.check(branch, other),
                None if constants.is_empty() && !tagged.is_empty() => self.no_branch(&branches, other),
                None => self.check_constant(&constants, &tagged, other),
            },
        }
    }

    /// A value of a type that no branch takes.
    fn no_branch(&mut self, branches: &[&'s Value], value: &Value) {
        let kind = |branch: &&Value| match variant_of(branch) {
            Some((key, _)) => format!("`{{ {key}: ... }}`"),
            None => expected(branch, self.root),
        };
        let kinds = branches.iter().map(kind).collect::<Vec<_>>().join(" or ");
        let mut fault = Fault::value(&self.path, format!("{}expected {kinds}, found {}", self.at(), describe(value)));
        fault.help = branches.iter().find_map(|branch| help_on_type(branch, value));
        self.found.faults.push(fault);
    }

    /// Whether a branch, itself perhaps of branches, takes values of this type.
    fn admits(&self, schema: &'s Value, value: &Value) -> bool {
        let schema = self.follow(schema);
        match alternatives_of(schema) {
            Some(branches) => branches.iter().any(|branch| self.admits(branch, value)),
            None => fits_type(schema, value),
        }
    }

    fn check_variant(&mut self, variants: &[(&str, &'s Value)], constants: &[&str], map: &mut Map<String, Value>) {
        let tags: Vec<&str> = variants.iter().map(|(key, _)| *key).collect();
        let mut entries = map.iter_mut();
        let (Some((key, settings)), None) = (entries.next(), entries.next()) else {
            let (names, count) = (every(constants, &tags), map.len());
            let more = if names.len() > MOST_NAMED { ", …" } else { "" };
            let names = names[..names.len().min(MOST_NAMED)].join(", ");
            let message = format!("{}expected exactly one of {names}{more}, found {count}", self.at());
            return self.found.faults.push(Fault::value(&self.path, message));
        };
        self.path.push(Step::Key(key.clone()));
        if let Some((_, schema)) = variants.iter().find(|(tag, _)| tag == key) {
            self.check(schema, settings);
        } else if constants.contains(&key.as_str()) {
            let fault = Fault::key(&self.path, format!("{} has no settings", quote(key)));
            self.found.faults.push(fault.help(format!("write `{key}` alone")));
        } else {
            let fault = Fault::key(&self.path, format!("there is no {}", quote(key)));
            self.found.faults.push(fault.suggest(key, every(constants, &tags)));
        }
        self.path.pop();
    }

    /// "`a.b`: " for the message about a value.
    fn at(&self) -> String {
        let name = self.name_of(self.path.len());
        if name.is_empty() { name } else { format!("`{name}`: ") }
    }

    /// The first `steps` of the path, from inside the checked value; that value itself has the name of its key.
    fn name_of(&self, steps: usize) -> String {
        let from = if steps > self.base { self.base } else { self.base.saturating_sub(1) };
        dotted(&self.path[from..steps])
    }
}

/// Both, each name once: some variants may be written with and without settings.
fn every<'n>(constants: &[&'n str], tagged: &[&'n str]) -> Vec<&'n str> {
    let more = tagged.iter().filter(|tag| !constants.contains(tag));
    constants.iter().chain(more).copied().collect()
}

fn alternatives_of(schema: &Value) -> Option<&[Value]> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array).map(Vec::as_slice)
}

fn constants_of(schema: &Value) -> Option<Vec<&str>> {
    if let Some(constant) = schema.get("const") {
        return constant.as_str().map(|text| vec![text]);
    }
    schema.get("enum").and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect())
}

/// Tag and settings of a variant with settings: an object of exactly one property, which it requires.
fn variant_of(schema: &Value) -> Option<(&str, &Value)> {
    let properties = schema.get("properties")?.as_object()?;
    let required = schema.get("required")?.as_array()?;
    let (key, settings) = properties.iter().next()?;
    (properties.len() == 1 && required.len() == 1 && required[0] == *key).then_some((key, settings))
}

fn types_of(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn names_type(schema: &Value, name: &str) -> bool {
    types_of(schema).contains(&name)
}

fn names_only_null(schema: &Value) -> bool {
    types_of(schema) == ["null"]
}

fn fits_type(schema: &Value, value: &Value) -> bool {
    let types = types_of(schema);
    let fits = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => match value.as_f64() {
            Some(number) if value.is_f64() => number.fract() == 0.0 && number.abs() < 9e15,
            Some(_) => true,
            None => false,
        },
        _ => true,
    };
    types.is_empty() || types.iter().any(fits)
}

/// What a schema takes, in words.
fn expected(schema: &Value, root: &Value) -> String {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return pointer.strip_prefix('#').and_then(|p| root.pointer(p)).map_or("a value".into(), |s| expected(s, root));
    }
    if let Some(branches) = alternatives_of(schema) {
        let mut kinds: Vec<String> = Vec::new();
        for kind in branches.iter().filter(|branch| !names_only_null(branch)).map(|branch| expected(branch, root)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        return kinds.join(" or ");
    }
    let words = types_of(schema).into_iter().filter(|name| *name != "null").map(|name| match name {
        "boolean" => "true or false",
        "string" if schema.get("x-stage").is_some() => "the name of a stage",
        "string" => "text",
        "array" => "a list",
        "object" => "a map",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    });
    let words: Vec<&str> = words.collect();
    if words.is_empty() { "a value".into() } else { words.join(" or ") }
}

/// The number that a text begins with, and what follows it.
fn leading_number(text: &str) -> Option<(&str, &str)> {
    let ends = text.char_indices().map(|(at, _)| at).skip(1).chain([text.len()]);
    let end = ends.filter(|end| text[..*end].parse::<f64>().is_ok_and(f64::is_finite)).last()?;
    Some((&text[..end], text[end..].trim()))
}

fn help_on_type(schema: &Value, value: &Value) -> Option<String> {
    match value {
        Value::Number(n) if names_type(schema, "string") => Some(format!("for a text, write \"{n}\"")),
        Value::Number(_) if names_type(schema, "boolean") => Some("write true or false".into()),
        Value::Bool(b) if names_type(schema, "string") => Some(format!("for a text, write \"{b}\"")),
        Value::String(text) if names_type(schema, "number") || names_type(schema, "integer") => {
            match leading_number(text) {
                Some((_, "")) => Some(format!("a number stands without quotes: {text}")),
                Some((number, unit)) if unit.starts_with('%') => {
                    let part = number.parse::<f64>().unwrap_or_default() / 100.0;
                    Some(format!("write the part of one, without a unit: {part}"))
                }
                Some((_, unit)) if unit.starts_with('/') => Some("write it as a decimal, 0.1 for example".into()),
                Some((number, _)) => Some(format!("write the number alone, without a unit: {number}")),
                None => None,
            }
        }
        Value::String(text) if names_type(schema, "boolean") => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write true".into()),
            "no" | "off" | "n" | "false" => Some("write false".into()),
            _ => Some("write true or false".into()),
        },
        Value::Array(_) if names_type(schema, "object") => {
            let keys = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
            let keys: Vec<&str> = keys.map(String::as_str).collect();
            if let [key] = keys[..] { Some(format!("write `{{ {key}: [...] }}`")) } else { None }
        }
        other if names_type(schema, "array") && !other.is_null() => Some("a list is written `[a, b]`".into()),
        _ => None,
    }
}
