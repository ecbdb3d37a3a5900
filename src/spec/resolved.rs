//! The resolved form: what an experiment's arms, or a pipeline, come to when everything is looked up that they extend, name
//! and leave to defaults.

use serde_json::{Map, Value, json};

use super::{Diagnostics, Experiment, sweep::Sweep};
use crate::stages::Stage;

/// `experiment` as YAML that stands alone. Of a pipeline: a pipeline without parameters, which runs as the original does. Of
/// an experiment: its arms, each with its parameters, what it sweeps, and the stages of its first configuration.
///
/// # Errors
/// What is wrong with a first configuration: nothing that `load` has checked.
pub fn resolved(experiment: &Experiment) -> Result<String, Diagnostics> {
    let alone = match &experiment.arms[..] {
        [arm] if arm.pipeline.path == experiment.path => Some(arm),
        _ => None,
    };
    let mut root = Map::new();
    root.extend(experiment.description.clone().map(|text| ("description".to_owned(), text.into())));
    let mut arms = Map::new();
    for arm in &experiment.arms {
        let Some(first) = arm.sample(1).next() else { continue };
        let configuration = arm.resolve(&first)?;
        let written = |(name, stage): &(String, Stage)| {
            let mut form = pruned(json!(stage));
            for value in configuration.late(name) {
                let place = format!("/{}/{}", stage.kind().name, value.place().replace('.', "/"));
                if let Some(placeholder) = form.pointer_mut(&place) {
                    *placeholder = value.text().into();
                }
            }
            (name.clone(), form)
        };
        let stages: Map<String, Value> = configuration.stages.iter().map(written).collect();
        if alone.is_some() {
            root.insert("stages".into(), stages.into());
            continue;
        }
        let mut form = Map::new();
        form.insert("pipeline".into(), super::display(&arm.pipeline.path).into());
        form.insert("params".into(), configuration.params.into());
        let facets = arm.facets.iter().map(|axis| (axis.name.clone(), json!(axis.values)));
        let facets: Map<String, Value> = facets.collect();
        form.extend((!facets.is_empty()).then(|| ("facets".to_owned(), facets.into())));
        form.extend(swept(&arm.sweep).map(|sweep| ("sweep".to_owned(), sweep)));
        form.insert("stages".into(), stages.into());
        arms.insert(arm.name.clone(), form.into());
    }
    if alone.is_none() {
        root.insert("arms".into(), arms.into());
    }
    Ok(serde_yaml::to_string(&root).expect("JSON values are YAML"))
}

/// What an arm searches, as it could be written.
fn swept(sweep: &Sweep) -> Option<Value> {
    let parameters: Map<String, Value> =
        sweep.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.domain.written())).collect();
    (!parameters.is_empty()).then(|| json!({ "method": sweep.method.name(), "parameters": parameters }))
}

/// Without what is not given: an absent parameter and a null one mean the same. `${` is escaped as it was written.
fn pruned(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, pruned(v))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.into_iter().map(pruned).collect(),
        Value::String(text) => text.replace("${", "$${").into(),
        other => other,
    }
}
