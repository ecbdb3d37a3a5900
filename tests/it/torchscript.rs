//! `backbone: { torchscript: FILE }`, by a network of one matrix and ReLU (worker/src/nn/script/tests.rs made the file) and
//! those of scripts/reference/torchscript.py.

use std::{collections::BTreeSet, fs, path::Path};

use safetensors::SafeTensors;
use thawline::artifact::{Model, Predictions};

use crate::support::{Project, stderr};

const PIPELINE: &str = r#"stages:
  photos:   { dataset: { image_folder: data/photos, split: { train: 0.5, val: 0.25, test: 0.25 } } }
  views:    { augment: { images: photos, size: 32, views: 1, train: [{ resize: [32, 32] }], eval: [{ resize: [32, 32] }] } }
  features: { extract_features: { images: views, backbone: { torchscript: nets/tiny.pt } } }
  probe:    { train_head: { features: features, epochs: 5, optimizer: { sgd: { lr: 0.1 } } } }
  score:    { evaluate: { model: probe } }
"#;

/// Trained whole after its head; images come from `PIPELINE`.
const TUNED: &str = r#"  thaw:
    freeze_schedule:
      phases:
        - { train: [head], epochs: 3, lr: 0.1 }
        - { train: [all], epochs: 2, lr: 0.02, layer_decay: 0.5 }
  tuned:    { fine_tune: { images: views, backbone: { torchscript: nets/scripted.pt }, batch_size: 8, schedule: thaw } }
  score:    { evaluate: { model: tuned } }
"#;

fn project() -> Project {
    let project = Project::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torchscript");
    for name in ["tiny.pt", "scripted.pt", "traced.pt", "frozen.pt", "restless.pt"] {
        project.write(&format!("nets/{name}"), fs::read(fixtures.join(name)).unwrap());
    }
    project.write("pipelines/script.yaml", PIPELINE);
    let images: String = PIPELINE.lines().take(3).map(|line| format!("{line}\n")).collect();
    project.write("pipelines/tuned.yaml", images + TUNED);
    project
}

/// The artifact of the node with this label in a trial.
fn artifact(project: &Project, trial: &str, label: &str) -> String {
    let shown = project.json(&["show", trial, "--format", "json"]);
    let node = shown["nodes"].as_array().unwrap().iter().find(|node| node["label"] == label).cloned();
    node.unwrap_or_else(|| panic!("{label} in {shown}"))["artifact"].as_str().unwrap().to_string()
}

/// A safetensors file's tensors by name, as bytes.
fn tensors(path: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = file.iter().map(|(name, view)| (name.to_string(), view.data().to_vec())).collect();
    tensors.sort();
    tensors
}

