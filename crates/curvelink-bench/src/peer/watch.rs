//! Ends the process when nothing moves: a driver that waits for a lost message waits for ever.

use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked.
const TICK: Duration = Duration::from_millis(20);

/// Looks at a number that should grow, on a thread of its own. When it has not for `idle`,
/// `stalled` is called with when it was last seen to; it should end the process.
pub(crate) fn watch(
    idle: Duration,
    progress: impl Fn() -> u64 + Send + 'static,
    stalled: impl FnOnce(Instant) + Send + 'static,
) {
    thread::spawn(move || {
        let (mut seen, mut moved) = (progress(), Instant::now());
        while moved.elapsed() <= idle {
            thread::sleep(TICK);
            let now = progress();
            if now != seen {
                (seen, moved) = (now, Instant::now());
            }
        }
        stalled(moved);
    });
}
