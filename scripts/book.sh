#!/bin/sh
# Builds the book of docs/ into target/book with mdBook (fetched by scripts/fetch.py, pinned); any warning is a failure. Where mdBook
# cannot be fetched that is said, and no failure: links are checked by tests/it/book.rs without it.
set -u
cd "$(dirname "$0")/.." || exit
if ! "${PYTHON:-python3}" scripts/fetch.py book; then
    echo "book: not built, mdBook could not be fetched"
    exit 0
fi
cache=${THAWLINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/thawline}
# What comes out of a wheel is not executable.
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
cp "$cache/tools/mdbook-0.5.4/mdbook" "$folder/mdbook" && chmod +x "$folder/mdbook" || exit

"$folder/mdbook" build docs 2>"$folder/said" || { cat "$folder/said" >&2; exit 1; }
if grep -E "WARN|ERROR" "$folder/said" >&2; then
    exit 1
fi
echo "book: target/book/index.html"
