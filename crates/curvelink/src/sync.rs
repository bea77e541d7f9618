//! A lock that a panicking thread does not spoil for the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. No code of the application's runs under our locks, so a poisoned one means a bug of
/// ours in another thread; state is kept consistent between statements, and going on is better
/// than taking every socket down.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
