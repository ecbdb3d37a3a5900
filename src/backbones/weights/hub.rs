//! Files of the Hugging Face Hub, kept where and as its own tools keep them, so that both find what the other fetched.
//!
//! The crate `hf-hub` is not used: since 1.0 it is asynchronous and brings a second reqwest and a transfer engine of its own
//! into a program that fetches a file now and then, and other weights need a client anyway that goes on with what broke off,
//! bounds stalls and checks sums. What is left of the protocol beside such a client is the cache's layout and a HEAD request.
//!
//! ```text
//! $HF_HOME/hub/models--<owner>--<repo>/
//!   refs/<revision>               the commit that it stood for
//!   snapshots/<commit>/<file>     a link to its blob
//!   blobs/<etag>                  the bytes; for large files the ETag is their SHA-256
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use ureq::http::HeaderMap;

use super::{
    download::{Checksum, Client, NotFound, Request},
    parts,
};

/// Tried in this order where a repository is named without a file.
const USUAL_FILES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// `<owner>/<repo>[@<revision>][/<file>]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `<owner>/<repo>`.
    pub repo: String,
    /// A branch, a tag or a commit.
    pub revision: String,
    pub file: Option<String>,
}

impl Reference {
    /// Of the text behind `hf:`; `None` when it is not of that form.
    pub fn parse(text: &str) -> Option<Reference> {
        let (owner, rest) = text.split_once('/')?;
        let (repo, file) = rest.split_once('/').map_or((rest, None), |(repo, file)| (repo, Some(file)));
        let (repo, revision) = repo.split_once('@').unwrap_or((repo, "main"));
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        let sound = [owner, repo, revision].into_iter().chain(file.into_iter().flat_map(|file| file.split('/')));
        sound.into_iter().all(is_name).then(|| Reference {
            repo: format!("{owner}/{repo}"),
            revision: revision.to_string(),
            file: file.map(str::to_string),
        })
    }

    fn candidates(&self) -> Vec<&str> {
        self.file.as_deref().map_or(USUAL_FILES.to_vec(), |file| vec![file])
    }
}

/// The Hub as this user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
}

