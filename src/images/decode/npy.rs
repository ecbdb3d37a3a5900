//! `.npy`: one image as an array.

use anyhow::{Context, Result, ensure};
use npyz::{NpyHeader, Order};

use super::{
    Rgb,
    array::{Element, Layout},
};
use crate::artifact::reading::Reading;

pub const MAGIC: &[u8] = b"\x93NUMPY";

/// What the header says: the type of an element, the shape, and where the elements start.
pub struct Header {
    pub element: Element,
    pub shape: Vec<usize>,
    pub start: usize,
}

/// Reads the header of a `.npy` file.
///
/// # Errors
/// When it is none, or describes something other than plain numbers in row order.
pub fn header(mut bytes: &[u8]) -> Result<Header> {
    let all = bytes.len();
    let header = NpyHeader::from_reader(&mut bytes).context("npy header")?;
    let start = all - bytes.len();
    let described = header.dtype().descr();
    let element = Element::parse(described.trim_matches('\''))?;
    ensure!(header.order() == Order::C, "npy array in Fortran order: save it with `numpy.ascontiguousarray`");
    let shape = header.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>()?;
    let elements =
        shape.iter().try_fold(element.size, |n, &side| n.checked_mul(side)).context("npy shape too large")?;
    ensure!(all - start >= elements, "truncated npy: {} bytes of data, its shape needs {elements}", all - start);
    Ok(Header { element, shape, start })
}

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let Header { element, shape, start } = header(bytes)?;
    Layout::of(&shape)?.decode(element, &bytes[start..], reading)
}
