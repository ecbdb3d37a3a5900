//! Two single models on the same images: McNemar's test on those that only one of them gets right. It says nothing of
//! other seeds, so it is for single models only.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

/// Images on which exactly one of two models is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Discordant {
    pub only_first: u64,
    pub only_second: u64,
}

/// Two-sided exact p (`statsmodels.stats.contingency_tables.mcnemar(exact=True)`).
pub fn mcnemar(found: Discordant) -> f64 {
    let (n, least) = (found.only_first + found.only_second, found.only_first.min(found.only_second));
    let Ok(fair) = Binomial::new(0.5, n) else { return 1.0 };
    if n == 0 { 1.0 } else { (2.0 * fair.cdf(least)).min(1.0) }
}
