//! When a run has to be over.

use std::time::{Duration, Instant, SystemTime};

/// The end of a run's time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadline {
    began: Instant,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// By the clock on the wall, which goes on while the machine sleeps.
    At(SystemTime),
    After(Duration),
}

impl Deadline {
    pub fn at(end: SystemTime) -> Deadline {
        Deadline { began: Instant::now(), end: End::At(end) }
    }

    /// Counted from now.
    pub fn after(time: Duration) -> Deadline {
        Deadline { began: Instant::now(), end: End::After(time) }
    }

    /// Seconds that are left; below 0 it is over.
    pub fn left(&self) -> f64 {
        match self.end {
            End::At(end) => match end.duration_since(SystemTime::now()) {
                Ok(left) => left.as_secs_f64(),
                Err(over) => -over.duration().as_secs_f64(),
            },
            End::After(time) => time.as_secs_f64() - self.began.elapsed().as_secs_f64(),
        }
    }

    /// Seconds in all, as things stand.
    pub fn total(&self) -> f64 {
        self.began.elapsed().as_secs_f64() + self.left()
    }
}
