//! The transforms an `augment` stage applies. In YAML a transform is its bare name or a map of one key; what is serialised is
//! always the map, with every default filled in, so that a recipe does not depend on how it was written.
//!
//! A new transform is one file here, which implements [`Step`], and one line in [`registry!`]; what it does to pixels stands in
//! [`warp`](super::warp), [`colour`](super::colour) or [`filter`](super::filter), where others can use it too.

use std::{borrow::Cow, fmt};

use anyhow::{Context, Result, ensure};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};

use super::{
    Rgb,
    resize::{Interpolation, resize as resize_to},
};
use crate::{artifact::model::Normalization, rng::Draws};

mod affine;
mod augmix;
mod auto_augment;
mod autocontrast;
mod brightness;
mod center_crop;
mod color_jitter;
mod condition;
mod contrast;
mod cutmix;
mod elastic;
mod equalize;
mod gaussian_blur;
mod gaussian_noise;
mod grayscale;
mod horizontal_flip;
mod hue;
mod invert;
mod jpeg;
mod keras_image_data_generator;
pub mod mixing;
mod mixup;
mod mixup_or_cutmix;
mod normalize;
mod parameter;
mod perspective;
mod policy;
mod posterize;
mod rand_augment;
mod random_crop;
mod random_erasing;
mod random_resized_crop;
mod resize;
mod rotate;
mod saturation;
mod sharpness;
mod shear;
mod solarize;
mod translate;
mod trivial_augment_wide;
mod vertical_flip;
mod zoom;

pub use center_crop::CenterCrop;
pub use condition::Condition;
pub use horizontal_flip::HorizontalFlip;
use mixing::Mixing;
pub use normalize::Normalize;
use parameter::{Parameters, ShortForm};
pub use random_resized_crop::RandomResizedCrop;
pub use resize::{Resize, Size};

/// What every transform can do.
trait Step {
    /// What its bare name means; `None` where it needs parameters.
    fn alone() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }

    /// The parameter that may be written alone, without its name.
    fn short() -> Option<ShortForm>
    where
        Self: Sized,
    {
        None
    }

    /// What is wrong between or with the parameters, in words.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether its result depends on draws.
    fn draws(&self) -> bool {
        false
    }

    /// How it mixes two prepared images and their labels, where that is what it does.
    fn mixing(&self) -> Option<Mixing> {
        None
    }

    /// The transformed image. `size` is the stage's; `draws` is a stream of this (seed, image, view, step) alone.
    fn apply(&self, image: Rgb, size: u32, draws: &mut Draws) -> Result<Rgb>;
}

/// Expands to everything that must list all transforms once.
macro_rules! registry {
    ($($module:ident: $variant:ident;)*) => {
        /// One step from a decoded image to a prepared one.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Transform { $($variant($module::$variant)),* }

        impl Transform {
            /// Every name, in the order it is listed to people.
            pub const NAMES: &[&str] = &[$(stringify!($module)),*];

            /// What people call it.
            pub fn name(&self) -> &'static str {
                match self { $(Transform::$variant(_) => stringify!($module)),* }
            }

            fn step(&self) -> &dyn Step {
                match self { $(Transform::$variant(step) => step),* }
            }

            fn alone(name: &str) -> Option<Transform> {
                match name {
                    $(stringify!($module) => $module::$variant::alone().map(Transform::$variant),)*
                    _ => None,
                }
            }

            fn with_parameters<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Transform, A::Error> {
                match name {
                    $(stringify!($module) => map.next_value::<Parameters<_>>().map(|p| Transform::$variant(p.0)),)*
                    _ => Err(A::Error::unknown_variant(name, Transform::NAMES)),
                }
            }

            fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                vec![$((stringify!($module), parameter::schema::<$module::$variant>(generator))),*]
            }
        }
    };
}

registry! {
    resize: Resize;
    center_crop: CenterCrop;
    random_resized_crop: RandomResizedCrop;
    random_crop: RandomCrop;
    horizontal_flip: HorizontalFlip;
    vertical_flip: VerticalFlip;
    rotate: Rotate;
    translate: Translate;
    shear: Shear;
    zoom: Zoom;
    affine: Affine;
    perspective: Perspective;
    elastic: Elastic;
    brightness: Brightness;
    contrast: Contrast;
    saturation: Saturation;
    hue: Hue;
    color_jitter: ColorJitter;
    grayscale: Grayscale;
    invert: Invert;
    equalize: Equalize;
    autocontrast: Autocontrast;
    posterize: Posterize;
    solarize: Solarize;
    sharpness: Sharpness;
    gaussian_blur: GaussianBlur;
    gaussian_noise: GaussianNoise;
    jpeg: Jpeg;
    random_erasing: RandomErasing;
    rand_augment: RandAugment;
    trivial_augment_wide: TrivialAugmentWide;
    auto_augment: AutoAugment;
    augmix: Augmix;
    condition: Condition;
    keras_image_data_generator: KerasImageDataGenerator;
    mixup: Mixup;
    cutmix: Cutmix;
    mixup_or_cutmix: MixupOrCutmix;
    normalize: Normalize;
}

impl Transform {
    /// `Some` for `normalize`: the given constants, or `None` inside for the backbone's own. Also for what rescales.
    pub fn normalization(&self) -> Option<Option<Normalization>> {
        match self {
            Transform::Normalize(Normalize::Backbone) => Some(None),
            Transform::Normalize(Normalize::Given(constants)) => Some(Some(*constants)),
            Transform::KerasImageDataGenerator(generator) => generator.normalization().map(Some),
            _ => None,
        }
    }

