//! What is said about files that are wrong: one snapshot a mistake.

use super::{COMPARISON, FINE_TUNING, Project};

const EXPERIMENT: &str = "experiments/comparison.yaml";
const PIPELINE: &str = "pipelines/fine-tuning.yaml";

fn snapshot(name: &str, project: &Project, file: &str, set: &[(&str, &str)]) {
    let said = match project.load(file, set) {
        Ok(experiment) => panic!("{name}: nothing is wrong with it; notices: {:?}", experiment.notices),
        Err(diagnostics) => project.plain(diagnostics),
    };
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!(name, said);
    });
}

macro_rules! mistakes {
    ($($name:ident: $file:expr, $from:expr => $to:expr;)*) => {
        $(#[test]
        fn $name() {
            snapshot(stringify!($name), &Project::edited($file, $from, $to), EXPERIMENT, &[]);
        })*
    };
}

mistakes! {
    unknown_key: PIPELINE, "momentum: 0.9" => "momentun: 0.9";
    unknown_key_of_a_stage: PIPELINE, "epochs: 25" => "epoch: 25";
    unknown_key_of_a_pipeline: PIPELINE, "stages:" => "stage: {}\nstages:";
    unknown_key_of_an_experiment: EXPERIMENT, "repeats:" => "repeat:";
    unknown_kind: PIPELINE, "{ train_head:" => "{ trian_head:";
    duplicate_key: PIPELINE, "epochs: 25" => "epochs: 25, epochs: 30";
    duplicate_stage: PIPELINE, "  score:" => "  probe: { evaluate: { model: tuned } }\n  score:";
    wrong_type: PIPELINE, "epochs: 25" => "epochs: many";
    wrong_type_in_a_parameter: PIPELINE, "backbone: resnet18" => "backbone: 18";
    wrong_type_of_a_container: PIPELINE, "split: { train: 0.6, val: 0.2, test: 0.2 }" => "split: [0.6, 0.2, 0.2]";
    number_for_text: PIPELINE, "images: photos" => "images: 3";
    missing_key: PIPELINE, "epochs: 25, optimizer: { sgd: { lr: \"${head_lr}\", momentum: 0.9 } }" => "epochs: 25";
    nesterov_without_momentum: PIPELINE, "momentum: 0.9" => "nesterov: true";
    out_of_range: PIPELINE, "momentum: 0.9" => "momentum: 9, weight_decay: -1";
    unknown_variant: PIPELINE, "{ sgd:" => "{ sdg:";
    variant_without_its_settings: PIPELINE, "epochs: 25" => "epochs: 25, lr_schedule: step";
    variant_with_settings_it_lacks: PIPELINE, "epochs: 25" => "epochs: 25, lr_schedule: { constant: {} }";
    unknown_constant: PIPELINE, "epochs: 25" => "epochs: 25, class_weights: balance";
    wrong_pair: PIPELINE, "{ sgd: { lr: \"${head_lr}\", momentum: 0.9 } }" => "{ adam: { lr: \"${head_lr}\", betas: [0.9] } }";
    unknown_reference: PIPELINE, "model: tuned" => "model: tunned";
    unknown_reference_without_a_near_name: PIPELINE, "model: tuned" => "model: best";
    cycle: PIPELINE, "start_from: probe, schedule: thaw } }" => "start_from: again, schedule: thaw } }\n  again:    { fine_tune: { images: views, start_from: tuned, schedule: thaw } }";
    wrong_artifact: PIPELINE, "model: tuned" => "model: views";
    unknown_block: PIPELINE, "[layer4, head]" => "[layer5, head]";
    unknown_block_of_features: PIPELINE, "weights: \"${weights}\" }" => "weights: \"${weights}\", block: layre3 }";
    unknown_backbone: PIPELINE, "backbone: resnet18" => "backbone: resnet81";
    unknown_weights: PIPELINE, "weights: imagenet" => "weights: imagnet";
    unknown_transform: PIPELINE, "size: 224" => "size: 224, train: [random_resize_crop, { centre_crop: 3 }]";
    transform_without_its_settings: PIPELINE, "size: 224" => "size: 224, eval: [resize]";
    transform_with_wrong_settings: PIPELINE, "size: 224" => "size: 224, eval: [{ resize: big }, { resize: { siz: 3 } }, { center_crop: 224, resize: 2 }, 7, { resize: [1, 2, 3] }, { normalize: imagenet }]";
    transform_with_an_impossible_range: PIPELINE, "size: 224" => "size: 224, eval: [{ rotate: 400 }]";
    transform_out_of_range: PIPELINE, "size: 224" => "size: 224, eval: [{ rotate: { degrees: 20, fill: mirror } }, { vertical_flip: { p: 2 } }, { condition: { name: fogg, severity: 6 } }]";
    balanced_twice: PIPELINE, "size: 224, views: \"${views}\" } }\n  features: { extract_features: { images: views, backbone: \"${backbone}\", weights: \"${weights}\" } }\n  probe:    { train_head: { features: features, epochs: 25," => "size: 224, views: \"${views}\", balance: oversample } }\n  features: { extract_features: { images: views, backbone: \"${backbone}\", weights: \"${weights}\" } }\n  probe:    { train_head: { features: features, epochs: 25, class_weights: balanced,";
    unknown_balance: PIPELINE, "size: 224" => "size: 224, balance: smote";
    mixed_images_to_evaluate: PIPELINE, "size: 224" => "size: 224, eval: [{ resize: 256 }, { mixup: 0.2 }]";
    transforms_out_of_order: PIPELINE, "size: 224" => "size: 224, eval: [normalize, { resize: 256 }]";
    undeclared_parameter: PIPELINE, "size: 224" => "size: \"${sise}\", seed: \"${view}\"";
    malformed_interpolation: PIPELINE, "size: 224" => "size: \"${views * 2}\"";
    parameter_that_is_no_literal: PIPELINE, "lr: 0.001" => "lr: \"${head_lr}\"";
    map_inside_text: PIPELINE, "image_folder: data/photos" => "image_folder: \"data/${views}/x\", on_unreadable: \"${fraction}\"";
    no_optimizer_lr: PIPELINE, "{ sgd: { lr: \"${head_lr}\", momentum: 0.9 } }" => "{ sgd: { momentum: 0.9 } }";
    fractions_that_do_not_sum: PIPELINE, "test: 0.2" => "test: 0.3";
    no_source_of_images: PIPELINE, "image_folder: data/photos, " => "";
    two_sources_of_images: PIPELINE, "image_folder: data/photos" => "image_folder: data/photos, table: { file: t.csv, image: 1, label: 2 }";
    nothing_to_start_from: PIPELINE, "start_from: probe, " => "";
    two_things_to_start_from: PIPELINE, "start_from: probe" => "start_from: probe, backbone: resnet18, weights: none";
    backbone_without_weights: PIPELINE, "start_from: probe" => "backbone: resnet18";
    no_evaluate: PIPELINE, "  score:    { evaluate: { model: tuned } }" => "";
    two_kinds: PIPELINE, "{ evaluate: { model: tuned } }" => "{ evaluate: { model: tuned }, fine_tune: {} }";
    no_kind: PIPELINE, "{ evaluate: { model: tuned } }" => "{}";
    stage_that_is_a_list: PIPELINE, "{ evaluate: { model: tuned } }" => "[evaluate]";
    stages_that_are_a_list: PIPELINE, "stages:" => "stages: [a]\nx:";
    stage_name_with_a_dot: PIPELINE, "  score: " => "  my.score: ";
    key_that_is_a_number: PIPELINE, "  score: " => "  1: ";
    infinite_number: PIPELINE, "epochs: 25" => "epochs: .inf";
    tag: PIPELINE, "epochs: 25" => "epochs: !int 25";
    tab: PIPELINE, "  views: " => "\tviews: ";
    unclosed_bracket: PIPELINE, "{ evaluate: { model: tuned } }" => "{ evaluate: { model: tuned }";
    swept_but_undeclared: EXPERIMENT, "{ head_lr: {" => "{ head_lrr: {";
    swept_by_an_arm_but_undeclared: EXPERIMENT, "{ lr: {" => "{ llr: {";
    fixed_and_swept: EXPERIMENT, "params: { views: 8 }" => "params: { views: 8, head_lr: 0.1 }";
    fixed_and_swept_in_an_arm: EXPERIMENT, "fine-tuning.yaml, " => "fine-tuning.yaml, params: { lr: 0.1 }, ";
    facet_and_swept: EXPERIMENT, "fraction: [" => "head_lr: [";
    unknown_experiment_parameter: EXPERIMENT, "params: { views: 8 }" => "params: { view: 8 }";
    unknown_arm_parameter: EXPERIMENT, "params: { epochs: 30 }" => "params: { epoch: 30 }";
    bad_swept_value: EXPERIMENT, "values: [0.1, 0.01]" => "values: [0.1, high]";
    bad_facet_value: EXPERIMENT, "fraction: [0.1, 1.0]" => "fraction: [0.1, 10]";
    empty_values: EXPERIMENT, "values: [0.1, 0.01]" => "values: []";
    missing_values: EXPERIMENT, "values: [0.1, 0.01]" => "";
    list_for_values: EXPERIMENT, "{ values: [0.1, 0.01] }" => "[0.1, 0.01]";
    repeated_value: EXPERIMENT, "values: [0.1, 0.01]" => "values: [0.1, 0.1]";
    range_instead_of_values: EXPERIMENT, "values: [0.1, 0.01]" => "min: 0.1, max: 1";
    repeated_seed: EXPERIMENT, "seeds: 3" => "seeds: [1, 2, 1]";
    negative_seed: EXPERIMENT, "seeds: 3" => "seeds: [1, -2]";
    no_seeds: EXPERIMENT, "seeds: 3" => "seeds: []";
    one_fold: EXPERIMENT, "seeds: 3" => "folds: 1";
    times_without_folds: EXPERIMENT, "seeds: 3" => "times: 2";
    method_of_later: EXPERIMENT, "method: grid" => "method: racing";
    numbers_of_cma_es: EXPERIMENT, "method: grid" => "method: cma_es";
    method_without_a_cap: EXPERIMENT, "method: grid\n  run_cap: 10" => "method: tpe";
    range_in_a_grid: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: uniform, min: 0.1, max: 1";
    range_upside_down: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: int, min: 3, max: 1.5";
    range_of_logarithms_from_zero: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: log_uniform, min: 0, max: 1";
    range_without_an_end: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: q_uniform, min: 0, mu: 1";
    normal_without_width: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: normal, mu: 0, sigma: -1";
    unknown_distribution: EXPERIMENT, "values: [0.1, 0.01]" => "distribution: log, min: 0, max: 1";
    values_and_a_range: EXPERIMENT, "values: [0.1, 0.01]" => "values: [1], distribution: int, min: 1, max: 3";
    list_with_a_range: EXPERIMENT, "values: [0.1, 0.01]" => "values: [0.1], min: 1";
    range_with_a_wrong_end: EXPERIMENT, "method: grid\n  run_cap: 10\n  parameters: { head_lr: { values: [0.1, 0.01] } }" => "method: random\n  run_cap: 5\n  parameters: { head_lr: { distribution: uniform, min: -1, max: 1 } }";
    condition_on_nothing: EXPERIMENT, "values: [0.1, 0.01]" => "values: [0.1, 0.01], when: { weightz: imagenet }";
    condition_that_never_holds: EXPERIMENT, "{ lr: { values: [0.003, 0.001] }" => "{ lr: { values: [0.003, 0.001], when: { head_lr: [0.1, 0.2] } }";
    conditions_in_a_circle: EXPERIMENT, "{ lr: { values: [0.003, 0.001] }" => "{ lr: { values: [1, 2], when: { head_lr: 1 } }, head_lr: { values: [1, 2], when: { lr: 1 } }";
    multiple_of_text: EXPERIMENT, "values: [0.1, 0.01]" => "values: [0.1, 0.01], times: backbone";
    together_with_a_gap: EXPERIMENT, "values: [0.1, 0.01]" => "together: [{ head_lr: 1, views: 2 }, { head_lr: 2 }]";
    enqueued_outside: EXPERIMENT, "method: grid" => "method: grid\n  enqueue: [{ head_lr: 0.1 }, { head_lr: 0.2 }]";
    enqueued_by_a_wrong_name: EXPERIMENT, "method: grid" => "method: grid\n  enqueue: [{ haed_lr: 0.1 }]";
    unknown_method: EXPERIMENT, "method: grid" => "method: gird";
    test_metric: EXPERIMENT, "val/accuracy" => "test/accuracy";
    train_metric: EXPERIMENT, "val/accuracy" => "train/accuracy";
    unknown_metric: EXPERIMENT, "val/accuracy" => "val/acuracy";
    metric_without_a_split: EXPERIMENT, "val/accuracy" => "accuracy";
    metric_of_an_unknown_stage: EXPERIMENT, "val/accuracy" => "scores.val/accuracy";
    metric_that_is_not_computed: EXPERIMENT, "val/accuracy" => "val/top_3";
    unknown_goal: EXPERIMENT, "goal: maximize" => "goal: maximise";
    ambiguous_metric: PIPELINE, "  score: " => "  probe_score: { evaluate: { model: probe } }\n  score: ";
    unknown_baseline: EXPERIMENT, "baseline: from_scratch" => "baseline: from_scrach";
    missing_pipeline: EXPERIMENT, "../pipelines/from-scratch.yaml" => "../pipelines/from-scrach.yaml";
    arm_without_a_pipeline: EXPERIMENT, "{ pipeline: ../pipelines/from-scratch.yaml, params: { epochs: 30 } }" => "{ params: { epochs: 30 } }";
    pipeline_that_is_a_number: EXPERIMENT, "../pipelines/from-scratch.yaml" => "3";
    pipeline_that_is_an_experiment: EXPERIMENT, "../pipelines/from-scratch.yaml" => "comparison.yaml";
    folder_for_a_pipeline: EXPERIMENT, "../pipelines/from-scratch.yaml" => "../pipelines";
    two_documents: EXPERIMENT, "report:" => "---\nreport:";
    no_arms: EXPERIMENT, "arms:" => "arms: {}\nsweeps:";
}

