//! What comes out of layers for an input size, and what it costs: shapes and multiply-adds from the data alone.

use anyhow::{Context, Result, bail, ensure};

use super::{Backbone, Layer, Padding};

/// The output of a layer for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Map { channels: usize, height: usize, width: usize },
    Tokens { count: usize, channels: usize },
    Vector { channels: usize },
}

impl Shape {
    pub fn channels(self) -> usize {
        match self {
            Shape::Map { channels, .. } | Shape::Tokens { channels, .. } | Shape::Vector { channels } => channels,
        }
    }

    /// Values of one image.
    pub fn values(self) -> usize {
        self.channels() * self.positions()
    }

    fn positions(self) -> usize {
        match self {
            Shape::Map { height, width, .. } => height * width,
            Shape::Tokens { count, .. } => count,
            Shape::Vector { .. } => 1,
        }
    }

    fn with_channels(self, channels: usize) -> Shape {
        match self {
            Shape::Map { height, width, .. } => Shape::Map { channels, height, width },
            Shape::Tokens { count, .. } => Shape::Tokens { count, channels },
            Shape::Vector { .. } => Shape::Vector { channels },
        }
    }

    /// (channels, height, width) of a map.
    fn map(self) -> Result<(usize, usize, usize)> {
        match self {
            Shape::Map { channels, height, width } => Ok((channels, height, width)),
            other => bail!("a map [channels, height, width] is expected here, not {other:?}"),
        }
    }
}

impl Backbone {
    /// The output of every block for an image of this size, and the multiply-adds of all convolutions, matrix products
    /// and attention up to and with it.
    ///
    /// # Errors
    /// When the architecture cannot take that size.
    pub fn outputs(&self, height: usize, width: usize) -> Result<Vec<(Shape, u64)>> {
        let mut shape = Shape::Map { channels: 3, height, width };
        let mut operations = 0;
        let mut outputs = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            shape = through(&block.layers, shape, &mut operations).with_context(|| {
                format!("{} cannot take images of {width}x{height}: block `{}`", self.name, block.name)
            })?;
            outputs.push((shape, operations));
        }
        Ok(outputs)
    }

    /// Multiply-adds of one image at the native size, in units of 10^9 ("GFLOPs" as publishers count them), with a
    /// classifier of 1000 classes.
    pub fn gflops(&self) -> f64 {
        let size = self.preprocessing.crop as usize;
        let outputs = self.outputs(size, size).unwrap_or_default();
        let Some(&(shape, operations)) = outputs.last() else { return 0.0 };
        let positions = if self.classifies_positions { shape.positions() } else { 1 };
        let classifier = positions * shape.channels() * IMAGENET;
        (operations + classifier as u64) as f64 / 1e9
    }
}

/// Classes of ImageNet.
const IMAGENET: usize = 1000;

fn through(layers: &[Layer], shape: Shape, operations: &mut u64) -> Result<Shape> {
    layers.iter().try_fold(shape, |shape, layer| output(layer, shape, operations))
}

