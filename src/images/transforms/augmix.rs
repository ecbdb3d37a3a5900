//! `augmix`: alone, or `{ augmix: { severity: 5 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    policy::{self, ALL, Geometry, Op, STANDARD, Space, Translation},
};
use crate::{
    images::{
        Rgb,
        warp::{Fill, Sampling},
    },
    rng::Draws,
};

/// Chains of operations, mixed with each other and with the image: AugMix (Hendrycks et al. 2020), as torchvision's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augmix {
    /// The greatest magnitude that is drawn, of 10.
    #[schemars(range(min = 1, max = 10))]
    severity: u32,
    /// Chains.
    #[schemars(range(min = 1, max = 100))]
    mixture_width: u32,
    /// Operations a chain; by default 1 to 3, drawn anew for each.
    #[schemars(range(min = 1, max = 100))]
    chain_depth: Option<u32>,
    /// Of the Dirichlet and Beta distributions of the weights; above 0.
    #[schemars(range(min = 0.0, max = 1000.0))]
    alpha: f64,
    /// Whether brightness, color, contrast and sharpness are among the operations.
    all_ops: bool,
    interpolation: Sampling,
    fill: Fill,
}

impl Default for Augmix {
    fn default() -> Augmix {
        Augmix {
            severity: 3,
            mixture_width: 3,
            chain_depth: None,
            alpha: 1.0,
            all_ops: true,
            interpolation: Sampling::Bilinear,
            fill: Fill::default(),
        }
    }
}

const SPACE: Space = Space { translate: Translation::Fraction(1.0 / 3.0), posterize: (4, 4), ..STANDARD };

impl Step for Augmix {
    fn alone() -> Option<Augmix> {
        Some(Augmix::default())
    }

    fn check(&self) -> Result<(), String> {
        if !(self.alpha > 0.0 && self.alpha <= 1000.0) {
            return Err(format!("`alpha` is {}; it lies above 0, up to 1000", self.alpha));
        }
        let whole = [("severity", self.severity, 10), ("mixture_width", self.mixture_width, 100)];
        let depth = self.chain_depth.map(|depth| ("chain_depth", depth, 100));
        match whole.into_iter().chain(depth).find(|(_, value, most)| !(1..=*most).contains(value)) {
            Some((name, value, most)) => Err(format!("`{name}` is {value}; it lies in 1..{most}")),
            None => Ok(()),
        }
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let geometry = Geometry { interpolation: self.interpolation, fill: self.fill };
        let colours = [Op::Brightness, Op::Color, Op::Contrast, Op::Sharpness];
        let allowed = |op: &&Op| **op != Op::Identity && (self.all_ops || !colours.contains(op));
        let ops: Vec<Op> = ALL.iter().filter(allowed).copied().collect();
        let original = draws.beta(self.alpha, self.alpha);
        let raw: Vec<f64> = (0..self.mixture_width).map(|_| draws.gamma(self.alpha)).collect();
        let sum = raw.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let mut mix: Vec<f32> = image.pixels.iter().map(|&level| original as f32 * f32::from(level)).collect();
        for weight in raw {
            let mut chained = image.clone();
            for _ in 0..self.chain_depth.unwrap_or_else(|| 1 + draws.below(3) as u32) {
                let op = ops[draws.below(ops.len() as u64) as usize];
                let bin = (draws.below(u64::from(self.severity)) as usize, 10);
                chained = policy::apply(op, chained, &SPACE, bin, geometry, draws);
            }
            let share = (weight / sum * (1.0 - original)) as f32;
            mix.iter_mut().zip(&chained.pixels).for_each(|(sum, &level)| *sum += share * f32::from(level));
        }
        Ok(Rgb { pixels: mix.into_iter().map(|value| value as u8).collect(), ..image })
    }
}
