//! Against Pillow, tifffile and pydicom; scripts/reference/formats.py wrote the files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::artifact::reading::{LevelRange, Levels, NamedLevels};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/formats")
}

fn file(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file but the expected pixels, by name.
fn files() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".expected.png")).collect();
    names.sort();
    assert!(names.len() > 60, "{}", names.len());
    names
}

fn decoded(name: &str, reading: &Reading) -> Decoded {
    decode(&file(name), reading).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// The largest and the mean difference of a channel.
fn difference(found: &Rgb, expected: &Rgb) -> (u8, f64) {
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    let each = || found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b));
    let mean = each().map(f64::from).sum::<f64>() / found.pixels.len() as f64;
    (each().max().unwrap_or(0), mean)
}

fn expected(stem: &str) -> Rgb {
    decoded(&format!("{stem}.expected.png"), &Reading::default()).image
}

#[test]
fn every_format_decodes_to_the_pixels_of_its_reference() {
    let (mut wrong, mut worst) = (Vec::new(), BTreeMap::new());
    for name in files().iter().filter(|name| !name.starts_with("tiff_levels")) {
        let stem = name.split('.').next().unwrap();
        let found = match decode(&file(name), &Reading::default()) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{name}: {error:#}"));
                continue;
            }
        };
        let (largest, mean) = difference(&found.image, &expected(stem));
        let (allowed, allowed_mean) = match found.format {
            _ if name.contains("jpeg") => (5, 0.5),
            // Pillow rounds a composited channel otherwise.
            Format::WebP | Format::Tiff | Format::Gif if name.contains("alpha") || name.contains("rgba") => (1, 0.5),
            // Five and six bits to eight are rounded, by Pillow cut.
            Format::Bmp if name.contains("565") || name.contains("32") => (1, 0.5),
            // pydicom windows to the stored range and not to 8 bits, so that roundings differ.
            Format::Dicom => (1, 0.5),
            _ => (0, 0.0),
        };
        if largest > allowed || mean > allowed_mean {
            wrong.push(format!("{name} differs by {largest}, mean {mean:.3}"));
        }
        let so_far: &mut (u8, f64) = worst.entry(found.format.name()).or_default();
        *so_far = (so_far.0.max(largest), so_far.1.max(mean));
    }
    println!("largest deviations: {worst:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn backgrounds_and_levels_are_chosen() {
    let black = Reading { background: [0; 3], ..Reading::default() };
    let found = decoded("webp_lossless_alpha.webp", &black).image;
    let white = decoded("webp_lossless_alpha.webp", &Reading::default()).image;
    // Column 0 is transparent, column 20 has alpha 100.
    assert_eq!((&found.pixels[..3], &white.pixels[..3]), (&[0; 3][..], &[255; 3][..]));
    for (on_black, on_white) in found.pixels[60..63].iter().zip(&white.pixels[60..63]) {
        assert!((i32::from(*on_white) - i32::from(*on_black) - 155).abs() <= 1, "{on_black} {on_white}");
    }
    for (case, levels) in [
        ("tiff_levels_given", Levels::Given(LevelRange { low: 100.0, high: 4095.0 })),
        ("tiff_levels_image", Levels::Named(NamedLevels::Image)),
    ] {
        let found = decoded("tiff_levels.tiff", &Reading { levels, ..Reading::default() });
        assert_eq!(found.kind, "16-bit grey");
        assert_eq!(difference(&found.image, &expected(case)), (0, 0.0), "{case}");
    }
    // Levels are of deep samples alone.
    let levels = Levels::Given(LevelRange { low: 0.0, high: 10.0 });
    let found = decoded("tiff_rgb.tiff", &Reading { levels, ..Reading::default() });
    assert_eq!(found.image, expected("tiff_rgb"));
}

#[test]
fn what_the_files_hold_is_said() {
    for (name, format, kind) in [
        ("jpeg_420.jpg", Format::Jpeg, "RGB"),
        ("jpeg_ycck.jpg", Format::Jpeg, "CMYK"),
        ("jpeg_grey_progressive.jpg", Format::Jpeg, "grey"),
        ("webp_lossy_alpha.webp", Format::WebP, "RGB with alpha"),
        ("gif_plain.gif", Format::Gif, "palette"),
        ("tiff_float_rgb.tiff", Format::Tiff, "32-bit float RGB"),
        ("tiff_16_signed.tiff", Format::Tiff, "16-bit grey"),
        ("dicom_window.dcm", Format::Dicom, "12-bit grey"),
        ("npy_float.npy", Format::Array, "64-bit float RGB"),
    ] {
        let found = decoded(name, &Reading::default());
        assert_eq!((found.format, found.kind.as_str()), (format, kind), "{name}");
    }
}

