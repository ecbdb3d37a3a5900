//! Against Pillow and torchvision; scripts/reference/images.py wrote the files.

use std::{fs, path::PathBuf};

use proptest::prelude::*;

use super::{
    Rgb, decode as decoding,
    resize::{Interpolation, center_crop, crop, flip_horizontally, resize, shorter_side},
};
use crate::artifact::Reading;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/images").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn decode(bytes: &[u8]) -> anyhow::Result<Rgb> {
    Ok(decoding::decode(bytes, &Reading::default())?.image)
}

fn image(name: &str) -> Rgb {
    decode(&file(name)).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// The largest difference of a channel.
fn difference(found: &Rgb, expected: &Rgb) -> u8 {
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn png_of_every_kind_decodes_as_pillow_does() {
    let kinds = ["rgb", "grey", "bits", "palette", "palette_transparent", "rgba", "grey_alpha", "grey16"];
    for kind in kinds.map(|kind| format!("{kind}_png")) {
        let found = difference(&image(&format!("{kind}.png")), &image(&format!("{kind}.expected.png")));
        let rounding = u8::from(kind.contains("alpha") || kind.contains("rgba"));
        assert!(found <= rounding, "{kind} differs by {found}");
    }
}

#[test]
fn jpeg_of_every_kind_decodes_within_a_few_levels_of_libjpeg() {
    for (kind, within) in
        [("baseline_420", 5), ("baseline_444", 5), ("progressive", 5), ("grey_jpeg", 2), ("cmyk_jpeg", 6)]
    {
        let found = difference(&image(&format!("{kind}.jpg")), &image(&format!("{kind}.expected.png")));
        assert!(found <= within, "{kind} differs by {found}");
    }
}

#[test]
fn resize_agrees_with_pillow() {
    for source in ["wide", "tall"] {
        for (width, height) in [(48, 30), (33, 33), (120, 80), (97, 20), (7, 5)] {
            let filters = [("bilinear", Interpolation::Bilinear, 1), ("bicubic", Interpolation::Bicubic, 2)];
            for (name, filter, within) in filters {
                let case = format!("{name}_{source}_to_{width}x{height}");
                let found = resize(&image(&format!("{source}.png")), width, height, filter).unwrap();
                let differs = difference(&found, &image(&format!("{case}.expected.png")));
                assert!(differs <= within, "{case} differs by {differs}");
            }
        }
    }
}

#[test]
fn resize_then_center_crop_agrees_with_torchvision() {
    for source in ["wide", "tall"] {
        for (size, side) in [(40, 33), (20, 28), (51, 50)] {
            let whole = image(&format!("{source}.png"));
            let (width, height) = shorter_side(whole.width, whole.height, size);
            let resized = resize(&whole, width, height, Interpolation::Bilinear).unwrap();
            let found = center_crop(&resized, side, side);
            let differs = difference(&found, &image(&format!("torchvision_{source}_{size}_{side}.expected.png")));
            assert!(differs <= 1, "{source} {size} {side} differs by {differs}");
        }
    }
}

#[test]
fn damage_is_said_in_words() {
    let reason = |bytes: &[u8]| format!("{:#}", decode(bytes).unwrap_err());
    assert_eq!(reason(b""), "the file is empty");
    assert!(reason(b"<html>").starts_with("not an image: it starts with [3c, 68"), "{}", reason(b"<html>"));
    assert_eq!(reason(b"\0\0\0\x18ftypheic"), "a HEIC image, which is not read: convert it to PNG");
    let jpeg = file("baseline_420.jpg");
    assert!(reason(&jpeg[..jpeg.len() - 2]).contains("truncated"), "{}", reason(&jpeg[..jpeg.len() - 2]));
    let png = file("rgb_png.png");
    assert!(reason(&png[..png.len() / 2]).starts_with("PNG data"), "{}", reason(&png[..png.len() / 2]));
    let mut flipped = png.clone();
    flipped[png.len() / 2] ^= 1;
    assert!(reason(&flipped).starts_with("PNG data"), "{}", reason(&flipped));
}

#[test]
fn every_truncation_is_an_error() {
    for name in ["baseline_420.jpg", "progressive.jpg", "grey_jpeg.jpg", "rgb_png.png", "grey_png.png"] {
        let bytes = file(name);
        for length in (0..bytes.len()).step_by(bytes.len() / 150 + 1).chain(bytes.len() - 4..bytes.len()) {
            assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn huge_sizes_are_refused_before_they_are_allocated() {
    let mut png = Vec::new();
    let encoder = png::Encoder::new(&mut png, 100_000, 100_000);
    let _ = encoder.write_header().unwrap();
    assert!(decode(&png).unwrap_err().to_string().contains("100000 x 100000 pixels; more than"));
    let mut jpeg = file("baseline_444.jpg");
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(decode(&jpeg).unwrap_err().to_string().contains("65500 x 65500 pixels; more than"));
    let line = Rgb::black(1, 20_000);
    assert!(resize(&line, 16_384, 16_384, Interpolation::Bilinear).is_err());
}

proptest! {
    /// Corrupt files may decode or not, but they neither panic nor hang.
    #[test]
    fn corruption_never_panics(which in 0usize..5, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = file(["baseline_420.jpg", "progressive.jpg", "cmyk_jpeg.jpg", "rgba_png.png", "palette_png.png"][which]);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = decode(&bytes);
    }

    #[test]
    fn flips_are_their_own_inverse(width in 1u32..9, height in 1u32..9, bytes in prop::collection::vec(any::<u8>(), 243)) {
        let image = Rgb { width, height, pixels: bytes[..(width * height * 3) as usize].to_vec() };
        let mut flipped = image.clone();
        flip_horizontally(&mut flipped);
        for y in 0..height {
            prop_assert_eq!(crop(&flipped, 0, i64::from(y), 1, 1), crop(&image, i64::from(width) - 1, i64::from(y), 1, 1));
        }
        flip_horizontally(&mut flipped);
        prop_assert_eq!(flipped, image);
    }
}

#[test]
fn crops_outside_the_image_are_black() {
    let image = Rgb { width: 2, height: 1, pixels: vec![1, 2, 3, 4, 5, 6] };
    let padded = crop(&image, -1, -1, 4, 3);
    let mut expected = vec![0; 36];
    expected[15..21].copy_from_slice(&image.pixels);
    assert_eq!(padded.pixels, expected);
    assert_eq!(crop(&image, 5, 5, 1, 1).pixels, [0, 0, 0]);
}
