//! Images that look the same: resized, re-encoded or slightly changed copies, found by a perceptual hash.

use std::collections::HashMap;

use anyhow::Result;

use super::{
    Rgb,
    resize::{Interpolation, resize},
};

/// Bits by which hashes of near-duplicates differ at most.
pub const THRESHOLD: u32 = 7;
/// Side of the grey thumbnail that is hashed.
const SIDE: usize = 9;
/// Grey levels that neighbours must differ by to count as darker or brighter: fewer are noise.
const MARGIN: u8 = 2;
/// Comparisons after which crowded groups of hashes are not searched any further.
const MOST_COMPARISONS: u64 = 2_000_000_000;

/// A difference hash (dHash) of 128 bits: of the image as 9 x 9 greys, whether each grey is brighter than its left neighbour
/// (64 bits) and than its upper one (64 bits).
///
/// # Errors
/// When the image has no pixels.
pub fn hash(image: &Rgb) -> Result<u128> {
    let small = resize(image, SIDE as u32, SIDE as u32, Interpolation::Bilinear)?;
    let luma = |&[r, g, b]: &[u8; 3]| ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8;
    let grey: Vec<u8> = small.pixels.as_chunks().0.iter().map(luma).collect();
    let mut hash = 0u128;
    for y in 0..SIDE - 1 {
        for x in 0..SIDE - 1 {
            let at = y * SIDE + x;
            for next in [at + 1, at + SIDE] {
                hash = hash << 1 | u128::from(grey[next] > grey[at].saturating_add(MARGIN));
            }
        }
    }
    Ok(hash)
}

/// Which of some hashes are within [`THRESHOLD`] of each other.
#[derive(Debug, Default)]
pub struct Near {
    /// Pairs of positions in the given list, each once.
    pub pairs: Vec<(usize, usize)>,
    /// Whether every pair was found. It is not where so many hashes agree in part that comparing them would take minutes.
    pub complete: bool,
}

/// All pairs that are near. Two hashes that differ in 7 bits agree in at least one of their eight 16-bit parts, so only those
/// that agree in a part are compared.
pub fn near(hashes: &[u128]) -> Near {
    const PARTS: u32 = THRESHOLD + 1;
    let width = u128::BITS / PARTS;
    let part = |hash: u128, at: u32| (hash >> (at * width)) as u16;
    let (mut pairs, mut complete, mut left) = (Vec::new(), true, MOST_COMPARISONS);
    for at in 0..PARTS {
        let mut groups: HashMap<u16, Vec<usize>> = HashMap::new();
        for (position, &hash) in hashes.iter().enumerate() {
            groups.entry(part(hash, at)).or_default().push(position);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        // Small groups first, so that what is given up is the crowd that agrees by chance.
        groups.sort_by_key(|group| (group.len(), group[0]));
        for group in groups {
            let comparisons = group.len() as u64 * (group.len() as u64 - 1) / 2;
            let Some(rest) = left.checked_sub(comparisons) else {
                complete = false;
                continue;
            };
            left = rest;
            for (i, &a) in group.iter().enumerate() {
                for &b in &group[i + 1..] {
                    // Found already where an earlier part agrees.
                    let new = (0..at).all(|earlier| part(hashes[a], earlier) != part(hashes[b], earlier));
                    if (hashes[a] ^ hashes[b]).count_ones() <= THRESHOLD && new {
                        pairs.push((a, b));
                    }
                }
            }
        }
    }
    pairs.sort_unstable();
    Near { pairs, complete }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let mut expected = Vec::new();
            for a in 0..hashes.len() {
                for b in a + 1..hashes.len() {
                    if (hashes[a] ^ hashes[b]).count_ones() <= THRESHOLD {
                        expected.push((a, b));
                    }
                }
            }
            let found = near(&hashes);
            prop_assert!(found.complete);
            prop_assert_eq!(found.pairs, expected);
        }
    }
}
