//! What `numpy.savez` writes: a zip archive with one `.npy` an array.

use anyhow::{Context, Result, bail, ensure};

use super::{Dtype, TensorData, Tensors, archive::Archive, budget::Budget, strided::View};

/// Every array by its name, without the ending.
pub fn parse(mut archive: Archive<'_>, budget: &mut Budget) -> Result<Tensors> {
    let names: Vec<String> = archive.names().map(str::to_string).collect();
    let mut tensors = Tensors::new();
    for name in names {
        let key = name.strip_suffix(".npy").with_context(|| format!("`{}` is no array", name.escape_debug()))?;
        let content = archive.read(&name, budget)?;
        let array = array(&content, budget).with_context(|| format!("`{}`", key.escape_debug()))?;
        tensors.insert(key.to_string(), array);
    }
    Ok(tensors)
}

/// One `.npy`: a magic number, a version, the length of a header, the header (a Python dictionary), the elements.
fn array(bytes: &[u8], budget: &mut Budget) -> Result<TensorData> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").context("no array of numpy")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => bail!("an unknown version of numpy's format"),
    };
    let (header, elements) = rest.split_at_checked(length).context("the file ends too early")?;
    let header = std::str::from_utf8(header)?;
    let dtype = match field(header, "'descr':")?.trim_matches('\'') {
        "<f4" => Dtype::F32,
        "<f8" => Dtype::F64,
        "<f2" => Dtype::F16,
        "<i8" => Dtype::I64,
        "<i4" => Dtype::I32,
        "|u1" => Dtype::U8,
        "|b1" => Dtype::Bool,
        other => bail!("elements of type `{}`, which no backbone here uses", other.escape_debug()),
    };
    let fortran = match field(header, "'fortran_order':")? {
        "True" => true,
        "False" => false,
        other => bail!("`fortran_order` is `{}`", other.escape_debug()),
    };
    let shape = header.split_once("'shape':").context("a header without `shape`")?.1.trim_start();
    let shape = shape.strip_prefix('(').and_then(|shape| shape.split_once(')')).context("a shape that is no tuple")?.0;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(|size| size.parse().context("a size")).collect::<Result<_>>()?;
    ensure!(shape.len() <= super::MAX_RANK, "an array of {} dimensions", shape.len());
    let count = shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d));
    ensure!(count == Some(elements.len()), "shape {shape:?} does not fit {} bytes", elements.len());

    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    let order: Vec<usize> = if fortran { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
    for d in order {
        strides[d] = stride;
        stride *= shape[d].max(1);
    }
    View { dtype, offset: 0, shape: &shape, strides: &strides }.gather(elements, budget)
}

/// The value behind `key`, up to the next comma.
fn field<'h>(header: &'h str, key: &str) -> Result<&'h str> {
    let value = header.split_once(key).and_then(|(_, rest)| rest.split_once(','));
    Ok(value.with_context(|| format!("a header without {key}"))?.0.trim())
}
