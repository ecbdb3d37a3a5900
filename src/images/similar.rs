//! Images that look the same: resized, re-encoded or slightly changed copies. A perceptual hash finds candidates fast, a
//! thumbnail tells copies from images of the same kind: 2,624 photographs of solar cells have 7,205 pairs of near hashes, of
//! which the thumbnails leave 5, all of neighbouring numbers.

use std::collections::HashMap;

use anyhow::Result;
use rayon::prelude::*;

use super::{
    Rgb,
    resize::{Interpolation, resize},
};

/// Bits by which the hashes of copies differ at most.
pub const THRESHOLD: u32 = 7;
/// Correlation that the thumbnails of copies have at least. Copies re-encoded at quality 50, of half the size or with noise of 5
/// levels have 0.999 and more.
pub const CORRELATION: f64 = 0.998;
/// Side of the greys that are hashed.
const SIDE: usize = 9;
/// Side of the thumbnail.
const THUMBNAIL: usize = 16;
/// Grey levels that neighbours must differ by to count as darker or brighter: fewer are noise.
const MARGIN: u8 = 2;
/// Standard deviation, in levels, below which a thumbnail shows nothing.
const FLAT: f64 = 1.0;
/// Comparisons after which crowded groups of hashes are not searched any further.
const MOST_COMPARISONS: u64 = 2_000_000_000;

/// What an image looks like, in 272 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    hash: u128,
    thumbnail: [u8; THUMBNAIL * THUMBNAIL],
}

impl Fingerprint {
    /// A difference hash (dHash) of 128 bits: of the image as 9 x 9 greys, whether each grey's right neighbour is brighter (64
    /// bits) and its lower one (64 bits). And the image as 16 x 16 greys.
    ///
    /// # Errors
    /// When the image has no pixels.
    pub fn of(image: &Rgb) -> Result<Fingerprint> {
        let greys = grey(image, SIDE)?;
        let mut hash = 0u128;
        for y in 0..SIDE - 1 {
            for x in 0..SIDE - 1 {
                let at = y * SIDE + x;
                for next in [at + 1, at + SIDE] {
                    hash = hash << 1 | u128::from(greys[next] > greys[at].saturating_add(MARGIN));
                }
            }
        }
        let mut thumbnail = [0; THUMBNAIL * THUMBNAIL];
        thumbnail.copy_from_slice(&grey(image, THUMBNAIL)?);
        Ok(Fingerprint { hash, thumbnail })
    }

    /// Whether both may be copies of one image.
    pub fn looks_like(&self, other: &Fingerprint) -> bool {
        if (self.hash ^ other.hash).count_ones() > THRESHOLD {
            return false;
        }
        let (own, others) = (moments(&self.thumbnail), moments(&other.thumbnail));
        let flat = |(_, deviation): (f64, f64)| deviation < FLAT;
        if flat(own) || flat(others) {
            return flat(own) && flat(others) && (own.0 - others.0).abs() <= f64::from(MARGIN);
        }
        let both = self.thumbnail.iter().zip(&other.thumbnail);
        let product: f64 = both.map(|(&a, &b)| (f64::from(a) - own.0) * (f64::from(b) - others.0)).sum();
        product / self.thumbnail.len() as f64 >= CORRELATION * own.1 * others.1
    }
}

/// Luma of the image as `side` x `side` pixels.
fn grey(image: &Rgb, side: usize) -> Result<Vec<u8>> {
    let small = resize(image, side as u32, side as u32, Interpolation::Bilinear)?;
    let luma =
        |&[r, g, b]: &[u8; 3]| ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8;
    Ok(small.pixels.as_chunks().0.iter().map(luma).collect())
}

