//! What a run may take: its time, its trials, and what a node may cost.

use std::time::{Duration, SystemTime};

use chrono::{Days, Local, NaiveTime, TimeZone};
use clap::Args;

use crate::{
    engine::deadline::Deadline,
    protocol::Limits,
    spec::limits::{duration, size},
};

#[derive(Debug, Clone, Copy, Args)]
pub struct Budget {
    /// Be over at this time of day, `07:00`, or in so long, with what was selected by then tested and the report written; go on with another run.
    #[arg(long, value_name = "TIME", value_parser = time_of_day, conflicts_with = "lasting")]
    until: Option<NaiveTime>,
    /// As `--until`, so long from now: `8h`, `90m`.
    #[arg(long = "for", id = "lasting", value_name = "DURATION", value_parser = duration)]
    lasting: Option<f64>,
    /// Start no more trials once so many were validated.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_trials: Option<u32>,
    /// Most time that a node may take, `2h`; stronger than the experiment's `limits`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<f64>,
    /// Start a node again so many times when its worker dies; once by default.
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Most memory that a worker may fill, `4GB`; a node that needs more fails.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
}

fn time_of_day(text: &str) -> Result<NaiveTime, String> {
    let read = NaiveTime::parse_from_str(text, "%H:%M").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M:%S"));
    read.map_err(|_| format!("`{text}` is no time of day: write `07:00`"))
}

impl Budget {
    pub fn deadline(&self) -> Option<Deadline> {
        let at = self.until.and_then(next).map(Deadline::at);
        at.or(self.lasting.map(|seconds| Deadline::after(Duration::from_secs_f64(seconds))))
    }

    pub fn max_trials(&self) -> Option<usize> {
        self.max_trials.map(|most| most as usize)
    }

    pub fn limits(&self) -> Limits {
        Limits { timeout: self.timeout, retries: self.retries, max_memory: self.max_memory }
    }
}

/// The next moment with this time of day here; on a night when the clock skips it, the one after.
fn next(time: NaiveTime) -> Option<SystemTime> {
    let now = Local::now();
    (0..3)
        .filter_map(|days| {
            Local.from_local_datetime(&now.date_naive().checked_add_days(Days::new(days))?.and_time(time)).latest()
        })
        .find(|moment| *moment > now)
        .map(SystemTime::from)
}

/// `07:12`, or with the day where it is not today's, so many seconds from now.
pub fn clock_in(seconds: f64) -> String {
    let now = Local::now();
    let then = now + chrono::Duration::milliseconds((seconds.min(1e9) * 1000.0) as i64);
    let format = if then.date_naive() == now.date_naive() { "%H:%M" } else { "%a %H:%M" };
    then.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_of_day_is_within_a_day() {
        for text in ["00:00", "07:00", "12:30:15", "23:59"] {
            let left = Deadline::at(next(time_of_day(text).unwrap()).unwrap()).left();
            assert!(left > 0.0 && left <= 25.0 * 3600.0, "{text}: {left}");
        }
        assert!(time_of_day("25:00").is_err() && time_of_day("7 o'clock").is_err());
    }
}
