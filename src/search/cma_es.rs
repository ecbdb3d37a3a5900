//! Covariance matrix adaptation (Hansen, "The CMA evolution strategy: a tutorial", 2016, with negative weights), restarted with
//! twice the population when it has come to an end (Auger and Hansen 2005).
//!
//! Nothing is kept between suggestions: the results that may be seen, in order of id, are generations one after another, and
//! the distribution follows from them. Where several configurations are under way at once, some of a generation were drawn
//! from the distribution before it, and points that were enqueued from none: steps are cut to a length that is usual
//! (Hansen, "Injecting external solutions into CMA-ES", 2011).
//!
//! It moves numbers. What has no order or stands under a condition is drawn by `tpe` beside it.

use super::{Method, Outcome, Point, Space, State, linear, random::Random, tpe::Tpe};
use crate::rng::Draws;

/// Standard deviation at the start, in parts of the range.
const WIDTH: f64 = 1.0 / 6.0;
/// Draws until one lies within the range; then it is put at the range's end.
const REDRAWS: usize = 100;
/// Suggestions in a row that were there before, until one is drawn at random.
const ATTEMPTS: usize = 20;
/// A distribution narrower than this in every direction finds nothing new: numbers have six digits.
const NARROW: f64 = 1e-6;

/// `method: cma_es`.
#[derive(Debug, Default)]
pub struct CmaEs;

impl Method for CmaEs {
    fn learns_after(&self, space: &Space) -> Option<usize> {
        Some(population(space.numbers().len()))
    }

    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>> {
        let numbers = state.space.numbers();
        if attempt >= ATTEMPTS || numbers.is_empty() {
            return Random.suggest(state, attempt);
        }
        let mut unit = match numbers.len() == state.space.parameters().len() {
            true => vec![0.5; numbers.len()],
            false => Tpe.suggest(state, attempt)?,
        };
        let drawn = evolved(state, &numbers).draw(&mut state.draws(&format!("cma_es:{attempt}")));
        numbers.iter().zip(drawn).for_each(|(&i, at)| unit[i] = at);
        Some(unit)
    }
}

fn population(dimensions: usize) -> usize {
    4 + (3.0 * (dimensions.max(1) as f64).ln()) as usize
}

/// The distribution that the results make.
fn evolved(state: &State, numbers: &[usize]) -> Evolution {
    let n = numbers.len();
    let mut evolution = Evolution::new(vec![0.5; n], population(n));
    let results: Vec<&(Point, Outcome)> = state.history.iter().filter(|(_, o)| *o != Outcome::Pending).collect();
    let mut rest = &results[..];
    for restart in 0.. {
        while rest.len() >= evolution.population && !evolution.is_over() {
            let (generation, later) = rest.split_at(evolution.population);
            rest = later;
            let loss = |outcome: Outcome| if let Outcome::Loss(loss) = outcome { loss } else { f64::INFINITY };
            let mut ranked = generation.to_vec();
            ranked.sort_by(|a, b| loss(a.1).total_cmp(&loss(b.1)));
            // A generation that failed as a whole has no order to learn from.
            if loss(ranked[0].1).is_finite() {
                let at = |point: &Point| numbers.iter().map(|&i| point[i].unwrap_or(0.5)).collect();
                evolution.update(&ranked.iter().map(|(point, _)| at(point)).collect::<Vec<_>>());
            }
        }
        if !evolution.is_over() {
            break;
        }
        let mut draws = state.draws_of_all(&format!("cma_es:restart:{restart}"));
        evolution = Evolution::new((0..n).map(|_| draws.uniform()).collect(), 2 * evolution.population);
    }
    evolution
}

/// A normal distribution over the unit cube, and how it came about. Names as in the tutorial.
struct Evolution {
    population: usize,
    /// By rank; below 0 for the worse half.
    weights: Vec<f64>,
    mu_eff: f64,
    generation: i32,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Vec<f64>,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    /// Square roots of the covariance's eigenvalues, and its eigenvectors as columns.
    axes: (Vec<f64>, Vec<f64>),
}

