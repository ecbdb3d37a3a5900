use std::{path::Path, time::Instant};

use thawline::{
    artifact::{
        Image,
        model::{BackboneSpec, Normalization, Pooling, Weights},
        views::ViewsWriter,
    },
    backbones,
    stages::{freeze_schedule, optimizer::Optimizer},
};

use super::*;
use crate::{
    stages::activations,
    task::{Stopped, recorder::Recorder},
};

const TRAIN: usize = 13;
const VAL: usize = 6;

/// Bright against dark noise, `size` pixels square, in two training views and a validation split.
fn write_inputs(dir: &Path, train: usize, val: usize, size: usize) -> BTreeMap<String, PathBuf> {
    let mut dataset = Dataset {
        classes: vec!["dark".into(), "bright".into()],
        images: Vec::new(),
        dropped: Vec::new(),
        reading: Default::default(),
    };
    let mut inputs = BTreeMap::new();
    for (role, split, count) in
        [("views.train.0", Split::Train, train), ("views.train.1", Split::Train, train), ("views.val", Split::Val, val)]
    {
        let folder = dir.join(role);
        std::fs::create_dir_all(&folder).unwrap();
        let mut writer = ViewsWriter::create(&folder, count, size, size).unwrap();
        let mut draws = Draws::new(1, role, 0, "test");
        for i in 0..count {
            let label = i % 2;
            let pixels: Vec<u8> =
                (0..size * size * 3).map(|_| (draws.below(160) as usize + 90 * label) as u8).collect();
            writer.push(&pixels).unwrap();
            if role != "views.train.1" {
                let id = format!("{role}{i}");
                dataset.images.push(Image { path: id.clone(), id, label: label as u32, split });
            }
        }
        writer.finish().unwrap();
        inputs.insert(role.to_string(), folder);
    }
    let folder = dir.join("dataset");
    std::fs::create_dir_all(&folder).unwrap();
    dataset.write(&folder).unwrap();
    inputs.insert("dataset".to_string(), folder);
    inputs
}

fn spec(cut: &str) -> BackboneSpec {
    BackboneSpec {
        backbone: "efficientnet_lite0".into(),
        weights: Weights::Random { seed: 5 },
        cut: cut.into(),
        pooling: Pooling::Avg,
        normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
    }
}

fn sgd() -> Optimizer {
    Optimizer::Sgd { lr: None, momentum: 0.9, nesterov: false, weight_decay: 0.0 }
}

/// One phase of the first six blocks of Lite0, the schedule written as people write it.
fn work(phase: serde_json::Value, first_epoch: u32) -> Work {
    work_at("blocks.4", phase, first_epoch)
}

fn work_at(cut: &str, phase: serde_json::Value, first_epoch: u32) -> Work {
    let spec = spec(cut);
    let schedule = serde_json::from_value(serde_json::json!({ "phases": [phase] })).unwrap();
    let backbone = backbones::find(&spec.backbone).unwrap();
    let resolved = freeze_schedule::resolve(&schedule, backbone, &spec.cut, sgd()).unwrap();
    Work {
        backbone: spec,
        hidden: Vec::new(),
        training: serde_json::from_value(serde_json::json!({ "batch_size": 4, "dropout": 0.2, "clip_norm": 5.0 }))
            .unwrap(),
        phase: resolved[0].1.clone(),
        first_epoch,
        views: 2,
        found: Vec::new(),
    }
}

/// A temporary folder with inputs, in which tasks run.
struct Bench {
    dir: tempfile::TempDir,
    inputs: BTreeMap<String, PathBuf>,
    sources: BTreeMap<String, PathBuf>,
}

impl Bench {
    fn new() -> Bench {
        tch::set_num_threads(1);
        let dir = tempfile::tempdir().unwrap();
        let inputs = write_inputs(dir.path(), TRAIN, VAL, 32);
        Bench { dir, inputs, sources: BTreeMap::new() }
    }

