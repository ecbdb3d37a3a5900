//! Keys: what the cache is asked for. A recipe names how something is made; a key also knows what its bitwise inputs turned
//! out to be, so that a changed recipe with an unchanged result stops there (early cut-off). Numerical inputs enter by their
//! own key, so recomputing an evicted artifact never invalidates what stands on it.
//!
//! | in the key                                   | of                                        |
//! |----------------------------------------------|-------------------------------------------|
//! | kind, its `VERSION`, every field of the work | all (`threads` is a field of what trains) |
//! | the trial's seed                             | seeded kinds                              |
//! | digests of the files read outside the store  | `dataset`; weights by the work            |
//! | libtorch's version, the device class         | numerical kinds                           |
//! | content digest of the input                  | bitwise inputs                            |
//! | key of the input                             | numerical inputs                          |
//!
//! Not covered: the compiler that built thawline, the C library, and environment variables that change libtorch's kernels.

use petgraph::graph::NodeIndex;

use super::{Plan, node::digest};

/// What is known of the nodes' keys and contents; grows as nodes finish.
#[derive(Debug, Default)]
pub struct Keys {
    keys: Vec<Option<String>>,
    /// Content digests of finished nodes.
    digests: Vec<Option<String>>,
}

/// A key, or the bitwise inputs that must be made before there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Known(String),
    Blocked(Vec<NodeIndex>),
}

/// What is on record of a key: its content digest.
pub type Lookup<'a> = &'a mut dyn FnMut(&str) -> anyhow::Result<Option<String>>;

impl Keys {
    fn grow(&mut self, plan: &Plan) {
        self.keys.resize(plan.len(), None);
        self.digests.resize(plan.len(), None);
    }

    pub fn digest(&self, index: NodeIndex) -> Option<&str> {
        self.digests.get(index.index()).and_then(Option::as_deref)
    }

    pub fn set_digest(&mut self, plan: &Plan, index: NodeIndex, digest: String) {
        self.grow(plan);
        self.digests[index.index()] = Some(digest);
    }

    /// The (name, value) list that a node's key is the digest of; `None` while its key is not known.
    pub fn inputs(&self, plan: &Plan, index: NodeIndex) -> Option<Vec<(String, String)>> {
        let mut list = plan.node(index).own.clone();
        for (role, input) in plan.inputs(index) {
            let known = if plan.node(input).kind.bitwise { &self.digests } else { &self.keys };
            list.push((format!("input {role}"), known.get(input.index())?.clone()?));
        }
        Some(list)
    }

    /// The key of a node, with `lookup` asked for the content of bitwise inputs.
    pub fn key(&mut self, plan: &Plan, index: NodeIndex, lookup: Lookup) -> anyhow::Result<Key> {
        self.grow(plan);
        if let Some(key) = &self.keys[index.index()] {
            return Ok(Key::Known(key.clone()));
        }
        let mut blocked = Vec::new();
        for (_, input) in plan.inputs(index) {
            match self.key(plan, input, lookup)? {
                Key::Known(key) if plan.node(input).kind.bitwise && self.digests[input.index()].is_none() => {
                    match lookup(&key)? {
                        Some(digest) => self.digests[input.index()] = Some(digest),
                        None => blocked.push(input),
                    }
                }
                Key::Known(_) => {}
                Key::Blocked(on) => blocked.extend(on),
            }
        }
        if !blocked.is_empty() {
            blocked.sort_unstable();
            blocked.dedup();
            return Ok(Key::Blocked(blocked));
        }
        let list = self.inputs(plan, index).unwrap_or_default();
        let key = digest(list.into_iter()).to_hex()[..32].to_string();
        self.keys[index.index()] = Some(key.clone());
        Ok(Key::Known(key))
    }

    /// The key if it is already known.
    pub fn known(&self, index: NodeIndex) -> Option<&str> {
        self.keys.get(index.index()).and_then(Option::as_deref)
    }
}
