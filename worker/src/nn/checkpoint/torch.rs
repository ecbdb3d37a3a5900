//! What `torch.save` writes: a zip archive (PyTorch 1.6 and later), or the older row of pickles and raw storages.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io::{Cursor, Read},
};

use anyhow::{Context, Result, bail, ensure};
use zip::{CompressionMethod, ZipArchive};

use super::{
    TensorData, Tensors,
    pickle::{Pickle, TensorRef, Value},
};

const LEGACY_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const LEGACY_PROTOCOL: i128 = 1001;
/// Where training scripts put the state dictionary inside what they save.
const NESTED: [&str; 5] = ["state_dict", "model", "model_state_dict", "net", "module"];

type Storages<'a> = HashMap<&'a str, Cow<'a, [u8]>>;

/// A zip archive: `<any>/data.pkl` and one stored file `<any>/data/<key>` a storage.
pub fn parse_zip(bytes: &[u8]) -> Result<Tensors> {
    let mut archive = Archive::open(bytes)?;
    if let Ok(order) = archive.read("byteorder") {
        ensure!(order == b"little", "was written on a big-endian machine");
    }
    let pickled = archive.read("data.pkl")?;
    let (pickle, _) = Pickle::read(&pickled)?;
    let mut storages = Storages::new();
    for &key in pickle.storages.keys() {
        storages.insert(key, Cow::Owned(archive.read(&format!("data/{key}"))?));
    }
    state_dict(&pickle, &storages, bytes.len())
}

struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder that holds everything, with its `/`.
    prefix: String,
    /// Bytes the entries may still have: stored entries of an honest file do not overlap.
    left: u64,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Archive<'a>> {
        let zip = ZipArchive::new(Cursor::new(bytes))?;
        let prefix = zip.file_names().find_map(|name| {
            let prefix = name.strip_suffix("data.pkl")?;
            (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_string())
        });
        let prefix = prefix.context("a zip archive without data.pkl is no checkpoint of torch.save")?;
        Ok(Archive { zip, prefix, left: bytes.len() as u64 })
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let name = format!("{}{name}", self.prefix);
        let entry = self.zip.by_name(&name).with_context(|| format!("in the archive, `{name}`"))?;
        ensure!(
            entry.compression() == CompressionMethod::Stored,
            "`{name}` is compressed, which torch.save never does"
        );
        let size = entry.size();
        self.left = self.left.checked_sub(size).with_context(|| format!("`{name}` claims {size} bytes"))?;
        let mut bytes = Vec::with_capacity(usize::try_from(size)?);
        // The checksum is compared when the reader meets the end, one byte further.
        entry.take(size + 1).read_to_end(&mut bytes).with_context(|| format!("in the archive, `{name}`"))?;
        ensure!(bytes.len() as u64 == size, "`{name}` has {} bytes, not {size}", bytes.len());
        Ok(bytes)
    }
}

/// The format before PyTorch 1.6: pickles of a magic number, a protocol number, facts about the machine, the object and the
/// storage keys; then, for every key, the number of elements (64 bits) and the elements.
pub fn parse_legacy(bytes: &[u8]) -> Result<Tensors> {
    let (magic, rest) = Pickle::read(bytes)?;
    ensure!(matches!(magic.root(), Value::Int(LEGACY_MAGIC)), "a pickle, but not one of torch.save");
    let (protocol, rest) = Pickle::read(rest)?;
    ensure!(matches!(protocol.root(), Value::Int(LEGACY_PROTOCOL)), "an unknown protocol of torch.save");
    let (machine, rest) = Pickle::read(rest)?;
    let little = machine
        .entries(machine.root())
        .any(|(key, value)| key == "little_endian" && matches!(value, Value::Bool(true)));
    ensure!(little, "was written on a big-endian machine");
    let (object, rest) = Pickle::read(rest)?;
    let (keys, mut rest) = Pickle::read(rest)?;
    let Value::List(ids) = keys.root() else { bail!("no list of storages") };

    let mut storages = Storages::new();
    for &id in ids {
        let Value::Text(key) = keys.get(id) else { bail!("a storage key that is not text") };
        let storage = object.storages.get(key).with_context(|| format!("no tensor uses storage `{key}`"))?;
        let length = storage.elements.checked_mul(storage.dtype.size()).context("a storage that is too large")?;
        let (count, after) = rest.split_first_chunk::<8>().context("the file ends too early")?;
        ensure!(
            u64::from_le_bytes(*count) == storage.elements as u64,
            "storage `{key}` has another length than its tensors say"
        );
        let (elements, after) = after.split_at_checked(length).context("the file ends too early")?;
        storages.insert(key, Cow::Borrowed(elements));
        rest = after;
    }
    state_dict(&object, &storages, bytes.len())
}

