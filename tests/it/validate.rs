//! What people read when a YAML is wrong: every message names the place and what to do.

use crate::support::{EXPERIMENT, Project, stderr};

/// Makes one mistake in the tiny project and gives what `validate` says of it.
fn mistake(file: &str, old: &str, new: &str) -> String {
    let project = Project::new();
    project.edit(file, old, new);
    let output = project.thawline(&["validate", EXPERIMENT]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

const FEATURES: &str = "pipelines/features.yaml";
const TUNING: &str = "pipelines/tuning.yaml";

macro_rules! mistakes {
    ($($name:ident: $file:expr, $old:expr => $new:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), mistake($file, $old, $new));
        }
    )*};
}

mistakes! {
    unknown_key: FEATURES, "epochs: 5" => "epoch: 5";
    unknown_kind: FEATURES, "train_head" => "train_haed";
    duplicate_key: FEATURES, "epochs: 5" => "epochs: 5, epochs: 6";
    wrong_type: FEATURES, "epochs: 5" => "epochs: many";
    out_of_range: FEATURES, "epochs: 5" => "epochs: 0";
    missing_key: FEATURES, "images: views, backbone" => "backbone";
    unknown_reference: FEATURES, "images: photos" => "images: fotos";
cycle: TUNING, "  tuned:  { fine_tune: { images: views, backbone: efficientnet_lite0, weights: none, batch_size: 4, schedule: thaw } }" => "  tuned:  { fine_tune: { images: views, start_from: again, schedule: thaw } }\n  again:  { fine_tune: { images: views, start_from: tuned, schedule: thaw } }";
    wrong_artifact: FEATURES, "features: features" => "features: photos";
    unknown_backbone: FEATURES, "efficientnet_lite0" => "efficientnet_lite9";
    unknown_block: TUNING, "train: [head]" => "train: [blocks.99, head]";
    undeclared_swept_parameter: EXPERIMENT, "head_lr:" => "haed_lr:";
    margin_in_points: EXPERIMENT, "repeats: { seeds: [0, 1] }" => "repeats: { seeds: [0, 1] }\nreport: { margin: 0.5 }";
    margin_as_text: EXPERIMENT, "repeats: { seeds: [0, 1] }" => "repeats: { seeds: [0, 1] }\nreport: { margin: 0.5 points }";
    unknown_pipeline: EXPERIMENT, "tuning.yaml" => "tunning.yaml";
    unknown_metric: EXPERIMENT, "repeats:" => "metric: { name: val/acuracy }\nrepeats:";
    test_metric: EXPERIMENT, "repeats:" => "metric: { name: test/accuracy }\nrepeats:";
    ambiguous_metric: TUNING, "  score:  { evaluate: { model: tuned } }" => "  score:  { evaluate: { model: tuned } }\n  other:  { evaluate: { model: tuned } }";
    several_at_once: FEATURES, "model: probe" => "modell: probe, top: 1";
}

#[test]
fn a_right_experiment_is_valid() {
    let output = Project::new().thawline(&["validate", EXPERIMENT]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
