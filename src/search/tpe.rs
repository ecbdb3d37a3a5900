//! The tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011), multivariate:
//! a kernel is a product over all parameters, so that what goes well together is found (Falkner, Klein, Hutter, "BOHB", ICML
//! 2018; Optuna's `TPESampler(multivariate=True)`; Watanabe, "Tree-structured Parzen estimator", 2023).
//!
//! The best results make a density l, the others g; of candidates drawn from l the one with the largest l/g is suggested.
//! - Kernels on the unit interval are normals cut off at its ends: no mass is lost or heaped there. Where values are countable a
//!   kernel's mass on the value's share counts. Where they have no order, a kernel is a smoothed frequency.
//! - Both densities hold one kernel of the prior, uniform over the space, so that nothing is ever ruled out.
//! - A parameter that was not active has the prior in its kernel; one that is not active in a candidate does not count.
//! - Suggestions that are under way count among the bad ones (constant liar: Ginsbourger et al. 2010), so that parallel asks
//!   spread. Failures count as the worst.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use super::{Method, Outcome, Point, Space, State, random::Random};
use crate::{rng::Draws, spec::Parameter};

/// Results that it waits for before it learns.
const STARTUP: usize = 10;
/// Part of the results that counts as good, and most of them that do.
const GOOD: f64 = 0.1;
const MOST_GOOD: usize = 25;
const CANDIDATES: usize = 64;
/// Often enough for the space to count as used up.
const ATTEMPTS: usize = 50;

/// `method: tpe`.
#[derive(Debug, Default)]
pub struct Tpe;

impl Method for Tpe {
    fn learns_after(&self, _space: &Space) -> Option<usize> {
        Some(STARTUP)
    }

    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>> {
        let known = state.history.iter().filter(|(_, outcome)| *outcome != Outcome::Pending).count();
        if known < STARTUP || attempt >= ATTEMPTS {
            return Random.suggest(state, attempt);
        }
        let (good, bad) = split(state.history, known);
        let (good, bad) = (Density::new(state.space, &good), Density::new(state.space, &bad));
        let mut draws = state.draws(&format!("tpe:{attempt}"));
        let candidates = (0..CANDIDATES).filter_map(|_| {
            let unit = good.draw(state.space, &mut draws);
            let (_, point) = state.space.place(&Default::default(), &unit)?;
            let score = good.log(&point) - bad.log(&point);
            Some((unit, score))
        });
        // The first of equals, so that the order of drawing decides.
        let best = candidates.fold(None, |best: Option<(Vec<f64>, f64)>, candidate| match best {
            Some(best) if best.1 >= candidate.1 => Some(best),
            _ => Some(candidate),
        });
        best.map(|(unit, _)| unit)
    }
}

/// The best of `known` results, and all others.
fn split(history: &[(Point, Outcome)], known: usize) -> (Vec<&Point>, Vec<&Point>) {
    let loss = |i: &usize| match history[*i].1 {
        Outcome::Loss(loss) => loss,
        Outcome::Failed => f64::MAX,
        Outcome::Pending => f64::INFINITY,
    };
    let mut order: Vec<usize> = (0..history.len()).collect();
    // Stable: of equals the earlier is the better.
    order.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let wanted = ((GOOD * known as f64).ceil() as usize).min(MOST_GOOD);
    let succeeded = order.iter().filter(|i| loss(i) < f64::MAX).count();
    let (good, bad) = order.split_at(wanted.min(succeeded));
    let points = |side: &[usize]| side.iter().map(|&i| &history[i].0).collect();
    (points(good), points(bad))
}

/// One parameter of one kernel.
enum Kernel {
    Prior {
        count: Option<u64>,
    },
    /// A normal on the unit interval; `low` and `mass` are its share below the interval and inside.
    Normal {
        normal: Normal,
        low: f64,
        mass: f64,
        count: Option<u64>,
    },
    /// The chance of every value.
    Choice(Vec<f64>),
}

impl Kernel {
    fn new(parameter: &Parameter, at: Option<f64>, kernels: usize, width: f64) -> Kernel {
        let count = parameter.domain.count();
        match (at, count) {
            (None, count) => Kernel::Prior { count },
            (Some(at), Some(count)) if !parameter.domain.is_ordered() => {
                let smoothing = 1.0 / kernels as f64;
                let total = 1.0 + smoothing * count as f64;
                let mut chances = vec![smoothing / total; count as usize];
                chances[share(at, count)] += 1.0 / total;
                Kernel::Choice(chances)
            }
            (Some(at), count) => match Normal::new(at, width) {
                Ok(normal) => {
                    let low = normal.cdf(0.0);
                    Kernel::Normal { mass: normal.cdf(1.0) - low, normal, low, count }
                }
                Err(_) => Kernel::Prior { count },
            },
        }
    }

