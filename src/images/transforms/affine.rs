//! `affine`: `{ affine: { degrees: 10, translate: [0.1, 0.1], scale: [0.9, 1.1], shear: 5 } }`.

use std::borrow::Cow;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    Step,
    parameter::{AroundOne, AroundZero, Range},
};
use crate::{
    images::{
        Rgb,
        warp::{self, Fill, Motion, Sampling},
    },
    rng::Draws,
};

/// Rotates (clockwise, as there), shears and zooms about the centre and moves, in one interpolation, as torchvision's
/// `RandomAffine` (whose default `interpolation` is nearest).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affine {
    /// Angles in degrees; `30` for [-30, 30].
    degrees: Range<AroundZero>,
    /// Most horizontal and vertical shift, as fractions of width and height.
    #[serde(default)]
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    translate: [f64; 2],
    /// Least and most size, as a factor.
    #[serde(default = "unscaled")]
    scale: Range<AroundOne>,
    /// Degrees of shear.
    #[serde(default)]
    shear: Shears,
    #[serde(default)]
    interpolation: Sampling,
    #[serde(default)]
    fill: Fill,
}

fn unscaled() -> Range<AroundOne> {
    Range::new(1.0, 1.0)
}

/// Angles of shear in degrees: [least x, most x, least y, most y]. Two numbers are of x alone, one number `s` means [-s, s].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(try_from = "Written")]
pub struct Shears([f64; 4]);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(f64),
    Horizontal([f64; 2]),
    Both([f64; 4]),
}

impl TryFrom<Written> for Shears {
    type Error = String;

    fn try_from(written: Written) -> Result<Shears, String> {
        match written {
            Written::One(s) if s < 0.0 => Err(format!("a single angle is not negative, as {s}: it stands for [-s, s]")),
            Written::One(s) => Ok(Shears([-s, s, 0.0, 0.0])),
            Written::Horizontal([low, high]) => Ok(Shears([low, high, 0.0, 0.0])),
            Written::Both(all) => Ok(Shears(all)),
        }
    }
}

impl JsonSchema for Shears {
    fn schema_name() -> Cow<'static, str> {
        "Shears".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let angle = json_schema!({ "type": "number", "minimum": -89, "maximum": 89 });
        json_schema!({
            "description": "Angles of shear in degrees: s for [-s, s] of x, [least, most] of x, or [least x, most x, least y, most y].",
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 89 },
                { "type": "array", "items": angle, "minItems": 2, "maxItems": 4 }
            ]
        })
    }
}

impl Shears {
    pub fn check(&self, name: &str) -> Result<(), String> {
        let Shears([x0, x1, y0, y1]) = *self;
        let sound = x0 <= x1 && y0 <= y1 && self.0.iter().all(|angle| angle.abs() <= 89.0);
        let message = || format!("`{name}` is {:?}; it must be [least x, most x, least y, most y] in -89..89", self.0);
        if sound { Ok(()) } else { Err(message()) }
    }

    pub fn draw(&self, draws: &mut Draws) -> [f64; 2] {
        let Shears([x0, x1, y0, y1]) = *self;
        [draws.between(x0, x1), draws.between(y0, y1)]
    }
}

/// Whole pixels, up to these fractions of the sides.
pub fn shift(fractions: [f64; 2], (width, height): (u32, u32), draws: &mut Draws) -> [f64; 2] {
    let [most_x, most_y] = [fractions[0] * f64::from(width), fractions[1] * f64::from(height)];
    [draws.between(-most_x, most_x).round_ties_even(), draws.between(-most_y, most_y).round_ties_even()]
}

pub fn check_fractions(name: &str, fractions: [f64; 2]) -> Result<(), String> {
    let sound = fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction));
    if sound { Ok(()) } else { Err(format!("`{name}` is {fractions:?}; fractions lie in 0..1")) }
}

pub fn check_scale(scale: &Range<AroundOne>) -> Result<(), String> {
    if scale.low > 0.0 {
        Ok(())
    } else {
        Err(format!("`scale` is [{}, {}]; it must be above 0", scale.low, scale.high))
    }
}

impl Step for Affine {
    fn check(&self) -> Result<(), String> {
        self.degrees.within("degrees", -360.0, 360.0)?;
        check_fractions("translate", self.translate)?;
        check_scale(&self.scale)?;
        self.shear.check("shear")
    }

    fn draws(&self) -> bool {
        true
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        let sides = (image.width, image.height);
        let angle = self.degrees.draw(draws);
        let translate = shift(self.translate, sides, draws);
        let scale = self.scale.draw(draws);
        let motion = Motion { angle, translate, scale, shear: self.shear.draw(draws) };
        Ok(warp::Affine::new(motion, sides, None).apply(&image, self.fill, self.interpolation))
    }
}
