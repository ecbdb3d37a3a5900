//! The way through the code goes in one direction, and only some of it knows each heavy library: a newcomer may rely on both.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::files;

/// Module of `src/` to the modules it may use. A row only names modules of rows above it, so there is no way back.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("rng", &[]),
    ("device", &[]),
    ("metrics", &["rng"]),
    ("protocol", &[]),
    ("artifact", &["rng"]),
    ("backbones", &["artifact"]),
    ("images", &["artifact", "rng"]),
    ("stages", &["artifact", "backbones", "images", "rng"]),
    ("spec", &["artifact", "backbones", "images", "protocol", "stages"]),
    ("store", &["protocol"]),
    ("search", &["rng", "spec"]),
    ("plan", &["artifact", "backbones", "device", "images", "protocol", "spec", "stages", "store"]),
    ("engine", &["artifact", "backbones", "device", "plan", "protocol", "search", "spec", "stages", "store"]),
    ("report", &["artifact", "metrics", "rng", "spec", "store"]),
    (
        "cli",
        &[
            "artifact",
            "backbones",
            "device",
            "engine",
            "images",
            "plan",
            "protocol",
            "report",
            "search",
            "spec",
            "stages",
            "store",
        ],
    ),
];

/// What the worker may use of thawline: neither the plan nor the engine, and of the store only artifacts.
const WORKER_MAY_USE: [&str; 9] =
    ["artifact", "backbones", "device", "images", "metrics", "protocol", "rng", "stages", "store::objects"];

/// A library, and the only places that know it.
const ONLY_IN: [(&str, &[&str]); 5] = [
    ("tch", &["worker/src"]),
    ("rusqlite", &["src/store"]),
    ("serde_yaml", &["src/spec"]),
    ("unsafe_libyaml", &["src/spec"]),
    ("polars", &["src/report", "src/artifact/predictions.rs", "src/images/source/parquet.rs"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = files(&root().join(folder));
    found.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// Code without comments, so that a link in a doc comment is no use.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// First names after `crate::`, also of a braced list.
fn used(code: &str, root: &str) -> BTreeSet<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + root.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(qualified(rest, &name));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if depth == 0 && start && !c.is_whitespace() => {
                    found.insert(qualified(&list[i..], &name));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether `library` stands there as a path of its own, as in `tch::Tensor`.
fn mentions(code: &str, library: &str) -> bool {
    code.match_indices(&format!("{library}::"))
        .any(|(at, _)| !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// `store::objects` for what is in the store, else the module's name.
fn qualified(text: &str, name: &impl Fn(&str) -> String) -> String {
    let module = name(text);
    match text.strip_prefix("store::") {
        Some(rest) if module == "store" => format!("store::{}", name(rest)),
        _ => module,
    }
}

#[test]
fn imports_go_one_way() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for path in sources("src") {
        let module = path.strip_prefix(root().join("src")).unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string();
        if ["main", "lib"].contains(&module.as_str()) {
            continue;
        }
        let allowed = table.get(module.as_str()).unwrap_or_else(|| panic!("`{module}` has no row in MAY_USE"));
        for used in used(&code(&path), "crate::") {
            let used = used.split("::").next().unwrap();
            if used != module && !allowed.contains(&used) {
                wrong.push(format!("{} uses {used}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    for (i, (module, allowed)) in MAY_USE.iter().enumerate() {
        for used in *allowed {
            assert!(
                MAY_USE[..i].iter().any(|(above, _)| above == used),
                "{module} may not use {used}, which is below it"
            );
        }
    }
    for path in sources("worker/src") {
        for used in used(&code(&path), "thawline::") {
            if !WORKER_MAY_USE.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", path.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_heavy_library_has_its_place() {
    let mut wrong = Vec::new();
    for path in sources("src").into_iter().chain(sources("worker/src")) {
        let place = path.strip_prefix(root()).unwrap();
        let text = code(&path);
        for (library, places) in ONLY_IN {
            if mentions(&text, library) && !places.iter().any(|allowed| place.starts_with(allowed)) {
                wrong.push(format!("{} uses {library}", place.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The dynamic linker lists what a program would load, as `ldd` does; libtorch takes a third of a second.
#[test]
fn only_the_worker_loads_libtorch() {
    let thawline = Path::new(env!("CARGO_BIN_EXE_thawline"));
    let loads = |program: &Path| {
        let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
        assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).contains("libtorch")
    };
    assert!(loads(&thawline.with_file_name("thawline-worker")));
    assert!(!loads(thawline));
}
