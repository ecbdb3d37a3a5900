//! What lies outside the store, by content: the files of datasets and the checkpoints of backbones.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    artifact::model::Weights,
    backbones::{
        self,
        weights::{self, Patience, Wanted, WeightsLocation},
    },
    stages::{
        command::{self, ProgramFile},
        dataset,
    },
    store::Store,
};

/// Files that a node reads, and the digest that stands for all of them.
#[derive(Debug, Clone)]
pub struct Files {
    /// By role: `root`, `table`.
    pub paths: BTreeMap<String, PathBuf>,
    pub digest: String,
}

/// Where lowering learns what is outside the store.
pub trait Sources {
    /// The files of a `dataset` stage.
    fn dataset(&mut self, params: &dataset::Params) -> Result<Files>;
    /// The project's root, where programs run, and the files of a `command` stage in it.
    fn program(&mut self, params: &command::Params) -> Result<(PathBuf, Vec<ProgramFile>)>;
    /// The checkpoint that `weights:` names for a backbone, and where it lies; `seed` is for what is random in it.
    fn weights(&mut self, backbone: &str, wanted: &Wanted, seed: u64) -> Result<(Weights, Option<PathBuf>)>;
}

/// What was found outside the store so far. One is kept for a whole run, so that all of it is about the same files.
#[derive(Debug, Default)]
pub struct Seen {
    datasets: HashMap<String, Files>,
    /// By what is run, and the patterns of other files.
    programs: HashMap<(Vec<String>, Vec<String>), Vec<ProgramFile>>,
    /// By backbone and what is wanted: digest and place.
    checkpoints: HashMap<(String, Wanted), (String, PathBuf)>,
}

/// The files on disk, as they were when first looked at; their digests are remembered in the store. Weights that are not
/// there yet are downloaded, unless it is [lenient](DiskSources::lenient).
pub struct DiskSources<'a> {
    store: &'a mut Store,
    seen: &'a mut Seen,
    root: PathBuf,
    /// `None`: a missing file is an error. Otherwise it is noted here, and the plan shows what could run if it were there.
    missing: Option<Vec<String>>,
    /// Gets lines about downloads.
    announce: Option<&'a mut dyn FnMut(&str)>,
}

impl<'a> DiskSources<'a> {
    pub fn new(store: &'a mut Store, seen: &'a mut Seen, root: &Path) -> DiskSources<'a> {
        DiskSources { store, seen, root: root.to_path_buf(), missing: None, announce: None }
    }

    /// Tells of downloads.
    pub fn announcing(mut self, announce: &'a mut dyn FnMut(&str)) -> DiskSources<'a> {
        self.announce = Some(announce);
        self
    }

    /// Notes what is missing instead of failing.
    pub fn lenient(mut self) -> DiskSources<'a> {
        self.missing = Some(Vec::new());
        self
    }

    /// What was missing, in words; each once.
    pub fn missing(&self) -> &[String] {
        self.missing.as_deref().unwrap_or(&[])
    }

    /// The store, for what is between two additions to a plan.
    pub fn store(&mut self) -> &mut Store {
        self.store
    }

    fn or_missing<T>(&mut self, found: Result<T>, stand_in: impl FnOnce() -> T) -> Result<T> {
        match (found, &mut self.missing) {
            (Err(error), Some(missing)) => {
                let text = format!("{error:#}");
                if !missing.contains(&text) {
                    missing.push(text);
                }
                Ok(stand_in())
            }
            (found, _) => found,
        }
    }

    fn read_dataset(&mut self, params: &dataset::Params) -> Result<Files> {
        let paths = dataset::sources(params, &self.root)?;
        let files = dataset::listing(params, &self.root)?;
        let digests = self.store.file_digests(&files)?;
        let root = paths.get("root").context("a dataset has a root")?;
        let mut hasher = blake3::Hasher::new();
        for (file, digest) in files.iter().zip(digests) {
            let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(digest.as_bytes());
        }
        Ok(Files { paths, digest: hasher.finalize().to_hex().to_string() })
    }

    fn read_program(&mut self, params: &command::Params) -> Result<Vec<ProgramFile>> {
        let files = command::files(params, &self.root)?;
        let digests = self.store.file_digests(&files)?;
        let named = files.iter().map(|file| file.strip_prefix(&self.root).unwrap_or(file).to_string_lossy());
        Ok(named.zip(digests).map(|(path, digest)| ProgramFile { path: path.into_owned(), digest }).collect())
    }

    fn read_checkpoint(&mut self, backbone: &str, wanted: &Wanted) -> Result<Option<(String, PathBuf)>> {
        let (path, checksum) = match weights::locate(backbones::named(backbone)?, wanted, &self.root)? {
            WeightsLocation::Random => return Ok(None),
            WeightsLocation::File { path, checksum } => (path, checksum),
            // Only a run downloads.
            WeightsLocation::Absent(absent) if self.missing.is_some() => bail!("{absent}; `thawline run` fetches them"),
            WeightsLocation::Absent(absent) => {
                let mut say = |line: &str| {
                    if let Some(announce) = &mut self.announce {
                        announce(line);
                    }
                };
                (absent.fetch(Patience::default(), &mut say)?, None)
            }
        };
        let digests = self.store.file_digests(&weights::parts(&path)?)?;
        if let (Some(checksum), Some(digest)) = (checksum, digests.first()) {
            self.store.check_once(&format!("{digest} {}", checksum.sha256), || checksum.verify(&path))?;
        }
        Ok(Some((weights::digest(&digests), path)))
    }
}

impl Sources for DiskSources<'_> {
    fn program(&mut self, params: &command::Params) -> Result<(PathBuf, Vec<ProgramFile>)> {
        let id = (params.run.clone(), params.files.clone());
        if let Some(files) = self.seen.programs.get(&id) {
            return Ok((self.root.clone(), files.clone()));
        }
        let found = self.read_program(params);
        let files = self.or_missing(found, Vec::new)?;
        self.seen.programs.insert(id, files.clone());
        Ok((self.root.clone(), files))
    }

    fn dataset(&mut self, params: &dataset::Params) -> Result<Files> {
        // How the images are divided does not change which files are read.
        let id = params.place()?;
        if let Some(files) = self.seen.datasets.get(&id) {
            return Ok(files.clone());
        }
        let found = self.read_dataset(params);
        let files = self.or_missing(found, || Files { paths: BTreeMap::new(), digest: "missing".into() })?;
        self.seen.datasets.insert(id, files.clone());
        Ok(files)
    }

    fn weights(&mut self, backbone: &str, wanted: &Wanted, seed: u64) -> Result<(Weights, Option<PathBuf>)> {
        let id = (backbone.to_string(), wanted.clone());
        let fill = (!wanted.strict).then_some(seed);
        if let Some((digest, path)) = self.seen.checkpoints.get(&id) {
            return Ok((Weights::File { digest: digest.clone(), fill }, Some(path.clone())));
        }
        let found = self.read_checkpoint(backbone, wanted);
        let Some((digest, path)) = self.or_missing(found, || Some(("missing".into(), PathBuf::new())))? else {
            return Ok((Weights::Random { seed }, None));
        };
        self.seen.checkpoints.insert(id, (digest.clone(), path.clone()));
        Ok((Weights::File { digest, fill }, Some(path)))
    }
}
