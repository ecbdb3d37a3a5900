//! A Gaussian process: Matern-5/2 covariance with a length of its own for each parameter (Rasmussen and Williams 2006). Lengths,
//! variance and noise are those of the largest posterior density.

use super::super::{
    Point, descent,
    linear::{Cholesky, dot},
};

/// Bounds of the logarithms of inverse squared lengths, variance and noise.
const INVERSE_LENGTHS: (f64, f64) = (-9.0, 9.0);
const VARIANCE: (f64, f64) = (-7.0, 7.0);
const NOISE: (f64, f64) = (-18.0, 0.0);
/// How improbable long and short lengths are. Optuna has 0.1 for both; with 0.5 a few more seeds of Hartmann-6 get out of its
/// local minima.
const LONG: f64 = 0.5;
const SHORT: f64 = 0.1;
/// Steps towards the largest density.
const STEPS: usize = 80;

/// What is left open in the covariance.
#[derive(Debug, Clone)]
struct Settings {
    /// By parameter.
    inverse_squared_lengths: Vec<f64>,
    variance: f64,
    noise: f64,
}

impl Settings {
    fn of_logarithms(logarithms: &[f64]) -> Settings {
        let (lengths, rest) = logarithms.split_at(logarithms.len() - 2);
        Settings {
            inverse_squared_lengths: lengths.iter().map(|log| log.exp()).collect(),
            variance: rest[0].exp(),
            noise: rest[1].exp(),
        }
    }

    /// Logarithm of the prior density, and its slope along the logarithms.
    fn prior(&self) -> (f64, Vec<f64>) {
        let (mut density, mut slope) = (0.0, Vec::new());
        for w in &self.inverse_squared_lengths {
            density -= LONG / w + SHORT * w;
            slope.push(LONG / w - SHORT * w);
        }
        density += self.variance.ln() - self.variance + 0.1 * self.noise.ln() - 30.0 * self.noise;
        slope.extend([1.0 - self.variance, 0.1 - 30.0 * self.noise]);
        (density, slope)
    }
}