    fn run(&self, name: &str, work: &Work, model: Option<&str>, recorder: &mut Recorder) -> Result<Outcome> {
        let out = self.dir.path().join(name);
        std::fs::create_dir_all(&out).unwrap();
        let mut inputs = self.inputs.clone();
        inputs.extend(model.map(|name| ("model".to_string(), self.dir.path().join(name))));
        let checkpoint = self.dir.path().join(format!("{name}.checkpoint"));
        let mut task = Task {
            inputs,
            sources: self.sources.clone(),
            seed: 3,
            limits: Default::default(),
            out,
            checkpoint,
            link: recorder,
        };
        run(work, &mut task)
    }

    fn go(&self, name: &str, work: &Work, model: Option<&str>) -> Outcome {
        self.run(name, work, model, &mut Recorder::default()).unwrap()
    }

    fn file(&self, name: &str, file: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name).join(file)).unwrap()
    }

    fn tensors(&self, name: &str) -> Tensors {
        read_tensors(&self.dir.path().join(name).join(Model::WEIGHTS)).unwrap()
    }
}

fn upper_phase(epochs: u32) -> serde_json::Value {
    serde_json::json!({
        "train": ["blocks.3", "blocks.4", "head"], "epochs": epochs, "lr": 0.01, "layer_decay": 0.5,
        "lr_schedule": { "cosine": {} }, "optimizer": { "sgd": { "momentum": 0.9, "weight_decay": 0.01 } }
    })
}

#[test]
fn stopped_after_each_epoch_and_resumed_gives_equal_bits() {
    let bench = Bench::new();
    let mut phase = upper_phase(3);
    phase["early_stopping"] = serde_json::json!({ "patience": 3 });
    phase["optimizer"] = serde_json::json!({ "adamw": {} });
    let work = work(phase, 1);
    let mut straight = Recorder::default();
    let outcome = bench.run("straight", &work, None, &mut straight).unwrap();

    for last in 1..=2 {
        let mut recorder = Recorder { last: Some(last), ..Recorder::default() };
        assert!(bench.run("resumed", &work, None, &mut recorder).unwrap_err().is::<Stopped>());
    }
    let mut resumed = Recorder::default();
    assert_eq!(bench.run("resumed", &work, None, &mut resumed).unwrap(), outcome);
    assert_eq!(resumed.log, ["going on after epoch 2"]);
    assert_eq!(resumed.curve, straight.curve);
    for file in [Model::WEIGHTS, Model::OPTIMIZER, "model.json"] {
        assert_eq!(bench.file("straight", file), bench.file("resumed", file), "{file}");
    }

    let path = bench.dir.path().join("resumed.checkpoint/epoch.checkpoint");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(1000);
    std::fs::write(&path, bytes).unwrap();
    let mut again = Recorder::default();
    bench.run("resumed", &work, None, &mut again).unwrap();
    assert!(again.log[0].contains("starting over"), "{:?}", again.log);
    assert_eq!(bench.file("straight", Model::WEIGHTS), bench.file("resumed", Model::WEIGHTS));
}

