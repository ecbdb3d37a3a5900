//! What the difference of two arms allows to say, and the sentence that says it.

use serde::Serialize;

use super::{
    Context, Estimate, Goal,
    outlook::Outlook,
    pairs::{Basis, Comparison, Difference},
    text::{metric, name, plural, spoken},
};

/// What the interval of the difference allows to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This arm is what the others are compared with.
    Baseline,
    /// The interval excludes 0, on the good side, and so does Holm's correction.
    Better,
    /// The interval excludes 0, on the bad side, and so does Holm's correction.
    Worse,
    /// The interval lies within the declared margin.
    Equivalent,
    /// The interval includes 0, or does not when all comparisons are counted, or there is none.
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
    pub fn of(difference: &Difference, p_adjusted: Option<f64>, goal: Goal, margin: Option<f64>) -> Verdict {
        let Some([low, high]) = difference.interval else { return Verdict::Inconclusive };
        if margin.is_some_and(|margin| -margin <= low && high <= margin) {
            return Verdict::Equivalent;
        }
        match goal {
            _ if low <= 0.0 && high >= 0.0 => Verdict::Inconclusive,
            _ if p_adjusted.is_some_and(|p| p >= 0.05) => Verdict::Inconclusive,
            Goal::Maximize if low > 0.0 => Verdict::Better,
            Goal::Minimize if high < 0.0 => Verdict::Better,
            _ => Verdict::Worse,
        }
    }
}

/// Fills in the verdict, what would settle it, and the sentence.
pub fn judge(comparison: &mut Comparison, context: &Context, judged_by: &str) {
    comparison.verdict = Verdict::of(&comparison.difference, comparison.p_adjusted, context.goal, context.margin);
    if comparison.verdict == Verdict::Inconclusive {
        let (adjusted, single) = (comparison.p_adjusted, comparison.difference.p);
        // How many times smaller p has to be, as other comparisons stand beside this one.
        let among =
            adjusted.zip(single).map_or(1.0, |(adjusted, single)| if single > 0.0 { adjusted / single } else { 1.0 });
        comparison.outlook = comparison.components.map(|found| Outlook::of(&found, context.margin, among.max(1.0)));
    }
    comparison.sentence = sentence(comparison, context, judged_by);
}

/// Whether the metric is a part of 1, so that hundredths of it are points.
pub fn is_share(metric: &str) -> bool {
    let name = metric.rsplit('/').next().unwrap_or(metric);
    name.starts_with("top_") || ["accuracy", "balanced_accuracy", "macro_f1", "auroc", "ece"].contains(&name)
}

/// `1.8`, in points of a share; otherwise in the metric's unit.
pub fn amount(judged_by: &str, value: f64) -> String {
    // Without the sign of a zero.
    if is_share(judged_by) { format!("{:.1}", 100.0 * value + 0.0) } else { format!("{:.4}", value + 0.0) }
}

/// `[0.6, 3.0]`.
pub fn bounds(judged_by: &str, [low, high]: [f64; 2]) -> String {
    format!("[{}, {}]", amount(judged_by, low), amount(judged_by, high))
}

/// `points of test accuracy`, or `in test log loss`.
fn unit(judged_by: &str) -> String {
    let what = spoken(judged_by);
    if is_share(judged_by) { format!("points of {what}") } else { format!("in {what}") }
}

/// `(5 seeds, 525 test images)`: what the interval is over.
fn over(difference: &Difference, judged_by: &str) -> String {
    let test = judged_by.contains("test/");
    let images = || plural(difference.images, if test { "test image" } else { "validation image" });
    let chose = if test { "" } else { " that also chose the configuration" };
    let seeds = plural(difference.n, "seed");
    let pairing = if difference.paired { "" } else { ", unpaired" };
    match difference.basis {
        Basis::ImagesAndRepeats => format!("({seeds}, {}{chose}{pairing})", images()),
        Basis::Images => format!("({seeds}, {}{chose}{pairing}; other seeds may differ)", images()),
        Basis::Repeats if test => format!("({seeds}, on this test set{pairing})"),
        Basis::Repeats => format!("({seeds}, on these validation images{chose}{pairing})"),
        Basis::Folds => {
            format!("({} of folds and seeds, corrected for overlapping training sets)", plural(difference.n, "pair"))
        }
        Basis::Nothing => format!("({seeds}: no interval)"),
    }
}

