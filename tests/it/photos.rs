//! Real photographs, decoded and resized as Pillow does; scripts/reference/formats.py wrote what it makes of them.

use std::{fs, path::Path};

use thawline::{
    artifact::Reading,
    backbones::weights::cache_folder,
    images::{
        Rgb,
        decode::decode,
        resize::{Interpolation, resize},
    },
};

fn read(path: &Path) -> Rgb {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; run `make fetch`", path.display()));
    decode(&bytes, &Reading::default()).unwrap().image
}

/// The largest and the mean difference of a channel.
fn difference(found: &[u8], expected: &[u8]) -> (u8, f64) {
    assert_eq!(found.len(), expected.len());
    let each = || found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    (each().max().unwrap(), each().map(f64::from).sum::<f64>() / found.len() as f64)
}

#[test]
fn photographs_decode_and_resize_as_in_pillow() {
    for (file, decoded_within) in [("rocket.jpg", 5), ("coffee.png", 0), ("chelsea.png", 0)] {
        let photo = read(&cache_folder().unwrap().join("testdata/photos").join(file));
        let stem = file.split('.').next().unwrap();
        let reference = |what: &str| {
            let path = format!("tests/reference/photos/{stem}.{what}.png");
            read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        };
        let pixel = |x: usize, y: usize| &photo.pixels[y * photo.stride() + x * 3..][..3];
        let columns = 0..photo.width as usize;
        let fifth: Vec<u8> = (0..photo.height as usize)
            .step_by(5)
            .flat_map(|y| columns.clone().step_by(5).flat_map(move |x| pixel(x, y)))
            .copied()
            .collect();
        let (largest, mean) = difference(&fifth, &reference("fifth").pixels);
        println!("{file}: {largest}, mean {mean:.3}");
        assert!(largest <= decoded_within && mean < 0.5, "{file} differs by {largest}, mean {mean}");
        for (name, filter, within) in [("bilinear", Interpolation::Bilinear, 1), ("bicubic", Interpolation::Bicubic, 2)]
        {
            let resized = resize(&photo, 97, 61, filter).unwrap();
            let (largest, mean) = difference(&resized.pixels, &reference(name).pixels);
            println!("{file} {name}: {largest}, mean {mean:.3}");
            assert!(largest <= within, "{file}, {name}, differs by {largest}");
        }
    }
}
