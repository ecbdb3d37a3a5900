//! What `torch.save` writes: a zip archive (PyTorch 1.6 and later), or the older row of pickles and raw storages.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Tensors,
    archive::Archive,
    budget::Budget,
    pickle::{Pickle, TensorRef, Value},
    strided::View,
};

const LEGACY_MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const LEGACY_PROTOCOL: i128 = 1001;
/// Where training scripts put the state dictionary inside what they save. Averaged copies come first: they are what such a
/// script evaluates.
const NESTED: [&str; 14] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "module",
    "params",
    "weights",
    "teacher",
];
/// How deep one dictionary may lie in another: `{"ema": {"module": {...}}}`.
const MAX_NESTING: usize = 4;
/// What a storage takes among the storages.
const BYTES_OF_STORAGE: usize = 128;

type Storages<'a> = HashMap<&'a str, Cow<'a, [u8]>>;

/// A zip archive: `<any>/data.pkl` and one stored file `<any>/data/<key>` a storage.
pub fn parse_zip(mut archive: Archive<'_>, budget: &mut Budget) -> Result<Tensors> {
    let prefix = archive.names().find_map(|name| {
        let prefix = name.strip_suffix("data.pkl")?;
        (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_string())
    });
    let prefix = prefix.context("a zip archive without data.pkl is no checkpoint of torch.save")?;
    if let Ok(order) = archive.read(&format!("{prefix}byteorder"), budget) {
        ensure!(*order == *b"little", "was written on a big-endian machine");
    }
    let pickled = archive.read(&format!("{prefix}data.pkl"), budget)?;
    let (pickle, _) = Pickle::read(&pickled, budget)?;
    let mut storages = Storages::new();
    for &key in pickle.storages.keys() {
        budget.charge(BYTES_OF_STORAGE)?;
        storages.insert(key, archive.read(&format!("{prefix}data/{key}"), budget)?);
    }
    state_dict(&pickle, &storages, budget)
}

/// The format before PyTorch 1.6: pickles of a magic number, a protocol number, facts about the machine, the object and the
/// storage keys; then, for every key, the number of elements (64 bits) and the elements.
pub fn parse_legacy(bytes: &[u8], budget: &mut Budget) -> Result<Tensors> {
    let (magic, rest) = Pickle::read(bytes, budget)?;
    ensure!(matches!(magic.root(), Value::Int(LEGACY_MAGIC)), "a pickle, but not one of torch.save");
    let (protocol, rest) = Pickle::read(rest, budget)?;
    ensure!(matches!(protocol.root(), Value::Int(LEGACY_PROTOCOL)), "an unknown protocol of torch.save");
    let (machine, rest) = Pickle::read(rest, budget)?;
    let little = machine
        .entries(machine.root())
        .any(|(key, value)| key == "little_endian" && matches!(value, Value::Bool(true)));
    ensure!(little, "was written on a big-endian machine");
    let (object, rest) = Pickle::read(rest, budget)?;
    let (keys, mut rest) = Pickle::read(rest, budget)?;
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
        budget.charge(BYTES_OF_STORAGE)?;
        storages.insert(key, Cow::Borrowed(elements));
        rest = after;
    }
    state_dict(&object, &storages, budget)
}

/// The tensors of the state dictionary, made contiguous. Views may share a storage (tied weights), within the budget.
fn state_dict(pickle: &Pickle<'_>, storages: &Storages<'_>, budget: &mut Budget) -> Result<Tensors> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in find_state_dict(pickle)? {
        budget.charge(name.len() + BYTES_OF_STORAGE)?;
        let TensorRef { storage: at, offset, shape, strides } = tensor;
        let storage = storages.get(at.key).with_context(|| format!("`{name}` has no storage"))?;
        let view = View { dtype: at.dtype, offset: *offset, shape, strides };
        tensors.insert(name.to_string(), view.gather(storage, budget).with_context(|| format!("`{name}`"))?);
    }
    Ok(tensors)
}

type Entries<'p, 'a> = Vec<(&'a str, &'p TensorRef<'a>)>;

fn find_state_dict<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<Entries<'p, 'a>> {
    let mut value = pickle.root();
    for _ in 0..MAX_NESTING {
        ensure!(matches!(value, Value::Dict(_)), "holds no dictionary of tensors (save `model.state_dict()`)");
        // A best score beside the weights may be a tensor, too: what has the name of a wrapper goes first.
        let is_wrapper = |value: &Value| matches!(value, Value::Dict(pairs) if !pairs.is_empty());
        let nested = NESTED
            .iter()
            .find_map(|wanted| pickle.entries(value).find(|(key, inner)| key == wanted && is_wrapper(inner)));
        if let Some((_, inner)) = nested {
            value = inner;
            continue;
        }
        let tensors: Entries<'p, 'a> = pickle
            .entries(value)
            .filter_map(|(name, value)| if let Value::Tensor(tensor) = value { Some((name, &**tensor)) } else { None })
            .collect();
        if !tensors.is_empty() {
            return Ok(tensors);
        }
        let keys: Vec<&str> = pickle.entries(value).map(|(key, _)| key).take(20).collect();
        bail!("holds no tensors, nor any under {}; its keys are: {}", NESTED.join(", "), keys.join(", "))
    }
    bail!("holds no dictionary of tensors")
}