    /// Whether it changes pixels: all but `normalize`.
    pub fn changes_pixels(&self) -> bool {
        !matches!(self, Transform::Normalize(_))
    }

    /// Whether its result depends on draws.
    pub fn draws(&self) -> bool {
        self.step().draws()
    }

    /// How it mixes two prepared images and their labels, where that is what it does.
    pub fn mixing(&self) -> Option<Mixing> {
        self.step().mixing()
    }
}

/// The transforms of single images, and what mixes two of them afterwards: its stream of draws for an image is that of
/// [`prepare`], named by the transform.
pub fn split_mixing(transforms: &[Transform]) -> (&[Transform], Option<(Mixing, &'static str)>) {
    match transforms.split_last() {
        Some((last, before)) => match last.mixing() {
            Some(mixing) => (before, Some((mixing, last.name()))),
            None => (transforms, None),
        },
        None => (transforms, None),
    }
}

/// Whether `transforms` can stand in this order: `normalize`, if there, is last, and before it one that mixes images.
///
/// # Errors
/// In words, for the person who wrote the list.
pub fn check_order(transforms: &[Transform]) -> Result<(), String> {
    let before_last = transforms.len().saturating_sub(1);
    if let Some(at) = transforms[..before_last].iter().position(|t| !t.changes_pixels()) {
        let follows = transforms[at + 1].name();
        return Err(format!("`normalize` must be the last transform; `{follows}` follows it"));
    }
    match transforms.iter().position(|t| t.mixing().is_some()) {
        Some(at) if transforms[at + 1..].iter().any(Transform::changes_pixels) => Err(format!(
            "`{}` mixes prepared images, so only `normalize` may follow; `{}` does",
            transforms[at].name(),
            transforms[at + 1].name()
        )),
        _ => Ok(()),
    }
}

/// What the draws on one prepared copy of an image are keyed by.
#[derive(Debug, Clone, Copy)]
pub struct DrawKey<'a> {
    /// The augment stage's seed.
    pub seed: u64,
    /// [`Image::id`](crate::artifact::Image::id).
    pub image: &'a str,
    /// The view, and in its upper 32 bits which of several copies of the image in it.
    pub view: u64,
}

/// Applies `transforms` in order; no transforms at all mean a bilinear resize to `size` x `size`.
///
/// Every step draws from its own stream, keyed by (seed, image, view, its name); the second `horizontal_flip` of a list by
/// `horizontal_flip 2`, and so on.
///
/// # Errors
/// When what comes out is not `size` x `size` pixels: nothing is resized behind a person's back.
pub fn prepare(image: Rgb, transforms: &[Transform], size: u32, key: DrawKey<'_>) -> Result<Rgb> {
    if transforms.is_empty() {
        return resize_to(&image, size, size, Interpolation::Bilinear);
    }
    let mut image = image;
    for (position, transform) in transforms.iter().enumerate() {
        let name = transform.name();
        let purpose = match transforms[..position].iter().filter(|t| t.name() == name).count() {
            0 => Cow::Borrowed(name),
            earlier => Cow::Owned(format!("{name} {}", earlier + 1)),
        };
        image = step(transform, image, size, key, &purpose)?;
    }
    ensure!(
        image.width == size && image.height == size,
        "the transforms give {} x {} pixels, the stage's `size` is {size}: end with `center_crop: {size}`, \
         `resize: [{size}, {size}]` or `random_resized_crop`",
        image.width,
        image.height
    );
    Ok(image)
}

/// One transform, drawing from the stream of that purpose.
fn step(transform: &Transform, image: Rgb, size: u32, key: DrawKey<'_>, purpose: &str) -> Result<Rgb> {
    let mut draws = Draws::new(key.seed, key.image, key.view, purpose);
    transform.step().apply(image, size, &mut draws).with_context(|| format!("`{}`", transform.name()))
}

impl<'de> Deserialize<'de> for Transform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Transform, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads a bare name or a map of one key, so that errors keep their place inside the parameters.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Transform;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a transform, or a map of one name to its parameters")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Transform, E> {
        match Transform::alone(name) {
            Some(transform) => Ok(transform),
            None if Transform::NAMES.contains(&name) => {
                Err(E::custom(format!("`{name}` needs parameters, for example `{name}: 224`")))
            }
            None => Err(E::unknown_variant(name, Transform::NAMES)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Transform, A::Error> {
        let name: String = map.next_key()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let transform = Transform::with_parameters(&name, &mut map)?;
        match map.next_key::<String>()? {
            None => Ok(transform),
            Some(second) => Err(A::Error::custom(format!(
                "`{name}` and `{second}` in one item; every transform is a list item of its own"
            ))),
        }
    }
}

impl JsonSchema for Transform {
    fn schema_name() -> Cow<'static, str> {
        "Transform".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let alone: Vec<&str> =
            Transform::NAMES.iter().copied().filter(|name| Transform::alone(name).is_some()).collect();
        let mut forms = vec![json_schema!({ "type": "string", "enum": alone })];
        forms.extend(Transform::schemas(generator).into_iter().map(|(name, parameters)| {
            json_schema!({
                "type": "object",
                "properties": { name: parameters },
                "required": [name],
                "additionalProperties": false
            })
        }));
        json_schema!({ "description": "One step from a decoded image to a prepared one.", "anyOf": forms })
    }
}

#[cfg(test)]
pub(super) mod reference_tests;
#[cfg(test)]
mod tests;
