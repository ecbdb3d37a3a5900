//! `notify:` of an experiment: a program that is told how a run ended.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::output;
use crate::{engine::Finish, spec::Experiment};

/// Runs the experiment's `notify` program. Whatever it does changes nothing in how the run ended; that it failed is said.
pub fn run(experiment: &Experiment, finish: &Finish, summary: &str, report: &Path) {
    let Some([program, arguments @ ..]) = experiment.notify.as_deref() else { return };
    let told = Command::new(program)
        .args(arguments)
        .current_dir(&experiment.root)
        .env("THAWLINE_EXPERIMENT", &experiment.name)
        .env("THAWLINE_STATUS", finish.status)
        .env("THAWLINE_REPORT", report)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                // One that does not read its input is none the worse.
                let _ = stdin.write_all(summary.as_bytes());
            }
            child.wait()
        });
    match told {
        Ok(status) if status.success() => {}
        Ok(status) => output::remark(&format!("notify: `{program}` ended with {status}")),
        Err(error) => output::remark(&format!("notify: `{program}` cannot be run: {error}")),
    }
}
