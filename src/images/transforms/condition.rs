//! `condition`: `{ condition: { name: fog, severity: 3 } }`, or `{ condition: { name: [rain, snow], severity: [1, 2, 3], p: 0.5 } }`.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Step, parameter::Probability};
use crate::{
    images::{
        Rgb,
        conditions::{self, SEVERITIES},
    },
    rng::Draws,
};

/// One of the named conditions at one of the severities (1 to 5), drawn evenly, with probability `p`; ImageNet-C
/// (Hendrycks and Dietterich 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The condition, or a list of them to draw from.
    name: OneOrMore<conditions::Condition>,
    /// From 1, slight, to 5; or a list to draw from.
    severity: OneOrMore<Severity>,
    /// Probability that it is applied.
    #[serde(default = "always")]
    p: Probability,
}

/// From 1, slight, to 5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Severity(#[schemars(range(min = 1, max = 5))] u8);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written<T>")]
struct OneOrMore<T>(Vec<T>);

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written<T> {
    One(T),
    More(Vec<T>),
}

impl<T> From<Written<T>> for OneOrMore<T> {
    fn from(written: Written<T>) -> OneOrMore<T> {
        match written {
            Written::One(one) => OneOrMore(vec![one]),
            Written::More(more) => OneOrMore(more),
        }
    }
}

fn always() -> Probability {
    Probability(1.0)
}

impl Condition {
    /// One condition at one severity, always.
    pub fn of(condition: conditions::Condition, severity: u8) -> Condition {
        Condition { name: OneOrMore(vec![condition]), severity: OneOrMore(vec![Severity(severity)]), p: always() }
    }
}

impl Step for Condition {
    fn check(&self) -> Result<(), String> {
        if self.name.0.is_empty() || self.severity.0.is_empty() {
            return Err("`name` and `severity` are not empty".into());
        }
        match self.severity.0.iter().find(|severity| !SEVERITIES.contains(&severity.0)) {
            Some(Severity(severity)) => Err(format!("`severity` is {severity}; it lies in 1..5")),
            None => Ok(()),
        }
    }

    fn draws(&self) -> bool {
        let chosen = self.name.0.len() > 1 || self.severity.0.len() > 1 || self.p != always();
        chosen || self.name.0.iter().any(|condition| condition.draws())
    }

    fn apply(&self, image: Rgb, _size: u32, draws: &mut Draws) -> Result<Rgb> {
        if !self.p.happens(draws) {
            return Ok(image);
        }
        let condition = self.name.0[draws.below(self.name.0.len() as u64) as usize];
        let Severity(severity) = self.severity.0[draws.below(self.severity.0.len() as u64) as usize];
        condition.apply(&image, severity, draws)
    }
}
