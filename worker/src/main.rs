//! The process that computes: the only one that calls libtorch, so that what goes wrong there ends one node, not the run.
//! Started by `thawline`, never by hand: `thawline-worker THREADS` serves nodes, `thawline-worker predict` and
//! `preview` one request.

use std::io::{BufReader, stdin, stdout};

use anyhow::{Context, Result};

mod nn;
mod predict;
mod preview;
mod serve;
mod stages;
mod task;
mod usage;

fn main() -> Result<()> {
    let argument = std::env::args().nth(1).context("usage: thawline-worker THREADS | predict | preview")?;
    if argument == "predict" {
        let request = serde_json::from_reader(stdin()).context("reading the request")?;
        return Ok(serde_json::to_writer(stdout(), &predict::answer(&request))?);
    }
    if argument == "preview" {
        let request = serde_json::from_reader(stdin()).context("reading the request")?;
        return Ok(serde_json::to_writer(stdout(), &preview::answer(&request))?);
    }
    let threads: usize = argument.parse().context("the number of threads")?;
    // Ctrl-C in a terminal reaches every process of the group; what to do about it is the coordinator's decision.
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    nn::keep_freed_memory();
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
    serve::serve(&mut BufReader::new(stdin()), &mut stdout(), threads)
}
