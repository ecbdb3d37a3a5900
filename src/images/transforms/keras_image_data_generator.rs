//! `keras_image_data_generator`: the whole of Keras' `ImageDataGenerator`, under its names.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, vertical_flip};
use crate::{
    artifact::model::Normalization,
    images::{
        Rgb, colour, resize,
        warp::{Affine, Border, Sampling},
    },
    rng::Draws,
};

/// What Keras' `ImageDataGenerator` draws for an image, in its order: rotation, shifts, shear and zoom in one bilinear
/// interpolation, then channel shift, flips and brightness. Two mistakes of the original are not repeated: its height and
/// width shifts are exchanged, and images that are not square turn about another point than their centre.
///
/// Not here: `featurewise_*`, `samplewise_*` and `zca_*` (prepared images are bytes), `preprocessing_function`, and
/// `validation_split` (see `dataset`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KerasImageDataGenerator {
    /// Angles in degrees, up to this, both ways.
    #[schemars(range(min = 0.0, max = 360.0))]
    rotation_range: f64,
    /// Below 1 a fraction of the width, else pixels: a whole number n means -(n - 1) to n - 1, any other continuously.
    #[schemars(range(min = 0.0, max = 16384.0))]
    width_shift_range: f64,
    /// The same of the height.
    #[schemars(range(min = 0.0, max = 16384.0))]
    height_shift_range: f64,
    /// Factors of ImageEnhance.Brightness, [least, most]; by default none.
    #[schemars(inner(range(min = 0.0)))]
    brightness_range: Option<[f64; 2]>,
    /// Angle in degrees (0.2 is a fifth of a degree, as there).
    #[schemars(range(min = 0.0, max = 89.0))]
    shear_range: f64,
    /// `z` for [1 - z, 1 + z], or [least, most]; above 1 shrinks. Drawn for each direction.
    zoom_range: Zoom,
    /// Added to all channels alike, up to this, both ways, in levels; kept between the image's least and greatest.
    #[schemars(range(min = 0.0, max = 255.0))]
    channel_shift_range: f64,
    /// What is beyond the edge.
    fill_mode: FillMode,
    /// The level of `fill_mode: constant`.
    cval: u8,
    /// Flip left and right half of the time.
    horizontal_flip: bool,
    /// Flip top and bottom half of the time.
    vertical_flip: bool,
    /// What the network's input is multiplied by: 0.00392156862745098 for 1/255. Prepared images stay bytes, and the model
    /// applies it, as a `normalize` of mean 0. By default the backbone's own normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    rescale: Option<f64>,
}

/// What lies outside: aaaa|abcd|dddd, dcba|abcd|dcba, scipy's `wrap`, or `cval`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
enum FillMode {
    #[default]
    Nearest,
    Reflect,
    Wrap,
    Constant,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "WrittenZoom")]
#[schemars(with = "WrittenZoom")]
struct Zoom([f64; 2]);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum WrittenZoom {
    One(#[schemars(range(min = 0.0, max = 1.0))] f64),
    Ends(#[schemars(inner(range(min = 0.0)))] [f64; 2]),
}

impl From<WrittenZoom> for Zoom {
    fn from(written: WrittenZoom) -> Zoom {
        match written {
            WrittenZoom::One(z) => Zoom([1.0 - z, 1.0 + z]),
            WrittenZoom::Ends(ends) => Zoom(ends),
        }
    }
}

impl Default for KerasImageDataGenerator {
    fn default() -> KerasImageDataGenerator {
        KerasImageDataGenerator {
            rotation_range: 0.0,
            width_shift_range: 0.0,
            height_shift_range: 0.0,
            brightness_range: None,
            shear_range: 0.0,
            zoom_range: Zoom([1.0, 1.0]),
            channel_shift_range: 0.0,
            fill_mode: FillMode::Nearest,
            cval: 0,
            horizontal_flip: false,
            vertical_flip: false,
            rescale: None,
        }
    }
}

/// What is drawn for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Drawn {
    /// Degrees.
    theta: f64,
    /// Pixels, to the right and down.
    shift: [f64; 2],
    /// Degrees.
    shear: f64,
    /// Across and down.
    zoom: [f64; 2],
    channel_shift: f64,
    flips: [bool; 2],
    brightness: Option<f64>,
}

impl Step for KerasImageDataGenerator {
    fn check(&self) -> Result<(), String> {
        let bounded = [
            ("rotation_range", self.rotation_range, 360.0),
            ("width_shift_range", self.width_shift_range, 16_384.0),
            ("height_shift_range", self.height_shift_range, 16_384.0),
            ("shear_range", self.shear_range, 89.0),
            ("channel_shift_range", self.channel_shift_range, 255.0),
        ];
        if let Some((name, value, most)) = bounded.into_iter().find(|(_, v, most)| !(0.0..=*most).contains(v)) {
            return Err(format!("`{name}` is {value}; it lies in 0..{most}"));
        }
        let Zoom([low, high]) = self.zoom_range;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            return Err(format!("`zoom_range` is [{low}, {high}]; it must be [least, most], above 0"));
        }
        if let Some([low, high]) = self.brightness_range.filter(|[low, high]| !(0.0 <= *low && low <= high)) {
            return Err(format!("`brightness_range` is [{low}, {high}]; it must be [least, most], at least 0"));
        }
        match self.rescale.filter(|scale| !(*scale > 0.0 && *scale <= 1.0)) {
            Some(scale) => Err(format!("`rescale` is {scale}; it lies above 0, up to 1")),
            None => Ok(()),
        }
    }