#[test]
fn truncated_files_of_every_format_are_errors() {
    for name in [
        "bmp_24.bmp",
        "gif_plain.gif",
        "tiff_lzw.tiff",
        "tiff_16.tiff",
        "npy_rgb.npy",
        "dicom_window.dcm",
        "webp_lossy.webp",
        "webp_lossless.webp",
        "jpeg_ycck.jpg",
        "jpeg_restarts.jpg",
    ] {
        let bytes = file(name);
        for length in (0..bytes.len() - 2).step_by(bytes.len() / 40 + 1) {
            let read = decode(&bytes[..length], &Reading::default());
            assert!(read.is_err(), "{name} cut to {length} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn images_over_the_limits_are_refused_before_they_are_decoded() {
    let few = Reading { limits: Limits { pixels: 45 * 31 - 1, ..Limits::default() }, ..Reading::default() };
    for name in files().iter().filter(|name| !name.contains("pixel") && !name.contains("canvas")) {
        let error = decode(&file(name), &few).expect_err(name).to_string();
        assert!(error.contains("pixels; more than 1394 are refused"), "{name}: {error}");
    }
    // A header that claims 65535 x 65535 pixels costs nothing.
    let (mut gif, mut bmp) = (file("gif_plain.gif"), file("bmp_24.bmp"));
    gif[6..10].copy_from_slice(&[0xff; 4]);
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    for bytes in [gif, bmp] {
        let error = decode(&bytes, &Reading::default()).unwrap_err().to_string();
        assert!(error.contains("65535 x 65535 pixels; more than 178956970 are refused"), "{error}");
    }
    let little = Reading { limits: Limits { memory: 1, ..Limits::default() }, ..Reading::default() };
    let mut png = Vec::new();
    drop(::png::Encoder::new(&mut png, 1000, 1000).write_header().unwrap());
    let error = decode(&png, &little).unwrap_err().to_string();
    assert!(error.contains("takes 11 MiB; more than 1 are refused"), "{error}");
}

#[test]
fn floats_without_a_place_between_black_and_white_are_errors() {
    let mut npy = file("npy_float.npy");
    let last = npy.len() - 8;
    for (value, levels, said) in [
        (1.5, Levels::default(), "a float sample is 1.5; without `levels`"),
        (f64::NAN, Levels::default(), "a float sample is NaN; without `levels`"),
        (f64::NAN, Levels::Named(NamedLevels::Image), "a float sample is NaN, which is no grey"),
    ] {
        npy[last..].copy_from_slice(&value.to_le_bytes());
        let error = decode(&npy, &Reading { levels, ..Reading::default() }).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_not_read_is_said_in_words() {
    let reason = |bytes: &[u8]| format!("{:#}", decode(bytes, &Reading::default()).unwrap_err());
    let mut palette = file("tiff_grey.tiff");
    // The entry of tag 262, PhotometricInterpretation, a short: 3 is a palette.
    let entry = palette.windows(8).position(|w| w == [6, 1, 3, 0, 1, 0, 0, 0]).unwrap();
    palette[entry + 8] = 3;
    assert!(reason(&palette).contains("RGBPalette"), "{}", reason(&palette));
    assert_eq!(reason(b"P6 1 1 255 abc"), "a PNM image, which is not read: convert it to PNG");
    assert!(reason(b"PK\x03\x04zip").starts_with("not an image: it starts with [50, 4b"));
}

proptest::proptest! {
    /// Corrupt files may decode or not, but they neither panic nor hang.
    #[test]
    fn corruption_never_panics(
        which in 0usize..9,
        edits in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()), 1..6),
    ) {
        let names = ["webp_lossy_alpha.webp", "webp_lossless.webp", "gif_transparent.gif", "bmp_rle8.bmp", "tiff_lzw.tiff",
            "tiff_tiled.tiff", "dicom_window.dcm", "dicom_jpeg.dcm", "npy_float.npy"];
        let mut bytes = file(names[which]);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let small = Limits { pixels: 100_000, memory: 64 };
        let _ = decode(&bytes, &Reading { limits: small, ..Reading::default() });
    }
}
