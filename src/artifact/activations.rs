//! What the frozen blocks below a thaw line make of one split or view: the input of the first block that trains.
//!
//! Files: `activations.json` and `activations.bin`, f32 (little-endian), [images, positions..., channels] with channels
//! innermost, rows in [`Dataset::rows`] order.
//!
//! [`Dataset::rows`]: super::Dataset::rows

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    images: usize,
    /// Of one image, as the network knows it: [channels, height, width] of a map, or any other shape.
    shape: Vec<usize>,
}

impl Header {
    /// Values of one image.
    fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The artifact one `activations` node makes.
#[derive(Debug)]
pub struct Activations {
    header: Header,
    /// `None` when there are no images (an empty file cannot be mapped).
    map: Option<Mmap>,
}

impl Activations {
    /// Maps the artifact in `dir`; its length is checked, so reading it cannot fault on a truncated file.
    pub fn open(dir: &Path) -> Result<Activations> {
        let header: Header = serde_json::from_slice(&std::fs::read(dir.join("activations.json"))?)?;
        let path = dir.join("activations.bin");
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let expected = header.images * header.values() * 4;
        let found = file.metadata()?.len() as usize;
        ensure!(found == expected, "{} has {found} bytes, expected {expected}", path.display());
        // SAFETY: artifacts are never written again once they are in the store.
        let map = if expected == 0 { None } else { Some(unsafe { Mmap::map(&file)? }) };
        Ok(Activations { header, map })
    }

    pub fn images(&self) -> usize {
        self.header.images
    }

    /// The shape of one image: [channels, height, width] for maps.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The bytes of these images, one after another, as they are stored.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn gather(&self, rows: &[usize]) -> Result<Vec<u8>> {
        let (all, size) = (self.map.as_deref().unwrap_or(&[]), self.header.values() * 4);
        let mut bytes = Vec::with_capacity(rows.len() * size);
        for &row in rows {
            let image = all.get(row * size..(row + 1) * size);
            bytes.extend_from_slice(image.with_context(|| format!("no image {row} of {}", self.header.images))?);
        }
        Ok(bytes)
    }
}

/// Writes an [`Activations`] artifact batch by batch, in row order.
pub struct ActivationsWriter {
    file: BufWriter<File>,
    header: Header,
    written: usize,
}

impl ActivationsWriter {
    pub fn create(dir: &Path, images: usize, shape: &[usize]) -> Result<ActivationsWriter> {
        let header = Header { images, shape: shape.to_vec() };
        std::fs::write(dir.join("activations.json"), serde_json::to_vec(&header)?)?;
        Ok(ActivationsWriter { file: BufWriter::new(File::create(dir.join("activations.bin"))?), header, written: 0 })
    }

    /// Appends whole images, channels innermost.
    pub fn push(&mut self, values: &[f32]) -> Result<()> {
        let size = self.header.values();
        ensure!(
            size > 0 && values.len().is_multiple_of(size),
            "{} values are not whole images of {size}",
            values.len()
        );
        self.file.write_all(bytemuck::cast_slice(values))?;
        self.written += values.len() / size;
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        ensure!(self.written == self.header.images, "{} of {} images written", self.written, self.header.images);
        self.file.flush()?;
        Ok(())
    }
}
