//! A machine for the pickles that `torch.save` writes of tensors in dictionaries (opcodes of Python's `pickletools`).
//!
//! It knows a short list of globals by name and refuses every other, and what it knows it builds itself, so that nothing a
//! file says is ever executed. Values live in one arena and refer to each other by index: no recursion, no cycles to free,
//! and memory bounded by a budget that every step is charged to.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};

use super::{Dtype, MAX_RANK, budget::Budget, globals::Global};

/// Far more than any state dictionary takes (some 40 a tensor).
const MAX_STEPS: usize = 1 << 21;
/// What a value takes in the arena, whose capacity doubles, with its place on the stack.
const BYTES_OF_VALUE: usize = 2 * size_of::<Value>() + 16;
/// What an index takes in a list, a mark or the stack, whose capacity doubles.
const BYTES_OF_ID: usize = 2 * size_of::<Id>();
/// What an entry of the memo, or a storage in the list of storages, takes at most.
const BYTES_OF_ENTRY: usize = 128;

/// Index of a value.
pub type Id = usize;

#[derive(Debug)]
pub enum Value<'a> {
    None,
    Bool(bool),
    /// Wide enough for the legacy format's magic number.
    Int(i128),
    Float,
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Box<Storage<'a>>),
    Tensor(Box<TensorRef<'a>>),
    /// Something beside the tensors, whose content is not kept.
    Inert,
}

/// A run of elements kept elsewhere in the file under `key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage<'a> {
    pub key: &'a str,
    pub dtype: Dtype,
    pub elements: usize,
}

/// A strided view of a storage; offset and strides count elements.
#[derive(Debug)]
pub struct TensorRef<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What one pickle held.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
    /// Every storage that was named, by key, as it was named first.
    pub storages: BTreeMap<&'a str, Storage<'a>>,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle from the front of `bytes`; also gives what follows it.
    pub fn read(bytes: &'a [u8], budget: &mut Budget) -> Result<(Pickle<'a>, &'a [u8])> {
        let mut machine = Machine::new(bytes, budget);
        let root =
            machine.run().with_context(|| format!("at byte {} of a pickle", bytes.len() - machine.rest.len()))?;
        Ok((Pickle { values: machine.values, root, storages: machine.storages }, machine.rest))
    }

    pub fn root(&self) -> &Value<'a> {
        &self.values[self.root]
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// The entries of a dictionary whose keys are text.
    pub fn entries<'p>(&'p self, value: &'p Value<'a>) -> impl Iterator<Item = (&'a str, &'p Value<'a>)> {
        let pairs: &[(Id, Id)] = if let Value::Dict(pairs) = value { pairs } else { &[] };
        pairs.iter().filter_map(|&(key, value)| match self.get(key) {
            Value::Text(key) => Some((*key, self.get(value))),
            _ => None,
        })
    }
}

struct Machine<'a, 'b> {
    rest: &'a [u8],
    budget: &'b mut Budget,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    storages: BTreeMap<&'a str, Storage<'a>>,
}

impl<'a, 'b> Machine<'a, 'b> {
    fn new(bytes: &'a [u8], budget: &'b mut Budget) -> Machine<'a, 'b> {
        Machine {
            rest: bytes,
            budget,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            storages: BTreeMap::new(),
        }
    }

