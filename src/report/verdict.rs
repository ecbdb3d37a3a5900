//! What the difference to the baseline allows to say, and the sentence that says it.

use serde::Serialize;

use super::{
    Context, Estimate, Goal,
    statistics::Difference,
    text::{interval, metric, plural, signed, spoken},
};

/// What the interval of the difference allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This arm is what the others are compared with.
    Baseline,
    /// The interval excludes 0, on the good side.
    Better,
    /// The interval excludes 0, on the bad side.
    Worse,
    /// The interval lies within the margin.
    Equivalent,
    /// The interval includes 0, or one seed gives no interval.
    Inconclusive,
    /// There is no baseline, or one of the two has no finished trial.
    NotCompared,
}

impl Verdict {
    /// For a table's cell.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Baseline => "baseline",
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Equivalent => "equivalent within margin",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NotCompared => "not compared",
        }
    }

    /// The margin first: a difference can be certain and still too small to matter.
    pub fn of(difference: &Difference, goal: Goal, margin: Option<f64>) -> Verdict {
        let Some([low, high]) = difference.interval else { return Verdict::Inconclusive };
        if margin.is_some_and(|margin| -margin <= low && high <= margin) {
            return Verdict::Equivalent;
        }
        match goal {
            _ if low <= 0.0 && high >= 0.0 => Verdict::Inconclusive,
            Goal::Maximize if low > 0.0 => Verdict::Better,
            Goal::Minimize if high < 0.0 => Verdict::Better,
            _ => Verdict::Worse,
        }
    }
}

/// What intervals hold for.
pub fn scope(judged_by: &str) -> &'static str {
    if judged_by.contains("test/") {
        "over seeds, on this test set"
    } else {
        "over seeds, on the validation images that also chose the configuration"
    }
}

/// One arm's figures for its sentence.
pub struct Finding<'a> {
    pub arm: &'a str,
    /// `fraction = 0.1`, or empty.
    pub facet: &'a str,
    pub judged_by: &'a str,
    pub own: Option<Estimate>,
    pub baseline: Option<Estimate>,
    pub difference: Option<Difference>,
    pub verdict: Verdict,
}

impl Finding<'_> {
    /// One plain sentence.
    pub fn sentence(&self, context: &Context) -> String {
        let at = if self.facet.is_empty() { String::new() } else { format!("At {}: ", self.facet) };
        let arm = format!("{at}`{}`", self.arm);
        let name = spoken(self.judged_by);
        let Some(own) = self.own else {
            return format!("{arm} has no {name} of a chosen configuration yet.");
        };
        let reached = format!("{name} {} (mean of {})", metric(own.mean), plural(own.n, "seed"));
        if self.verdict == Verdict::Baseline {
            return format!("{arm} is the baseline: {reached}.");
        }
        let Some((baseline, difference)) = context.baseline.as_deref().zip(self.difference) else {
            return format!("{arm} reaches {reached}; it is compared with nothing.");
        };
        let margin = context.margin.map_or(String::new(), |margin| format!(" of {margin}"));
        let claim = match self.verdict {
            Verdict::Better => format!("is better than `{baseline}`"),
            Verdict::Worse => format!("is worse than `{baseline}`"),
            Verdict::Equivalent => format!("is equivalent to `{baseline}` within the margin{margin}"),
            _ => format!("cannot be told from `{baseline}` (inconclusive)"),
        };
        let against = self.baseline.map_or(String::new(), |b| format!(" against {}", metric(b.mean)));
        let how_sure = match difference.interval {
            Some(bounds) => format!(
                "95 % interval {}, {}; n = {}{}",
                interval(bounds),
                scope(self.judged_by),
                plural(difference.n, if difference.paired { "pair" } else { "seed" }),
                if difference.paired { "" } else { " an arm at least, unpaired" }
            ),
            None => "one seed gives no interval".to_owned(),
        };
        format!(
            "{arm} {claim}: {name} {}{against}, a difference of {} ({how_sure}).",
            metric(own.mean),
            signed(difference.mean)
        )
    }
}
