//! Optimisers and learning-rate schedules as people write them; shared by every stage that trains.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The update rule, in PyTorch's names, semantics and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// `torch.optim.SGD`.
    Sgd {
        /// Learning rate; inside a phase, the phase's `lr` stands in for it.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        lr: Option<f64>,
        /// Part of the last step that the next one keeps.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        momentum: f64,
        /// Nesterov's form of momentum.
        #[serde(default)]
        nesterov: bool,
        /// Pull of the weights towards zero.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
    /// `torch.optim.Adam` (weight decay is added to the gradient).
    Adam {
        /// Learning rate; inside a phase, the phase's `lr` stands in for it.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        lr: Option<f64>,
        /// Decay rates of the running means of the gradient and of its square.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the denominator.
        #[serde(default = "eps")]
        eps: f64,
        /// Pull of the weights towards zero.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
    /// `torch.optim.AdamW` (decoupled weight decay).
    Adamw {
        /// Learning rate; inside a phase, the phase's `lr` stands in for it.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        lr: Option<f64>,
        /// Decay rates of the running means of the gradient and of its square.
        #[serde(default = "betas")]
        betas: (f64, f64),
        /// Added to the denominator.
        #[serde(default = "eps")]
        eps: f64,
        /// Pull of the weights towards zero.
        #[serde(default = "decoupled_decay")]
        #[schemars(range(min = 0.0))]
        weight_decay: f64,
    },
}

fn betas() -> (f64, f64) {
    (0.9, 0.999)
}

fn eps() -> f64 {
    1e-8
}

fn decoupled_decay() -> f64 {
    1e-2
}

impl Optimizer {
    pub fn lr(&self) -> Option<f64> {
        match self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Adamw { lr, .. } => *lr,
        }
    }

    /// The same rule at another learning rate.
    pub fn with_lr(mut self, new: f64) -> Optimizer {
        match &mut self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Adamw { lr, .. } => *lr = Some(new),
        }
        self
    }

    /// The rule alone, as a phase keeps it beside its own learning rate.
    pub fn without_lr(mut self) -> Optimizer {
        match &mut self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Adamw { lr, .. } => *lr = None,
        }
        self
    }

    /// The rule without what may differ between heads that train side by side.
    pub fn without_scalars(mut self) -> Optimizer {
        match &mut self {
            Optimizer::Sgd { lr, momentum, weight_decay, .. } => (*lr, *momentum, *weight_decay) = (None, 0.0, 0.0),
            Optimizer::Adam { lr, weight_decay, .. } | Optimizer::Adamw { lr, weight_decay, .. } => {
                (*lr, *weight_decay) = (None, 0.0);
            }
        }
        self
    }

    pub fn weight_decay(&self) -> f64 {
        match self {
            Optimizer::Sgd { weight_decay, .. }
            | Optimizer::Adam { weight_decay, .. }
            | Optimizer::Adamw { weight_decay, .. } => *weight_decay,
        }
    }

    /// What no optimiser can run with, in words: what PyTorch refuses, and what a schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        let at_least_0 = |name: &str, x: f64| match x.is_finite() && x >= 0.0 {
            true => Ok(()),
            false => Err(format!("{name} is {x}; it must be a number from 0 up")),
        };
        at_least_0("lr", self.lr().unwrap_or(0.0))?;
        at_least_0("weight_decay", self.weight_decay())?;
        match *self {
            Optimizer::Sgd { momentum, nesterov, .. } => {
                at_least_0("momentum", momentum)?;
                if nesterov && momentum == 0.0 {
                    return Err("nesterov needs a momentum above 0".into());
                }
            }
            Optimizer::Adam { betas: (beta1, beta2), eps, .. }
            | Optimizer::Adamw { betas: (beta1, beta2), eps, .. } => {
                at_least_0("eps", eps)?;
                for beta in [beta1, beta2] {
                    if !(0.0..1.0).contains(&beta) {
                        return Err(format!("betas hold {beta}; both must be from 0 up and below 1"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// How the learning rate moves over the steps it covers (one phase, or all of them).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LrSchedule {
    /// The same throughout.
    #[default]
    Constant,
    /// Times `gamma` after every `every` epochs (`torch.optim.lr_scheduler.StepLR`).
    Step {
        /// In epochs.
        #[schemars(range(min = 1))]
        every: u32,
        /// The learning rate is multiplied by this.
        #[serde(default = "gamma")]
        #[schemars(range(min = 0.0, max = 1.0))]
        gamma: f64,
    },
    /// Half a cosine from the learning rate to `final_fraction` of it, after a linear warm-up.
    Cosine {
        /// In epochs; may be a fraction of one.
        #[serde(default)]
        #[schemars(range(min = 0.0))]
        warmup: f64,
        /// What is left of the learning rate at the end, as a part of it.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 1.0))]
        final_fraction: f64,
    },
    /// One cycle (Smith 2018), as `torch.optim.lr_scheduler.OneCycleLR` with cosine annealing; momentum stays.
    OneCycle {
        /// The part of the steps that rises.
        #[serde(default = "pct_start")]
        #[schemars(range(min = 0.0, max = 1.0))]
        pct_start: f64,
        /// The first learning rate is the peak divided by this.
        #[serde(default = "div_factor")]
        #[schemars(range(min = 1.0))]
        div_factor: f64,
        /// The last one is the first divided by this.
        #[serde(default = "final_div_factor")]
        #[schemars(range(min = 1.0))]
        final_div_factor: f64,
    },
    /// A linear warm-up, then constant.
    Warmup {
        /// In epochs; may be a fraction of one.
        #[schemars(range(min = 0.0))]
        epochs: f64,
    },
}

fn gamma() -> f64 {
    0.1
}

fn pct_start() -> f64 {
    0.3
}

fn div_factor() -> f64 {
    25.0
}

fn final_div_factor() -> f64 {
    1e4
}

impl LrSchedule {
    /// The factor on the learning rate at `step` (from 0) of `steps`, with `steps_per_epoch` steps an epoch.
    pub fn factor(&self, step: u64, steps: u64, steps_per_epoch: u64) -> f64 {
        let per_epoch = steps_per_epoch.max(1) as f64;
        match *self {
            LrSchedule::Constant => 1.0,
            LrSchedule::Step { every, gamma } => {
                gamma.powi((step / steps_per_epoch.max(1) / u64::from(every.max(1))) as i32)
            }
            LrSchedule::Cosine { warmup, final_fraction } => {
                let rising = warmup * per_epoch;
                if (step as f64) < rising {
                    return (step as f64 + 1.0) / (rising + 1.0);
                }
                let progress = (step as f64 - rising) / (steps as f64 - rising).max(1.0);
                final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
            }
            LrSchedule::OneCycle { pct_start, div_factor, final_div_factor } => {
                let peak = pct_start * steps as f64 - 1.0;
                let (first, last) = (1.0 / div_factor, 1.0 / (div_factor * final_div_factor));
                let anneal =
                    |from: f64, to: f64, t: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
                let step = step as f64;
                if step < peak {
                    anneal(first, 1.0, step / peak)
                } else if step == peak {
                    1.0
                } else {
                    anneal(1.0, last, ((step - peak) / (steps as f64 - 1.0 - peak)).clamp(0.0, 1.0))
                }
            }
            LrSchedule::Warmup { epochs } => {
                let rising = epochs * per_epoch;
                if (step as f64) < rising { (step as f64 + 1.0) / (rising + 1.0) } else { 1.0 }
            }
        }
    }
}

/// Weights of the classes in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All 1.
    #[default]
    None,
    /// n / (classes x count), as scikit-learn's `class_weight="balanced"`.
    Balanced,
}

/// Stops training when validation no longer improves, and restores the best epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without improvement before it stops.
    #[schemars(range(min = 1))]
    pub patience: u32,
    /// What must improve.
    #[serde(default)]
    pub monitor: Monitor,
    /// Smaller improvements do not count.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub min_delta: f64,
}

/// The validation figure that early stopping watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    #[default]
    Loss,
    Accuracy,
}

/// An epoch's figures by name.
pub type Metrics = BTreeMap<String, f64>;

/// The best epoch so far, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub epoch: u32,
    pub value: f64,
}

impl EarlyStopping {
    fn metric(&self) -> &'static str {
        match self.monitor {
            Monitor::Loss => "val/loss",
            Monitor::Accuracy => "val/accuracy",
        }
    }

    /// `epoch` as the new best, if it is.
    pub fn improved(&self, best: Option<Best>, epoch: u32, metrics: &Metrics) -> Result<Option<Best>> {
        let name = self.metric();
        let value = *metrics.get(name).with_context(|| {
            format!("early_stopping watches {name}, but there are no validation images: give the dataset a `val` split")
        })?;
        let gain = |best: Best| match self.monitor {
            Monitor::Loss => best.value - value,
            Monitor::Accuracy => value - best.value,
        };
        Ok(best.is_none_or(|best| gain(best) > self.min_delta).then_some(Best { epoch, value }))
    }

    /// Whether `epoch` was the last in vain.
    pub fn is_over(&self, best: Option<Best>, epoch: u32) -> bool {
        best.is_some_and(|best| epoch - best.epoch >= self.patience)
    }

    /// What a person should know when `best` of `epochs` was restored.
    pub fn note(&self, best: Best, epochs: u32) -> String {
        let (name, Best { epoch, value }) = (self.metric(), best);
        format!("early stopping after {epochs} epochs: epoch {epoch} was the best, {name} {value:.4}, and was restored")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_match_pytorch() {
        let text = include_str!("../../tests/reference/optimizers/schedules.json");
        let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let schedule: LrSchedule = serde_json::from_value(case["schedule"].clone()).unwrap();
            let number = |key: &str| case[key].as_u64().unwrap();
            for (step, expected) in case["factors"].as_array().unwrap().iter().enumerate() {
                let found = schedule.factor(step as u64, number("steps"), number("steps_per_epoch"));
                let expected = expected.as_f64().unwrap();
                assert!((found - expected).abs() < 1e-9, "{schedule:?} step {step}: {found} {expected}");
            }
        }
    }

    #[test]
    fn impossible_settings_are_refused() {
        let check = |text: &str| serde_json::from_str::<Optimizer>(text).unwrap().check();
        assert!(check(r#"{ "sgd": { "momentum": 0.9, "nesterov": true } }"#).is_ok());
        assert!(check(r#"{ "sgd": { "nesterov": true } }"#).unwrap_err().contains("momentum"));
        assert!(check(r#"{ "sgd": { "lr": -1.0 } }"#).unwrap_err().contains("lr is -1"));
        assert!(check(r#"{ "adam": { "betas": [0.9, 1.0] } }"#).unwrap_err().contains("betas hold 1"));
    }

    #[test]
    fn patience_counts_epochs_without_improvement() {
        let stopping = EarlyStopping { patience: 2, monitor: Monitor::Loss, min_delta: 0.1 };
        let mut best = None;
        let mut over = Vec::new();
        for (i, loss) in [1.0, 0.8, 0.75, 0.9].into_iter().enumerate() {
            let metrics = Metrics::from([("val/loss".to_string(), loss)]);
            best = stopping.improved(best, i as u32 + 1, &metrics).unwrap().or(best);
            over.push(stopping.is_over(best, i as u32 + 1));
        }
        assert_eq!(best, Some(Best { epoch: 2, value: 0.8 }));
        assert_eq!(over, [false, false, false, true]);
        assert!(stopping.improved(None, 1, &Metrics::new()).unwrap_err().to_string().contains("validation images"));
    }
}
