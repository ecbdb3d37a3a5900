//! The verdict, the comparison it rests on, and what was chosen.

use std::collections::BTreeMap;

use super::{colour, labelled};
use crate::report::{
    ArmSummary, Basis, Comparison, Estimate, MeanCost, Study, Summary,
    compare::{by_facet, on_test, side_by_side},
    document::{Block, Figure, Section},
    figures,
    text::{self, NONE, Table, name, plural, spoken},
};

/// Longer tables are cut; `trials.csv` has everything.
const CONFIGURATIONS_SHOWN: usize = 20;

pub fn verdict(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("verdict", "Verdict");
    let mut said: Vec<String> = summary.arms.iter().map(|arm| arm.sentence.clone()).collect();
    let against_baseline = |c: &&Comparison| Some(&c.against) == summary.baseline.as_ref();
    said.extend(summary.comparisons.iter().filter(|c| !against_baseline(c)).map(|c| c.sentence.clone()));
    if said.is_empty() {
        section.paragraph("There are no trials yet.");
    } else {
        section.push(Block::List(said));
    }
    let counts = summary.trials;
    if counts.failed + counts.pending > 0 {
        let all = plural(counts.done + counts.failed + counts.pending, "trial");
        section.paragraph(format!(
            "**Incomplete:** of {all}, {} failed and {} did not run yet.",
            counts.failed, counts.pending
        ));
    }
    let notices = study.context.sealed.iter().chain(&study.context.notices).chain(&study.evidence.notes);
    notices.for_each(|notice| section.push(Block::Note(notice.clone())));
    section
}

pub fn comparison(summary: &Summary) -> Section {
    let mut section = Section::new("comparison", "Comparison");
    let facets = by_facet(summary);
    if facets.len() > 1 {
        section.paragraph(format!("{} side by side:", spoken(&summary.judged_by)));
        side_by_side(summary).into_iter().for_each(|table| section.table(table));
    }
    for (label, arms) in facets {
        if !label.is_empty() {
            section.heading(label);
        }
        section.table(arms_table(summary, &arms));
    }
    let chosen =
        if summary.judged_by == summary.metric { "Chosen and compared" } else { "Chosen on validation, compared" };
    section.paragraph(format!(
        "Mean ± sample standard deviation (number of seeds) of the chosen configuration. {chosen} by {}.",
        spoken(&summary.judged_by)
    ));
    section.table(pairs(summary));
    if !summary.comparisons.is_empty() {
        section.paragraph(how_sure(summary));
        let row = |c: &Comparison| figures::Interval {
            name: labelled(&format!("{} - {}", c.arm, c.against), &c.facet),
            colour: colour(summary, &c.arm),
            mean: c.difference.mean,
            bounds: c.difference.interval,
        };
        let rows: Vec<figures::Interval> = summary.comparisons.iter().take(40).map(row).collect();
        let axis = format!("difference in {}", spoken(&summary.judged_by));
        let caption = format!("Differences in {} with 95 % intervals", spoken(&summary.judged_by));
        if let Some(svg) = figures::intervals(&caption, &axis, &rows, summary.margin) {
            section.push(Block::Figure(Figure { name: "differences", caption, svg }));
        }
    }
    if let Some(found) = &summary.ranks {
        section.paragraph(format!(
            "**Over {}**: Friedman's test of equal ranks gives p = {}; mean ranks that are {:.2} apart differ (Nemenyi, 95 %).",
            plural(found.ranks.data_sets, "experiment"),
            text::p(found.ranks.p),
            found.ranks.critical_difference
        ));
        let mut table = Table::new(&["arm", "mean rank"]);
        table.rows = found
            .arms
            .iter()
            .zip(&found.ranks.mean)
            .map(|(arm, rank)| vec![arm.clone(), format!("{rank:.2}")])
            .collect();
        section.table(table);
    }
    other_metrics(&mut section, summary);
    under_conditions(&mut section, summary);
    section
}

