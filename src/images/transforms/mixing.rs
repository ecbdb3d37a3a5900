//! What `mixup`, `cutmix` and `mixup_or_cutmix` have in common: two prepared images become one, and so do their labels.

use crate::{images::Rgb, rng::Draws};

/// How often which of the two is done, and the parameters of their Beta distributions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixing {
    /// The probability that an image is mixed at all.
    pub p: f64,
    /// The part of the mixed ones that Mixup mixes; the rest is CutMix's.
    pub mixup: f64,
    pub mixup_alpha: f64,
    pub cutmix_alpha: f64,
}

/// What was drawn for one image of one view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mix {
    /// The row of the other image.
    pub partner: usize,
    pub how: How,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    /// Mixup: this much of the image, the rest of the partner.
    Blend { share: f64 },
    /// CutMix: `[left, top, width, height]` of the partner.
    Paste { part: [u32; 4] },
}

impl Mixing {
    /// The partner (uniform among the other rows) and how, for row `own` of `images` rows of `side` x `side` pixels.
    pub fn draw(&self, own: usize, images: usize, side: u32, draws: &mut Draws) -> Option<Mix> {
        if images < 2 || draws.uniform() >= self.p {
            return None;
        }
        let other = draws.below(images as u64 - 1) as usize;
        let partner = if other < own { other } else { other + 1 };
        let how = if draws.uniform() < self.mixup {
            How::Blend { share: draws.beta(self.mixup_alpha, self.mixup_alpha) }
        } else {
            let share = draws.beta(self.cutmix_alpha, self.cutmix_alpha);
            let mut extent = || {
                let centre = draws.below(u64::from(side)) as f64;
                let half = (0.5 * (1.0 - share).sqrt() * f64::from(side)).floor();
                let (from, to) = ((centre - half).max(0.0), (centre + half).min(f64::from(side)));
                (from as u32, (to - from) as u32)
            };
            let ((left, width), (top, height)) = (extent(), extent());
            How::Paste { part: [left, top, width, height] }
        };
        Some(Mix { partner, how })
    }
}

impl Mix {
    /// Mixes `partner`, of the same size, into `image`; what is left of the image's own label.
    pub fn apply(&self, image: &mut Rgb, partner: &Rgb) -> f64 {
        match self.how {
            How::Blend { share } => {
                for (own, &other) in image.pixels.iter_mut().zip(&partner.pixels) {
                    let mixed = share * f64::from(*own) + (1.0 - share) * f64::from(other);
                    *own = mixed.round() as u8;
                }
                share
            }
            How::Paste { part: [left, top, width, height] } => {
                let (stride, length) = (image.stride(), width as usize * 3);
                for y in top..top + height {
                    let at = y as usize * stride + left as usize * 3;
                    image.pixels[at..at + length].copy_from_slice(&partner.pixels[at..at + length]);
                }
                1.0 - f64::from(width * height) / f64::from(image.width * image.height)
            }
        }
    }
}

/// Of the parameters `p` (or another probability) and alphas.
pub fn check(alphas: &[(&str, f64)]) -> Result<(), String> {
    match alphas.iter().find(|(_, alpha)| !(*alpha > 0.0 && *alpha <= 1000.0)) {
        Some((name, alpha)) => Err(format!("`{name}` is {alpha}; it lies above 0, up to 1000")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::reference_tests::cases, *};

    const BOTH: Mixing = Mixing { p: 1.0, mixup: 0.5, mixup_alpha: 0.4, cutmix_alpha: 1.0 };

    /// Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)); CutMix's box is cut off at the edges, so it keeps more.
    #[test]
    fn partners_are_uniform_and_shares_are_beta() {
        let drawn: Vec<Mix> =
            (0..4000).map(|view| BOTH.draw(2, 5, 32, &mut Draws::new(0, "x", view, "mixup")).unwrap()).collect();
        let counts: [usize; 5] = std::array::from_fn(|row| drawn.iter().filter(|mix| mix.partner == row).count());
        assert!(
            counts[2] == 0 && counts.iter().enumerate().all(|(i, n)| i == 2 || (880..1120).contains(n)),
            "{counts:?}"
        );
        let shares = |blend: bool| -> Vec<f64> {
            let (mut image, partner) = (Rgb::black(32, 32), Rgb::black(32, 32));
            let kind = drawn.iter().filter(|mix| matches!(mix.how, How::Blend { .. }) == blend);
            kind.map(|mix| mix.apply(&mut image, &partner)).collect()
        };
        let (blended, pasted) = (shares(true), shares(false));
        assert!((1850..2150).contains(&blended.len()), "{}", blended.len());
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let deviations: Vec<f64> = blended.iter().map(|share| (share - 0.5).powi(2)).collect();
        assert!((mean(&blended) - 0.5).abs() < 0.04 && (mean(&deviations) - 1.0 / 7.2).abs() < 0.01);
        let of = |key: &str| cases("mixing.json")[0][key].as_f64().unwrap();
        let deviations: Vec<f64> = pasted.iter().map(|share| (share - of("mean")).powi(2)).collect();
        assert!((mean(&pasted) - of("mean")).abs() < 0.025, "{}", mean(&pasted));
        assert!((mean(&deviations).sqrt() / of("deviation") - 1.0).abs() < 0.08, "{}", mean(&deviations).sqrt());
    }

    #[test]
    fn pixels_and_shares_agree() {
        let of = |level: u8| Rgb { pixels: vec![level; 16 * 16 * 3], ..Rgb::black(16, 16) };
        for view in 0..200 {
            let mix = BOTH.draw(0, 2, 16, &mut Draws::new(1, "x", view, "cutmix")).unwrap();
            let mut image = of(200);
            let share = mix.apply(&mut image, &of(0));
            let left = image.pixels.iter().map(|&level| f64::from(level)).sum::<f64>() / (200.0 * 16.0 * 16.0 * 3.0);
            assert!((left - share).abs() < 0.003, "{mix:?} {left} {share}");
        }
    }
}
