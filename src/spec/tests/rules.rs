//! What a sound file means.

use std::{fs, time::Instant};

use serde_json::json;

use super::{FINE_TUNING, Project, assignment};
use crate::{
    artifact::model::Pooling,
    spec::{Arm, Axis, Domain, Goal, Method, Parameter},
    stages::Stage,
};

/// Names of what an arm searches.
fn searched(arm: &Arm) -> Vec<&str> {
    arm.sweep.parameters.iter().map(|parameter| parameter.name.as_str()).collect()
}

#[test]
fn the_example_of_the_design_loads() {
    let project = Project::sound();
    let experiment = project.experiment().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(experiment.name, "comparison");
    assert_eq!(experiment.root, project.path("").components().collect::<std::path::PathBuf>());
    assert_eq!(experiment.description.as_deref(), Some("Is thawing worth it?"));
    assert_eq!(experiment.seeds, [0, 1, 2]);
    assert_eq!(experiment.metric.to_string(), "val/accuracy");
    assert_eq!(experiment.metric.goal, Goal::Maximize);
    assert_eq!(experiment.report.baseline.as_deref(), Some("from_scratch"));
    assert_eq!((experiment.report.margin, experiment.report.paired), (Some(0.005), true));
    assert_eq!(experiment.sources.len(), 3);
    let axis = |name: &str, values| Axis { name: name.into(), values };
    assert_eq!(experiment.facets, [axis("fraction", vec![json!(0.1), json!(1.0)])]);

    let [tuning, scratch] = &experiment.arms[..] else { panic!("two arms") };
    assert_eq!((tuning.name.as_str(), scratch.name.as_str()), ("fine_tuning", "from_scratch"));
    assert_eq!(json!(tuning.params), json!({ "backbone": "resnet18", "weights": "imagenet", "views": 8 }));
    let list =
        |name: &str, values| Parameter { name: name.into(), domain: Domain::Values(values), when: vec![], times: None };
    let lrs = list("lr", vec![json!(0.003), json!(0.001)]);
    assert_eq!(tuning.sweep.parameters, [list("head_lr", vec![json!(0.1), json!(0.01)]), lrs]);
    assert_eq!(tuning.facets, experiment.facets);
    assert_eq!((tuning.sweep.method, tuning.sweep.run_cap), (Method::Grid, Some(10)));
    assert_eq!(tuning.metric_stage, "score");
    assert_eq!(json!(scratch.params), json!({ "epochs": 30, "lr": 0.1 }));
    assert!(scratch.sweep.parameters.is_empty() && scratch.facets.is_empty());

    let notices: Vec<String> = experiment.notices.iter().map(|n| project.plain(n)).collect();
    assert_eq!(
        notices,
        [
            "experiments/comparison.yaml:3:11: arm `from_scratch` does not declare `views`; it is left out there",
            "experiments/comparison.yaml:10:17: arm `from_scratch` does not declare `head_lr`; it is left out there",
            "experiments/comparison.yaml:12:12: arm `from_scratch` does not declare `fraction`; it is left out there",
        ]
    );
}

#[test]
fn a_configuration_resolves_to_typed_stages_in_topological_order() {
    let experiment = Project::sound().experiment().unwrap();
    let chosen = assignment(&[("fraction", json!(0.1)), ("head_lr", json!(0.1)), ("lr", json!(0.003))]);
    let resolved = experiment.arms[0].resolve(&chosen).unwrap();
    let names: Vec<&str> = resolved.stages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["photos", "views", "features", "probe", "thaw", "tuned", "score"]);
    assert_eq!(resolved.params.keys().next().map(String::as_str), Some("backbone"));
    assert_eq!(resolved.params.len(), 6);
    let Some(Stage::FreezeSchedule(schedule)) = resolved.stage("thaw") else { panic!("a schedule") };
    assert_eq!((schedule.phases[0].lr, schedule.phases[1].lr), (0.1, 0.003));
    let Some(Stage::Augment(views)) = resolved.stage("views") else { panic!("views") };
    assert_eq!(views.views, 8);

    for stage in ["features", "probe", "tuned", "score"] {
        let choice = resolved.backbone_of(stage).unwrap();
        assert_eq!((choice.backbone.as_str(), choice.weights.file.as_str()), ("resnet18", "imagenet"));
        assert_eq!((choice.cut.as_str(), choice.pooling, choice.images.as_str()), ("layer4", Pooling::Avg, "views"));
    }
    assert_eq!(resolved.backbone_of("photos"), None);
    assert_eq!(resolved.backbone_of("nowhere"), None);
}

#[test]
fn stages_may_be_written_in_any_order() {
    let text = "stages:\n  score: { evaluate: { model: m } }\n  m: { train_head: { features: f, optimizer: { adam: { lr: 0.1 } } } }\n  \
                f: { extract_features: { images: v, backbone: resnet18, weights: none } }\n  v: { augment: { images: d, size: 32 } }\n  \
                d: { dataset: { image_folder: x } }\n";
    let experiment = Project::new(&[("p.yaml", text)]).load("p.yaml", &[]).unwrap_or_else(|e| panic!("{e}"));
    let resolved = experiment.arms[0].resolve(&assignment(&[])).unwrap();
    assert_eq!(
        resolved.stages.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["d", "v", "f", "m", "score"]
    );
}

