//! The worker's loop.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, Write},
    os::unix::fs::MetadataExt,
    panic::AssertUnwindSafe,
    path::Path,
};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use thawline::{
    protocol::{Answer, Epoch, Manifest, Outcome, Reply, Report},
    store::objects,
};

use crate::{
    stages,
    task::{Link, Stopped, Task},
    usage::Meter,
};

/// The line to the coordinator.
struct Line<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
    /// The coordinator is gone; the node stops at the next opportunity.
    broken: bool,
}

impl Line<'_> {
    fn say(&mut self, report: &Report) {
        let sent = serde_json::to_writer(&mut *self.output, report).map_err(std::io::Error::from);
        let sent = sent.and_then(|()| self.output.write_all(b"\n")).and_then(|()| self.output.flush());
        self.broken |= sent.is_err();
    }

    fn ask(&mut self, report: &Report) -> Answer {
        self.say(report);
        let mut text = String::new();
        let read = if self.broken { Ok(0) } else { self.input.read_line(&mut text) };
        match (read, serde_json::from_str::<Reply>(&text)) {
            (Ok(n), Ok(reply)) if n > 0 => reply.answer,
            _ => {
                self.broken = true;
                Answer::Stop
            }
        }
    }
}

impl Link for Line<'_> {
    fn log(&mut self, line: &str) {
        self.say(&Report::Log { line: line.to_string() });
    }

    fn progress(&mut self, done: u64, total: u64) -> Answer {
        self.ask(&Report::Progress { done, total })
    }

    fn epoch(&mut self, epoch: &Epoch) -> Answer {
        // JSON has no NaN; a figure that is not finite is left out of the curve.
        let metrics =
            epoch.metrics.iter().filter(|(_, value)| value.is_finite()).map(|(k, v)| (k.clone(), *v)).collect();
        self.ask(&Report::Epoch(Epoch { metrics, ..epoch.clone() }))
    }
}

/// Serves manifests from `input` until it ends. `threads` is only recorded: the caller has set it.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write, threads: usize) -> Result<()> {
    let mut verified = HashMap::new();
    loop {
        let mut text = String::new();
        if input.read_line(&mut text)? == 0 {
            return Ok(());
        }
        let manifest: Manifest = serde_json::from_str(&text).context("reading a manifest")?;
        let mut line = Line { input: &mut *input, output: &mut *output, broken: false };
        node(&manifest, &mut line, threads, &mut verified)?;
        if line.broken {
            return Ok(());
        }
    }
}

/// Runs one node under its lock.
fn node(manifest: &Manifest, line: &mut Line, threads: usize, verified: &mut HashMap<String, i64>) -> Result<()> {
    let lock = lock(&manifest.dir)?;
    if line.ask(&Report::Locked) != Answer::Continue {
        line.say(&Report::Stopped);
        return Ok(());
    }
    for input in &manifest.inputs {
        if !verify(input.path.as_path(), &input.digest, verified) {
            line.say(&Report::Corrupt { digest: input.digest.clone() });
            return Ok(());
        }
    }
    let meter = Meter::start(threads);
    match compute(manifest, line) {
        Ok((outcome, measured)) => {
            let report = Report::Done { digest: measured.digest, bytes: measured.bytes, outcome, usage: meter.stop() };
            if line.ask(&report) == Answer::Continue {
                std::fs::remove_dir_all(&manifest.dir).ok();
            }
        }
        Err(error) if error.is::<Stopped>() => line.say(&Report::Stopped),
        Err(error) => line.say(&Report::Failed { error: format!("{error:#}") }),
    }
    drop(lock);
    Ok(())
}

/// Takes the node's lock, waiting for whoever computes it now. Who finishes a node removes its folder, lock included, so
/// the lock counts only if its file is still the one in the folder.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    loop {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let file = match File::create(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("creating {}", path.display())),
        };
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => bail!("locking {}: {error}", path.display()),
            }
        }
        let same =
            std::fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|here| here.ino() == there.ino()));
        if same {
            return Ok(file);
        }
    }
}

/// Whether the artifact at `path` has the content that `digest` promises; remembered while its files' times stay.
fn verify(path: &Path, digest: &str, verified: &mut HashMap<String, i64>) -> bool {
    let Some(store) = path.parent().and_then(Path::parent) else { return false };
    let objects = objects::Objects::new(store.to_path_buf());
    let Some(changed) = objects.changed(digest) else { return false };
    if verified.get(digest) == Some(&changed) {
        return true;
    }
    let intact = objects.verify(digest);
    if intact {
        verified.insert(digest.to_string(), changed);
    }
    intact
}

fn compute(manifest: &Manifest, line: &mut Line) -> Result<(Outcome, objects::Measured)> {
    let (out, checkpoint) = (manifest.dir.join("out"), manifest.dir.join("checkpoint"));
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    std::fs::create_dir_all(&checkpoint)?;
    let mut task = Task {
        inputs: manifest.inputs.iter().map(|input| (input.role.clone(), input.path.clone())).collect(),
        sources: manifest.sources.clone(),
        seed: manifest.seed,
        out: out.clone(),
        checkpoint,
        link: line,
    };
    let outcome = run_caught(&manifest.kind, manifest.work.clone(), &mut task)?;
    objects::seal(&out)?;
    Ok((outcome, objects::measure(&out)?))
}

/// A panic is a bug, but it ends one node, not the night.
fn run_caught(kind: &str, work: Value, task: &mut Task) -> Result<Outcome> {
    let run = AssertUnwindSafe(|| stages::run(kind, work, task));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
        bail!("internal error in `{kind}`: {text}")
    })
}