/// An arm a row.
fn arms_table(summary: &Summary, arms: &[&ArmSummary]) -> Table {
    let test = on_test(&summary.metric).unwrap_or_default();
    let against = summary.baseline.as_ref().map_or("difference".to_owned(), |b| format!("difference to {b}"));
    let (val, on_test) = (spoken(&summary.metric), spoken(&test));
    let mut table = Table::new(&[
        "arm",
        &val,
        &on_test,
        &against,
        "95 % interval",
        "verdict",
        "time a trial",
        "peak memory",
        "trained parameters",
        "epochs",
    ]);
    for arm in arms {
        let estimate = |name: &str| arm.metrics.get(name).map_or(NONE.to_owned(), text::counted);
        let difference = arm.difference.as_ref();
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        table.rows.push(vec![
            arm.arm.clone(),
            estimate(&summary.metric),
            estimate(&test),
            difference.map_or(NONE.to_owned(), |d| text::signed(d.mean)),
            difference.and_then(|d| d.interval).map_or(NONE.to_owned(), text::interval),
            arm.verdict.name().to_owned(),
            cost(|c| text::duration(c.seconds)),
            cost(|c| text::memory(c.peak_memory_bytes)),
            cost(|c| text::count(c.trained_parameters)),
            cost(|c| text::mean_count(c.epochs)),
        ]);
    }
    table
}

/// A pair of arms a row.
fn pairs(summary: &Summary) -> Table {
    let mut table = Table::new(&[
        "pair",
        "facet",
        "difference",
        "95 % interval",
        "Holm's p",
        "over seeds alone",
        "effect g",
        "errors removed",
        "due to images",
        "McNemar p",
        "verdict",
    ]);
    for pair in &summary.comparisons {
        let or_none = |value: Option<String>| value.unwrap_or_else(|| NONE.to_owned());
        let share = |value: f64| format!("{:.0} %", 100.0 * value + 0.0);
        table.rows.push(vec![
            format!("{} - {}", pair.arm, pair.against),
            text::facet(&pair.facet),
            text::signed(pair.difference.mean),
            or_none(pair.difference.interval.map(text::interval)),
            or_none(pair.p_adjusted.map(text::p)),
            or_none(pair.difference.over_repeats.map(text::interval)),
            or_none(pair.effect_size.map(|g| format!("{g:.1}"))),
            or_none(pair.error_reduction.map(share)),
            or_none(pair.components.filter(|c| c.repeats.is_some()).map(|c| share(c.image_share()))),
            or_none(pair.mcnemar.map(|test| text::p(test.p))),
            pair.verdict.name().to_owned(),
        ]);
    }
    table
}

/// What the columns of [`pairs`] are.
fn how_sure(summary: &Summary) -> String {
    let has = |basis: Basis| summary.comparisons.iter().any(|c| c.difference.basis == basis);
    let mut said = Vec::new();
    if has(Basis::ImagesAndRepeats) {
        said.push("Intervals are over other images and other seeds: images are resampled for all seeds at once (crossed bootstrap, variance components after Obuchowski & Rockette, degrees of freedom after Hillis).");
    }
    if has(Basis::Images) {
        said.push("With one seed an arm, intervals are over other images only.");
    }
    if has(Basis::Repeats) {
        said.push("Where predictions are not at hand, intervals are Student's t over seeds, on this test set.");
    }
    if has(Basis::Folds) {
        said.push("Over folds, intervals are the corrected resampled t (Nadeau & Bengio 2003).");
    }
    said.push("\"Over seeds alone\" takes these images as given. p is adjusted by Holm over all pairs that stand together; a verdict needs both the interval and p.");
    said.join(" ")
}

/// Every metric of the chosen configurations on the split that arms are compared on.
fn other_metrics(section: &mut Section, summary: &Summary) {
    let split = summary.judged_by.rsplit_once('/').map_or("", |(split, _)| split);
    let of_split =
        |name: &&String| name.rsplit_once('/').is_some_and(|(s, _)| s == split) && **name != summary.judged_by;
    let mut names: Vec<&String> = summary.arms.iter().flat_map(|arm| arm.metrics.keys()).filter(of_split).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    let mut header = vec!["arm".to_owned(), "facet".to_owned()];
    header.extend(names.iter().map(|name| spoken(name.rsplit('/').next().unwrap_or(name))));
    let row = |arm: &ArmSummary| {
        let mut cells = vec![arm.arm.clone(), text::facet(&arm.facet)];
        cells.extend(names.iter().map(|name| arm.metrics.get(*name).map_or(NONE.to_owned(), text::estimate)));
        cells
    };
    section.heading(format!("Other metrics on {split}"));
    section.table(Table { header, rows: summary.arms.iter().map(row).collect() });
}

