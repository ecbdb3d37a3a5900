//! Tokens and self-attention, for vision transformers and Swin.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};
use thawline::backbones::{Attention, Resampling, Tokens, WindowAttention};

use super::forward::Forward;

/// A map [n, width, rows, columns] to tokens [n, 1 + rows x columns, width], positions added.
pub(super) fn tokens(x: &Tensor, class_token: &Tensor, positions: &Tensor, layer: &Tokens) -> Result<Tensor> {
    let size = x.size();
    let &[n, width, rows, columns] = size.as_slice() else {
        anyhow::bail!("patches are [n, width, rows, columns], not {size:?}")
    };
    let patches = x.f_flatten(2, 3)?.f_transpose(1, 2)?;
    let class_token = class_token.f_reshape([1, 1, width])?.f_expand([n, 1, width], false)?;
    let positions = positions.f_reshape([1, -1, width])?;
    let positions = resampled(&positions, layer, rows, columns)?;
    Ok(Tensor::f_cat(&[class_token, patches], 1)?.f_add(&positions)?)
}

/// Position embeddings [1, 1 + grid x grid, width] for another grid; that of the class token stays.
fn resampled(positions: &Tensor, layer: &Tokens, rows: i64, columns: i64) -> Result<Tensor> {
    let (grid, width) = (layer.grid as i64, layer.width as i64);
    if (rows, columns) == (grid, grid) {
        return Ok(positions.shallow_clone());
    }
    let map = positions.f_narrow(1, 1, grid * grid)?.f_reshape([1, grid, grid, width])?.f_permute([0, 3, 1, 2])?;
    let map = match layer.resampling {
        Resampling::AlignedCorners => map.f_upsample_bicubic2d([rows, columns], true, None, None)?,
        Resampling::Antialiased => map.f_internal_upsample_bicubic2d_aa([rows, columns], false, None, None)?,
    };
    let patches = map.f_flatten(2, 3)?.f_transpose(1, 2)?;
    Ok(Tensor::f_cat(&[positions.f_narrow(1, 0, 1)?, patches], 1)?)
}

/// Queries, keys and values [n, heads, tokens, width / heads] of `x` [n, tokens, width].
fn projected(from: Forward<'_>, layer: &Attention, x: &Tensor) -> Result<[Tensor; 3]> {
    let [weight, bias] = ["weight", "bias"].map(|part| from.named(&format!("{}{part}", layer.qkv)));
    let (width, heads) = (layer.width as i64, layer.heads as i64);
    let size = x.size();
    let &[n, count, _] = size.as_slice() else { anyhow::bail!("tokens are [n, tokens, width], not {size:?}") };
    let all = x.f_linear(weight?, Some(bias?))?.f_reshape([n, count, 3, heads, width / heads])?;
    let parts = all.f_permute([2, 0, 3, 1, 4])?.f_unbind(0)?;
    parts.try_into().ok().context("queries, keys and values")
}

/// Heads [n, heads, tokens, width / heads] beside each other and through the output's projection: [n, tokens, width].
fn joined(from: Forward<'_>, layer: &Attention, x: &Tensor) -> Result<Tensor> {
    let [weight, bias] = ["weight", "bias"].map(|part| from.named(&format!("{}.{part}", layer.output)));
    Ok(x.f_transpose(1, 2)?.f_flatten(2, 3)?.f_linear(weight?, Some(bias?))?)
}

/// `softmax(q k' / sqrt(width / heads)) v` among all tokens [n, tokens, width].
pub(super) fn among_all(from: Forward<'_>, layer: &Attention, x: &Tensor) -> Result<Tensor> {
    let [q, k, v] = projected(from, layer, x)?;
    let heads = Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, false, None, false)?;
    joined(from, layer, &heads)
}

