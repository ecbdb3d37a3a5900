//! The zip archives that `torch.save` and `numpy.savez` write.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
};

use anyhow::{Context, Result, bail, ensure};
use zip::{CompressionMethod, ZipArchive};

use super::budget::Budget;

/// What the reader of archives keeps of an entry, at most, besides its name.
const BYTES_OF_ENTRY: usize = 1024;

pub struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    pub fn open(bytes: &'a [u8], budget: &mut Budget) -> Result<Archive<'a>> {
        // Its directory is read before anything can be asked; each entry of it begins with this.
        let entries = bytes.windows(4).filter(|window| *window == b"PK\x01\x02").count();
        budget.charge(entries.saturating_mul(BYTES_OF_ENTRY))?;
        Ok(Archive { bytes, zip: ZipArchive::new(Cursor::new(bytes))? })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zip.file_names()
    }

    /// The content of an entry, its checksum compared: borrowed from the file if it is not compressed.
    pub fn read(&mut self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        self.content(name, budget).with_context(|| format!("in the archive, `{}`", name.escape_debug()))
    }

    fn content(&mut self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        let entry = self.zip.by_name(name)?;
        let size = usize::try_from(entry.size())?;
        match entry.compression() {
            CompressionMethod::Stored => {
                let start = usize::try_from(entry.data_start())?;
                let content = start.checked_add(size).and_then(|end| self.bytes.get(start..end));
                let content = content.with_context(|| format!("it claims {size} bytes"))?;
                ensure!(crc32fast::hash(content) == entry.crc32(), "its checksum does not fit: the file is damaged");
                Ok(Cow::Borrowed(content))
            }
            CompressionMethod::Deflated => {
                budget.charge(size)?;
                let mut content = Vec::with_capacity(size);
                // The checksum is compared when the reader meets the end, one byte further.
                entry.take(size as u64 + 1).read_to_end(&mut content)?;
                ensure!(content.len() == size, "it has {} bytes, not {size}", content.len());
                Ok(Cow::Owned(content))
            }
            other => bail!("it is compressed by a method that is not read here ({other:?})"),
        }
    }
}
