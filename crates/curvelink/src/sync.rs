//! A lock that a panicking thread does not spoil for the others, and a clock that no option breaks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// As far away as a deadline needs to be.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Locks. No code of the application's runs under our locks, so a poisoned one means a bug of
/// ours in another thread; state is kept consistent between statements, and going on is better
/// than taking every socket down.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time after this one by `time`; a time that no clock reaches is thirty years away.
pub(crate) fn later(time: Duration) -> Instant {
    after(Instant::now(), time)
}

/// The time after `start` by `time`; a time that no clock reaches is thirty years away.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or_else(|| start + FAR)
}