impl Hub {
    /// By the variables that the Hub's own tools go by: `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`,
    /// `HF_TOKEN_PATH` (by default `$HF_HOME/token`), `HF_HUB_DISABLE_IMPLICIT_TOKEN` and `HF_HUB_OFFLINE`.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Hub> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_on = |name: &str| set(name).is_some_and(|v| ["1", "true", "yes", "on"].contains(&&*v.to_lowercase()));
        let caches = || Some(PathBuf::from(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")? + "/.cache"))?));
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| Some(caches()?.join("huggingface")));
        let home = home.context("neither HF_HOME, XDG_CACHE_HOME nor HOME is set: where is the Hub's cache?")?;
        let token = set("HF_TOKEN").or_else(|| {
            let path = set("HF_TOKEN_PATH").map_or(home.join("token"), PathBuf::from);
            let text = (!is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN")).then(|| fs::read_to_string(path).ok())??;
            Some(text.trim().to_string()).filter(|token| !token.is_empty())
        });
        Ok(Hub {
            endpoint: set("HF_ENDPOINT").unwrap_or("https://huggingface.co".into()).trim_end_matches('/').to_string(),
            cache: set("HF_HUB_CACHE").map_or(home.join("hub"), PathBuf::from),
            token,
            offline: is_on("HF_HUB_OFFLINE"),
        })
    }

    fn folder(&self, reference: &Reference) -> PathBuf {
        self.cache.join(format!("models--{}", reference.repo.replace('/', "--")))
    }

    /// The file, if it and all that belongs to it were fetched before.
    pub fn cached(&self, reference: &Reference) -> Option<PathBuf> {
        let folder = self.folder(reference);
        let commit = fs::read_to_string(folder.join("refs").join(&reference.revision));
        let commit = commit.map_or(reference.revision.clone(), |text| text.trim().to_string());
        let snapshot = folder.join("snapshots").join(commit);
        let whole = |path: &PathBuf| path.is_file() && parts(path).is_ok_and(|all| all.iter().all(|p| p.is_file()));
        reference.candidates().into_iter().map(|file| snapshot.join(file)).find(whole)
    }

    /// Where a person finds the file.
    pub fn address(&self, reference: &Reference) -> String {
        match &reference.file {
            Some(file) => self.url(reference, file),
            None => format!("{}/{}", self.endpoint, reference.repo),
        }
    }

    fn url(&self, reference: &Reference, file: &str) -> String {
        format!("{}/{}/resolve/{}/{file}", self.endpoint, reference.repo, reference.revision)
    }

    /// Fetches the file, with the shards that it lists, into the Hub's cache.
    pub fn fetch(&self, reference: &Reference, client: &mut Client) -> Result<PathBuf> {
        ensure!(!self.offline, "HF_HUB_OFFLINE is set");
        for file in reference.candidates() {
            let path = match self.fetch_file(reference, file, client) {
                Err(error) if reference.file.is_none() && error.is::<NotFound>() => continue,
                fetched => fetched?,
            };
            let beside = Path::new(file).parent().unwrap_or(Path::new(""));
            for shard in parts(&path)?.iter().filter(|shard| **shard != path) {
                let shard = beside.join(shard.file_name().context("a shard has a name")?);
                self.fetch_file(reference, &shard.to_string_lossy(), client)?;
            }
            return Ok(path);
        }
        bail!("{} has none of the files {}: name one", self.address(reference), USUAL_FILES.join(", "))
    }

    fn fetch_file(&self, reference: &Reference, file: &str, client: &mut Client) -> Result<PathBuf> {
        let (url, token) = (self.url(reference, file), self.token.as_deref());
        let headers = client.headers(&url, token)?;
        let commit = header(&headers, "x-repo-commit").with_context(|| format!("{url} names no commit"))?;
        let etag = header(&headers, "x-linked-etag").or_else(|| header(&headers, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_string());
        let etag = etag.with_context(|| format!("{url} names no ETag"))?;
        for name in [&etag, &commit] {
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            ensure!(plain, "{url} has the strange ETag or commit `{}`", name.escape_debug());
        }
        let folder = self.folder(reference);
        let blob = folder.join("blobs").join(&etag);
        let is_sha256 = etag.len() == 64 && etag.bytes().all(|b| b.is_ascii_hexdigit());
        let checksum = is_sha256.then(|| Checksum { sha256: etag.clone(), source: url.clone() });
        if !blob.is_file() {
            // The commit's own file, lest the branch moves on in between.
            let pinned = Reference { revision: commit.clone(), ..reference.clone() };
            let url = self.url(&pinned, file);
            client.download(&Request { url: &url, path: &blob, checksum: checksum.as_ref(), token })?;
        }
        let snapshot = folder.join("snapshots").join(&commit).join(file);
        let depth = Path::new(file).components().count() + 1;
        link(&Path::new(&"../".repeat(depth)).join("blobs").join(&etag), &snapshot)?;
        if reference.revision != commit {
            let named = folder.join("refs").join(&reference.revision);
            fs::create_dir_all(folder.join("refs"))
                .and_then(|()| fs::write(&named, &commit))
                .with_context(|| format!("writing {}", named.display()))?;
        }
        Ok(snapshot)
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_string())
}

/// Makes `place` a link to `target`; the first of several processes is enough.
fn link(target: &Path, place: &Path) -> Result<()> {
    let made = place.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        match std::os::unix::fs::symlink(target, place) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    });
    made.with_context(|| format!("linking {}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_nothing_else_is() {
        let read = |text| Reference::parse(text).map(|r| (r.repo, r.revision, r.file));
        let expected = |repo: &str, revision: &str, file: Option<&str>| {
            Some((repo.to_string(), revision.to_string(), file.map(str::to_string)))
        };
        assert_eq!(read("timm/resnet18.a1_in1k"), expected("timm/resnet18.a1_in1k", "main", None));
        assert_eq!(read("o/r@v1/a/b.bin"), expected("o/r", "v1", Some("a/b.bin")));
        for wrong in ["resnet18", "o/", "/r", "o/r/", "o/../r", "o/r/../../x", "o/r@", "o/r x", "o/r?x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_environment_is_read_as_the_hub_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_string();
        fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            Hub::new(move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())).unwrap()
        };
        let plain = with(&[("HOME", "/home/me")]);
        assert_eq!(plain.cache, Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!((plain.endpoint.as_str(), plain.token, plain.offline), ("https://huggingface.co", None, false));
        let full = with(&[("HF_HOME", &home), ("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "1")]);
        assert_eq!(full.cache, folder.path().join("hub"));
        assert_eq!(
            (full.endpoint.as_str(), full.token.as_deref(), full.offline),
            ("http://mirror", Some("from-file"), true)
        );
        let other = with(&[("HF_HOME", &home), ("HF_TOKEN", "t"), ("HF_HUB_CACHE", "/c"), ("HF_HUB_OFFLINE", "0")]);
        assert_eq!((other.token.as_deref(), other.cache.as_path(), other.offline), (Some("t"), Path::new("/c"), false));
        assert_eq!(with(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).token, None);
        assert!(Hub::new(|_| None).is_err());
    }
}
