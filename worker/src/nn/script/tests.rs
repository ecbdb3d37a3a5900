use std::collections::BTreeMap;

use serde_json::Value;
use tch::CModule;
use thawline::{
    artifact::{
        Views,
        model::{BackboneSpec, HeadSpec, Normalization, Pooling, Weights},
        views::ViewsWriter,
    },
    rng::Draws,
    stages::{fine_tune::Training, freeze_schedule, optimizer::Optimizer},
};

use super::*;
use crate::nn::{
    Divided, Head, Images, Network, Score, Targets, Trainer,
    checkpoint::{self, TensorData},
};

/// Three channels to two by a matrix, then ReLU: the fixture of the integration tests too.
fn tiny() -> CModule {
    let matrix = Tensor::from_slice(&[1f32, 0.5, -1.0, -0.25, 2.0, 0.75]).view([2, 3, 1, 1]);
    let mut compute = |x: &[Tensor]| vec![x[0].conv2d(&matrix, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1).relu()];
    let example = Tensor::ones([2, 3, 4, 4], (Kind::Float, Device::Cpu));
    CModule::create_by_tracing("tiny", "forward", &[example], &mut compute).unwrap()
}

fn fixture() -> PathBuf {
    reference("tiny.pt")
}

/// What scripts/reference/torchscript.py wrote.
fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/torchscript").join(name)
}

fn open(path: &Path) -> Result<Script> {
    let digest = std::fs::read(path).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
    Script::open(path, &digest.unwrap_or_default())
}

#[test]
#[ignore = "writes the fixture anew"]
fn write_the_fixture() {
    tiny().save(fixture()).unwrap();
}

#[test]
fn a_script_computes_what_was_traced() {
    let script = open(&fixture()).unwrap();
    let x = Tensor::from_slice(&[1f32, -2.0, 3.0, 0.5, 4.0, -1.0]).view([2, 3, 1, 1]);
    let y = Vec::<f32>::try_from(&script.forward(&x, false).unwrap().view([-1])).unwrap();
    assert_eq!(y, [0.0, 0.0, 3.5, 7.125]);
    for _ in 0..4 {
        assert_eq!(script.forward(&x, false).unwrap(), script.forward(&x, false).unwrap());
    }
    let error = format!("{:#}", script.forward(&x.narrow(1, 0, 2), false).unwrap_err());
    assert!(error.contains("tiny.pt on images [2, 2, 1, 1]"), "{error}");
    let error = Script::open(&fixture(), "0123").unwrap_err().to_string();
    assert!(error.contains("has changed since the run was planned"), "{error}");
}

#[test]
fn other_files_and_outputs_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        format!("{:#}", open(&path).unwrap_err())
    };
    assert!(refused("text.pt", b"hello").contains("this is no TorchScript file: torch.jit.save("));
    let state = std::fs::read(fixture().with_file_name("../checkpoints/zip.pth")).unwrap();
    assert!(checkpoint::parse(&state).is_ok());
    assert!(refused("state.pt", &state).contains("this holds tensors without a network"));
    let whole = std::fs::read(fixture()).unwrap();
    refused("cut.pt", &whole[..whole.len() / 2]);
    // Damage inside is the library's to find: it may not be found, but it ends in an answer.
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let path = dir.path().join("damaged.pt");
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(script) = open(&path) {
            drop(script.forward(&Tensor::ones([1, 3, 2, 2], (Kind::Float, Device::Cpu)), false));
        }
    }
    let mut flat = |x: &[Tensor]| vec![x[0].flatten(0, -1)];
    let example = Tensor::ones([2, 3, 4, 4], (Kind::Float, Device::Cpu));
    let module = CModule::create_by_tracing("flat", "forward", &[example.shallow_clone()], &mut flat).unwrap();
    let path = dir.path().join("flat.pt");
    module.save(&path).unwrap();
    let error = open(&path).unwrap().forward(&example, false).unwrap_err().to_string();
    assert!(error.contains("makes [96] of images [2, 3, 4, 4]; expected [n, features]"), "{error}");
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn floats(data: &TensorData) -> Vec<f32> {
    let values = crate::nn::from_data(data).unwrap().view([-1]);
    Vec::try_from(&values).unwrap()
}

/// The four images of the reference, 12 x 12.
fn images(dir: &Path) -> Images {
    let image = 12 * 12 * 3;
    let mut writer = ViewsWriter::create(dir, 4, 12, 12).unwrap();
    for n in 0..4 {
        let value = |i: usize| ((i * 37 + (i / 11) * 101 + (i / image) * 59) % 256) as u8;
        writer.push(&(n * image..(n + 1) * image).map(value).collect::<Vec<u8>>()).unwrap();
    }
    writer.finish().unwrap();
    Images::new(Views::open(dir).unwrap(), None).unwrap()
}

fn features(network: &Network, images: &Images) -> Tensor {
    Divided::new(network, 0, &spec("scripted.pt")).unwrap().rows(images, &[0, 1, 2, 3]).unwrap()
}

