//! The worker processes: started, fed, listened to, and mourned.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
    time::Instant,
};

use anyhow::{Context, Result};
use petgraph::graph::NodeIndex;

use crate::{
    device::Gpus,
    protocol::{self, Answer, Manifest, Reply},
};

/// What reaches the coordinator's loop.
#[derive(Debug)]
pub enum Message {
    Said {
        worker: usize,
        message: protocol::Message,
    },
    /// The worker's output ended.
    Gone {
        worker: usize,
    },
    /// End after the epoch.
    Interrupt,
    /// End at once.
    Cancel,
}

/// A node that a worker is busy with.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub node: NodeIndex,
    pub key: String,
    pub node_run: i64,
    /// Since when the worker holds the node's lock; until then it waits for another coordinator and listens to nobody.
    pub locked: Option<Instant>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    seat: Seat,
    /// CUDA's number of its GPU.
    gpu: Option<usize>,
    /// By place in the pack; `None` once it is settled. Empty: the worker is idle.
    pack: Vec<Option<Assignment>>,
    stderr: PathBuf,
    /// Why this side ended it, if it did.
    ended: Option<String>,
}

/// What a dead worker leaves.
pub struct Remains {
    /// What it was busy with.
    pub pack: Vec<Assignment>,
    /// Why it died.
    pub reason: String,
    /// Whether this side ended it.
    pub ended: bool,
}

/// What a node asks of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    threads: usize,
    /// A GPU of its own.
    gpu: bool,
}

/// All worker processes of one coordinator.
pub struct Pool {
    workers: Vec<Option<Worker>>,
    program: PathBuf,
    log: PathBuf,
    jobs: usize,
    gpus: Option<Gpus>,
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
    /// `log`: where workers' standard error goes. With `gpus`, numerical nodes have a worker on each of them.
    pub fn new(jobs: usize, log: &Path, gpus: Option<Gpus>, messages: Sender<Message>) -> Result<Pool> {
        Ok(Pool { workers: Vec::new(), program: program()?, log: log.to_path_buf(), jobs, gpus, messages })
    }

    fn busy(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().flatten().filter(|worker| worker.is_busy())
    }

    /// Nodes under way.
    pub fn running(&self) -> usize {
        self.busy().map(|worker| worker.pack.iter().flatten().count()).sum()
    }

    pub fn seat(&self, threads: usize, numerical: bool) -> Seat {
        Seat { threads, gpu: numerical && self.gpus.is_some() }
    }

    /// Workers that may start on such a seat now. One always may when nothing runs.
    pub fn room(&self, seat: Seat) -> usize {
        let used: usize = self.busy().map(|worker| worker.seat.threads).sum();
        let free = self.jobs.saturating_sub(used) / seat.threads.max(1);
        let free = if used == 0 { free.max(1) } else { free };
        match &self.gpus {
            Some(gpus) if seat.gpu => free.min(gpus.indices.len() - self.busy().filter(|w| w.seat.gpu).count()),
            _ => free,
        }
    }

    pub fn assignment(&self, worker: usize, member: usize) -> Option<&Assignment> {
        self.workers.get(worker)?.as_ref()?.pack.get(member)?.as_ref()
    }

    pub fn set_locked(&mut self, worker: usize, member: usize) {
        let worker = self.workers.get_mut(worker).and_then(Option::as_mut);
        if let Some(Some(assignment)) = worker.and_then(|worker| worker.pack.get_mut(member)) {
            assignment.locked = Some(Instant::now());
        }
    }

    /// Takes a settled node off the worker; with the last of its pack it is idle again.
    pub fn release(&mut self, worker: usize, member: usize) {
        let Some(worker) = self.workers.get_mut(worker).and_then(Option::as_mut) else { return };
        if let Some(assignment) = worker.pack.get_mut(member) {
            *assignment = None;
        }
        if !worker.pack.iter().any(Option::is_some) {
            worker.pack.clear();
        }
    }

    /// Gives a node, or a pack, to an idle worker on such a seat, started if need be.
    pub fn assign(&mut self, pack: Vec<Assignment>, manifests: &[Manifest], seat: Seat) -> Result<()> {
        let idle = |w: &Option<Worker>| w.as_ref().is_some_and(|w| !w.is_busy() && w.seat == seat);
        let at = match self.workers.iter().position(idle) {
            Some(at) => at,
            None => self.start(seat)?,
        };
        let worker = self.workers[at].as_mut().context("the worker just found")?;
        worker.pack = pack.into_iter().map(Some).collect();
        // A worker that is gone says so through its ended output.
        let _ = send(&mut worker.stdin, &manifests);
        Ok(())
    }

