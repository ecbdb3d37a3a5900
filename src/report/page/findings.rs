//! What else the data holds: cost, fit, single images, scores by class and threshold.

use super::{colour, labelled};
use crate::{
    artifact::Split,
    report::{
        MeanCost, Study, Summary,
        document::{Block, Figure, Section},
        figures::{Chart, Mark, Series},
        findings::{ArmFindings, Mistake, Shape, Suspect, mean_curve},
        text::{self, NONE, Table, name, plural, spoken},
    },
};

const IMAGES_SHOWN: usize = 10;
const PICTURES_SHOWN: usize = 24;
/// Larger confusion matrices are not legible.
const CLASSES_SHOWN: usize = 20;

pub fn costs(summary: &Summary) -> Section {
    let mut section = Section::new("cost", "Cost");
    if summary.arms.is_empty() {
        return section;
    }
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
        "front",
    ]);
    for arm in &summary.arms {
        let cost = |say: fn(&MeanCost) -> String| arm.cost.as_ref().map_or(NONE.to_owned(), say);
        let offer = summary.findings.offers.iter().find(|o| o.arm == arm.arm && o.facet == arm.facet);
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
            offer.map_or(NONE, |offer| if offer.on_front { "on it" } else { "dominated" }).to_owned(),
        ]);
    }
    section.table(table);
    section.paragraph(
        "Of one trial of the chosen configuration, computed alone. An arm on the front is beaten by no other in both score and time.",
    );
    let saved = sharing(summary);
    section.paragraph(saved);
    let offers = summary.findings.offers.iter();
    let series = offers.map(|offer| Series {
        name: labelled(&offer.arm, &offer.facet),
        colour: colour(summary, &offer.arm),
        mark: Mark::Named,
        points: vec![[offer.seconds, offer.score]],
    });
    let caption = format!("{} against the time of a trial", spoken(&summary.judged_by));
    let y = spoken(&summary.judged_by);
    let chart = Chart { caption, x: "seconds a trial", y, log_x: true, series: series.collect(), ..Chart::default() };
    figure(&mut section, "cost", chart);
    section
}

fn sharing(summary: &Summary) -> String {
    let (alone, computed) = (summary.alone_seconds, summary.computed.seconds);
    let mut said = format!(
        "Computed one by one, the {} would take {}.",
        plural(summary.trials.done, "finished trial"),
        text::duration(alone)
    );
    if summary.computed.nodes > 0 && alone > computed {
        said += &format!(
            " Shared work was computed once: {} of computing instead of {} ({:.0} % saved), {} trained instead of {}.",
            text::duration(computed),
            text::duration(alone),
            100.0 * (1.0 - computed / alone),
            plural(summary.computed.epochs, "epoch"),
            text::count(summary.alone_epochs)
        );
    }
    said
}

fn figure(section: &mut Section, name: &'static str, chart: Chart) {
    if let Some(svg) = chart.svg() {
        section.push(Block::Figure(Figure { name, caption: chart.caption, svg }));
    }
}

