//! What a swept parameter may be: a list, a range or a distribution, and the way from it to the unit interval and back, on
//! which all search methods work.

use serde_json::{Number, Value, json};
use statrs::distribution::{ContinuousCDF, Normal};

use super::Params;

/// Draws of `normal` lie within this many standard deviations, so that their extremes can be checked before anything runs.
const NORMAL_TAILS: f64 = 4.0;
/// How far from a range, in parts of it, a value may lie and still count as its end: values are written in six digits.
const SLACK: f64 = 1e-5;

/// The values that a parameter is searched over.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// Without an order.
    Values(Vec<Value>),
    /// Several parameters that move together: each entry gives all of them.
    Together(Vec<Params>),
    Uniform {
        min: f64,
        max: f64,
    },
    /// Uniform in the logarithm.
    LogUniform {
        min: f64,
        max: f64,
    },
    /// Whole numbers, both ends included.
    Int {
        min: i64,
        max: i64,
    },
    /// `min`, `min + q`, ... up to `max`.
    Quantized {
        min: f64,
        max: f64,
        q: f64,
    },
    /// Cut off at four standard deviations.
    Normal {
        mu: f64,
        sigma: f64,
    },
}

impl Domain {
    /// How many values there are; `None` for a continuum.
    pub fn count(&self) -> Option<u64> {
        match self {
            Domain::Values(values) => Some(values.len() as u64),
            Domain::Together(entries) => Some(entries.len() as u64),
            Domain::Int { min, max } => Some(max.abs_diff(*min).saturating_add(1)),
            Domain::Quantized { min, max, q } => Some(((max - min) / q + SLACK) as u64 + 1),
            Domain::Uniform { .. } | Domain::LogUniform { .. } | Domain::Normal { .. } => None,
        }
    }

    /// As it is written in a sweep.
    pub fn written(&self) -> Value {
        match self {
            Domain::Values(values) => json!({ "values": values }),
            Domain::Together(entries) => json!({ "together": entries }),
            Domain::Uniform { min, max } => json!({ "distribution": "uniform", "min": min, "max": max }),
            Domain::LogUniform { min, max } => json!({ "distribution": "log_uniform", "min": min, "max": max }),
            Domain::Int { min, max } => json!({ "distribution": "int", "min": min, "max": max }),
            Domain::Quantized { min, max, q } => json!({ "distribution": "q_uniform", "min": min, "max": max, "q": q }),
            Domain::Normal { mu, sigma } => json!({ "distribution": "normal", "mu": mu, "sigma": sigma }),
        }
    }

    /// Whether nearness on the unit interval means anything.
    pub fn is_ordered(&self) -> bool {
        !matches!(self, Domain::Values(_) | Domain::Together(_))
    }

    /// The value at `unit` in [0, 1]: uniform draws there give the distribution. Of [`Domain::Together`] a map. Numbers of a
    /// continuum have six significant digits, so that what a report shows is what ran.
    pub fn at(&self, unit: f64) -> Value {
        let level = |count: u64| ((unit * count as f64) as u64).min(count.saturating_sub(1));
        match self {
            Domain::Values(values) => values[level(values.len() as u64) as usize].clone(),
            Domain::Together(entries) => Value::Object(entries[level(entries.len() as u64) as usize].clone()),
            Domain::Uniform { min, max } => number(tidy(min + unit * (max - min)).clamp(*min, *max)),
            Domain::LogUniform { min, max } => {
                number(tidy((min.ln() + unit * (max.ln() - min.ln())).exp()).clamp(*min, *max))
            }
            Domain::Int { min, .. } => Value::from(min.saturating_add_unsigned(level(self.count().unwrap_or(1)))),
            Domain::Quantized { min, q, .. } => {
                let value = min + level(self.count().unwrap_or(1)) as f64 * q;
                let whole = min.fract() == 0.0 && q.fract() == 0.0 && value.abs() < 9e15;
                if whole { Value::from(value as i64) } else { number(tidy(value)) }
            }
            Domain::Normal { mu, sigma } => {
                let (low, high) = tails();
                let z = standard().inverse_cdf(low + unit * (high - low)).clamp(-NORMAL_TAILS, NORMAL_TAILS);
                number(tidy(mu + sigma * z))
            }
        }
    }

