//! What the machine knows of this process, and the pipe from the driver.

use std::fs;
use std::io::{Read, stdin};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// Seconds of CPU that this process took so far, its own and the system's for it.
pub(crate) fn cpu_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    micros as f64 / 1e6
}

/// Resident memory in octets.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibi = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    kibi.unwrap_or(0_u64) * 1024
}

/// Nanoseconds of a clock that all processes of the machine share, which `Instant` does not show.
pub(crate) fn nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| u64::try_from(now.num_nanoseconds()).unwrap_or(0))
}

/// Blocks until the driver has written a line, or closed the pipe.
pub(crate) fn wait_for_line() {
    let _ = stdin().read_line(&mut String::new());
}

/// Blocks until the driver has closed the pipe.
pub(crate) fn wait_for_end() {
    let mut input = stdin().lock();
    while matches!(input.read(&mut [0; 512]), Ok(1..)) {}
}
