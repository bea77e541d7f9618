//! Time as the journal has it: intervals by one clock, what is written down by another.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Tells the time; replaced in tests.
///
/// How long something lasts is measured by [`monotonic`](Self::monotonic) alone, so a wall clock
/// that jumps neither hastens nor delays anything. What the wall clock says is written into entries
/// and checkpoints and decides nothing but which day's data key encrypts.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Time since a moment of the clock's own choosing; never less than before.
    fn monotonic(&self) -> Duration;

    /// What the wall clock says; it may jump.
    fn wall(&self) -> SystemTime;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}