    /// Where a value lies on the unit interval: that of a countable domain in the middle of its share. `None` when it is not
    /// in the domain.
    pub fn unit(&self, value: &Value) -> Option<f64> {
        let middle = |level: usize| Some((level as f64 + 0.5) / self.count()? as f64);
        let within = |unit: f64| (-SLACK..=1.0 + SLACK).contains(&unit).then_some(unit.clamp(0.0, 1.0));
        match self {
            Domain::Values(values) => middle(values.iter().position(|known| same(known, value))?),
            Domain::Together(entries) => {
                let value = value.as_object()?;
                let equal = |entry: &Params| {
                    entry.len() == value.len()
                        && entry.iter().all(|(key, known)| value.get(key).is_some_and(|given| same(known, given)))
                };
                middle(entries.iter().position(equal)?)
            }
            Domain::Uniform { min, max } => within((value.as_f64()? - min) / (max - min)),
            Domain::LogUniform { min, max } => {
                let value = value.as_f64().filter(|value| *value > 0.0)?;
                within((value.ln() - min.ln()) / (max.ln() - min.ln()))
            }
            Domain::Int { min, max } => {
                let value = value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 9e15)? as i64;
                (*min..=*max).contains(&value).then(|| middle(value.abs_diff(*min) as usize))?
            }
            Domain::Quantized { min, q, .. } => {
                let steps = (value.as_f64()? - min) / q;
                let on_grid = (steps - steps.round()).abs() < SLACK * steps.abs().max(1.0);
                let level = (on_grid && steps.round() >= 0.0).then(|| steps.round() as u64)?;
                (level < self.count()?).then(|| middle(level as usize))?
            }
            Domain::Normal { mu, sigma } => {
                let (low, high) = tails();
                let z = (value.as_f64()? - mu) / sigma;
                let beyond = z.abs() > NORMAL_TAILS * (1.0 + SLACK);
                (!beyond).then(|| ((standard().cdf(z) - low) / (high - low)).clamp(0.0, 1.0))
            }
        }
    }

    /// Where the value lies that `product / factor` stands for: the product was rounded to six digits.
    pub fn unit_of_quotient(&self, quotient: f64) -> Option<f64> {
        let near = |value: f64| (value - quotient).abs() <= SLACK * quotient.abs().max(f64::MIN_POSITIVE);
        let exact = match self {
            Domain::Values(values) => values.iter().find(|value| value.as_f64().is_some_and(near)).cloned(),
            Domain::Int { .. } => near(quotient.round()).then(|| number(quotient.round())),
            _ => Some(number(quotient)),
        };
        self.unit(&exact?)
    }

    /// Values to check before anything runs: all of a list, the ends and one between of a range. One between is no round
    /// number, so that a continuum over what takes whole numbers is found out.
    pub fn witnesses(&self) -> Vec<Value> {
        match self {
            Domain::Values(values) => values.clone(),
            Domain::Together(entries) => entries.iter().cloned().map(Value::Object).collect(),
            _ => [0.0, 1.0, 0.381_966].into_iter().map(|unit| self.at(unit)).collect(),
        }
    }
}

fn standard() -> Normal {
    Normal::standard()
}

/// The share of a normal below its lower and its upper cut.
fn tails() -> (f64, f64) {
    (standard().cdf(-NORMAL_TAILS), standard().cdf(NORMAL_TAILS))
}

/// Six significant digits.
pub fn tidy(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

pub fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Equal, where 1 is 1.0.
pub fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn domains() -> Vec<Domain> {
        vec![
            Domain::Values(vec![json!("a"), json!({ "sgd": { "lr": 1 } }), json!(3)]),
            Domain::Together(vec![
                Params::from_iter([("a".into(), json!(1))]),
                Params::from_iter([("a".into(), json!(2))]),
            ]),
            Domain::Uniform { min: -2.0, max: 3.0 },
            Domain::LogUniform { min: 1e-5, max: 0.1 },
            Domain::Int { min: -3, max: 12 },
            Domain::Quantized { min: 0.05, max: 0.95, q: 0.1 },
            Domain::Quantized { min: 32.0, max: 512.0, q: 32.0 },
            Domain::Normal { mu: 1.0, sigma: 0.5 },
        ]
    }

    proptest! {
        #[test]
        fn from_the_unit_interval_and_back(unit in 0.0..1.0f64) {
            for domain in domains() {
                let value = domain.at(unit);
                let back = domain.unit(&value).unwrap_or_else(|| panic!("{value} is not in {domain:?}"));
                match domain.count() {
                    Some(count) => prop_assert!((back - unit).abs() <= 0.5 / count as f64 + 1e-9, "{domain:?} {value}"),
                    None => prop_assert!((back - unit).abs() < 1e-4, "{domain:?} {value} {unit} {back}"),
                }
                prop_assert_eq!(domain.at(back), value);
            }
        }
    }

    #[test]
    fn ends_belong_and_what_is_beyond_does_not() {
        let log = Domain::LogUniform { min: 1e-5, max: 0.1 };
        assert_eq!((log.at(0.0), log.at(1.0)), (json!(1e-5), json!(0.1)));
        assert_eq!(log.unit(&json!(0.2)), None);
        assert_eq!(log.unit(&json!(-1)), None);
        assert_eq!(log.unit(&json!("x")), None);
        let quantized = Domain::Quantized { min: 0.05, max: 0.95, q: 0.1 };
        assert_eq!((quantized.at(0.0), quantized.at(1.0), quantized.count()), (json!(0.05), json!(0.95), Some(10)));
        assert_eq!(quantized.unit(&json!(0.1)), None);
        assert_eq!(Domain::Quantized { min: 32.0, max: 500.0, q: 32.0 }.at(1.0), json!(480));
        assert_eq!(Domain::Int { min: 1, max: 3 }.unit(&json!(2.0)), Some(0.5));
        assert_eq!(Domain::Int { min: 1, max: 3 }.unit(&json!(2.5)), None);
        assert_eq!(Domain::Values(vec![json!(1), json!(2)]).unit(&json!(2.0)), Some(0.75));
    }

    /// scipy.stats.norm.ppf at 0.1 and 0.9 is -+1.2815515655446004; the cut at four deviations moves it by less than 1e-3.
    #[test]
    fn normal_has_its_quantiles() {
        let domain = Domain::Normal { mu: 10.0, sigma: 2.0 };
        for (unit, z) in [(0.1, -1.281_551_565_544_600_4), (0.5, 0.0), (0.9, 1.281_551_565_544_600_4)] {
            assert!((domain.at(unit).as_f64().unwrap() - (10.0 + 2.0 * z)).abs() < 1e-3);
        }
        assert_eq!(domain.at(0.0), json!(2.0));
    }
}
