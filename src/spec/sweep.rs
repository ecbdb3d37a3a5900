//! What one arm searches, and how: its `sweep` as typed parameters.

use serde_json::{Map, Value};

use super::{
    Params,
    domain::{self, Domain},
    locate::{NodePath, Step},
};

/// How configurations are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every combination of the parameters' values.
    Grid,
    /// Independent draws.
    Random,
    /// Draws that cover the space evenly.
    Sobol,
    /// A multivariate tree-structured Parzen estimator.
    Tpe,
    /// Covariance matrix adaptation.
    CmaEs,
    /// Bayesian optimisation with a Gaussian process.
    Gp,
}

impl Method {
    pub(super) const ALL: [Method; 6] =
        [Method::Grid, Method::Random, Method::Sobol, Method::Tpe, Method::CmaEs, Method::Gp];

    /// Whether results change what is tried next.
    pub fn learns(self) -> bool {
        matches!(self, Method::Tpe | Method::CmaEs | Method::Gp)
    }

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Method::Grid => "grid",
            Method::Random => "random",
            Method::Sobol => "sobol",
            Method::Tpe => "tpe",
            Method::CmaEs => "cma_es",
            Method::Gp => "gp",
        }
    }
}

/// Configurations under way at once, for methods that learn, unless the YAML says another number.
pub(super) const PARALLEL: u32 = 4;

/// What one arm searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    pub method: Method,
    /// Most configurations that an arm may run.
    pub run_cap: Option<u64>,
    /// Of the search's own draws.
    pub seed: u64,
    /// A suggestion is made from the results of all suggestions but the latest `parallel - 1`.
    pub parallel: usize,
    /// Values of parameters to try before anything else.
    pub enqueue: Vec<Params>,
    /// What `when` and `times` name comes before the parameter.
    pub parameters: Vec<Parameter>,
}

impl Default for Sweep {
    fn default() -> Sweep {
        let (run_cap, enqueue, parameters) = (None, Vec::new(), Vec::new());
        Sweep { method: Method::Grid, run_cap, seed: 0, parallel: PARALLEL as usize, enqueue, parameters }
    }
}

/// One dimension of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Of the pipeline's parameter; of [`Domain::Together`] any name.
    pub name: String,
    pub domain: Domain,
    /// (parameter, values): it is searched only where all of these hold.
    pub when: Vec<(String, Vec<Value>)>,
    /// What is drawn is multiplied by this parameter's value.
    pub times: Option<String>,
}

impl Parameter {
    /// Names of the pipeline's parameters that it sets.
    pub fn targets(&self) -> Vec<&str> {
        match &self.domain {
            Domain::Together(entries) => entries.iter().take(1).flat_map(Map::keys).map(String::as_str).collect(),
            _ => vec![&self.name],
        }
    }

    /// The values that it gives `target`; `None` for a range.
    pub fn values_of(&self, target: &str) -> Option<Vec<&Value>> {
        match &self.domain {
            Domain::Values(values) => Some(values.iter().collect()),
            Domain::Together(entries) => Some(entries.iter().filter_map(|entry| entry.get(target)).collect()),
            _ => None,
        }
    }

    /// Whether it has an order and is searched everywhere: what CMA-ES moves.
    pub fn is_number(&self) -> bool {
        self.domain.is_ordered() && self.when.is_empty()
    }

    /// Where a value is written, from the place of the list or the range on.
    pub(super) fn place_of(&self, target: &str, value: Option<&Value>) -> NodePath {
        let values = self.values_of(target).unwrap_or_default();
        let Some(position) = values.iter().position(|known| Some(*known) == value) else { return NodePath::new() };
        match self.domain {
            Domain::Together(_) => vec![Step::Index(position), Step::Key(target.to_owned())],
            _ => vec![Step::Index(position)],
        }
    }

    /// Whether the conditions hold; `value` knows the parameters before this one.
    pub fn is_active<'v>(&self, value: impl Fn(&str) -> Option<&'v Value>) -> bool {
        let holds = |(name, wanted): &(String, Vec<Value>)| {
            value(name).is_some_and(|value| wanted.iter().any(|wanted| domain::same(wanted, value)))
        };
        self.when.iter().all(holds)
    }
}

impl Sweep {
    /// The values of the searched parameters. `choose` gives the value of the parameter at an index, and is told the factor
    /// that `times` asks for; what is not active is left out. `fixed` are the values of what is not searched. `None` as soon
    /// as a choice is.
    pub fn assign(
        &self,
        fixed: &Params,
        mut choose: impl FnMut(usize, Option<f64>) -> Option<Value>,
    ) -> Option<Params> {
        let mut values = Params::new();
        for (i, parameter) in self.parameters.iter().enumerate() {
            let known = |name: &str| values.get(name).or_else(|| fixed.get(name));
            if !parameter.is_active(known) {
                continue;
            }
            let factor = parameter.times.as_deref().map(|of| known(of).and_then(Value::as_f64).unwrap_or(1.0));
            match (&parameter.domain, choose(i, factor)?) {
                (Domain::Together(_), Value::Object(entry)) => values.extend(entry),
                (_, value) => {
                    values.insert(parameter.name.clone(), value);
                }
            }
        }
        Some(values)
    }
}

/// What is drawn, times the factor.
pub fn scaled(drawn: Value, factor: Option<f64>) -> Value {
    match (drawn.as_f64(), factor) {
        (Some(number), Some(factor)) => domain::number(domain::tidy(number * factor)),
        _ => drawn,
    }
}
