//! What is cached today must mean the same tomorrow: keys, and the bits behind them, change only on purpose. Whoever changes
//! what a stage computes raises its `VERSION`, then accepts the new snapshot.

use std::{fs, path::Path};

use thawline::{
    device::{LIBTORCH, cpu_class},
    stages::{self, KINDS},
};

use crate::support::undisturbed;

/// A finished node: its kind, label, content digest, and the list that its key was made of.
struct Made {
    kind: &'static stages::Kind,
    label: String,
    key: String,
    digest: String,
    inputs: Vec<(String, String)>,
}

fn made() -> Vec<Made> {
    let rows = undisturbed().project.index("SELECT json_array(kind, label, key, digest, inputs) FROM nodes");
    let mut made: Vec<Made> = rows
        .iter()
        .map(|row| {
            let [kind, label, key, digest, inputs]: [String; 5] = serde_json::from_str(row).unwrap();
            let inputs = serde_json::from_str(&inputs).unwrap();
            Made { kind: stages::node_kind(&kind).unwrap(), label, key, digest, inputs }
        })
        .collect();
    made.sort_by(|a, b| (&a.label, &a.digest).cmp(&(&b.label, &b.digest)));
    made
}

/// What equal bits of numerical nodes are promised for, and the processor besides: oneDNN asks for its cache sizes too.
fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.split(':').next().is_some_and(|n| n.trim() == name));
        line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value).to_string()
    };
    let parts = ["vendor_id", "cpu family", "model", "stepping", "cache size"].map(field).join("-");
    format!("{}-{parts}-{LIBTORCH}", cpu_class()).replace(' ', "")
}

/// One node a kind, with every name and value in its key. A value that depends on the machine is named only.
#[test]
fn keys_are_made_of_the_same_as_ever() {
    let (mut lines, made) = (Vec::new(), made());
    for kind in KINDS {
        let Some(node) = made.iter().find(|node| node.kind.name == kind.name) else { continue };
        let portable = node.kind.bitwise;
        lines.push(format!("{} {}", node.label, if portable { &node.key } else { "(key depends on the machine)" }));
        for (name, value) in &node.inputs {
            let of_machine = ["libtorch", "device"].contains(&name.as_str())
                || made.iter().any(|other| !other.kind.bitwise && other.key == *value);
            lines.push(format!("  {name} = {}", if of_machine { "(depends on the machine)" } else { value }));
        }
    }
    insta::assert_snapshot!("keys", lines.join("\n"));
}

fn digests(bitwise: bool) -> String {
    let made = made();
    let lines = made.iter().filter(|node| node.kind.bitwise == bitwise);
    lines.map(|n| format!("{} v{} {} {}\n", n.kind.name, n.kind.version, n.label, n.digest)).collect()
}

#[test]
fn datasets_and_views_keep_their_bits_on_any_machine() {
    insta::assert_snapshot!("bitwise", digests(true));
}

/// Checked where a snapshot of this very machine is committed; elsewhere there is nothing to compare with, and accepting
/// one (`INSTA_UPDATE=always`) adds it.
#[test]
fn numerical_results_keep_their_bits_on_a_known_machine() {
    let name = format!("numerical-{}", machine());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/snapshots/it__golden__{name}.snap"));
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if committed.exists() || updates {
        insta::assert_snapshot!(name, digests(false));
    } else {
        eprintln!("no snapshot of {}: nothing to compare with", machine());
    }
}
