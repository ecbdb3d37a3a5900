//! `${x}`: a parsed value with holes. Split once when the file is read, filled once for every configuration.

use serde_json::{Map, Value};

use super::{
    diagnostic::{Fault, describe, quote},
    locate::{NodePath, Step, join, join_index},
};

/// A value in which parameters are named.
#[derive(Debug, Clone, PartialEq)]
pub enum Template {
    /// No parameter is named in it.
    Plain(Value),
    /// `${x}` alone: any value.
    Whole(String),
    /// `a${x}b`: text.
    Text(Vec<Part>),
    List(Vec<Template>),
    Map(Vec<(String, Template)>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    Parameter(String),
}

/// A place where a parameter is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    pub parameter: String,
    pub path: NodePath,
    /// Inside a longer text, where only a scalar can stand.
    pub in_text: bool,
}

impl Use {
    /// What is wrong with `value` standing here.
    pub fn misfit(&self, value: &Value) -> Option<Fault> {
        let fits = !self.in_text || !(value.is_array() || value.is_object() || value.is_null());
        let message = || format!("{} cannot be part of a text: it is {}", quote(&self.parameter), describe(value));
        (!fits).then(|| Fault::value(&self.path, message()))
    }
}

impl Template {
    /// The template that `value`, found at `path`, is. Malformed `${` are added to `faults` and stand for themselves.
    pub fn new(value: &Value, path: &NodePath, faults: &mut Vec<Fault>) -> Template {
        let template = match value {
            Value::String(text) => match split(text) {
                Ok(parts) => match &parts[..] {
                    [] => Template::Plain(Value::String(String::new())),
                    [Part::Text(text)] => Template::Plain(Value::String(text.clone())),
                    [Part::Parameter(name)] => Template::Whole(name.clone()),
                    _ => Template::Text(parts),
                },
                Err(message) => {
                    let help = "`${name}` stands for a parameter; write `$${` for the characters `${`";
                    faults.push(Fault::value(path, message).help(help));
                    Template::Plain(value.clone())
                }
            },
            Value::Array(list) => Template::List(
                list.iter().enumerate().map(|(i, item)| Template::new(item, &join_index(path, i), faults)).collect(),
            ),
            Value::Object(map) => Template::Map(
                map.iter()
                    .map(|(key, item)| {
                        let path = join(path, key);
                        if key.contains("${") {
                            faults.push(Fault::key(&path, "parameters are not put into keys"));
                        }
                        (key.clone(), Template::new(item, &path, faults))
                    })
                    .collect(),
            ),
            other => Template::Plain(other.clone()),
        };
        let plain = match &template {
            Template::List(items) => items.iter().all(Template::is_plain),
            Template::Map(entries) => entries.iter().all(|(_, item)| item.is_plain()),
            _ => false,
        };
        if plain { Template::Plain(template.fill(&|_| None)) } else { template }
    }

    fn is_plain(&self) -> bool {
        matches!(self, Template::Plain(_))
    }

    /// Every place where a parameter is named.
    pub fn uses(&self, path: &NodePath) -> Vec<Use> {
        let used = |parameter: &String, in_text| Use { parameter: parameter.clone(), path: path.clone(), in_text };
        match self {
            Template::Plain(_) => Vec::new(),
            Template::Whole(name) => vec![used(name, false)],
            Template::Text(parts) => {
                let named = parts.iter().filter_map(|part| match part {
                    Part::Parameter(name) => Some(used(name, true)),
                    Part::Text(_) => None,
                });
                named.collect()
            }
            Template::List(items) => {
                items.iter().enumerate().flat_map(|(i, item)| item.uses(&join_index(path, i))).collect()
            }
            Template::Map(entries) => entries.iter().flat_map(|(key, item)| item.uses(&join(path, key))).collect(),
        }
    }

