//! `command`: runs a program of the user's own, and watches over it.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use thawline::{
    artifact::{Dataset, Features, Split, Views, probabilities},
    protocol::{Answer, Epoch, Limits, Outcome, pause_after},
    stages::command::{self, Work},
};

use crate::task::{Stopped, Task};

/// How often the program is looked after.
const WATCH: Duration = Duration::from_millis(200);
/// Lines of its standard error that are told when it fails.
const LAST_WORDS: usize = 8;

pub fn run(work: &Work, task: &mut Task<'_>) -> Result<Outcome> {
    let limits = task.limits;
    let retries = limits.retries.unwrap_or(0);
    let root = task.source("root")?.to_path_buf();
    for file in &work.files {
        let now = std::fs::read(root.join(&file.path)).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
        ensure!(
            now.is_ok_and(|digest| digest == file.digest),
            "{} is not what it was when the run was planned: run again",
            file.path
        );
    }
    let dataset = Dataset::read(task.input("dataset")?)?;
    let manifest = manifest(work, &dataset, task)?;
    let path = task.checkpoint.join("manifest.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&manifest)?)?;
    let mut attempt = 0;
    let epochs = loop {
        match Program::start(work, &root, &path)?.watch(limits, task) {
            Ok(epochs) => break epochs,
            Err(error) if error.is::<Stopped>() || attempt >= retries => return Err(error),
            Err(error) => {
                attempt += 1;
                task.link.log(&format!("{error:#}: attempt {} of {}", attempt + 1, retries + 1));
                std::fs::remove_dir_all(&task.out)?;
                std::fs::create_dir(&task.out)?;
                pause(pause_after(attempt), task)?;
            }
        }
    };
    let mut outcome = Outcome { epochs, ..Outcome::default() };
    match work.task {
        command::Task::Fit => {
            ensure!(std::fs::read_dir(&task.out)?.next().is_some(), "the program wrote nothing into `out`");
            outcome.images_seen = dataset.rows(Split::Train).len() as u64;
        }
        command::Task::Predict(split) => {
            let images = dataset.rows(split).len();
            probabilities::read(&task.out, images, dataset.classes.len())?;
            outcome.images_seen = images as u64;
        }
    }
    Ok(outcome)
}

/// What the program is told. Labels go with the images that it is fitted to, and with no others.
fn manifest(work: &Work, dataset: &Dataset, task: &Task) -> Result<Value> {
    let mut told = json!({
        "seed": task.seed,
        "threads": work.resources.threads,
        "params": work.params,
        "classes": dataset.classes,
        "out": task.out,
    });
    let (name, splits) = match work.task {
        command::Task::Fit => ("fit", vec![Split::Train, Split::Val]),
        command::Task::Predict(split) => ("predict", vec![split]),
    };
    told["task"] = name.into();
    for split in splits {
        let path = task.checkpoint.join(format!("{}.csv", split.name()));
        write_rows(&path, dataset, split, work.task == command::Task::Fit)?;
        told["rows"][split.name()] = json!(path);
    }
    if let command::Task::Predict(split) = work.task {
        told["split"] = split.name().into();
        told["program"] = json!(task.input("program")?);
    }
    let mut inputs: Map<String, Value> = Map::new();
    for (role, folder) in task.inputs.iter().filter(|(role, _)| role.contains('.')) {
        let (name, which) = role.split_once('.').context("a role with a dot")?;
        let which = which.split('.').next().unwrap_or(which);
        let entry = inputs.entry(name.to_string()).or_insert_with(|| json!({}));
        let described = describe(folder)?;
        match (which, entry.get_mut(which)) {
            ("train", Some(Value::Array(views))) => views.push(described),
            ("train", _) => entry[which] = json!([described]),
            _ => entry[which] = described,
        }
    }
    told["inputs"] = inputs.into();
    Ok(told)
}

/// An input as files: `{ features: file, shape }` or `{ pixels: file, shape }`.
fn describe(folder: &Path) -> Result<Value> {
    if folder.join("views.json").is_file() {
        let views = Views::open(folder)?;
        let shape = [views.images, views.height, views.width, 3];
        return Ok(json!({ "pixels": folder.join("pixels.bin"), "dtype": "uint8", "shape": shape }));
    }
    let features = Features::read(folder)?;
    let shape = [features.rows, features.width];
    Ok(json!({ "features": folder.join("features.safetensors"), "dtype": "float32", "shape": shape }))
}

/// `id,path` and, where they may be known, `label,class`: a line an image, in row order.
fn write_rows(path: &Path, dataset: &Dataset, split: Split, labelled: bool) -> Result<()> {
    let mut table = csv::Writer::from_path(path).with_context(|| format!("writing {}", path.display()))?;
    table.write_record(if labelled { &["id", "path", "label", "class"][..] } else { &["id", "path"] })?;
    for image in dataset.rows(split) {
        let label = image.label.to_string();
        let row = [&image.id, &image.path, &label, &dataset.classes[image.label as usize]];
        table.write_record(if labelled { &row[..] } else { &row[..2] })?;
    }
    Ok(table.flush()?)
}

/// Waits, unless told to stop.
fn pause(time: Duration, task: &mut Task<'_>) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if task.link.progress(0, 0) != Answer::Continue {
            return Err(Stopped.into());
        }
        std::thread::sleep(WATCH);
    }
    Ok(())
}

