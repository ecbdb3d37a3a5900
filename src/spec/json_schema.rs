//! JSON Schemas of the two kinds of file, for editors: what the stages' own schemas say, put together, with a `${parameter}`
//! allowed wherever a value may stand. `schema` checks files; these only describe them.

use serde_json::{Map, Value, json};

use super::{experiment, metric};
use crate::{backbones, stages::KINDS};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Where the schema of `${parameter}` lies.
const PARAMETER: &str = "#/$defs/Parameter";
/// The characters of a stage's name: no punctuation but `_` and `-`. Classes of letters are not known to every reader.
const NAME: &str = r"[^\x00-,./:-@\[-^`{-\x7f]+";

/// JSON Schema of a pipeline file.
pub fn pipeline() -> Value {
    let mut definitions = Map::new();
    let mut kinds = Map::new();
    for kind in KINDS {
        let mut schema = (kind.schema)();
        let names = schema.get("$defs").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        for name in names.cloned().collect::<Vec<_>>() {
            // Types of one name may differ between kinds.
            if definitions.get(&name).is_some_and(|known| schema["$defs"][&name] != *known) {
                rename(&mut schema, &name, &format!("{name}_{}", kind.name));
            }
        }
        let own = schema.as_object_mut().and_then(|map| map.remove("$defs"));
        definitions.extend(own.and_then(into_map).unwrap_or_default());
        if let Some(map) = schema.as_object_mut() {
            ["$schema", "title"].iter().for_each(|key| drop(map.remove(*key)));
            map.insert("description".into(), format!("{}: {}", kind.name, kind.summary).into());
        }
        admit(&mut schema);
        kinds.insert(kind.name.into(), schema);
    }
    if let Some(name) = definitions.get_mut("Chosen").and_then(|chosen| chosen.pointer_mut("/anyOf/0")) {
        name_backbones(name);
    }
    definitions.values_mut().for_each(admit_inside);
    definitions.insert(
        "Parameter".into(),
        json!({
            "type": "string",
            "pattern": r"^\$\{[^}]+\}$",
            "description": "The value of a parameter that `params` declares.",
        }),
    );
    let mut schema = json!({
        "$schema": DIALECT,
        "title": "thawline pipeline",
        "description": "One recipe: stages, joined by the parameters that name other stages.",
        "type": "object",
        "properties": {
            "description": { "type": ["string", "null"], "description": "What the recipe is, in a line." },
            "extends": {
                "type": "string",
                "description": "Another pipeline, relative to this file, that this one adds to: stages and parameters given here \
                    replace those there, and `name: null` removes a stage.",
            },
            "params_from": {
                "description": "Files of parameters, relative to this one; weaker than `params`.",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
            "params": {
                "type": ["object", "null"],
                "description": "Parameters with their defaults; `\"${name}\"` puts one in.",
            },
            "stages": {
                "type": "object",
                "description": "Stages by name, each `name: { kind: { parameters } }`.",
                "propertyNames": { "pattern": format!("^{NAME}$") },
                "additionalProperties": {
                    "type": ["object", "null"],
                    "description": "A stage, of one kind; null removes one of the pipeline that is extended.",
                    "properties": kinds,
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                },
            },
        },
        "anyOf": [{ "required": ["stages"] }, { "required": ["extends"] }],
        "additionalProperties": false,
        "$defs": definitions,
    });
    describe_all(&mut schema);
    schema
}

/// JSON Schema of an experiment file.
pub fn experiment() -> Value {
    let mut schema = experiment::schema();
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".into(), DIALECT.into());
        map.insert("title".into(), "thawline experiment".into());
        map.insert("description".into(), "What to compare: recipes, what is searched, and over which seeds.".into());
        map.insert("required".into(), json!(["arms"]));
    }
    if let Some(name) = schema.pointer_mut("/$defs/MetricFile/properties/name") {
        let names: Vec<String> = metric::NAMES.iter().map(|name| format!("val/{name}")).collect();
        let any = metric::NAMES.join("|");
        let pattern = format!(r"^({NAME}\.)?val/({any}|top_[1-9][0-9]*)$");
        *name = json!({
            "description": "The metric that chooses: `val/accuracy`, or `stage.val/accuracy` of one `evaluate` stage of several.",
            "anyOf": [{ "enum": names }, { "type": "string", "pattern": pattern }],
        });
    }
    describe_all(&mut schema);
    schema
}

