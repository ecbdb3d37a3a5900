//! Independent draws from the parameters' distributions.

use super::{Method, State};

/// How often a draw that was suggested before is drawn anew before the space counts as used up.
const ATTEMPTS: usize = 200;

/// `method: random`. The draw of a parameter is named by the parameter, so that others may come and go beside it.
#[derive(Debug, Default)]
pub struct Random;

impl Method for Random {
    fn suggest(&mut self, state: &State, attempt: usize) -> Option<Vec<f64>> {
        if attempt >= ATTEMPTS {
            return None;
        }
        let draw = |name: &str| state.draws(&format!("{name}:{attempt}")).uniform();
        Some(state.space.parameters().iter().map(|parameter| draw(&parameter.name)).collect())
    }
}