#[test]
fn a_torchscript_file_is_trained_whole_and_resumed_with_equal_bits() {
    let mut bench = Bench::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/torchscript/scripted.pt");
    let digest = blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string();
    bench.sources.insert("weights".into(), path);
    let schedule = serde_json::json!({ "phases": [
        { "train": "head", "epochs": 1, "lr": 0.01 },
        { "train": "all", "epochs": 3, "lr": 0.01, "layer_decay": 0.5, "optimizer": { "adamw": {} } },
    ] });
    let resolve = |schedule| {
        let schedule = serde_json::from_value(schedule).unwrap();
        freeze_schedule::resolve(&schedule, &backbones::TORCHSCRIPT, "network", sgd()).unwrap()
    };
    let phases = resolve(schedule);
    let work = |i: usize| {
        let mut work = work(upper_phase(1), i as u32);
        let weights = Weights::File { digest: digest.clone(), fill: None };
        work.backbone =
            BackboneSpec { backbone: "torchscript".into(), weights, cut: "network".into(), ..spec("blocks.4") };
        work.phase = phases[i].1.clone();
        work
    };
    let first = bench.go("first", &work(0), None);
    // 274 parameters of the network, and a head on its five features.
    assert_eq!((first.trained_parameters, first.total_parameters), (12, 274 + 12));
    assert!(Model::read(&bench.dir.path().join("first")).unwrap().changed_blocks.is_empty());

    let outcome = bench.go("straight", &work(1), Some("first"));
    assert_eq!((outcome.trained_parameters, outcome.total_parameters), (274 + 12, 274 + 12));
    let last = Recorder { last: Some(2), ..Recorder::default() };
    assert!(bench.run("resumed", &work(1), Some("first"), &mut { last }).unwrap_err().is::<Stopped>());
    assert_eq!(bench.go("resumed", &work(1), Some("first")), outcome);
    for file in [Model::WEIGHTS, Model::OPTIMIZER, "model.json"] {
        assert_eq!(bench.file("straight", file), bench.file("resumed", file), "{file}");
    }
    let trained = bench.tensors("straight");
    assert_eq!(trained["network.again.weight"], trained["network.mix.weight"], "one tensor of two names");
    let steps = 3 * TRAIN.div_ceil(4) as i64 - 3;
    assert_eq!(trained["network.bn.num_batches_tracked"].bytes, steps.to_le_bytes(), "the image left over joins");
}

/// Two phases, the second below whose line a block was trained and frozen again; interrupted too.
#[test]
fn stored_and_streamed_activations_give_equal_bits() {
    let bench = Bench::new();
    for policy in ["eval", "eval_everywhere"] {
        let phase = |block: &str| serde_json::json!({ "train": [block, "head"], "epochs": 2, "lr": 0.01, "batch_norm": policy });
        let (first, second) = (work(phase("blocks.2"), 0), work(phase("blocks.4"), 2));
        for (line, work, model) in [("blocks.1", &first, None), ("blocks.3", &second, Some("streamed.1"))] {
            let mut stored =
                Bench { dir: tempfile::tempdir().unwrap(), inputs: bench.inputs.clone(), sources: BTreeMap::new() };
            for of in ["train.0", "train.1", "val"] {
                let folder = stored.dir.path().join(format!("activations.{of}"));
                std::fs::create_dir_all(&folder).unwrap();
                let mut recorder = Recorder::default();
                let mut task = bench.task(&mut recorder);
                task.inputs = BTreeMap::from([("views".to_string(), bench.inputs[&format!("views.{of}")].clone())]);
                task.inputs.extend(model.map(|model| ("model".to_string(), bench.dir.path().join(model))));
                task.out = folder.clone();
                activations::run(&BackboneSpec { cut: line.into(), ..work.backbone.clone() }, &mut task).unwrap();
                stored.inputs.insert(format!("activations.{of}"), folder);
            }
            let number = if model.is_some() { 2 } else { 1 };
            let model = model.map(|model| bench.dir.path().join(model).to_str().unwrap().to_string());
            let streamed = bench.go(&format!("streamed.{number}"), work, model.as_deref());
            let last = Recorder { last: Some(1), ..Recorder::default() };
            assert!(stored.run("out", work, model.as_deref(), &mut { last }).unwrap_err().is::<Stopped>());
            assert_eq!(stored.go("out", work, model.as_deref()), streamed, "{policy}");
            for file in [Model::WEIGHTS, Model::OPTIMIZER, "model.json"] {
                let streamed = bench.file(&format!("streamed.{number}"), file);
                assert_eq!(stored.file("out", file), streamed, "{policy}: {file} of phase {number}");
            }
        }
    }
}

