//! CPU time and peak memory of one node, from /proc and getrusage.

use std::time::Instant;

use thawline::protocol::Usage;

/// Measures from its creation.
pub struct Meter {
    start: Instant,
    cpu: f64,
    threads: usize,
}

/// User and system seconds of this process, all threads.
fn cpu_seconds() -> f64 {
    // SAFETY: getrusage fills the struct it is given.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// `VmHWM` in bytes: the peak since the last reset.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

impl Meter {
    pub fn start(threads: usize) -> Meter {
        // 5 resets the peak to the present size (proc(5), clear_refs); where that is not allowed the peak is the process's.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Meter { start: Instant::now(), cpu: cpu_seconds(), threads }
    }

    /// The share of each of `members` that ran side by side: time is divided, memory was there for all.
    pub fn stop(&self, members: usize) -> Usage {
        let share = members.max(1) as f64;
        Usage {
            wall: self.start.elapsed().as_secs_f64() / share,
            cpu: (cpu_seconds() - self.cpu) / share,
            memory: peak_memory(),
            threads: self.threads,
        }
    }
}