fn output(layer: &Layer, input: Shape, operations: &mut u64) -> Result<Shape> {
    let takes = |channels: usize| {
        ensure!(channels == input.channels(), "{channels} channels expected, {} found", input.channels());
        Ok(())
    };
    Ok(match layer {
        Layer::Conv { name, inputs, outputs, kernel, stride, padding, groups, .. } => {
            takes(*inputs)?;
            let (_, height, width) = input.map()?;
            let whole = height.is_multiple_of(*stride) && width.is_multiple_of(*stride);
            ensure!(*padding != Padding::Whole || whole, "height and width must be multiples of {stride}");
            let [height, width] = [height, width].map(|size| match padding {
                Padding::TensorflowSame => Some(size.div_ceil(*stride)),
                Padding::Symmetric(pad) => positions(size, *kernel, *stride, *pad),
                Padding::Whole => positions(size, *kernel, *stride, 0),
            });
            let (Some(height), Some(width)) = (height, width) else {
                bail!("the kernel {kernel}x{kernel} of `{name}` is larger than what is left of the image")
            };
            *operations += (outputs * height * width * (inputs / groups) * kernel * kernel) as u64;
            Shape::Map { channels: *outputs, height, width }
        }
        Layer::Linear { inputs, outputs, .. } | Layer::Projection { inputs, outputs, .. } => {
            takes(*inputs)?;
            *operations += (input.positions() * inputs * outputs) as u64;
            input.with_channels(*outputs)
        }
        Layer::BatchNorm { channels, .. } | Layer::LayerNorm { channels, .. } | Layer::LayerScale { channels, .. } => {
            takes(*channels)?;
            input
        }
        Layer::Activation(_) => input,
        Layer::MaxPool { kernel, stride, padding, ceil } => {
            let (channels, height, width) = input.map()?;
            let size =
                |size| if *ceil { ceiled(size, *kernel, *stride) } else { positions(size, *kernel, *stride, *padding) };
            pooled(channels, size(height), size(width), *kernel)?
        }
        Layer::AvgPool { kernel, stride } => {
            let (channels, height, width) = input.map()?;
            let size = |size| positions(size, *kernel, *stride, 0);
            pooled(channels, size(height), size(width), *kernel)?
        }
        Layer::AdaptiveAvgPool { size } => Shape::Map { channels: input.map()?.0, height: *size, width: *size },
        Layer::Flatten => Shape::Vector { channels: input.channels() * input.positions() },
        Layer::Residual { body, shortcut } => {
            let (body, shortcut) = (through(body, input, operations)?, through(shortcut, input, operations)?);
            ensure!(body == shortcut, "a residual adds {body:?} to {shortcut:?}");
            body
        }
        Layer::Gate { body } => {
            let gate = through(body, input, operations)?;
            ensure!(gate.channels() == input.channels(), "{gate:?} gates {input:?}");
            input
        }
        Layer::Concat { branches } => {
            let mut channels = 0;
            let mut shape = input;
            for (i, branch) in branches.iter().enumerate() {
                let out = through(branch, input, operations)?;
                ensure!(i == 0 || shape == out.with_channels(shape.channels()), "{out:?} beside {shape:?}");
                channels += out.channels();
                shape = out;
            }
            shape.with_channels(channels)
        }
        Layer::Channels { start, count } => {
            ensure!(start + count <= input.channels(), "channels {start}..{} of {input:?}", start + count);
            input.with_channels(*count)
        }
        Layer::ChannelShuffle { groups } => {
            ensure!(input.channels().is_multiple_of(*groups), "{groups} groups of {input:?}");
            input
        }
        Layer::SpaceToDepth => {
            let (channels, height, width) = input.map()?;
            Shape::Map { channels: 4 * channels, height: height.div_ceil(2), width: width.div_ceil(2) }
        }
        Layer::Tokens(tokens) => {
            takes(tokens.width)?;
            Shape::Tokens { count: 1 + input.positions(), channels: tokens.width }
        }
        Layer::Attention(attention) => {
            takes(attention.width)?;
            *operations += attention_operations(attention.width, input.positions(), input.positions());
            input
        }
        Layer::WindowAttention(layer) => {
            takes(layer.attention.width)?;
            let (_, height, width) = input.map()?;
            let padded = height.next_multiple_of(layer.window) * width.next_multiple_of(layer.window);
            *operations += attention_operations(layer.attention.width, padded, layer.window * layer.window);
            input
        }
    })
}

/// Three projections and the output's, then the scores of `tokens` with `others` and their use.
fn attention_operations(width: usize, tokens: usize, others: usize) -> u64 {
    (4 * tokens * width * width + 2 * tokens * others * width) as u64
}

fn positions(size: usize, kernel: usize, stride: usize, padding: usize) -> Option<usize> {
    Some((size + 2 * padding).checked_sub(kernel)? / stride + 1)
}

/// With a last window that may reach over the edge.
fn ceiled(size: usize, kernel: usize, stride: usize) -> Option<usize> {
    Some(size.checked_sub(kernel)?.div_ceil(stride) + 1)
}

fn pooled(channels: usize, height: Option<usize>, width: Option<usize>, kernel: usize) -> Result<Shape> {
    match (height, width) {
        (Some(height), Some(width)) => Ok(Shape::Map { channels, height, width }),
        _ => bail!("a pool of {kernel}x{kernel} is larger than what is left of the image"),
    }
}
