//! Draws that cover the space evenly: the Sobol sequence (Sobol 1967, direction numbers of Joe and Kuo 2008), scrambled after
//! Owen 1995 by hashing (Burley 2020), from the crate `sobol_burley`.

use super::{Method, State};

/// Of the crate: points of one sequence, and its dimensions.
const LONGEST: usize = 1 << 16;
const DIMENSIONS: usize = 256;

/// `method: sobol`.
#[derive(Debug, Default)]
pub struct Sobol {
    next: usize,
}

/// Point number `index` of the sequence that `seed` scrambles, one coordinate in [0, 1) a dimension. Past the end of one
/// sequence, and past the last dimension, another scrambling goes on.
pub fn point(index: usize, dimensions: usize, seed: u32) -> Vec<f64> {
    let coordinate = |dimension: usize| {
        let another = (index / LONGEST + 65_537 * (dimension / DIMENSIONS)) as u32;
        let (index, dimension) = ((index % LONGEST) as u32, (dimension % DIMENSIONS) as u32);
        f64::from(sobol_burley::sample(index, dimension, seed.wrapping_add(another)))
    };
    (0..dimensions).map(coordinate).collect()
}

impl Method for Sobol {
    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>> {
        // Of a finite space points come again, and after a resumption all of them.
        if attempt > 1000 + 2 * state.history.len() {
            return None;
        }
        self.next += 1;
        Some(point(self.next - 1, state.space.parameters().len(), state.draws_of_all("sobol").bits32()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes it a Sobol sequence (a digital (t, s)-sequence in base 2, whose every coordinate is a (0, 1)-sequence): each
    /// aligned stretch of 2^m points has one point in each of the 2^m equal intervals of every axis, and the first two axes
    /// together one point in each of the 2^m equal boxes of every shape.
    #[test]
    fn every_elementary_interval_holds_one_point() {
        for seed in [0, 7] {
            for m in 0..8 {
                for block in 0..3 {
                    let points: Vec<Vec<f64>> = (0..1 << m).map(|i| point((block << m) + i, 40, seed)).collect();
                    for axis in 0..40 {
                        let mut cells: Vec<usize> =
                            points.iter().map(|p| (p[axis] * f64::from(1 << m)) as usize).collect();
                        cells.sort_unstable();
                        assert_eq!(cells, (0..1 << m).collect::<Vec<usize>>(), "axis {axis}, 2^{m} points");
                    }
                    for k in 0..=m {
                        let cell = |p: &Vec<f64>| {
                            let (a, b) = (p[0] * f64::from(1 << k), p[1] * f64::from(1 << (m - k)));
                            ((a as usize) << (m - k)) + b as usize
                        };
                        let mut cells: Vec<usize> = points.iter().map(cell).collect();
                        cells.sort_unstable();
                        assert_eq!(cells, (0..1 << m).collect::<Vec<usize>>(), "boxes of 2^{k} by 2^{}", m - k);
                    }
                }
            }
        }
    }

    #[test]
    fn seeds_differ_and_long_or_wide_sequences_go_on() {
        assert_ne!(point(3, 2, 0), point(3, 2, 1));
        assert_ne!(point(LONGEST + 3, 2, 0), point(3, 2, 0));
        let wide = point(5, 2 * DIMENSIONS, 0);
        assert_ne!(wide[..DIMENSIONS], wide[DIMENSIONS..]);
        assert!(wide.iter().all(|x| (0.0..1.0).contains(x)));
    }
}
