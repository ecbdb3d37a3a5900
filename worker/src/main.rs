//! The process that computes: the only one that calls libtorch, so that what goes wrong there ends one node, not the run.
//! Started by `thawline`, never by hand: `thawline-worker THREADS [GPU LIBTORCH]` serves nodes, `thawline-worker ask` answers one question.

use std::{
    io::{BufReader, stdin, stdout},
    path::Path,
};

use anyhow::{Context, Result};

mod ask;
mod export;
mod nn;
mod predict;
mod preview;
mod serve;
mod stages;
mod task;
mod trained;
mod usage;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let argument = arguments.next().context("usage: thawline-worker THREADS [GPU LIBTORCH] | ask")?;
    if argument == "ask" {
        let question = serde_json::from_reader(stdin()).context("reading the question")?;
        return Ok(serde_json::to_writer(stdout(), &ask::answer(&question))?);
    }
    let threads: usize = argument.parse().context("the number of threads")?;
    // Ctrl-C in a terminal reaches every process of the group; what to do about it is the coordinator's decision.
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    if let (Some(gpu), Some(libtorch)) = (arguments.next(), arguments.next()) {
        nn::device::use_gpu(Path::new(&libtorch), gpu.parse().context("the number of the GPU")?)?;
    }
    nn::keep_freed_memory();
    tch::set_num_threads(threads as i32);
    tch::set_num_interop_threads(1);
    serve::serve(&mut BufReader::new(stdin()), &mut stdout(), threads)
}
