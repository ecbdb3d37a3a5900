//! The JSON Schemas for editors: current, and true of every YAML that is committed or written by `init`.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{Project, files};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn committed(kind: &str) -> Value {
    let path = root().join(format!("schemas/{kind}.schema.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// YAML as other readers see it: through the `serde_yaml` that the project has, as plain values.
fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn complaints(kind: &str, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(&committed(kind)).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_committed_schemas_are_current() {
    let project = Project::new();
    for kind in ["pipeline", "experiment"] {
        let printed = project.json(&["schema", kind]);
        assert!(printed == committed(kind), "schemas/{kind}.schema.json is not current: run `make schemas`");
        jsonschema::meta::validate(&printed).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn every_committed_yaml_is_valid_and_names_its_schema() {
    let mut seen = 0;
    for kind in ["pipeline", "experiment"] {
        for path in files(&root().join(format!("{kind}s"))) {
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let line = format!("# yaml-language-server: $schema=../schemas/{kind}.schema.json\n");
            assert!(text.starts_with(&line), "{} does not begin with {line}", path.display());
            assert_eq!(complaints(kind, &yaml(&path)), [""; 0], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 9, "only {seen}");
}

#[test]
fn what_init_writes_names_a_schema_that_is_there() {
    let project = Project::new();
    let output = project.thawline(&["init", "data/photos", "--into", "new"]);
    assert!(output.status.success());
    for (kind, file) in [("experiment", "experiments/photos.yaml"), ("pipeline", "pipelines/fine-tuning.yaml")] {
        let path = project.path(&format!("new/{file}"));
        let first = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
        let named = first.strip_prefix("# yaml-language-server: $schema=").unwrap();
        let schema = fs::read(path.parent().unwrap().join(named)).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&schema).unwrap(), committed(kind));
        assert_eq!(complaints(kind, &yaml(&path)), [""; 0], "{file}");
    }
}

#[test]
fn what_validate_refuses_the_schema_refuses() {
    let path = root().join("pipelines/elpv-fine-tuning.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mistakes = [
        ("epochs: 25", "epochs: many"),
        ("epochs: 25", "epoch: 25"),
        ("epochs: 25", "epochs: 0"),
        ("backbone: efficientnet_lite0", "backbone: efficientnet_lite9"),
        ("horizontal_flip", "horizontal_flop"),
        ("{ sgd:", "{ sdg:"),
        ("{ evaluate: { model: tuned } }", "{ evaluate: { model: tuned }, dataset: {} }"),
        ("size: \"${size}\"", "size: \"${size} px\""),
        ("stages:", "stage:"),
    ];
    for (right, wrong) in mistakes {
        assert!(text.contains(right), "{right}");
        let value = serde_yaml::from_str(&text.replacen(right, wrong, 1)).unwrap();
        assert!(!complaints("pipeline", &value).is_empty(), "{wrong}");
    }
    let experiment = fs::read_to_string(root().join("experiments/elpv-demo.yaml")).unwrap();
    for (right, wrong) in [("val/accuracy", "test/accuracy"), ("maximize", "maximise"), ("pipeline:", "pipelin:")] {
        let value = serde_yaml::from_str(&experiment.replacen(right, wrong, 1)).unwrap();
        assert!(!complaints("experiment", &value).is_empty(), "{wrong}");
    }
}

/// An editor shows nothing where a property says nothing.
#[test]
fn every_property_is_described() {
    fn undescribed(schema: &Value, at: &str, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    // The one key of a variant is described by its variant.
                    let only = map["properties"].as_object().unwrap().len() == 1 && map.contains_key("required");
                    if !only && property.get("description").is_none() {
                        found.push(format!("{at}/{name}"));
                    }
                }
                map.iter().for_each(|(key, inner)| undescribed(inner, &format!("{at}/{key}"), found));
            }
            Value::Array(list) => list.iter().for_each(|inner| undescribed(inner, at, found)),
            _ => {}
        }
    }
    for kind in ["pipeline", "experiment"] {
        let mut found = Vec::new();
        undescribed(&committed(kind), "", &mut found);
        assert_eq!(found, [""; 0], "{kind}");
    }
}
