//! Programs of the user's own, as stages.

use std::time::{Duration, Instant};

use crate::support::{EXPERIMENT, Nodes, Project, stderr};

/// The nearest class mean, by nothing but Python's own library.
const NEAREST_MEAN: &str = r#"
import csv, json, math, pathlib, struct, sys

manifest = json.loads(pathlib.Path(sys.argv[-1]).read_text())
given = manifest["inputs"]["features"]
out = pathlib.Path(manifest["out"])
classes = len(manifest["classes"])


def read(described):
    data = pathlib.Path(described["features"]).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    rows, width = described["shape"]
    values = struct.unpack(f"<{rows * width}f", data[start : start + 4 * rows * width])
    return [values[i * width : (i + 1) * width] for i in range(rows)]


if manifest["task"] == "fit":
    rows = list(csv.DictReader(open(manifest["rows"]["train"])))
    assert rows[0]["class"] == manifest["classes"][int(rows[0]["label"])]
    features = read(given["train"][0])
    means = []
    for label in range(classes):
        own = [x for x, row in zip(features, rows) if int(row["label"]) == label]
        means.append([sum(column) / len(own) for column in zip(*own)])
    print(json.dumps({"epoch": 1, "epochs": 1, "metrics": {"train/images": len(rows)}}))
    print("sharpness", manifest["params"]["sharpness"])
    (out / "means.json").write_text(json.dumps(means))
