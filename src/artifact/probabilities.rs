//! What a program of the user's says of images: `predictions.npy`, float32 or float64 [images, classes], rows in
//! [`Dataset::rows`] order, each row the probabilities of the classes.
//!
//! [`Dataset::rows`]: super::Dataset::rows

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use npyz::{NpyFile, Order};

pub const FILE: &str = "predictions.npy";
/// How far from 1 a row may sum: float32 arithmetic over many classes.
const SLACK: f64 = 1e-3;

/// The probabilities in `dir`, row-major [images, classes].
///
/// # Errors
/// When there is no such file, it has another type or shape, or a row is no distribution.
pub fn read(dir: &Path, images: usize, classes: usize) -> Result<Vec<f64>> {
    let path = dir.join(FILE);
    let bytes = std::fs::read(&path).with_context(|| format!("the program wrote no {FILE}"))?;
    let file = NpyFile::new(&bytes[..]).with_context(|| format!("{FILE} is no npy file"))?;
    ensure!(
        file.shape() == [images as u64, classes as u64],
        "{FILE} has the shape {:?}, expected [{images}, {classes}]: a row an image, a column a class",
        file.shape()
    );
    ensure!(file.order() == Order::C, "{FILE} is in Fortran order: save it with `numpy.ascontiguousarray`");
    let described = file.dtype().descr();
    let values: Vec<f64> = match described.trim_matches('\'') {
        "<f8" => file.into_vec().context("reading the values")?,
        "<f4" => file.into_vec::<f32>().context("reading the values")?.into_iter().map(f64::from).collect(),
        other => bail!("{FILE} holds {other}, expected float32 or float64"),
    };
    for (i, row) in values.chunks_exact(classes.max(1)).enumerate() {
        let sum: f64 = row.iter().sum();
        let sound = row.iter().all(|p| (0.0..=1.0 + SLACK).contains(p)) && (sum - 1.0).abs() <= SLACK;
        ensure!(sound, "row {i} of {FILE} holds no probabilities: {row:?} (they are from 0 to 1 and sum to 1)");
    }
    Ok(values)
}