/// The accuracy of every arm under each condition of `evaluate: { conditions }`, from severity 1 to 5.
fn under_conditions(section: &mut Section, summary: &Summary) {
    let mut table = Table::new(&["arm", "facet", "condition", "1", "2", "3", "4", "5"]);
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
            table.rows.push(cells);
        }
    }
    if !table.rows.is_empty() {
        section.heading("Accuracy on test under conditions, by severity");
        section.table(table);
    }
}

pub fn configurations(summary: &Summary) -> Section {
    let mut section = Section::new("configurations", "Chosen configurations");
    let mut names: Vec<&String> = Vec::new();
    for name in summary.configurations.iter().flat_map(|c| c.params.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let metric = spoken(&summary.metric);
    let mut header = vec!["arm", "facet"];
    header.extend(names.iter().map(|name| name.as_str()));
    header.extend([&metric, "", "configuration"]);
    let mut table = Table::new(&header);
    let mut left_out = 0;
    for arm in &summary.arms {
        let of_arm: Vec<_> =
            summary.configurations.iter().filter(|c| c.arm == arm.arm && c.facet == arm.facet).collect();
        left_out += of_arm.len().saturating_sub(CONFIGURATIONS_SHOWN);
        for configuration in of_arm.into_iter().take(CONFIGURATIONS_SHOWN) {
            let mut cells = vec![configuration.arm.clone(), text::facet(&configuration.facet)];
            cells.extend(names.iter().map(|k| configuration.params.get(*k).map_or(NONE.to_owned(), text::value)));
            cells.push(configuration.estimate.as_ref().map_or(NONE.to_owned(), text::counted));
            cells.push(if configuration.selected { "chosen" } else { "" }.to_owned());
            cells.push(configuration.configuration.clone());
            table.rows.push(cells);
        }
    }
    if table.rows.is_empty() {
        return section;
    }
    section.paragraph(format!("By {metric}; the test split had no say."));
    section.table(table);
    if left_out > 0 {
        section.paragraph(format!("{} more: see `trials.csv`.", plural(left_out as u64, "configuration")));
    }
    budgets(&mut section, summary);
    section
}

/// Searches of unequal size, and what equal ones would have found.
fn budgets(section: &mut Section, summary: &Summary) {
    let tried: Vec<&ArmSummary> = summary.arms.iter().filter(|arm| !arm.expected_best.is_empty()).collect();
    let sizes = || tried.iter().map(|arm| arm.expected_best.len());
    let (Some(least), Some(most)) = (sizes().min(), sizes().max()) else { return };
    if most < 2 {
        return;
    }
    let metric = spoken(&summary.metric);
    let say = |arm: &&ArmSummary| {
        let label = labelled(&arm.arm, &arm.facet);
        format!("{} {}", name(&label), text::metric(arm.expected_best[least - 1]))
    };
    let at_least: Vec<String> = tried.iter().map(say).collect();
    if least < most {
        section.push(Block::Note(format!(
            "**Unequal budgets**: arms tried {least} to {most} configurations. Had each tried {least}, the expected best {metric} would be {} (Dodge et al. 2019).",
            at_least.join(", ")
        )));
    }
    let series = tried.iter().filter(|arm| arm.expected_best.len() > 1).map(|arm| figures::Series {
        name: labelled(&arm.arm, &arm.facet),
        colour: colour(summary, &arm.arm),
        mark: figures::Mark::Dotted,
        points: arm.expected_best.iter().enumerate().map(|(i, score)| [i as f64 + 1.0, *score]).collect(),
    });
    let caption = format!("Expected best {metric} against the number of configurations tried");
    let chart = figures::Chart {
        caption: caption.clone(),
        x: "configurations tried",
        y: metric.clone(),
        series: series.collect(),
        ..figures::Chart::default()
    };
    if let Some(svg) = chart.svg().filter(|_| most > 2) {
        section.push(Block::Figure(Figure { name: "budget", caption, svg }));
    }
}
