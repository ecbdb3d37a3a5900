//! Where the bytes of an image are. A path is a plain file, or names one image of a container after a `#`:
//! `shards/0.tar#key.jpg`, `train.parquet#00017`, `mnist.npz#x_train/00017`, `train-images-idx3-ubyte.gz#00017`.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use memmap2::Mmap;

use super::decode::{
    self, Decoded, Format,
    array::{Element, Layout},
};
use crate::artifact::{
    Image,
    reading::{Limits, Reading},
};

pub mod arrays;
pub mod parquet;
pub mod tar;

#[cfg(test)]
mod tests;

use arrays::Arrays;

/// Everything below one folder, with the containers that were opened so far.
pub struct Source {
    root: PathBuf,
    limits: Limits,
    open: Mutex<HashMap<PathBuf, Opened>>,
}

/// A container that is opened once, by whoever asks first; the others wait for it.
type Opened = Arc<OnceLock<Result<Container, String>>>;

/// The bytes of one image.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoded {
    /// An image file.
    File(Vec<u8>),
    /// Elements of an array.
    Array { bytes: Vec<u8>, element: Element, layout: Layout },
}

impl Encoded {
    /// [`Image::id`] of this image.
    pub fn id(&self) -> String {
        match self {
            Encoded::File(bytes) | Encoded::Array { bytes, .. } => Image::id_of(bytes),
        }
    }

    /// # Errors
    /// Those of [`decode::decode`].
    pub fn decode(&self, reading: &Reading) -> Result<Decoded> {
        match self {
            Encoded::File(bytes) => decode::decode(bytes, reading),
            Encoded::Array { bytes, element, layout } => {
                let (image, kind) = layout.decode(*element, bytes, reading)?;
                Ok(Decoded { image, format: Format::Array, kind })
            }
        }
    }
}

/// A file that holds many images.
enum Container {
    Tar(tar::Tar),
    Parquet(parquet::Parquet),
    Arrays(Arrays),
}

/// The file of an image's path, and which of the images in it, when the path names a container.
pub fn container(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('#')
}

impl Source {
    pub fn new(root: &Path, limits: Limits) -> Source {
        Source { root: root.to_path_buf(), limits, open: Mutex::default() }
    }

    /// The image that `path`, relative to the root, names.
    ///
    /// # Errors
    /// When the file cannot be read or there is no such image in it.
    pub fn read(&self, path: &str) -> Result<Encoded> {
        let plain = self.root.join(path);
        let Some((file, member)) = container(path).filter(|_| !plain.is_file()) else {
            return Ok(Encoded::File(read_file(&plain, self.limits)?));
        };
        let opened = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(self.root.join(file)).or_default())
        };
        let opened = opened
            .get_or_init(|| Container::open(&self.root.join(file), self.limits).map_err(|error| format!("{error:#}")));
        let read = match opened.as_ref().map_err(|error| anyhow!("{error}"))? {
            Container::Tar(tar) => tar.read(member).map(|bytes| Encoded::File(bytes.to_vec())),
            Container::Parquet(parquet) => parquet.read(member).map(Encoded::File),
            Container::Arrays(arrays) => arrays.read(member),
        };
        read.with_context(|| format!("in {file}"))
    }
}

impl Container {
    fn open(path: &Path, limits: Limits) -> Result<Container> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        Ok(match ending.as_deref() {
            Some("tar") => Container::Tar(tar::Tar::open(path)?),
            Some("parquet") => Container::Parquet(parquet::Parquet::open(path)?),
            _ => Container::Arrays(Arrays::open(path, limits)?),
        })
    }
}

/// The whole file, if it is within the memory that an image may take.
fn read_file(path: &Path, limits: Limits) -> Result<Vec<u8>> {
    let reading = || format!("reading {}", path.display());
    let file = File::open(path).with_context(reading)?;
    let size = file.metadata().with_context(reading)?.len();
    ensure!(size <= limits.bytes(), "{} MiB are more than an image may take ({})", size >> 20, limits.memory);
    let mut bytes = Vec::with_capacity(usize::try_from(size)?);
    // The file may grow meanwhile.
    file.take(limits.bytes()).read_to_end(&mut bytes).with_context(reading)?;
    Ok(bytes)
}

fn map(path: &Path) -> Result<Mmap> {
    let opening = || format!("opening {}", path.display());
    let file = File::open(path).with_context(opening)?;
    // SAFETY: data files are not changed while they are read; that they were not is checked by the images' ids.
    unsafe { Mmap::map(&file) }.with_context(opening)
}

/// The number that a member's name is, below `count`.
fn index(member: &str, count: usize) -> Result<usize> {
    let index: usize = member.parse().with_context(|| format!("`{member}` is no image's number"))?;
    if index >= count {
        bail!("there is no image {index}: there are {count}");
    }
    Ok(index)
}

/// The name of image `index` of `count`: padded, so that the order of names is the order of images.
pub fn member(index: usize, count: usize) -> String {
    format!("{index:0width$}", width = count.saturating_sub(1).to_string().len())
}
