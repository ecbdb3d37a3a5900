use serde_json::{Value, json};

use super::*;

fn parse(value: Value) -> Result<Transform, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn canonical(value: Value) -> Value {
    let transform = parse(value).unwrap();
    let full = serde_json::to_value(&transform).unwrap();
    assert_eq!(parse(full.clone()).unwrap(), transform, "{full} reads back as itself");
    full
}

fn gradient(width: u32, height: u32) -> Rgb {
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, (x ^ y) as u8])).collect();
    Rgb { width, height, pixels }
}

const KEY: DrawKey<'_> = DrawKey { seed: 3, image: "00ff", view: 1 };

#[test]
fn short_and_long_forms_are_one_recipe() {
    let resize = json!({ "resize": { "size": 256, "interpolation": "bilinear" } });
    assert_eq!(canonical(json!({ "resize": 256 })), resize);
    assert_eq!(canonical(json!({ "resize": { "size": 256 } })), resize);
    let exact = json!({ "resize": { "size": [20, 30], "interpolation": "bilinear" } });
    assert_eq!(canonical(json!({ "resize": [20, 30] })), exact);
    assert_eq!(canonical(json!({ "center_crop": 224 })), json!({ "center_crop": 224 }));
    assert_eq!(canonical(json!("horizontal_flip")), json!({ "horizontal_flip": { "p": 0.5 } }));
    assert_eq!(canonical(json!("normalize")), json!({ "normalize": "backbone" }));
    let given = json!({ "normalize": { "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25] } });
    assert_eq!(canonical(given.clone()), given);
    let crop = json!({ "random_resized_crop": {
        "size": null, "scale": [0.08, 1.0], "ratio": [0.75, 4.0 / 3.0], "interpolation": "bilinear"
    } });
    assert_eq!(canonical(json!("random_resized_crop")), crop);
    assert_eq!(canonical(json!({ "random_resized_crop": {} })), crop);
}

#[test]
fn mistakes_are_said_in_words() {
    let wrong = |value: Value| parse(value).unwrap_err();
    assert!(wrong(json!("flip")).contains("unknown variant `flip`, expected one of `resize`"));
    assert!(wrong(json!({ "flip": {} })).contains("unknown variant `flip`"));
    assert!(wrong(json!("center_crop")).contains("`center_crop` needs parameters"));
    assert!(wrong(json!({})).contains("a map of one name"));
    assert!(wrong(json!({ "horizontal_flip": { "q": 1 } })).contains("unknown field `q`"));
    assert!(wrong(json!({ "horizontal_flip": { "p": 1.5 } })).contains("`p` is 1.5"));
    assert!(wrong(json!({ "center_crop": 3, "resize": 4 })).contains("a list item of its own"));
    assert!(wrong(json!({ "random_resized_crop": { "scale": [0.5, 0.2] } })).contains("`scale` is [0.5, 0.2]"));
    assert!(wrong(json!({ "normalize": { "mean": [0, 0, 0], "std": [1, 0, 1] } })).contains("above 0"));
}

/// What cannot be is refused, in words that name the parameter.
#[test]
fn ranges_and_probabilities_are_checked() {
    for (value, part) in [
        (json!({ "rotate": { "degrees": 400 } }), "`degrees` is [-400, 400]; it must be in -360..360"),
        (json!({ "rotate": -3 }), "a single number is not negative, as -3"),
        (json!({ "rotate": [20, 10] }), "a range is [least, most], not [20, 10]"),
        (json!({ "rotate": { "degrees": 3, "fill": "mirror" } }), "did not match any variant"),
        (json!({ "translate": [0.1, 1.2] }), "`fraction` is [0.1, 1.2]; fractions lie in 0..1"),
        (json!({ "shear": [-95, 10] }), "`degrees` is [-95.0, 10.0, 0.0, 0.0]"),
        (json!({ "zoom": [0, 1] }), "`scale` is [0, 1]; it must be above 0"),
        (json!({ "brightness": [-1, 1] }), "`factor` is [-1, 1]; it must be at least 0"),
        (json!({ "hue": 0.7 }), "`turn` is [-0.7, 0.7]; it must be in -0.5..0.5"),
        (json!({ "vertical_flip": { "p": 2 } }), "a probability lies in 0..1, not 2"),
        (json!({ "gaussian_blur": 4 }), "`kernel_size` is 4; it must be odd"),
        (json!({ "jpeg": [0, 50] }), "`quality` is [0, 50]; it must be in 1..100"),
        (json!({ "rand_augment": { "magnitude": 31 } }), "`magnitude` is 31; it is below the 31 bins"),
        (json!({ "augmix": { "severity": 11 } }), "`severity` is 11; it lies in 1..10"),
        (json!({ "posterize": { "bits": 9 } }), "`bits` is 9"),
        (
            json!({ "keras_image_data_generator": { "zoom_range": 1 } }),
            "`zoom_range` is [0, 2]; it must be [least, most], above 0",
        ),
        (json!("rotate"), "`rotate` needs parameters"),
    ] {
        let error = parse(value.clone()).unwrap_err();
        assert!(error.contains(part), "{value}: {error}");
    }
}

#[test]
fn ranges_have_one_recipe_however_written() {
    let full = json!({ "rotate": { "degrees": [-30.0, 30.0], "interpolation": "bilinear", "fill": [0, 0, 0] } });
    for written in
        [json!(30), json!([-30, 30]), json!({ "degrees": 30, "fill": "constant" }), json!({ "degrees": 30, "fill": 0 })]
    {
        assert_eq!(canonical(json!({ "rotate": written })), full);
    }
    assert_eq!(canonical(json!({ "brightness": 0.5 })), json!({ "brightness": { "factor": [0.5, 1.5] } }));
    let zoom = canonical(json!({ "keras_image_data_generator": { "zoom_range": 0.25 } }));
    assert_eq!(zoom["keras_image_data_generator"]["zoom_range"], json!([0.75, 1.25]));
}

/// Every transform there is, on images as small as they come.
#[test]
fn no_size_of_image_is_too_small() {
    let written = json!([
        "vertical_flip", { "rotate": 40 }, { "translate": [0.5, 0.5] }, { "shear": 20 }, { "zoom": 0.5 }, { "affine": { "degrees": 90 } },
        { "perspective": { "p": 1 } }, "elastic", { "brightness": 0.5 }, { "contrast": 0.5 }, { "saturation": 0.5 }, { "hue": 0.5 },
        { "color_jitter": { "hue": 0.1, "contrast": 0.1 } }, { "grayscale": { "p": 1 } }, { "invert": { "p": 1 } },
        { "equalize": { "p": 1 } }, { "autocontrast": { "p": 1 } }, { "posterize": { "p": 1 } }, { "solarize": { "p": 1 } },
        { "sharpness": { "p": 1 } }, { "gaussian_blur": 9 }, "gaussian_noise", { "jpeg": 50 }, { "random_erasing": { "p": 1 } },
        "rand_augment", "trivial_augment_wide", "auto_augment", "augmix",
        { "keras_image_data_generator": { "rotation_range": 40, "width_shift_range": 0.2, "fill_mode": "wrap" } },
        { "rotate": { "degrees": 90, "fill": "reflect" } }, { "zoom": { "scale": [0.1, 0.1], "fill": "wrap" } },
        { "random_crop": { "size": 5, "pad_if_needed": true, "fill": "reflect" } }, { "resize": [3, 3] }
    ]);
    let all: Vec<Transform> = serde_json::from_value(written).unwrap();
    for (width, height) in [(1, 1), (1, 7), (7, 1), (2, 2), (3, 2)] {
        for view in 0..4 {
            let prepared = prepare(gradient(width, height), &all, 3, DrawKey { view, ..KEY }).unwrap();
            assert_eq!(prepared.pixels.len(), 27);
        }
    }
}

#[test]
fn crops_larger_than_the_image_are_an_error_unless_padded() {
    let crop: Transform = serde_json::from_value(json!({ "random_crop": 50 })).unwrap();
    let error = format!("{:#}", prepare(gradient(60, 40), &[crop], 50, KEY).unwrap_err());
    assert!(error.starts_with("`random_crop`: the image is 40 pixels high, less than the 50 of the crop"), "{error}");
}

#[test]
fn normalize_is_last() {
    let list = |value: Value| serde_json::from_value::<Vec<Transform>>(value).unwrap();
    assert!(check_order(&[]).is_ok());
    assert!(check_order(&list(json!([{ "resize": 8 }, "normalize"]))).is_ok());
    let error = check_order(&list(json!(["normalize", { "resize": 8 }]))).unwrap_err();
    assert_eq!(error, "`normalize` must be the last transform; `resize` follows it");
}

#[test]
fn mixing_comes_after_all_that_changes_single_images() {
    let list = |value: Value| serde_json::from_value::<Vec<Transform>>(value).unwrap();
    let sound = list(json!([{ "resize": [8, 8] }, { "mixup": 0.2 }, "normalize"]));
    assert!(check_order(&sound).is_ok());
    let (single, mixing) = split_mixing(&sound[..2]);
    assert_eq!((single.len(), mixing.unwrap().1), (1, "mixup"));
    let error = check_order(&list(json!(["cutmix", "horizontal_flip"]))).unwrap_err();
    assert_eq!(error, "`cutmix` mixes prepared images, so only `normalize` may follow; `horizontal_flip` does");
    assert!(check_order(&list(json!(["cutmix", "mixup"]))).is_err());
    assert!(parse(json!({ "mixup": 0 })).unwrap_err().contains("`alpha` is 0; it lies above 0"));
}

#[test]
fn the_schema_offers_what_deserialising_takes() {
    let schema = schemars::schema_for!(Transform).to_value();
    let forms = schema["anyOf"].as_array().unwrap();
    let alone = forms[0]["enum"].as_array().unwrap();
    assert!(["random_resized_crop", "horizontal_flip", "normalize"].iter().all(|name| alone.contains(&json!(name))));
    assert!(alone.iter().all(|name| Transform::alone(name.as_str().unwrap()).is_some()));
    let named: Vec<&str> = forms[1..].iter().map(|form| form["required"][0].as_str().unwrap()).collect();
    assert_eq!(named, Transform::NAMES);
    assert!(forms[1..].iter().all(|form| form["additionalProperties"] == json!(false)));
}

#[test]
fn what_comes_out_has_the_stage_size_or_is_an_error() {
    let list = |value: Value| serde_json::from_value::<Vec<Transform>>(value).unwrap();
    let image = gradient(40, 30);
    assert_eq!(prepare(image.clone(), &[], 16, KEY).unwrap().width, 16);
    for good in [json!([{ "resize": 20 }, { "center_crop": 16 }]), json!(["random_resized_crop", "horizontal_flip"])] {
        let prepared = prepare(image.clone(), &list(good), 16, KEY).unwrap();
        assert_eq!((prepared.width, prepared.height, prepared.pixels.len()), (16, 16, 16 * 16 * 3));
    }
    let error = prepare(image, &list(json!([{ "resize": 16 }])), 16, KEY).unwrap_err().to_string();
    assert!(error.starts_with("the transforms give 21 x 16 pixels, the stage's `size` is 16"), "{error}");
}

#[test]
fn draws_depend_on_image_view_and_seed_and_nothing_else() {
    let steps = [Transform::alone("random_resized_crop").unwrap(), Transform::alone("horizontal_flip").unwrap()];
    let with = |key| prepare(gradient(50, 50), &steps, 12, key).unwrap();
    assert_eq!(with(KEY), with(KEY));
    assert_ne!(with(KEY), with(DrawKey { view: 2, ..KEY }));
    assert_ne!(with(KEY), with(DrawKey { image: "00fe", ..KEY }));
    assert_ne!(with(KEY), with(DrawKey { seed: 4, ..KEY }));
}

#[test]
fn repeated_transforms_draw_for_themselves() {
    let flip = Transform::alone("horizontal_flip").unwrap();
    let image = Rgb { width: 2, height: 2, pixels: (0..12).collect() };
    let flipped =
        |steps: &[Transform], view| prepare(image.clone(), steps, 2, DrawKey { view, ..KEY }).unwrap() != image;
    let once = (0..400).filter(|&view| flipped(std::slice::from_ref(&flip), view)).count();
    let twice = (0..400).filter(|&view| flipped(&[flip.clone(), flip.clone()], view)).count();
    assert!((160..240).contains(&once) && (160..240).contains(&twice), "{once} {twice}");
}
