//! A small project in a temporary folder, and the real `thawline` run in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};
use tempfile::TempDir;
use thawline::rng::Draws;

pub const EXPERIMENT: &str = "experiments/tiny.yaml";

const FEATURE_EXTRACTION: &str = r#"params: { head_lr: 0.1 }
stages:
  photos:   { dataset: { image_folder: data/photos, split: { train: 0.5, val: 0.25, test: 0.25 } } }
  views:    { augment: { images: photos, size: 32, views: 1, train: [{ resize: [32, 32] }, horizontal_flip], eval: [{ resize: [32, 32] }] } }
  features: { extract_features: { images: views, backbone: efficientnet_lite0, weights: none } }
  probe:    { train_head: { features: features, epochs: 5, optimizer: { sgd: { lr: "${head_lr}" } } } }
  score:    { evaluate: { model: probe } }
"#;

const FINE_TUNING: &str = r#"params: { lr: 0.05 }
stages:
  photos: { dataset: { image_folder: data/photos, split: { train: 0.5, val: 0.25, test: 0.25 } } }
  views:  { augment: { images: photos, size: 32, views: 1, train: [{ resize: [32, 32] }, horizontal_flip], eval: [{ resize: [32, 32] }] } }
  thaw:
    freeze_schedule:
      phases:
        - { name: top,  train: [head], epochs: 3, lr: "${lr}" }
        - { name: more, train: [{ last: 2 }, head], epochs: 4, lr: "${lr}" }
  tuned:  { fine_tune: { images: views, backbone: efficientnet_lite0, weights: none, batch_size: 4, schedule: thaw } }
  score:  { evaluate: { model: tuned } }
"#;

const TINY: &str = r#"arms:
  feature_extraction: { pipeline: ../pipelines/features.yaml, sweep: { parameters: { head_lr: { values: [0.1, 0.01] } } } }
  fine_tuning:        { pipeline: ../pipelines/tuning.yaml }
repeats: { seeds: [0, 1] }
"#;

/// A project with 24 photographs of two classes, two pipelines and one experiment of two arms.
pub struct Project {
    dir: TempDir,
}

impl Project {
    pub fn new() -> Project {
        let project = Project { dir: tempfile::tempdir().unwrap() };
        for (class, name) in ["bright", "dark"].iter().enumerate() {
            for i in 0..12 {
                project.write(&format!("data/photos/{name}/{i:02}.png"), photo(class, i));
            }
        }
        project.write("pipelines/features.yaml", FEATURE_EXTRACTION);
        project.write("pipelines/tuning.yaml", FINE_TUNING);
        project.write(EXPERIMENT, TINY);
        project
    }

    /// A project in which the experiment ran: a copy of the undisturbed one, so that each test need not wait for a run.
    pub fn ran() -> Project {
        let (project, from) = (Project::new(), &undisturbed().project);
        for path in files(&from.path(".thawline")) {
            let to = project.path(path.strip_prefix(from.dir.path()).unwrap().to_str().unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&path, to).unwrap();
        }
        project
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Replaces `old`, which must be there, in a file.
    pub fn edit(&self, relative: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(relative)).unwrap();
        assert!(text.contains(old), "{relative} has no `{old}`");
        self.write(relative, text.replace(old, new));
    }

    /// `sed -i -E` on every pipeline and experiment.
    pub fn sed(&self, script: &str) {
        let yaml = ["pipelines", "experiments"].into_iter().flat_map(|folder| files(&self.path(folder)));
        let status = Command::new("sed").args(["-i", "-E", script]).args(yaml).status().unwrap();
        assert!(status.success());
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thawline"));
        command.current_dir(self.dir.path()).args(arguments).stdin(Stdio::null());
        for name in ["THAWLINE_PROJECT", "THAWLINE_LOG", "COLUMNS"] {
            command.env_remove(name);
        }
        command
    }

    pub fn thawline(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output as JSON, of a command that must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.thawline(arguments);
        assert!(output.status.success(), "thawline {arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the experiment to its end, with two jobs.
    pub fn run(&self) -> Nodes {
        Nodes::of(&self.json(&["run", EXPERIMENT, "-j", "2", "--format", "json"]))
    }

    /// Starts the experiment in the background.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&["run", EXPERIMENT]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The metrics of every trial, by name.
    pub fn metrics(&self) -> BTreeMap<String, Map<String, Value>> {
        let rows = self.json(&["results", "tiny", "--format", "json"]);
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row["trial"].as_str().unwrap().into(), row["metrics"].as_object().unwrap().clone())).collect()
    }

