//! Tells thawline the version of the libtorch that its workers are built for: part of every numerical key.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = PathBuf::from(env::var_os("LIBTORCH").expect("LIBTORCH is unset: build with `make build`"));
    println!("cargo:rustc-env=THAWLINE_LIBTORCH={}", version(&libtorch));
}

/// `2.11.0`, from libtorch's own header.
fn version(libtorch: &Path) -> String {
    let header = libtorch.join("include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let text = fs::read_to_string(&header).unwrap_or_else(|error| {
        panic!("reading {}: {error}. `make build` fetches libtorch and links it there.", header.display())
    });
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value.trim().to_string())
    };
    let parts: Option<Vec<String>> = ["MAJOR", "MINOR", "PATCH"].into_iter().map(part).collect();
    parts.unwrap_or_else(|| panic!("{} names no version", header.display())).join(".")
}
