//! The `thawline` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    thawline::cli::main()
}
