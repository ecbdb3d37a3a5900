//! A backbone with its tensors, run block by block in float32.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind, Tensor, no_grad_guard};

use super::{
    checkpoint::{self, Dtype, TensorData},
    device::placed,
    fold::Frozen,
    forward::{Forward, mean_of_positions},
    init,
    pixels::pool,
    script::Script,
};
use thawline::{
    artifact::model::{BackboneSpec, Pooling, Weights},
    backbones::{self, Backbone, Block, ParameterSpec, TORCHSCRIPT},
};

/// A backbone with its tensors: f32, contiguous, not requiring gradients until a trainer asks for them.
#[derive(Debug)]
pub struct Network {
    backbone: &'static Backbone,
    tensors: BTreeMap<String, Tensor>,
    notes: Vec<String>,
    /// Of a TorchScript file: all that there is.
    script: Option<Arc<Script>>,
}

impl Network {
    /// The backbone of `spec`, from its random seed or from the checkpoint at `weights`.
    ///
    /// Fails when the file at `weights` is not the one the specification means (by BLAKE3 digest).
    pub fn open(spec: &BackboneSpec, weights: Option<&Path>) -> Result<Network> {
        let backbone = backbones::named(&spec.backbone)?;
        match &spec.weights {
            Weights::Random { seed } => Network::random(backbone, *seed),
            Weights::File { digest, fill } => {
                let path = weights.with_context(|| format!("no weights file was given for {}", backbone.name))?;
                if backbone.name == TORCHSCRIPT.name {
                    let script = Some(Arc::new(Script::open(path, digest)?));
                    return Ok(Network { backbone, tensors: BTreeMap::new(), notes: Vec::new(), script });
                }
                let (found, data) = checkpoint::open(path)?;
                ensure!(
                    found == *digest,
                    "{} has changed since the run was planned: its BLAKE3 digest is {found}, expected {digest}",
                    path.display()
                );
                Network::fit(backbone, &data, *fill).with_context(|| format!("loading {}", path.display()))
            }
        }
    }

    /// Takes the backbone's tensors out of a checkpoint; its classifier and counters are left alone.
    ///
    /// One error tells what differs, and what the checkpoint more likely is.
    pub fn load(backbone: &'static Backbone, data: &BTreeMap<String, TensorData>) -> Result<Network> {
        Network::fit(backbone, data, None)
    }

    /// [`Network::load`]; with a seed in `fill`, what is missing or of another shape is drawn from it as in
    /// [`Network::random`], and what is unexpected is ignored.
    fn fit(backbone: &'static Backbone, data: &BTreeMap<String, TensorData>, fill: Option<u64>) -> Result<Network> {
        let data = checkpoint::adapted(backbone, data);
        let difference = checkpoint::difference(backbone, &data);
        ensure!(difference.is_empty() || (fill.is_some() && !difference.is_total()), "{difference}");
        let random = difference.random();
        let mut tensors = BTreeMap::new();
        for spec in backbone.blocks.iter().flat_map(|block| block.tensors()) {
            let tensor = match (fill, data.get(&spec.name)) {
                (Some(seed), _) if random.contains(spec.name.as_str()) => initial(backbone, &spec, seed)?,
                (_, Some(found)) => from_data(found).with_context(|| format!("`{}`", spec.name))?,
                (_, None) => bail!("`{}` {:?} is missing", spec.name, spec.shape),
            };
            tensors.insert(spec.name, tensor);
        }
        Ok(Network { backbone, tensors, notes: difference.notes(backbone, &data), script: None })
    }

    /// What a person should know of how the checkpoint was taken.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The backbone's initialisation, drawn by (seed, tensor name): equal whatever the order or the thread.
    pub fn random(backbone: &'static Backbone, seed: u64) -> Result<Network> {
        let mut tensors = BTreeMap::new();
        for spec in backbone.blocks.iter().flat_map(|block| block.tensors()) {
            let tensor = initial(backbone, &spec, seed)?;
            tensors.insert(spec.name, tensor);
        }
        Ok(Network { backbone, tensors, notes: Vec::new(), script: None })
    }

    /// Position of the block that `spec` cuts at.
    pub fn cut(&self, spec: &BackboneSpec) -> Result<usize> {
        self.backbone.block_index(&spec.cut).with_context(|| {
            let names = self.backbone.block_names().join(", ");
            format!("{} has no block `{}`; its blocks are: {names}", self.backbone.name, spec.cut)
        })
    }

