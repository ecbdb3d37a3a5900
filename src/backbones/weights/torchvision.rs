//! What torchvision publishes, by its own names (`resnet50.IMAGENET1K_V2`). The table is written by
//! `scripts/reference/torchvision_weights.py` from torchvision itself.

use std::sync::LazyLock;

/// Published weights of one backbone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub backbone: &'static str,
    /// `IMAGENET1K_V1`, for example.
    pub name: &'static str,
    /// Below [`FOLDER`]; ends in `-<first digits of its SHA-256>.pth`.
    pub file: &'static str,
}

/// Where torchvision's files lie.
pub const FOLDER: &str = "https://download.pytorch.org/models/";

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut cells = line.split('\t');
        Some(Entry { backbone: cells.next()?, name: cells.next()?, file: cells.next()? })
    };
    include_str!("torchvision.tsv").lines().filter_map(row).collect()
});

/// Every published file, in the order of the table.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// The digits of the SHA-256 that a file's name ends in, as in `resnet18-f37072fd.pth`.
pub fn hash_in_name(file: &str) -> Option<&str> {
    let digits = file.strip_suffix(".pth")?.rsplit_once('-')?.1;
    let is_hash = digits.len() >= 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hash.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_names_its_hash() {
        assert_eq!(entries().len(), include_str!("torchvision.tsv").lines().count());
        for entry in entries() {
            assert!(hash_in_name(entry.file).is_some(), "{entry:?}");
            assert!(entry.name.starts_with("IMAGENET1K_"), "{entry:?}");
            let same = |other: &&Entry| (other.backbone, other.name) == (entry.backbone, entry.name);
            assert_eq!(entries().iter().filter(same).count(), 1, "{entry:?}");
        }
        assert_eq!(hash_in_name("resnet18-f37072fd.pth"), Some("f37072fd"));
        assert_eq!(hash_in_name("my-model.pth"), None);
    }
}
