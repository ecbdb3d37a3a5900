//! What photographs suffer from, at severities 1 to 5: the conditions of ImageNet-C (Hendrycks and Dietterich 2019, for
//! images of about 224 pixels) and some more. As transforms they train for it, in `evaluate` they measure it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rgb, filter::Plane};
use crate::rng::Draws;

mod blur;
mod digital;
mod light;
mod noise;
mod weather;

/// Severities there are.
pub const SEVERITIES: std::ops::RangeInclusive<u8> = 1..=5;

/// Expands to everything that must list all conditions once: name, severities' parameters, whether it draws, function.
macro_rules! registry {
    ($($name:ident: $variant:ident, draws $draws:literal, $function:path, $doc:literal;)*) => {
        /// One condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Condition { $(#[doc = $doc] $variant),* }

        impl Condition {
            pub const ALL: &[Condition] = &[$(Condition::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $(Condition::$variant => stringify!($name)),* }
            }

            /// Whether its result depends on draws.
            pub fn draws(self) -> bool {
                match self { $(Condition::$variant => $draws),* }
            }

            /// The image under it. `severity` is one of [`SEVERITIES`]; others are taken as the nearest.
            pub fn apply(self, image: &Rgb, severity: u8, draws: &mut Draws) -> anyhow::Result<Rgb> {
                let level = usize::from(severity.clamp(*SEVERITIES.start(), *SEVERITIES.end())) - 1;
                match self { $(Condition::$variant => $function(image, level, draws)),* }
            }
        }
    };
}

registry! {
    gaussian_noise: GaussianNoise, draws true, noise::gaussian, "Normal noise.";
    shot_noise: ShotNoise, draws true, noise::shot, "Poisson noise of few photons.";
    impulse_noise: ImpulseNoise, draws true, noise::impulse, "Salt and pepper.";
    defocus: Defocus, draws false, blur::defocus, "Out of focus: a disk.";
    motion_blur: MotionBlur, draws true, blur::motion, "A camera that moved.";
    fog: Fog, draws true, weather::fog, "Fog of uneven density.";
    rain: Rain, draws true, weather::rain, "Falling rain: thin streaks and less light.";
    snow: Snow, draws true, weather::snow, "Falling snow.";
    frost: Frost, draws true, weather::frost, "Frost on the lens.";
    low_light: LowLight, draws false, light::low_light, "Too little light.";
    over_exposure: OverExposure, draws false, light::over_exposure, "Too much light: `brightness` of ImageNet-C.";
    contrast: Contrast, draws false, light::contrast, "Little contrast.";
    pixelate: Pixelate, draws false, digital::pixelate, "Few pixels.";
    jpeg: Jpeg, draws false, digital::jpeg, "Strong JPEG compression.";
}

/// Changes every value, in 0..=1; the result is clipped and rounded down to bytes, as ImageNet-C does.
fn each(image: &Rgb, mut change: impl FnMut(f64) -> f64) -> Rgb {
    let byte = |level: &u8| (change(f64::from(*level) / 255.0).clamp(0.0, 1.0) * 255.0) as u8;
    Rgb { pixels: image.pixels.iter().map(byte).collect(), ..*image }
}

/// Values in 0..=255, clipped and rounded down.
fn floored(plane: &Plane) -> Rgb {
    let pixels = plane.values.iter().map(|value| *value as u8).collect();
    Rgb { width: plane.width as u32, height: plane.height as u32, pixels }
}

#[cfg(test)]
mod tests;
