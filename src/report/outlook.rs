//! What would settle an inconclusive comparison, if the difference stays what it is.

use serde::Serialize;

use super::statistics::Components;

/// From the variance components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// About so many more repeats than there are.
    MoreRepeats(u64),
    /// However many repeats: the images vary too much. About so many more test images than there are.
    MoreImages(u64),
    /// Neither alone would do, about so many more of both would.
    MoreOfBoth { repeats: u64, images: u64 },
    /// One repeat says nothing of others: run several first.
    UnknownRepeats,
    /// No reasonable number of either.
    TooClose,
}

/// More repeats than this are not worth proposing.
const MOST_REPEATS: u64 = 50;
/// More images than this many times what there is neither.
const MOST_IMAGES: u64 = 100;

impl Outlook {
    /// What brings the interval to exclude 0 or, of a difference within the `margin`, to lie within it. `among`: by what p is
    /// multiplied, as there are other comparisons.
    pub fn of(components: &Components, margin: Option<f64>, among: f64) -> Outlook {
        if components.repeats.is_none() {
            return Outlook::UnknownRepeats;
        }
        let settled = |images: u64, repeats: u64| {
            let estimate = components.projected(images, repeats);
            let [low, high] = estimate.interval();
            let differs = (low > 0.0 || high < 0.0) && estimate.p() * among < 0.05;
            differs || margin.is_some_and(|margin| -margin <= low && high <= margin)
        };
        let (images, repeats) = (components.image_count, components.repeat_count);
        if let Some(enough) = (repeats + 1..=MOST_REPEATS).find(|&repeats| settled(images, repeats)) {
            return Outlook::MoreRepeats(enough - repeats);
        }
        let enough_images = |repeats: u64| {
            let steps = std::iter::successors(Some(images), |n| Some(n + (n / 20).max(1)));
            let enough = steps.take_while(|n| *n <= images * MOST_IMAGES).find(|&images| settled(images, repeats))?;
            Some(two_digits(enough - images))
        };
        if let Some(more) = enough_images(repeats) {
            return Outlook::MoreImages(more);
        }
        let doubled = std::iter::successors(Some(2 * repeats), |n| Some(2 * n)).take_while(|n| *n <= MOST_REPEATS);
        let mut both =
            doubled.filter_map(|n| Some(Outlook::MoreOfBoth { repeats: n - repeats, images: enough_images(n)? }));
        both.next().unwrap_or(Outlook::TooClose)
    }
}

/// Rounded up to two digits: an estimate should not look like a count.
fn two_digits(n: u64) -> u64 {
    let mut unit = 1;
    while n / unit >= 100 {
        unit *= 10;
    }
    n.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(mean: f64, images: f64, repeats: f64) -> Components {
        let repeats = Some(repeats);
        Components { mean, images, repeats, interaction: 1e-6, image_count: 120, repeat_count: 3 }
    }

    #[test]
    fn what_varies_says_what_is_missing() {
        assert!(matches!(Outlook::of(&components(0.03, 1e-5, 4e-4), None, 1.0), Outlook::MoreRepeats(1..=20)));
        assert!(matches!(Outlook::of(&components(0.03, 4e-4, 1e-6), None, 1.0), Outlook::MoreImages(50..=500)));
        assert_eq!(Outlook::of(&components(0.0, 4e-4, 1e-4), None, 1.0), Outlook::TooClose);
        assert!(matches!(Outlook::of(&components(0.03, 4e-4, 3e-4), None, 1.0), Outlook::MoreOfBoth { .. }));
        // Among ten comparisons more are needed than alone.
        let more = |among| match Outlook::of(&components(0.03, 1e-5, 4e-4), None, among) {
            Outlook::MoreRepeats(n) => n,
            other => panic!("{other:?}"),
        };
        assert!(more(10.0) > more(1.0));
        // Within a margin, more of the same shows equivalence.
        assert!(matches!(Outlook::of(&components(0.0, 1e-5, 4e-5), Some(0.02), 1.0), Outlook::MoreRepeats(_)));
        let one = Components { repeats: None, repeat_count: 1, ..components(0.03, 4e-4, 0.0) };
        assert_eq!(Outlook::of(&one, None, 1.0), Outlook::UnknownRepeats);
    }

    #[test]
    fn what_is_proposed_is_enough_and_one_less_is_not() {
        let components = components(0.03, 1e-5, 4e-4);
        let Outlook::MoreRepeats(more) = Outlook::of(&components, None, 1.0) else { panic!("more repeats help") };
        assert!(components.projected(120, 3 + more).interval()[0] > 0.0);
        assert!(components.projected(120, 2 + more).interval()[0] <= 0.0);
    }

    #[test]
    fn counts_are_rounded_up_to_two_digits() {
        assert_eq!([7, 99, 100, 101, 1234].map(two_digits), [7, 99, 100, 110, 1300]);
    }
}
