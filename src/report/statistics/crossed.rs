//! Test images crossed with repeats: every repeat (a seed) is scored on the same images, and both are samples of more.
//!
//! The images are drawn with replacement [`DRAWS`] times, for all repeats at once, and the statistic is computed anew for
//! every repeat. What moves with the images, what moves between repeats and what moves in both come apart by the method of
//! Obuchowski & Rockette (1995) for "multi-reader, multi-case" studies, with the degrees of freedom of Hillis (2007). A
//! percentile interval of draws over both would be simpler and wrong twice: it counts the interaction three times (Owen,
//! "The pigeonhole bootstrap", 2007), and with three to five repeats it has no tails.

use rayon::prelude::*;
use serde::Serialize;

use super::{mean, student::T, variance};
use crate::rng::Draws;

/// Resamples of the images: enough to know a standard error within about 2 %.
pub const DRAWS: u64 = 2000;

/// `statistic` under every resample of `images`: [draws, as many values as it returns]. It is given how often each image
/// was drawn; resamples on which it is undefined are left out. Always the same draws.
pub fn resampled<F>(images: usize, statistic: F) -> Vec<Vec<f64>>
where
    F: Fn(&[u32]) -> Option<Vec<f64>> + Sync,
{
    let draw = |index: u64| {
        let mut draws = Draws::new(0, "", index, "crossed_bootstrap");
        let mut times = vec![0u32; images];
        (0..images).for_each(|_| times[draws.below(images as u64) as usize] += 1);
        statistic(&times)
    };
    if images == 0 { Vec::new() } else { (0..DRAWS).into_par_iter().filter_map(draw).collect() }
}

/// The variance of a mean over repeats, by where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Components {
    pub mean: f64,
    /// Because these images were drawn and not others.
    pub images: f64,
    /// Because these repeats were run and not others; `None` with one repeat, which is then taken as given.
    pub repeats: Option<f64>,
    /// Because a repeat is right on one image and wrong on another: falls with both.
    pub interaction: f64,
    pub image_count: u64,
    pub repeat_count: u64,
}

impl Components {
    /// `observed`: the statistic of every repeat on the real images; `draws`: [draws, repeats], of [`resampled`]. `None`
    /// without repeats, or with too few draws to have a variance.
    pub fn new(observed: &[f64], draws: &[Vec<f64>], image_count: u64) -> Option<Components> {
        let count = observed.len() as f64;
        if observed.is_empty() || draws.len() < 2 || image_count < 2 {
            return None;
        }
        // A resample of n images varies like n - 1 of them.
        let unbiased = image_count as f64 / (image_count as f64 - 1.0);
        let of_mean = variance(&draws.iter().map(|draw| mean(draw)).collect::<Vec<_>>()) * unbiased;
        let single = |repeat: usize| variance(&draws.iter().map(|draw| draw[repeat]).collect::<Vec<_>>()) * unbiased;
        let of_single = (0..observed.len()).map(single).sum::<f64>() / count;
        let mut components = Components {
            mean: mean(observed),
            images: of_mean,
            repeats: None,
            interaction: 0.0,
            image_count,
            repeat_count: observed.len() as u64,
        };
        if observed.len() > 1 {
            components.interaction = ((of_single - of_mean) / (count - 1.0)).max(0.0);
            components.images = (of_mean - components.interaction).max(0.0);
            components.repeats = Some((variance(observed) / count - components.interaction).max(0.0));
        }
        Some(components)
    }

    /// With its standard error over images and repeats.
    pub fn estimate(&self) -> T {
        self.projected(self.image_count, self.repeat_count)
    }

    /// The same with as many `images` and `repeats`, were nothing else to change.
    pub fn projected(&self, images: u64, repeats: u64) -> T {
        let fewer_images = self.image_count as f64 / images as f64;
        let fewer_repeats = self.repeat_count as f64 / repeats as f64;
        let images_part = self.images * fewer_images;
        // What is seen between repeats holds the interaction too.
        let between = self.repeats.map_or(0.0, |r| r * fewer_repeats) + self.interaction * fewer_images * fewer_repeats;
        let variance = images_part + between;
        // Where repeats differ by no more than the interaction makes them, that is what they are, and it is known far better
        // than from the few of them.
        let of_between = if self.repeats.is_none_or(|r| r == 0.0) { images as f64 - 1.0 } else { 1.0 };
        let spread = images_part.powi(2) / (images as f64 - 1.0)
            + if repeats > 1 { between.powi(2) / (of_between * (repeats as f64 - 1.0)) } else { 0.0 };
        let freedom = if spread > 0.0 { variance * variance / spread } else { 1.0 };
        T { mean: self.mean, standard_error: variance.sqrt(), freedom }
    }

    /// The part of the variance that more repeats leave.
    pub fn image_share(&self) -> f64 {
        let total = self.estimate().standard_error.powi(2);
        if total > 0.0 { self.images / total } else { 0.0 }
    }
}
