//! 3: which trials next. A search suggests configurations and is told how they scored; it knows nothing of nodes, files or
//! processes. Every method goes through the same [`Search`], grids too.
//!
//! What is suggested depends on the YAML and on results alone, never on when results arrive: suggestion i is made from the
//! results of suggestions up to i - q in order of id, where q is the sweep's `parallel`, and all draws are named by (the
//! sweep's seed, arm, i, purpose). A method therefore holds no results: it sees them anew at every suggestion.

mod cma_es;
mod descent;
mod gp;
mod grid;
mod linear;
mod random;
pub mod select;
mod sobol;
mod space;
mod tpe;

use std::collections::{HashSet, VecDeque};

pub use space::{Point, Space};

use crate::{
    rng::Draws,
    spec::{Goal, Method as Named, Params, Sweep},
};

/// A configuration to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// From 0, in the order of suggestion.
    pub id: usize,
    /// A value for every parameter that is searched and active.
    pub values: Params,
}

/// What a method may know of a suggestion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// Under way, or not to be looked at yet.
    Pending,
    /// It has no value.
    Failed,
    /// Lower is better.
    Loss(f64),
}

/// What a suggestion is made from.
pub struct State<'a> {
    pub space: &'a Space,
    /// All suggestions before, in order.
    pub history: &'a [(Point, Outcome)],
    seed: u64,
    subject: &'a str,
}

impl State<'_> {
    /// Draws of this suggestion for `purpose`.
    pub fn draws(&self, purpose: &str) -> Draws {
        Draws::new(self.seed, self.subject, self.history.len() as u64, purpose)
    }

    /// Draws that all suggestions have in common.
    pub fn draws_of_all(&self, purpose: &str) -> Draws {
        Draws::new(self.seed, self.subject, 0, purpose)
    }
}

/// A way to choose.
pub trait Method {
    /// How many results it needs before it learns from them; `None` when it never does.
    fn learns_after(&self, _space: &Space) -> Option<usize> {
        None
    }

    /// A point of the unit cube, one coordinate a parameter. It is asked again, with the next `attempt`, when that
    /// configuration was suggested before. `None` when it has no more.
    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>>;
}

/// A space that has at most this many combinations is gone through when a method finds nothing new in it.
const SMALL: u64 = 100_000;

/// The search of one arm at one facet.
pub struct Search {
    space: Space,
    method: Box<dyn Method>,
    goal: Goal,
    seed: u64,
    subject: String,
    parallel: usize,
    cap: usize,
    queue: VecDeque<Params>,
    history: Vec<(Point, Outcome)>,
    seen: HashSet<String>,
    exhausted: bool,
}

impl Search {
    /// `fixed` are the values of what is not searched; `subject`, the arm, names the draws.
    pub fn new(sweep: &Sweep, fixed: Params, subject: &str, goal: Goal) -> Search {
        let method: Box<dyn Method> = match sweep.method {
            Named::Grid => Box::<grid::Grid>::default(),
            Named::Random => Box::<random::Random>::default(),
            Named::Sobol => Box::<sobol::Sobol>::default(),
            Named::Tpe => Box::<tpe::Tpe>::default(),
            Named::CmaEs => Box::<cma_es::CmaEs>::default(),
            Named::Gp => Box::<gp::Gp>::default(),
        };
        Search {
            space: Space::new(sweep.clone(), fixed),
            method,
            goal,
            seed: sweep.seed,
            subject: subject.to_owned(),
            parallel: sweep.parallel,
            cap: sweep.run_cap.map_or(usize::MAX, |cap| usize::try_from(cap).unwrap_or(usize::MAX)),
            queue: sweep.enqueue.iter().cloned().collect(),
            history: Vec::new(),
            seen: HashSet::new(),
            exhausted: false,
        }
    }

    /// The values of what is searched in a configuration of before, if it belongs to the space and there is room for it.
    pub fn recall(&self, params: &Params) -> Option<Params> {
        let names: Vec<&str> = self.space.parameters().iter().flat_map(|p| p.targets()).collect();
        let given: Params = names.iter().filter_map(|n| Some(((*n).to_owned(), params.get(*n)?.clone()))).collect();
        let complete = names.iter().all(|name| given.contains_key(*name));
        let (values, _) = complete.then(|| self.space.place(&given, &[]))??;
        let room = self.history.len() < self.cap && !self.seen.contains(&name(&values));
        room.then_some(values)
    }

    /// Suggests again what [`Search::recall`] gave.
    pub fn replay(&mut self, values: &Params) -> Option<Suggestion> {
        let (values, point) = self.space.place(values, &[])?;
        self.accept(values, point)
    }

    /// The next suggestion; `None` when there is none before more results are told, or none at all.
    pub fn ask(&mut self) -> Option<Suggestion> {
        while self.history.len() < self.cap && !self.exhausted {
            let Some(given) = self.queue.pop_front() else { return self.search() };
            let state = State { space: &self.space, history: &self.history, seed: self.seed, subject: &self.subject };
            let rest = random::Random.suggest(&state, 0)?;
            if let Some((values, point)) = self.space.place(&given, &rest)
                && let Some(suggestion) = self.accept(values, point)
            {
                return Some(suggestion);
            }
        }
        None
    }

    fn search(&mut self) -> Option<Suggestion> {
        let mut visible = 0;
        if let Some(startup) = self.method.learns_after(&self.space) {
            let before = (self.history.len() + 1).saturating_sub(self.parallel);
            if before >= startup {
                visible = before;
            }
            if self.history[..visible].iter().any(|(_, outcome)| *outcome == Outcome::Pending) {
                return None;
            }
        }
        let masked = self.method.learns_after(&self.space).map(|_| {
            let mut masked = self.history.clone();
            masked[visible..].iter_mut().for_each(|(_, outcome)| *outcome = Outcome::Pending);
            masked
        });
        for attempt in 0.. {
            let history = masked.as_deref().unwrap_or(&self.history);
            let state = State { space: &self.space, history, seed: self.seed, subject: &self.subject };
            let Some(unit) = self.method.suggest(&state, attempt) else { break };
            let (values, point) = self.space.place(&Params::new(), &unit)?;
            if let Some(suggestion) = self.accept(values, point) {
                return Some(suggestion);
            }
        }
        let left = 0..self.space.size().filter(|size| *size <= SMALL).unwrap_or(0);
        for number in left {
            let (values, point) = self.space.place(&Params::new(), &self.space.combination(number))?;
            if let Some(suggestion) = self.accept(values, point) {
                return Some(suggestion);
            }
        }
        self.exhausted = true;
        None
    }

    /// `None` when it was suggested before.
    fn accept(&mut self, values: Params, point: Point) -> Option<Suggestion> {
        self.seen.insert(name(&values)).then(|| {
            self.history.push((point, Outcome::Pending));
            Suggestion { id: self.history.len() - 1, values }
        })
    }

    /// The value of a suggestion (the mean of its repeats), or `None` when it has none because a repeat failed.
    pub fn tell(&mut self, id: usize, value: Option<f64>) {
        let loss = value.filter(|value| value.is_finite()).map(|value| match self.goal {
            Goal::Maximize => -value,
            Goal::Minimize => value,
        });
        if let Some((_, outcome)) = self.history.get_mut(id) {
            *outcome = loss.map_or(Outcome::Failed, Outcome::Loss);
        }
    }
}

fn name(values: &Params) -> String {
    let sorted: std::collections::BTreeMap<_, _> = values.iter().collect();
    serde_json::to_string(&sorted).unwrap_or_default()
}

#[cfg(test)]
mod tests;