    /// The value for these parameters; one that is unknown is null.
    pub fn fill<'v>(&self, parameter: &impl Fn(&str) -> Option<&'v Value>) -> Value {
        match self {
            Template::Plain(value) => value.clone(),
            Template::Whole(name) => parameter(name).cloned().unwrap_or_default(),
            Template::Text(parts) => {
                let filled = parts.iter().map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Parameter(name) => match parameter(name) {
                        Some(Value::String(text)) => text.clone(),
                        Some(other) => other.to_string(),
                        None => String::new(),
                    },
                });
                Value::String(filled.collect())
            }
            Template::List(items) => items.iter().map(|item| item.fill(parameter)).collect(),
            Template::Map(entries) => {
                entries.iter().map(|(key, item)| (key.clone(), item.fill(parameter))).collect::<Map<_, _>>().into()
            }
        }
    }

    /// The parameter that the node at `path` comes from, with the number of steps before it.
    pub fn origin(&self, path: &[Step]) -> Option<(&str, usize)> {
        match (self, path.split_first()) {
            (Template::Whole(name), _) => Some((name, 0)),
            (Template::List(items), Some((Step::Index(i), rest))) => deeper(items.get(*i)?, rest),
            (Template::Map(entries), Some((Step::Key(key), rest))) => {
                deeper(&entries.iter().find(|(name, _)| name == key)?.1, rest)
            }
            _ => None,
        }
    }
}

fn deeper<'t>(template: &'t Template, rest: &[Step]) -> Option<(&'t str, usize)> {
    template.origin(rest).map(|(name, steps)| (name, steps + 1))
}

/// The pieces of a text, neighbouring text joined.
fn split(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            plain += before;
            plain += "${";
            rest = &from[2..];
            continue;
        }
        let Some(end) = from.find('}') else { return Err("`${` without a `}`".into()) };
        let name = &from[2..end];
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(format!("{} is not a parameter's name", quote(&from[..=end])));
        }
        plain += before;
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Parameter(name.to_owned()));
        rest = &from[end + 1..];
    }
    plain += rest;
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: Value) -> Value {
        let params = json!({ "lr": 0.1, "n": 4, "name": "x", "opt": { "sgd": { "lr": 0.1 } } });
        let mut faults = Vec::new();
        let template = Template::new(&template, &Vec::new(), &mut faults);
        assert_eq!(faults, []);
        template.fill(&|name| params.get(name))
    }

    #[test]
    fn a_whole_scalar_becomes_the_value_and_a_part_becomes_text() {
        assert_eq!(filled(json!("${lr}")), json!(0.1));
        assert_eq!(filled(json!({ "a": ["${opt}", 1] })), json!({ "a": [{ "sgd": { "lr": 0.1 } }, 1] }));
        assert_eq!(filled(json!("run-${name}-${n}")), json!("run-x-4"));
        assert_eq!(filled(json!("${n}${n}")), json!("44"));
    }

    #[test]
    fn a_doubled_dollar_escapes() {
        assert_eq!(filled(json!("$${lr} costs $5 ${n}")), json!("${lr} costs $5 4"));
        assert_eq!(filled(json!("$$${lr}")), json!("$${lr}"));
        assert_eq!(filled(json!("")), json!(""));
    }

    #[test]
    fn malformed_holes_are_faults() {
        for bad in ["${", "a ${x", "${}", "${a + b}", "${a b}"] {
            let mut faults = Vec::new();
            Template::new(&json!({ "k": bad }), &Vec::new(), &mut faults);
            assert_eq!(faults.len(), 1, "{bad}");
            assert_eq!(faults[0].path, [Step::Key("k".into())]);
        }
    }

    #[test]
    fn a_node_knows_the_parameter_it_comes_from() {
        let template = json!({ "optimizer": "${opt}", "list": [1, "${n}"] });
        let template = Template::new(&template, &Vec::new(), &mut Vec::new());
        let path = |keys: &[&str]| keys.iter().map(|k| Step::Key((*k).into())).collect::<Vec<_>>();
        assert_eq!(template.origin(&path(&["optimizer", "sgd", "lr"])), Some(("opt", 1)));
        assert_eq!(template.origin(&[Step::Key("list".into()), Step::Index(1)]), Some(("n", 2)));
        assert_eq!(template.origin(&path(&["list"])), None);
    }
}