#[test]
fn frozen_blocks_stay_bit_equal() {
    let bench = Bench::new();
    let untouched = Network::open(&spec("blocks.4"), None).unwrap();
    let block = |name: &str| untouched.backbone().block_index(name).unwrap();
    // blocks.3 and blocks.4 lie frozen between the trained blocks.2 and head.
    let phase = serde_json::json!({ "train": ["blocks.2", "head"], "epochs": 1, "lr": 0.01 });
    let data = Data::open(&work(phase.clone(), 0), &bench.task(&mut Recorder::default())).unwrap();
    for (policy, adapting) in [
        ("eval", &["blocks.2"][..]),
        ("eval_everywhere", &[]),
        ("train_everywhere", &["stem", "blocks.1", "blocks.2", "blocks.3"]),
    ] {
        let mut phase = phase.clone();
        phase["batch_norm"] = policy.into();
        let work = work(phase, 0);
        let network = Network::open(&work.backbone, None).unwrap();
        let spec = HeadSpec { inputs: 40, hidden: Vec::new(), classes: 2 };
        let head = Head::random(&spec, 0).unwrap();
        let mut trainer =
            Trainer::new(network, head, &work.backbone, &work.phase, &work.training, &BTreeMap::new()).unwrap();
        let mut recorder = Recorder::default();
        train_epoch(&work, &mut bench.task(&mut recorder), &data, &mut trainer, 0).unwrap();
        for name in ["stem", "blocks.1", "blocks.2", "blocks.3"] {
            let before = untouched.export(block(name)).unwrap();
            let after = trainer.network().export(block(name)).unwrap();
            for ((tensor, before), (_, after)) in before.iter().zip(&after) {
                let statistic = tensor.contains("running_");
                let changes = if statistic { adapting.contains(&name) } else { name == "blocks.2" };
                assert_eq!(before != after, changes, "{policy}: {tensor}");
            }
        }
    }
}

impl Bench {
    fn task<'a>(&self, recorder: &'a mut Recorder) -> Task<'a> {
        let dir = self.dir.path();
        let (out, checkpoint) = (dir.join("out"), dir.join("checkpoint"));
        Task {
            inputs: self.inputs.clone(),
            sources: self.sources.clone(),
            seed: 3,
            limits: Default::default(),
            out,
            checkpoint,
            link: recorder,
        }
    }
}

