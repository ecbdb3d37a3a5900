//! How well the methods find, against Optuna's samplers; and that what they suggest depends on the right things alone.

use std::f64::consts::PI;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Search, Suggestion};
use crate::spec::{Domain, Goal, Method, Parameter, Params, Sweep};

const TRIALS: usize = 60;
/// All but the grid.
const LEARNING_OR_NOT: [Method; 5] = [Method::Random, Method::Sobol, Method::Tpe, Method::CmaEs, Method::Gp];

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.into(), domain, when: Vec::new(), times: None }
}

fn search(method: Method, seed: u64, parallel: usize, parameters: Vec<Parameter>) -> Search {
    let sweep = Sweep { method, run_cap: Some(TRIALS as u64), seed, parallel, enqueue: Vec::new(), parameters };
    Search::new(&sweep, Params::new(), "arm", Goal::Minimize)
}

fn cube(dimensions: usize) -> Vec<Parameter> {
    (0..dimensions).map(|i| parameter(&format!("x{i}"), Domain::Uniform { min: 0.0, max: 1.0 })).collect()
}

fn coordinates(values: &Params) -> Vec<f64> {
    values.values().map(|value| value.as_f64().unwrap()).collect()
}

/// Dixon and Szego 1978, both axes scaled to [0, 1], less its minimum.
fn branin(x: &[f64]) -> f64 {
    let (a, b) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    let square = b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0;
    square * square + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos() + 10.0 - 0.397_887_357_729_738_16
}

/// Dixon and Szego 1978, less its minimum.
fn hartmann6(x: &[f64]) -> f64 {
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let exponent = |row: usize| A[row].iter().zip(&P[row]).zip(x).map(|((a, p), x)| a * (x - p).powi(2)).sum::<f64>();
    let weights = [1.0, 1.2, 3.0, 3.2];
    3.322_368_011_415_515 - weights.iter().enumerate().map(|(i, weight)| weight * (-exponent(i)).exp()).sum::<f64>()
}

type Function = fn(&[f64]) -> f64;
const FUNCTIONS: [(&str, usize, Function); 2] = [("branin", 2, branin), ("hartmann6", 6, hartmann6)];

