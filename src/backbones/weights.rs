//! Where a backbone's weights lie. Opens no checkpoint: what is inside is `nn`'s business.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::{Backbone, Published};

/// Where to take weights from.
#[derive(Debug, Clone, PartialEq)]
pub enum WeightsLocation {
    /// `none`: random initialisation.
    Random,
    /// A checkpoint that exists; `published` when it was asked for by that name, to be checked with [`verify_published`].
    File { path: PathBuf, published: Option<&'static Published> },
}

/// What `weights:` means: `none`, a published name, or a path relative to the project's root.
pub fn locate(backbone: &'static Backbone, weights: &str, project_root: &Path) -> Result<WeightsLocation> {
    if weights == "none" {
        return Ok(WeightsLocation::Random);
    }
    if let Some(published) = backbone.published.iter().find(|p| p.name == weights) {
        let path = cached(published)?;
        ensure!(
            path.is_file(),
            "weights `{weights}` of {} are not on this machine: put {} into {}. It comes from {}",
            backbone.name,
            published.file,
            path.parent().unwrap_or(Path::new("")).display(),
            published.source
        );
        return Ok(WeightsLocation::File { path, published: Some(published) });
    }
    let path = project_root.join(weights);
    if path.is_file() {
        return Ok(WeightsLocation::File { path, published: None });
    }
    let names: Vec<&str> = backbone.published.iter().map(|p| p.name).chain(["none"]).collect();
    if weights.contains(['/', '.']) {
        bail!("no weights file {}. Published weights of {} are: {}", path.display(), backbone.name, names.join(", "));
    }
    let nearest = names.iter().max_by(|a, b| {
        let likeness = |name: &str| strsim::normalized_damerau_levenshtein(name, weights);
        likeness(a).total_cmp(&likeness(b))
    });
    let nearest = nearest.filter(|name| strsim::damerau_levenshtein(name, weights) <= 3);
    let hint = nearest.map_or(String::new(), |name| format!(" Did you mean `{name}`?"));
    bail!(
        "{} has no weights `{weights}`.{hint} Published are: {}; or give a file's path",
        backbone.name,
        names.join(", ")
    )
}

/// Where published weights are kept: `weights/` in the cache folder.
pub fn cached(published: &Published) -> Result<PathBuf> {
    Ok(cache_folder()?.join("weights").join(published.file))
}

/// `$THAWLINE_CACHE`, else `thawline` in `$XDG_CACHE_HOME`, else in `~/.cache`.
pub fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set("THAWLINE_CACHE") {
        return Ok(folder);
    }
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(caches
        .context("neither THAWLINE_CACHE, XDG_CACHE_HOME nor HOME is set: where is the cache folder?")?
        .join("thawline"))
}

/// Checks the file's SHA-256 against the publisher's, of which some give only the beginning.
pub fn verify_published(published: &Published, path: &Path) -> Result<()> {
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    io::copy(&mut file, &mut hasher).with_context(|| format!("reading {}", path.display()))?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        found.starts_with(published.sha256),
        "{} is damaged or another file: its SHA-256 is {found}, expected {}. Remove it and get it again from {}",
        path.display(),
        published.sha256,
        published.source
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones::find;

    fn refusal(weights: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        locate(find("resnet18").unwrap(), weights, root.path()).unwrap_err().to_string()
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        let lite0 = find("efficientnet_lite0").unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("mine"), b"x").unwrap();
        assert_eq!(locate(lite0, "none", root.path()).unwrap(), WeightsLocation::Random);
        let mine = WeightsLocation::File { path: root.path().join("mine"), published: None };
        assert_eq!(locate(lite0, "mine", root.path()).unwrap(), mine);
        assert!(refusal("imagnet").contains("Did you mean `imagenet`?"), "{}", refusal("imagnet"));
        assert!(refusal("clip").contains("Published are: imagenet, none"), "{}", refusal("clip"));
        assert!(
            refusal("weights/mine.pth").contains("weights/mine.pth. Published weights"),
            "{}",
            refusal("weights/mine.pth")
        );
    }

    #[test]
    fn a_damaged_published_file_is_noticed() {
        let published = &find("efficientnet_lite0").unwrap().published[0];
        let path = cached(published).unwrap();
        assert!(path.exists(), "{} is missing: run `make fetch`", path.display());
        verify_published(published, &path).unwrap();
        let root = tempfile::tempdir().unwrap();
        let other = root.path().join("other.pth");
        fs::write(&other, b"other").unwrap();
        let error = verify_published(published, &other).unwrap_err().to_string();
        assert!(error.contains("expected 579344248a93"), "{error}");
    }
}
