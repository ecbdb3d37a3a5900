//! What the policies (`rand_augment`, `trivial_augment_wide`, `auto_augment`, `augmix`) draw from: named operations with a
//! magnitude, as torchvision's `_AutoAugmentBase` applies them.

use crate::{
    images::{
        Rgb, colour, filter,
        warp::{Affine, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// One operation. Its magnitude is a fraction for shears, pixels for translations, degrees for rotations, a difference from
/// 1 for factors, bits for `Posterize`, and a part of 255 for `Solarize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

use Op::{
    AutoContrast, Brightness, Color, Contrast, Equalize, Identity, Invert, Posterize, Rotate, Sharpness, ShearX,
    ShearY, Solarize, TranslateX, TranslateY,
};

/// What RandAugment and TrivialAugment draw from.
pub const ALL: [Op; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// How far operations go at the greatest magnitude.
#[derive(Debug, Clone, Copy)]
pub struct Space {
    pub shear: f64,
    pub translate: Translation,
    pub rotate: f64,
    pub factor: f64,
    /// Bits at the least magnitude, and how many fewer at the greatest.
    pub posterize: (u32, u32),
}

#[derive(Debug, Clone, Copy)]
pub enum Translation {
    /// Of the side.
    Fraction(f64),
    Pixels(f64),
}

/// Of RandAugment and AutoAugment.
pub const STANDARD: Space =
    Space { shear: 0.3, translate: Translation::Fraction(150.0 / 331.0), rotate: 30.0, factor: 0.9, posterize: (8, 4) };

impl Space {
    /// The magnitude of `op` at `bin` of `bins`, before its sign.
    fn magnitude(&self, op: Op, bin: usize, bins: usize, (width, height): (u32, u32)) -> f64 {
        let part = if bins > 1 { bin as f64 / (bins - 1) as f64 } else { 0.0 };
        let shift = |side: u32| match self.translate {
            Translation::Fraction(fraction) => fraction * f64::from(side),
            Translation::Pixels(pixels) => pixels,
        };
        match op {
            ShearX | ShearY => part * self.shear,
            TranslateX => part * shift(width),
            TranslateY => part * shift(height),
            Rotate => part * self.rotate,
            Brightness | Color | Contrast | Sharpness => part * self.factor,
            Posterize => (f64::from(self.posterize.0) - part * f64::from(self.posterize.1)).round_ties_even(),
            Solarize => 1.0 - part,
            Identity | AutoContrast | Equalize | Invert => 0.0,
        }
    }
}

impl Op {
    /// Whether the magnitude may be negative.
    fn is_signed(self) -> bool {
        !matches!(self, Identity | Posterize | Solarize | AutoContrast | Equalize | Invert)
    }
}

/// How geometry is done.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    pub interpolation: Sampling,
    pub fill: Fill,
}

/// Applies `op` at `bin` of `bins`, its sign drawn.
pub fn apply(
    op: Op,
    image: Rgb,
    space: &Space,
    (bin, bins): (usize, usize),
    geometry: Geometry,
    draws: &mut Draws,
) -> Rgb {
    let sides = (image.width, image.height);
    let magnitude = space.magnitude(op, bin, bins, sides);
    let negative = op.is_signed() && draws.uniform() < 0.5;
    perform(op, image, if negative { -magnitude } else { magnitude }, geometry)
}

fn perform(op: Op, mut image: Rgb, magnitude: f64, geometry: Geometry) -> Rgb {
    let sides = (image.width, image.height);
    let warped = |motion: Motion, centre: Option<[f64; 2]>| {
        Affine::new(motion, sides, centre).apply(&image, geometry.fill, geometry.interpolation)
    };
    let corner = Some([0.0, 0.0]);
    let angle = magnitude.atan().to_degrees();
    match op {
        Identity => {}
        ShearX => return warped(Motion { shear: [angle, 0.0], ..Motion::NONE }, corner),
        ShearY => return warped(Motion { shear: [0.0, angle], ..Motion::NONE }, corner),
        TranslateX => return warped(Motion { translate: [magnitude.trunc(), 0.0], ..Motion::NONE }, None),
        TranslateY => return warped(Motion { translate: [0.0, magnitude.trunc()], ..Motion::NONE }, None),
        Rotate => return warped(Motion { angle: -magnitude, ..Motion::NONE }, None),
        Brightness => colour::adjust_brightness(&mut image, 1.0 + magnitude),
        Color => colour::adjust_saturation(&mut image, 1.0 + magnitude),
        Contrast => colour::adjust_contrast(&mut image, 1.0 + magnitude),
        Sharpness => return filter::adjust_sharpness(&image, 1.0 + magnitude),
        Posterize => colour::posterize(&mut image, magnitude as u32),
        Solarize => colour::solarize(&mut image, 255.0 * magnitude),
        AutoContrast => colour::autocontrast(&mut image),
        Equalize => colour::equalize(&mut image),
        Invert => colour::invert(&mut image),
    }
    image
}
