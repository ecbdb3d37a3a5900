//! Lets the built programs find libtorch by themselves, wherever they are started from.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch = PathBuf::from(env::var_os("LIBTORCH").expect("LIBTORCH is unset: build with `make build`"));
    let libtorch = libtorch.canonicalize().unwrap_or_else(|error| {
        panic!("LIBTORCH={}: {error}. `make build` fetches libtorch and links it there.", libtorch.display())
    });
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
}
