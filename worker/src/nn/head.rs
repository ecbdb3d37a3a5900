//! Linear and MLP heads: feature rows to logits.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use tch::Tensor;

use super::{
    checkpoint::{TensorData, Tensors},
    device::placed,
    network::{from_data, to_data},
};
use thawline::{
    artifact::{Features, model::HeadSpec},
    rng::Draws,
};

/// Linear layers with ReLU between them, in PyTorch's layout.
#[derive(Debug)]
pub struct Head {
    pub spec: HeadSpec,
    /// Weight [outputs, inputs] and bias [outputs] of each layer, f32.
    pub layers: Vec<(Tensor, Tensor)>,
}

impl Head {
    /// `torch.nn.Linear`'s initialisation, uniform in ±1/sqrt(inputs), drawn by (seed, tensor name).
    pub fn random(spec: &HeadSpec, seed: u64) -> Result<Head> {
        let mut data = Tensors::new();
        for (i, (inputs, outputs)) in spec.layers().into_iter().enumerate() {
            let bound = 1.0 / (inputs as f64).sqrt();
            for (suffix, shape) in [("weight", vec![outputs, inputs]), ("bias", vec![outputs])] {
                let name = format!("head.{i}.{suffix}");
                let mut draws = Draws::new(seed, &name, 0, "init");
                let count = shape.iter().product();
                let values: Vec<f32> = (0..count).map(|_| draws.between(-bound, bound) as f32).collect();
                data.insert(name, TensorData::from_f32(shape, &values));
            }
        }
        Head::load(spec, &data)
    }

    /// The head out of a model's tensors, `head.0.weight`, `head.0.bias` and so on; others are left alone.
    pub fn load(spec: &HeadSpec, data: &Tensors) -> Result<Head> {
        let mut layers = Vec::new();
        for (i, (inputs, outputs)) in spec.layers().into_iter().enumerate() {
            let take = |suffix: &str, shape: &[usize]| {
                let name = format!("head.{i}.{suffix}");
                let found = data.get(&name).with_context(|| format!("the model has no tensor `{name}`"))?;
                ensure!(found.shape == shape, "`{name}` is {:?}, expected {shape:?}", found.shape);
                from_data(found)
            };
            layers.push((take("weight", &[outputs, inputs])?, take("bias", &[outputs])?));
        }
        Ok(Head { spec: spec.clone(), layers })
    }

    /// Every tensor by name, sharing memory with the head's.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let named = self.layers.iter().enumerate().flat_map(|(i, (weight, bias))| {
            [("weight", weight), ("bias", bias)].map(|(s, tensor)| (format!("head.{i}.{s}"), tensor.shallow_clone()))
        });
        named.collect()
    }

    /// Every tensor as plain data.
    pub fn export(&self) -> Result<BTreeMap<String, TensorData>> {
        self.tensors().into_iter().map(|(name, tensor)| Ok((name, to_data(&tensor)?))).collect()
    }

    /// Feature rows [n, inputs] to logits [n, classes], in evaluation mode.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            x = x.f_linear(weight, Some(bias))?;
            if i + 1 < self.layers.len() {
                x = x.f_relu()?;
            }
        }
        Ok(x)
    }
}

/// The feature rows of one batch, f32 [padded, width], filled up with zeros.
pub fn gather(features: &Features, rows: &[usize], padded: usize) -> Result<Tensor> {
    let (width, size) = (features.width, padded.max(rows.len()));
    let mut values = Vec::with_capacity(size * width);
    for &row in rows {
        let found = features.values.get(row * width..(row + 1) * width);
        values.extend_from_slice(found.with_context(|| format!("no feature row {row} of {}", features.rows))?);
    }
    values.resize(size * width, 0.0);
    placed(Tensor::f_from_slice(&values)?.f_view([size as i64, width as i64])?)
}

/// `torch.nn.Dropout` as a factor on its input: 0 with this probability, else 1 / (1 - probability); f32 [rows, width].
pub fn dropout_mask(draws: &mut Draws, probability: f64, rows: usize, width: usize) -> Result<Tensor> {
    let threshold = (probability * f64::from(u32::MAX)) as u32;
    let keep = (1.0 / (1.0 - probability)) as f32;
    let mask: Vec<f32> = (0..rows * width).map(|_| if draws.bits32() < threshold { 0.0 } else { keep }).collect();
    placed(Tensor::f_from_slice(&mask)?.f_view([rows as i64, width as i64])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_being_written() {
        let spec = HeadSpec { inputs: 5, hidden: vec![4, 3], classes: 2 };
        let head = Head::random(&spec, 1).unwrap();
        assert_eq!(spec.parameters(), 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2);
        assert_eq!(head.tensors().iter().map(|(_, t)| t.numel() as u64).sum::<u64>(), spec.parameters());
        let again = Head::load(&spec, &head.export().unwrap()).unwrap();
        let x = Tensor::ones([2, 5], (tch::Kind::Float, tch::Device::Cpu));
        assert_eq!(head.forward(&x).unwrap(), again.forward(&x).unwrap());
        let bound = 1.0 / 5f64.sqrt();
        let largest = head.layers[0].0.abs().max().double_value(&[]);
        assert!(largest < bound && largest > 0.5 * bound, "{largest}");
        let other = HeadSpec { classes: 3, ..spec };
        assert!(Head::load(&other, &head.export().unwrap()).unwrap_err().to_string().contains("head.2.weight"));
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let mask = dropout_mask(&mut Draws::new(0, "", 0, "dropout"), 0.3, 100, 500).unwrap();
        assert!((mask.mean(tch::Kind::Float).double_value(&[]) - 1.0).abs() < 0.01);
        let zeros = mask.eq(0.0).sum(tch::Kind::Int64).int64_value(&[]) as f64 / 50_000.0;
        assert!((zeros - 0.3).abs() < 0.01, "{zeros}");
    }
}