else:
    header = open(manifest["rows"][manifest["split"]]).readline().strip()
    assert header == "id,path", header
    means = json.loads((pathlib.Path(manifest["program"]) / "means.json").read_text())
    values = []
    for x in read(given[manifest["split"]]):
        scores = [-manifest["params"]["sharpness"] * math.dist(x, mean) for mean in means]
        weights = [math.exp(score - max(scores)) for score in scores]
        values += [weight / sum(weights) for weight in weights]
    shape = (len(values) // classes, classes)
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    (out / "predictions.npy").write_bytes(data + struct.pack(f"<{len(values)}d", *values))
"#;

const PIPELINE: &str = r#"extends: features.yaml
params: { sharpness: 3.0 }
stages:
  # Flipped, the classes could not be told apart.
  views: { augment: { images: photos, size: 32, train: [{ resize: [32, 32] }], eval: [{ resize: [32, 32] }] } }
  probe: { command: { run: [python3, programs/nearest_mean.py], inputs: { features: features }, params: { sharpness: "${sharpness}" } } }
"#;

fn project() -> Project {
    let project = Project::ran();
    project.write("programs/nearest_mean.py", NEAREST_MEAN);
    project.write("pipelines/program.yaml", PIPELINE);
    project.edit(EXPERIMENT, "repeats:", "  program:            { pipeline: ../pipelines/program.yaml }\nrepeats:");
    project
}

/// The lines of a run of the program's pipeline alone that must fail.
fn failure(project: &Project) -> String {
    let output = project.thawline(&["run", "pipelines/program.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn a_program_is_compared_as_an_arm() {
    let project = project();
    // Fit, and what it says of both halves, scored, for two seeds; before that, unflipped images and their features.
    assert_eq!(project.run().done, 2 * (1 + 2 + 2) + 2);
    let metrics = project.metrics();
    let of_program: Vec<_> = metrics.iter().filter(|(trial, _)| trial.starts_with("program-")).collect();
    assert_eq!(of_program.len(), 2);
    for (trial, metrics) in of_program {
        let accuracy = metrics["test/accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.7, "{trial}: {accuracy}");
    }
    let report = std::fs::read_to_string(project.path("reports/tiny/report.md")).unwrap();
    assert!(report.contains("| program "), "{report}");
    assert_eq!(project.run().done, 0);
    // What the program is counts by its content; what it stands on stays.
    project.edit("programs/nearest_mean.py", "* math.dist(x, mean)", "* 2 * math.dist(x, mean)");
    assert_eq!(project.run().done, 2 * (1 + 2 + 2));
}

#[test]
fn what_fails_says_why() {
    let project = project();
    project.edit("programs/nearest_mean.py", "means = []", "raise SystemExit('out of ideas')");
    let said = failure(&project);
    assert!(said.contains("`python3` ended with status 1") && said.contains("out of ideas"), "{said}");

    project.write("programs/nearest_mean.py", NEAREST_MEAN.replace("weight / sum(weights)", "weight * 2"));
    let said = failure(&project);
    assert!(said.contains("row 0 of predictions.npy holds no probabilities"), "{said}");

    project.write("programs/nearest_mean.py", NEAREST_MEAN.replace("// classes, classes)", "// classes - 1, classes)"));
    let said = failure(&project);
    assert!(said.contains("expected [6, 2]"), "{said}");

    project.write("programs/nearest_mean.py", NEAREST_MEAN.replace("(out / \"means.json\").write_text", "len"));
    let said = failure(&project);
    assert!(said.contains("wrote nothing into `out`"), "{said}");
}

#[test]
fn a_failure_in_passing_is_tried_again() {
    let project = project();
    project.edit("pipelines/program.yaml", "inputs:", "retries: 1, inputs:");
    let once = "import pathlib, sys\nif not pathlib.Path('tried').exists():\n    pathlib.Path('tried').touch()\n    sys.exit(3)\n";
    project.write("programs/nearest_mean.py", format!("{once}{NEAREST_MEAN}"));
    let nodes = Nodes::of(&project.json(&["run", "pipelines/program.yaml", "--format", "json"]));
    assert_eq!((nodes.done, nodes.failed), (2 + 5, 0));
}

/// A key names what ran: an edit under way would be kept under the name of the old text.
#[test]
fn a_program_that_changed_since_it_was_planned_is_not_run() {
    let project = project();
    let change = "open(__file__, 'a').write('# changed\\n')\n    means = []";
    project.edit("programs/nearest_mean.py", "means = []", change);
    let said = failure(&project);
    assert!(said.contains("programs/nearest_mean.py is not what it was when the run was planned"), "{said}");
}

#[test]
fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let project = project();
    project.edit("pipelines/program.yaml", "inputs:", "timeout: 1, inputs:");
    let hang = "import os, subprocess\nchild = subprocess.Popen(['sleep', '600'])\nopen('child', 'w').write(str(child.pid))\nchild.wait()\n";
    project.write("programs/nearest_mean.py", hang);
    let started = Instant::now();
    let said = failure(&project);
    assert!(said.contains("more than its `timeout` of 1 s"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60));
    let child = std::fs::read_to_string(project.path("child")).unwrap();
    let state = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    // Gone, or dead and not yet reaped.
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn mistakes_are_located() {
    let project = project();
    let original = std::fs::read_to_string(project.path("pipelines/program.yaml")).unwrap();
    let run = "[python3, programs/nearest_mean.py]";
    let mut all = String::new();
    for (name, old, new) in [
        ("a program that is not there", run, "[pythn3, programs/nearest_mean.py]"),
        ("text for a list", run, "python3 programs/nearest_mean.py"),
        ("nothing to run", run, "[]"),
        ("an input of another kind", "features: features", "features: photos"),
        ("files that are not there", "inputs:", "files: [lib/*.py], inputs:"),
    ] {
        assert!(original.contains(old));
        project.write("pipelines/program.yaml", original.replace(old, new));
        let output = project.thawline(&["validate", "pipelines/program.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{name}: {}", stderr(&output));
        let said = stderr(&output).replace(&*project.path("").to_string_lossy(), "ROOT/");
        all +=
            &format!("## {name}\n{}\n", said.replace(project.path("").to_str().unwrap().trim_end_matches('/'), "ROOT"));
    }
    let score = "  score: { evaluate: { model: probe, images: views, conditions: [fog] } }\n";
    project.write("pipelines/program.yaml", format!("{original}{score}"));
    let output = project.thawline(&["validate", "pipelines/program.yaml"]);
    all += &format!("## more than a program can be asked\n{}", stderr(&output));
    project.write("pipelines/program.yaml", format!("{original}  more: {{ fine_tune: {{ images: views, start_from: probe, schedule: s }} }}\n  s: {{ freeze_schedule: {{ phases: [{{ train: head, epochs: 1, lr: 1 }}] }} }}\n"));
    let output = project.thawline(&["validate", "pipelines/program.yaml"]);
    all += &format!("## a program where a model is needed\n{}", stderr(&output));
    insta::assert_snapshot!(all);
}