    pub fn backbone(&self) -> &'static Backbone {
        self.backbone
    }

    /// The tensor of that full name (`layer1.0.conv1.weight`). It shares memory with the network's.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.named(name).map(Tensor::shallow_clone)
    }

    /// Every tensor of one block in forward order, sharing memory with the network's, so that an optimiser's in-place steps
    /// and `set_requires_grad` are seen by [`Network::forward`].
    pub fn tensors(&self, block: usize) -> Result<Vec<(ParameterSpec, Tensor)>> {
        let specs = self.block(block)?.tensors();
        if let Some(script) = &self.script {
            let shared = |(spec, tensor): &(ParameterSpec, Tensor)| (spec.clone(), tensor.shallow_clone());
            return Ok(script.tensors().iter().map(shared).collect());
        }
        specs.into_iter().map(|spec| Ok((spec.clone(), self.tensor(&spec.name)?))).collect()
    }

    /// Trainable parameters up to and with block `cut`.
    pub fn parameters(&self, cut: usize) -> u64 {
        let count = |(spec, tensor): &(ParameterSpec, Tensor)| spec.role.is_parameter() as u64 * tensor.numel() as u64;
        let of_script = self.script.iter().flat_map(|script| script.tensors()).map(count);
        self.backbone.blocks.iter().take(cut + 1).map(Block::parameters).chain(of_script).sum()
    }

    /// Width of the feature rows that `spec` makes of images of height x width. A TorchScript file is run once to know it.
    pub fn features(&self, spec: &BackboneSpec, height: usize, width: usize) -> Result<usize> {
        let channels = match &self.script {
            Some(script) => script.try_out(height, width)?.shape[0] as usize,
            None => self.block(self.cut(spec)?)?.channels,
        };
        Ok(spec.pooling.width(channels))
    }

    /// What a person should know before the network trains on images of height x width: of a TorchScript file, which shows only
    /// when it runs.
    ///
    /// # Errors
    /// When nothing of it could train.
    pub fn check_trainable(&self, height: usize, width: usize) -> Result<Vec<String>> {
        let Some(script) = &self.script else { return Ok(Vec::new()) };
        script.check_trainable()?;
        Ok(script.try_out(height, width)?.notes)
    }

    /// Copies a model's own version of `blocks` into the tensors; every tensor of those blocks must be in `data`.
    pub fn overwrite(&self, blocks: &[usize], data: &BTreeMap<String, TensorData>) -> Result<()> {
        let mut own = Vec::new();
        for &block in blocks {
            own.extend(self.tensors(block)?);
        }
        let misfit = |(spec, _): &(ParameterSpec, Tensor)| match data.get(&spec.name) {
            None => Some(format!("`{}` {:?} is missing", spec.name, spec.shape)),
            Some(found) if found.shape != spec.shape => {
                Some(format!("`{}` is {:?}, expected {:?}", spec.name, found.shape, spec.shape))
            }
            Some(_) => None,
        };
        let problems: Vec<String> = own.iter().filter_map(misfit).collect();
        ensure!(problems.is_empty(), "these are not weights of {}:\n  {}", self.backbone.name, problems.join("\n  "));
        let _guard = no_grad_guard();
        for (spec, mut tensor) in own {
            tensor.f_copy_(&as_it_is(&data[&spec.name])?)?;
        }
        Ok(())
    }

    /// One block's tensors as plain data, for a checkpoint.
    pub fn export(&self, block: usize) -> Result<Vec<(String, TensorData)>> {
        self.tensors(block)?.into_iter().map(|(spec, tensor)| Ok((spec.name, to_data(&tensor)?))).collect()
    }

    /// Runs `blocks` on `x` (the output of the block before; images [n, 3, height, width] for block 0).
    ///
    /// Where `train_norms(block)` holds, batch normalisation uses the batch's statistics and moves the running ones, as
    /// PyTorch's train mode does (the biased variance normalises, the unbiased one is remembered); elsewhere it uses the
    /// running ones and changes nothing. Keeps the memory format of `x`; channels-last is the fast one.
    pub fn forward(&self, x: &Tensor, blocks: Range<usize>, train_norms: impl Fn(usize) -> bool) -> Result<Tensor> {
        if let (Some(script), false) = (&self.script, blocks.is_empty()) {
            return script.forward(x, train_norms(0));
        }
        let mut x = x.shallow_clone();
        for index in blocks {
            let block = self.block(index)?;
            let forward = Forward { tensors: &self.tensors, train_norms: train_norms(index) };
            x = forward.run(&block.layers, &x).with_context(|| format!("block {}", block.name))?;
        }
        Ok(x)
    }

    /// `blocks` in evaluation mode as one frozen function of the tensors as they are now.
    pub fn folded(&self, blocks: Range<usize>) -> Result<Frozen> {
        if let (Some(script), false) = (&self.script, blocks.is_empty()) {
            return Ok(Frozen::Script(Arc::clone(script)));
        }
        let mut layers = Vec::new();
        for index in blocks {
            layers.extend_from_slice(&self.block(index)?.layers);
        }
        Frozen::fold(&layers, |name| self.tensor(name))
    }

    fn block(&self, index: usize) -> Result<&'static backbones::Block> {
        let blocks = &self.backbone.blocks;
        blocks
            .get(index)
            .with_context(|| format!("{} has {} blocks, not {}", self.backbone.name, blocks.len(), index + 1))
    }

    fn named(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("{} has no tensor `{name}`", self.backbone.name))
    }
}