#[test]
fn every_mistake_of_every_file_is_listed_at_once() {
    let experiment = COMPARISON.replace("val/accuracy", "test/accuracy").replace("seeds: 3", "seeds: [1, 1]");
    let pipeline = FINE_TUNING
        .replace("momentum", "momentun")
        .replace("epochs: 25", "epochs: many")
        .replace("[layer4, head]", "[layer5, layer9]")
        .replace("model: tuned", "model: views");
    let scratch = super::FROM_SCRATCH.replace("weights: none", "weights: nonee");
    let project =
        Project::new(&[(EXPERIMENT, &experiment), (PIPELINE, &pipeline), ("pipelines/from-scratch.yaml", &scratch)]);
    snapshot("everything_at_once", &project, EXPERIMENT, &[]);
}

#[test]
fn folds_need_a_part_for_val() {
    let experiment = COMPARISON.replace("seeds: 3", "folds: 5, times: 2");
    let pipeline = FINE_TUNING.replace("val: 0.2, test: 0.2", "val: 0, test: 0.4");
    let scratch = super::FROM_SCRATCH;
    let project =
        Project::new(&[(EXPERIMENT, &experiment), (PIPELINE, &pipeline), ("pipelines/from-scratch.yaml", scratch)]);
    snapshot("folds_without_val", &project, EXPERIMENT, &[]);
}