    /// Runs to STOP; the value on top is the result.
    fn run(&mut self) -> Result<Id> {
        for _ in 0..MAX_STEPS {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
        bail!("more than {MAX_STEPS} steps")
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            // PROTO, FRAME: nothing to do.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Int(value.into()))?;
            }
            // LONG1: two's complement, little-endian.
            0x8a => {
                let length = self.byte()?.into();
                let bytes = self.take(length)?;
                ensure!(length <= 16, "an integer of {length} bytes");
                let negative = bytes.last().is_some_and(|&last| last >= 0x80);
                let mut wide = [if negative { 0xff } else { 0 }; 16];
                wide[..length].copy_from_slice(bytes);
                self.push(Value::Int(i128::from_le_bytes(wide)))?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Float)?;
            }
            // SHORT_BINSTRING, SHORT_BINUNICODE; BINUNICODE; BINUNICODE8.
            b'U' | 0x8c => {
                let length = self.byte()?.into();
                self.text(length)?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.text(length)?;
            }
            0x8d => {
                let length = usize::try_from(u64::from_le_bytes(self.array()?))?;
                self.text(length)?;
            }
            b'(' => {
                self.budget.charge(BYTES_OF_ID)?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items))?;
            }
            // BINBYTES, SHORT_BINBYTES, BINBYTES8.
            b'B' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.skip(length)?;
            }
            b'C' => {
                let length = self.byte()?.into();
                self.skip(length)?;
            }
            0x8e => {
                let length = usize::try_from(u64::from_le_bytes(self.array()?))?;
                self.skip(length)?;
            }
            // EMPTY_SET, FROZENSET, ADDITEMS.
            0x8f => self.push(Value::Inert)?,
            0x91 => {
                self.pop_mark()?;
                self.push(Value::Inert)?;
            }
            0x90 => {
                self.pop_mark()?;
                self.top_is_inert()?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.set_items(&pair)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }
            b'q' => {
                let index = self.byte()?.into();
                self.remember(index)?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?) as usize;
                self.remember(index)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let index = self.byte()?.into();
                self.recall(index)?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?) as usize;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(Global::find(module, name)?))?;
            }
            // STACK_GLOBAL.
            0x93 => {
                let pair = self.pop_many(2)?;
                match (&self.values[pair[0]], &self.values[pair[1]]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let global = Global::find(module, name)?;
                        self.push(Value::Global(global))?;
                    }
                    _ => bail!("a global whose name is not text"),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.budget.charge(BYTES_OF_ENTRY)?;
                self.storages.entry(storage.key).or_insert(storage);
                self.push(Value::Storage(Box::new(storage)))?;
            }
            b'R' => {
                let [function, arguments] = self.pop_many(2)?[..] else { bail!("a call without arguments") };
                let result = self.call(function, arguments)?;
                self.stack.push(result);
            }
            // NEWOBJ, NEWOBJ_EX: how newer protocols call a class.
            0x81 | 0x92 => {
                let parts = self.pop_many(if opcode == 0x81 { 2 } else { 3 })?;
                let inert = matches!(self.values[parts[0]], Value::Global(Global::Inert));
                ensure!(inert, "makes an object of what is not a known class");
                self.push(Value::Inert)?;
            }
            // BUILD: the attributes of an OrderedDict (`_metadata`) say nothing about tensors.
            b'b' => {
                self.pop()?;
                let target = *self.stack.last().context("an empty stack")?;
                let plain = matches!(self.values[target], Value::Dict(_) | Value::Inert);
                ensure!(plain, "sets attributes of what is not a dictionary");
            }
            other => bail!("refuses opcode {other:#04x}, which torch.save does not write"),
        }
        Ok(())
    }

    /// `torch.save` calls these; the result may be an argument itself.
    fn call(&mut self, function: Id, arguments: Id) -> Result<Id> {
        let (Value::Global(function), Value::Tuple(arguments)) = (&self.values[function], &self.values[arguments])
        else {
            bail!("a call of what is not a known function")
        };
        let value = match (*function, arguments.as_slice()) {
            (Global::Inert, _) => Value::Inert,
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::RebuildParameter, &[tensor, ..]) => {
                ensure!(matches!(self.values[tensor], Value::Tensor(_)), "a parameter that is not a tensor");
                return Ok(tensor);
            }
            (Global::RebuildTensor | Global::RebuildTensorV2, &[storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = &self.values[storage] else { bail!("a tensor without a storage") };
                let storage = **storage;
                let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
                ensure!(shape.len() == strides.len(), "a tensor of shape {shape:?} has strides {strides:?}");
                self.budget.charge(size_of::<TensorRef>() + (shape.len() + strides.len()) * BYTES_OF_ID)?;
                Value::Tensor(Box::new(TensorRef { storage, offset, shape, strides }))
            }
            (other, arguments) => bail!("{other:?} with {} arguments", arguments.len()),
        };
        self.push(value)?;
        self.pop()
    }

    /// A persistent id: ("storage", type, key, device, elements) and in the legacy format a view, always None by now.
    fn storage(&self, id: Id) -> Result<Storage<'a>> {
        let Value::Tuple(parts) = &self.values[id] else { bail!("a persistent id that is not a tuple") };
        let parts: Vec<&Value<'a>> = parts.iter().take(7).map(|&id| &self.values[id]).collect();
        match parts[..] {
            [
                Value::Text("storage"),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(elements),
            ]
            | [
                Value::Text("storage"),
                Value::Global(Global::Storage(dtype)),
                Value::Text(key),
                Value::Text(_),
                Value::Int(elements),
                Value::None,
            ] => Ok(Storage { key, dtype: *dtype, elements: usize::try_from(*elements)? }),
            _ => bail!("a persistent id that is not a storage"),
        }
    }

    fn size(&self, id: Id) -> Result<usize> {
        let Value::Int(value) = self.values[id] else { bail!("an offset, size or stride that is not an integer") };
        usize::try_from(value).with_context(|| format!("an offset, size or stride of {value}"))
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        let Value::Tuple(items) = &self.values[id] else { bail!("a shape that is not a tuple") };
        ensure!(items.len() <= MAX_RANK, "a tensor of {} dimensions", items.len());
        items.iter().map(|&id| self.size(id)).collect()
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        self.budget.charge(BYTES_OF_VALUE)?;
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    /// What is inert takes anything and keeps nothing.
    fn top_is_inert(&self) -> Result<()> {
        let target = *self.stack.last().context("an empty stack")?;
        ensure!(matches!(self.values[target], Value::Inert), "adds to what is not a set");
        Ok(())
    }

    fn skip(&mut self, length: usize) -> Result<()> {
        self.take(length)?;
        self.push(Value::Inert)
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    /// The top `n` of the stack, oldest first; never across an open mark.
    fn pop_many(&mut self, n: usize) -> Result<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(n).filter(|&start| start >= floor).context("an empty stack")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("no mark on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn extend(&mut self, items: Vec<Id>) -> Result<()> {
        let target = *self.stack.last().context("an empty stack")?;
        match &mut self.values[target] {
            Value::List(list) => {
                self.budget.charge(items.len() * BYTES_OF_ID)?;
                list.extend(items);
            }
            Value::Inert => {}
            _ => bail!("appends to what is not a list"),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        let target = *self.stack.last().context("an empty stack")?;
        ensure!(items.len().is_multiple_of(2), "a key without a value");
        match &mut self.values[target] {
            Value::Dict(pairs) => {
                self.budget.charge(items.len() * BYTES_OF_ID)?;
                pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            Value::Inert => {}
            _ => bail!("sets items of what is not a dictionary"),
        }
        Ok(())
    }

    fn remember(&mut self, index: usize) -> Result<()> {
        self.budget.charge(BYTES_OF_ENTRY)?;
        self.memo.insert(index, *self.stack.last().context("an empty stack")?);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<()> {
        self.budget.charge(BYTES_OF_ID)?;
        self.stack.push(*self.memo.get(&index).with_context(|| format!("nothing remembered as {index}"))?);
        Ok(())
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).context("the file ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = std::str::from_utf8(self.take(length)?)?;
        self.push(Value::Text(text))
    }

    fn line(&mut self) -> Result<&'a str> {
        let length = self.rest.iter().position(|&b| b == b'\n').context("the file ends too early")?;
        let line = self.take(length + 1)?;
        Ok(std::str::from_utf8(&line[..length])?)
    }
}