/// A tensor's random initialisation.
fn initial(backbone: &Backbone, spec: &ParameterSpec, seed: u64) -> Result<Tensor> {
    from_data(&TensorData::from_f32(spec.shape.clone(), &init::values(spec, backbone.initialization, seed)))
}

/// The published ImageNet classifier of a checkpoint.
#[derive(Debug)]
pub struct Classifier {
    /// [classes, channels], or [classes, channels, 1, 1] where it comes before pooling.
    weight: Tensor,
    bias: Tensor,
}

impl Classifier {
    /// `None` where the checkpoint has none.
    pub fn load(backbone: &Backbone, data: &BTreeMap<String, TensorData>) -> Result<Option<Classifier>> {
        let data = checkpoint::adapted(backbone, data);
        let part = |suffix: &str| data.get(&format!("{}.{suffix}", backbone.classifier));
        let (Some(weight), Some(bias)) = (part("weight"), part("bias")) else { return Ok(None) };
        let classes = weight.shape.first().copied().unwrap_or(0);
        let ones: &[usize] = if backbone.classifies_positions { &[1, 1] } else { &[] };
        let expected = [&[classes, backbone.channels()], ones].concat();
        ensure!(
            weight.shape == expected && bias.shape == [classes],
            "the classifier `{}` has shapes {:?} and {:?}; expected [classes, {}{}] and [classes]",
            backbone.classifier,
            weight.shape,
            bias.shape,
            backbone.channels(),
            if backbone.classifies_positions { ", 1, 1" } else { "" }
        );
        Ok(Some(Classifier { weight: from_data(weight)?, bias: from_data(bias)? }))
    }

    pub fn classes(&self) -> usize {
        self.bias.size()[0] as usize
    }

    /// Logits [n, classes] from the output of the backbone's last block.
    pub fn logits(&self, x: &Tensor, pooling: Pooling) -> Result<Tensor> {
        if self.weight.dim() == 2 {
            return Ok(pool(x, pooling)?.f_linear(&self.weight, Some(&self.bias))?);
        }
        let (stride, padding, dilation) = ([1, 1], [0, 0], [1, 1]);
        mean_of_positions(&x.f_conv2d(&self.weight, Some(&self.bias), stride, padding, dilation, 1)?.f_relu()?)
    }
}

/// A float32 tensor of the same shape and values, where this process computes.
pub fn from_data(data: &TensorData) -> Result<Tensor> {
    Ok(as_it_is(data)?.f_to_kind(Kind::Float)?)
}

/// [`from_data`] in the type that the data has.
fn as_it_is(data: &TensorData) -> Result<Tensor> {
    let TensorData { dtype, shape, bytes } = data;
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let length = count.and_then(|n| n.checked_mul(dtype.size()));
    ensure!(length == Some(bytes.len()), "a tensor of shape {shape:?} and type {dtype:?} has {} bytes", bytes.len());
    let (_, kind) = KINDS.iter().find(|(known, _)| known == dtype).context("a type that tensors do not have")?;
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    placed(Tensor::f_from_data_size(bytes, &shape, *kind)?)
}

/// A tensor's values in its own type, detached, in row-major order.
pub fn to_data(tensor: &Tensor) -> Result<TensorData> {
    let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
    let kind = tensor.kind();
    let (dtype, _) = KINDS.iter().find(|(_, known)| *known == kind).with_context(|| format!("a tensor of {kind:?}"))?;
    let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0; tensor.numel() * dtype.size()];
    flat.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(TensorData { dtype: *dtype, shape, bytes })
}

/// Types of stored elements as libtorch calls them.
const KINDS: [(Dtype, Kind); 8] = [
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::F16, Kind::Half),
    (Dtype::Bf16, Kind::BFloat16),
    (Dtype::I64, Kind::Int64),
    (Dtype::I32, Kind::Int),
    (Dtype::U8, Kind::Uint8),
    (Dtype::Bool, Kind::Bool),
];
