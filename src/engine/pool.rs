//! The worker processes: started, fed, listened to, and mourned.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
};

use anyhow::{Context, Result};
use petgraph::graph::NodeIndex;

use crate::protocol::{Answer, Manifest, Reply, Report};

/// What reaches the coordinator's loop.
#[derive(Debug)]
pub enum Message {
    Report {
        worker: usize,
        report: Report,
    },
    /// The worker's output ended.
    Gone {
        worker: usize,
    },
    Interrupt,
}

/// What a worker is busy with.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub node: NodeIndex,
    pub key: String,
    pub node_run: i64,
    pub threads: usize,
    /// Whether it holds the node's lock; until then it waits for another coordinator and listens to nobody.
    pub locked: bool,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    threads: usize,
    assignment: Option<Assignment>,
    stderr: PathBuf,
}

/// All worker processes of one coordinator.
pub struct Pool {
    workers: Vec<Option<Worker>>,
    program: PathBuf,
    log: PathBuf,
    jobs: usize,
    messages: Sender<Message>,
}

/// `thawline-worker` beside the running program; `THAWLINE_WORKER` names another.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("THAWLINE_WORKER") {
        return Ok(PathBuf::from(path));
    }
    let me = std::env::current_exe().context("finding the running program")?;
    let beside = me.parent().unwrap_or(Path::new(".")).join("thawline-worker");
    anyhow::ensure!(beside.is_file(), "{} is missing: build both programs with `make build`", beside.display());
    Ok(beside)
}

impl Pool {
    /// `log`: where workers' standard error goes.
    pub fn new(jobs: usize, log: &Path, messages: Sender<Message>) -> Result<Pool> {
        Ok(Pool { workers: Vec::new(), program: program()?, log: log.to_path_buf(), jobs, messages })
    }

    fn busy(&self) -> impl Iterator<Item = &Assignment> {
        self.workers.iter().flatten().filter_map(|w| w.assignment.as_ref())
    }

    pub fn running(&self) -> usize {
        self.busy().count()
    }

    /// Whether a node of so many threads may start now. One always may when nothing runs.
    pub fn has_room(&self, threads: usize) -> bool {
        let used: usize = self.busy().map(|a| a.threads).sum();
        used == 0 || used + threads <= self.jobs
    }

    pub fn assignment(&self, worker: usize) -> Option<&Assignment> {
        self.workers.get(worker)?.as_ref()?.assignment.as_ref()
    }

    pub fn set_locked(&mut self, worker: usize) {
        if let Some(assignment) =
            self.workers.get_mut(worker).and_then(Option::as_mut).and_then(|w| w.assignment.as_mut())
        {
            assignment.locked = true;
        }
    }

    /// Takes the worker's assignment: it is idle again.
    pub fn release(&mut self, worker: usize) -> Option<Assignment> {
        self.workers.get_mut(worker)?.as_mut()?.assignment.take()
    }

    /// Gives a node to an idle worker of as many threads, started if need be.
    pub fn assign(&mut self, assignment: Assignment, manifest: &Manifest) -> Result<()> {
        let threads = assignment.threads;
        let idle = |w: &Option<Worker>| w.as_ref().is_some_and(|w| w.assignment.is_none() && w.threads == threads);
        let at = match self.workers.iter().position(idle) {
            Some(at) => at,
            None => self.start(threads)?,
        };
        let worker = self.workers[at].as_mut().context("the worker just found")?;
        worker.assignment = Some(assignment);
        // A worker that is gone says so through its ended output.
        let _ = send(&mut worker.stdin, manifest);
        Ok(())
    }

    /// Answers a worker's report.
    pub fn answer(&mut self, worker: usize, answer: Answer) {
        if let Some(Some(worker)) = self.workers.get_mut(worker) {
            let _ = send(&mut worker.stdin, &Reply { answer });
        }
    }

    fn start(&mut self, threads: usize) -> Result<usize> {
        // Idle workers of another thread count would only hold memory.
        for slot in &mut self.workers {
            if slot.as_ref().is_some_and(|w| w.assignment.is_none()) {
                *slot = None;
            }
        }
        let at = self.workers.len();
        let stderr = self.log.join(format!("worker-{}-{at}.log", std::process::id()));
        let file = std::fs::File::create(&stderr).with_context(|| format!("creating {}", stderr.display()))?;
        let mut command = Command::new(&self.program);
        command.arg(threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        command
            .env("OMP_NUM_THREADS", threads.to_string())
            .env("RAYON_NUM_THREADS", self.jobs.max(threads).to_string());
        // SAFETY: prctl is async-signal-safe. A worker must not outlive its coordinator, however that ends.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
                    .map_err(Into::into)
            });
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", self.program.display()))?;
        let stdin = child.stdin.take().context("the worker's input")?;
        let stdout = child.stdout.take().context("the worker's output")?;
        let messages = self.messages.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A line that is no report comes from a library that prints; the worker's own are all JSON.
                let Ok(report) = serde_json::from_str(&line) else { continue };
                if messages.send(Message::Report { worker: at, report }).is_err() {
                    return;
                }
            }
            let _ = messages.send(Message::Gone { worker: at });
        });
        self.workers.push(Some(Worker { child, stdin, threads, assignment: None, stderr }));
        Ok(at)
    }

    /// Buries a worker whose output ended. What it was busy with, and why it died.
    pub fn bury(&mut self, worker: usize) -> Option<(Assignment, String)> {
        let mut dead = self.workers.get_mut(worker)?.take()?;
        let status = dead.child.wait().ok();
        let last = std::fs::read_to_string(&dead.stderr).unwrap_or_default();
        let last: Vec<&str> = last.lines().rev().take(3).collect();
        let reason = describe(status, &last.into_iter().rev().collect::<Vec<_>>().join("; "));
        dead.assignment.take().map(|assignment| (assignment, reason))
    }

    /// Kills the workers that wait for a lock.
    pub fn kill_waiting(&mut self) {
        for worker in self.workers.iter_mut().flatten() {
            if worker.assignment.as_ref().is_some_and(|a| !a.locked) {
                let _ = worker.child.kill();
            }
        }
    }

    /// Kills every worker.
    pub fn kill(&mut self) {
        for worker in self.workers.iter_mut().flatten() {
            let _ = worker.child.kill();
        }
    }
}

fn send(to: &mut ChildStdin, message: &impl serde::Serialize) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    to.write_all(&text)?;
    to.flush()
}

fn describe(status: Option<ExitStatus>, last_words: &str) -> String {
    let said = if last_words.is_empty() { String::new() } else { format!(" Its last words: {last_words}") };
    match status.map(|s| (s.signal(), s.code())) {
        Some((Some(9), _)) => {
            format!("its worker was killed (signal 9, SIGKILL): by hand, or because memory ran out.{said}")
        }
        Some((Some(11), _)) => format!("its worker crashed (signal 11, SIGSEGV).{said}"),
        Some((Some(signal), _)) => format!("its worker died of signal {signal}.{said}"),
        Some((None, Some(code))) => format!("its worker ended with status {code}.{said}"),
        _ => format!("its worker is gone.{said}"),
    }
}

impl Drop for Worker {
    /// Idle workers end when their input does; busy ones are not waited for.
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::fs::metadata(&self.stderr).is_ok_and(|meta| meta.len() == 0) {
            let _ = std::fs::remove_file(&self.stderr);
        }
    }
}
