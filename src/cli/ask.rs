//! Questions to a worker that no run is needed for.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{
    engine::pool,
    protocol::{Question, Response},
};

/// Has a worker answer; its refusal is an error.
pub fn ask(question: &Question) -> Result<Response> {
    let program = pool::program()?;
    let mut child = Command::new(&program)
        .arg("ask")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))?;
    serde_json::to_writer(child.stdin.take().context("the worker's input")?, question)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the worker failed: {}", output.status);
    }
    match serde_json::from_slice(&output.stdout).context("reading the worker's answer")? {
        Response::Error(error) => bail!(error),
        answer => Ok(answer),
    }
}
