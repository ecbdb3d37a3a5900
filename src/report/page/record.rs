//! What ran, on what, how to run it again, and what not to conclude.

use crate::report::{
    ArmSummary, Study, Summary,
    compare::{by_facet, on_test},
    document::{Block, Section},
    parameters, results,
    text::{self, Table, name, plural, spoken},
};

/// Longer tables are cut; `trials.csv` has everything.
const ROWS_SHOWN: usize = 200;
const DIFF_LINES_SHOWN: usize = 200;

pub fn trials(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("trials", "All trials");
    let rows = &study.rows;
    if rows.is_empty() {
        return section;
    }
    let test = on_test(&summary.metric).filter(|name| rows.iter().any(|row| row.metrics.contains_key(name)));
    let metrics: Vec<&str> = std::iter::once(summary.metric.as_str()).chain(test.as_deref()).collect();
    let table = results::trials(&rows[..rows.len().min(ROWS_SHOWN)], &metrics);
    section.push(Block::Details(plural(rows.len() as u64, "trial"), vec![Block::Table(table)]));
    if rows.len() > ROWS_SHOWN {
        section.paragraph(format!("{} more: see `trials.csv`.", plural((rows.len() - ROWS_SHOWN) as u64, "trial")));
    }
    let constant = parameters::constant(rows);
    if !constant.is_empty() {
        let mut table = Table::new(&["parameter", "value", "arms"]);
        for parameter in constant {
            let arms = if parameter.arms.is_empty() { "all".to_owned() } else { parameter.arms.join(", ") };
            table.rows.push(vec![parameter.name, text::value(&parameter.value), arms]);
        }
        section.push(Block::Details("The same in every trial".to_owned(), vec![Block::Table(table)]));
    }
    if !summary.failed.is_empty() {
        section.heading("Failed");
        let line = |failure: &crate::report::Failure| {
            let reason = failure.error.replace(['\n', '\r'], " ");
            format!("{} ({}, seed {}): {}", name(&failure.trial), name(&failure.arm), failure.seed, name(&reason))
        };
        section.push(Block::List(summary.failed.iter().take(ROWS_SHOWN).map(line).collect()));
    }
    section
}

pub fn data(study: &Study) -> Section {
    let mut section = Section::new("data", "Data");
    if !study.context.data.is_empty() {
        section.push(Block::List(study.context.data.clone()));
    }
    section
}

pub fn caveats(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("caveats", "Caveats");
    let context = &study.context;
    let mut notes = Vec::new();
    let seeds: Vec<String> = context.seeds.iter().map(u64::to_string).collect();
    notes.push(format!(
        "The {} ({}) vary head initialisation, the initialisation of networks from scratch, batch order and dropout. They do not vary the split, the augmented views and the pretrained weights: of those there is one draw.",
        plural(context.seeds.len() as u64, "seed"),
        seeds.join(", ")
    ));
    notes.extend(sampling_error(summary));
    let tried: Vec<String> = by_facet(summary)
        .into_iter()
        .flat_map(|(_, arms)| arms)
        .map(|arm: &ArmSummary| {
            let at = if arm.facet.is_empty() { String::new() } else { format!(" ({})", text::facet(&arm.facet)) };
            format!("{}{at} {}", name(&arm.arm), arm.configurations)
        })
        .collect();
    notes.push(format!(
        "The configuration of each arm was chosen by {}, which therefore flatters it, the more so the more were tried. Configurations tried: {}.",
        spoken(&summary.metric),
        tried.join(", ")
    ));
    let looks = summary.looks;
    notes.push(match looks.models {
        0 => "The test split was not looked at: it is evaluated only once a configuration is selected.".to_owned(),
        models => {
            let early = match looks.unsealed {
                0 => String::new(),
                n => format!(", {} of them before the end of a run (`--unseal`)", text::count(n)),
            };
            format!(
                "The test split ({}) was looked at with {} of {}{early}. Every look that influenced a decision makes its figures more optimistic.",
                plural(context.test_images, "image"),
                plural(models, "model"),
                plural(looks.experiments, "experiment")
            )
        }
    });
    if summary.arms.iter().any(|arm| arm.trials.failed > 0) && study.rows.iter().any(|row| row.selected) {
        notes.push("Trials failed; means and intervals are over those that finished.".to_owned());
    }
    section.push(Block::List(notes));
    section
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
        "Another sample of {} would by itself move an accuracy of {} by about ±{} (binomial standard error); differences of arms on the same images move less.",
        plural(summary.test_images, "test image"),
        text::metric(best),
        text::metric(error)
    ))
}

pub fn provenance(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("provenance", "Provenance");
    let (context, from) = (&study.context, &study.context.provenance);
    let mut commands = String::new();
    if let Some(commit) = &summary.commit {
        commands += &format!("git checkout {commit}\n");
    }
    commands += &format!("thawline run {}\n", context.file);
    section.paragraph("To run it again:");
    section.push(Block::Code("sh", commands));
    section.paragraph(match (&summary.commit, summary.dirty) {
        (Some(_), true) => {
            "**The working tree was dirty**: files differed from that commit, so the commit alone does not reproduce this."
        }
        (Some(_), false) => "The working tree was clean at that commit.",
        (None, _) => "This was not run inside a git repository, so no commit is on record.",
    });
    let mut facts = Table::new(&["", "value"]);
    let mut fact = |what: &str, value: Option<String>| {
        facts.rows.extend(value.filter(|v| !v.is_empty()).map(|value| vec![what.to_owned(), value]));
    };
    fact("thawline", Some(from.thawline.clone()));
    fact("libtorch", from.libtorch.clone());
    fact("class of processor", from.device.clone());
    fact(
        "test split",
        Some(from.test_splits.iter().map(|d| d.chars().take(16).collect::<String>()).collect::<Vec<_>>().join(", ")),
    );
    section.table(facts);
    for (path, text) in &from.sources {
        section.push(Block::Details(format!("{} as it was run", name(path)), vec![Block::Code("yaml", text.clone())]));
    }
    if let Some(diff) = &from.diff {
        let all = diff.lines().count();
        let mut shown: Vec<&str> = diff.lines().take(DIFF_LINES_SHOWN).collect();
        let rest = format!("... {} more lines", all.saturating_sub(DIFF_LINES_SHOWN));
        if all > DIFF_LINES_SHOWN {
            shown.push(&rest);
        }
        section.push(Block::Details(
            "What differed from the commit".to_owned(),
            vec![Block::Code("diff", shown.join("\n"))],
        ));
    }
    section
}
