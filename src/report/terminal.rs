//! The comparison in a few lines for the terminal.

use super::{
    Estimate, MeanCost, Summary,
    compare::on_test,
    text::{self, NONE, Table},
};

/// The comparison as a compact table, with a sentence an arm under it. Ends with a line break.
pub fn terminal(summary: &Summary) -> String {
    let chosen_by = if summary.judged_by == summary.metric { "chosen and compared by" } else { "chosen by" };
    let mut out = format!("{}: {chosen_by} {}", summary.experiment, text::spoken(&summary.metric));
    if summary.judged_by != summary.metric {
        out += &format!(", compared by {}", text::spoken(&summary.judged_by));
    }
    out += &format!("\n{}\n\n", compact(summary).plain());
    for arm in &summary.arms {
        out += &format!("{}\n", arm.sentence.replace('`', ""));
    }
    if !summary.failed.is_empty() {
        out += &format!("\n{} failed:\n", text::plural(summary.failed.len() as u64, "trial"));
        for failure in summary.failed.iter().take(10) {
            let reason = failure.error.lines().next().unwrap_or_default();
            out += &format!("  {} ({}, seed {}): {reason}\n", failure.trial, failure.arm, failure.seed);
        }
        if summary.failed.len() > 10 {
            out += &format!("  ... and {} more\n", summary.failed.len() - 10);
        }
    }
    out
}

/// Narrower than the page's table: three decimals, and of the costs those that people ask for first.
fn compact(summary: &Summary) -> Table {
    let test = on_test(&summary.metric).unwrap_or_default();
    let (val, on_test) = (text::spoken(&summary.metric), text::spoken(&test));
    let mut table = Table::new(&[
        "arm",
        "facet",
        &val,
        &on_test,
        "n",
        "difference",
        "95 % interval",
        "verdict",
        "time",
        "memory",
        "trained",
    ]);
    for arm in &summary.arms {
        let estimate = |name: &str| match arm.metrics.get(name) {
            Some(Estimate { mean, std: Some(std), .. }) => format!("{mean:.3} ± {std:.3}"),
            Some(Estimate { mean, .. }) => format!("{mean:.3}"),
            None => NONE.to_owned(),
        };
        let interval = arm.difference.and_then(|d| d.interval);
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        table.rows.push(vec![
            arm.arm.clone(),
            text::facet(&arm.facet),
            estimate(&summary.metric),
            estimate(&test),
            arm.metrics.get(&summary.judged_by).map_or(NONE.to_owned(), |estimate| estimate.n.to_string()),
            arm.difference.map_or(NONE.to_owned(), |d| format!("{:+.3}", d.mean)),
            interval.map_or(NONE.to_owned(), |[low, high]| format!("{low:+.3} to {high:+.3}")),
            arm.verdict.name().to_owned(),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::memory(c.peak_memory_bytes)),
            cost(|c| text::count(c.trained_parameters)),
        ]);
    }
    table.compact()
}