    fn draws(&self) -> bool {
        *self
            != KerasImageDataGenerator {
                rescale: self.rescale,
                fill_mode: self.fill_mode,
                cval: self.cval,
                ..Default::default()
            }
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let drawn = self.draw((image.width, image.height), draws);
        Ok(self.transform(image, &drawn))
    }
}

impl KerasImageDataGenerator {
    /// `(x / 255 - 0) / std` is `x * rescale`.
    pub fn normalization(&self) -> Option<Normalization> {
        self.rescale.map(|scale| Normalization { mean: [0.0; 3], std: [(1.0 / (255.0 * scale)) as f32; 3] })
    }

    fn draw(&self, (width, height): (u32, u32), draws: &mut Draws) -> Drawn {
        let theta = draws.between(-self.rotation_range, self.rotation_range);
        let mut shift = |range: f64, side: u32| {
            if range < 1.0 {
                f64::from(side) * draws.between(-range, range)
            } else if range.fract() == 0.0 {
                let pixels = draws.below(range as u64) as f64;
                if draws.uniform() < 0.5 { -pixels } else { pixels }
            } else {
                draws.between(-range, range)
            }
        };
        let down = shift(self.height_shift_range, height);
        let shift = [shift(self.width_shift_range, width), down];
        let shear = draws.between(-self.shear_range, self.shear_range);
        let Zoom([low, high]) = self.zoom_range;
        let zoom = [draws.between(low, high), draws.between(low, high)];
        let flips = [draws.uniform() < 0.5 && self.horizontal_flip, draws.uniform() < 0.5 && self.vertical_flip];
        let channel_shift = draws.between(-self.channel_shift_range, self.channel_shift_range);
        let brightness = self.brightness_range.map(|[low, high]| draws.between(low, high));
        Drawn { theta, shift, shear, zoom, channel_shift, flips, brightness }
    }

    fn transform(&self, image: Rgb, drawn: &Drawn) -> Rgb {
        let mut image = self.warp(image, drawn);
        if drawn.channel_shift != 0.0 {
            let low = image.pixels.iter().copied().min().unwrap_or(0);
            let high = image.pixels.iter().copied().max().unwrap_or(255);
            let shifted = |level: u8| (f64::from(level) + drawn.channel_shift).clamp(low.into(), high.into());
            image.pixels.iter_mut().for_each(|level| *level = shifted(*level).round() as u8);
        }
        if drawn.flips[0] {
            resize::flip_horizontally(&mut image);
        }
        if drawn.flips[1] {
            vertical_flip::flip(&mut image);
        }
        if let Some(factor) = drawn.brightness {
            colour::adjust_brightness(&mut image, factor);
        }
        image
    }

    /// Reads output (x, y), from the centre, at rotation * shift * shear * zoom of it.
    fn warp(&self, image: Rgb, drawn: &Drawn) -> Rgb {
        let (sin, cos) = drawn.theta.to_radians().sin_cos();
        let (shear_sin, shear_cos) = drawn.shear.to_radians().sin_cos();
        let ([zx, zy], [tx, ty]) = (drawn.zoom, drawn.shift);
        let (a, b) = (cos * zx, (-cos * shear_sin - sin * shear_cos) * zy);
        let (d, e) = (sin * zx, (-sin * shear_sin + cos * shear_cos) * zy);
        let (right, down) = (cos * tx - sin * ty, sin * tx + cos * ty);
        let matrix = [a, b, right, d, e, down];
        if matrix == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] {
            return image;
        }
        let (cx, cy) = ((f64::from(image.width) - 1.0) / 2.0, (f64::from(image.height) - 1.0) / 2.0);
        let affine = Affine([a, b, cx + right - a * cx - b * cy, d, e, cy + down - d * cx - e * cy]);
        let border = match self.fill_mode {
            FillMode::Nearest => Border::Nearest,
            FillMode::Reflect => Border::Reflect,
            FillMode::Wrap => Border::WrapOverlapping,
            FillMode::Constant => Border::Cut([self.cval; 3]),
        };
        affine.apply_with(&image, border, Sampling::Bilinear)
    }
}

#[cfg(test)]
mod tests;
