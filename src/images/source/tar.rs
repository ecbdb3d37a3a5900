//! Tar files of images (WebDataset's shards): which members there are, and their bytes without unpacking.

use std::{collections::HashMap, io::Cursor, path::Path};

use anyhow::{Context, Result, ensure};
use memmap2::Mmap;

/// Everything in a tar file starts at a multiple of this; a block of zeros ends it.
const BLOCK: usize = 512;

/// An uncompressed tar file.
pub struct Tar {
    map: Mmap,
    /// (name, start, length) of every file in it, in order.
    members: Vec<(String, usize, usize)>,
    by_name: HashMap<String, usize>,
}

impl Tar {
    /// # Errors
    /// When it is no tar file, is cut short, or names a member twice.
    pub fn open(path: &Path) -> Result<Tar> {
        Tar::list(path).with_context(|| format!("tar file {}", path.display()))
    }

    fn list(path: &Path) -> Result<Tar> {
        let map = super::map(path)?;
        ensure!(!map.starts_with(b"\x1f\x8b"), "it is compressed: decompress it first, images do not get smaller");
        let (mut members, mut by_name, mut end) = (Vec::new(), HashMap::new(), 0);
        for entry in ::tar::Archive::new(Cursor::new(&map[..])).entries()? {
            let entry = entry?;
            end = usize::try_from(entry.raw_file_position() + entry.size())?.next_multiple_of(BLOCK);
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = String::from_utf8(entry.path_bytes().into_owned()).context("a name is not UTF-8")?;
            let (start, length) = (usize::try_from(entry.raw_file_position())?, usize::try_from(entry.size())?);
            ensure!(start + length <= map.len(), "truncated: `{name}` goes beyond its end");
            ensure!(by_name.insert(name.clone(), members.len()).is_none(), "`{name}` is there twice");
            members.push((name, start, length));
        }
        let last = map.get(end..end + BLOCK);
        ensure!(last.is_some_and(|block| block.iter().all(|&byte| byte == 0)), "truncated: its end is not marked");
        Ok(Tar { map, members, by_name })
    }

    /// Every file's name and bytes, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.members.iter().map(|(name, start, length)| (name.as_str(), &self.map[*start..start + length]))
    }

    pub(super) fn read(&self, name: &str) -> Result<&[u8]> {
        let at = *self.by_name.get(name).with_context(|| format!("there is no member `{name}`"))?;
        let (_, start, length) = self.members[at];
        Ok(&self.map[start..start + length])
    }
}