#[test]
fn a_pipeline_alone_is_an_experiment_of_one_arm() {
    let project = Project::sound();
    let experiment = project.load("pipelines/fine-tuning.yaml", &[("lr", "1e-4")]).unwrap();
    assert_eq!((experiment.name.as_str(), &experiment.seeds[..]), ("fine-tuning", &[0][..]));
    assert_eq!(experiment.arms[0].name, "fine-tuning");
    assert_eq!(experiment.arms[0].params["lr"], json!(0.0001));
    assert_eq!(experiment.arms[0].metric_stage, "score");
}

#[test]
fn the_command_line_wins_and_fixes_what_is_swept() {
    let experiment = Project::sound()
        .load("experiments/comparison.yaml", &[("lr", "0.5"), ("fraction", "0.3"), ("views", "2")])
        .unwrap();
    let arm = &experiment.arms[0];
    assert_eq!(searched(arm), ["head_lr"]);
    assert!(arm.facets.is_empty() && experiment.facets.is_empty());
    let expected = json!({ "backbone": "resnet18", "weights": "imagenet", "lr": 0.5, "views": 2, "fraction": 0.3 });
    assert_eq!(json!(arm.params), expected);
    assert_eq!(experiment.arms[1].params["lr"], json!(0.5));
}

#[test]
fn an_arms_own_value_wins_over_the_common_sweep() {
    let from = "{ pipeline: ../pipelines/fine-tuning.yaml, sweep";
    let to = "{ pipeline: ../pipelines/fine-tuning.yaml, params: { head_lr: 0.2, views: 3 }, sweep";
    let experiment = Project::edited("experiments/comparison.yaml", from, to).experiment().unwrap();
    let arm = &experiment.arms[0];
    assert_eq!((&arm.params["head_lr"], &arm.params["views"]), (&json!(0.2), &json!(3)));
    assert_eq!(searched(arm), ["lr"]);
}

#[test]
fn maps_are_swept_and_put_in_whole() {
    let sweep = "parameters: { head: { values: [{ sgd: { lr: 0.1 } }, { adam: { lr: 0.001 } }] } }";
    let project =
        Project::edited("experiments/comparison.yaml", "parameters: { head_lr: { values: [0.1, 0.01] } }", sweep);
    let pipeline = FINE_TUNING
        .replace("params: { ", "params: { head: { sgd: { lr: 0.01 } }, ")
        .replace(r#"{ sgd: { lr: "${head_lr}", momentum: 0.9 } }"#, r#""${head}""#);
    fs::write(project.path("pipelines/fine-tuning.yaml"), pipeline).unwrap();
    let experiment = project.experiment().unwrap_or_else(|e| panic!("{e}"));
    let chosen = [("fraction", json!(1)), ("head", json!({ "adam": { "lr": 0.001 } })), ("lr", json!(0.003))];
    let resolved = experiment.arms[0].resolve(&assignment(&chosen)).unwrap();
    let Some(Stage::TrainHead(probe)) = resolved.stage("probe") else { panic!("a head") };
    assert_eq!(probe.training.optimizer.lr(), Some(0.001));
}

#[test]
fn byte_order_marks_and_windows_line_ends_do_not_matter() {
    let text = format!("\u{feff}{}", FINE_TUNING.trim_start().replace('\n', "\r\n"));
    Project::new(&[("p.yaml", &text)]).load("p.yaml", &[]).unwrap_or_else(|e| panic!("{e}"));
    let broken = text.replace("momentum", "momentun");
    let error = Project::new(&[("p.yaml", &broken)]).load("p.yaml", &[]).unwrap_err();
    assert_eq!((error.0[0].line, error.0[0].column, error.0[0].width), (6, 99, 8));
}

#[test]
fn whole_numbers_may_be_written_as_floats() {
    let project = Project::edited("pipelines/fine-tuning.yaml", "epochs: 25", "epochs: 2.5e1");
    project.experiment().unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn ten_thousand_configurations_resolve_in_a_moment() {
    let values = |n: usize| (1..=n).map(|i| format!("{}", i as f64 * 1e-4)).collect::<Vec<_>>().join(", ");
    let project = Project::edited(
        "experiments/comparison.yaml",
        "parameters: { head_lr: { values: [0.1, 0.01] } }",
        &format!("parameters: {{ head_lr: {{ values: [{}] }} }}", values(100)),
    );
    let text = fs::read_to_string(project.path("experiments/comparison.yaml")).unwrap();
    fs::write(project.path("experiments/comparison.yaml"), text.replace("0.003, 0.001", &values(100))).unwrap();
    let start = Instant::now();
    let experiment = project.experiment().unwrap_or_else(|e| panic!("{e}"));
    let loaded = start.elapsed();
    let arm = &experiment.arms[0];
    let values = |i: usize| arm.sweep.parameters[i].domain.witnesses();
    for head_lr in &values(0) {
        for lr in &values(1) {
            let chosen = [("fraction", json!(1)), ("head_lr", head_lr.clone()), ("lr", lr.clone())];
            arm.resolve(&assignment(&chosen)).unwrap();
        }
    }
    println!("load {loaded:?}, all {:?}", start.elapsed());
    // Far above what it takes, because other tests run beside it.
    assert!(start.elapsed().as_secs_f64() < 5.0, "{:?}", start.elapsed());
}
