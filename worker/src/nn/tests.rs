//! Networks against torchvision, timm and OpenCLIP, on weights that a formula fills on both sides
//! (scripts/reference/backbones.py).

mod families;

use std::collections::BTreeMap;

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

/// Numbers of a name repeat after so many: a large tensor is filled as fast as it is copied.
const PERIOD: usize = 65521;

fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let number = move |i: u64| {
        let mut z = hash.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    };
    (1..=count.min(PERIOD) as u64).map(number)
}

/// `gain` is that of kernels and matrices.
fn filled(name: &str, shape: &[usize], gain: f64) -> TensorData {
    let (scale, shift) = match name {
        _ if name.starts_with("input") => (1.5, 0.0),
        _ if name.ends_with("running_var") => (0.5, 1.0),
        _ if name.ends_with("weight") && shape.len() > 1 => {
            ((gain / shape[1..].iter().product::<usize>() as f64).sqrt(), 0.0)
        }
        _ if name.ends_with("weight") => (0.2, 1.0),
        _ => (0.1, 0.0),
    };
    let count = shape.iter().product();
    let period: Vec<f32> = uniform(name, count).map(|u| (shift + scale * u) as f32).collect();
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        values.extend_from_slice(&period[..period.len().min(count - values.len())]);
    }
    TensorData::from_f32(shape.to_vec(), &values)
}

fn input(name: &str, shape: [usize; 4]) -> Tensor {
    let x = from_data(&filled(name, &shape, 0.0)).unwrap();
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn weights(backbone: &'static Backbone) -> BTreeMap<String, TensorData> {
    // Without norms, activations would fade away.
    let gain = if ["vgg", "alexnet", "squeezenet"].contains(&backbone.family) { 6.0 } else { 3.0 };
    let mut data = BTreeMap::new();
    for spec in backbone.blocks.iter().flat_map(|b| b.tensors()) {
        data.insert(spec.name.clone(), filled(&spec.name, &spec.shape, gain));
    }
    let (weight, bias) = (format!("{}.weight", backbone.classifier), format!("{}.bias", backbone.classifier));
    let ones: &[usize] = if backbone.classifies_positions { &[1, 1] } else { &[] };
    data.insert(weight.clone(), filled(&weight, &[&[1000, backbone.channels()], ones].concat(), gain));
    data.insert(bias.clone(), filled(&bias, &[1000], gain));
    data
}

fn network(name: &str) -> Network {
    // Tests run in parallel already.
    tch::set_num_threads(1);
    let backbone = backbones::named(name).unwrap();
    Network::load(backbone, &weights(backbone)).unwrap()
}

fn all(network: &Network) -> std::ops::Range<usize> {
    0..network.backbone().blocks.len()
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

#[test]
fn forward_starts_and_stops_at_any_block() {
    let _guard = no_grad_guard();
    for name in ["resnet18", "deit_tiny"] {
        let network = network(name);
        let x = input("input", [2, 3, 64, 64]);
        let whole = network.forward(&x, all(&network), |_| false).unwrap();
        let mut at = x.shallow_clone();
        for i in all(&network) {
            at = network.forward(&at, i..i + 1, |_| false).unwrap();
        }
        assert_eq!(at, whole);
        assert!(network.forward(&x, 0..99, |_| false).is_err());
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
fn random_weights_follow_their_publishers_initialisation() {
    // Backbone, a tensor, its variance.
    let cases: [(&str, &str, f64); 5] = [
        ("resnet18", "layer4.0.conv1.weight", 2.0 / (512.0 * 9.0)),
        ("densenet121", "features.denseblock4.denselayer1.conv1.weight", 2.0 / 512.0),
        ("squeezenet1_1", "features.12.squeeze.weight", 2.0 / 512.0),
        ("alexnet", "classifier.4.weight", 1.0 / (3.0 * 4096.0)),
        ("swin_t", "features.7.0.attn.qkv.weight", 0.02 * 0.02),
    ];
    for (name, tensor, variance) in cases {
        let backbone = backbones::named(name).unwrap();
        let spec = backbone.blocks.iter().flat_map(|b| b.tensors()).find(|spec| spec.name == tensor).unwrap();
        let values = init::values(&spec, backbone.initialization, 3);
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let found = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 0.02 * variance.sqrt() && (found / variance - 1.0).abs() < 0.02, "{name} {mean} {found}");
    }
    let spec = &backbones::named("resnet18").unwrap().blocks[4].tensors()[0];
    let draw = || init::values(spec, backbones::Initialization::HeFanOut, 3);
    assert_eq!(draw(), draw());
}

#[test]
fn every_tensor_that_does_not_fit_is_named() {
    let backbone = backbones::named("resnet18").unwrap();
    let mut data = weights(backbone);
    data.remove("layer2.0.bn1.bias");
    data.insert("conv1.weight".into(), filled("x", &[64, 1, 7, 7], 3.0));
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
    assert!(pool(&x, Pooling::ClassToken).unwrap_err().to_string().contains("no class token"));
    // A class token and two others, of two channels.
    let x = Tensor::from_slice(&[9f32, 8.0, 1.0, 2.0, 3.0, 6.0]).view([1, 3, 2]);
    assert_eq!(flat(&pool(&x, Pooling::ClassToken).unwrap()), [9.0, 8.0]);
    assert_eq!(flat(&pool(&x, Pooling::AvgMax).unwrap()), [2.0, 4.0, 3.0, 6.0]);
    let x = Tensor::from_slice(&[4f32, 5.0]).view([1, 2]);
    assert_eq!(flat(&pool(&x, Pooling::Max).unwrap()), [4.0, 5.0]);
}

#[test]
fn names_of_published_files_may_be_older() {
    let backbone = backbones::named("densenet121").unwrap();
    let mut data = weights(backbone);
    let now = "features.denseblock2.denselayer3.norm1.weight";
    let moved = data.remove(now).unwrap();
    data.insert("features.denseblock2.denselayer3.norm.1.weight".into(), moved.clone());
    let network = Network::load(backbone, &data).unwrap();
    assert_eq!(to_data(&network.tensor(now).unwrap()).unwrap(), moved);
}

#[test]
fn images_that_are_no_whole_patches_are_refused() {
    let network = network("deit_tiny");
    let error = network.forward(&input("input", [1, 3, 64, 60]), 0..1, |_| false).unwrap_err();
    assert!(format!("{error:#}").contains("60x64 cannot be cut into patches of 16x16"), "{error:#}");
}
