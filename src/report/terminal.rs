//! The comparison in a few lines for the terminal.

use super::{
    Summary,
    compare::on_test,
    text::{self, NONE, Table},
    verdict,
};

/// The comparison as a compact table, with a sentence an arm under it. Ends with a line break.
pub fn terminal(summary: &Summary) -> String {
    let chosen_by = if summary.judged_by == summary.metric { "chosen and compared by" } else { "chosen by" };
    let mut out = format!("{}: {chosen_by} {}", summary.experiment, text::spoken(&summary.metric));
    if summary.judged_by != summary.metric {
        out += &format!(", compared by {}", text::spoken(&summary.judged_by));
    }
    out += &format!("\n{}\n\n", comparison(summary, summary.arms.iter()).compact().plain());
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

/// The main table: an arm a row.
pub(super) fn comparison<'a>(summary: &Summary, arms: impl Iterator<Item = &'a super::ArmSummary>) -> Table {
    let test = on_test(&summary.metric).unwrap_or_default();
    let against = summary.baseline.as_ref().map_or("difference".to_owned(), |b| format!("difference to {b}"));
    let (val, on_test) = (text::spoken(&summary.metric), text::spoken(&test));
    let mut table = Table::new(&[
        "arm",
        "facet",
        &val,
        &on_test,
        "seeds",
        &against,
        "95 % interval",
        "verdict",
        "time a trial",
        "peak memory",
        "trained parameters",
        "epochs",
    ]);
    for arm in arms {
        let estimate = |name: &str| arm.metrics.get(name).map_or(NONE.to_owned(), text::estimate);
        let judged = arm.metrics.get(&summary.judged_by);
        let difference = arm.difference.as_ref();
        let cost = |say: fn(&super::MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        let verdict = if arm.verdict == verdict::Verdict::NotCompared { NONE } else { arm.verdict.name() };
        table.rows.push(vec![
            arm.arm.clone(),
            text::facet(&arm.facet),
            estimate(&summary.metric),
            estimate(&test),
            judged.map_or(NONE.to_owned(), |estimate| estimate.n.to_string()),
            difference.map_or(NONE.to_owned(), |d| text::signed(d.mean)),
            difference.and_then(|d| d.interval).map_or(NONE.to_owned(), text::interval),
            verdict.to_owned(),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::memory(c.peak_memory_bytes)),
            cost(|c| text::count(c.trained_parameters)),
            cost(|c| text::mean_count(c.epochs)),
        ]);
    }
    table
}