/// Correlation at a squared distance, and its slope there.
fn matern(squared: f64) -> (f64, f64) {
    let r = (5.0 * squared).sqrt();
    let decay = (-r).exp();
    ((1.0 + r + r * r / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay)
}

/// The process that results leave. Losses are in units of their own spread.
#[derive(Debug, Clone)]
pub struct Model {
    ordered: Vec<bool>,
    points: Vec<Point>,
    settings: Settings,
    factor: Cholesky,
    /// K^-1 y.
    weights: Vec<f64>,
    targets: Vec<f64>,
}

impl Model {
    /// `ordered`, by parameter: whether distance means something. `None` when the numbers cannot be worked with.
    pub fn fit(ordered: Vec<bool>, points: &[&Point], losses: &[f64]) -> Option<Model> {
        let n = points.len();
        let mean = losses.iter().sum::<f64>() / n as f64;
        let spread = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        let spread = if spread > 0.0 { spread } else { 1.0 };
        let targets: Vec<f64> = losses.iter().map(|loss| (loss - mean) / spread).collect();
        if !targets.iter().all(|target| target.is_finite()) {
            return None;
        }
        let gaps = Gaps::new(&ordered, points);
        let d = ordered.len();
        let bounds =
            |side: fn((f64, f64)) -> f64| [vec![side(INVERSE_LENGTHS); d], vec![side(VARIANCE), side(NOISE)]].concat();
        let (low, high) = (bounds(|b| b.0), bounds(|b| b.1));
        let fit = |length: f64| {
            let start = [vec![length; d], vec![0.0, -7.0]].concat();
            descent::minimum(&start, (&low, &high), STEPS, |at| gaps.misfit(at, &targets))
        };
        let (at, _) = [0.0, 2.5].map(fit).into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        let points = points.iter().map(|point| (*point).clone()).collect();
        Model::with(ordered, points, Settings::of_logarithms(&at), targets)
    }

    fn with(ordered: Vec<bool>, points: Vec<Point>, settings: Settings, targets: Vec<f64>) -> Option<Model> {
        let gaps = Gaps::new(&ordered, &points.iter().collect::<Vec<_>>());
        let factor = Cholesky::new(&gaps.covariance(&settings).0, points.len())?;
        let weights = factor.solve(&targets);
        Some(Model { ordered, points, settings, factor, weights, targets })
    }

    /// With these points too, as if what is expected there had come out.
    pub fn believing(self, pending: &[&Point]) -> Model {
        let mut targets = self.targets.clone();
        targets.extend(pending.iter().map(|point| self.expected(point).0));
        let points = self.points.iter().chain(pending.iter().copied()).cloned().collect();
        Model::with(self.ordered.clone(), points, self.settings.clone(), targets).unwrap_or(self)
    }

    /// Covariances of a point with those tried, and what the slope of each is made of.
    fn covariances(&self, point: &Point) -> (Vec<f64>, Vec<f64>) {
        let pair = |known: &Point| {
            let weights = self.settings.inverse_squared_lengths.iter();
            let squared = weights.enumerate().map(|(k, w)| w * gap(self.ordered[k], point[k], known[k])).sum();
            let (value, slope) = matern(squared);
            (self.settings.variance * value, self.settings.variance * slope)
        };
        self.points.iter().map(pair).unzip()
    }

    /// Mean and standard deviation of the loss at a point, without the noise.
    pub fn expected(&self, point: &Point) -> (f64, f64) {
        let (covariances, _) = self.covariances(point);
        let half = self.factor.forward(&covariances);
        let variance = (self.settings.variance - dot(&half, &half)).max(1e-14);
        (dot(&covariances, &self.weights), variance.sqrt())
    }

    /// As [`Model::expected`], and the slopes of both along these parameters.
    pub fn expected_and_slopes(&self, point: &Point, along: &[usize]) -> ((f64, f64), Vec<(f64, f64)>) {
        let (covariances, slopes) = self.covariances(point);
        let half = self.factor.forward(&covariances);
        let whole = self.factor.backward(&half);
        let deviation = (self.settings.variance - dot(&half, &half)).max(1e-14).sqrt();
        let slope = |&k: &usize| {
            let weight = 2.0 * self.settings.inverse_squared_lengths[k];
            let (mut mean, mut variance) = (0.0, 0.0);
            for (i, known) in self.points.iter().enumerate() {
                let (Some(here), Some(there)) = (point[k], known[k]) else { continue };
                let change = slopes[i] * weight * (here - there);
                mean += change * self.weights[i];
                variance -= 2.0 * change * whole[i];
            }
            (mean, variance / (2.0 * deviation))
        };
        ((dot(&covariances, &self.weights), deviation), along.iter().map(slope).collect())
    }
}

/// Squared distance along one parameter.
fn gap(ordered: bool, a: Option<f64>, b: Option<f64>) -> f64 {
    match (a, b) {
        (Some(a), Some(b)) if ordered => (a - b) * (a - b),
        (Some(a), Some(b)) => f64::from(u8::from((a - b).abs() > 1e-9)),
        (None, None) => 0.0,
        _ => 1.0,
    }
}

/// Squared distances of all pairs of points, one parameter after another.
struct Gaps {
    n: usize,
    by_parameter: Vec<Vec<f64>>,
}

impl Gaps {
    fn new(ordered: &[bool], points: &[&Point]) -> Gaps {
        let n = points.len();
        let of = |k: usize| (0..n * n).map(|at| gap(ordered[k], points[at / n][k], points[at % n][k])).collect();
        Gaps { n, by_parameter: (0..ordered.len()).map(of).collect() }
    }

    /// K, with the noise; and the correlations' slopes by squared distance.
    fn covariance(&self, settings: &Settings) -> (Vec<f64>, Vec<f64>) {
        let n = self.n;
        let (mut covariance, mut slopes) = (vec![0.0; n * n], vec![0.0; n * n]);
        for i in 0..n {
            for j in 0..=i {
                let along = self.by_parameter.iter().zip(&settings.inverse_squared_lengths);
                let (value, slope) = matern(along.map(|(gaps, w)| w * gaps[i * n + j]).sum());
                for at in [i * n + j, j * n + i] {
                    covariance[at] = settings.variance * value;
                    slopes[at] = settings.variance * slope;
                }
            }
            covariance[i * n + i] += settings.noise;
        }
        (covariance, slopes)
    }

    /// Minus the logarithm of the posterior density of settings, up to a constant, and its slope.
    fn misfit(&self, logarithms: &[f64], targets: &[f64]) -> (f64, Vec<f64>) {
        let n = self.n;
        let settings = Settings::of_logarithms(logarithms);
        let (covariance, slopes) = self.covariance(&settings);
        let Some(factor) = Cholesky::new(&covariance, n) else {
            return (f64::INFINITY, vec![0.0; logarithms.len()]);
        };
        let weights = factor.solve(targets);
        let (prior, prior_slope) = settings.prior();
        let value = 0.5 * (dot(targets, &weights) + factor.log_determinant()) - prior;
        let mut inner = factor.inverse();
        for i in 0..n {
            for j in 0..n {
                inner[i * n + j] -= weights[i] * weights[j];
            }
        }
        let mut slope: Vec<f64> = Vec::new();
        let weighted: Vec<f64> = inner.iter().zip(&slopes).map(|(a, b)| a * b).collect();
        for (gaps, w) in self.by_parameter.iter().zip(&settings.inverse_squared_lengths) {
            slope.push(0.5 * w * dot(&weighted, gaps));
        }
        let trace: f64 = (0..n).map(|i| inner[i * n + i]).sum();
        slope.push(0.5 * (dot(&inner, &covariance) - settings.noise * trace));
        slope.push(0.5 * settings.noise * trace);
        slope.iter_mut().zip(prior_slope).for_each(|(slope, prior)| *slope -= prior);
        (value, slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Draws;

    fn data() -> (Vec<Point>, Vec<f64>) {
        let mut draws = Draws::new(0, "", 0, "points");
        let points: Vec<Point> = (0..20).map(|_| (0..2).map(|_| Some(draws.uniform())).collect()).collect();
        let loss = |p: &Point| (6.0 * p[0].unwrap()).sin() + 0.1 * p[1].unwrap();
        let losses = points.iter().map(loss).collect();
        (points, losses)
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let (points, losses) = data();
        let refs: Vec<&Point> = points.iter().collect();
        let gaps = Gaps::new(&[true, true], &refs);
        let at = [1.0, -0.5, 0.2, -3.0];
        let (_, slope) = gaps.misfit(&at, &losses);
        for i in 0..4 {
            let moved = |by: f64| {
                let mut at = at;
                at[i] += by;
                gaps.misfit(&at, &losses).0
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope[i] - expected).abs() < 1e-6 * expected.abs().max(1.0), "{i}: {} {expected}", slope[i]);
        }
        let model = Model::fit(vec![true, true], &refs, &losses).unwrap();
        let there = |x: f64, y: f64| vec![Some(x), Some(y)];
        let (_, slopes) = model.expected_and_slopes(&there(0.3, 0.6), &[0, 1]);
        for (k, (x, y)) in [(0, (1e-5, 0.0)), (1, (0.0, 1e-5))] {
            let (up, down) = (model.expected(&there(0.3 + x, 0.6 + y)), model.expected(&there(0.3 - x, 0.6 - y)));
            assert!((slopes[k].0 - (up.0 - down.0) / 2e-5).abs() < 1e-5);
            assert!((slopes[k].1 - (up.1 - down.1) / 2e-5).abs() < 1e-5);
        }
    }

    #[test]
    fn it_finds_what_matters_and_goes_through_the_results() {
        let (points, losses) = data();
        let refs: Vec<&Point> = points.iter().collect();
        let model = Model::fit(vec![true, true], &refs, &losses).unwrap();
        let [first, second] = model.settings.inverse_squared_lengths[..] else { panic!() };
        assert!(first > 5.0 * second, "the sine is along the first: {first} {second}");
        let mean = losses.iter().sum::<f64>() / 20.0;
        let spread = (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 20.0).sqrt();
        for (point, loss) in points.iter().zip(&losses) {
            let (expected, deviation) = model.expected(point);
            assert!((expected * spread + mean - loss).abs() < 0.01 && deviation < 0.05);
        }
        let unseen: Point = vec![Some(0.25), Some(0.5)];
        let truth = (6.0f64 * 0.25).sin() + 0.05;
        assert!((model.expected(&unseen).0 * spread + mean - truth).abs() < 0.05);
        // What is believed changes no expectation, but how sure it is.
        let believing = model.clone().believing(&[&unseen]);
        assert!((believing.expected(&unseen).0 - model.expected(&unseen).0).abs() < 1e-6);
        assert!(believing.expected(&unseen).1 < model.expected(&unseen).1);
    }
}
