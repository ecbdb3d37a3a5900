//! Every combination of the parameters' values, in order: the last parameter moves fastest.

use super::{Method, State};

/// `method: grid`.
#[derive(Debug, Default)]
pub struct Grid {
    next: u64,
}

impl Method for Grid {
    /// What has been suggested before comes again and is passed over: a combination that differs only in parameters that are
    /// not active is no other configuration.
    fn suggest(&mut self, state: &State, _attempt: usize) -> Option<Vec<f64>> {
        if self.next >= state.space.size()? {
            return None;
        }
        self.next += 1;
        Some(state.space.combination(self.next - 1))
    }
}