/// Three steps on them; gives the losses, the trained tensors, and the features of the images afterwards.
fn trained(case: &Value, network: Network, spec: &BackboneSpec) -> (Vec<f32>, BTreeMap<String, TensorData>, Tensor) {
    let train = if case["norms_only"] == true { serde_json::json!(["norms", "head"]) } else { "all".into() };
    let batch_norm = if case["batch_norm"] == true { "eval" } else { "eval_everywhere" };
    let phases =
        serde_json::json!({ "phases": [{ "train": train, "epochs": 1, "lr": 0.05, "batch_norm": batch_norm }] });
    let weight_decay = case["weight_decay"].as_f64().unwrap();
    let sgd = Optimizer::Sgd { lr: None, momentum: 0.9, nesterov: false, weight_decay };
    let schedule = serde_json::from_value(phases).unwrap();
    let phase = freeze_schedule::resolve(&schedule, &TORCHSCRIPT, &spec.cut, sgd).unwrap().remove(0).1;
    let dir = tempfile::tempdir().unwrap();
    let images = images(dir.path());
    assert_eq!(network.features(spec, 12, 12).unwrap(), 5);
    let head = HeadSpec { inputs: 5, hidden: Vec::new(), classes: 2 };
    let wave: Vec<f32> = (0..10).map(|i| (0.9 * f64::from(i) + 0.3).sin() as f32).collect();
    let initial = [
        ("head.0.weight".to_string(), TensorData::from_f32(vec![2, 5], &wave)),
        ("head.0.bias".to_string(), TensorData::from_f32(vec![2], &[0.0; 2])),
    ];
    let head = Head::load(&head, &initial.into()).unwrap();
    let training: Training = serde_json::from_value(serde_json::json!({ "batch_size": 4 })).unwrap();
    let targets = Targets::plain(vec![0, 1, 0, 1], 2).unwrap();
    let mut trainer = Trainer::new(network, head, spec, &phase, &training, &BTreeMap::new()).unwrap();
    let mut draws = Draws::new(1, "", 0, "dropout");
    let step = |_| {
        let mut score = Score::default();
        trainer.step(&images, &targets, &[0, 1, 2, 3], 0.05, &mut draws, &mut score).unwrap();
        score.loss() as f32
    };
    let losses = (0..3).map(step).collect();
    (losses, trainer.weights().unwrap(), features(trainer.network(), &images))
}

fn spec(name: &str) -> BackboneSpec {
    let digest = blake3::hash(&std::fs::read(reference(name)).unwrap()).to_hex().to_string();
    BackboneSpec {
        backbone: TORCHSCRIPT.name.into(),
        weights: Weights::File { digest, fill: None },
        cut: "network".into(),
        pooling: Pooling::Avg,
        normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
    }
}

fn network(name: &str) -> Network {
    Network::open(&spec(name), Some(&reference(name))).unwrap()
}

#[test]
fn steps_are_pytorchs() {
    tch::set_num_threads(1);
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(reference("steps.json")).unwrap()).unwrap();
    for case in &cases {
        let network = network("scripted.pt");
        assert_eq!(network.check_trainable(12, 12).unwrap(), [""; 0]);
        let (losses, state, after) = trained(case, network, &spec("scripted.pt"));
        let expected = case["state"].as_object().unwrap();
        let names: BTreeSet<&String> = state.keys().collect();
        assert_eq!(names, expected.keys().collect(), "every tensor of the state, under its name");
        let near = |found: &[f32], expected: &[f32], what: &str| {
            assert_eq!(found.len(), expected.len(), "{what}");
            for (a, b) in found.iter().zip(expected) {
                assert!((a - b).abs() < 2e-6 * b.abs().max(1.0), "{what}: {a}, expected {b}");
            }
        };
        near(&losses, &numbers(&case["losses"]), "losses");
        expected.iter().for_each(|(name, values)| near(&floats(&state[name]), &numbers(values), name));

        // A new network with what was trained is the same, to the last bit.
        let again = self::network("scripted.pt");
        again.overwrite(&[0], &state).unwrap();
        assert!(again.export(0).unwrap().iter().all(|(name, data)| state[name] == *data));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(features(&again, &images(dir.path())), after);
    }
}

#[test]
fn what_tracing_fixed_is_told() {
    let traced = network("traced.pt");
    let notes = traced.check_trainable(12, 12).unwrap();
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.starts_with("batch normalisation keeps its statistics in ") && note.contains("traced.pt"), "{note}");
    let before = traced.export(0).unwrap();
    assert_eq!(before, network("traced.pt").export(0).unwrap(), "trying out leaves nothing behind");
    assert_eq!(traced.parameters(0), network("scripted.pt").parameters(0));
    // stem, bn, mix, the bias of again, norm, out, scale.
    assert_eq!(traced.parameters(0), 162 + 12 + 42 + 6 + 12 + 35 + 5);

    let error = network("frozen.pt").check_trainable(12, 12).unwrap_err().to_string();
    assert!(error.contains("frozen.pt has no parameters that could train"), "{error}");
    let error = network("restless.pt").check_trainable(12, 12).unwrap_err().to_string();
    assert!(error.contains("call eval() before torch.jit.trace"), "{error}");
}
