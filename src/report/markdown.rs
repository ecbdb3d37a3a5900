//! `report.md`: the comparison as a page that reads well on GitHub.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::Result;

use super::{
    ArmSummary, Context, MeanCost, Row, Summary,
    compare::{by_facet, on_test, side_by_side},
    parameters, results,
    statistics::Estimate,
    text::{self, NONE, Table, escape, plural, spoken},
    verdict,
};

/// Longer tables are cut; `trials.csv` has everything.
const ROWS_SHOWN: usize = 200;
const CONFIGURATIONS_SHOWN: usize = 20;

/// The whole page.
pub fn page(rows: &[Row], context: &Context, summary: &Summary) -> Result<String> {
    let mut out = format!("# {}\n\n", escape(&summary.experiment));
    if let Some(description) = &context.description {
        let _ = writeln!(out, "{}\n", description.trim());
    }
    out += &verdicts(context, summary);
    out += &comparisons(summary)?;
    out += &other_metrics(summary);
    out += &under_conditions(summary);
    out += &configurations(summary);
    out += &trials(rows, summary);
    out += &cost(summary);
    out += &data(context);
    out += &reproduce(context, summary);
    out += &caveats(rows, context, summary);
    Ok(out)
}

fn verdicts(context: &Context, summary: &Summary) -> String {
    let mut out = String::from("## Verdict\n\n");
    for arm in &summary.arms {
        let _ = writeln!(out, "- {}", escape(&arm.sentence));
    }
    if summary.arms.is_empty() {
        out += "There are no trials yet.\n";
    }
    let counts = summary.trials;
    if counts.failed + counts.pending > 0 {
        let _ = write!(
            out,
            "\n**Incomplete:** of {}, {} failed and {} did not run yet.\n",
            plural(counts.done + counts.failed + counts.pending, "trial"),
            counts.failed,
            counts.pending
        );
    }
    for notice in &context.notices {
        let _ = write!(out, "\n> {}\n", escape(notice));
    }
    out + "\n"
}

fn comparisons(summary: &Summary) -> Result<String> {
    let mut out = String::from("## Comparison\n\n");
    let facets = by_facet(summary);
    if facets.len() > 1 {
        let _ = writeln!(out, "{} side by side:\n", spoken(&summary.judged_by));
        out += &side_by_side(summary)?.markdown();
        out += "\n";
    }
    for (label, arms) in facets {
        if !label.is_empty() {
            let _ = writeln!(out, "### {}\n", escape(&label));
        }
        out += &comparison(summary, &arms).markdown();
        out += "\n";
    }
    let _ = writeln!(
        out,
        "Mean ± sample standard deviation over the seeds of the chosen configuration. {} compared by {}; intervals are \
         Student's t, 95 %, {}, {}.\n",
        if summary.judged_by == summary.metric { "Chosen and" } else { "Chosen on validation," },
        spoken(&summary.judged_by),
        verdict::scope(&summary.judged_by),
        if summary.paired { "of the differences between trials of equal seed" } else { "unpaired (Welch)" }
    );
    Ok(out)
}

/// The main table: an arm a row.
fn comparison(summary: &Summary, arms: &[&ArmSummary]) -> Table {
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
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        table.rows.push(vec![
            arm.arm.clone(),
            text::facet(&arm.facet),
            estimate(&summary.metric),
            estimate(&test),
            judged.map_or(NONE.to_owned(), |estimate| estimate.n.to_string()),
            difference.map_or(NONE.to_owned(), |d| text::signed(d.mean)),
            difference.and_then(|d| d.interval).map_or(NONE.to_owned(), text::interval),
            arm.verdict.name().to_owned(),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::memory(c.peak_memory_bytes)),
            cost(|c| text::count(c.trained_parameters)),
            cost(|c| text::mean_count(c.epochs)),
        ]);
    }
    table.compact()
}

/// Every metric of the chosen configurations on the split that arms are compared on.
fn other_metrics(summary: &Summary) -> String {
    let split = summary.judged_by.rsplit_once('/').map_or("", |(split, _)| split);
    let of_split =
        |name: &&String| name.rsplit_once('/').is_some_and(|(s, _)| s == split) && **name != summary.judged_by;
    let mut names: Vec<&String> = summary.arms.iter().flat_map(|arm| arm.metrics.keys()).filter(of_split).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return String::new();
    }
    let short = |name: &String| spoken(name.rsplit('/').next().unwrap_or(name));
    let mut header = vec!["arm".to_owned(), "facet".to_owned()];
    header.extend(names.iter().map(|name| short(name)));
    let row = |arm: &ArmSummary| {
        let mut cells = vec![arm.arm.clone(), text::facet(&arm.facet)];
        cells.extend(names.iter().map(|name| arm.metrics.get(*name).map_or(NONE.to_owned(), text::estimate)));
        cells
    };
    let table = Table { header, rows: summary.arms.iter().map(row).collect() };
    format!("### Other metrics on {split}\n\n{}\n", table.compact().markdown())
}

