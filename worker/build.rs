//! Lets the built worker find libtorch by itself, wherever it is started from, and compiles the C++ shims over what tch
//! leaves out of libtorch.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = PathBuf::from(env::var_os("LIBTORCH").expect("LIBTORCH is unset: build with `make build`"));
    let libtorch = libtorch.canonicalize().unwrap_or_else(|error| {
        panic!("LIBTORCH={}: {error}. `make build` fetches libtorch and links it there.", libtorch.display())
    });
    // A cache folder that moves takes the built program's libraries along; this says so.
    println!("cargo:rerun-if-changed={}", libtorch.join("lib/libtorch_cpu.so").display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());

    let shims = ["src/nn/shim.cpp", "src/nn/script.cpp"];
    println!("cargo:rerun-if-changed=src/nn/guarded.h");
    shims.iter().for_each(|shim| println!("cargo:rerun-if-changed={shim}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    // The same ABI as torch-sys builds for.
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .opt_level(1)
        .include(libtorch.join("include"))
        .include(libtorch.join("include/torch/csrc/api/include"))
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .files(shims)
        .compile("thawline_shim");
}