    /// The names of all artifacts, which are their digests.
    pub fn digests(&self) -> BTreeSet<String> {
        let name = |file: PathBuf| file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_string();
        files(&self.path(".thawline/store")).into_iter().map(name).collect()
    }

    /// A column of strings from the index; empty while there is none yet.
    pub fn index(&self, query: &str) -> Vec<String> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let db =
                Connection::open_with_flags(self.path(".thawline/index.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            db.busy_timeout(Duration::from_secs(10))?;
            db.prepare(query)?.query_map([], |row| row.get(0))?.collect()
        };
        read().unwrap_or_default()
    }

    /// Keys of the nodes that are on record.
    pub fn finished(&self) -> BTreeSet<String> {
        self.index("SELECT key FROM nodes").into_iter().collect()
    }

    /// `part` of the events of nodes that were really computed in runs later than `run`, in order.
    pub fn computed(&self, run: i64, part: &str) -> Vec<String> {
        self.index(&format!(
            "SELECT json_extract(event, '$.{part}') FROM events
             WHERE json_extract(event, '$.event') = 'node_finished' AND run > {run} ORDER BY id"
        ))
    }

    /// How many runs there were.
    pub fn runs(&self) -> i64 {
        self.index("SELECT CAST(id AS TEXT) FROM runs").len() as i64
    }

    /// Whether fine-tuning is under way and has an epoch on record.
    pub fn is_tuning(&self) -> bool {
        !self
            .index("SELECT label FROM node_runs WHERE status = 'running' AND kind = 'fine_tune' AND epoch >= 1")
            .is_empty()
    }

    /// Its trials came out as those of a project that was never disturbed. It may hold more than that: other settings store other activations.
    pub fn assert_results_as_undisturbed(&self) {
        assert_eq!(self.metrics(), undisturbed().metrics);
    }

    /// Nothing of the project tells it from one that was never disturbed.
    pub fn assert_as_undisturbed(&self) {
        let undisturbed = undisturbed();
        assert_eq!(self.metrics(), undisturbed.metrics);
        assert_eq!(self.finished(), undisturbed.keys);
        assert_eq!(self.digests(), undisturbed.digests);
    }
}

/// How a run counts its nodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nodes {
    pub total: u64,
    pub cached: u64,
    pub done: u64,
    pub failed: u64,
}

impl Nodes {
    pub fn of(run: &Value) -> Nodes {
        let count = |name: &str| run["nodes"][name].as_u64().unwrap_or_else(|| panic!("no count `{name}` in {run}"));
        Nodes { total: count("total"), cached: count("cached"), done: count("done"), failed: count("failed") }
    }
}

/// What a project holds after one run that nothing disturbed.
pub struct Undisturbed {
    pub project: Project,
    pub metrics: BTreeMap<String, Map<String, Value>>,
    pub keys: BTreeSet<String>,
    pub digests: BTreeSet<String>,
}

/// Made once for all tests.
pub fn undisturbed() -> &'static Undisturbed {
    static MADE: OnceLock<Undisturbed> = OnceLock::new();
    MADE.get_or_init(|| {
        let project = Project::new();
        project.run();
        let (metrics, keys, digests) = (project.metrics(), project.finished(), project.digests());
        Undisturbed { project, metrics, keys, digests }
    })
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until `condition` holds, or `child` has ended before it did (false).
pub fn wait_until(child: &mut Child, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < deadline, "nothing happened for a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

pub fn signal(pid: u32, signal: i32) {
    // SAFETY: sending a signal touches no memory of this process.
    let sent = unsafe { libc::kill(pid as i32, signal) };
    assert_eq!(sent, 0, "signal {signal} to {pid}: {}", std::io::Error::last_os_error());
}

/// Processes whose parent is `parent`.
pub fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        // `pid (name) state ppid ...`; the name may hold anything, so count from its end.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        after.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    pids.filter(is_child).collect()
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// An image of a class, a PNG. 24 x 24 RGB: noise, brighter on the left for class 0 and on the right for class 1.
pub fn photo(class: usize, index: u64) -> Vec<u8> {
    let mut draws = Draws::new(7, ["bright", "dark"][class], index, "photo");
    let mut pixels = Vec::with_capacity(24 * 24 * 3);
    for at in 0..24 * 24 {
        let lit = (at % 24 < 12) == (class == 0);
        let base = if lit { 150 } else { 40 };
        pixels.extend((0..3).map(|_| base + draws.below(80) as u8));
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 24, 24);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    file
}
