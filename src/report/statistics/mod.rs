//! How sure a difference is. One file a method, each checked against SciPy, statsmodels or scikit-learn by
//! `scripts/reference/statistics.py`; how often intervals cover and tests reject is checked by simulation.
//!
//! Plain numbers in, plain numbers out: nothing here knows of arms, trials or predictions.

mod agreement;
mod budget;
mod crossed;
mod effect;
mod holm;
mod ranks;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod simulation;
mod student;

use serde::Serialize;

pub use agreement::{Discordant, mcnemar};
pub use budget::expected_best;
pub use crossed::{Components, resampled};
pub use effect::{error_reduction, hedges};
pub use holm::holm;
pub use ranks::{Ranks, friedman};
pub use student::{T, corrected_resampled, paired, welch};

/// Coverage of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// A mean over repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    pub mean: f64,
    /// Sample standard deviation (n - 1); `None` with one repeat.
    pub std: Option<f64>,
    pub n: u64,
}

impl Estimate {
    /// `None` of no values.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        (!values.is_empty()).then(|| Estimate {
            mean: mean(values),
            std: (values.len() > 1).then(|| variance(values).sqrt()),
            n: values.len() as u64,
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Sample variance, of at least two values.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}