/// The accuracy of every arm under each condition of `evaluate: { conditions }`, from severity 1 to 5.
fn under_conditions(summary: &Summary) -> String {
    let mut rows = Vec::new();
    for arm in &summary.arms {
        let mut conditions: BTreeMap<&str, [Option<&Estimate>; 5]> = BTreeMap::new();
        for (name, estimate) in &arm.metrics {
            let Some((condition, severity)) = name.split_once("/condition/").and_then(|(_, rest)| rest.split_once('/'))
            else {
                continue;
            };
            let cells = conditions.entry(condition).or_default();
            let index = severity.parse::<usize>().ok().and_then(|severity| severity.checked_sub(1));
            if let Some(cell) = index.and_then(|index| cells.get_mut(index)) {
                *cell = Some(estimate);
            }
        }
        for (condition, estimates) in conditions {
            let mut cells = vec![arm.arm.clone(), text::facet(&arm.facet), spoken(condition)];
            cells.extend(estimates.map(|estimate| estimate.map_or(NONE.to_owned(), text::estimate)));
            rows.push(cells);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let header = ["arm", "facet", "condition", "1", "2", "3", "4", "5"].map(str::to_owned).to_vec();
    let table = Table { header, rows };
    format!("### Accuracy on test under conditions, by severity\n\n{}\n", table.compact().markdown())
}

fn configurations(summary: &Summary) -> String {
    let mut names: Vec<&String> = Vec::new();
    for name in summary.configurations.iter().flat_map(|c| c.params.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let metric = spoken(&summary.metric);
    let mut header = vec!["arm", "facet"];
    header.extend(names.iter().map(|name| name.as_str()));
    header.extend([&metric, "seeds", "", "configuration"]);
    let mut table = Table::new(&header);
    let mut left_out = 0;
    for arm in &summary.arms {
        let of_arm: Vec<_> =
            summary.configurations.iter().filter(|c| c.arm == arm.arm && c.facet == arm.facet).collect();
        left_out += of_arm.len().saturating_sub(CONFIGURATIONS_SHOWN);
        for configuration in of_arm.into_iter().take(CONFIGURATIONS_SHOWN) {
            let mut cells = vec![configuration.arm.clone(), text::facet(&configuration.facet)];
            cells.extend(names.iter().map(|k| configuration.params.get(*k).map_or(NONE.to_owned(), text::value)));
            cells.push(configuration.estimate.as_ref().map_or(NONE.to_owned(), text::estimate));
            cells.push(configuration.estimate.map_or(0, |estimate| estimate.n).to_string());
            cells.push(if configuration.selected { "**chosen**" } else { "" }.to_owned());
            cells.push(configuration.configuration.clone());
            table.rows.push(cells);
        }
    }
    let mut out = format!("## Chosen configurations\n\nBy {metric}; the test split had no say.\n\n");
    out += &table.compact().markdown();
    if left_out > 0 {
        let _ = write!(out, "\n{} more: see `trials.csv`.\n", plural(left_out as u64, "configuration"));
    }
    out + "\n"
}

fn trials(rows: &[Row], summary: &Summary) -> String {
    let test = on_test(&summary.metric).filter(|name| rows.iter().any(|row| row.metrics.contains_key(name)));
    let metrics: Vec<&str> = std::iter::once(summary.metric.as_str()).chain(test.as_deref()).collect();
    let mut table = results::trials(rows, &metrics);
    table.rows.truncate(ROWS_SHOWN);
    let table = table.markdown();
    let mut out = String::from("## All trials\n\n");
    if rows.len() > 30 {
        let _ = write!(
            out,
            "<details>\n<summary>{}</summary>\n\n{table}\n</details>\n",
            plural(rows.len() as u64, "trial")
        );
    } else {
        out += &table;
    }
    if rows.len() > ROWS_SHOWN {
        let _ = write!(out, "\n{} more: see `trials.csv`.\n", plural((rows.len() - ROWS_SHOWN) as u64, "trial"));
    }
    let constant = parameters::constant(rows);
    if !constant.is_empty() {
        let mut table = Table::new(&["parameter", "value", "arms"]);
        for parameter in constant {
            let arms = if parameter.arms.is_empty() { "all".to_owned() } else { parameter.arms.join(", ") };
            table.rows.push(vec![parameter.name, text::value(&parameter.value), arms]);
        }
        let _ = write!(out, "\nThe same in every trial:\n\n{}", table.markdown());
    }
    if !summary.failed.is_empty() {
        out += "\n### Failed\n\n";
        for failure in summary.failed.iter().take(ROWS_SHOWN) {
            let reason = failure.error.replace(['\n', '\r'], " ").replace('`', "'");
            let _ = writeln!(out, "- {} ({}, seed {}): `{reason}`", failure.trial, failure.arm, failure.seed);
        }
    }
    out + "\n"
}

fn cost(summary: &Summary) -> String {
    let mut table = Table::new(&[
        "arm",
        "facet",
        "time a trial",
        "CPU time",
        "peak memory",
        "trained parameters",
        "of",
        "epochs",
        "images seen",
        "configurations",
        "trials done",
        "all its trials",
    ]);
    for arm in &summary.arms {
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        table.rows.push(vec![
            arm.arm.clone(),
            text::facet(&arm.facet),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::duration(c.cpu_seconds)),
            cost(|c| text::memory(c.peak_memory_bytes)),
            cost(|c| text::count(c.trained_parameters)),
            cost(|c| text::count(c.total_parameters)),
            cost(|c| text::mean_count(c.epochs)),
            cost(|c| text::mean_count(c.images_seen)),
            text::count(arm.configurations),
            text::count(arm.trials.done),
            text::duration(arm.search_seconds),
        ]);
    }
    format!(
        "## Cost\n\n{}\nOf one trial of the chosen configuration, computed alone; the last column sums all trials of the arm. \
         Computed one by one, the {} would take {}; shared work is computed once, and the run took {} of wall time.\n\n",
        table.compact().markdown(),
        plural(summary.trials.done, "finished trial"),
        text::duration(summary.alone_seconds),
        text::duration(summary.wall_seconds)
    )
}

fn data(context: &Context) -> String {
    if context.data.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = context.data.iter().map(|line| format!("- {}\n", escape(line))).collect();
    format!("## Data\n\n{}\n", lines.concat())
}

fn reproduce(context: &Context, summary: &Summary) -> String {
    let mut out = String::from("## How to reproduce\n\n```sh\n");
    if let Some(commit) = &summary.commit {
        let _ = writeln!(out, "git checkout {commit}");
    }
    let _ = writeln!(out, "thawline run {}\n```\n", context.file);
    match (&summary.commit, summary.dirty) {
        (Some(_), true) => {
            out += "**The working tree was dirty**: files differed from that commit, so the commit alone does not reproduce \
                    this.\n\n";
        }
        (Some(_), false) => out += "The working tree was clean at that commit.\n\n",
        (None, _) => out += "This was not run inside a git repository, so no commit is on record.\n\n",
    }
    out
}

fn caveats(rows: &[Row], context: &Context, summary: &Summary) -> String {
    let mut notes = Vec::new();
    let seeds: Vec<String> = context.seeds.iter().map(u64::to_string).collect();
    notes.push(format!(
        "The {} ({}) vary head initialisation, the initialisation of networks from scratch, batch order and dropout. The \
         split and the augmented views stay the same, so the intervals say nothing about other images.",
        plural(context.seeds.len() as u64, "seed"),
        seeds.join(", ")
    ));
    notes.extend(sampling_error(summary));
    let tried: Vec<String> = by_facet(summary)
        .into_iter()
        .flat_map(|(_, arms)| arms)
        .map(|arm| {
            let at = if arm.facet.is_empty() { String::new() } else { format!(" ({})", text::facet(&arm.facet)) };
            format!("{}{at} {}", arm.arm, arm.configurations)
        })
        .collect();
    notes.push(format!(
        "The configuration of each arm was chosen by {}, which therefore flatters it, the more so the more were tried. \
         Configurations tried: {}.",
        spoken(&summary.metric),
        tried.join(", ")
    ));
    notes.push(match summary.looks {
        0 => "The test split was not looked at: it is evaluated only once a configuration is selected.".to_owned(),
        looks => format!(
            "The test split ({}) was looked at {}, over all experiments. Every look that influenced a decision makes its \
             figures more optimistic.",
            plural(context.test_images, "image"),
            plural(looks, "time")
        ),
    });
    if summary.arms.iter().any(|arm| arm.trials.failed > 0) && rows.iter().any(|row| row.selected) {
        notes.push("Trials failed; means and intervals are over those that finished.".to_owned());
    }
    let lines: Vec<String> = notes.iter().map(|note| format!("- {}\n", escape(note))).collect();
    format!("## Caveats\n\n{}", lines.concat())
}

/// How far accuracy moves with another sample of as many test images: the binomial standard error of the best arm.
fn sampling_error(summary: &Summary) -> Option<String> {
    let is_accuracy = summary.judged_by.ends_with("test/accuracy");
    let means = summary.arms.iter().filter_map(|arm| Some(arm.metrics.get(&summary.judged_by)?.mean));
    let best = means.fold(None, |best: Option<f64>, mean| Some(best.map_or(mean, |best| best.max(mean))))?;
    if !is_accuracy || summary.test_images == 0 {
        return None;
    }
    let error = (best * (1.0 - best) / summary.test_images as f64).sqrt();
    Some(format!(
        "Another sample of {} would by itself move an accuracy of {} by about ±{} (binomial standard error), on top of what \
         the seeds do.",
        plural(summary.test_images, "test image"),
        text::metric(best),
        text::metric(error)
    ))
}