#[test]
fn a_script_is_trained_whole_evaluated_predicted_with_and_exported() {
    let project = project();
    let run = |arguments: &[&str]| {
        let run = ["run", "pipelines/tuned.yaml", "--format", "json"];
        project.json(&[&run, arguments].concat())["nodes"].clone()
    };
    let first = run(&["--store-activations", "always"]);
    assert_eq!(first["failed"], 0, "{first}");
    assert_eq!(run(&[])["done"], 0);
    let trial = project.index("SELECT trial FROM trials")[0].clone();
    // The bits of an unknown network may depend on an image's neighbours: its output is not stored.
    assert!(project.index("SELECT key FROM nodes WHERE kind = 'activations'").is_empty());
    let model = artifact(&project, &trial, "tuned.phase2");

    let read = Model::read(model.as_ref()).unwrap();
    assert_eq!((read.head.inputs, read.changed_blocks), (5, vec!["network".to_string()]));
    let predictions = Predictions::read(artifact(&project, &trial, "score[val]").as_ref()).unwrap();
    for (i, path) in predictions.paths.iter().enumerate() {
        let found = project.json(&["predict", &trial, &format!("data/photos/{path}"), "--format", "jsonl"]);
        for top in found["top"].as_array().unwrap() {
            let at = i * predictions.classes.len() + top["index"].as_u64().unwrap() as usize;
            let (found, expected) = (top["score"].as_f64().unwrap(), predictions.probabilities[at]);
            // One image alone stands at another place among the 32.
            assert!((found - expected).abs() < 1e-6, "{path}: {found}, evaluated {expected}");
        }
    }

    let output = project.thawline(&["export", &trial, "-o", "all.safetensors"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("nets/scripted.pt: `network.` is the state of torch.jit.load(FILE)"));
    let exported = tensors(&project.path("all.safetensors"));
    let trained = tensors(&Path::new(&model).join(Model::WEIGHTS));
    let as_exported = |(name, bytes): &(String, Vec<u8>)| (name.replacen("head.0.", "head.", 1), bytes.clone());
    assert_eq!(exported, trained.iter().map(as_exported).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    assert!(project.thawline(&["export", &trial, "--format", "torch", "-o", "all.pth"]).status.success());

    // Damaged or changed, the script is another one.
    fs::copy(project.path("nets/traced.pt"), project.path("nets/scripted.pt")).unwrap();
    let output = project.thawline(&["predict", &trial, "data/photos/bright/00.png"]);
    assert!(!output.status.success() && stderr(&output).contains("scripted.pt"), "{}", stderr(&output));
}

#[test]
fn a_head_from_features_is_gone_on_with_and_rates_are_looked_for() {
    let project = project();
    project.edit("pipelines/script.yaml", "tiny.pt", "scripted.pt");
    project.edit(
        "pipelines/script.yaml",
        "  score:    { evaluate: { model: probe } }\n",
        r#"  thaw:     { freeze_schedule: { phases: [{ train: [norms], epochs: 1, lr: "${find.suggestion}" }] } }
  find:     { lr_find: { images: views, start_from: probe, train: [norms], steps: 20 } }
  tuned:    { fine_tune: { images: views, start_from: probe, schedule: thaw } }
  score:    { evaluate: { model: tuned } }
"#,
    );
    let run = project.json(&["run", "pipelines/script.yaml", "--format", "json"]);
    assert_eq!(run["nodes"]["failed"], 0, "{run}");
    let trial = project.index("SELECT trial FROM trials")[0].clone();
    let model = artifact(&project, &trial, "tuned.phase1");
    let state = tensors(&Path::new(&model).join(Model::WEIGHTS));
    let names: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).filter(|name| !name.contains("bn.")).collect();
    let network = ["again.bias", "again.weight", "mix.bias", "mix.weight", "norm.bias", "norm.weight", "out.bias"];
    let network = network.into_iter().chain(["out.weight", "scale", "stem.weight"]);
    let expected: Vec<String> = network.map(|name| format!("network.{name}")).collect();
    assert_eq!(names, [vec!["head.0.bias", "head.0.weight"], expected.iter().map(String::as_str).collect()].concat());
}

#[test]
fn networks_that_cannot_train_say_why() {
    let project = project();
    let run = |name: &str| {
        let text = fs::read_to_string(project.path("pipelines/tuned.yaml")).unwrap();
        project.write("pipelines/other.yaml", text.replace("scripted.pt", name));
        let output = project.thawline(&["run", "pipelines/other.yaml"]);
        (output.status.code(), stderr(&output))
    };
    let (code, told) = run("frozen.pt");
    assert!(code == Some(1) && told.contains("nets/frozen.pt has no parameters that could train"), "{told}");
    let (code, told) = run("restless.pt");
    assert!(code == Some(1) && told.contains("call eval() before torch.jit.trace"), "{told}");
    let (code, told) = run("traced.pt");
    assert!(code == Some(0), "{told}");
    let notes = project.index("SELECT outcome FROM nodes WHERE kind = 'fine_tune'").concat();
    assert!(notes.contains("batch normalisation keeps its statistics in "), "{notes}");
}

#[test]
fn heads_train_on_a_scripts_features_and_its_content_is_in_the_key() {
    let project = project();
    let run = || project.json(&["run", "pipelines/script.yaml", "--format", "json"])["nodes"].clone();
    let first = run();
    assert_eq!((&first["failed"], &first["cached"]), (&0.into(), &0.into()), "{first}");
    assert_eq!(run()["done"], 0);
    // Its name and place mean nothing.
    fs::rename(project.path("nets"), project.path("others")).unwrap();
    project.edit("pipelines/script.yaml", "nets/tiny.pt", "others/tiny.pt");
    assert_eq!(run()["done"], 0);

    let trial = project.index("SELECT trial FROM trials")[0].clone();
    let prediction = project.json(&["predict", &trial, "data/photos/bright/00.png", "--format", "jsonl"]);
    assert_eq!(prediction["top"].as_array().unwrap().len(), 2);
    // Nothing was trained but the head, and this network keeps its matrix to itself.
    let output = project.thawline(&["export", &trial, "-o", "head.safetensors"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let names: Vec<String> = tensors(&project.path("head.safetensors")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["head.bias", "head.weight"]);

    // Another content (the archive's comment says nothing to the network) is another backbone.
    let mut bytes = fs::read(project.path("others/tiny.pt")).unwrap();
    let end = bytes.len();
    bytes[end - 2] = 1;
    bytes.push(b'!');
    project.write("others/tiny.pt", bytes);
    let again = run();
    assert!(again["done"].as_u64().unwrap() >= 3 && again["failed"] == 0, "{again}");
}

#[test]
fn what_cannot_be_is_told() {
    let project = project();
    let refused = |old: &str, new: &str, told: &str| {
        project.write("pipelines/wrong.yaml", PIPELINE.replace(old, new));
        let output = project.thawline(&["validate", "pipelines/wrong.yaml"]);
        assert_eq!(output.status.code(), Some(2), "{new}");
        assert!(stderr(&output).contains(told), "{told}\nis not in\n{}", stderr(&output));
    };
    let script = "backbone: { torchscript: nets/tiny.pt }";
    refused(
        script,
        "backbone: { torchscript: nets/tiny.pt }, weights: imagenet",
        "`weights` are in the TorchScript file",
    );
    refused(script, "backbone: { torchscript: none }", "`none` is no file");
    refused(script, "backbone: torchscript, weights: none", "there is no backbone `torchscript`");
    refused(script, "backbone: resnet18", "`backbone` without `weights`");
    refused(script, "backbone: { torchscript: nets/tiny.pt }, block: layer1", "torchscript has no block `layer1`");
    let text = fs::read_to_string(project.path("pipelines/tuned.yaml")).unwrap();
    project.write("pipelines/wrong.yaml", text.replace("train: [all]", "train: [layer4]"));
    let output = project.thawline(&["validate", "pipelines/wrong.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = "torchscript has no block `layer4`; it has network; beside them there are head, all, norms";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));

    fs::remove_file(project.path("nets/tiny.pt")).unwrap();
    let output = project.thawline(&["run", "pipelines/script.yaml"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("no TorchScript file"), "{}", stderr(&output));
    project.write("nets/tiny.pt", b"PK, it says");
    let output = project.thawline(&["run", "pipelines/script.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let told = "this is no TorchScript file: torch.jit.save(torch.jit.script(model), FILE) writes one";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}
