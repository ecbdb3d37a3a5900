//! Where a backbone's weights lie: what people may call them, where they are kept, and how they get there. Opens no
//! checkpoint: what is inside is the worker's business.

mod download;
mod hub;
mod torchvision;
mod wanted;

use std::{
    collections::BTreeSet,
    env, fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};

pub use self::{
    download::{Checksum, Patience},
    wanted::Wanted,
};
use self::{
    download::{Client, Request},
    hub::{Hub, Reference},
};
use super::{Backbone, Published, TORCHSCRIPT};

/// Where to take weights from.
#[derive(Debug, Clone, PartialEq)]
pub enum WeightsLocation {
    /// `none`: random initialisation.
    Random,
    /// A checkpoint that exists; to be checked where a checksum is known of it.
    File { path: PathBuf, checksum: Option<Checksum> },
    /// Not on this machine, but [`Absent::fetch`] knows how to get it.
    Absent(Absent),
}

/// Weights that can be downloaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Absent {
    /// `weights ... of resnet18`, for people.
    what: String,
    from: Origin,
    checksum: Option<Checksum>,
}

#[derive(Debug, Clone, PartialEq)]
enum Origin {
    Web { url: String, path: PathBuf },
    Hub { hub: Hub, reference: Reference },
}

/// What the text of `weights:` means.
#[derive(Debug, Clone, PartialEq)]
pub enum Name<'a> {
    None,
    Published(&'static Published),
    /// A file on the web, kept under this name in the cache.
    Web {
        url: String,
        file: String,
        checksum: Option<Checksum>,
    },
    Hub(Reference),
    /// Relative to the project's root.
    Path(&'a str),
}

/// Text that means no weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misnamed {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl fmt::Display for Misnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for Misnamed {}

/// What `wanted` means for a backbone. Looks at no file.
pub fn parse<'a>(backbone: &'static Backbone, wanted: &'a Wanted) -> Result<Name<'a>, Misnamed> {
    let text = wanted.file.as_str();
    let misnamed = |message: String, help: String| Err(Misnamed { message, help });
    if let Some(sha256) = &wanted.sha256
        && !(sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        let help = "`sha256sum FILE` prints it";
        return misnamed(format!("`{sha256}` is no SHA-256, which has 64 hexadecimal digits"), help.into());
    }
    if text == "none" {
        return Ok(Name::None);
    }
    if let Some(published) = backbone.published.iter().find(|p| p.name == text) {
        return Ok(Name::Published(published));
    }
    match text.split_once(':') {
        Some(("torchvision", name)) => return torchvision_name(backbone, name),
        Some((scheme @ ("hf" | "timm"), rest)) => {
            let reference = if scheme == "timm" { format!("timm/{rest}") } else { rest.to_string() };
            return match Reference::parse(&reference) {
                Some(reference) => Ok(Name::Hub(reference)),
                None if scheme == "timm" => {
                    misnamed(format!("`{text}` names no model of timm"), "write `timm:resnet18.a1_in1k`, say".into())
                }
                None => misnamed(
                    format!("`{text}` names no repository of the Hugging Face Hub"),
                    "write `hf:<owner>/<repo>` or `hf:<owner>/<repo>@<revision>/<file>`".into(),
                ),
            };
        }
        Some(("http", _)) if wanted.sha256.is_none() => {
            let help = format!("use https, or write `{{ file: \"{text}\", sha256: ... }}`");
            return misnamed("over plain http anyone on the way may change a file".into(), help);
        }
        Some(("https" | "http", rest)) if rest.starts_with("//") => return Ok(web(text)),
        Some((scheme, rest)) if rest.starts_with("//") => {
            return misnamed(
                format!("weights are not fetched over `{scheme}`"),
                "use https, or the path of a file".into(),
            );
        }
        _ => {}
    }
    if text.contains(['/', '.']) {
        return Ok(Name::Path(text));
    }
    let names: Vec<&str> = backbone.published.iter().map(|p| p.name).chain(["none"]).collect();
    let nearest = names.iter().min_by_key(|name| strsim::damerau_levenshtein(name, text));
    let nearest = nearest.filter(|name| strsim::damerau_levenshtein(name, text) <= 3);
    let help = match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected {}, or the path of a .safetensors, .pth or .pt file", names.join(" or ")),
    };
    misnamed(format!("there are no weights `{text}` for {}", backbone.name), help)
}

