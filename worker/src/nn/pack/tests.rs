use super::*;
use crate::nn::Targets;

const ROWS: usize = 20;
const BATCH: usize = 8;
const EPOCHS: usize = 3;

fn wave(n: usize, frequency: f64, phase: f64) -> Vec<f32> {
    (0..n).map(|i| (frequency * i as f64 + phase).sin() as f32).collect()
}

/// The head of scripts/reference/head.py: layer i holds a sine of frequency 0.37 + i, its bias one of 0.91 + i.
fn reference_head(spec: &HeadSpec) -> Head {
    let layer = |(i, (inputs, outputs)): (usize, (usize, usize))| {
        let weight = Tensor::from_slice(&wave(inputs * outputs, 0.37 + i as f64, 0.5)) * 0.3;
        let bias = Tensor::from_slice(&wave(outputs, 0.91 + i as f64, 0.1)) * 0.3;
        (weight.view([outputs as i64, inputs as i64]), bias)
    };
    Head { spec: spec.clone(), layers: spec.layers().into_iter().enumerate().map(layer).collect() }
}

/// Trains by the script's formulas: order (7 i + 3 e) mod 20, labels i^2 mod classes.
fn train(pack: &mut HeadPack, spec: &HeadSpec, targets: &Targets, members: usize) -> Vec<Score> {
    let features = wave(ROWS * spec.inputs, 0.713, 0.2);
    let mut scores = vec![Score::default(); members];
    for epoch in 0..EPOCHS {
        let order: Vec<usize> = (0..ROWS).map(|i| (7 * i + 3 * epoch) % ROWS).collect();
        scores = vec![Score::default(); members];
        let mut draws = Draws::new(1, "", epoch as u64, "dropout");
        for rows in order.chunks(BATCH) {
            let mut x: Vec<f32> =
                rows.iter().flat_map(|&r| features[r * spec.inputs..(r + 1) * spec.inputs].to_vec()).collect();
            x.resize(BATCH * spec.inputs, 0.5);
            let x = Tensor::from_slice(&x).view([BATCH as i64, spec.inputs as i64]);
            pack.step(&x, &targets.batch(rows, BATCH).unwrap(), 1.0, &mut draws, &mut scores).unwrap();
        }
    }
    scores
}

fn targets(classes: usize, weights: Vec<f64>, smoothing: f64) -> Targets {
    Targets::new((0..ROWS).map(|i| (i * i % classes) as i64).collect(), weights, smoothing).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.contiguous().view([-1]).try_into().unwrap()
}

#[test]
fn training_matches_pytorch() {
    let text = include_str!("../../../../tests/reference/optimizers/head.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let get = |key: &str| case[key].clone();
        let hidden: Vec<usize> = serde_json::from_value(get("hidden")).unwrap();
        let weights: Vec<f64> = serde_json::from_value(get("weights")).unwrap();
        let rule: Optimizer = serde_json::from_value(get("optimizer")).unwrap();
        let smoothing = get("label_smoothing").as_f64().unwrap();
        let spec = HeadSpec { inputs: 6, hidden, classes: weights.len() };
        let mut pack = HeadPack::new(&[reference_head(&spec)], &[rule], 0.0, get("clip_norm").as_f64()).unwrap();
        let scores = train(&mut pack, &spec, &targets(weights.len(), weights, smoothing), 1);
        let found: Vec<f32> = pack.head(0).unwrap().tensors().iter().flat_map(|(_, t)| flat(t)).collect();
        let expected: Vec<f64> = serde_json::from_value(get("result")).unwrap();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((f64::from(*a) - b).abs() < 2e-6, "{rule:?} {spec:?}: {a} {b}");
        }
        let loss = case["last_epoch_loss"].as_f64().unwrap();
        assert!((scores[0].loss() - loss).abs() < 1e-6, "{} {loss}", scores[0].loss());
    }
}

#[test]
fn a_member_does_not_depend_on_its_neighbours() {
    let spec = HeadSpec { inputs: 1280, hidden: Vec::new(), classes: 7 };
    let rules: Vec<Optimizer> = (0..9)
        .map(|i| Optimizer::Sgd {
            lr: Some(0.01 * (i + 1) as f64),
            momentum: 0.1 * i as f64,
            nesterov: false,
            weight_decay: if i % 2 == 0 { 0.0 } else { 0.01 },
        })
        .collect();
    assert_eq!(HeadPack::capacity(&spec), 9);
    let heads = |n: usize| (0..n).map(|i| Head::random(&spec, i as u64).unwrap()).collect::<Vec<_>>();
    let targets = targets(7, vec![1.0; 7], 0.1);
    let mut together = HeadPack::new(&heads(9), &rules, 0.2, Some(0.5)).unwrap();
    let scores = train(&mut together, &spec, &targets, 9);
    for member in [0, 4, 8] {
        let alone = &heads(9)[member..=member];
        let mut pack = HeadPack::new(alone, &rules[member..=member], 0.2, Some(0.5)).unwrap();
        assert_eq!(train(&mut pack, &spec, &targets, 1)[0], scores[member]);
        let (a, b) = (together.head(member).unwrap(), pack.head(0).unwrap());
        assert_eq!(flat(&a.layers[0].0), flat(&b.layers[0].0), "member {member}");
        assert_eq!(flat(&a.layers[0].1), flat(&b.layers[0].1), "member {member}");
    }
}

#[test]
fn packs_that_do_not_fit_are_refused() {
    let spec = HeadSpec { inputs: 4, hidden: vec![3], classes: 2 };
    let heads = || vec![Head::random(&spec, 0).unwrap(), Head::random(&spec, 1).unwrap()];
    let rule: Optimizer = serde_json::from_str(r#"{ "adam": { "lr": 0.1 } }"#).unwrap();
    assert!(HeadPack::new(&heads(), &[rule, rule], 0.0, None).unwrap_err().to_string().contains("do not fit"));
    assert!(HeadPack::new(&heads()[..1], &[rule.without_lr()], 0.0, None).unwrap_err().to_string().contains("`lr`"));
    assert_eq!(HeadPack::capacity(&HeadSpec { inputs: 4, hidden: Vec::new(), classes: 1000 }), 1);
}
