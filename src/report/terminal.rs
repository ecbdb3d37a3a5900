//! The comparison on one screen of a terminal.

use super::{
    ArmSummary, Configuration, Estimate, MeanCost, Summary, Verdict,
    compare::on_test,
    text::{self, NONE, Table},
};

/// Sentences and failures that are shown; the page has all.
const LINES: usize = 12;

/// How the terminal is.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In columns; `None` where output goes to a file or a pipe.
    pub width: Option<usize>,
    pub colour: bool,
}

/// A table as wide as the screen allows, what the verdict is, and what went wrong. Ends with a line break.
pub fn terminal(summary: &Summary, screen: Screen) -> String {
    let chosen_by = if summary.judged_by == summary.metric { "chosen and compared by" } else { "chosen by" };
    let mut out = format!("{}: {chosen_by} {}", summary.experiment, text::spoken(&summary.metric));
    if summary.judged_by != summary.metric {
        out += &format!(", compared by {}", text::spoken(&summary.judged_by));
    }
    out += &format!("\n{}\n\n", fitting(table(summary), screen.width).plain());
    let against_baseline = |arm: &&ArmSummary| arm.verdict != Verdict::NotCompared || summary.comparisons.is_empty();
    let mut said: Vec<(&str, Verdict)> =
        summary.arms.iter().filter(against_baseline).map(|arm| (arm.sentence.as_str(), arm.verdict)).collect();
    let others = summary.comparisons.iter().filter(|c| summary.baseline.as_ref() != Some(&c.against));
    said.extend(others.map(|c| (c.sentence.as_str(), c.verdict)));
    for (sentence, verdict) in said.iter().take(LINES) {
        out += &painted(&wrapped(&sentence.replace('`', ""), screen.width), *verdict, screen.colour);
        out += "\n";
    }
    if said.len() > LINES {
        out += &format!("... and {} more in the report\n", said.len() - LINES);
    }
    if let Some(sealed) = &summary.sealed {
        out += &format!("{}\n", wrapped(&sealed.replace('`', ""), screen.width));
    }
    if summary.alone_seconds > summary.computed.seconds && summary.computed.nodes > 0 {
        let line = format!(
            "Sharing saved {:.0} % of the computing: {} instead of {}.",
            100.0 * (1.0 - summary.computed.seconds / summary.alone_seconds),
            text::duration(summary.computed.seconds),
            text::duration(summary.alone_seconds)
        );
        out += &format!("{}\n", wrapped(&line, screen.width));
    }
    if !summary.failed.is_empty() {
        out += &format!("\n{} failed:\n", text::plural(summary.failed.len() as u64, "trial"));
        for failure in summary.failed.iter().take(LINES) {
            let reason = failure.error.lines().next().unwrap_or_default();
            let line = format!("  {} ({}, seed {}): {reason}", failure.trial, failure.arm, failure.seed);
            out += &format!("{}\n", wrapped(&line, screen.width));
        }
        if summary.failed.len() > LINES {
            out += &format!("  ... and {} more\n", summary.failed.len() - LINES);
        }
    }
    out
}

fn painted(text: &str, verdict: Verdict, colour: bool) -> String {
    let code = match verdict {
        Verdict::Better => "32",
        Verdict::Worse => "31",
        Verdict::Equivalent => "36",
        Verdict::Inconclusive => "33",
        Verdict::Baseline | Verdict::NotCompared => return text.to_owned(),
    };
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Lines of whole words, those after the first indented.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| *width > 20) else { return text.to_owned() };
    let mut lines = vec![String::new()];
    for (at, word) in text.split(' ').enumerate() {
        let Some(line) = lines.last_mut() else { break };
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(format!("  {word}"));
        } else {
            // Spaces at the start are an indentation.
            if at > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// What tells the chosen configurations apart first, then how they did; the columns that are missed least come last.
fn table(summary: &Summary) -> Table {
    let chosen = |arm: &ArmSummary| -> Option<&Configuration> {
        summary.configurations.iter().find(|c| c.selected && c.arm == arm.arm && c.facet == arm.facet)
    };
    let mut params: Vec<&String> = Vec::new();
    for name in summary.arms.iter().filter_map(chosen).flat_map(|c| c.params.keys()) {
        if !params.contains(&name) {
            params.push(name);
        }
    }
    let test = on_test(&summary.metric).unwrap_or_default();
    let (val, on_test) = (text::spoken(&summary.metric), text::spoken(&test));
    let mut header = vec!["arm", "facet"];
    header.extend(params.iter().map(|name| name.as_str()));
    header.extend([&val, &on_test, "difference", "95 % interval", "verdict", "time", "trained", "memory"]);
    let mut table = Table::new(&header);
    for arm in &summary.arms {
        let estimate = |name: &str| match arm.metrics.get(name) {
            Some(Estimate { mean, std: Some(std), n }) => format!("{mean:.3} ± {std:.3} ({n})"),
            Some(Estimate { mean, n, .. }) => format!("{mean:.3} ({n})"),
            None => NONE.to_owned(),
        };
        let interval = arm.difference.and_then(|d| d.interval);
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        let mut cells = vec![arm.arm.clone(), text::facet(&arm.facet)];
        let value = |name: &&String| chosen(arm).and_then(|c| c.params.get(*name)).map_or(NONE.to_owned(), text::value);
        cells.extend(params.iter().map(value));
        cells.extend([
            estimate(&summary.metric),
            estimate(&test),
            arm.difference.map_or(NONE.to_owned(), |d| format!("{:+.3}", d.mean)),
            interval.map_or(NONE.to_owned(), |[low, high]| format!("{low:+.3} to {high:+.3}")),
            arm.verdict.name().to_owned(),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::count(c.trained_parameters)),
            cost(|c| text::memory(c.peak_memory_bytes)),
        ]);
        table.rows.push(cells);
    }
    table.compact()
}

/// Without the last columns that would not fit.
fn fitting(mut table: Table, width: Option<usize>) -> Table {
    let Some(width) = width else { return table };
    while table.header.len() > 3 && table.width() > width {
        // The verdict stays, and what it is on.
        let least = ["memory", "trained", "time", "95 % interval", "difference"];
        let at = least.iter().find_map(|name| table.header.iter().position(|h| h == name));
        let at = at.unwrap_or(table.header.len() - 2);
        table.header.remove(at);
        table.rows.iter_mut().for_each(|row| drop(row.remove(at)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_wider_than_the_screen() {
        let text = "fine_tuning beats feature_extraction by 1.8 points of test accuracy [0.6, 3.0] (5 seeds, 525 test images).";
        let lines = wrapped(text, Some(40));
        assert!(lines.lines().all(|line| line.chars().count() <= 40), "{lines}");
        assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
        assert_eq!(wrapped(text, None), text);
        assert_eq!(wrapped("  indented", Some(40)), "  indented");
    }
}