/// A line of the program: of its standard output or its standard error.
enum Line {
    Out(String),
    Err(String),
}

/// The running program, with whatever it starts. Killed when dropped.
struct Program {
    child: Child,
    lines: Receiver<Line>,
    started: Instant,
    name: String,
}

impl Program {
    fn start(work: &Work, root: &Path, manifest: &Path) -> Result<Program> {
        let (name, arguments) = work.run.split_first().context("`run` names no program")?;
        // A program that lies in the project is named by its path there.
        let own = root.join(name);
        let program = if name.contains('/') && own.is_file() { own } else { PathBuf::from(name) };
        let threads = work.resources.threads.to_string();
        let mut command = Command::new(program);
        command.args(arguments).arg(manifest).current_dir(root);
        command.env("OMP_NUM_THREADS", &threads).env("OPENBLAS_NUM_THREADS", &threads).env("PYTHONUNBUFFERED", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // SAFETY: prctl is async-signal-safe. A program must not outlive its worker, however that ends.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
                    .map_err(Into::into)
            });
        }
        let mut child = command.spawn().with_context(|| format!("starting `{name}` in {}", root.display()))?;
        let (sender, lines) = channel();
        forward(child.stdout.take().context("its output")?, sender.clone(), Line::Out);
        forward(child.stderr.take().context("its errors")?, sender, Line::Err);
        Ok(Program { child, lines, started: Instant::now(), name: name.clone() })
    }

    /// Logs what it says until it ends; the number of epochs that it told of.
    ///
    /// # Errors
    /// When it fails or takes too long, and [`Stopped`] when told to.
    fn watch(mut self, limits: Limits, task: &mut Task<'_>) -> Result<u32> {
        let mut last_words: Vec<String> = Vec::new();
        let mut epochs = 0;
        let mut looked = Instant::now();
        loop {
            let answer = match self.lines.recv_timeout(WATCH) {
                Ok(Line::Out(line)) => match serde_json::from_str::<Epoch>(&line) {
                    Ok(epoch) => {
                        epochs = epochs.max(epoch.epoch);
                        task.link.epochs(vec![(0, epoch)])
                    }
                    Err(_) => {
                        task.link.log(&line);
                        Answer::Continue
                    }
                },
                Ok(Line::Err(line)) => {
                    task.link.log(&line);
                    last_words.push(line);
                    let more = last_words.len().saturating_sub(LAST_WORDS);
                    last_words.drain(..more);
                    Answer::Continue
                }
                // Silent, or it has closed its streams: either way it may be over.
                Err(_) if self.child.try_wait()?.is_some() => break,
                Err(RecvTimeoutError::Timeout) => Answer::Continue,
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(WATCH);
                    Answer::Continue
                }
            };
            let seconds = self.started.elapsed().as_secs_f64();
            if let Some(timeout) = limits.timeout.filter(|timeout| seconds > *timeout) {
                bail!("`{}` ran for more than its `timeout` of {timeout} s and was killed", self.name);
            }
            let due = looked.elapsed() >= WATCH;
            if due {
                looked = Instant::now();
            }
            if answer != Answer::Continue || (due && task.link.progress(seconds as u64, 0) != Answer::Continue) {
                return Err(Stopped.into());
            }
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(epochs);
        }
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with status {code}"),
            (None, signal) => format!("died of signal {}", signal.unwrap_or_default()),
        };
        let said = if last_words.is_empty() { String::new() } else { format!(":\n{}", last_words.join("\n")) };
        bail!("`{}` {how}{said}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            // The group has the child's number: what it started ends with it.
            if let Some(group) = rustix::process::Pid::from_raw(self.child.id() as i32) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// Sends what a stream says, line by line; bytes that are no text are replaced.
fn forward(stream: impl Read + Send + 'static, to: Sender<Line>, line: fn(String) -> Line) {
    std::thread::spawn(move || {
        for bytes in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if to.send(line(String::from_utf8_lossy(&bytes).trim_end().to_string())).is_err() {
                return;
            }
        }
    });
}
