//! The space that an arm searches at one facet, as methods see it: a unit cube of one coordinate a parameter.

use serde_json::Value;

use crate::spec::{Domain, Parameter, Params, Sweep, scaled};

/// Where a configuration lies: a coordinate in [0, 1] a parameter; `None` where the parameter's condition does not hold.
pub type Point = Vec<Option<f64>>;

/// What is searched, and what is not but is known of.
#[derive(Debug, Clone)]
pub struct Space {
    sweep: Sweep,
    fixed: Params,
}

impl Space {
    pub fn new(sweep: Sweep, fixed: Params) -> Space {
        Space { sweep, fixed }
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.sweep.parameters
    }

    /// Positions of the parameters that have an order and are always searched.
    pub fn numbers(&self) -> Vec<usize> {
        self.parameters().iter().enumerate().filter(|(_, p)| p.is_number()).map(|(i, _)| i).collect()
    }

    /// How many combinations of coordinates there are; `None` for a continuum. Configurations may be fewer, because a
    /// parameter that is not active takes part in the product.
    pub fn size(&self) -> Option<u64> {
        self.parameters().iter().try_fold(1u64, |size, p| Some(size.saturating_mul(p.domain.count()?)))
    }

    /// The coordinates of combination `number` of a space that is no continuum; the last parameter moves fastest.
    pub fn combination(&self, number: u64) -> Vec<f64> {
        let mut rest = number;
        let mut unit = vec![0.0; self.parameters().len()];
        for (i, parameter) in self.parameters().iter().enumerate().rev() {
            let count = parameter.domain.count().unwrap_or(1);
            unit[i] = ((rest % count) as f64 + 0.5) / count as f64;
            rest /= count;
        }
        unit
    }

    /// Where `unit` lies, before the numbers of a continuum are rounded.
    pub fn point(&self, unit: &[f64]) -> Option<Point> {
        if self.parameters().iter().any(|parameter| !parameter.when.is_empty()) {
            return self.place(&Params::new(), unit).map(|(_, point)| point);
        }
        let coordinate = |(parameter, at): (&Parameter, &f64)| match parameter.domain.count() {
            Some(count) => Some((((at * count as f64) as u64).min(count - 1) as f64 + 0.5) / count as f64),
            None => Some(*at),
        };
        Some(self.parameters().iter().zip(unit).map(coordinate).collect())
    }

    /// The configuration at `unit`, one coordinate a parameter, where `given` has no value; and its point. `None` when a
    /// value that is given is not in the space.
    pub fn place(&self, given: &Params, unit: &[f64]) -> Option<(Params, Point)> {
        let mut point = vec![None; self.parameters().len()];
        let values = self.sweep.assign(&self.fixed, |i, factor| {
            let domain = &self.parameters()[i].domain;
            let value = match written(&self.parameters()[i], given)? {
                Some(value) => value,
                None => scaled(domain.at(unit[i]), factor),
            };
            // From the value, also where it was drawn, so that a configuration that is suggested again is the same point.
            point[i] = Some(match (factor, value.as_f64()) {
                (Some(factor), Some(product)) => domain.unit_of_quotient(product / factor)?,
                _ => domain.unit(&value)?,
            });
            Some(value)
        });
        Some((values?, point))
    }
}

/// What `given` has for a parameter: a value, or nothing. `None` when it contradicts every entry of what moves together.
fn written(parameter: &Parameter, given: &Params) -> Option<Option<Value>> {
    let Domain::Together(entries) = &parameter.domain else { return Some(given.get(&parameter.name).cloned()) };
    if !parameter.targets().into_iter().any(|name| given.contains_key(name)) {
        return Some(None);
    }
    let fits = |entry: &&Params| entry.iter().all(|(name, value)| given.get(name).is_none_or(|given| given == value));
    Some(Some(Value::Object(entries.iter().find(fits)?.clone())))
}