/// Gives every property that says nothing of itself what its type says.
fn describe_all(schema: &mut Value) {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    describe(schema, &definitions);
}

fn describe(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get_mut("properties") {
                for property in properties.values_mut().filter_map(Value::as_object_mut) {
                    let said = property.get("description").is_some();
                    if let Some(text) = (!said).then(|| own_words(property, definitions)).flatten() {
                        property.shift_insert(0, "description".into(), text.into());
                    }
                }
            }
            map.values_mut().for_each(|inner| describe(inner, definitions));
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| describe(inner, definitions)),
        _ => {}
    }
}

fn own_words(property: &Map<String, Value>, definitions: &Value) -> Option<String> {
    if let Some(Value::Array(accepted)) = property.get("x-stage") {
        let accepted: Vec<&str> = accepted.iter().filter_map(Value::as_str).collect();
        return Some(format!("The name of a stage that makes {}.", accepted.join(" or ")));
    }
    let branches = property.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let references = property.get("$ref").into_iter().chain(branches.filter_map(|branch| branch.get("$ref")));
    let name = references.filter_map(Value::as_str).find(|pointer| *pointer != PARAMETER)?.strip_prefix("#/$defs/")?;
    definitions.get(name)?.get("description")?.as_str().map(str::to_owned)
}

/// Gives a definition another name, wherever it is named.
fn rename(schema: &mut Value, from: &str, to: &str) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(definitions)) = map.get_mut("$defs")
                && let Some(definition) = definitions.remove(from)
            {
                definitions.insert(to.into(), definition);
            }
            for (key, inner) in map {
                match inner {
                    Value::String(pointer) if key == "$ref" && *pointer == format!("#/$defs/{from}") => {
                        *pointer = format!("#/$defs/{to}");
                    }
                    inner => rename(inner, from, to),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|inner| rename(inner, from, to)),
        _ => {}
    }
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

fn name_backbones(schema: &mut Value) {
    let names: Vec<&str> = backbones::all().iter().map(|backbone| backbone.name).collect();
    if let Some(map) = schema.as_object_mut() {
        map.remove("type");
        map.insert("enum".into(), json!(names));
    }
}

/// Lets the value that `schema` describes be `${parameter}`, and every value inside it.
fn admit(schema: &mut Value) {
    admit_inside(schema);
    if takes_any_text(schema) {
        return;
    }
    let parameter = json!({ "$ref": PARAMETER });
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
        return branches.push(parameter);
    }
    let mut about = Map::new();
    for key in ["description", "default"] {
        about.extend(map.remove(key).map(|value| (key.to_owned(), value)));
    }
    let typed = std::mem::take(map);
    about.insert("anyOf".into(), json!([typed, parameter]));
    *map = about;
}

fn admit_inside(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    for (key, inner) in map {
        match (key.as_str(), inner) {
            ("properties", Value::Object(named)) => named.values_mut().for_each(admit),
            ("prefixItems", Value::Array(list)) => list.iter_mut().for_each(admit),
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => list.iter_mut().for_each(admit_inside),
            ("items" | "additionalProperties", inner @ Value::Object(_)) => admit(inner),
            _ => {}
        }
    }
}

/// Whether any text fits, so that `${parameter}` does.
fn takes_any_text(schema: &Value) -> bool {
    let Some(map) = schema.as_object() else { return true };
    let limited = ["enum", "const", "pattern", "$ref"].iter().any(|key| map.contains_key(*key));
    let typed = match map.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => names.iter().any(|name| name == "string"),
        _ => !["anyOf", "oneOf", "properties"].iter().any(|key| map.contains_key(*key)),
    };
    let branches = ["anyOf", "oneOf"].iter().filter_map(|key| map.get(*key)?.as_array()).flatten();
    !limited && (typed || branches.into_iter().any(takes_any_text))
}
