use super::*;
use crate::backbones;

fn resolve_json(params: &str, cut: &str) -> Result<Vec<NamedPhase>, Vec<Misfit>> {
    let params: Params = serde_json::from_str(params).unwrap();
    let sgd = Optimizer::Sgd { lr: None, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    resolve(&params, backbones::find("resnet18").unwrap(), cut, sgd)
}

fn misfits(params: &str) -> Vec<(String, String, Option<String>)> {
    resolve_json(params, "layer4").unwrap_err().into_iter().map(|m| (m.path, m.message, m.nearest)).collect()
}

fn shown(phases: &[NamedPhase]) -> Vec<(String, String)> {
    let sets = phases.iter().map(|(name, phase)| {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(phase.trained.iter().map(|t| format!("{}{}", t.block, if t.norms_only { "*" } else { "" })));
        parts.extend(phase.head.then(|| "head".into()));
        (name.clone(), parts.join(" "))
    });
    sets.collect()
}

fn set(train: &str) -> String {
    let params = format!(r#"{{ "phases": [{{ "train": {train}, "epochs": 1, "lr": 0.1 }}] }}"#);
    shown(&resolve_json(&params, "layer4").unwrap())[0].1.clone()
}

#[test]
fn train_sets_become_blocks_in_forward_order() {
    assert_eq!(set(r#""head""#), "head");
    assert_eq!(set(r#"["layer4", "layer2", "head"]"#), "layer2 layer4 head");
    assert_eq!(set(r#"[{ "last": 2 }]"#), "layer3 layer4");
    assert_eq!(set(r#""all""#), "stem layer1 layer2 layer3 layer4 head");
    assert_eq!(set(r#"["norms", "layer4"]"#), "stem* layer1* layer2* layer3* layer4");
}

#[test]
fn presets_become_phases() {
    let preset = |text: &str| shown(&resolve_json(&format!(r#"{{ "preset": {text} }}"#), "layer4").unwrap());
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    let all = "stem layer1 layer2 layer3 layer4 head";
    assert_eq!(preset(r#"{ "feature_extraction": { "epochs": 1, "lr": 1 } }"#), [pair("head", "head")]);
    assert_eq!(preset(r#"{ "fine_tune_all": { "epochs": 1, "lr": 1 } }"#), [pair("all", all)]);
    assert_eq!(
        preset(r#"{ "last_n": { "blocks": 2, "epochs": 1, "lr": 1 } }"#),
        [pair("last 2", "layer3 layer4 head")]
    );
    assert_eq!(
        preset(r#"{ "gradual": { "blocks": 2, "head_epochs": 1, "head_lr": 1, "epochs": 1, "lr": 1 } }"#),
        [pair("head", "head"), pair("last 1", "layer4 head"), pair("last 2", "layer3 layer4 head")]
    );
    assert_eq!(
        preset(r#"{ "lp_ft": { "head_epochs": 1, "head_lr": 1, "epochs": 1, "lr": 1 } }"#),
        [pair("head", "head"), pair("all", all)]
    );
}

#[test]
fn a_global_schedule_spans_all_phases() {
    let phases = r#""phases": [{ "train": "head", "epochs": 2, "lr": 1 }, { "name": "b", "train": "all", "epochs": 3, "lr": 1 }]"#;
    let spans = |scope: &str| {
        let resolved = resolve_json(&format!(r#"{{ {phases}, "lr_scope": "{scope}" }}"#), "layer4").unwrap();
        resolved.into_iter().map(|(name, p)| (name, p.lr_span)).collect::<Vec<_>>()
    };
    assert_eq!(spans("phase"), [("1".to_string(), (0, 2)), ("b".to_string(), (0, 3))]);
    assert_eq!(spans("global"), [("1".to_string(), (0, 5)), ("b".to_string(), (2, 5))]);
}

#[test]
fn every_misfit_is_listed_with_its_path() {
    let found = misfits(
        r#"{ "phases": [
            { "train": ["layer44", "haed"], "epochs": 1, "lr": 0.1 },
            { "train": { "last": 6 }, "epochs": 1, "lr": 0.1 },
            { "train": [], "epochs": 0, "lr": 0.1 },
            { "train": "head", "epochs": 1, "lr": 0.1, "optimizer": { "adam": { "lr": 1 } } }
        ] }"#,
    );
    let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "phases.0.train.0",
            "phases.0.train.1",
            "phases.1.train",
            "phases.2.train",
            "phases.2.epochs",
            "phases.3.optimizer"
        ]
    );
    assert_eq!(found[0].2.as_deref(), Some("layer4"));
    assert_eq!(found[1].2.as_deref(), Some("head"));
    assert!(found[2].1.contains("resnet18 has 5 blocks up to `layer4`, not 6"), "{}", found[2].1);
    assert!(found[3].1.contains("trains nothing"));
    assert!(found[5].1.contains("stands in"));
}

#[test]
fn phases_and_preset_exclude_each_other() {
    let phase = r#""phases": [{ "train": "head", "epochs": 1, "lr": 1 }]"#;
    let both = format!(r#"{{ "preset": {{ "feature_extraction": {{ "epochs": 1, "lr": 1 }} }}, {phase} }}"#);
    assert!(misfits(&both)[0].1.contains("not both"));
    assert!(misfits("{}")[0].1.contains("needs"));
    let deep = r#"{ "preset": { "gradual": { "blocks": 9, "head_epochs": 1, "head_lr": 1, "epochs": 1, "lr": 1 } } }"#;
    assert_eq!(misfits(deep)[0].0, "preset.gradual.blocks");
    let idle = r#"{ "preset": { "gradual": { "blocks": 3, "head_epochs": 0, "head_lr": 1, "epochs": 0, "lr": 1 } } }"#;
    let paths: Vec<String> = misfits(idle).into_iter().map(|m| m.0).collect();
    assert_eq!(paths, ["preset.gradual.head_epochs", "preset.gradual.epochs"]);
}

#[test]
fn blocks_after_the_cut_do_not_train() {
    let phase = |train: &str| format!(r#"{{ "phases": [{{ "train": {train}, "epochs": 1, "lr": 1 }}] }}"#);
    let all = resolve_json(&phase(r#""all""#), "layer2").unwrap();
    assert_eq!(shown(&all)[0].1, "stem layer1 layer2 head");
    let misfit = &resolve_json(&phase(r#""layer3""#), "layer2").unwrap_err()[0];
    assert!(misfit.message.contains("after the cut, `layer2`"), "{}", misfit.message);
    assert_eq!(resolve_json(&phase(r#""all""#), "layr2").unwrap_err()[0].nearest.as_deref(), Some("layer2"));
}

#[test]
fn trained_parameters_are_counted() {
    let resnet = backbones::find("resnet18").unwrap();
    let count = |train: &str| {
        let params = format!(r#"{{ "phases": [{{ "train": {train}, "epochs": 1, "lr": 1 }}] }}"#);
        trained_parameters(&resolve_json(&params, "layer4").unwrap()[0].1, resnet, 1026)
    };
    // torchvision: 11,689,512 parameters, 513,000 of them in `fc`; 9,600 in the BatchNorm layers.
    assert_eq!(count(r#""all""#), 11_689_512 - 513_000 + 1026);
    assert_eq!(count(r#""head""#), 1026);
    assert_eq!(count(r#""norms""#), 9_600);
}
