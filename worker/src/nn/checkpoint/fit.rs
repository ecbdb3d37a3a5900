//! Whether a checkpoint is one of a backbone: what to look at in it, and what differs, told like a diff.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use thawline::backbones::{self, Backbone, ParameterSpec};

use super::{TensorData, Tensors};

/// Tensors that PyTorch modules keep beside their parameters and that nothing here reads.
const COUNTERS: [&str; 4] = ["num_batches_tracked", "relative_position_index", "total_ops", "total_params"];
/// Where people put the classifier on top: of another network than the published one it may have any shape.
const HEADS: [&str; 8] = ["fc", "_fc", "head", "heads", "classifier", "linear", "last_linear", "head_dist"];
/// Tensors that a list names before it only counts.
const LISTED: usize = 8;
/// A backbone is likely meant when so much of it is there, though not all.
const LIKELY: f64 = 0.9;

/// The tensors that are about this backbone, under its own names: a training script may have put the network into another
/// (`model.`, `backbone.`, `_orig_mod.`), beside what else it has. Of several copies, an averaged one (`ema`) is taken, as
/// training scripts evaluate it.
pub fn adapted<'d>(backbone: &Backbone, data: &'d Tensors) -> Cow<'d, Tensors> {
    let renamed = in_present_names(backbone, data);
    match unwrapped(backbone, &renamed) {
        Some(own) => Cow::Owned(own),
        None => renamed,
    }
}

/// With the parts of names that published files have in an older form as they are now, where that makes a name of this
/// backbone's: other networks may have such parts for good.
fn in_present_names<'d>(backbone: &Backbone, data: &'d Tensors) -> Cow<'d, Tensors> {
    if backbone.renamed.is_empty() {
        return Cow::Borrowed(data);
    }
    let specs = specs(backbone);
    let own: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let is_own =
        |name: &str| own.contains(name) || name.match_indices('.').any(|(at, _)| own.contains(&name[at + 1..]));
    let present = |name: &str| {
        let renamed = backbone.renamed.iter().fold(name.to_string(), |name, (now, before)| name.replace(before, now));
        if is_own(&renamed) { renamed } else { name.to_string() }
    };
    Cow::Owned(data.iter().map(|(name, tensor)| (present(name), tensor.clone())).collect())
}

/// The tensors under the prefix that fits best, without it; `None` when they have none.
fn unwrapped(backbone: &Backbone, data: &Tensors) -> Option<Tensors> {
    let specs = specs(backbone);
    let ending = |spec: &ParameterSpec| format!(".{}", spec.name);
    // The first tensors find the prefixes there are; all of them say which fits best.
    let anchors: Vec<String> = specs.iter().take(LISTED).map(ending).collect();
    let cut = |name: &str| anchors.iter().find_map(|anchor| Some(format!("{}.", name.strip_suffix(anchor.as_str())?)));
    let mut prefixes: BTreeSet<String> = data.keys().filter_map(|name| cut(name)).collect();
    prefixes.insert(String::new());
    let fitting = |prefix: &String| {
        let fits =
            |spec: &&ParameterSpec| data.get(&format!("{prefix}{}", spec.name)).is_some_and(|d| d.shape == spec.shape);
        specs.iter().filter(fits).count()
    };
    let averaged = |prefix: &String| prefix.split(['.', '_']).any(|part| part == "ema");
    let best =
        prefixes.iter().max_by_key(|prefix| (fitting(prefix), averaged(prefix), std::cmp::Reverse(prefix.len())));
    let prefix = best.filter(|prefix| !prefix.is_empty() && fitting(prefix) > 0)?;
    let own = data.iter().filter_map(|(name, d)| Some((name.strip_prefix(prefix)?.to_string(), d.clone())));
    Some(own.collect())
}

/// What tells a checkpoint from one of a backbone.
#[derive(Debug, Default)]
pub struct Difference {
    backbone: &'static str,
    /// Tensors that the backbone has.
    tensors: usize,
    pub missing: Vec<ParameterSpec>,
    /// With the shape that was found.
    pub misshapen: Vec<(ParameterSpec, Vec<usize>)>,
    pub unexpected: Vec<(String, Vec<usize>)>,
    /// The backbone that it more likely is of, and whether it is one to the last tensor.
    likely: Option<(&'static str, bool)>,
    /// The first names of the file, for where none fits.
    names: Vec<String>,
}

/// Compares [`adapted`] tensors with those of a backbone.
pub fn difference(backbone: &'static Backbone, data: &Tensors) -> Difference {
    let mut difference = compare(backbone, data);
    if !difference.is_empty() {
        let others = backbones::all().iter().filter(|other| other.name != backbone.name);
        let likeness = |other: &'static Backbone| {
            let found = compare(other, &adapted(other, data));
            (found.fitting(), found.is_empty(), other.name)
        };
        let best = others.map(likeness).max_by(|a, b| (a.1, a.0).partial_cmp(&(b.1, b.0)).unwrap_or(a.1.cmp(&b.1)));
        let own = difference.fitting();
        let best = best.filter(|(fitting, exact, _)| *exact || (*fitting > LIKELY && *fitting > own));
        difference.likely = best.map(|(_, exact, name)| (name, exact));
        difference.names = data.keys().take(3).cloned().collect();
    }
    difference
}

