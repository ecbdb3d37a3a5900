//! What sound sweeps mean.

use serde_json::json;

use super::{Project, assignment};
use crate::spec::{Arm, Domain, Method, Params};

const EXPERIMENT: &str = "experiments/comparison.yaml";

/// The first arm, with the sweep of the experiment replaced.
fn arm(sweep: &str) -> Arm {
    let from = "method: grid\n  run_cap: 10\n  parameters: { head_lr: { values: [0.1, 0.01] } }";
    let experiment = Project::edited(EXPERIMENT, from, sweep).experiment().unwrap_or_else(|e| panic!("{e}"));
    experiment.arms[0].clone()
}

fn domain<'a>(arm: &'a Arm, name: &str) -> &'a Domain {
    &arm.sweep.parameters.iter().find(|parameter| parameter.name == name).unwrap().domain
}

#[test]
fn settings_of_an_arm_win_over_those_of_the_experiment() {
    let arm = arm(
        "method: tpe\n  run_cap: 20\n  seed: 3\n  parallel: 2\n  parameters: { head_lr: { distribution: log_uniform, min: 0.001, max: 1 } }",
    );
    assert_eq!((arm.sweep.method, arm.sweep.run_cap), (Method::Tpe, Some(20)));
    assert_eq!((arm.sweep.seed, arm.sweep.parallel), (3, 2));
    assert_eq!(domain(&arm, "head_lr"), &Domain::LogUniform { min: 0.001, max: 1.0 });

    let from = "sweep: { parameters: { lr: { values: [0.003, 0.001] } } }";
    let to = "sweep: { method: random, seed: 1, run_cap: 7, parameters: { lr: { distribution: normal, mu: 0.01, sigma: 0.001 } } }";
    let experiment = Project::edited(EXPERIMENT, from, to).experiment().unwrap_or_else(|e| panic!("{e}"));
    let sweep = &experiment.arms[0].sweep;
    assert_eq!((sweep.method, sweep.run_cap, sweep.seed, sweep.parallel), (Method::Random, Some(7), 1, 4));
    assert_eq!(experiment.arms[1].sweep.method, Method::Grid);
}

#[test]
fn every_distribution_is_read() {
    for (written, expected) in [
        ("uniform, min: 0.1, max: 1", Domain::Uniform { min: 0.1, max: 1.0 }),
        ("log_uniform, min: 0.1, max: 1", Domain::LogUniform { min: 0.1, max: 1.0 }),
        ("int, min: 0, max: 1", Domain::Int { min: 0, max: 1 }),
        ("q_uniform, min: 0.25, max: 1, q: 0.25", Domain::Quantized { min: 0.25, max: 1.0, q: 0.25 }),
        ("normal, mu: 0.1, sigma: 0.02", Domain::Normal { mu: 0.1, sigma: 0.02 }),
    ] {
        let arm =
            arm(&format!("method: random\n  run_cap: 5\n  parameters: {{ head_lr: {{ distribution: {written} }} }}"));
        assert_eq!(domain(&arm, "head_lr"), &expected);
    }
}

#[test]
fn what_a_condition_leaves_out_keeps_the_pipelines_value() {
    let arm = arm(
        "parameters:\n    head_lr: { values: [0.1, 0.2], when: { weights: none } }\n    weights: { values: [imagenet, none] }",
    );
    // What the condition names comes first.
    let names: Vec<&str> = arm.sweep.parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["weights", "head_lr", "lr"]);
    let first = arm.first_assignment();
    assert_eq!((first.get("weights"), first.get("head_lr")), (Some(&json!("imagenet")), None));
    assert_eq!(arm.resolve(&first).unwrap().params["head_lr"], json!(0.01));
}

#[test]
fn parameters_may_move_together_and_in_proportion() {
    let arm = arm(
        "parameters:\n    net: { together: [{ backbone: resnet18, weights: imagenet }, { backbone: resnet18, weights: none }] }\n    \
         head_lr: { values: [10, 100], times: lr }",
    );
    assert!(!arm.params.contains_key("backbone") && arm.params.contains_key("views"));
    let first: Params = arm.first_assignment();
    let expected = [
        ("fraction", json!(0.1)),
        ("backbone", json!("resnet18")),
        ("weights", json!("imagenet")),
        ("lr", json!(0.003)),
        ("head_lr", json!(0.03)),
    ];
    assert_eq!(first, assignment(&expected));
}

#[test]
fn known_points_are_kept_without_what_is_not_searched() {
    let arm =
        arm("enqueue: [{ head_lr: 0.01, lr: 0.001, epochs: 3 }]\n  parameters: { head_lr: { values: [0.1, 0.01] } }");
    assert_eq!(arm.sweep.enqueue, [assignment(&[("head_lr", json!(0.01)), ("lr", json!(0.001))])]);
}
