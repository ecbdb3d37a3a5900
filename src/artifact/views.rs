//! Prepared images: decoded, transformed, unsigned bytes, memory-mapped. One artifact a split (evaluation transform) or a
//! training view (one augmented copy of every training image).
//!
//! Files: `views.json` and `pixels.bin`, u8, shape [images, height, width, 3] (RGB), rows in [`Dataset::rows`] order.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    images: usize,
    height: usize,
    width: usize,
}

/// The artifact one `augment` node makes.
#[derive(Debug)]
pub struct Views {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    /// `None` when there are no images (an empty file cannot be mapped).
    map: Option<Mmap>,
}

impl Views {
    /// Maps the artifact in `dir`; its length is checked, so reading it cannot fault on a truncated file.
    pub fn open(dir: &Path) -> Result<Views> {
        let header: Header = serde_json::from_slice(&std::fs::read(dir.join("views.json"))?)?;
        let path = dir.join("pixels.bin");
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let expected = header.images * header.height * header.width * 3;
        let found = file.metadata()?.len() as usize;
        ensure!(found == expected, "{} has {found} bytes, expected {expected}", path.display());
        // SAFETY: artifacts are never written again once they are in the store.
        let map = if expected == 0 { None } else { Some(unsafe { Mmap::map(&file)? }) };
        Ok(Views { images: header.images, height: header.height, width: header.width, map })
    }

    /// All pixels: u8, [images, height, width, 3].
    pub fn pixels(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

/// Writes a [`Views`] artifact image by image, in row order.
pub struct ViewsWriter {
    file: BufWriter<File>,
    header: Header,
    written: usize,
}

impl ViewsWriter {
    pub fn create(dir: &Path, images: usize, height: usize, width: usize) -> Result<ViewsWriter> {
        let header = Header { images, height, width };
        std::fs::write(dir.join("views.json"), serde_json::to_vec(&header)?)?;
        Ok(ViewsWriter { file: BufWriter::new(File::create(dir.join("pixels.bin"))?), header, written: 0 })
    }

    /// Appends one image: u8, [height, width, 3].
    pub fn push(&mut self, rgb: &[u8]) -> Result<()> {
        ensure!(rgb.len() == self.header.height * self.header.width * 3, "an image has {} bytes", rgb.len());
        self.file.write_all(rgb)?;
        self.written += 1;
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        ensure!(self.written == self.header.images, "{} of {} images written", self.written, self.header.images);
        self.file.flush()?;
        Ok(())
    }
}
