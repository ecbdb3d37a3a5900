//! Which images there are, what they show, and which split each belongs to. Holds no pixels and no absolute path, so the
//! same images under another root are the same artifact.
//!
//! Files: `dataset.json` (classes, dropped images, notes) and `images.csv` (`id,path,label,split`, in path order).

use std::path::Path;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reading;

/// The role an image plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The first 128 bits of the BLAKE3 digest of the file (of an array, its elements), in hex: what every random draw on this image is keyed by.
    pub id: String,
    /// Relative to the dataset's root, with `/`; of an image in a file of many, the file, `#` and the image.
    pub path: String,
    /// Index into [`Dataset::classes`].
    pub label: u32,
    pub split: Split,
}

impl Image {
    /// The `id` of a file with this content.
    pub fn id_of(bytes: &[u8]) -> String {
        blake3::hash(bytes).to_hex()[..32].to_string()
    }
}

/// A file that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub path: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    classes: Vec<String>,
    dropped: Vec<Dropped>,
    /// Left out where it is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reading: Option<Reading>,
}

/// The artifact a `dataset` stage makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    pub classes: Vec<String>,
    /// In path order. Images outside a `fraction` or `per_class` subset are not listed.
    pub images: Vec<Image>,
    pub dropped: Vec<Dropped>,
    /// How the images are decoded.
    pub reading: Reading,
}

impl Dataset {
    /// The images of one split, in path order: the row order of every artifact made from that split.
    pub fn rows(&self, split: Split) -> Vec<&Image> {
        self.images.iter().filter(|image| image.split == split).collect()
    }

    /// The labels of one split in row order, as indices into `classes`.
    pub fn labels(&self, split: Split) -> Vec<i64> {
        self.rows(split).iter().map(|image| i64::from(image.label)).collect()
    }

    /// A digest of the (id, class name) pairs of one split: two arms may be compared when that of `test` is equal.
    pub fn split_digest(&self, split: Split) -> String {
        let mut pairs: Vec<(&str, &str)> =
            self.rows(split).iter().map(|i| (i.id.as_str(), self.classes[i.label as usize].as_str())).collect();
        pairs.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for (id, class) in pairs {
            hasher.update(id.as_bytes()).update(&[0]).update(class.as_bytes()).update(&[0]);
        }
        hasher.finalize().to_hex().to_string()
    }

    pub fn write(&self, dir: &Path) -> Result<()> {
        let reading = (self.reading != Reading::default()).then(|| self.reading.clone());
        let header = Header { classes: self.classes.clone(), dropped: self.dropped.clone(), reading };
        std::fs::write(dir.join("dataset.json"), serde_json::to_vec_pretty(&header)?)?;
        let mut rows = csv::Writer::from_path(dir.join("images.csv"))?;
        for image in &self.images {
            rows.serialize(image)?;
        }
        rows.flush()?;
        Ok(())
    }

    pub fn read(dir: &Path) -> Result<Dataset> {
        let text = std::fs::read(dir.join("dataset.json")).with_context(|| format!("reading {}", dir.display()))?;
        let header: Header = serde_json::from_slice(&text)?;
        let images = csv::Reader::from_path(dir.join("images.csv"))?.deserialize().collect::<Result<_, _>>()?;
        Ok(Dataset {
            classes: header.classes,
            images,
            dropped: header.dropped,
            reading: header.reading.unwrap_or_default(),
        })
    }
}
