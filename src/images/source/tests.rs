//! The same ten images out of every kind of container; scripts/reference/formats.py wrote the files.

use std::fs;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/containers")
}

fn source() -> Source {
    Source::new(&folder(), Limits::default())
}

/// The greys of image `n`.
fn greys(n: usize) -> Vec<u8> {
    (0..5 * 6).map(|at| ((31 * n + 7 * (at / 6) + 3 * (at % 6)) % 256) as u8).collect()
}

#[test]
fn every_container_holds_the_same_images() {
    let source = source();
    for (n, number) in (0..10).map(|n| (n, member(n, 10))) {
        let paths = [
            format!("images-idx3-ubyte#{number}"),
            format!("images-idx3-ubyte.gz#{number}"),
            format!("images.npy#{number}"),
            format!("plain.npz#x_train/{number}"),
            format!("compressed.npz#x_train/{number}"),
            format!("images.parquet#image/{number}"),
            format!("images.parquet#plain/{number}"),
            format!("images.tar#set/{n:03}.png"),
        ];
        for path in paths {
            let encoded = source.read(&path).unwrap_or_else(|error| panic!("{path}: {error:#}"));
            let image = encoded.decode(&Reading::default()).unwrap().image;
            assert_eq!((image.width, image.height), (6, 5), "{path}");
            let found: Vec<u8> = image.pixels.chunks(3).map(|pixel| pixel[0]).collect();
            assert_eq!(found, greys(n), "{path}");
        }
    }
}

#[test]
fn ids_are_of_the_bytes_of_the_image_alone() {
    let source = source();
    let id = |path: &str| source.read(path).unwrap().id();
    assert_eq!(id("images-idx3-ubyte#3"), id("compressed.npz#x_train/3"));
    assert_eq!(id("images-idx3-ubyte#3"), Image::id_of(&greys(3)));
    assert_eq!(id("images.tar#set/003.png"), id("images.parquet#image/3"));
    assert_ne!(id("images.tar#set/003.png"), id("images.tar#set/004.png"));
}

#[test]
fn what_is_not_there_is_said_in_words() {
    let source = source();
    let reason = |path: &str| format!("{:#}", source.read(path).unwrap_err());
    assert!(reason("images.npy#10").ends_with("there is no image 10: there are 10"), "{}", reason("images.npy#10"));
    assert!(reason("images.npy#x").contains("`x` is no image's number"), "{}", reason("images.npy#x"));
    let other = reason("plain.npz#x_test/1");
    assert!(other.ends_with("there is no array `x_test`; there are: x_train, y_train"), "{other}");
    let column = reason("images.parquet#picture/1");
    assert!(column.ends_with("no column `picture`; there are: image, label, species, patient, plain"), "{column}");
    assert!(reason("images.parquet#label/1").contains("images are bytes"), "{}", reason("images.parquet#label/1"));
    assert!(reason("images.tar#set/010.png").ends_with("no member `set/010.png`"));
    assert!(reason("missing.tar#x").contains("missing.tar"), "{}", reason("missing.tar#x"));
}

#[test]
fn a_plain_file_may_have_a_number_sign_in_its_name() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a#1.png"), b"bytes").unwrap();
    let source = Source::new(root.path(), Limits::default());
    assert_eq!(source.read("a#1.png").unwrap(), Encoded::File(b"bytes".to_vec()));
}

#[test]
fn containers_cut_short_are_errors() {
    for (name, inner) in [
        ("images-idx3-ubyte", "9"),
        ("images-idx3-ubyte.gz", "9"),
        ("images.npy", "9"),
        ("plain.npz", "x_train/9"),
        ("images.parquet", "image/9"),
        ("images.tar", "set/009.png"),
    ] {
        let bytes = fs::read(folder().join(name)).unwrap();
        let root = tempfile::tempdir().unwrap();
        for length in [0, 3, bytes.len() / 3, bytes.len() / 2] {
            fs::write(root.path().join(name), &bytes[..length]).unwrap();
            let read = Source::new(root.path(), Limits::default()).read(&format!("{name}#{inner}"));
            let error = format!("{:#}", read.expect_err(&format!("{name} cut to {length} bytes")));
            assert!(error.contains(name), "{error}");
        }
    }
}

#[test]
fn what_decompresses_to_more_than_the_limit_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(3 << 20), &mut gzip).unwrap();
    fs::write(root.path().join("bomb.gz"), gzip.finish().unwrap()).unwrap();
    let limits = Limits { memory: 2, ..Limits::default() };
    let error = format!("{:#}", Source::new(root.path(), limits).read("bomb.gz#0").unwrap_err());
    assert!(error.contains("decompresses to more than 2 MiB"), "{error}");
    fs::write(root.path().join("large.png"), vec![0; 3 << 20]).unwrap();
    let error = format!("{:#}", Source::new(root.path(), limits).read("large.png").unwrap_err());
    assert!(error.contains("3 MiB are more than an image may take (2)"), "{error}");
}
