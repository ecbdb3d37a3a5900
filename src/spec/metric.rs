//! The metric that selects configurations.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::diagnostic::{alternatives, nearest, quote};
use crate::artifact::Split;

/// Metrics that `evaluate` gives for every model, beside `top_<k>`.
pub(super) const NAMES: &[&str] = &["accuracy", "balanced_accuracy", "macro_f1", "auroc", "ece", "log_loss"];

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    Maximize,
    Minimize,
}

/// The metric that selects: `val/accuracy`, or `score.val/accuracy` of the stage `score`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    pub stage: Option<String>,
    /// Always validation: the test split is sealed until a configuration is chosen.
    pub split: Split,
    pub name: String,
    pub goal: Goal,
}

impl Default for Metric {
    fn default() -> Metric {
        Metric { stage: None, split: Split::Val, name: "accuracy".into(), goal: Goal::Maximize }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = &self.stage {
            write!(f, "{stage}.")?;
        }
        write!(f, "{}/{}", self.split.name(), self.name)
    }
}

impl Metric {
    /// Whether it is a part of 1.
    pub fn is_share(&self) -> bool {
        self.name != "log_loss"
    }

    /// Reads `[stage.]split/name`. The goal, where none is given, is the one that makes sense for the metric.
    ///
    /// # Errors
    /// A message and a help.
    pub fn parse(text: &str, goal: Option<Goal>) -> Result<Metric, (String, String)> {
        let form = || "write `val/accuracy`, or `stage.val/accuracy` for one `evaluate` stage of several".to_owned();
        let (place, name) = text.rsplit_once('/').ok_or_else(|| (format!("{} is no metric", quote(text)), form()))?;
        let (stage, split) = place.rsplit_once('.').map_or((None, place), |(stage, split)| (Some(stage), split));
        match split {
            "val" => {}
            "test" => {
                let message = "the test split is sealed until a configuration is chosen, so it cannot choose one";
                return Err((message.into(), format!("select on `{}`", text.replacen("test/", "val/", 1))));
            }
            "train" => {
                let message = "configurations are chosen on validation, not on the images they were trained with";
                return Err((message.into(), format!("select on `{}`", text.replacen("train/", "val/", 1))));
            }
            other => return Err((format!("there is no split {}", quote(other)), form())),
        }
        let top_k = name.strip_prefix("top_").and_then(|k| k.parse::<u32>().ok()).is_some_and(|k| k > 0);
        if !top_k && !NAMES.contains(&name) {
            let help = match nearest(name, NAMES.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("expected {}, or `top_<k>`", alternatives(NAMES)),
            };
            return Err((format!("there is no metric {}", quote(name)), help));
        }
        let (stage, name) = (stage.map(str::to_owned), name.to_owned());
        let mut metric = Metric { stage, split: Split::Val, name, goal: Goal::Maximize };
        metric.goal = goal.unwrap_or(metric.natural_goal());
        Ok(metric)
    }

    /// Which way this metric is better.
    pub fn natural_goal(&self) -> Goal {
        if matches!(self.name.as_str(), "ece" | "log_loss") { Goal::Minimize } else { Goal::Maximize }
    }
}