#[test]
fn blocks_are_checked_against_every_backbone_that_is_swept() {
    let sweep = "parameters: { backbone: { values: [resnet18, efficientnet_lite0] } }";
    let project = Project::edited(EXPERIMENT, "parameters: { head_lr: { values: [0.1, 0.01] } }", sweep);
    snapshot("blocks_of_every_backbone", &project, EXPERIMENT, &[]);
}

#[test]
fn a_continuum_over_whole_numbers_is_found_out() {
    let project = Project::edited(EXPERIMENT, "method: grid", "method: random");
    let text = std::fs::read_to_string(project.path(EXPERIMENT)).unwrap();
    let text = text
        .replace("params: { views: 8 }", "")
        .replace("{ head_lr: {", "{ views: { distribution: uniform, min: 1, max: 8 }, head_lr: {");
    std::fs::write(project.path(EXPERIMENT), text).unwrap();
    snapshot("range_of_what_is_whole", &project, EXPERIMENT, &[]);
}

#[test]
fn a_wrong_value_of_the_command_line_is_shown_there() {
    let project = Project::sound();
    snapshot("wrong_override", &project, EXPERIMENT, &[("lr", "high"), ("epoch", "3"), ("views", "[1")]);
}

#[test]
fn files_that_are_neither_kind() {
    for (name, text) in [
        ("empty_file", ""),
        ("only_a_comment", "# nothing\n"),
        ("a_list", "- a\n- b\n"),
        ("neither", "params: {}\n"),
        ("both", "arms: {}\nstages: {}\n"),
        ("no_stages", "stages: {}\n"),
    ] {
        snapshot(name, &Project::new(&[("x.yaml", text)]), "x.yaml", &[]);
    }
    snapshot("no_file", &Project::new(&[("x.yaml", "")]), "y.yaml", &[]);
}

#[test]
fn as_json() {
    let project = Project::edited(PIPELINE, "momentum: 0.9", "momentun: 0.9");
    let json = project.experiment().unwrap_err().to_json();
    assert_eq!(json[0]["severity"], "error");
    assert_eq!((&json[0]["line"], &json[0]["column"], &json[0]["width"]), (&7.into(), &99.into(), &8.into()));
    assert_eq!(json[0]["help"], "did you mean `momentum`?");
}