fn torchvision_name<'a>(backbone: &'static Backbone, name: &str) -> Result<Name<'a>, Misnamed> {
    let of_backbone = || torchvision::entries().iter().filter(|entry| entry.backbone == backbone.name);
    let known: Vec<String> = of_backbone().map(|e| format!("`torchvision:{}.{}`", e.backbone, e.name)).collect();
    let found = name.split_once('.').and_then(|(model, tag)| {
        let own = model == backbone.name;
        own.then(|| of_backbone().find(|entry| entry.name == tag)).flatten()
    });
    if let Some(entry) = found {
        return Ok(web(&format!("{}{}", torchvision::FOLDER, entry.file)));
    }
    let help = match known.as_slice() {
        [] => format!("torchvision publishes no weights of {}", backbone.name),
        known => format!("there are {}", known.join(", ")),
    };
    Err(Misnamed { message: format!("torchvision has no weights `{name}` for {}", backbone.name), help })
}

/// A file on the web. Those of torchvision keep their names, which hold their hashes; those of others get the beginning of
/// the address' hash, so that no two are one.
fn web<'a>(url: &str) -> Name<'a> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let last = path.rsplit('/').next().unwrap_or("");
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let last: String = last.chars().map(plain).collect();
    match torchvision::hash_in_name(&last).filter(|_| url.starts_with(torchvision::FOLDER)) {
        Some(hash) => {
            let checksum = Checksum { sha256: hash.to_string(), source: url.to_string() };
            Name::Web { url: url.to_string(), file: last, checksum: Some(checksum) }
        }
        None => {
            let hash: String = Sha256::digest(url).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            Name::Web { url: url.to_string(), file: format!("{hash}-{last}"), checksum: None }
        }
    }
}

/// Where the weights lie that `wanted` means, in a project with this root. Fetches nothing.
///
/// # Errors
/// Names that mean nothing, local files that are not there, and published files that only a person can get.
pub fn locate(backbone: &'static Backbone, wanted: &Wanted, project_root: &Path) -> Result<WeightsLocation> {
    let what = format!("weights `{}` of {}", wanted.file, backbone.name);
    let given = |source: &str| Some(Checksum { sha256: wanted.sha256.clone()?.to_lowercase(), source: source.into() });
    let on_web = |url: String, file: &str, checksum: Option<Checksum>| {
        let path = cache_folder()?.join("weights").join(file);
        let checksum = given(&url).or(checksum);
        if path.is_file() {
            return Ok(WeightsLocation::File { path, checksum });
        }
        Ok(WeightsLocation::Absent(Absent { what: what.clone(), from: Origin::Web { url, path }, checksum }))
    };
    match parse(backbone, wanted)? {
        Name::None => Ok(WeightsLocation::Random),
        Name::Published(published) if published.source.starts_with("https://") => {
            on_web(published.source.to_string(), published.file, Some(published.into()))
        }
        Name::Published(published) => {
            let path = cached(published)?;
            ensure!(
                path.is_file(),
                "{what} are not on this machine: put {} into {}. It comes from {}",
                published.file,
                path.parent().unwrap_or(Path::new("")).display(),
                published.source
            );
            Ok(WeightsLocation::File { path, checksum: given(published.source).or(Some(published.into())) })
        }
        Name::Web { url, file, checksum } => on_web(url, &file, checksum),
        Name::Hub(reference) => {
            let hub = Hub::new(|name| env::var(name).ok())?;
            let checksum = given(&hub.address(&reference));
            match hub.cached(&reference) {
                Some(path) => Ok(WeightsLocation::File { path, checksum }),
                None => Ok(WeightsLocation::Absent(Absent { what, from: Origin::Hub { hub, reference }, checksum })),
            }
        }
        Name::Path(text) => {
            let path = project_root.join(text);
            if path.is_file() {
                return Ok(WeightsLocation::File { checksum: given(text), path });
            }
            if backbone.name == TORCHSCRIPT.name {
                bail!("no TorchScript file {}", path.display());
            }
            let names: Vec<&str> = backbone.published.iter().map(|p| p.name).chain(["none"]).collect();
            bail!(
                "no weights file {}. Published weights of {} are: {}",
                path.display(),
                backbone.name,
                names.join(", ")
            )
        }
    }
}

