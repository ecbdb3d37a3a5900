use serde_json::{Value, from_value};

use super::{
    super::reference_tests::{cases, difference, expected, parts},
    *,
};

/// A square part of a photograph under what Keras' `apply_transform` was given.
#[test]
fn equals_keras() {
    let [part, ..] = parts();
    let square = resize::crop(&part, 0, 0, 48, 48);
    for case in cases("keras.json") {
        let name = case["name"].as_str().unwrap();
        let number = |key: &str| case["drawn"][key].as_f64().unwrap();
        let generator: KerasImageDataGenerator = from_value(case["parameters"].clone()).unwrap();
        let drawn = Drawn {
            theta: number("theta"),
            // Keras exchanges them.
            shift: [number("tx"), number("ty")],
            shear: number("shear"),
            zoom: [number("zx"), number("zy")],
            channel_shift: number("channel_shift_intensity"),
            flips: [
                case["drawn"]["flip_horizontal"] == Value::Bool(true),
                case["drawn"]["flip_vertical"] == Value::Bool(true),
            ],
            brightness: case["drawn"]["brightness"].as_f64(),
        };
        let (most, mean) = difference(&generator.transform(square.clone(), &drawn), &expected(name));
        println!("{name}: at most {most}, mean {mean:.3}");
        // Keras keeps floats between the steps; bytes round once more.
        assert!(most <= 2, "{name} differs by {most}, mean {mean}");
    }
}

#[test]
fn draws_stay_in_their_ranges_and_fill_them() {
    let generator: KerasImageDataGenerator = from_value(serde_json::json!({
        "rotation_range": 40, "width_shift_range": 0.2, "height_shift_range": 3, "shear_range": 0.2, "zoom_range": 0.2,
        "horizontal_flip": true, "channel_shift_range": 20, "brightness_range": [0.5, 1.5]
    }))
    .unwrap();
    let drawn: Vec<Drawn> =
        (0..1000).map(|view| generator.draw((100, 50), &mut Draws::new(0, "x", view, "keras"))).collect();
    type Part = fn(&Drawn) -> f64;
    let uniform: [(Part, f64, f64); 6] = [
        (|d| d.theta, -40.0, 40.0),
        (|d| d.shift[0], -20.0, 20.0),
        (|d| d.shear, -0.2, 0.2),
        (|d| d.zoom[0], 0.8, 1.2),
        (|d| d.channel_shift, -20.0, 20.0),
        (|d| d.brightness.unwrap(), 0.5, 1.5),
    ];
    for (part, low, high) in uniform {
        let values: Vec<f64> = drawn.iter().map(part).collect();
        let mean = values.iter().sum::<f64>() / 1000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1000.0;
        let width: f64 = high - low;
        assert!(values.iter().all(|v| (low..high).contains(v)));
        assert!((mean - (low + high) / 2.0).abs() < 5.0 * width / (12.0 * 1000.0f64).sqrt(), "{mean}");
        assert!((variance * 12.0 / width.powi(2) - 1.0).abs() < 0.12, "{variance}");
    }
    // A whole number of pixels: -2 to 2, 0 twice as often as each.
    let of = |pixels: f64| drawn.iter().filter(|d| d.shift[1] == pixels).count();
    assert_eq!([-2.0, -1.0, 0.0, 1.0, 2.0].map(of).iter().sum::<usize>(), 1000);
    assert!((270..400).contains(&of(0.0)) && (120..215).contains(&of(2.0)), "{} {}", of(0.0), of(2.0));
    assert!(drawn.iter().all(|d| !d.flips[1]) && (430..570).contains(&drawn.iter().filter(|d| d.flips[0]).count()));
}

#[test]
fn rescale_is_the_networks_normalisation() {
    let generator: KerasImageDataGenerator = from_value(serde_json::json!({ "rescale": 1.0 / 255.0 })).unwrap();
    assert!(!generator.draws());
    let Normalization { mean, std } = generator.normalization().unwrap();
    assert_eq!((mean, std), ([0.0; 3], [1.0; 3]));
}
