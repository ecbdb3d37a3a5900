//! Every family, each in tests of its own: its members' logits, and of one member what training does to it.

use proptest::{prelude::*, test_runner::TestRunner};
use thawline::{
    artifact::{
        Views,
        model::{BackboneSpec, HeadSpec, Weights},
        views::ViewsWriter,
    },
    backbones::ParameterSpec,
    rng::Draws,
    stages::{
        fine_tune::Training,
        freeze_schedule::{self, Phase},
        optimizer::Optimizer,
    },
};

use super::*;

macro_rules! families {
    ($($family:ident),* $(,)?) => {
        $(mod $family {
            #[test]
            fn logits_are_the_publishers_written_and_folded() {
                super::logits(stringify!($family));
            }

            #[test]
            fn training_mode_gradients_and_running_statistics_are_the_publishers() {
                super::training(stringify!($family));
            }

            #[test]
            fn frozen_blocks_are_untouched_bit_for_bit() {
                super::frozen(stringify!($family));
            }
        })*

        #[test]
        fn no_family_is_left_out() {
            let mut found: Vec<&str> = backbones::all().iter().map(|b| b.family).collect();
            found.dedup();
            assert_eq!(found, [$(stringify!($family)),*]);
        }
    };
}

families!(
    resnet,
    efficientnet_lite,
    efficientnet,
    mobilenet_v2,
    mobilenet_v3,
    vgg,
    alexnet,
    squeezenet,
    densenet,
    shufflenet,
    regnet,
    convnext,
    vit,
    swin,
);

fn members(family: &str) -> impl Iterator<Item = &'static Backbone> {
    backbones::all().iter().filter(move |backbone| backbone.family == family)
}

fn reference(backbone: &Backbone) -> Value {
    let path = format!("{}/../tests/reference/backbones/{}.json", env!("CARGO_MANIFEST_DIR"), backbone.name);
    let text =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}: run scripts/reference/backbones.py"));
    serde_json::from_slice(&text).unwrap()
}

fn logits(family: &str) {
    let _guard = no_grad_guard();
    tch::set_num_threads(1);
    for backbone in members(family) {
        let expected = reference(backbone);
        let data = weights(backbone);
        let network = Network::load(backbone, &data).unwrap();
        let classifier = Classifier::load(backbone, &data).unwrap().unwrap();
        drop(data);
        let frozen = network.folded(all(&network)).unwrap();
        for (i, size) in expected["sizes"].as_array().unwrap().iter().enumerate() {
            let [height, width] = numbers(size).try_into().unwrap();
            let x = input(&format!("input.{i}"), [2, 3, height as usize, width as usize]);
            let logits = &expected["logits"][i];
            let (wanted, scale) = (numbers(&logits["sample"]), logits["scale"].as_f64().unwrap());
            let written = network.forward(&x, all(&network), |_| false).unwrap();
            let folded = frozen.forward(&x).unwrap();
            let (apart, largest) = (largest_difference(&flat(&written), &flat(&folded)), written.abs().max());
            assert!(apart < 2e-5 * largest.double_value(&[]), "{}: folding changes {apart}", backbone.name);
            for (way, output) in [("written", written), ("folded", folded)] {
                // Where the publisher has no classifier, features.
                let logits = if expected["classifier"].as_bool().unwrap() {
                    classifier.logits(&output, backbone.pooling).unwrap()
                } else {
                    pool(&output, backbone.pooling).unwrap()
                };
                let values = flat(&logits);
                let found: Vec<f64> = values.iter().copied().step_by(values.len().div_ceil(16)).collect();
                let difference = largest_difference(&found, &wanted);
                println!("{} {way} {height}x{width}: {difference:.1e}, of {scale:.2}", backbone.name);
                assert!(difference < 2e-5 * scale, "{} {way}: {difference}, of {scale}", backbone.name);
            }
        }
    }
}

/// L2 norm and product with the formula's numbers, as in the script. A norm far below `largest` is of rounding errors alone:
/// the gradient of a bias before batch normalisation is 0. Returns the difference as a share of the norm.
fn assert_checksum(name: &str, tensor: &Tensor, expected: &Value, tolerance: f64, largest: f64) -> f64 {
    let values = flat(tensor);
    let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let period: Vec<f64> = uniform(name, values.len()).collect();
    let product: f64 = values.iter().zip(period.iter().cycle()).map(|(v, u)| v * u).sum();
    let wanted = numbers(expected);
    let difference = largest_difference(&[norm, product], &wanted) / wanted[0].max(1e-3 * largest);
    assert!(difference <= tolerance, "{name}: {norm} {product}, expected {wanted:?}");
    difference
}

fn training(family: &str) {
    tch::set_num_threads(1);
    let trained = members(family).map(|backbone| (backbone, reference(backbone)));
    let (backbone, expected) = trained.into_iter().find(|(_, expected)| expected["gradients"].is_object()).unwrap();
    let network = Network::load(backbone, &weights(backbone)).unwrap();
    for block in all(&network) {
        for (spec, tensor) in network.tensors(block).unwrap() {
            let _ = tensor.set_requires_grad(spec.role.is_parameter());
        }
    }
    let depth = expected["blocks"].as_u64().unwrap() as usize;
    let [height, width] = numbers(&expected["sizes"][0]).try_into().unwrap();
    let mut y = Tensor::new();
    for step in 0..3 {
        let x = input(&format!("input.step{step}"), [4, 3, height as usize, width as usize]);
        y = network.forward(&x, 0..depth, |_| true).unwrap();
        let _guard = no_grad_guard();
        let _ = network.forward(&y, depth..all(&network).end, |_| true).unwrap();
    }
    let shape: Vec<usize> = y.size().iter().map(|&n| n as usize).collect();
    (&y * from_data(&filled("input.pattern", &shape, 0.0)).unwrap()).mean(Kind::Float).backward();
    let gradients = expected["gradients"].as_object().unwrap();
    let largest = gradients.values().map(|sums| numbers(sums)[0]).fold(0.0, f64::max);
    let of_gradients = gradients.iter().map(|(name, expected)| {
        let gradient = network.tensor(name).unwrap().grad();
        assert!(gradient.is_contiguous(), "{name}");
        assert_checksum(name, &gradient, expected, 1e-3, largest)
    });
    let of_gradients = of_gradients.fold(0.0, f64::max);
    let running = expected["running"].as_object().unwrap().iter();
    let of_running = running.map(|(name, sums)| assert_checksum(name, &network.tensor(name).unwrap(), sums, 1e-4, 0.0));
    let of_running = of_running.fold(0.0, f64::max);
    println!("{} gradients {of_gradients:.1e}, running statistics {of_running:.1e}, of their norms", backbone.name);
}