fn sentence(comparison: &Comparison, context: &Context, judged_by: &str) -> String {
    let Comparison { arm, against, difference, verdict, .. } = comparison;
    let at = super::text::facet(&comparison.facet);
    let at = if at.is_empty() { at } else { format!("At {at}: ") };
    let (arm, against) = (name(arm), name(against));
    let say = |value: f64| amount(judged_by, value);
    let (unit, over) = (unit(judged_by), over(difference, judged_by));
    let size = difference.mean.abs();
    // Of a difference that is told without its sign.
    let unsigned =
        difference.interval.map(|[low, high]| if difference.mean < 0.0 { [-high, -low] } else { [low, high] });
    let unsigned = unsigned.map_or(String::new(), |interval| format!("{} ", bounds(judged_by, interval)));
    let signed = difference.interval.map_or(String::new(), |interval| format!("{} ", bounds(judged_by, interval)));
    let sign = if difference.mean < 0.0 { "" } else { "+" };
    match verdict {
        Verdict::Better => format!("{at}{arm} beats {against} by {} {unit} {unsigned}{over}.", say(size)),
        Verdict::Worse => format!("{at}{arm} loses to {against} by {} {unit} {unsigned}{over}.", say(size)),
        Verdict::Equivalent => {
            let margin = context.margin.map_or(String::new(), say);
            format!(
                "{at}{arm} and {against} are equivalent within {margin} {unit}: a difference of {sign}{} {signed}{over}.",
                say(difference.mean)
            )
        }
        _ => format!(
            "{at}{arm} against {against}: {sign}{} {unit} {signed}{over}, {}.",
            say(difference.mean),
            inconclusive(comparison)
        ),
    }
}

fn inconclusive(comparison: &Comparison) -> String {
    let excludes_zero = comparison.difference.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
    let among = comparison.p_adjusted.filter(|_| excludes_zero);
    let among = among.map_or(String::new(), |p| format!(" among several comparisons (Holm's p {p:.2})"));
    let settle = match comparison.outlook {
        Some(Outlook::MoreRepeats(n)) => format!(": about {} would settle it", plural(n, "more seed")),
        Some(Outlook::MoreImages(n)) => {
            format!(": more test images, not seeds, would settle it (about {} more)", super::text::count(n))
        }
        Some(Outlook::MoreOfBoth { repeats, images }) => format!(
            ": about {} and {} more test images would settle it",
            plural(repeats, "more seed"),
            super::text::count(images)
        ),
        Some(Outlook::UnknownRepeats) => ": one seed says nothing of others; run several".to_owned(),
        Some(Outlook::TooClose) => {
            ": too close for any reasonable number of seeds or images; declare a `report.margin` to ask for equivalence"
                .to_owned()
        }
        None if comparison.difference.interval.is_none() => ": one seed gives no interval".to_owned(),
        None => String::new(),
    };
    format!("inconclusive{among}{settle}")
}

/// The sentence of an arm that is compared with nothing.
pub fn alone(arm: &str, facet: &str, judged_by: &str, own: Option<Estimate>, verdict: Verdict) -> String {
    let at = if facet.is_empty() { String::new() } else { format!("At {facet}: ") };
    let (arm, what) = (name(arm), spoken(judged_by));
    match (own, verdict) {
        (None, _) => format!("{at}{arm} has no {what} of a chosen configuration yet."),
        (Some(own), Verdict::Baseline) => {
            format!("{at}{arm} is the baseline: {what} {} (mean of {}).", metric(own.mean), plural(own.n, "seed"))
        }
        (Some(own), _) => {
            format!("{at}{arm} reaches {what} {} (mean of {}).", metric(own.mean), plural(own.n, "seed"))
        }
    }
}
