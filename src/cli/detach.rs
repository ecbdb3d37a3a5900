//! `thawline run --detach`: the run goes on when the terminal is gone.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

use super::{Outcome, output};
use crate::{spec::Experiment, store::Store};

/// Longest that a run takes to be on record: planning comes before it.
const LONGEST_START: Duration = Duration::from_secs(600);

/// Starts this command line again, without `--detach`, in a session of its own, and waits until its run is on record.
pub fn run(experiment: &Experiment) -> Outcome {
    let store = Store::open(&experiment.root)?;
    let log = store.dir().join("log").join(format!("{}.out", experiment.name));
    let file = std::fs::File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut command = Command::new(std::env::current_exe().context("finding the running program")?);
    command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone().context("its output")?).stderr(file);
    // SAFETY: setsid is async-signal-safe. Without a terminal the run gets no SIGHUP from one.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(Into::into));
    }
    let mut child = command.spawn().context("starting the run")?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("waiting for the run to start")? {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            output::print(said.trim_end());
            return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
        }
        let latest = store.runs(Some(&experiment.name), 1)?.into_iter().next();
        if let Some(run) = latest.filter(|run| run.pid == child.id()) {
            output::print(&format!(
                "run {} of {} goes on by itself (process {}).\n  how far it is:  thawline status {} --watch\n  what it says:   {}\n  to stop it:     thawline stop {}",
                run.id,
                run.experiment,
                run.pid,
                run.experiment,
                log.display(),
                run.experiment
            ));
            return Ok(ExitCode::SUCCESS);
        }
        if started.elapsed() > LONGEST_START {
            return Err(
                anyhow!("the run did not start in {} s; it says: {}", LONGEST_START.as_secs(), log.display()).into()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