impl Evolution {
    fn new(mean: Vec<f64>, population: usize) -> Evolution {
        let n = mean.len();
        let raw: Vec<f64> =
            (1..=population).map(|i| ((population as f64 + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let sums = |positive: bool| {
            let side = raw.iter().filter(|weight| (**weight >= 0.0) == positive);
            side.fold((0.0, 0.0), |(sum, squares), weight| (sum + weight.abs(), squares + weight * weight))
        };
        let ((up, up_squares), (down, down_squares)) = (sums(true), sums(false));
        let mu_eff = up * up / up_squares;
        let (c_1, c_mu) = rates(n, mu_eff);
        let least = (1.0 + c_1 / c_mu)
            .min(1.0 + 2.0 * down * down / down_squares / (mu_eff + 2.0))
            .min((1.0 - c_1 - c_mu) / (n as f64 * c_mu));
        let weight = |raw: &f64| if *raw >= 0.0 { raw / up } else { raw * least / down };
        Evolution {
            population,
            weights: raw.iter().map(weight).collect(),
            mu_eff,
            generation: 0,
            mean,
            sigma: WIDTH,
            axes: (vec![1.0; n], linear::identity(n)),
            covariance: linear::identity(n),
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
        }
    }

    fn is_over(&self) -> bool {
        let most = self.axes.0.iter().copied().fold(0.0, f64::max);
        let least = self.axes.0.iter().copied().fold(f64::INFINITY, f64::min);
        self.sigma * most < NARROW || most > 1e7 * least
    }

    fn draw(&self, draws: &mut Draws) -> Vec<f64> {
        let n = self.mean.len();
        let mut point = Vec::new();
        for _ in 0..REDRAWS {
            let z: Vec<f64> = (0..n).map(|i| draws.normal() * self.axes.0[i]).collect();
            let step = |i: usize| self.sigma * linear::dot(&self.axes.1[i * n..][..n], &z);
            point = (0..n).map(|i| self.mean[i] + step(i)).collect();
            if point.iter().all(|at| (0.0..=1.0).contains(at)) {
                return point;
            }
        }
        point.into_iter().map(|at| at.clamp(0.0, 1.0)).collect()
    }

    /// C^-1/2 y.
    fn whitened(&self, y: &[f64]) -> Vec<f64> {
        let n = y.len();
        let (roots, vectors) = &self.axes;
        let along = |k: usize| (0..n).map(|i| vectors[i * n + k] * y[i]).sum::<f64>() / roots[k];
        let along: Vec<f64> = (0..n).map(along).collect();
        (0..n).map(|i| linear::dot(&vectors[i * n..][..n], &along)).collect()
    }

    /// One generation, best first.
    fn update(&mut self, points: &[Vec<f64>]) {
        let n = self.mean.len();
        let dimensions = n as f64;
        let norm = |y: &[f64]| linear::dot(y, y).sqrt();
        let (c_1, c_mu) = rates(n, self.mu_eff);
        let c_sigma = (self.mu_eff + 2.0) / (dimensions + self.mu_eff + 5.0);
        let d_sigma = 1.0 + 2.0 * (((self.mu_eff - 1.0) / (dimensions + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma;
        let c_c = (4.0 + self.mu_eff / dimensions) / (dimensions + 4.0 + 2.0 * self.mu_eff / dimensions);
        let usual = dimensions.sqrt() * (1.0 - 1.0 / (4.0 * dimensions) + 1.0 / (21.0 * dimensions * dimensions));
        let longest = dimensions.sqrt() + 2.0 * dimensions / (dimensions + 2.0);

        let mut steps: Vec<(Vec<f64>, f64)> = Vec::new();
        for point in points {
            let mut y: Vec<f64> = point.iter().zip(&self.mean).map(|(x, m)| (x - m) / self.sigma).collect();
            let length = norm(&self.whitened(&y));
            let cut = (longest / length).min(1.0);
            y.iter_mut().for_each(|y| *y *= cut);
            steps.push((y, length * cut));
        }
        let mut step = vec![0.0; n];
        for ((y, _), weight) in steps.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0.0) {
            step.iter_mut().zip(y).for_each(|(step, y)| *step += weight * y);
        }
        let pull = (c_sigma * (2.0 - c_sigma) * self.mu_eff).sqrt();
        let white = self.whitened(&step);
        self.path_sigma.iter_mut().zip(&white).for_each(|(path, w)| *path = (1.0 - c_sigma) * *path + pull * w);
        self.generation += 1;
        let length = norm(&self.path_sigma);
        let settled = (1.0 - (1.0 - c_sigma).powi(2 * self.generation)).sqrt();
        let moves = length / settled < (1.4 + 2.0 / (dimensions + 1.0)) * usual;
        let pull = if moves { (c_c * (2.0 - c_c) * self.mu_eff).sqrt() } else { 0.0 };
        self.path_c.iter_mut().zip(&step).for_each(|(path, y)| *path = (1.0 - c_c) * *path + pull * y);

        let lost = if moves { 0.0 } else { c_1 * c_c * (2.0 - c_c) };
        let kept = 1.0 + lost - c_1 - c_mu * self.weights.iter().sum::<f64>();
        for i in 0..n {
            for j in 0..n {
                let mut rank_mu = 0.0;
                for ((y, length), weight) in steps.iter().zip(&self.weights) {
                    let weight =
                        if *weight < 0.0 { weight * dimensions / (length * length).max(1e-12) } else { *weight };
                    rank_mu += weight * y[i] * y[j];
                }
                let entry = &mut self.covariance[i * n + j];
                *entry = kept * *entry + c_1 * self.path_c[i] * self.path_c[j] + c_mu * rank_mu;
            }
        }
        let (values, vectors) = linear::eigen(&self.covariance, n);
        self.axes = (values.into_iter().map(|value| value.max(1e-30).sqrt()).collect(), vectors);
        self.mean.iter_mut().zip(&step).for_each(|(mean, y)| *mean = (*mean + self.sigma * y).clamp(0.0, 1.0));
        self.sigma *= (c_sigma / d_sigma * (length / usual - 1.0)).min(1.0).exp();
    }
}

/// How fast the covariance forgets for the path's sake, and for that of the generation's steps.
fn rates(n: usize, mu_eff: f64) -> (f64, f64) {
    let n = n as f64;
    let c_1 = 2.0 / ((n + 1.3).powi(2) + mu_eff);
    let c_mu = 2.0 * (mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff);
    (c_1, c_mu.min(1.0 - c_1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On an ellipsoid whose axes are turned and differ a thousandfold it converges log-linearly and learns the axes.
    #[test]
    fn learns_the_axes_of_an_ellipsoid() {
        let n = 4;
        let function = |x: &[f64]| {
            let c = |i: usize| x[i] - 0.4;
            let turned = [c(0) + c(1), c(0) - c(1), c(2) + c(3), c(2) - c(3)];
            turned.iter().enumerate().map(|(i, t)| t * t * 10f64.powi(2 * i as i32)).sum::<f64>()
        };
        let mut evolution = Evolution::new(vec![0.7; n], population(n));
        let mut draws = Draws::new(0, "", 0, "ellipsoid");
        for _ in 0..250 {
            let mut points: Vec<Vec<f64>> = (0..evolution.population).map(|_| evolution.draw(&mut draws)).collect();
            points.sort_by(|a, b| function(a).total_cmp(&function(b)));
            evolution.update(&points);
        }
        let value = function(&evolution.mean);
        assert!(value < 1e-12, "{value}");
        let (most, least) = evolution.axes.0.iter().fold((0.0f64, f64::INFINITY), |(m, l), a| (m.max(*a), l.min(*a)));
        assert!((100.0..10_000.0).contains(&(most / least)), "{}", most / least);
    }
}