fn compare(backbone: &'static Backbone, data: &Tensors) -> Difference {
    let specs = specs(backbone);
    let mut difference = Difference { backbone: backbone.name, tensors: specs.len(), ..Difference::default() };
    for spec in &specs {
        match data.get(&spec.name) {
            None => difference.missing.push(spec.clone()),
            Some(found) if found.shape != spec.shape => {
                difference.misshapen.push((spec.clone(), found.shape.clone()));
            }
            Some(_) => {}
        }
    }
    let own: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let classifier = format!("{}.", backbone.classifier);
    let of_head = |name: &str| name.starts_with(&classifier) || HEADS.contains(&name.split('.').next().unwrap_or(name));
    let counts = |name: &str| COUNTERS.contains(&name.rsplit('.').next().unwrap_or(name));
    let foreign = |(name, _): &(&String, &TensorData)| !own.contains(name.as_str()) && !of_head(name) && !counts(name);
    let unexpected = data.iter().filter(foreign).map(|(name, data)| (name.clone(), data.shape.clone()));
    difference.unexpected = unexpected.collect();
    difference
}

fn specs(backbone: &Backbone) -> Vec<ParameterSpec> {
    backbone.blocks.iter().flat_map(backbones::Block::tensors).collect()
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.unexpected.is_empty()
    }

    /// Whether not one tensor is there as it should be.
    pub fn is_total(&self) -> bool {
        self.missing.len() + self.misshapen.len() == self.tensors
    }

    /// Names of the tensors that are not there as they should be.
    pub fn random(&self) -> BTreeSet<&str> {
        self.missing.iter().chain(self.misshapen.iter().map(|(spec, _)| spec)).map(|spec| spec.name.as_str()).collect()
    }

    /// What to say of a checkpoint that is taken all the same, and of the classifier that it was trained with: heads here
    /// always start anew. That published weights come with ImageNet's classes goes without saying.
    pub fn notes(&self, backbone: &Backbone, data: &Tensors) -> Vec<String> {
        let mut notes = Vec::new();
        let some = |names: Vec<&str>| {
            let more = if names.len() > LISTED { ", ..." } else { "" };
            format!("{}: {}{more}", names.len(), names.into_iter().take(LISTED).collect::<Vec<_>>().join(", "))
        };
        let random = self.random();
        if !random.is_empty() {
            notes.push(format!(
                "tensors that the weights lack, or have in another shape, start at random, {}",
                some(random.into_iter().collect())
            ));
        }
        if !self.unexpected.is_empty() {
            let names = self.unexpected.iter().map(|(name, _)| name.as_str()).collect();
            notes.push(format!(
                "tensors of the weights that {} has no place for are ignored, {}",
                backbone.name,
                some(names)
            ));
        }
        let classifier = data.get(&format!("{}.weight", backbone.classifier)).and_then(|weight| weight.shape.first());
        if let Some(classes) = classifier.filter(|classes| **classes != backbones::imagenet_classes().len()) {
            notes.push(format!(
                "the classifier of {classes} classes in the weights is not used: the head starts at random"
            ));
        }
        notes
    }

    /// The part of the backbone's tensors that are there.
    fn fitting(&self) -> f64 {
        1.0 - (self.missing.len() + self.misshapen.len()) as f64 / self.tensors.max(1) as f64
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "these are not weights of {}", self.backbone)?;
        match self.likely {
            Some((name, true)) => write!(f, ": this is {name}")?,
            Some((name, false)) => write!(f, ": this looks like {name}, in most of its tensors")?,
            None if self.is_total() && !self.names.is_empty() => {
                write!(f, ": not one of its names is there; the file has `{}`, ...", self.names.join("`, `"))?;
            }
            None => {}
        }
        let fitting = self.tensors - self.missing.len() - self.misshapen.len();
        write!(f, " ({fitting} of its {} tensors fit)", self.tensors)?;
        let missing = self.missing.iter().map(|spec| format!("`{}` {:?} is missing", spec.name, spec.shape));
        let misshapen = self
            .misshapen
            .iter()
            .map(|(spec, found)| format!("`{}` is {found:?}, expected {:?}", spec.name, spec.shape));
        let unexpected = self.unexpected.iter().map(|(name, shape)| format!("`{name}` {shape:?} is unexpected"));
        for (sign, lines) in
            [("-", missing.collect::<Vec<_>>()), ("~", misshapen.collect()), ("+", unexpected.collect())]
        {
            for line in lines.iter().take(LISTED) {
                write!(f, "\n  {sign} {line}")?;
            }
            if lines.len() > LISTED {
                write!(f, "\n  {sign} and {} more", lines.len() - LISTED)?;
            }
        }
        if !self.is_total() && self.likely.is_none() {
            write!(f, "\n  `weights: {{ file: ..., strict: false }}` takes what fits and starts the rest at random")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::checkpoint::Dtype;

    /// A checkpoint with the names and shapes of a backbone and a classifier of `classes`.
    fn weights(backbone: &'static Backbone, prefix: &str, classes: usize) -> Tensors {
        let classifier = ParameterSpec {
            name: format!("{}.weight", backbone.classifier),
            shape: vec![classes, backbone.channels()],
            role: backbones::Role::ConvWeight,
        };
        let counter = ParameterSpec { name: "bn1.num_batches_tracked".into(), shape: vec![], ..classifier.clone() };
        let all = specs(backbone).into_iter().chain([classifier, counter]);
        let data = |spec: ParameterSpec| TensorData { dtype: Dtype::F32, shape: spec.shape, bytes: Vec::new() };
        all.map(|spec| (format!("{prefix}{}", spec.name), data(spec))).collect()
    }

    fn text(backbone: &'static Backbone, data: &Tensors) -> String {
        difference(backbone, &adapted(backbone, data)).to_string()
    }

    #[test]
    fn every_backbone_knows_its_own_weights_and_tells_those_of_others() {
        let all = backbones::all();
        for (i, backbone) in all.iter().enumerate() {
            assert!(difference(backbone, &weights(backbone, "", 7)).is_empty(), "{}", backbone.name);
            // The next of its family, which is most like it, and one from far away.
            for other in [&all[(i + 1) % all.len()], &all[(i + 19) % all.len()]] {
                let text = text(backbone, &weights(other, "", 1000));
                let named = format!("these are not weights of {}: this is {}", backbone.name, other.name);
                assert!(text.starts_with(&named), "{text}");
            }
        }
    }

    #[test]
    fn networks_inside_others_are_found() {
        let backbone = backbones::find("resnet18").unwrap();
        for prefix in ["model.", "net.module.", "_orig_mod.", "backbone."] {
            let mut data = weights(backbone, prefix, 3);
            data.insert("loss.weight".into(), TensorData { dtype: Dtype::F32, shape: vec![3], bytes: Vec::new() });
            let own = adapted(backbone, &data);
            assert!(difference(backbone, &own).is_empty(), "{prefix}");
            assert_eq!(own["fc.weight"].shape, [3, 512], "{prefix}");
        }
        // Of two copies the averaged one, whatever the order of their names.
        for ema in ["ema.", "model_ema.module.", "z_ema."] {
            let mut data = weights(backbone, "model.", 3);
            data.extend(weights(backbone, ema, 4));
            assert_eq!(adapted(backbone, &data)["fc.weight"].shape, [4, 512], "{ema}");
        }
    }

    #[test]
    fn what_differs_is_told_and_not_more_than_one_can_read() {
        let backbone = backbones::find("resnet18").unwrap();
        let mut data = weights(backbone, "", 1000);
        data.remove("conv1.weight");
        data.get_mut("bn1.bias").unwrap().shape = vec![32];
        for i in 0..20 {
            data.insert(format!("extra.{i:02}"), TensorData { dtype: Dtype::F32, shape: vec![i], bytes: Vec::new() });
        }
        let found = text(backbone, &data);
        assert_begins(
            &found,
            &[
                "these are not weights of resnet18 (98 of its 100 tensors fit)",
                "  - `conv1.weight` [64, 3, 7, 7] is missing",
                "  ~ `bn1.bias` is [32], expected [64]",
                "  + `extra.00` [0] is unexpected",
            ],
        );
        assert!(found.contains("\n  + and 12 more\n"), "{found}");
        assert!(found.ends_with("strict: false }` takes what fits and starts the rest at random"), "{found}");
        let foreign = Tensors::from([("embeddings.weight".into(), data["bn1.bias"].clone())]);
        let found = text(backbone, &foreign);
        assert!(found.contains("not one of its names is there; the file has `embeddings.weight`"), "{found}");
    }

    fn assert_begins(text: &str, lines: &[&str]) {
        let found: Vec<&str> = text.lines().take(lines.len()).collect();
        assert_eq!(found, lines, "{text}");
    }
}
