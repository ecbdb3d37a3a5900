//! The worker's loop.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, Write},
    os::unix::fs::MetadataExt,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{FlockOperation, flock};
use thawline::{
    protocol::{Answer, Epoch, Manifest, Message, Outcome, Reply, Report},
    stages::PACKED,
    store::objects::{self, Measured},
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
    /// Places, among the manifests, of the nodes that run: a pack's members are numbered without those left out.
    members: Vec<usize>,
    /// The coordinator is gone; the nodes stop at the next opportunity.
    broken: bool,
}

impl Line<'_> {
    fn say(&mut self, member: usize, report: Report) {
        let sent = serde_json::to_writer(&mut *self.output, &Message { member, report }).map_err(std::io::Error::from);
        let sent = sent.and_then(|()| self.output.write_all(b"\n")).and_then(|()| self.output.flush());
        self.broken |= sent.is_err();
    }

    fn ask(&mut self, member: usize, report: Report) -> Answer {
        self.say(member, report);
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

    fn first(&self) -> usize {
        self.members.first().copied().unwrap_or(0)
    }
}

impl Link for Line<'_> {
    fn log(&mut self, line: &str) {
        self.say(self.first(), Report::Log { line: line.to_string() });
    }

    fn progress(&mut self, done: u64, total: u64) -> Answer {
        self.ask(self.first(), Report::Progress { done, total })
    }

    fn epochs(&mut self, epochs: Vec<(usize, Epoch)>) -> Answer {
        // JSON has no NaN; a figure that is not finite is left out of the curve.
        let named = |(at, mut epoch): (usize, Epoch)| {
            epoch.metrics.retain(|_, value| value.is_finite());
            (self.members[at], epoch)
        };
        let epochs = epochs.into_iter().map(named).collect();
        self.ask(self.first(), Report::Epochs { epochs })
    }
}

/// Serves lists of manifests from `input` until it ends. `threads` is only recorded: the caller has set it.
pub fn serve(input: &mut dyn BufRead, output: &mut dyn Write, threads: usize) -> Result<()> {
    let mut verified = HashMap::new();
    loop {
        let mut text = String::new();
        if input.read_line(&mut text)? == 0 {
            return Ok(());
        }
        let manifests: Vec<Manifest> = serde_json::from_str(&text).context("reading manifests")?;
        let mut line = Line { input: &mut *input, output: &mut *output, members: Vec::new(), broken: false };
        pack(&manifests, &mut line, threads, &mut verified)?;
        if line.broken {
            return Ok(());
        }
    }
}

/// Runs nodes under their locks: one, or a pack.
fn pack(manifests: &[Manifest], line: &mut Line, threads: usize, verified: &mut HashMap<String, i64>) -> Result<()> {
    // Two packs that share nodes take the locks in one order, so that neither waits for the other forever.
    let mut order: Vec<usize> = (0..manifests.len()).collect();
    order.sort_by(|&a, &b| manifests[a].key.cmp(&manifests[b].key));
    let mut locks = Vec::new();
    for member in order {
        let lock = lock(&manifests[member].dir)?;
        if line.ask(member, Report::Locked) == Answer::Continue {
            locks.push((member, lock));
        } else {
            line.say(member, Report::Stopped);
        }
    }
    locks.sort_by_key(|(member, _)| *member);
    line.members = locks.iter().map(|(member, _)| *member).collect();
    let members: Vec<&Manifest> = line.members.iter().map(|&member| &manifests[member]).collect();
    let Some(first) = members.first() else { return Ok(()) };
    if let Some(broken) = first.inputs.iter().find(|input| !verify(&input.path, &input.digest, verified)) {
        for member in line.members.clone() {
            line.say(member, Report::Corrupt { digest: broken.digest.clone() });
        }
        return Ok(());
    }
    let meter = Meter::start(threads);
    let results = compute(&members, line);
    let usage = meter.stop(members.len());
    for ((member, manifest), result) in line.members.clone().into_iter().zip(members).zip(results) {
        let made = result.and_then(|outcome| {
            let out = manifest.dir.join("out");
            objects::seal(&out)?;
            Ok((outcome, objects::measure(&out)?))
        });
        match made {
            Ok((outcome, Measured { digest, bytes })) => {
                if line.ask(member, Report::Done { digest, bytes, outcome, usage }) == Answer::Continue {
                    std::fs::remove_dir_all(&manifest.dir).ok();
                }
            }
            Err(error) if error.is::<Stopped>() => line.say(member, Report::Stopped),
            Err(error) => line.say(member, Report::Failed { error: format!("{error:#}") }),
        }
    }
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

/// What became of each node, in order.
fn compute(members: &[&Manifest], line: &mut Line) -> Vec<Result<Outcome>> {
    let all = |error: &dyn Fn() -> anyhow::Error| members.iter().map(|_| Err(error())).collect();
    let outs = match members.iter().map(|manifest| prepare(&manifest.dir)).collect::<Result<Vec<_>>>() {
        Ok(outs) => outs,
        Err(error) => return all(&|| anyhow!("{error:#}")),
    };
    let first = members[0];
    let mut task = Task {
        inputs: first.inputs.iter().map(|input| (input.role.clone(), input.path.clone())).collect(),
        sources: first.sources.clone(),
        seed: first.seed,
        limits: first.limits,
        out: outs[0].clone(),
        checkpoint: first.dir.join("checkpoint"),
        link: line,
    };
    // A panic is a bug, but it ends these nodes, not the night.
    let run = AssertUnwindSafe(|| {
        if members.len() > 1 || first.kind == PACKED {
            let works = members.iter().map(|manifest| manifest.work.clone()).collect();
            return stages::run_pack(&first.kind, works, &outs, &mut task);
        }
        Ok(vec![stages::run(&first.kind, first.work.clone(), &mut task)])
    });
    match std::panic::catch_unwind(run) {
        Ok(Ok(results)) => results,
        Ok(Err(error)) if error.is::<Stopped>() => all(&|| Stopped.into()),
        Ok(Err(error)) => all(&|| anyhow!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
            all(&|| anyhow!("internal error in `{}`: {text}", first.kind))
        }
    }
}

/// An empty `out`, and a `checkpoint` that stays.
fn prepare(dir: &Path) -> Result<PathBuf> {
    let out = dir.join("out");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    std::fs::create_dir_all(dir.join("checkpoint"))?;
    Ok(out)
}
