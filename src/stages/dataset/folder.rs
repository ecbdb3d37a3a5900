//! `image_folder`: classes, and perhaps splits, from the names of folders.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;

use super::{Candidate, Found, list_some, split_name};
use crate::{artifact::Split, images::decode::Format};

/// Endings of images that are not read, so that such a file is reported as unreadable instead of going unnoticed.
const UNREAD: [&str; 7] = ["ppm", "pgm", "heic", "avif", "jp2", "jxl", "svg"];

/// Whether the ending of a file's name (in lower case) says "image"; other files are ignored, with a note.
pub(super) fn says_image(ending: &str) -> bool {
    Format::ALL.iter().any(|format| format.endings().contains(&ending)) || UNREAD.contains(&ending)
}

/// Whether a file says by its ending that it is an image.
pub fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| says_image(&ending))
}

/// Every image below `root`.
pub(super) fn scan(root: &Path) -> Result<Found> {
    let top = Folder::read(root)?;
    let mut scan = Scan { root, candidates: Vec::new(), ignored: Vec::new(), empty: Vec::new() };
    let mut notes = Vec::new();
    match splits(&top.folders)? {
        Some(splits) => {
            for (name, split) in splits {
                let folder = Folder::read(&root.join(&name))?;
                scan.classes(&name, &folder, Some(split))?;
                scan.ignored.extend(folder.files);
            }
            for missing in Split::ALL.iter().filter(|s| scan.candidates.iter().all(|c| c.split != Some(**s))) {
                notes.push(format!("no {} images: {} has no such folder with images", missing.name(), root.display()));
            }
        }
        None => scan.classes("", &top, None)?,
    }
    ensure!(
        !scan.candidates.is_empty(),
        "no images in {}: expected {}/<class>/*.jpg (or .png), or the same below train, val and test",
        root.display(),
        root.display()
    );
    // A class may be absent from val or test; that it has no image in any split is a mistake.
    let present: BTreeSet<&str> = scan.candidates.iter().map(|c| c.label.as_str()).collect();
    let empty: Vec<&String> = scan.empty.iter().filter(|name| !present.contains(name.as_str())).collect();
    ensure!(empty.is_empty(), "class folders without images: {}; fill or remove them", list_some(&empty));
    scan.ignored.extend(top.files);
    if !scan.ignored.is_empty() {
        scan.ignored.sort();
        notes.push(format!(
            "{} files are no images by their ending, or in no class folder, and were ignored: {}",
            scan.ignored.len(),
            list_some(&scan.ignored.iter().map(|path| path.display()).collect::<Vec<_>>())
        ));
    }
    let classes = present.into_iter().map(str::to_string).collect();
    Ok(Found { classes, candidates: scan.candidates, notes, files: None })
}

/// The split each top folder stands for, when that is what the top folders are. A lone `train` beside other names is a
/// class; two split names beside others are more likely a mistake than classes.
fn splits(folders: &[String]) -> Result<Option<Vec<(String, Split)>>> {
    let named: Vec<(String, Split)> = folders.iter().filter_map(|f| Some((f.clone(), split_name(f)?))).collect();
    if named.len() == folders.len() && !named.is_empty() {
        for split in Split::ALL {
            let same: Vec<&String> = named.iter().filter(|(_, s)| *s == split).map(|(name, _)| name).collect();
            ensure!(same.len() < 2, "{} all mean the {} split; keep one", list_some(&same), split.name());
        }
        return Ok(Some(named));
    }
    if named.len() >= 2 {
        let others: Vec<&String> = folders.iter().filter(|f| split_name(f).is_none()).collect();
        let named: Vec<&String> = named.iter().map(|(name, _)| name).collect();
        bail!(
            "folders {} look like splits, but beside them is {}; move it away",
            list_some(&named),
            list_some(&others)
        );
    }
    Ok(None)
}

struct Scan<'a> {
    root: &'a Path,
    candidates: Vec<Candidate>,
    ignored: Vec<PathBuf>,
    empty: Vec<String>,
}

impl Scan<'_> {
    /// The classes in parallel: a folder of a million files takes its time. They come in order all the same.
    fn classes(&mut self, below: &str, folder: &Folder, split: Option<Split>) -> Result<()> {
        let root = self.root;
        let read = |class: &String| {
            let mut own = Scan { root, candidates: Vec::new(), ignored: Vec::new(), empty: Vec::new() };
            own.class(&root.join(below).join(class), class, split, &mut Vec::new())?;
            Ok(own)
        };
        let read: Vec<Result<Scan<'_>>> = folder.folders.par_iter().map(read).collect();
        for (class, of_class) in folder.folders.iter().zip(read) {
            let of_class = of_class?;
            if of_class.candidates.is_empty() {
                self.empty.push(class.clone());
            }
            self.candidates.extend(of_class.candidates);
            self.ignored.extend(of_class.ignored);
        }
        Ok(())
    }

    fn class(&mut self, path: &Path, class: &str, split: Option<Split>, parents: &mut Vec<PathBuf>) -> Result<()> {
        let real = path.canonicalize().with_context(|| format!("reading {}", path.display()))?;
        ensure!(!parents.contains(&real), "{} is a symbolic link to a folder above it", path.display());
        parents.push(real);
        let folder = Folder::read(path)?;
        for file in folder.files {
            let ending = file.extension().map(|e| e.to_string_lossy().to_lowercase());
            if !ending.is_some_and(|e| says_image(&e)) {
                self.ignored.push(file);
                continue;
            }
            let relative = file.strip_prefix(self.root).unwrap_or(&file);
            let relative =
                relative.to_str().with_context(|| format!("the name of {} is not UTF-8; rename it", file.display()))?;
            let (path, label) = (relative.to_string(), class.to_string());
            self.candidates.push(Candidate { path, label, split, group: None });
        }
        for name in folder.folders {
            self.class(&path.join(name), class, split, parents)?;
        }
        parents.pop();
        Ok(())
    }
}

/// What is in a folder, without hidden entries, sorted.
struct Folder {
    folders: Vec<String>,
    files: Vec<PathBuf>,
}

impl Folder {
    fn read(path: &Path) -> Result<Folder> {
        let mut folder = Folder { folders: Vec::new(), files: Vec::new() };
        let reading = || format!("reading {}", path.display());
        for entry in fs::read_dir(path).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let file = entry.path();
            let about = || format!("reading {}", file.display());
            // What a folder says of its entries costs nothing; only what a link leads to is looked at.
            let kind = entry.file_type().with_context(about)?;
            let is_dir =
                if kind.is_symlink() { fs::metadata(&file).with_context(about)?.is_dir() } else { kind.is_dir() };
            if is_dir {
                let name = name.to_str();
                let name = name.with_context(|| format!("the name of {} is not UTF-8; rename it", file.display()))?;
                folder.folders.push(name.to_string());
            } else {
                folder.files.push(file);
            }
        }
        folder.folders.sort();
        folder.files.sort();
        Ok(folder)
    }
}
