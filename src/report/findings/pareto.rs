//! What each arm reaches and what it costs; which of them no other beats in both.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Study, chosen};
use crate::report::Goal;

/// An arm at a facet value, by its chosen configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offer {
    pub arm: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facet: BTreeMap<String, Value>,
    /// Mean over repeats.
    pub score: f64,
    /// Mean wall time of a trial, computed alone.
    pub seconds: f64,
    /// No other arm of the facet value scores at least as well in at most as much time, one of them truly.
    pub on_front: bool,
}

pub fn offers(study: &Study, judged_by: &str, arms: &[(&BTreeMap<String, Value>, &String)]) -> Vec<Offer> {
    let offer = |&(facet, arm): &(&BTreeMap<String, Value>, &String)| {
        let of = || chosen(study, facet, arm).filter_map(|row| Some((row.metrics.get(judged_by)?, row.cost.seconds)));
        let n = of().count() as f64;
        let (score, seconds) =
            of().fold((0.0, 0.0), |sums, (score, seconds)| (sums.0 + score / n, sums.1 + seconds / n));
        (n > 0.0).then(|| Offer { arm: arm.clone(), facet: facet.clone(), score, seconds, on_front: true })
    };
    let mut found: Vec<Offer> = arms.iter().filter_map(offer).collect();
    let worth = |offer: &Offer| if study.context.goal == Goal::Maximize { offer.score } else { -offer.score };
    let beats = |a: &Offer, b: &Offer| {
        a.facet == b.facet
            && worth(a) >= worth(b)
            && a.seconds <= b.seconds
            && (worth(a) > worth(b) || a.seconds < b.seconds)
    };
    let front: Vec<bool> = found.iter().map(|offer| !found.iter().any(|other| beats(other, offer))).collect();
    found.iter_mut().zip(front).for_each(|(offer, on_front)| offer.on_front = on_front);
    found
}