/// The best value that a search finds, asked one after another.
fn regret(method: Method, seed: u64, parallel: usize, dimensions: usize, function: Function) -> f64 {
    let mut search = search(method, seed, parallel, cube(dimensions));
    let mut best = f64::INFINITY;
    while let Some(Suggestion { id, values }) = search.ask() {
        let value = function(&coordinates(&values));
        best = best.min(value);
        search.tell(id, Some(value));
    }
    best
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn regrets(method: Method, parallel: usize, dimensions: usize, function: Function) -> Vec<f64> {
    (0..10).map(|seed| regret(method, seed, parallel, dimensions, function)).collect()
}

/// Optuna's regrets at ten seeds (`scripts/reference/search.py`). A median of ten draws is uncertain by about half of their
/// interquartile range (0.93 sigma-hat / sqrt(10) x 1.25 is 0.4 of it), so ours may be that much above theirs.
#[test]
fn medians_are_no_worse_than_optunas() {
    let reference: Value = serde_json::from_str(include_str!("../../tests/reference/search/optuna.json")).unwrap();
    assert_eq!(reference["trials"], TRIALS);
    for (name, dimensions, function) in FUNCTIONS {
        for method in LEARNING_OR_NOT {
            let theirs = reference["regrets"][name][method.name()].as_array().unwrap();
            let theirs: Vec<f64> = theirs.iter().map(|value| value.as_f64().unwrap()).collect();
            let tolerance = (theirs[7] - theirs[2]) / 2.0;
            let (ours, theirs) = (median(regrets(method, 1, dimensions, function)), median(theirs));
            println!("{name} {}: ours {ours:.4}, Optuna's {theirs:.4} + {tolerance:.4}", method.name());
            assert!(ours <= theirs + tolerance, "{name} {}: {ours} against {theirs} + {tolerance}", method.name());
        }
    }
}

#[test]
fn four_at_once_find_nearly_as_well() {
    for (name, dimensions, function) in FUNCTIONS {
        let random = median(regrets(Method::Random, 1, dimensions, function));
        for method in [Method::Tpe, Method::CmaEs, Method::Gp] {
            let four = median(regrets(method, 4, dimensions, function));
            println!("{name} {}: four at once {four:.6}, random {random:.4}", method.name());
            assert!(four < random / 1.5, "{name} {}: {four} against random {random}", method.name());
        }
    }
}

/// A list, a range, and what stands under conditions and in proportion.
fn mixed() -> Vec<Parameter> {
    let mut momentum = parameter("momentum", Domain::Quantized { min: 0.0, max: 0.9, q: 0.3 });
    momentum.when = vec![("optimizer".into(), vec![json!("sgd")])];
    let mut head_lr = parameter("head_lr", Domain::LogUniform { min: 1.0, max: 100.0 });
    head_lr.times = Some("lr".into());
    vec![
        parameter("optimizer", Domain::Values(vec![json!("sgd"), json!("adam"), json!("adamw")])),
        parameter("lr", Domain::LogUniform { min: 1e-4, max: 0.1 }),
        momentum,
        head_lr,
        parameter("epochs", Domain::Int { min: 1, max: 30 }),
    ]
}

/// Some value of a configuration of `mixed`, best at sgd, lr 0.01, momentum 0.9.
fn score(values: &Params) -> Option<f64> {
    let number = |name: &str| values.get(name).and_then(Value::as_f64);
    let lr = (number("lr").unwrap().log10() + 2.0).abs();
    let epochs = number("epochs").unwrap();
    (epochs > 2.0).then(|| lr + number("momentum").map_or(1.0, |momentum| 0.9 - momentum) + 1.0 / epochs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// However many workers there are and in whichever order they finish, the suggestions are the same.
    #[test]
    fn suggestions_do_not_depend_on_when_results_arrive(picks in prop::collection::vec(any::<prop::sample::Index>(), TRIALS), workers in 1usize..9) {
        for method in LEARNING_OR_NOT {
            let mut expected = search(method, 5, 3, mixed());
            let mut in_order = Vec::new();
            while let Some(suggestion) = expected.ask() {
                expected.tell(suggestion.id, score(&suggestion.values));
                in_order.push(suggestion);
            }
            prop_assert_eq!(in_order.len(), TRIALS);

            let mut search = search(method, 5, 3, mixed());
            let (mut waiting, mut running, mut all) = (Vec::new(), Vec::new(), Vec::new());
            for pick in picks.iter().cycle() {
                waiting.extend(std::iter::from_fn(|| search.ask()));
                while running.len() < workers && !waiting.is_empty() {
                    running.push(waiting.remove(0));
                }
                if running.is_empty() {
                    break;
                }
                let done: Suggestion = running.remove(pick.index(running.len()));
                search.tell(done.id, score(&done.values));
                all.push(done);
            }
            all.sort_by_key(|suggestion| suggestion.id);
            prop_assert_eq!(all, in_order);
        }
    }
}

/// Suggestion i sees the results of suggestions up to i - q, and of no later one.
#[test]
fn the_latest_results_are_not_looked_at() {
    let run = |changed: usize| {
        let mut search = search(Method::Tpe, 0, 3, cube(2));
        let mut all = Vec::new();
        while let Some(Suggestion { id, values }) = search.ask() {
            let value = if id == changed { -100.0 } else { branin(&coordinates(&values)) };
            search.tell(id, Some(value));
            all.push(values);
        }
        all
    };
    let (as_is, changed) = (run(usize::MAX), run(20));
    assert_eq!(as_is[..23], changed[..23]);
    assert_ne!(as_is[23], changed[23]);
}

#[test]
fn every_method_goes_through_a_small_space_once() {
    let mut momentum = parameter("momentum", Domain::Values(vec![json!(0), json!(0.9)]));
    momentum.when = vec![("optimizer".into(), vec![json!("sgd")])];
    let optimizers = Domain::Values(vec![json!("sgd"), json!("adam")]);
    let parameters =
        vec![parameter("optimizer", optimizers), momentum, parameter("epochs", Domain::Int { min: 1, max: 5 })];
    for method in [Method::Grid].into_iter().chain(LEARNING_OR_NOT) {
        let mut search = search(method, 0, 1, parameters.clone());
        let mut all = std::collections::BTreeSet::new();
        while let Some(Suggestion { id, values }) = search.ask() {
            search.tell(id, Some(id as f64));
            assert_eq!(values.contains_key("momentum"), values["optimizer"] == "sgd");
            assert!(all.insert(json!(values).to_string()), "{} suggests {values:?} twice", method.name());
        }
        assert_eq!(all.len(), 15, "{}", method.name());
        assert_eq!(search.ask(), None);
    }
}

#[test]
fn grids_go_in_order_and_a_cap_caps() {
    let parameters = |n: i64| {
        let lrs = Domain::Values(vec![json!(0.1), json!(0.01)]);
        vec![parameter("lr", lrs), parameter("wd", Domain::Int { min: 0, max: n })]
    };
    let mut grid = search(Method::Grid, 0, 1, parameters(2));
    let all: Vec<Value> = std::iter::from_fn(|| grid.ask()).map(|s| Value::Object(s.values)).collect();
    assert_eq!(all.len(), 6);
    assert_eq!(
        [&all[0], &all[1], &all[5]],
        [&json!({"lr": 0.1, "wd": 0}), &json!({"lr": 0.1, "wd": 1}), &json!({"lr": 0.01, "wd": 2})]
    );
    let mut none = search(Method::Grid, 0, 1, Vec::new());
    assert_eq!(none.ask().unwrap().values, Params::new());
    assert_eq!(none.ask(), None);
    let mut capped = search(Method::Grid, 0, 1, parameters(200));
    assert_eq!(std::iter::from_fn(|| capped.ask()).count(), TRIALS);
}

#[test]
fn enqueued_points_come_first_and_once_and_what_they_leave_out_is_drawn() {
    let point = |value: Value| value.as_object().unwrap().clone();
    let enqueue = vec![
        point(json!({ "optimizer": "adam", "lr": 0.01, "head_lr": 0.1, "epochs": 3 })),
        point(json!({ "optimizer": "adam", "lr": 0.01, "head_lr": 0.1, "epochs": 3 })),
        point(json!({ "lr": 0.02 })),
    ];
    let sweep = Sweep { method: Method::Random, run_cap: Some(5), seed: 0, parallel: 1, enqueue, parameters: mixed() };
    let mut search = Search::new(&sweep, Params::new(), "arm", Goal::Minimize);
    let all: Vec<Params> = std::iter::from_fn(|| search.ask()).map(|s| s.values).collect();
    assert_eq!(all.len(), 5);
    assert_eq!(Value::Object(all[0].clone()), json!({ "optimizer": "adam", "lr": 0.01, "head_lr": 0.1, "epochs": 3 }));
    assert_eq!(all[1]["lr"], 0.02);
    assert!(all[1].contains_key("epochs") && all[2]["lr"] != 0.02);
}

/// A search that goes on from what it suggested before suggests what it would have.
#[test]
fn a_replayed_search_goes_on_as_if_nothing_had_happened() {
    for method in LEARNING_OR_NOT {
        let run = |search: &mut Search, upto: usize| {
            let mut all = Vec::new();
            while let Some(Suggestion { id, values }) = (all.len() < upto).then(|| search.ask()).flatten() {
                search.tell(id, score(&values));
                all.push(values);
            }
            all
        };
        let whole = run(&mut search(method, 1, 4, mixed()), TRIALS);
        let mut resumed = search(method, 1, 4, mixed());
        for values in &whole[..25] {
            // What is not active has a value in a whole configuration: the pipeline's.
            let mut params = values.clone();
            params.entry("momentum").or_insert(json!(0.9));
            assert_eq!(resumed.recall(&params).as_ref(), Some(values));
            let id = resumed.replay(values).unwrap().id;
            resumed.tell(id, score(values));
            assert_eq!(resumed.recall(&params), None, "it is there already");
        }
        assert_eq!(run(&mut resumed, TRIALS), whole[25..], "{}", method.name());
    }
}

#[test]
fn what_left_the_space_is_not_recalled() {
    let (whole, narrow) = (search(Method::Random, 0, 1, mixed()), {
        let mut parameters = mixed();
        parameters[4] = parameter("epochs", Domain::Int { min: 5, max: 30 });
        search(Method::Random, 0, 1, parameters)
    });
    let values = json!({ "optimizer": "adam", "lr": 0.01, "momentum": 0.5, "head_lr": 0.1, "epochs": 3, "views": 1 });
    let values = values.as_object().unwrap();
    // Of a parameter that is not active any value does: it is the pipeline's.
    assert_eq!(whole.recall(values).unwrap().len(), 4);
    assert_eq!(narrow.recall(values), None);
    let sgd =
        values.iter().map(|(k, v)| (k.clone(), if k == "optimizer" { json!("sgd") } else { v.clone() })).collect();
    assert_eq!(whole.recall(&sgd), None, "momentum 0.5 is no multiple of 0.3");
}