/// The same in windows of a map [n, rows, columns, width]. A map that windows do not divide is filled up with zeros below
/// and right; one that is a single window along a side is not shifted along it.
pub(super) fn in_windows(from: Forward<'_>, layer: &WindowAttention, x: &Tensor) -> Result<Tensor> {
    let WindowAttention { attention, relative_positions, .. } = layer;
    let (window, width) = (layer.window as i64, attention.width as i64);
    let size = x.size();
    let &[n, rows, columns, _] = size.as_slice() else {
        anyhow::bail!("a map is [n, rows, columns, width] here, not {size:?}")
    };
    let [tall, wide] = [rows, columns].map(|size| (size + window - 1) / window * window);
    let padded = (tall, wide) != (rows, columns);
    let x = if padded { x.f_constant_pad_nd([0, 0, 0, wide - columns, 0, tall - rows])? } else { x.shallow_clone() };
    let shift = [tall, wide].map(|size| if window >= size { 0 } else { layer.shift as i64 });
    let shifted = shift != [0, 0];
    let x = if shifted { x.f_roll(shift.map(|by| -by), [1, 2])? } else { x };

    let [down, across] = [tall / window, wide / window];
    let windows = x.f_reshape([n, down, window, across, window, width])?.f_transpose(2, 3)?.f_reshape([
        n * down * across,
        window * window,
        width,
    ])?;
    let [q, k, v] = projected(from, attention, &windows)?;
    let scale = ((width / attention.heads as i64) as f64).powf(-0.5);
    let mut scores = q.f_mul_scalar(scale)?.f_matmul(&k.f_transpose(-2, -1)?)?;
    scores = scores.f_add(&relative_bias(from.named(relative_positions)?, window)?)?;
    if shifted {
        let (heads, inside) = (attention.heads as i64, window * window);
        let mask = shift_mask(tall, wide, window, shift)?.f_to_device(scores.device())?;
        scores = scores.f_view([n, down * across, heads, inside, inside])?.f_add(&mask)?;
        scores = scores.f_view([-1, heads, inside, inside])?;
    }
    let windows = joined(from, attention, &scores.f_softmax(-1, None::<Kind>)?.f_matmul(&v)?)?;

    let x = windows
        .f_reshape([n, down, across, window, window, width])?
        .f_transpose(2, 3)?
        .f_reshape([n, tall, wide, width])?;
    let x = if shifted { x.f_roll(shift, [1, 2])? } else { x };
    if !padded {
        return Ok(x);
    }
    Ok(x.f_narrow(1, 0, rows)?.f_narrow(2, 0, columns)?.f_contiguous()?)
}

/// [1, heads, positions, positions] of a window out of the table [(2 window - 1)^2, heads].
fn relative_bias(table: &Tensor, window: i64) -> Result<Tensor> {
    let positions = window * window;
    let index: Vec<i64> = (0..positions * positions)
        .map(|i| {
            let (query, key) = (i / positions, i % positions);
            let [row, column] = [query / window - key / window, query % window - key % window];
            (row + window - 1) * (2 * window - 1) + column + window - 1
        })
        .collect();
    let index = Tensor::f_from_slice(&index)?.f_to_device(table.device())?;
    let bias = table.f_index_select(0, &index)?.f_view([positions, positions, -1])?;
    Ok(bias.f_permute([2, 0, 1])?.f_contiguous()?.f_unsqueeze(0)?)
}

/// -100 between positions of a window that the shift brought together from opposite sides of the map, else 0:
/// [windows, 1, positions, positions].
fn shift_mask(tall: i64, wide: i64, window: i64, shift: [i64; 2]) -> Result<Tensor> {
    ensure!(tall % window == 0 && wide % window == 0, "{tall}x{wide} positions are not windows of {window}");
    // Regions along one side: up to the last window, its part before the shift, and the part that came round.
    let region =
        |at: i64, size: i64, shift: i64| i64::from(at >= size - window) + i64::from(shift > 0 && at >= size - shift);
    let positions = window * window;
    let mut values = Vec::with_capacity((tall * wide * positions) as usize);
    for top in (0..tall).step_by(window as usize) {
        for left in (0..wide).step_by(window as usize) {
            let label = |i: i64| {
                let (row, column) = (top + i / window, left + i % window);
                (region(row, tall, shift[0]), region(column, wide, shift[1]))
            };
            let labels: Vec<_> = (0..positions).map(label).collect();
            let pairs = labels.iter().flat_map(|a| labels.iter().map(move |b| if a == b { 0f32 } else { -100.0 }));
            values.extend(pairs);
        }
    }
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, 1, positions, positions])?)
}
