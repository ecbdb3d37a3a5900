//! Files of arrays: IDX (also gzipped), `.npy` and `.npz`. The first axis counts the images.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use memmap2::Mmap;

use super::{Encoded, index, map};
use crate::{
    artifact::reading::Limits,
    images::decode::{
        array::{Element, Layout},
        npy,
    },
};

/// One array: numbers and a shape.
pub struct Array {
    pub element: Element,
    pub shape: Vec<usize>,
    data: Data,
    start: usize,
}

enum Data {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Data {
    fn bytes(&self) -> &[u8] {
        match self {
            Data::Mapped(map) => map,
            Data::Read(bytes) => bytes,
        }
    }
}

impl Array {
    fn new(data: Data) -> Result<Array> {
        let bytes = data.bytes();
        if bytes.starts_with(npy::MAGIC) {
            let npy::Header { element, shape, start } = npy::header(bytes)?;
            return Ok(Array { element, shape, data, start });
        }
        let (element, shape, start) = idx(bytes)?;
        Ok(Array { element, shape, data, start })
    }

    /// Length of the first axis.
    pub fn len(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How one image lies in it.
    ///
    /// # Errors
    /// When the other axes are no image's.
    pub fn layout(&self) -> Result<Layout> {
        ensure!(
            self.shape.len() >= 3,
            "shape {:?} is not of images: expected [images, height, width, ...]",
            self.shape
        );
        Layout::of(&self.shape[1..])
    }

    /// The elements as whole numbers, of an array of one axis (or [n, 1]).
    ///
    /// # Errors
    /// When there are other axes, or an element is not whole.
    pub fn labels(&self) -> Result<Vec<i64>> {
        ensure!(
            self.shape.iter().skip(1).all(|&side| side == 1),
            "shape {:?} is not of labels: expected one number an image",
            self.shape
        );
        let bytes = &self.data.bytes()[self.start..][..self.len() * self.element.size];
        let whole = |value: f64| {
            ensure!(value.fract() == 0.0, "label {value} is not whole");
            Ok(value as i64)
        };
        self.element.values(bytes).map(whole).collect()
    }

    fn image(&self, at: usize) -> Result<Encoded> {
        let layout = self.layout()?;
        let size = layout.elements() * self.element.size;
        let bytes = self.data.bytes()[self.start + at * size..][..size].to_vec();
        Ok(Encoded::Array { bytes, element: self.element, layout })
    }
}

/// An IDX header: two zero bytes, the type, the number of axes, and their lengths, big-endian.
fn idx(bytes: &[u8]) -> Result<(Element, Vec<usize>, usize)> {
    let Some(&[0, 0, kind, axes]) = bytes.first_chunk::<4>() else {
        bail!("neither IDX, .npy nor .npz: it starts with {:02x?}", &bytes[..bytes.len().min(8)]);
    };
    let element = Element::parse(match kind {
        0x08 => "|u1",
        0x09 => "|i1",
        0x0b => ">i2",
        0x0c => ">i4",
        0x0d => ">f4",
        0x0e => ">f8",
        _ => bail!("IDX of type {kind:#04x}, which is not known"),
    })?;
    let start = 4 + 4 * usize::from(axes);
    let sizes = bytes.get(4..start).context("truncated IDX header")?.as_chunks::<4>().0;
    let shape: Vec<usize> = sizes.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let needed = shape.iter().try_fold(element.size, |n, &side| n.checked_mul(side)).context("IDX shape too large")?;
    let found = bytes.len() - start;
    ensure!(found >= needed, "truncated IDX: {found} bytes of data, its shape {shape:?} needs {needed}");
    Ok((element, shape, start))
}

/// A file of one array, or of several by name.
pub struct Arrays {
    /// `None` for an `.npz`, whose members are read when they are asked for.
    one: Option<Array>,
    npz: Option<Mutex<Npz>>,
}

struct Npz {
    zip: zip::ZipArchive<File>,
    read: BTreeMap<String, Arc<Array>>,
    limits: Limits,
}

impl Arrays {
    /// # Errors
    /// When the file is none of the formats, or is cut short.
    pub fn open(path: &Path, limits: Limits) -> Result<Arrays> {
        Arrays::try_open(path, limits).with_context(|| format!("arrays of {}", path.display()))
    }

    fn try_open(path: &Path, limits: Limits) -> Result<Arrays> {
        let map = map(path)?;
        if map.starts_with(b"PK\x03\x04") {
            let npz = Npz { zip: zip::ZipArchive::new(File::open(path)?)?, read: BTreeMap::new(), limits };
            return Ok(Arrays { one: None, npz: Some(Mutex::new(npz)) });
        }
        let data = if map.starts_with(b"\x1f\x8b") {
            Data::Read(bounded(MultiGzDecoder::new(&map[..]), limits)?)
        } else {
            Data::Mapped(map)
        };
        Ok(Arrays { one: Some(Array::new(data)?), npz: None })
    }

    /// The array of that name in an `.npz`, or the only one with no name.
    ///
    /// # Errors
    /// When there is no such array; the error lists those that there are.
    pub fn with<T>(&self, name: Option<&str>, use_it: impl FnOnce(&Array) -> Result<T>) -> Result<T> {
        match (&self.one, &self.npz, name) {
            (Some(array), _, None) => use_it(array),
            (Some(_), _, Some(name)) => bail!("it holds one array without a name; leave `#{name}` out"),
            (None, Some(npz), Some(name)) => {
                let array = npz.lock().unwrap_or_else(PoisonError::into_inner).array(name)?;
                use_it(&array)
            }
            (None, Some(npz), None) => {
                let names = npz.lock().unwrap_or_else(PoisonError::into_inner).names();
                bail!("it holds several arrays; name one after a `#`: {}", names.join(", "))
            }
            (None, None, _) => bail!("it holds no array"),
        }
    }

    pub(super) fn read(&self, member: &str) -> Result<Encoded> {
        let (name, number) = member.rsplit_once('/').map_or((None, member), |(name, number)| (Some(name), number));
        self.with(name, |array| array.image(index(number, array.len())?))
    }
}

impl Npz {
    fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|name| name.strip_suffix(".npy")).map(str::to_owned).collect()
    }

    fn array(&mut self, name: &str) -> Result<Arc<Array>> {
        if let Some(array) = self.read.get(name) {
            return Ok(Arc::clone(array));
        }
        let names = self.names();
        let Ok(member) = self.zip.by_name(&format!("{name}.npy")) else {
            bail!("there is no array `{name}`; there are: {}", names.join(", "));
        };
        let bytes = bounded(member, self.limits).with_context(|| format!("array `{name}`"))?;
        let array = Arc::new(Array::new(Data::Read(bytes)).with_context(|| format!("array `{name}`"))?);
        self.read.insert(name.to_string(), Arc::clone(&array));
        Ok(array)
    }
}

/// Everything that can be read, up to the limit: a small file may decompress to any size.
fn bounded(reader: impl Read, limits: Limits) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limits.bytes() + 1).read_to_end(&mut bytes).context("decompressing")?;
    ensure!(
        bytes.len() as u64 <= limits.bytes(),
        "it decompresses to more than {} MiB (`limits: {{ memory: ... }}` of the dataset allows more)",
        limits.memory
    );
    Ok(bytes)
}
