//! A node: one unit of work, and the list of everything its result depends on.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::Value;

use crate::{device::LIBTORCH, protocol::Limits, stages::Kind};

/// One unit of work.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: &'static Kind,
    /// What people call it: `features[val]`, `tuned.phase2`. Not identity.
    pub label: String,
    /// The kind's `Work`.
    pub work: Value,
    /// The trial's seed, for kinds that use one.
    pub seed: Option<u64>,
    pub threads: usize,
    /// Files outside the store by role. Where they lie is not identity; their digests are among `own`.
    pub sources: BTreeMap<String, PathBuf>,
    pub limits: Limits,
    /// Everything its result depends on besides its inputs: (name, value). Yields recipe, key and `explain` alike.
    pub own: Vec<(String, String)>,
    /// Digest of `own` and the recipes of its inputs: equal recipes are one node.
    pub recipe: blake3::Hash,
}

/// What a node is made from.
pub struct NewNode<'a> {
    pub kind: &'static Kind,
    pub label: String,
    pub work: Value,
    pub seed: u64,
    pub threads: usize,
    pub sources: BTreeMap<String, PathBuf>,
    /// Digest of what `sources` hold, where the work does not name it.
    pub source_digest: Option<String>,
    pub limits: Limits,
    /// (role, recipe).
    pub inputs: Vec<(&'a str, blake3::Hash)>,
    /// Class of the device that it is computed on.
    pub device: &'a str,
}

impl Node {
    pub fn new(new: NewNode) -> Node {
        let seed = new.kind.seeded.then_some(new.seed);
        let mut own = vec![
            ("kind".to_string(), new.kind.name.to_string()),
            ("version".to_string(), new.kind.version.to_string()),
        ];
        if !new.kind.bitwise {
            own.push(("libtorch".to_string(), LIBTORCH.to_string()));
            own.push(("device".to_string(), new.device.to_string()));
        }
        if let Some(seed) = seed {
            own.push(("seed".to_string(), seed.to_string()));
        }
        if let Some(digest) = new.source_digest {
            own.push(("files".to_string(), digest));
        }
        flatten("", &new.work, &mut own);
        let inputs = new.inputs.iter().map(|(role, recipe)| (format!("input {role}"), recipe.to_hex().to_string()));
        let recipe = digest(own.iter().cloned().chain(inputs));
        Node {
            kind: new.kind,
            label: new.label,
            work: new.work,
            seed,
            threads: new.threads,
            sources: new.sources,
            limits: new.limits,
            own,
            recipe,
        }
    }
}

/// Digest of (name, value) pairs.
pub fn digest(pairs: impl Iterator<Item = (String, String)>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hasher.finalize()
}

/// The work that [`flatten`] took apart: what a node on record was made by. Other entries of the list stay beside it.
pub fn work_of(list: &[(String, String)]) -> Value {
    let mut root = Value::Object(serde_json::Map::new());
    for (path, text) in list {
        let Ok(leaf) = serde_json::from_str::<Value>(text) else { continue };
        let mut at = &mut root;
        for part in path.split('.') {
            let Value::Object(map) = at else { break };
            at = map.entry(part).or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
        *at = leaf;
    }
    lists(root)
}

/// Maps whose keys count from 0 are lists.
fn lists(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let counted = !map.is_empty() && map.keys().enumerate().all(|(i, key)| *key == i.to_string());
    let mut items = map.into_iter().map(|(key, value)| (key, lists(value)));
    if counted {
        Value::Array(items.map(|(_, value)| value).collect())
    } else {
        Value::Object(items.by_ref().collect())
    }
}

/// The leaves of a work as (dotted path, JSON text), so that `explain` can name the one that changed.
fn flatten(path: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let join = |part: &str| if path.is_empty() { part.to_string() } else { format!("{path}.{part}") };
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| flatten(&join(key), value, out)),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, value)| flatten(&join(&i.to_string()), value, out));
        }
        leaf => out.push((path.to_string(), leaf.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_work_is_put_together_again() {
        let work = json!({
            "split": "val", "view": null, "size": 32, "seed": 0, "empty": [],
            "transforms": [{ "resize": { "to": [32, 24], "how": "bilinear" } }, "horizontal_flip"],
        });
        let mut list = Vec::new();
        flatten("", &work, &mut list);
        assert_eq!(work_of(&list), work);
        // What a key is made of besides: no JSON, or beside the work.
        list.insert(0, ("kind".into(), "augment".into()));
        list.push(("input dataset".into(), "0abc".into()));
        assert_eq!(work_of(&list), work);
    }
}
