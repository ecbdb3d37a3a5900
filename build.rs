//! Lets the built programs find libtorch by themselves, wherever they are started from, tells them its version, and
//! compiles the C++ shim over its fused optimiser kernels.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = PathBuf::from(env::var_os("LIBTORCH").expect("LIBTORCH is unset: build with `make build`"));
    let libtorch = libtorch.canonicalize().unwrap_or_else(|error| {
        panic!("LIBTORCH={}: {error}. `make build` fetches libtorch and links it there.", libtorch.display())
    });
    // A cache folder that moves takes the built programs' libraries along; this says so.
    println!("cargo:rerun-if-changed={}", libtorch.join("lib/libtorch_cpu.so").display());
    println!("cargo:rustc-env=THAWLINE_LIBTORCH={}", version(&libtorch));
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());

    let shim = "src/nn/shim.cpp";
    println!("cargo:rerun-if-changed={shim}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    // The same ABI as torch-sys builds for.
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .opt_level(1)
        .include(libtorch.join("include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .file(shim)
        .compile("thawline_shim");
}

/// `2.11.0`, from libtorch's own header: it is part of every numerical key.
fn version(libtorch: &Path) -> String {
    let header = libtorch.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(&header).unwrap_or_else(|error| panic!("reading {}: {error}", header.display()));
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(|value| value.trim().to_string())
    };
    let parts: Option<Vec<String>> = ["MAJOR", "MINOR", "PATCH"].into_iter().map(part).collect();
    parts.unwrap_or_else(|| panic!("{} names no version", header.display())).join(".")
}
