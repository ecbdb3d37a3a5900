//! The checker against the schemas of the stage kinds.

use serde_json::{Value, json};

use crate::{
    spec::{locate::Step, schema::check},
    stages::{KINDS, kind},
};

fn messages(kind_name: &str, mut value: Value) -> Vec<String> {
    let schema = (kind(kind_name).unwrap().schema)();
    let found = check(&schema, &mut value, &vec![Step::Key(kind_name.into())]);
    found.faults.into_iter().map(|fault| fault.message).collect()
}

#[test]
fn every_fault_of_a_value_is_found() {
    let value = json!({
        "features": 1, "batch_size": 0, "hidden": [10, "x", -1], "lr_schedule": { "step": { "every": 0, "gama": 1 } },
        "early_stopping": { "monitor": "los" }, "optimizer": { "sgd": { "nesterov": 1 }, "adam": {} },
    });
    assert_eq!(
        messages("train_head", value),
        [
            "`features`: expected the name of a stage, found the number 1",
            "`batch_size`: must be between 1 and 65536, found 0",
            "`hidden.1`: expected a whole number, found the text \"x\"",
            "`hidden.2`: must be at least 0, found -1",
            "`lr_schedule.step.every`: must be between 1 and 4294967295, found 0",
            "unknown key `gama` in `lr_schedule.step`",
            "`early_stopping`: missing key `patience`",
            "`early_stopping.monitor`: there is no `los`",
            "`optimizer`: expected exactly one of sgd, adam, adamw, found 2",
        ]
    );
}

#[test]
fn untagged_alternatives_are_told_apart_by_type() {
    let table = |label: Value| json!({ "table": { "file": "t", "image": 1, "label": "y", "classes": { "a": label } } });
    for good in [json!(1), json!(0.5), json!("x"), json!({ "min": 0.5 }), json!([1, "x", { "max": 2 }])] {
        assert_eq!(messages("dataset", table(good)), [""; 0]);
    }
    assert_eq!(
        messages("dataset", table(json!([true, { "mim": 1 }]))),
        [
            "`table.classes.a.0`: expected a number or text or a map or a list, found `true`",
            "unknown key `mim` in `table.classes.a.1`",
        ]
    );
    let train = |train: Value| json!({ "phases": [{ "train": train, "epochs": 1, "lr": 0.1 }] });
    for good in [json!("all"), json!({ "last": 2 }), json!(["head", { "last": 1 }])] {
        assert_eq!(messages("freeze_schedule", train(good)), [""; 0]);
    }
    assert_eq!(messages("freeze_schedule", train(json!([3, { "first": 2 }]))).len(), 2);
}

#[test]
fn references_are_found_in_faulty_values_too() {
    let schema = (kind("fine_tune").unwrap().schema)();
    let mut value = json!({ "images": "v", "start_from": null, "schedule": "s", "bogus": 1 });
    let found = check(&schema, &mut value, &Vec::new());
    let pairs: Vec<_> = found.references.iter().map(|r| (r.target.as_str(), r.accepts[0].as_str())).collect();
    assert_eq!(pairs, [("v", "views"), ("s", "schedule")]);
}

/// A schema keyword that this checker does not know would be ignored in silence.
#[test]
fn the_schemas_of_all_kinds_use_only_known_keywords() {
    const KNOWN: &[&str] = &[
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "oneOf",
        "prefixItems",
        "properties",
        "required",
        "title",
        "type",
        "x-stage",
    ];
    fn walk(schema: &Value) {
        let Value::Object(map) = schema else { return };
        for (key, inner) in map {
            assert!(KNOWN.contains(&key.as_str()), "`{key}` in {schema}");
            match (key.as_str(), inner) {
                ("properties" | "$defs", Value::Object(named)) => named.values().for_each(walk),
                ("anyOf" | "oneOf" | "prefixItems", Value::Array(list)) => list.iter().for_each(walk),
                ("items" | "additionalProperties", inner) => walk(inner),
                _ => {}
            }
        }
    }
    KINDS.iter().for_each(|kind| walk(&(kind.schema)()));
    walk(&crate::spec::experiment_schema());
}
