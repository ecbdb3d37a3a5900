//! The process that computes. It alone links libtorch, so that the `thawline` command starts in milliseconds.
//! Started by `thawline`, never by hand: `thawline-worker THREADS`.

use std::io::{BufReader, stdin, stdout};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let threads: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).context("usage: thawline-worker THREADS")?;
    // Ctrl-C in a terminal reaches every process of the group; what to do about it is the coordinator's decision.
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
    thawline::worker::serve::serve(&mut BufReader::new(stdin()), &mut stdout(), threads)
}
