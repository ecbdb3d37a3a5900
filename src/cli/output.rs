//! Standard output and standard error. A reader that closes the pipe early (`thawline results x | head`) is not an error.

use std::io::{IsTerminal, Write};

use crate::report::Screen;

/// Prints text and a newline to standard output; ends the program quietly when nobody reads it any more.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes());
    let written = written.and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    if written.and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// How wide standard output is and whether it shows colours: neither in a pipe, unless `COLUMNS` says how wide. `NO_COLOR` is
/// heeded.
pub fn screen() -> Screen {
    let is_terminal = std::io::stdout().is_terminal();
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let measured = || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    let measured = || if is_terminal { measured() } else { None };
    let width = told.filter(|width| *width > 0).or_else(measured);
    let colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Screen { width, colour }
}

/// Prints a value as JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a line to standard error, where progress and remarks go.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints an error with its causes. Diagnostics bring their own form.
pub fn error(error: &anyhow::Error) {
    if error.is::<crate::spec::Diagnostics>() {
        remark(error.to_string().trim_end());
    } else {
        remark(&format!("error: {error:#}"));
    }
}