/// Four images of noise.
fn images(size: usize) -> (tempfile::TempDir, Images) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = ViewsWriter::create(dir.path(), 4, size, size).unwrap();
    let mut draws = Draws::new(1, "", 0, "test");
    for _ in 0..4 {
        let pixels: Vec<u8> = (0..size * size * 3).map(|_| draws.below(256) as u8).collect();
        writer.push(&pixels).unwrap();
    }
    writer.finish().unwrap();
    let views = Views::open(dir.path()).unwrap();
    let views = Images::new(views, None).unwrap();
    (dir, views)
}

/// A schedule's only phase that trains these items.
fn phase(backbone: &Backbone, cut: &str, train: Value) -> Phase {
    let phases = serde_json::json!({ "phases": [{ "train": train, "epochs": 1, "lr": 0.01 }] });
    let sgd = Optimizer::Sgd { lr: None, momentum: 0.9, nesterov: false, weight_decay: 0.01 };
    freeze_schedule::resolve(&serde_json::from_value(phases).unwrap(), backbone, cut, sgd).unwrap().remove(0).1
}

/// Whatever a phase trains, two steps change the blocks that it names, or only their norms, and nothing else.
fn frozen(family: &str) {
    tch::set_num_threads(1);
    let size = |backbone: &&Backbone| backbone.parameters();
    let backbone = members(family).min_by_key(size).unwrap();
    // The hidden layers of a classifier hold most of the parameters of their networks, and are linear layers like others.
    let cut = backbone.blocks.iter().rfind(|block| !block.name.starts_with("fc")).unwrap();
    let end = backbone.block_index(&cut.name).unwrap() + 1;
    let data = weights(backbone);
    let start = Network::load(backbone, &data).unwrap();
    let before: Vec<Vec<(String, TensorData)>> = (0..end).map(|block| start.export(block).unwrap()).collect();
    let (_dir, views) = images(64);
    let targets = Targets::plain(vec![0, 1, 0, 1], 2).unwrap();
    let training: Training = serde_json::from_value(serde_json::json!({ "batch_size": 4 })).unwrap();
    let spec = BackboneSpec {
        backbone: backbone.name.into(),
        weights: Weights::Random { seed: 4 },
        cut: cut.name.clone(),
        pooling: backbone.pooling,
        normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
    };
    let trains = backbone.blocks[..end].iter().map(|block| block.parameters() > 0);
    let trainable: Vec<usize> = trains.enumerate().filter_map(|(i, trains)| trains.then_some(i)).collect();
    let choice = (prop::sample::subsequence(trainable, 1..=2), any::<bool>());
    let config = ProptestConfig { cases: 3, failure_persistence: None, ..ProptestConfig::default() };
    let check = |(blocks, norms): (Vec<usize>, bool)| {
        let norms = norms && blocks.iter().any(|&block| backbone.blocks[block].norm_parameters() > 0);
        let names: Vec<&str> = blocks.iter().map(|&block| backbone.blocks[block].name.as_str()).collect();
        let train = serde_json::json!([names.clone(), vec!["head"]].concat());
        let mut phase = phase(backbone, &cut.name, train);
        for trained in &mut phase.trained {
            trained.norms_only = norms;
        }
        let head = HeadSpec { inputs: spec.pooling.width(cut.channels), hidden: Vec::new(), classes: 2 };
        let head = Head::random(&head, 1).unwrap();
        let network = Network::load(backbone, &data).unwrap();
        let mut trainer = Trainer::new(network, head, &spec, &phase, &training, &BTreeMap::new()).unwrap();
        let mut draws = Draws::new(1, "", 0, "dropout");
        for _ in 0..2 {
            let rows = [0, 1, 2, 3];
            trainer.step(&views, &targets, &rows, 0.01, &mut draws, &mut Score::default()).unwrap();
        }
        for (block, before) in before.iter().enumerate() {
            let after = trainer.network().export(block).unwrap();
            let specs = backbone.blocks[block].tensors();
            let changed: Vec<&ParameterSpec> = specs
                .iter()
                .zip(before.iter().zip(&after))
                .filter(|(_, (a, b))| a != b)
                .map(|(spec, _)| spec)
                .collect();
            let trains = blocks.contains(&block) && (!norms || backbone.blocks[block].norm_parameters() > 0);
            prop_assert_eq!(!changed.is_empty(), trains, "block {} while {:?} train", block, names);
            let only_norms = changed.iter().all(|spec| spec.role.is_norm());
            prop_assert!(!norms || only_norms, "{:?} while only norms of {:?} train", changed, names);
        }
        Ok(())
    };
    TestRunner::new(config).run(&choice, check).unwrap();
}
