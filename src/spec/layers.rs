//! What a pipeline is put together from: its file, the pipelines that it extends, and parameter files. The base comes first,
//! and every later layer adds, replaces and removes.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Params,
    diagnostic::{Fault, Problems, describe, quote},
    locate::{NodePath, Source, Step, join},
    pipeline::check_literal,
};

/// Keys of a pipeline file.
const KEYS: [&str; 5] = ["params", "stages", "description", "extends", "params_from"];

/// One pipeline file.
pub(super) struct Layer {
    pub source: Arc<Source>,
    pub tree: Value,
    /// The parameter files that it names, in order.
    pub files: Vec<ParamFile>,
}

/// A parameter file: names and their values.
#[derive(Debug, Clone)]
pub(super) struct ParamFile {
    pub source: Arc<Source>,
    pub params: Params,
}

/// A stage as written, and where.
#[derive(Debug)]
pub(super) struct WrittenStage {
    pub name: String,
    pub body: Value,
    pub source: Arc<Source>,
}

/// Everything that the layers say, later ones over earlier ones.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub description: Option<String>,
    pub params: Params,
    /// Where every parameter has its value.
    pub origins: HashMap<String, (Arc<Source>, NodePath)>,
    pub stages: Vec<WrittenStage>,
}

impl ParamFile {
    /// Reads the tree of a parameter file; what is wrong is added to `problems`.
    pub(super) fn new(source: Arc<Source>, tree: Value, problems: &mut Problems) -> ParamFile {
        let params = match tree {
            Value::Null => Params::new(),
            Value::Object(map) => map,
            other => {
                let message = format!("a parameter file is a map of names and values, not {}", describe(&other));
                problems.add(&source, Fault::value(&Vec::new(), message).help("write `name: value` lines"));
                Params::new()
            }
        };
        let mut faults = Vec::new();
        check_literal(&params.clone().into(), &Vec::new(), &mut faults);
        faults.into_iter().for_each(|fault| problems.add(&source, fault));
        ParamFile { source, params }
    }
}

impl Written {
    /// Puts a layer over those that are there.
    pub(super) fn add(&mut self, layer: Layer, problems: &mut Problems) {
        let Layer { source, mut tree, files } = layer;
        let mut map = tree.as_object_mut().map(std::mem::take).unwrap_or_default();
        let extends = map.contains_key("extends");
        let mut faults = Vec::new();
        for key in map.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let fault = Fault::key(&at(key), format!("unknown key {} in a pipeline", quote(key)));
            faults.push(fault.suggest(key, KEYS));
        }
        match map.remove("description") {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => self.description = Some(text),
            Some(other) => {
                let message = format!("`description`: expected text, found {}", describe(&other));
                faults.push(Fault::value(&at("description"), message));
            }
        }
        for file in files {
            for (name, value) in file.params {
                self.set(name.clone(), value, (file.source.clone(), join(&[], &name)));
            }
        }
        let params = section(&mut map, "params", &mut faults);
        check_literal(&params.clone().into(), &at("params"), &mut faults);
        for (name, value) in params {
            let place = join(&at("params"), &name);
            self.set(name, value, (source.clone(), place));
        }
        for (name, body) in section(&mut map, "stages", &mut faults) {
            let path = join(&at("stages"), &name);
            if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
                let message = format!("{} is no name for a stage", quote(&name));
                faults.push(Fault::key(&path, message).help("use letters, digits, `_` and `-`"));
            }
            let known = self.stages.iter().position(|stage| stage.name == name);
            match (known, body) {
                (Some(at), Value::Null) => drop(self.stages.remove(at)),
                (None, Value::Null) if extends => {
                    let fault = Fault::key(&path, format!("there is no stage {} to remove", quote(&name)));
                    faults.push(fault.suggest(&name, self.stages.iter().map(|stage| stage.name.as_str())));
                }
                (Some(at), body) => self.stages[at] = WrittenStage { name, body, source: source.clone() },
                (None, body) => self.stages.push(WrittenStage { name, body, source: source.clone() }),
            }
        }
        faults.into_iter().for_each(|fault| problems.add(&source, fault));
    }

    fn set(&mut self, name: String, value: Value, origin: (Arc<Source>, NodePath)) {
        self.origins.insert(name.clone(), origin);
        self.params.insert(name, value);
    }
}

fn at(key: &str) -> NodePath {
    vec![Step::Key(key.to_owned())]
}

/// The map under `key`; absent and null are empty.
fn section(map: &mut Map<String, Value>, key: &str, faults: &mut Vec<Fault>) -> Map<String, Value> {
    match map.remove(key) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(section)) => section,
        Some(other) => {
            let message = format!("`{key}`: expected a map, found {}", describe(&other));
            faults.push(Fault::value(&at(key), message));
            Map::new()
        }
    }
}
