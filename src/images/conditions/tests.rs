use super::{
    super::transforms::reference_tests::{cases, difference, expected, parts, stacked, statistics},
    *,
};

/// `imagecorruptions`, which is ImageNet-C's code; scripts/reference/transforms.py ran it.
#[test]
fn without_chance_they_give_the_pixels_of_imagenet_c() {
    let parts = parts();
    let mut failures = Vec::new();
    for case in cases("conditions.json") {
        let name = case["name"].as_str().unwrap();
        let condition: Condition = serde_json::from_value(case["condition"].clone()).unwrap();
        let severity = case["severity"].as_u64().unwrap() as u8;
        assert!(!condition.draws());
        let mut draws = Draws::new(0, "", 0, "nothing");
        let found = parts.each_ref().map(|part| condition.apply(part, severity, &mut draws).unwrap());
        let (most, mean) = difference(&stacked(&found), &expected(name));
        println!("{name}: at most {most}, mean {mean:.3}");
        if u64::from(most) > case["within"].as_u64().unwrap() || mean > 1.0 {
            failures.push(format!("{name} differs by {most}, mean {mean:.3}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn over_many_draws_they_are_distributed_as_imagenet_c() {
    let [part, ..] = parts();
    let mut failures = Vec::new();
    for case in cases("conditions_random.json") {
        let condition: Condition = serde_json::from_value(case["condition"].clone()).unwrap();
        let severity = case["severity"].as_u64().unwrap() as u8;
        let count = case["draws"].as_u64().unwrap();
        let drawn: Vec<[f64; 5]> = (0..count)
            .map(|view| {
                let mut draws = Draws::new(0, "reference", view, condition.name());
                statistics(&condition.apply(&part, severity, &mut draws).unwrap())
            })
            .collect();
        for i in 0..5 {
            let n = count as f64;
            let mean = drawn.iter().map(|s| s[i]).sum::<f64>() / n;
            let deviation = (drawn.iter().map(|s| (s[i] - mean).powi(2)).sum::<f64>() / n).sqrt();
            let reference = |key: &str| case[key][i].as_f64().unwrap();
            let error = (deviation.powi(2) + reference("deviation").powi(2)).sqrt() / n.sqrt();
            if (mean - reference("mean")).abs() > 5.0 * error + 0.05 {
                let name = condition.name();
                failures.push(format!("{name} {severity}, statistic {i}: {mean:.3}, there {}", case["mean"][i]));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Severities are severe: what is left of the image's own structure falls from one to the next.
#[test]
fn each_severity_is_worse_than_the_one_before() {
    let parts = parts();
    for &condition in Condition::ALL {
        let distance = |severity: u8| {
            let one = |part: &Rgb| {
                let mut draws = Draws::new(1, "severity", 0, condition.name());
                let changed = condition.apply(part, severity, &mut draws).unwrap();
                assert_eq!((changed.width, changed.height), (part.width, part.height));
                difference(&changed, part).1
            };
            parts.iter().map(one).sum::<f64>()
        };
        let distances: Vec<f64> = SEVERITIES.map(distance).collect();
        // Frost and snow trade flakes for veil between two severities, in ImageNet-C too.
        let slack = if matches!(condition, Condition::Frost | Condition::Snow) { 0.75 } else { 1.0 };
        assert!(distances.windows(2).all(|pair| pair[1] > slack * pair[0]), "{} {distances:?}", condition.name());
        assert!(distances[4] > 1.1 * distances[0], "{} {distances:?}", condition.name());
    }
}

#[test]
fn names_are_those_of_the_yaml_and_no_image_is_too_small() {
    for &condition in Condition::ALL {
        assert_eq!(serde_json::to_value(condition).unwrap(), condition.name());
        for (width, height) in [(1, 1), (2, 1), (1, 5), (3, 3)] {
            for severity in SEVERITIES {
                let mut draws = Draws::new(0, "", 0, "small");
                let image = Rgb { pixels: vec![90; (width * height * 3) as usize], ..Rgb::black(width, height) };
                assert_eq!(condition.apply(&image, severity, &mut draws).unwrap().pixels.len(), image.pixels.len());
            }
        }
    }
}