#[test]
fn phases_hand_on_blocks_and_optimizer_state() {
    let bench = Bench::new();
    bench.go("first", &work(upper_phase(2), 0), None);
    let first = Model::read(&bench.dir.path().join("first")).unwrap();
    assert_eq!(first.changed_blocks, ["blocks.3", "blocks.4"]);

    // The head alone: the blocks stay as the first phase left them, and are still part of the model.
    let head_only = |lr: f64, first_epoch: u32, state: &str| {
        let phase = serde_json::json!({ "train": "head", "epochs": 1, "lr": lr });
        let mut work = work(phase, first_epoch);
        work.phase.keep_optimizer_state = state == "keep";
        work
    };
    let outcome = bench.go("second", &head_only(0.01, 2, "keep"), Some("first"));
    assert_eq!((outcome.trained_parameters, outcome.images_seen), (2 * 40 + 2, TRAIN as u64));
    assert_eq!(Model::read(&bench.dir.path().join("second")).unwrap().changed_blocks, ["blocks.3", "blocks.4"]);
    let (before, after) = (bench.tensors("first"), bench.tensors("second"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, data) in &before {
        assert_eq!(data == &after[name], name.starts_with("_blocks"), "{name}");
    }

    // Kept momentum moves the head otherwise than fresh momentum does, and a start_from never hands it on.
    bench.go("reset", &head_only(0.01, 2, "reset"), Some("first"));
    assert_ne!(bench.tensors("reset"), after);
    let state = read_tensors(&bench.dir.path().join("second").join(Model::OPTIMIZER)).unwrap();
    assert_eq!(state.keys().collect::<Vec<_>>(), ["head.0.bias.momentum_buffer", "head.0.weight.momentum_buffer"]);
    bench.go("started", &head_only(0.01, 0, "keep"), Some("first"));
    bench.go("started_reset", &head_only(0.01, 0, "reset"), Some("first"));
    assert_eq!(bench.tensors("started"), bench.tensors("started_reset"));
}

#[test]
fn learns_and_stops_early() {
    let bench = Bench::new();
    let phase = serde_json::json!({
        "train": "all", "epochs": 20, "lr": 0.1, "batch_norm": "eval_everywhere",
        "early_stopping": { "patience": 6, "monitor": "accuracy" }
    });
    let mut recorder = Recorder::default();
    let outcome = bench.run("model", &work_at("stem", phase, 0), None, &mut recorder).unwrap();
    let accuracies: Vec<f64> = recorder.curve.iter().map(|e| e.metrics["val/accuracy"]).collect();
    let best = accuracies.iter().copied().fold(0.0, f64::max);
    assert_eq!(outcome.metrics["val/accuracy"], best);
    assert!(best > 0.9 && outcome.epochs < 20, "{accuracies:?}");
    assert!(outcome.notes[0].contains("was restored"), "{:?}", outcome.notes);
}

#[test]
fn a_single_image_left_over_joins_the_step_before() {
    let bench = Bench::new();
    let batches = |phase: serde_json::Value| {
        let work = work(phase, 0);
        let network = Network::open(&work.backbone, None).unwrap();
        let spec = HeadSpec { inputs: 40, hidden: Vec::new(), classes: 2 };
        let head = Head::random(&spec, 0).unwrap();
        let trainer =
            Trainer::new(network, head, &work.backbone, &work.phase, &work.training, &BTreeMap::new()).unwrap();
        let order: Vec<usize> = (0..TRAIN).collect();
        trainer.batches(&order).iter().map(|rows| rows.len()).collect::<Vec<_>>()
    };
    assert_eq!(batches(upper_phase(1)), [4, 4, 5]);
    assert_eq!(batches(serde_json::json!({ "train": "head", "epochs": 1, "lr": 0.1 })), [4, 4, 4, 1]);
    let mut single = work(upper_phase(1), 0);
    single.training.batch_size = 1;
    let error = bench.run("single", &single, None, &mut Recorder::default()).unwrap_err();
    assert!(error.to_string().contains("batch normalisation"), "{error}");
}

#[test]
fn errors_say_what_does_not_fit() {
    let bench = Bench::new();
    let mut phase = upper_phase(2);
    phase["lr"] = 1e30.into();
    let error = bench.run("diverged", &work(phase, 0), None, &mut Recorder::default()).unwrap_err().to_string();
    assert!(error.contains("epoch 1") && error.contains("lower the learning rate"), "{error}");
    bench.go("model", &work(serde_json::json!({ "train": "head", "epochs": 1, "lr": 0.1 }), 0), None);
    let mut other = work(upper_phase(1), 1);
    other.backbone.pooling = Pooling::Max;
    let error = bench.run("other", &other, Some("model"), &mut Recorder::default()).unwrap_err().to_string();
    assert!(error.contains("stands on"), "{error}");
}

#[test]
#[ignore = "a measurement, printed: cargo test -- --ignored --nocapture seconds"]
fn seconds_of_an_epoch_of_lite0() {
    tch::set_num_threads(1);
    crate::nn::keep_freed_memory();
    let dir = tempfile::tempdir().unwrap();
    let inputs = write_inputs(dir.path(), 360, 120, 128);
    let backbone = backbones::find("efficientnet_lite0").unwrap();
    let schedule = serde_json::json!({ "phases": [{ "train": "all", "epochs": 1, "lr": 0.01 }] });
    let schedule = serde_json::from_value(schedule).unwrap();
    let phase = freeze_schedule::resolve(&schedule, backbone, "top", sgd()).unwrap()[0].1.clone();
    let training = serde_json::from_value(serde_json::json!({})).unwrap();
    let backbone = spec("top");
    let work = Work { backbone, hidden: Vec::new(), training, phase, first_epoch: 0, views: 1, found: Vec::new() };
    let (out, checkpoint) = (dir.path().join("out"), dir.path().join("checkpoint"));
    std::fs::create_dir_all(&out).unwrap();
    let mut recorder = Recorder::default();
    let mut task = Task {
        inputs,
        sources: BTreeMap::new(),
        seed: 0,
        limits: Default::default(),
        out,
        checkpoint,
        link: &mut recorder,
    };
    let start = Instant::now();
    run(&work, &mut task).unwrap();
    println!("one epoch of lite0, 360 images, 128 px, all blocks: {:?}", start.elapsed());
}
