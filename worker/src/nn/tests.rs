//! Networks against PyTorch, on weights that a formula fills on both sides (scripts/reference/backbones.py).

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;
use tch::{Kind, Tensor, no_grad_guard};

use super::{
    checkpoint::TensorData,
    pixels::{pixels_to_input, pool},
    *,
};
use thawline::{
    artifact::model::{Normalization, Pooling},
    backbones::{self, Backbone},
};

fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    (1..=count as u64).map(move |i| {
        let mut z = hash.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

fn filled(name: &str, shape: &[usize]) -> TensorData {
    let (scale, shift) = match name {
        _ if name.starts_with("input") => (1.5, 0.0),
        _ if name.ends_with("running_var") => (0.5, 1.0),
        _ if name.ends_with("weight") && shape.len() > 1 => {
            ((3.0 / shape[1..].iter().product::<usize>() as f64).sqrt(), 0.0)
        }
        _ if name.ends_with("weight") => (0.2, 1.0),
        _ => (0.1, 0.0),
    };
    let values: Vec<f32> = uniform(name, shape.iter().product()).map(|u| (shift + scale * u) as f32).collect();
    TensorData::from_f32(shape.to_vec(), &values)
}

fn input(name: &str, shape: [usize; 4]) -> Tensor {
    let x = from_data(&filled(name, &shape)).unwrap();
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Filled once for all tests: formulas over 15 million values take a while.
static WEIGHTS: LazyLock<BTreeMap<&str, BTreeMap<String, TensorData>>> =
    LazyLock::new(|| backbones::all().iter().map(|b| (b.name, weights(b))).collect());

fn weights(backbone: &'static Backbone) -> BTreeMap<String, TensorData> {
    let mut data = BTreeMap::new();
    for spec in backbone.blocks.iter().flat_map(|b| b.tensors()) {
        data.insert(spec.name.clone(), filled(&spec.name, &spec.shape));
    }
    let (weight, bias) = (format!("{}.weight", backbone.classifier), format!("{}.bias", backbone.classifier));
    data.insert(weight.clone(), filled(&weight, &[1000, backbone.channels()]));
    data.insert(bias.clone(), filled(&bias, &[1000]));
    data
}

struct Case {
    network: Network,
    classifier: (Tensor, Tensor),
    expected: Value,
}

fn case(name: &str) -> Case {
    // Tests run in parallel already.
    tch::set_num_threads(1);
    let backbone = backbones::named(name).unwrap();
    let data = &WEIGHTS[name];
    let text = match name {
        "resnet18" => include_str!("../../../tests/reference/backbones/resnet18.json"),
        _ => include_str!("../../../tests/reference/backbones/efficientnet_lite0.json"),
    };
    Case {
        network: Network::load(backbone, data).unwrap(),
        classifier: classifier(backbone, data).unwrap().unwrap(),
        expected: serde_json::from_str(text).unwrap(),
    }
}

impl Case {
    fn all(&self) -> std::ops::Range<usize> {
        0..self.network.backbone().blocks.len()
    }

    fn logits(&self, features: &Tensor) -> Tensor {
        pool(features, Pooling::Avg).unwrap().linear(&self.classifier.0, Some(&self.classifier.1))
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn flat(x: &Tensor) -> Vec<f64> {
    Vec::try_from(x.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Shape, mean, first and last values of `x` are those recorded, within `tolerance` times its largest value.
fn assert_summary(x: &Tensor, expected: &Value, tolerance: f64, what: &str) {
    let shape: Vec<f64> = x.size().iter().map(|&n| n as f64).collect();
    assert_eq!(shape, numbers(&expected["shape"]), "{what}");
    let values = flat(x);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let found = [&values[..4], &values[values.len() - 4..], &[mean]].concat();
    let wanted =
        [numbers(&expected["first"]), numbers(&expected["last"]), vec![expected["mean"].as_f64().unwrap()]].concat();
    let scale = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(largest_difference(&found, &wanted) <= tolerance * scale, "{what}: {found:?}, expected {wanted:?}");
}

const NAMES: [&str; 2] = ["resnet18", "efficientnet_lite0"];

#[test]
fn tensors_and_counts_are_the_references() {
    for name in NAMES {
        let Case { network, expected, .. } = case(name);
        let backbone = network.backbone();
        assert_eq!(backbone.parameters(), expected["parameters"].as_u64().unwrap());
        let ours: BTreeMap<String, Vec<f64>> = backbone
            .blocks
            .iter()
            .flat_map(|b| b.tensors())
            .map(|t| (t.name, t.shape.iter().map(|&n| n as f64).collect()))
            .collect();
        let theirs: BTreeMap<String, Vec<f64>> =
            expected["tensors"].as_object().unwrap().iter().map(|(n, shape)| (n.clone(), numbers(shape))).collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn logits_are_pytorchs_written_and_folded() {
    let _guard = no_grad_guard();
    for name in NAMES {
        let case = case(name);
        let expected: Vec<f64> = case.expected["logits"].as_array().unwrap().iter().flat_map(numbers).collect();
        let scale = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let x = input("input", [2, 3, 64, 64]);
        let written = case.network.forward(&x, case.all(), |_| false).unwrap();
        let folded = case.network.folded(case.all()).unwrap().forward(&x).unwrap();
        for features in [written, folded] {
            let error = largest_difference(&flat(&case.logits(&features)), &expected);
            assert!(error < (2e-5 * scale).min(1e-4), "{name}: {error}, logits up to {scale}");
        }
        let odd = input("input.odd", [1, 3, 65, 50]);
        let written = case.network.forward(&odd, case.all(), |_| false).unwrap();
        let folded = case.network.folded(case.all()).unwrap().forward(&odd).unwrap();
        assert_summary(&written, &case.expected["odd"], 2e-5, name);
        assert_summary(&folded, &case.expected["odd"], 2e-5, name);
    }
}

#[test]
fn forward_starts_and_stops_at_any_block() {
    let _guard = no_grad_guard();
    for name in NAMES {
        let case = case(name);
        let x = input("input", [2, 3, 64, 64]);
        let whole = case.network.forward(&x, case.all(), |_| false).unwrap();
        let mut at = x.shallow_clone();
        for (i, block) in case.network.backbone().blocks.iter().enumerate() {
            at = case.network.forward(&at, i..i + 1, |_| false).unwrap();
            assert_summary(&at, &case.expected["blocks"][&block.name], 2e-5, &block.name);
            assert_eq!(at.size()[1] as usize, block.channels);
        }
        assert_eq!(at, whole);
        assert!(case.network.forward(&x, 0..99, |_| false).is_err());
    }
}

#[test]
fn training_mode_gradients_and_running_statistics_are_pytorchs() {
    for name in NAMES {
        let case = case(name);
        for block in case.all() {
            for (spec, tensor) in case.network.tensors(block).unwrap() {
                let _ = tensor.set_requires_grad(spec.role.is_parameter());
            }
        }
        let depth = if name == "resnet18" { 5 } else { 3 };
        let mut y = Tensor::new();
        for step in 0..3 {
            let x = input(&format!("input.{step}"), [4, 3, 64, 64]);
            y = case.network.forward(&x, 0..depth, |_| true).unwrap();
            let _ = case.network.forward(&y, depth..case.all().end, |_| true).unwrap();
        }
        let shape: Vec<usize> = y.size().iter().map(|&n| n as usize).collect();
        (&y * from_data(&filled("input.pattern", &shape)).unwrap()).mean(Kind::Float).backward();
        for (tensor, expected) in case.expected["gradients"].as_object().unwrap() {
            let gradient = case.network.tensor(tensor).unwrap().grad();
            assert!(gradient.is_contiguous(), "{tensor}");
            assert_summary(&gradient, expected, 1e-3, tensor);
        }
        for (tensor, expected) in case.expected["running"].as_object().unwrap() {
            assert_summary(&case.network.tensor(tensor).unwrap(), expected, 1e-4, tensor);
        }
    }
}

#[test]
fn a_frozen_block_is_untouched_bit_for_bit() {
    let case = case("resnet18");
    let before: Vec<_> = case.all().map(|block| case.network.export(block).unwrap()).collect();
    let x = input("input", [4, 3, 64, 64]);
    let _ = case.network.forward(&x, case.all(), |block| block == 4).unwrap();
    for (block, before) in before.iter().enumerate() {
        let after = case.network.export(block).unwrap();
        assert_eq!(after == *before, block != 4, "block {block}");
    }
}

#[test]
fn changed_blocks_travel_as_plain_data() {
    let backbone = backbones::named("efficientnet_lite0").unwrap();
    let (one, other) = (Network::random(backbone, 1).unwrap(), Network::random(backbone, 2).unwrap());
    let last = backbone.blocks.len() - 1;
    assert_ne!(one.export(last).unwrap(), other.export(last).unwrap());
    one.overwrite(&[last], &other.export(last).unwrap().into_iter().collect()).unwrap();
    assert_eq!(one.export(last).unwrap(), other.export(last).unwrap());
    assert_ne!(one.export(3).unwrap(), other.export(3).unwrap());
}

#[test]
fn random_weights_follow_torchvisions_initialisation() {
    let backbone = backbones::named("resnet18").unwrap();
    let spec = &backbone.blocks[4].tensors()[0];
    let values = init::values(spec, 3);
    assert_eq!(values, init::values(spec, 3));
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let variance = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
    // fan_out of layer4.0.conv1 is 512 x 9.
    assert!(mean.abs() < 1e-4 && (variance * 512.0 * 9.0 / 2.0 - 1.0).abs() < 0.01, "{mean} {variance}");
}

#[test]
fn every_tensor_that_does_not_fit_is_named() {
    let backbone = backbones::named("resnet18").unwrap();
    let mut data = WEIGHTS["resnet18"].clone();
    data.remove("layer2.0.bn1.bias");
    data.insert("conv1.weight".into(), filled("x", &[64, 1, 7, 7]));
    let error = Network::load(backbone, &data).unwrap_err().to_string();
    assert!(error.contains("`conv1.weight` is [64, 1, 7, 7], expected [64, 3, 7, 7]"), "{error}");
    assert!(error.contains("`layer2.0.bn1.bias` [128] is missing"), "{error}");
}

#[test]
fn pixels_and_pooling_follow_their_definitions() {
    let bytes: Vec<u8> = (0..2 * 2 * 3 * 3).map(|i| (i * 7) as u8).collect();
    let pixels = Tensor::from_data_size(&bytes, &[2, 2, 3, 3], Kind::Uint8);
    let normalization = Normalization { mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 0.2] };
    let x = pixels_to_input(&pixels, normalization).unwrap();
    assert_eq!(x.size(), [2, 3, 2, 3]);
    assert_eq!(x.stride(), [18, 1, 9, 3]);
    // Image 1, channel 2, row 1, column 0 is byte 18 + 9 + 2.
    let expected = (f64::from(bytes[29]) / 255.0 - 0.3) / 0.2;
    assert!((x.double_value(&[1, 2, 1, 0]) - expected).abs() < 1e-6);

    let x = Tensor::from_slice(&[1f32, 2.0, 3.0, 6.0, -1.0, -2.0, -3.0, -6.0]).view([1, 2, 2, 2]);
    assert_eq!(flat(&pool(&x, Pooling::Avg).unwrap()), [3.0, -3.0]);
    assert_eq!(flat(&pool(&x, Pooling::Max).unwrap()), [6.0, -1.0]);
    assert_eq!(flat(&pool(&x, Pooling::AvgMax).unwrap()), [3.0, -3.0, 6.0, -1.0]);
}
#[test]
fn tmp_parts() {
    tch::set_num_threads(1);
    let p = backbones::weights::cached(&backbones::named("efficientnet_lite0").unwrap().published[0]).unwrap();
    let t = std::time::Instant::now();
    let bytes = std::fs::read(&p).unwrap();
    println!("file {:?}", t.elapsed());
    let data = checkpoint::parse(&bytes).unwrap();
    println!("parse {:?}", t.elapsed());
    let n = Network::load(backbones::named("efficientnet_lite0").unwrap(), &data).unwrap();
    println!("load {:?}", t.elapsed());
    let f = n.folded(0..18).unwrap();
    println!("fold {:?}", t.elapsed());
    let x = input("input", [1, 3, 224, 224]);
    println!("x {:?}", t.elapsed());
    let _ = f.forward(&x).unwrap();
    println!("fwd {:?}", t.elapsed());
    let _ = f.forward(&x).unwrap();
    println!("fwd {:?}", t.elapsed());
}
