//! What the report says, section by section; how it looks is `document`'s and `html`'s business.

mod comparison;
mod findings;
mod record;

use super::{
    Study, Summary,
    document::{self, Block, Section},
};

/// All sections in order; those that have nothing to say are left out.
pub fn sections(study: &Study, summary: &Summary) -> Vec<Section> {
    let all = vec![
        comparison::verdict(study, summary),
        comparison::comparison(summary),
        comparison::configurations(summary),
        findings::costs(summary),
        findings::fit(study, summary),
        findings::images(study, summary),
        findings::scores(summary),
        record::trials(study, summary),
        record::data(study),
        record::caveats(study, summary),
        record::provenance(study, summary),
    ];
    all.into_iter().filter(|section| !section.blocks.is_empty()).collect()
}

/// `report.md`.
pub fn markdown(study: &Study, sections: &[Section]) -> String {
    let mut blocks = Vec::new();
    if let Some(description) = &study.context.description {
        blocks.push(Block::Paragraph(description.trim().to_owned()));
    }
    let mut out = format!("# {}\n\n{}", study.context.experiment, document::markdown(&blocks));
    for section in sections {
        out += &format!("## {}\n\n{}", section.title, document::markdown(&section.blocks));
    }
    format!("{}\n", out.trim_end())
}

/// Which colour an arm has in every figure: its place among the arms.
fn colour(summary: &Summary, arm: &str) -> usize {
    let mut names: Vec<&str> = Vec::new();
    for known in &summary.arms {
        if !names.contains(&known.arm.as_str()) {
            names.push(&known.arm);
        }
    }
    names.iter().position(|name| *name == arm).unwrap_or(0)
}

/// `fine_tuning`, or `fine_tuning (fraction = 0.1)` where there are facets.
fn labelled(arm: &str, facet: &std::collections::BTreeMap<String, serde_json::Value>) -> String {
    if facet.is_empty() { arm.to_owned() } else { format!("{arm} ({})", super::text::facet(facet)) }
}
