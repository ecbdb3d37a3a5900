//! Bayesian optimisation: a Gaussian process of the results says at each point what to expect and how sure that is, and the
//! next suggestion is where the expected improvement is largest (Jones et al. 1998, by its logarithm: Ament et al., "Unexpected
//! improvements to expected improvement", NeurIPS 2023). Priors of the process nearly as in Optuna's `GPSampler`.
//!
//! - Numbers have their distance on the unit interval; values without an order are equal or not; a parameter that is not
//!   active differs from one that is.
//! - What is under way counts as if it had come out as expected, so that parallel asks spread (the kriging believer:
//!   Ginsbourger et al. 2010). Failures count as the worst result.
//! - The improvement is over the best of what the process expects at the points tried, not over the best result, which may
//!   have been luck.

mod improvement;
mod model;

use self::{improvement::Improvement, model::Model};
use super::{Method, Outcome, Point, Space, State, descent, random::Random, sobol};
use crate::rng::Draws;

/// Results that it waits for before it learns; until then Sobol points, which cover the space evenly.
const STARTUP: usize = 10;
/// The process is of the best and the latest half of so many results at most: its cost grows with their cube.
const MOST: usize = 256;
/// Points at which the improvement is looked at first, and starts of local searches at the best of them and around the best results.
const CANDIDATES: usize = 2048;
const STARTS: usize = 10;
/// Steps of a local search, and rounds of it with changes of the countable parameters between.
const STEPS: usize = 60;
const ROUNDS: usize = 3;
/// Of more values than this the near ones are looked at.
const LISTED: u64 = 16;

/// `method: gp`.
#[derive(Debug, Default)]
pub struct Gp;

impl Method for Gp {
    fn learns_after(&self, _space: &Space) -> Option<usize> {
        Some(STARTUP)
    }

    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>> {
        let (points, losses) = results(state.history);
        if points.len() < STARTUP && attempt == 0 {
            let seed = state.draws_of_all("gp").bits32();
            return Some(sobol::point(state.history.len(), state.space.parameters().len(), seed));
        }
        if points.len() < STARTUP || attempt > 0 {
            return Random.suggest(state, attempt);
        }
        let pending: Vec<&Point> =
            state.history.iter().filter(|(_, outcome)| *outcome == Outcome::Pending).map(|(point, _)| point).collect();
        let ordered = state.space.parameters().iter().map(|parameter| parameter.domain.is_ordered()).collect();
        let search = Model::fit(ordered, &points, &losses).map(|model| {
            let best = points.iter().map(|point| model.expected(point).0).fold(f64::INFINITY, f64::min);
            Improvement::over(best, model.believing(&pending))
        });
        let chosen = search.and_then(|improvement| Climb { state, improvement: &improvement }.best(&points, &losses));
        chosen.or_else(|| Random.suggest(state, attempt))
    }
}

/// Points and losses that the process is of; empty when nothing succeeded.
fn results(history: &[(Point, Outcome)]) -> (Vec<&Point>, Vec<f64>) {
    let losses = history.iter().filter_map(|(_, o)| if let Outcome::Loss(loss) = o { Some(*loss) } else { None });
    let worst = losses.fold(f64::NEG_INFINITY, f64::max);
    let mut known: Vec<(&Point, f64)> = Vec::new();
    for (point, outcome) in history.iter().filter(|_| worst.is_finite()) {
        match outcome {
            Outcome::Loss(loss) => known.push((point, *loss)),
            Outcome::Failed => known.push((point, worst)),
            Outcome::Pending => {}
        }
    }
    if known.len() > MOST {
        let latest = known.split_off(known.len() - MOST / 2);
        known.sort_by(|a, b| a.1.total_cmp(&b.1));
        known.truncate(MOST / 2);
        known.extend(latest);
    }
    known.into_iter().unzip()
}

/// The search for the largest improvement.
struct Climb<'a> {
    state: &'a State<'a>,
    improvement: &'a Improvement,
}

