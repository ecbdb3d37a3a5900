//! What people write at `weights:`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Weights as asked for: a name alone, or with what else is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub struct Wanted {
    /// `none`, a published name, a path, or an address.
    pub file: String,
    /// Every tensor must be there and none may be left over.
    pub strict: bool,
    /// Of the file, in hex.
    pub sha256: Option<String>,
}

impl Wanted {
    /// This name alone.
    pub fn named(file: impl Into<String>) -> Wanted {
        Wanted { file: file.into(), strict: true, sha256: None }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    /// `imagenet`, `none` (random), the path of a checkpoint relative to the project's root,
    /// `torchvision:resnet18.IMAGENET1K_V1`, `timm:resnet18.a1_in1k`, `hf:<owner>/<repo>/<file>` or `https://...`.
    Name(String),
    More(More),
}

/// A checkpoint, with what else is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct More {
    /// What `weights:` would name alone: `imagenet`, a path, or an address.
    file: String,
    /// `false`: tensors that the file lacks, or has in another shape, start at random, and those left over are ignored.
    #[serde(default = "yes")]
    strict: bool,
    /// The SHA-256 that the file must have.
    #[serde(default)]
    sha256: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<Written> for Wanted {
    fn from(written: Written) -> Wanted {
        match written {
            Written::Name(file) => Wanted::named(file),
            Written::More(More { file, strict, sha256 }) => Wanted { file, strict, sha256 },
        }
    }
}

impl From<Wanted> for Written {
    fn from(Wanted { file, strict, sha256 }: Wanted) -> Written {
        if strict && sha256.is_none() { Written::Name(file) } else { Written::More(More { file, strict, sha256 }) }
    }
}
