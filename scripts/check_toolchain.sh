#!/bin/sh
# Checks what must be there before anything is fetched or built, and says how to install all that is missing.
# usage: check_toolchain.sh [lint]      with `lint`, rustfmt and clippy as well
set -u
cd "$(dirname "$0")/.." || exit
missing=0

say() {
    [ "$missing" = 0 ] && echo "Before thawline can be built:" >&2
    missing=1
    echo "  - $1" >&2
}

# at_least FOUND WANTED: compares dotted versions
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
if ! found=$(cargo --version 2>/dev/null); then
    if [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        say "cargo is installed but not on the PATH: . \"${CARGO_HOME:-$HOME/.cargo}/env\""
    else
        say "cargo $wanted or newer is missing: install rustup from https://rustup.rs"
    fi
else
    found=$(echo "$found" | cut -d ' ' -f 2)
    if ! at_least "$found" "$wanted"; then
        say "cargo is $found, $wanted or newer is needed: rustup update stable"
    elif [ "${1:-}" = lint ]; then
        cargo fmt --version >/dev/null 2>&1 || say "rustfmt is missing: rustup component add rustfmt"
        cargo clippy --version >/dev/null 2>&1 || say "clippy is missing: rustup component add clippy"
    fi
fi

compiler=${CXX:-c++}
command -v "${compiler%% *}" >/dev/null ||
    say "no C++ compiler ($compiler): on Debian or Ubuntu, sudo apt install build-essential; elsewhere set CXX"
command -v cc >/dev/null || say "no C compiler to link with (cc): on Debian or Ubuntu, sudo apt install build-essential"

python=${PYTHON:-python3}
if ! found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
    say "$python is missing: on Debian or Ubuntu, sudo apt install python3 python3-pip python3-venv"
elif ! at_least "$found" 3.8; then
    say "$python is $found, 3.8 or newer is needed: make PYTHON=python3.11 (or another) chooses one"
elif ! "$python" -c 'import pip' 2>/dev/null; then
    say "$python has no pip: on Debian or Ubuntu, sudo apt install python3-pip python3-venv"
fi

exit "$missing"