impl Climb<'_> {
    /// The unit coordinates where it is largest, among points that were not suggested before.
    fn best(&self, points: &[&Point], losses: &[f64]) -> Option<Vec<f64>> {
        let space = self.state.space;
        let dimensions = space.parameters().len();
        let seed = self.state.draws("gp:candidates").bits32();
        let candidates = (0..CANDIDATES).map(|i| sobol::point(i, dimensions, seed));
        let mut candidates: Vec<(Vec<f64>, f64)> = candidates.filter_map(|unit| self.valued(unit)).collect();
        // Stable: of equals the earlier.
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1));

        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| losses[*a].total_cmp(&losses[*b]));
        let mut draws = self.state.draws("gp:starts");
        let near = (0..STARTS).map(|k| near(points[order[k / 2]], 0.1 / 2f64.powi(k as i32), &mut draws));
        let near: Vec<Vec<f64>> = near.collect();
        let starts = candidates.iter().take(STARTS).map(|(unit, _)| unit.clone()).chain(near);
        let mut found: Vec<(Vec<f64>, f64)> = starts.filter_map(|unit| self.climb(unit)).collect();
        found.extend(candidates);
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        let tried = |point: &Point| self.state.history.iter().any(|(known, _)| known == point);
        let new = |unit: &Vec<f64>| space.place(&Default::default(), unit).is_some_and(|(_, point)| !tried(&point));
        found.into_iter().map(|(unit, _)| unit).find(new)
    }

    fn valued(&self, unit: Vec<f64>) -> Option<(Vec<f64>, f64)> {
        let value = self.improvement.log(&self.state.space.point(&unit)?);
        Some((unit, value))
    }

    /// Uphill from a point: along what is continuous by gradients, along what is countable by trying.
    fn climb(&self, start: Vec<f64>) -> Option<(Vec<f64>, f64)> {
        let parameters = self.state.space.parameters();
        let (mut unit, mut value) = self.valued(start)?;
        for _ in 0..ROUNDS {
            let before = value;
            let mut point = self.state.space.point(&unit)?;
            let active = |i: &usize| point[*i].is_some() && parameters[*i].domain.count().is_none();
            let free: Vec<usize> = (0..unit.len()).filter(active).collect();
            if !free.is_empty() {
                let start: Vec<f64> = free.iter().map(|&i| unit[i]).collect();
                let bounds = (vec![0.0; free.len()], vec![1.0; free.len()]);
                let (at, loss) = descent::minimum(&start, (&bounds.0, &bounds.1), STEPS, |at| {
                    let mut there = point.clone();
                    free.iter().zip(at).for_each(|(&i, at)| there[i] = Some(*at));
                    let (value, slope) = self.improvement.log_and_slope(&there, &free);
                    (-value, slope.into_iter().map(|slope| -slope).collect())
                });
                if -loss > value {
                    value = -loss;
                    free.iter().zip(at).for_each(|(&i, at)| unit[i] = at);
                }
            }
            for (i, parameter) in parameters.iter().enumerate() {
                let Some(count) = parameter.domain.count() else { continue };
                point = self.state.space.point(&unit)?;
                let Some(at) = point[i] else { continue };
                for level in levels((at * count as f64) as u64, count) {
                    let mut there = unit.clone();
                    there[i] = (level as f64 + 0.5) / count as f64;
                    if let Some((there, other)) = self.valued(there)
                        && other > value
                    {
                        (unit, value) = (there, other);
                    }
                }
            }
            if value <= before + 1e-9 {
                break;
            }
        }
        Some((unit, value))
    }
}

/// A start near a point that was good; what was not active there is in the middle.
fn near(point: &Point, width: f64, draws: &mut Draws) -> Vec<f64> {
    point.iter().map(|at| (at.unwrap_or(0.5) + width * draws.normal()).clamp(0.0, 1.0)).collect()
}

/// Levels to try instead of `level`: all of few, of many those at distances 1, 2, 4, ...
fn levels(level: u64, count: u64) -> Vec<u64> {
    if count <= LISTED {
        return (0..count).filter(|other| *other != level).collect();
    }
    let distances = (0..63).map(|power| 1u64 << power).take_while(|distance| *distance < count);
    let both = distances.flat_map(|d| [level.checked_sub(d), level.checked_add(d).filter(|up| *up < count)]);
    both.flatten().collect()
}
