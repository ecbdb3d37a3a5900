//! A local minimum within bounds: BFGS (Nocedal and Wright 2006, chapter 6) on the variables that are not held at a bound,
//! with steps cut off at the bounds (Bertsekas 1982).

use super::linear::{dot, identity};

/// Where no step is longer than this, the minimum counts as found.
const TOLERANCE: f64 = 1e-9;

/// The lowest point found from `start`, and its value. `function` gives value and gradient; where it has none it is infinite.
pub fn minimum(
    start: &[f64],
    (low, high): (&[f64], &[f64]),
    steps: usize,
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> (Vec<f64>, f64) {
    let n = start.len();
    let mut x: Vec<f64> = (0..n).map(|i| start[i].clamp(low[i], high[i])).collect();
    let (mut value, mut gradient) = function(&x);
    let mut inverse = identity(n);
    let mut fresh = true;
    for _ in 0..steps {
        let held = |i: usize| (x[i] <= low[i] && gradient[i] > 0.0) || (x[i] >= high[i] && gradient[i] < 0.0);
        let free: Vec<f64> = (0..n).map(|i| if held(i) { 0.0 } else { gradient[i] }).collect();
        let mut direction: Vec<f64> =
            (0..n).map(|i| if held(i) { 0.0 } else { -dot(&inverse[i * n..][..n], &free) }).collect();
        if dot(&direction, &free) >= 0.0 {
            (inverse, fresh) = (identity(n), true);
            direction = free.iter().map(|g| -g).collect();
        }
        // Nothing is known of the scale at first.
        let longest = direction.iter().fold(0.0f64, |most, d| most.max(d.abs()));
        let mut length = if fresh && longest > 0.1 { 0.1 / longest } else { 1.0 };
        let found = (0..30).find_map(|_| {
            let there: Vec<f64> = (0..n).map(|i| (x[i] + length * direction[i]).clamp(low[i], high[i])).collect();
            let step: Vec<f64> = there.iter().zip(&x).map(|(a, b)| a - b).collect();
            let (new, slope) = function(&there);
            let enough = new.is_finite() && new <= value + 1e-4 * dot(&step, &gradient).min(0.0);
            length *= 0.4;
            enough.then_some((there, step, new, slope))
        });
        let Some((there, step, new, slope)) = found else {
            if fresh {
                break;
            }
            (inverse, fresh) = (identity(n), true);
            continue;
        };
        let change: Vec<f64> = slope.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let over = step.iter().all(|s| s.abs() < TOLERANCE);
        (x, value, gradient) = (there, new, slope);
        if over {
            break;
        }
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&step, &step).sqrt() * dot(&change, &change).sqrt() {
            if fresh {
                let scale = curvature / dot(&change, &change);
                inverse.iter_mut().for_each(|entry| *entry *= scale);
                fresh = false;
            }
            let moved: Vec<f64> = (0..n).map(|i| dot(&inverse[i * n..][..n], &change)).collect();
            let factor = (1.0 + dot(&change, &moved) / curvature) / curvature;
            for i in 0..n {
                for j in 0..n {
                    inverse[i * n + j] +=
                        factor * step[i] * step[j] - (moved[i] * step[j] + step[i] * moved[j]) / curvature;
                }
            }
        }
    }
    (x, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley: its minimum is at (1, 1); within x <= 0.5 at (0.5, 0.25).
    #[test]
    fn finds_the_end_of_a_valley_and_stops_at_bounds() {
        let valley = |x: &[f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
        };
        let (at, value) = minimum(&[-1.2, 1.0], (&[-2.0, -2.0], &[2.0, 2.0]), 200, valley);
        assert!(value < 1e-12 && (at[0] - 1.0).abs() < 1e-5 && (at[1] - 1.0).abs() < 1e-5, "{at:?} {value}");
        let (at, value) = minimum(&[-1.2, 1.0], (&[-2.0, -2.0], &[0.5, 2.0]), 200, valley);
        assert!((value - 0.25).abs() < 1e-9 && at[0] == 0.5 && (at[1] - 0.25).abs() < 1e-5, "{at:?} {value}");
    }
}
