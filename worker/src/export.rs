//! `thawline export`, on the worker's side: a trained model as one file of tensors that PyTorch loads.

use std::path::Path;

use anyhow::{Context, Result};
use thawline::{
    backbones::TORCHSCRIPT,
    protocol::{ExportFormat, TrainedModel},
};

use crate::{
    nn::{
        Head,
        checkpoint::{self, Dtype, TensorData},
    },
    trained::Trained,
};

/// Writes the network up to the model's cut and the head in the names of the published network; gives the number of
/// tensors. `metadata` travels under the key `thawline`.
pub fn export(model: &TrainedModel, format: ExportFormat, metadata: &str, out: &Path) -> Result<usize> {
    let tensors = tensors(&Trained::open(model)?)?;
    let mut part = out.as_os_str().to_os_string();
    part.push(".part");
    let part = Path::new(&part);
    match format {
        ExportFormat::Safetensors => {
            let metadata = [("thawline".to_string(), metadata.to_string())].into();
            let named = tensors.iter().map(|(name, data)| (name, data));
            checkpoint::write_safetensors(part, named, Some(metadata))?;
        }
        ExportFormat::Torch => checkpoint::write_torch(part, &tensors, metadata)?,
    }
    std::fs::rename(part, out).with_context(|| format!("writing {}", out.display()))?;
    Ok(tensors.len())
}

/// In forward order; of a TorchScript file, its state under `network.` and the head under `head.`. A linear head has the name of the published classifier; with hidden layers it is numbered as a
/// `torch.nn.Sequential` of linear layers with ReLU between them.
fn tensors(trained: &Trained) -> Result<Vec<(String, TensorData)>> {
    let network = &trained.network;
    let mut tensors = Vec::new();
    for block in 0..=network.cut(&trained.model.backbone)? {
        for (name, data) in network.export(block)? {
            // PyTorch's normalisation also counts its batches, which changes nothing at a fixed momentum. A TorchScript file has
            // the counters themselves.
            let norm = name.strip_suffix(".running_var").filter(|_| network.backbone().name != TORCHSCRIPT.name);
            let counter = norm.map(|norm| format!("{norm}.num_batches_tracked"));
            tensors.push((name, data));
            let zero = || TensorData { dtype: Dtype::I64, shape: Vec::new(), bytes: 0i64.to_le_bytes().to_vec() };
            tensors.extend(counter.map(|name| (name, zero())));
        }
    }
    let head = Head::load(&trained.model.head, &trained.tensors)?.export()?;
    let classifier = network.backbone().classifier;
    let linear = trained.model.head.hidden.is_empty();
    for layer in 0..=trained.model.head.hidden.len() {
        for suffix in ["weight", "bias"] {
            let data = head.get(&format!("head.{layer}.{suffix}")).context("a layer of the head is missing")?;
            let place = if linear { classifier.to_string() } else { format!("{classifier}.{}", 2 * layer) };
            tensors.push((format!("{place}.{suffix}"), data.clone()));
        }
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use thawline::artifact::{
        Model,
        model::{BackboneSpec, HeadSpec, Normalization, Pooling, Weights},
    };

    use super::*;
    use crate::nn::{Classifier, Extractor, Network};

    /// A model of resnet18 from random weights whose last block was trained.
    fn trained(folder: &Path, hidden: Vec<usize>) -> TrainedModel {
        let spec = |seed| BackboneSpec {
            backbone: "resnet18".into(),
            weights: Weights::Random { seed },
            cut: "layer4".into(),
            pooling: Pooling::Avg,
            normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
        };
        let head = HeadSpec { inputs: 512, hidden, classes: 3 };
        let mut tensors = Head::random(&head, 3).unwrap().export().unwrap();
        let other = Network::open(&spec(2), None).unwrap();
        tensors.extend(other.export(4).unwrap());
        checkpoint::write(&folder.join(Model::WEIGHTS), &tensors).unwrap();
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let model = Model { backbone: spec(1), head, classes, changed_blocks: vec!["layer4".into()] };
        model.write(folder).unwrap();
        TrainedModel { artifact: folder.to_path_buf(), weights: None }
    }

    #[test]
    fn what_is_exported_gives_the_logits_of_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let of = trained(folder.path(), Vec::new());
        let pixels: Vec<u8> = (0..2 * 64 * 64 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let model = Trained::open(&of).unwrap();
        let rows = model.extractor().unwrap().rows(&pixels, 64, 64).unwrap();
        let expected = Head::load(&model.model.head, &model.tensors).unwrap().forward(&rows).unwrap();
        for (format, name) in [(ExportFormat::Safetensors, "m.safetensors"), (ExportFormat::Torch, "m.pth")] {
            let path = folder.path().join(name);
            assert_eq!(export(&of, format, "{}", &path).unwrap(), 122, "as many as torchvision's resnet18 has");
            let data = checkpoint::read(&path).unwrap();
            let network = Network::load(model.network.backbone(), &data).unwrap();
            let classifier = Classifier::load(model.network.backbone(), &data).unwrap().unwrap();
            let spec = &model.model.backbone;
            let extractor = Extractor::new(&network, 4, spec.pooling, spec.normalization, 32).unwrap();
            let output = extractor.outputs(&pixels, 64, 64).unwrap();
            let logits = classifier.logits(&output, spec.pooling).unwrap();
            assert_eq!(logits, expected, "{name}");
        }
        assert!(expected.std(false).double_value(&[]) > 0.0);
    }

    #[test]
    fn hidden_layers_are_numbered_as_a_sequence() {
        let folder = tempfile::tempdir().unwrap();
        let of = trained(folder.path(), vec![8]);
        let path = folder.path().join("m.pth");
        export(&of, ExportFormat::Torch, "{}", &path).unwrap();
        let data = checkpoint::read(&path).unwrap();
        let shape = |name: &str| data[name].shape.clone();
        assert_eq!(
            (shape("fc.0.weight"), shape("fc.2.weight"), shape("fc.2.bias")),
            (vec![8, 512], vec![3, 8], vec![3])
        );
    }
}