    /// Answers a worker's report.
    pub fn answer(&mut self, worker: usize, answer: Answer) {
        if let Some(Some(worker)) = self.workers.get_mut(worker) {
            let _ = send(&mut worker.stdin, &Reply { answer });
        }
    }

    fn start(&mut self, seat: Seat) -> Result<usize> {
        let threads = seat.threads;
        // Idle workers of another thread count would only hold memory, or a GPU.
        for slot in &mut self.workers {
            if slot.as_ref().is_some_and(|w| !w.is_busy() && w.seat.gpu == seat.gpu) {
                *slot = None;
            }
        }
        let at = self.workers.len();
        let stderr = self.log.join(format!("worker-{}-{at}.log", std::process::id()));
        let file = std::fs::File::create(&stderr).with_context(|| format!("creating {}", stderr.display()))?;
        let mut command = Command::new(&self.program);
        command.arg(threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let gpus = self.gpus.as_ref().filter(|_| seat.gpu);
        let taken: Vec<usize> = self.workers.iter().flatten().filter_map(|worker| worker.gpu).collect();
        let gpu = gpus.and_then(|gpus| gpus.indices.iter().copied().find(|index| !taken.contains(index)));
        if let (Some(gpus), Some(gpu)) = (gpus, gpu) {
            // cuBLAS repeats its results only with a workspace that no other work shares.
            command.arg(gpu.to_string()).arg(&gpus.libtorch).env("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
        }
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
                let Ok(message) = serde_json::from_str(&line) else { continue };
                if messages.send(Message::Said { worker: at, message }).is_err() {
                    return;
                }
            }
            let _ = messages.send(Message::Gone { worker: at });
        });
        self.workers.push(Some(Worker { child, stdin, seat, gpu, pack: Vec::new(), stderr, ended: None }));
        Ok(at)
    }

    /// Workers whose nodes took longer than `limit` says, in seconds, and that limit. A pack has the time of all its nodes.
    pub fn overdue(&self, limit: impl Fn(NodeIndex) -> Option<f64>) -> Vec<(usize, f64)> {
        let overdue = |(at, worker): (usize, &Option<Worker>)| {
            let members: Vec<&Assignment> = worker.as_ref()?.pack.iter().flatten().collect();
            let since = members.iter().filter_map(|member| member.locked).min()?;
            let limit = limit(members.first()?.node)? * members.len() as f64;
            (since.elapsed().as_secs_f64() > limit).then_some((at, limit))
        };
        self.workers.iter().enumerate().filter_map(overdue).collect()
    }

    /// Workers that fill more memory than `limit` says, how much, and that limit, in bytes.
    pub fn larger_than(&self, limit: impl Fn(NodeIndex) -> Option<u64>) -> Vec<(usize, u64, u64)> {
        let larger = |(at, worker): (usize, &Option<Worker>)| {
            let worker = worker.as_ref()?;
            let limit = limit(worker.pack.iter().flatten().next()?.node)?;
            let used = filled(worker.child.id())?;
            (used > limit).then_some((at, used, limit))
        };
        self.workers.iter().enumerate().filter_map(larger).collect()
    }

    /// Kills a worker for a reason.
    pub fn end(&mut self, worker: usize, reason: String) {
        if let Some(Some(worker)) = self.workers.get_mut(worker) {
            worker.ended.get_or_insert(reason);
            let _ = worker.child.kill();
        }
    }

    /// Buries a worker whose output ended; `None` if it was idle.
    pub fn bury(&mut self, worker: usize) -> Option<Remains> {
        let mut dead = self.workers.get_mut(worker)?.take()?;
        let status = dead.child.wait().ok();
        let last = std::fs::read_to_string(&dead.stderr).unwrap_or_default();
        let last: Vec<&str> = last.lines().rev().take(3).collect();
        let ended = dead.ended.take();
        let pack: Vec<Assignment> = dead.pack.drain(..).flatten().collect();
        (!pack.is_empty()).then(|| Remains {
            pack,
            ended: ended.is_some(),
            reason: ended.unwrap_or_else(|| describe(status, &last.into_iter().rev().collect::<Vec<_>>().join("; "))),
        })
    }

    /// Kills the workers that wait for a lock.
    pub fn kill_waiting(&mut self) {
        for worker in self.workers.iter_mut().flatten() {
            if worker.pack.iter().flatten().any(|assignment| assignment.locked.is_none()) {
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

impl Worker {
    fn is_busy(&self) -> bool {
        !self.pack.is_empty()
    }
}

/// Bytes of a process's memory that are no mapped file's.
fn filled(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
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