/// The tensors of the state dictionary, made contiguous.
fn state_dict(pickle: &Pickle<'_>, storages: &Storages<'_>, file_length: usize) -> Result<Tensors> {
    // Views may share a storage (tied weights), but a file of some bytes does not stand for many times as many.
    let mut left = file_length.saturating_mul(4);
    let mut tensors = BTreeMap::new();
    for (name, tensor) in find_state_dict(pickle)? {
        let storage = storages.get(tensor.storage.key).with_context(|| format!("`{name}` has no storage"))?;
        tensors.insert(name.to_string(), gather(tensor, storage, &mut left).with_context(|| format!("`{name}`"))?);
    }
    Ok(tensors)
}

fn find_state_dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Vec<(&'a str, &'p TensorRef<'a>)>> {
    let mut value = pickle.root();
    // A dictionary may be nested in another, twice at most ({"model": {"state_dict": ...}}).
    for _ in 0..3 {
        ensure!(matches!(value, Value::Dict(_)), "holds no dictionary of tensors");
        let tensors: Vec<_> = pickle
            .entries(value)
            .filter_map(|(name, value)| if let Value::Tensor(tensor) = value { Some((name, tensor)) } else { None })
            .collect();
        if !tensors.is_empty() {
            return Ok(tensors);
        }
        let nested = NESTED.iter().find_map(|wanted| pickle.entries(value).find(|(key, _)| key == wanted));
        let Some((_, inner)) = nested else {
            let keys: Vec<&str> = pickle.entries(value).map(|(key, _)| key).take(20).collect();
            bail!("holds no tensors under {}; its keys are: {}", NESTED.join(", "), keys.join(", "))
        };
        value = inner;
    }
    bail!("holds no dictionary of tensors")
}

/// Copies a strided view out of its storage.
fn gather(tensor: &TensorRef<'_>, storage: &[u8], left: &mut usize) -> Result<TensorData> {
    let TensorRef { storage: at, offset, shape, strides } = tensor;
    let width = at.dtype.size();
    // The stride of a dimension of one element means nothing.
    let strides: Vec<usize> = shape.iter().zip(strides).map(|(&n, &stride)| if n == 1 { 0 } else { stride }).collect();
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let length = count.and_then(|n| n.checked_mul(width)).context("a tensor that is too large")?;
    let mut bytes = Vec::new();
    if length > 0 {
        let reach = shape
            .iter()
            .zip(&strides)
            .try_fold(*offset, |reach, (&n, &stride)| reach.checked_add((n - 1).checked_mul(stride)?));
        let end = reach.and_then(|reach| reach.checked_add(1)?.checked_mul(width));
        ensure!(
            end.is_some_and(|end| end <= storage.len()),
            "shape {shape:?}, strides {strides:?} and offset {offset} reach outside its storage of {} bytes",
            storage.len()
        );
        *left = left.checked_sub(length).context("the tensors are many times larger than the file")?;
        bytes.reserve_exact(length);
        // The last dimensions that lie without gaps are copied as one run.
        let (mut run, mut outer) = (1, shape.len());
        while outer > 0 && (shape[outer - 1] == 1 || strides[outer - 1] == run) {
            outer -= 1;
            run *= shape[outer];
        }
        let mut index = vec![0; outer];
        let mut position = *offset;
        for _ in 0..length / width / run {
            bytes.extend_from_slice(&storage[position * width..(position + run) * width]);
            for d in (0..outer).rev() {
                index[d] += 1;
                position += strides[d];
                if index[d] < shape[d] {
                    break;
                }
                position -= shape[d] * strides[d];
                index[d] = 0;
            }
        }
    }
    Ok(TensorData { dtype: at.dtype, shape: shape.clone(), bytes })
}
