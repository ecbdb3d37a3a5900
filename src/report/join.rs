//! Several runs, or parts of them, as one study: for `compare A B` and `report A B C`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Context, Row, Study};

/// The axis that tells joined experiments apart.
pub const EXPERIMENT: &str = "experiment";
/// The axis that the arms of two compared experiments lie on.
pub const ARM: &str = "arm";

/// Two studies against each other: each is an arm, told apart by its name. With `by_arm`, what was an arm is a facet, and arms
/// that only one of them has are left out.
pub fn against([a, b]: [Study; 2], names: [String; 2], by_arm: bool) -> Study {
    let common: Vec<String> = {
        let of = |study: &Study| super::parameters::distinct(study.rows.iter().map(|row| &row.arm));
        let other = of(&b);
        of(&a).into_iter().filter(|arm| other.contains(arm)).collect()
    };
    let part = |study: Study, name: &String| {
        let keep = common.clone();
        renamed(study, name, move |row| {
            let stays = !by_arm || keep.contains(&row.arm);
            if by_arm {
                row.facet.insert(ARM.to_owned(), json!(row.arm));
            }
            row.arm.clone_from(name);
            stays
        })
    };
    let baseline = Some(names[0].clone());
    let (a, b) = (part(a, &names[0]), part(b, &names[1]));
    let context = Context { experiment: format!("{} and {}", names[0], names[1]), baseline, ..b.context.clone() };
    same_split(joined(context, vec![a, b]))
}

/// Several experiments side by side: each is a value of the facet `experiment`.
pub fn side_by_side(studies: Vec<Study>) -> Study {
    let names: Vec<String> = studies.iter().map(|study| study.context.experiment.clone()).collect();
    let baseline = studies[0].context.baseline.clone();
    let parts: Vec<Study> = studies
        .into_iter()
        .zip(&names)
        .map(|(study, name)| {
            renamed(study, name, |row| {
                row.facet.insert(EXPERIMENT.to_owned(), json!(name));
                true
            })
        })
        .collect();
    let context = Context { experiment: names.join(" + "), baseline, ..parts[0].context.clone() };
    same_split(joined(context, parts))
}

/// Trials under names that no other study has; `change` may change a row further, and says whether it stays.
fn renamed(mut study: Study, prefix: &str, change: impl Fn(&mut Row) -> bool) -> Study {
    let name = |trial: &str| format!("{prefix}/{trial}");
    study.rows.retain_mut(&change);
    study.rows.iter_mut().for_each(|row| row.trial = name(&row.trial));
    let evidence = &mut study.evidence;
    evidence.predictions = std::mem::take(&mut evidence.predictions)
        .into_iter()
        .map(|((trial, split), p)| ((name(&trial), split), p))
        .collect();
    evidence.curves = std::mem::take(&mut evidence.curves).renamed(name);
    study
}

fn joined(context: Context, parts: Vec<Study>) -> Study {
    let mut all = Study { context, rows: Vec::new(), evidence: super::Evidence::default(), records: Vec::new() };
    let looks = parts.iter().map(|part| part.context.looks).max_by_key(|looks| looks.models).unwrap_or_default();
    all.context.looks = looks;
    all.context.data = super::parameters::distinct(parts.iter().flat_map(|part| &part.context.data));
    all.context.notices = super::parameters::distinct(parts.iter().flat_map(|part| &part.context.notices));
    all.context.wall_seconds = parts.iter().map(|part| part.context.wall_seconds).sum();
    for part in parts {
        all.rows.extend(part.rows);
        all.evidence.predictions.extend(part.evidence.predictions);
        all.evidence.notes.extend(part.evidence.notes);
        all.evidence.nodes.extend(part.evidence.nodes);
        all.evidence.curves = std::mem::take(&mut all.evidence.curves).joined(part.evidence.curves);
    }
    // A node that several runs share was computed once.
    let mut seen = std::collections::HashSet::new();
    all.evidence.nodes.retain(|node| seen.insert(node.key.clone()));
    all
}

/// Arms are compared on test images only where all of them were tested.
fn same_split(mut study: Study) -> Study {
    let tested = |row: &Row| row.metrics.keys().any(|name| name.contains("test/"));
    if study.rows.iter().filter(|row| row.selected).any(|row| !tested(row)) {
        study.rows.iter_mut().for_each(|row| row.metrics.retain(|name, _| !name.contains("test/")));
    }
    study
}

/// The facet values of a row as JSON, for those who look rows up.
pub fn is_experiment_axis(facet: &BTreeMap<String, Value>) -> bool {
    facet.len() == 1 && facet.contains_key(EXPERIMENT)
}
