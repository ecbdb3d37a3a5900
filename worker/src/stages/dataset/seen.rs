//! What the images are, in a few lines: sizes, formats, channels, classes.

use std::collections::BTreeMap;

use thawline::stages::dataset::list_some;

use super::Seen;

/// A line of what there is, and one of files that are named as another format than they hold.
pub(super) fn notes(seen: &[Seen], classes: &[String]) -> Vec<String> {
    let mut notes = vec![format!("{}; {}; {}", kinds(seen), sizes(seen), balance(seen, classes))];
    notes.extend(misnamed(seen));
    notes
}

/// Numbers of equal items, the most first.
fn counted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    items.for_each(|item| *counts.entry(item).or_default() += 1);
    let mut counts: Vec<(T, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn kinds(seen: &[Seen]) -> String {
    let kinds = counted(seen.iter().map(|s| (s.format.name(), s.kind.as_str())));
    let kinds: Vec<String> = kinds.iter().map(|((format, kind), count)| format!("{count} {format} ({kind})")).collect();
    list_some(&kinds)
}

fn sizes(seen: &[Seen]) -> String {
    let sizes = counted(seen.iter().map(|s| (u64::from(s.width) * u64::from(s.height), s.width, s.height)));
    let say = |(_, width, height): &(u64, u32, u32)| format!("{width} x {height}");
    let by_area = sizes.iter().map(|(size, _)| size);
    match (by_area.clone().min(), by_area.max()) {
        (Some(least), Some(most)) if sizes.len() > 1 => {
            format!("{} sizes from {} to {} pixels", sizes.len(), say(least), say(most))
        }
        (Some(only), _) => format!("{} pixels", say(only)),
        _ => "no images".to_string(),
    }
}

fn balance(seen: &[Seen], classes: &[String]) -> String {
    let counts: BTreeMap<u32, usize> = counted(seen.iter().map(|s| s.image.label)).into_iter().collect();
    let percent = |count: usize| (100.0 * count as f64 / seen.len() as f64).round();
    let one = |(label, name): (u32, &String)| {
        let count = counts.get(&label).copied().unwrap_or(0);
        format!("{name} {count} ({} %)", percent(count))
    };
    list_some(&(0..).zip(classes).map(one).collect::<Vec<_>>())
}

fn misnamed(seen: &[Seen]) -> Option<String> {
    let is_so = |s: &&Seen| {
        let (_, ending) = s.image.path.rsplit_once('.').unwrap_or_default();
        let ending = ending.to_lowercase();
        let promised =
            thawline::images::decode::Format::ALL.into_iter().find(|f| f.endings().contains(&ending.as_str()));
        promised.is_some_and(|promised| promised != s.format)
    };
    let wrong: Vec<String> =
        seen.iter().filter(is_so).map(|s| format!("{} holds {}", s.image.path, s.format.name())).collect();
    (!wrong.is_empty())
        .then(|| format!("{} files hold another format than their names say: {}", wrong.len(), list_some(&wrong)))
}
