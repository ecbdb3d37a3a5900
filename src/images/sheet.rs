//! Contact sheets: many prepared images side by side, for people to look at.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context, Result, ensure};

use super::{MAX_PIXELS, Rgb};

/// White pixels between tiles and around them.
pub const GAP: u32 = 4;

/// Where the tile in this column and row starts: (x, y).
pub fn place(column: usize, row: usize, side: u32) -> (u32, u32) {
    (GAP + column as u32 * (side + GAP), GAP + row as u32 * (side + GAP))
}

/// Lays out `rows` of tiles of `side` x `side` pixels and writes them as PNG.
///
/// # Errors
/// When the sheet would be too large, or cannot be written.
pub fn write(rows: &[Vec<Rgb>], side: u32, path: &Path) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = place(columns, rows.len(), side);
    let pixels = u64::from(width) * u64::from(height);
    ensure!(pixels <= MAX_PIXELS, "a sheet of {width} x {height} pixels is too large: ask for fewer images or views");
    let mut sheet = vec![255; pixels as usize * 3];
    for (y, row) in rows.iter().enumerate() {
        for (x, tile) in row.iter().enumerate() {
            let (left, top) = place(x, y, side);
            for (line, from) in tile.pixels.chunks_exact(tile.stride().max(1)).enumerate() {
                let at = ((top as usize + line) * width as usize + left as usize) * 3;
                sheet[at..at + from.len()].copy_from_slice(from);
            }
        }
    }
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&sheet)?;
    writer.finish().with_context(|| format!("writing {}", path.display()))
}
