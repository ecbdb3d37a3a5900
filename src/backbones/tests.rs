//! The data against what imagenet_weights, timm and OpenCLIP say (scripts/reference/backbones.py).

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn reference(backbone: &Backbone) -> Value {
    let path = format!("{}/tests/reference/backbones/{}.json", env!("CARGO_MANIFEST_DIR"), backbone.name);
    let text =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}: run scripts/reference/backbones.py"));
    serde_json::from_slice(&text).unwrap()
}

/// FNV-1a of `name shape` lines in alphabetical order.
fn digest(backbone: &Backbone) -> String {
    let tensors = backbone.blocks.iter().flat_map(Block::tensors);
    let line = |tensor: ParameterSpec| {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        format!("{} {}\n", tensor.name, shape.join(","))
    };
    let lines: BTreeSet<String> = tensors.map(line).collect();
    let bytes = lines.iter().flat_map(|line| line.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

#[test]
fn the_differences_of_every_backbone_are_published() {
    let page = include_str!("../../docs/backbones.md");
    for backbone in all() {
        assert!(page.contains(&format!("\n| {} | ", backbone.name)), "{} is not in docs/backbones.md", backbone.name);
    }
}

#[test]
fn tensors_and_counts_are_the_publishers() {
    for backbone in all() {
        let expected = reference(backbone);
        assert_eq!(backbone.parameters(), expected["parameters"].as_u64().unwrap(), "{}", backbone.name);
        assert_eq!(digest(backbone), expected["tensors"].as_str().unwrap(), "{}", backbone.name);
        let Some(published) = expected["published"].as_object() else { continue };
        let classifier = 1000 * (backbone.channels() as u64 + 1);
        assert_eq!(backbone.parameters() + classifier, published["parameters"].as_u64().unwrap(), "{}", backbone.name);
        let (ours, theirs) = (backbone.gflops(), published["gflops"].as_f64().unwrap());
        assert!((ours / theirs - 1.0).abs() < 0.01, "{}: {ours} GFLOPs, published {theirs}", backbone.name);
    }
}

#[test]
fn blocks_fit_together_and_have_the_channels_they_say() {
    let mut names = BTreeSet::new();
    for backbone in all() {
        assert!(names.insert(backbone.name), "{} twice", backbone.name);
        let size = backbone.preprocessing.crop as usize;
        let outputs = backbone.outputs(size, size).unwrap();
        for (block, (shape, _)) in backbone.blocks.iter().zip(&outputs) {
            assert_eq!(shape.channels(), block.channels, "{} {}", backbone.name, block.name);
        }
        let blocks: BTreeSet<&str> = backbone.block_names().into_iter().collect();
        assert_eq!(blocks.len(), backbone.blocks.len(), "{}", backbone.name);
        assert!(backbone.gflops() > 0.0);
    }
}

#[test]
fn a_size_that_cannot_be_taken_is_refused_with_the_block() {
    let refusal = |name: &str, height, width| {
        let error = named(name).unwrap().outputs(height, width).unwrap_err();
        format!("{error:#}")
    };
    let error = refusal("alexnet", 16, 64);
    assert!(error.contains("alexnet cannot take images of 64x16: block `conv"), "{error}");
    let error = refusal("dinov2_vits14", 224, 230);
    assert!(error.contains("multiples of 14"), "{error}");
}

#[test]
fn a_published_file_bears_its_digest() {
    for backbone in all() {
        for published in &backbone.published {
            let digits = published.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(
                digits && (published.sha256.len() >= 8 || backbone.name == "dinov2_vits14"),
                "{} {:?}",
                backbone.name,
                published
            );
        }
    }
}
