//! What parameters of transforms have in common: ranges to draw from, probabilities, and short forms.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Value, json};

use super::Step;
use crate::rng::Draws;

/// A probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Probability(pub f64);

impl JsonSchema for Probability {
    fn schema_name() -> Cow<'static, str> {
        "Probability".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A probability.", "type": "number", "minimum": 0, "maximum": 1 })
    }
}

impl TryFrom<f64> for Probability {
    type Error = String;

    fn try_from(p: f64) -> Result<Probability, String> {
        if (0.0..=1.0).contains(&p) { Ok(Probability(p)) } else { Err(format!("a probability lies in 0..1, not {p}")) }
    }
}

impl Probability {
    pub const HALF: Probability = Probability(0.5);

    /// Whether it happens this time.
    pub fn happens(self, draws: &mut Draws) -> bool {
        draws.uniform() < self.0
    }
}

/// A number `x` or the two ends of a range, as they are written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    One(f64),
    Ends([f64; 2]),
}

/// What a single number means, as the two ends of a range.
pub trait Short {
    const NAME: &'static str;
    const MEANING: &'static str;

    fn ends(number: f64) -> [f64; 2];
}

/// A number `x` stands for [-x, x].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AroundZero;

impl Short for AroundZero {
    const NAME: &'static str = "RangeAroundZero";
    const MEANING: &'static str = "[least, most]; a single number x stands for [-x, x]";

    fn ends(x: f64) -> [f64; 2] {
        [-x, x]
    }
}

/// A number `x` stands for [max(0, 1 - x), 1 + x], as in torchvision's `ColorJitter`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AroundOne;

impl Short for AroundOne {
    const NAME: &'static str = "RangeAroundOne";
    const MEANING: &'static str = "[least, most]; a single number x stands for [max(0, 1 - x), 1 + x]";

    fn ends(x: f64) -> [f64; 2] {
        [(1.0 - x).max(0.0), 1.0 + x]
    }
}

/// A number `x` stands for itself alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact;

impl Short for Exact {
    const NAME: &'static str = "Range";
    const MEANING: &'static str = "[least, most], or a single number";

    fn ends(x: f64) -> [f64; 2] {
        [x, x]
    }
}

/// A range that a number is drawn from, uniformly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range<S> {
    pub low: f64,
    pub high: f64,
    short: PhantomData<S>,
}

impl<S> Range<S> {
    pub const fn new(low: f64, high: f64) -> Range<S> {
        Range { low, high, short: PhantomData }
    }

    pub fn draw(&self, draws: &mut Draws) -> f64 {
        draws.between(self.low, self.high)
    }

    /// Whether both ends lie in `low..=high`; `name` is the parameter's.
    ///
    /// # Errors
    /// In words, for the person who wrote them.
    pub fn within(&self, name: &str, low: f64, high: f64) -> Result<(), String> {
        if self.low >= low && self.high <= high {
            return Ok(());
        }
        let bounds = if high.is_finite() { format!("in {low}..{high}") } else { format!("at least {low}") };
        Err(format!("`{name}` is [{}, {}]; it must be {bounds}", self.low, self.high))
    }
}

impl<S> Serialize for Range<S> {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        [self.low, self.high].serialize(serializer)
    }
}

impl<'de, S: Short> Deserialize<'de> for Range<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Range<S>, D::Error> {
        let [low, high] = match Written::deserialize(deserializer) {
            Ok(Written::One(x)) if x < 0.0 => {
                return Err(D::Error::custom(format!(
                    "a range is [least, most]; a single number is not negative, as {x}"
                )));
            }
            Ok(Written::One(x)) => S::ends(x),
            Ok(Written::Ends(ends)) => ends,
            Err(_) => return Err(D::Error::custom(format!("expected {}", S::MEANING))),
        };
        if low <= high && low.is_finite() && high.is_finite() {
            Ok(Range::new(low, high))
        } else {
            Err(D::Error::custom(format!("a range is [least, most], not [{low}, {high}]")))
        }
    }
}

impl<S: Short> JsonSchema for Range<S> {
    fn schema_name() -> Cow<'static, str> {
        S::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": S::MEANING,
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 }
            ]
        })
    }
}

/// The one parameter that may stand for all: `rotate: 30` for `rotate: { degrees: 30 }`.
pub struct ShortForm {
    pub parameter: &'static str,
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl ShortForm {
    pub fn of<T: JsonSchema>(parameter: &'static str) -> Option<ShortForm> {
        Some(ShortForm { parameter, schema: |generator| generator.subschema_for::<T>() })
    }
}

/// The parameters of a transform in their long or short form, checked.
pub struct Parameters<T>(pub T);

impl<'de, T: Step + DeserializeOwned> Deserialize<'de> for Parameters<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parameters<T>, D::Error> {
        let step = match T::short() {
            None => T::deserialize(deserializer)?,
            Some(short) => deserializer.deserialize_any(Long { parameter: short.parameter, of: PhantomData })?,
        };
        step.check().map_err(D::Error::custom)?;
        Ok(Parameters(step))
    }
}

struct Long<T> {
    parameter: &'static str,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Long<T> {
    fn lengthen<E: Error>(&self, value: Value) -> Result<T, E> {
        serde_json::from_value(json!({ self.parameter: value })).map_err(E::custom)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Long<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parameters, or `{}` alone", self.parameter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            list.push(item);
        }
        self.lengthen(list.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.lengthen(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.lengthen(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.lengthen(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.lengthen(text.into())
    }
}

/// Schema of [`Parameters`].
pub fn schema<T: Step + JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let long = generator.subschema_for::<T>();
    match T::short() {
        None => long,
        Some(short) => json_schema!({ "anyOf": [(short.schema)(generator), long] }),
    }
}