impl Absent {
    /// Downloads them; `announce` gets lines for people. Gives the checkpoint's path.
    ///
    /// # Errors
    /// When they cannot be had; the error says which file to put where.
    pub fn fetch(&self, patience: Patience, announce: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        let mut client = Client::new(patience, announce);
        let fetched = match &self.from {
            _ if env::var_os("THAWLINE_OFFLINE").is_some_and(|v| !v.is_empty()) => {
                Err(anyhow!("THAWLINE_OFFLINE is set"))
            }
            Origin::Web { url, path } => {
                let request = Request { url, path, checksum: self.checksum.as_ref(), token: None };
                client.download(&request).map(|()| path.clone())
            }
            Origin::Hub { hub, reference } => hub.fetch(reference, &mut client).and_then(|path| {
                self.checksum.as_ref().map_or(Ok(()), |checksum| checksum.verify(&path)).map(|()| path)
            }),
        };
        fetched.with_context(|| format!("{self}. Without a network, {}", self.by_hand()))
    }

    /// What a person can do instead.
    fn by_hand(&self) -> String {
        match &self.from {
            Origin::Web { url, path } => format!("put the file {url} at {}", path.display()),
            Origin::Hub { hub, reference } => {
                format!("get {} on another machine and write its path as `weights:`", hub.address(reference))
            }
        }
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.from {
            Origin::Web { url, .. } => url.clone(),
            Origin::Hub { hub, reference } => hub.address(reference),
        };
        write!(f, "{} are not on this machine and come from {from}", self.what)
    }
}

impl From<&'static Published> for Checksum {
    fn from(published: &'static Published) -> Checksum {
        Checksum { sha256: published.sha256.to_string(), source: published.source.to_string() }
    }
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

/// The files of one checkpoint: itself, or for an index (`model.safetensors.index.json`) also the shards it lists.
pub fn parts(checkpoint: &Path) -> Result<Vec<PathBuf>> {
    let mut all = vec![checkpoint.to_path_buf()];
    if checkpoint.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".index.json")) {
        let text = fs::read(checkpoint).with_context(|| format!("reading {}", checkpoint.display()))?;
        let shards = shards(&text).with_context(|| format!("reading {}", checkpoint.display()))?;
        all.extend(shards.iter().map(|shard| checkpoint.with_file_name(shard)));
    }
    Ok(all)
}

/// The shards that an index lists: files beside it.
fn shards(index: &[u8]) -> Result<BTreeSet<String>> {
    let index: serde_json::Value = serde_json::from_slice(index)?;
    let map = index.get("weight_map").and_then(serde_json::Value::as_object).context("it has no `weight_map`")?;
    let shard = |value: &serde_json::Value| {
        let name = value.as_str().context("a shard's name is not text")?;
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
        ensure!(plain && !name.ends_with(".index.json"), "`{}` is no file beside it", name.escape_debug());
        Ok(name.to_string())
    };
    map.values().map(shard).collect()
}

/// The digest that stands for a checkpoint of these parts, each given by its BLAKE3 digest (hex), in the order of [`parts`].
pub fn digest(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        several => blake3::hash(several.join("\n").as_bytes()).to_hex().to_string(),
    }
}

#[cfg(test)]
mod tests;
