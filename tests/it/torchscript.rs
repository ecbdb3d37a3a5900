//! `backbone: { torchscript: FILE }`, by a network of one matrix and ReLU (worker/src/nn/script.rs made the file).

use std::{fs, path::Path};

use crate::support::{Project, stderr};

const PIPELINE: &str = r#"stages:
  photos:   { dataset: { image_folder: data/photos, split: { train: 0.5, val: 0.25, test: 0.25 } } }
  views:    { augment: { images: photos, size: 32, views: 1, train: [{ resize: [32, 32] }], eval: [{ resize: [32, 32] }] } }
  features: { extract_features: { images: views, backbone: { torchscript: nets/tiny.pt } } }
  probe:    { train_head: { features: features, epochs: 5, optimizer: { sgd: { lr: 0.1 } } } }
  score:    { evaluate: { model: probe } }
"#;

fn project() -> Project {
    let project = Project::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torchscript/tiny.pt");
    project.write("nets/tiny.pt", fs::read(fixture).unwrap());
    project.write("pipelines/script.yaml", PIPELINE);
    project
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
    let output = project.thawline(&["export", &trial]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("this model's backbone is a TorchScript file"), "{}", stderr(&output));

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
    let tuned = "features: features }\n  thaw: { freeze_schedule: { phases: [{ train: [head], epochs: 1, lr: 0.1 }] } }\n  \
                 tuned: { fine_tune: { images: views, start_from: probe, schedule: thaw } }\n";
    let probe = "features: features, epochs: 5, optimizer: { sgd: { lr: 0.1 } } } }\n";
    let tuned = tuned.replacen("features: features }\n", probe, 1);
    refused(probe, &tuned, "the network of a TorchScript file cannot be fine-tuned");

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