    fn draw(&self, draws: &mut Draws) -> f64 {
        let uniform = draws.uniform();
        match self {
            Kernel::Prior { .. } => uniform,
            Kernel::Normal { normal, low, mass, .. } => normal.inverse_cdf(low + uniform * mass).clamp(0.0, 1.0),
            Kernel::Choice(chances) => {
                let mut below = 0.0;
                let chosen = chances.iter().position(|chance| {
                    below += chance;
                    uniform < below
                });
                (chosen.unwrap_or(chances.len() - 1) as f64 + 0.5) / chances.len() as f64
            }
        }
    }

    /// Logarithm of the density at `at`, or of the mass on its share where values are countable.
    fn log(&self, at: f64) -> f64 {
        match self {
            Kernel::Prior { count: None } => 0.0,
            Kernel::Prior { count: Some(count) } => -(*count as f64).ln(),
            Kernel::Normal { normal, mass, count: None, .. } => normal.ln_pdf(at) - mass.ln(),
            Kernel::Normal { normal, mass, count: Some(count), .. } => {
                let half = 0.5 / *count as f64;
                let share = normal.cdf((at + half).min(1.0)) - normal.cdf((at - half).max(0.0));
                (share / mass).max(f64::MIN_POSITIVE).ln()
            }
            Kernel::Choice(chances) => chances[share(at, chances.len() as u64)].ln(),
        }
    }
}

/// Which of `count` equal shares of the unit interval holds `at`.
fn share(at: f64, count: u64) -> usize {
    ((at * count as f64) as usize).min(count as usize - 1)
}

/// How wide the kernel of each point is along one parameter: as far as the farther of its two neighbours, the ends of the
/// interval among them unless there are other points; no narrower than half of what kernels of equal width would need to cover
/// the interval, which finds narrow valleys better than the whole did.
fn widths(points: &[&Point], parameter: usize) -> Vec<f64> {
    let mut sorted: Vec<f64> = points.iter().filter_map(|point| point[parameter]).collect();
    sorted.sort_by(f64::total_cmp);
    let least = 0.5 / (points.len() as f64 + 2.0).min(100.0);
    let alone = sorted.len() == 1;
    let width = |at: f64| {
        let place = sorted.partition_point(|other| *other < at);
        let before = place.checked_sub(1).map(|i| at - sorted[i]).or(alone.then_some(at));
        let after = sorted.get(place + 1).map(|other| other - at).or(alone.then_some(1.0 - at));
        before.unwrap_or(0.0).max(after.unwrap_or(0.0)).clamp(least, 1.0)
    };
    points.iter().map(|point| point[parameter].map_or(1.0, width)).collect()
}

/// A mixture of product kernels of equal weight: one a point, and the prior's.
struct Density {
    kernels: Vec<Vec<Kernel>>,
}

impl Density {
    fn new(space: &Space, points: &[&Point]) -> Density {
        let count = points.len() + 1;
        let parameters = space.parameters();
        let widths: Vec<Vec<f64>> = (0..parameters.len()).map(|i| widths(points, i)).collect();
        let kernel = |k: usize| {
            let product = parameters.iter().enumerate().map(|(i, parameter)| {
                let at = points.get(k).and_then(|point| point[i]);
                Kernel::new(parameter, at, count, at.map_or(1.0, |_| widths[i][k]))
            });
            product.collect()
        };
        Density { kernels: (0..count).map(kernel).collect() }
    }

    fn draw(&self, space: &Space, draws: &mut Draws) -> Vec<f64> {
        let kernel = &self.kernels[draws.below(self.kernels.len() as u64) as usize];
        (0..space.parameters().len()).map(|i| kernel[i].draw(draws)).collect()
    }

    fn log(&self, point: &Point) -> f64 {
        let product = |kernel: &Vec<Kernel>| {
            kernel.iter().zip(point).filter_map(|(kernel, at)| at.map(|at| kernel.log(at))).sum::<f64>()
        };
        let logs: Vec<f64> = self.kernels.iter().map(product).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + logs.iter().map(|log| (log - top).exp()).sum::<f64>().ln() - (logs.len() as f64).ln()
    }
}