pub fn fit(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("fit", "Fit");
    let said = summary.findings.arms.iter().filter_map(|arm| {
        let fit = arm.fit.as_ref()?;
        let what = match fit.shape {
            Shape::Diverged => "diverges",
            Shape::OverFits => "over-fits",
            Shape::Gap => "generalises with a gap",
            Shape::Unfinished => "was not finished",
            Shape::UnderFits => "under-fits",
            Shape::Sound => "fits soundly",
        };
        let helps = if fit.remedies.is_empty() {
            String::new()
        } else {
            format!(" Usual remedies: {}.", fit.remedies.join(", "))
        };
        Some(format!("{} **{what}**: {}.{helps}", name(&labelled(&arm.arm, &arm.facet)), fit.evidence))
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() {
        return section;
    }
    section.push(Block::List(said));
    let mut series = Vec::new();
    for arm in summary.findings.arms.iter().filter(|arm| arm.fit.is_some()) {
        let chosen = study.rows.iter().filter(|row| row.selected && row.arm == arm.arm && row.facet == arm.facet);
        let curves: Vec<_> = chosen.filter_map(|row| study.evidence.curves.curve(&row.trial)).collect();
        for (metric, mark) in [("train/loss", Mark::Dashed), ("val/loss", Mark::Line)] {
            let Some(curve) = mean_curve(&curves, metric) else { continue };
            series.push(Series {
                name: format!(
                    "{} {}",
                    labelled(&arm.arm, &arm.facet),
                    if mark == Mark::Line { "val" } else { "train" }
                ),
                colour: colour(summary, &arm.arm),
                mark,
                points: curve.iter().enumerate().map(|(i, value)| [i as f64 + 1.0, *value]).collect(),
            });
        }
    }
    let caption = "Training and validation loss of the chosen configurations, mean over seeds".to_owned();
    figure(&mut section, "curves", Chart { caption, x: "epoch", y: "loss".to_owned(), series, ..Chart::default() });
    section
}

fn mistakes(found: &[Mistake], columns: [&str; 3]) -> Table {
    let [took, confidence, right] = columns;
    let mut table = Table::new(&["image", "label", took, confidence, right]);
    for one in found.iter().take(IMAGES_SHOWN) {
        table.rows.push(vec![
            one.path.clone(),
            one.label.clone(),
            one.predicted.clone(),
            format!("{:.3}", one.confidence),
            format!("{} of {}", one.right, one.repeats),
        ]);
    }
    table
}

/// Pictures of them, by class.
fn gallery(study: &Study, split: Split, found: &[Mistake]) -> Block {
    let mut found: Vec<&Mistake> = found.iter().take(PICTURES_SHOWN).collect();
    found.sort_by(|a, b| a.label.cmp(&b.label));
    let picture = |one: &&Mistake| {
        let what = format!("{}, taken for {} ({:.2})", name(&one.label), name(&one.predicted), one.confidence);
        Some((study.evidence.pictures.thumbnail(split, &one.path)?, what))
    };
    Block::Gallery(found.iter().filter_map(picture).collect())
}

fn more(section: &mut Vec<Block>, all: usize) {
    if all > IMAGES_SHOWN {
        section.push(Block::Paragraph(format!(
            "{} more: see `predictions.csv`.",
            text::count((all - IMAGES_SHOWN) as u64)
        )));
    }
}

pub fn images(study: &Study, summary: &Summary) -> Section {
    let mut section = Section::new("images", "Images");
    let split = if summary.judged_by.contains("test/") { Split::Test } else { Split::Val };
    let findings = &summary.findings;
    for flips in &findings.flips {
        let (arm, against) = (name(&labelled(&flips.arm, &flips.facet)), name(&flips.against));
        let line = format!(
            "{arm} fixes {} that {against} gets wrong and breaks {} that it gets right, of {} (right in most seeds).",
            plural(flips.fixed.len() as u64, "image"),
            text::count(flips.broken.len() as u64),
            text::count(flips.images)
        );
        section.paragraph(line);
        for (what, found) in [("Fixed", &flips.fixed), ("Broken", &flips.broken)] {
            if found.is_empty() {
                continue;
            }
            let table = mistakes(found, ["was taken for", "with probability", "seeds right"]);
            let mut inner = vec![gallery(study, split, found), Block::Table(table)];
            more(&mut inner, found.len());
            section.push(Block::Details(format!("{what} by {arm}: {}", by_class(found)), inner));
        }
    }
    for arm in findings.arms.iter().filter(|arm| !arm.mistakes.is_empty()) {
        let table = mistakes(&arm.mistakes, ["taken for", "with probability", "seeds right"]);
        let title = format!("Most confident mistakes of {}", name(&labelled(&arm.arm, &arm.facet)));
        section.push(Block::Details(title, vec![gallery(study, split, &arm.mistakes), Block::Table(table)]));
    }
    if let Some(errors) = findings.label_errors.as_ref().filter(|errors| errors.count > 0) {
        section.paragraph(format!(
            "**Labels worth a look**: {} of {} that {} contradicts with confidence (confident learning, Northcutt et al. 2021; by the mean probabilities of its seeds). A model can be wrong too: look before you relabel.",
            plural(errors.count, "image"),
            text::count(errors.images),
            name(&errors.arm)
        ));
        let mut table = Table::new(&["image", "split", "label", "looks like", "margin"]);
        for one in errors.suspects.iter().take(IMAGES_SHOWN) {
            table.rows.push(vec![
                one.path.clone(),
                one.split.to_owned(),
                one.label.clone(),
                one.suggested.clone(),
                format!("{:.3}", one.margin),
            ]);
        }
        let picture = |one: &Suspect| {
            let split = if one.split == Split::Test.name() { Split::Test } else { Split::Val };
            let what = format!("labelled {}, looks like {}", name(&one.label), name(&one.suggested));
            Some((study.evidence.pictures.thumbnail(split, &one.path)?, what))
        };
        let pictures = errors.suspects.iter().take(PICTURES_SHOWN).filter_map(picture).collect();
        let mut inner = vec![Block::Gallery(pictures), Block::Table(table)];
        more(&mut inner, errors.suspects.len());
        section.push(Block::Details("The most suspect".to_owned(), inner));
    }
    section
}

/// `dark 3, bright 1`.
fn by_class(found: &[Mistake]) -> String {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    found.iter().for_each(|one| *counts.entry(&one.label).or_default() += 1);
    counts.iter().map(|(class, n)| format!("{} {n}", name(class))).collect::<Vec<_>>().join(", ")
}

pub fn scores(summary: &Summary) -> Section {
    let mut section = Section::new("classes", "Classes and confidence");
    let with = || summary.findings.arms.iter().filter(|arm| !arm.per_class.is_empty());
    let mut table = Table::new(&["arm", "facet", "class", "precision", "recall", "F1", "images"]);
    for (arm, class) in with().flat_map(|arm| arm.per_class.iter().take(CLASSES_SHOWN).map(move |class| (arm, class))) {
        let mut cells = vec![arm.arm.clone(), text::facet(&arm.facet), class.class.clone()];
        cells.extend([class.precision, class.recall, class.f1].map(text::metric));
        cells.push(text::count(class.support));
        table.rows.push(cells);
    }
    section.table(table);
    for arm in with().filter(|arm| arm.classes.len() <= CLASSES_SHOWN) {
        section.push(Block::Details(
            format!(
                "Confusion of {} (rows are true classes, mean counts over seeds)",
                name(&labelled(&arm.arm, &arm.facet))
            ),
            vec![Block::Table(confusion(arm))],
        ));
    }
    let chart =
        |caption: &str, x: &'static str, y: &str, points: &dyn Fn(&ArmFindings) -> Vec<[f64; 2]>, mark: Mark| Chart {
            caption: caption.to_owned(),
            x,
            y: y.to_owned(),
            log_x: false,
            unit_square: true,
            series: with()
                .map(|arm| Series {
                    name: labelled(&arm.arm, &arm.facet),
                    colour: colour(summary, &arm.arm),
                    mark,
                    points: points(arm),
                })
                .filter(|series| !series.points.is_empty())
                .collect(),
        };
    let bins = |arm: &ArmFindings| arm.reliability.iter().map(|bin| [bin.confidence, bin.accuracy]).collect();
    let of = with().next().map_or(String::new(), |arm| match arm.classes.as_slice() {
        [_, second] => format!(" of class {second}"),
        _ => " of every class against the rest".to_owned(),
    });
    let reliability = chart(
        "Reliability: the part that is right against the confidence; below the diagonal is over-confident",
        "confidence",
        "part that is right",
        &bins,
        Mark::Dotted,
    );
    let roc = chart(
        &format!("ROC{of}, pooled over seeds"),
        "false positive rate",
        "true positive rate",
        &|arm| arm.roc.clone(),
        Mark::Line,
    );
    let pr = chart(
        &format!("Precision and recall{of}, pooled over seeds"),
        "recall",
        "precision",
        &|arm| arm.precision_recall.clone(),
        Mark::Line,
    );
    for (name, chart) in [("reliability", reliability), ("roc", roc), ("precision-recall", pr)] {
        if !chart.series.is_empty() {
            figure(&mut section, name, chart);
        }
    }
    section
}

fn confusion(arm: &ArmFindings) -> Table {
    let mut header = vec![String::new()];
    header.extend(arm.classes.iter().cloned());
    let row = |(class, counts): (&String, &Vec<f64>)| {
        let mut cells = vec![class.clone()];
        cells.extend(counts.iter().map(|count| format!("{count:.1}")));
        cells
    };
    Table { rows: arm.classes.iter().zip(&arm.confusion).map(row).collect(), header }
}