/// Mean and standard deviation.
fn moments(greys: &[u8]) -> (f64, f64) {
    let n = greys.len() as f64;
    let mean = greys.iter().copied().map(f64::from).sum::<f64>() / n;
    let variance = greys.iter().map(|&grey| (f64::from(grey) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// Which of some fingerprints look like each other.
#[derive(Debug, Default)]
pub struct Near {
    /// Pairs of positions in the given list, each once.
    pub pairs: Vec<(usize, usize)>,
    /// Whether every pair was found. It is not where so many hashes agree in part that comparing them would take minutes.
    pub complete: bool,
}

/// All pairs that look alike. Two hashes that differ in 7 bits agree in at least one of their eight 16-bit parts, so only those
/// that agree in a part are compared.
pub fn near(prints: &[&Fingerprint]) -> Near {
    const PARTS: u32 = THRESHOLD + 1;
    let width = u128::BITS / PARTS;
    let part = |position: usize, at: u32| (prints[position].hash >> (at * width)) as u16;
    let (mut pairs, mut complete, mut left) = (Vec::new(), true, MOST_COMPARISONS);
    for at in 0..PARTS {
        let mut groups: HashMap<u16, Vec<usize>> = HashMap::new();
        for position in 0..prints.len() {
            groups.entry(part(position, at)).or_default().push(position);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
        // Small groups first, so that what is given up is the crowd that agrees by chance.
        groups.sort_by_key(|group| (group.len(), group[0]));
        groups.retain(|group| {
            let rest = left.checked_sub(group.len() as u64 * (group.len() as u64 - 1) / 2);
            left = rest.unwrap_or(left);
            complete &= rest.is_some();
            rest.is_some()
        });
        // Found already where an earlier part agrees.
        let new = |a: usize, b: usize| (0..at).all(|earlier| part(a, earlier) != part(b, earlier));
        let alike = |group: Vec<usize>| {
            let mut alike = Vec::new();
            for (i, &a) in group.iter().enumerate() {
                let like = group[i + 1..].iter().filter(|&&b| prints[a].looks_like(prints[b]) && new(a, b));
                alike.extend(like.map(|&b| (a, b)));
            }
            alike
        };
        pairs.par_extend(groups.into_par_iter().flat_map_iter(alike));
    }
    pairs.sort_unstable();
    Near { pairs, complete }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Draws;

    proptest! {
        #[test]
        fn exactly_the_near_pairs_are_found(
            seeds in prop::collection::vec(any::<u128>(), 1..12),
            flips in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0u32..128, 0..12)), 0..60),
        ) {
            let mut hashes = seeds.clone();
            for (which, bits) in flips {
                hashes.push(bits.iter().fold(*which.get(&seeds), |hash, bit| hash ^ 1 << bit));
            }
            let prints: Vec<Fingerprint> =
                hashes.iter().map(|&hash| Fingerprint { hash, thumbnail: [7; THUMBNAIL * THUMBNAIL] }).collect();
            let mut expected = Vec::new();
            for a in 0..hashes.len() {
                for b in a + 1..hashes.len() {
                    if (hashes[a] ^ hashes[b]).count_ones() <= THRESHOLD {
                        expected.push((a, b));
                    }
                }
            }
            let found = near(&prints.iter().collect::<Vec<_>>());
            prop_assert!(found.complete);
            prop_assert_eq!(found.pairs, expected);
        }

        #[test]
        fn copies_look_alike_and_others_do_not(seed: u64, other: u64, brighter in 0u8..12, side in 30u32..90) {
            prop_assume!(seed != other);
            // Noise, smoothed by enlarging it.
            let noise = |seed: u64, brighter: u8| {
                let mut draws = Draws::new(seed, "", 0, "noise");
                let pixels = (0..12 * 12 * 3).map(|_| 20 + draws.below(200) as u8 + brighter).collect();
                resize(&Rgb { width: 12, height: 12, pixels }, 120, 120, Interpolation::Bilinear).unwrap()
            };
            let print = Fingerprint::of(&noise(seed, 0)).unwrap();
            let smaller = resize(&noise(seed, brighter), side, side, Interpolation::Bicubic).unwrap();
            prop_assert!(print.looks_like(&Fingerprint::of(&smaller).unwrap()));
            prop_assert!(!print.looks_like(&Fingerprint::of(&noise(other, 0)).unwrap()));
        }
    }

    #[test]
    fn flat_images_are_alike_by_their_grey() {
        let flat = |grey: u8| Fingerprint::of(&Rgb { width: 10, height: 10, pixels: vec![grey; 300] }).unwrap();
        assert!(flat(100).looks_like(&flat(101)));
        assert!(!flat(100).looks_like(&flat(110)));
    }
}
