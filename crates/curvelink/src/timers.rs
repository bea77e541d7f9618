//! Timers for event loops without a runtime.

use std::time::{Duration, Instant};

use crate::sync::later;

/// Timers that go off again and again, each with a token of the caller's: a value, or a function.
///
/// Nothing runs by itself. A loop asks [`timeout`](Self::timeout) how long it may wait, and
/// [`execute`](Self::execute) which timers are due; a [`Poller`](crate::Poller) does so for the
/// timers that it has. Async code takes the timers of its runtime.
///
/// Every call looks at every timer: this is for tens of them, not for thousands.
///
/// ```
/// use std::time::Duration;
/// use curvelink::Timers;
///
/// let mut timers = Timers::new();
/// let tick = timers.add(Duration::from_millis(5), "tick");
/// timers.add(Duration::from_secs(3600), "hourly");
/// std::thread::sleep(timers.timeout().unwrap());
/// assert_eq!(timers.execute(), [(tick, "tick")]);
/// assert!(timers.execute().is_empty(), "not yet again");
/// ```
#[derive(Debug)]
#[doc(alias = "zmq_timers_new")]
pub struct Timers<T> {
    timers: Vec<Timer<T>>,
    next: u64,
}

/// One of the [`Timers`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(u64);

#[derive(Debug)]
struct Timer<T> {
    id: TimerId,
    interval: Duration,
    due: Instant,
    token: T,
}

impl<T> Timers<T> {
    /// No timers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            timers: Vec::new(),
            next: 0,
        }
    }

    /// A timer that is due after every `interval`, the first time from now. One of zero is due at
    /// every [`execute`](Self::execute).
    #[doc(alias = "zmq_timers_add")]
    pub fn add(&mut self, interval: Duration, token: T) -> TimerId {
        let id = TimerId(self.next);
        self.next += 1;
        self.timers.push(Timer {
            id,
            interval,
            due: later(interval),
            token,
        });
        id
    }

    /// Changes an interval, which begins now; `false` if there is no such timer.
    #[doc(alias = "zmq_timers_set_interval")]
    pub fn set_interval(&mut self, id: TimerId, interval: Duration) -> bool {
        self.with(id, |timer| {
            timer.interval = interval;
            timer.due = later(interval);
        })
    }

    /// Lets the interval begin anew; `false` if there is no such timer.
    #[doc(alias = "zmq_timers_reset")]
    pub fn reset(&mut self, id: TimerId) -> bool {
        self.with(id, |timer| timer.due = later(timer.interval))
    }

    fn with(&mut self, id: TimerId, act: impl FnOnce(&mut Timer<T>)) -> bool {
        let timer = self.timers.iter_mut().find(|timer| timer.id == id);
        timer.map(act).is_some()
    }

    /// Ends a timer and gives its token; `None` if there is no such timer.
    #[doc(alias = "zmq_timers_cancel")]
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let index = self.timers.iter().position(|timer| timer.id == id)?;
        Some(self.timers.remove(index).token)
    }

    /// How long until a timer is due: zero if one is, `None` without timers.
    #[doc(alias = "zmq_timers_timeout")]
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let next = self.next_due()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.iter().map(|timer| timer.due).min()
    }

    pub(crate) const fn len(&self) -> usize {
        self.timers.len()
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.timers.retain(|timer| keep(&timer.token));
    }
}

impl<T: Clone> Timers<T> {
    /// The timers that are due now, the longest due first. The next interval of each begins now: a
    /// loop that comes late finds a timer due once, not as often as it has missed.
    #[doc(alias = "zmq_timers_execute")]
    #[must_use = "a timer that is due is told once"]
    pub fn execute(&mut self) -> Vec<(TimerId, T)> {
        let now = Instant::now();
        let mut due: Vec<_> = self
            .timers
            .iter_mut()
            .filter(|timer| timer.due <= now)
            .collect();
        due.sort_by_key(|timer| timer.due);
        due.into_iter()
            .map(|timer| {
                timer.due = later(timer.interval);
                (timer.id, timer.token.clone())
            })
            .collect()
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn tokens(timers: &mut Timers<char>) -> Vec<char> {
        timers
            .execute()
            .into_iter()
            .map(|(_, token)| token)
            .collect()
    }

    #[test]
    fn what_is_due_is_told_once_and_the_longest_due_first() {
        let mut timers = Timers::new();
        let late = timers.add(HOUR, 'b');
        let later = timers.add(HOUR, 'a');
        timers.add(HOUR, 'c');
        assert!(tokens(&mut timers).is_empty());
        assert!(timers.timeout().unwrap() > HOUR - Duration::from_secs(60));
        let now = Instant::now();
        timers.with(late, |timer| timer.due = now);
        timers.with(later, |timer| timer.due = now - Duration::from_millis(1));
        assert_eq!(timers.timeout(), Some(Duration::ZERO));
        assert_eq!(tokens(&mut timers), ['a', 'b']);
        assert!(tokens(&mut timers).is_empty());
    }

    #[test]
    fn missed_intervals_are_one() {
        let mut timers = Timers::new();
        let id = timers.add(Duration::from_secs(60), 'a');
        timers.with(id, |timer| timer.due -= HOUR.min(Duration::from_secs(300)));
        assert_eq!(tokens(&mut timers), ['a']);
        assert!(tokens(&mut timers).is_empty());
    }

    #[test]
    fn an_interval_begins_anew_when_it_is_set_or_reset() {
        let mut timers = Timers::new();
        let id = timers.add(Duration::ZERO, 'a');
        assert_eq!(tokens(&mut timers), ['a']);
        assert_eq!(tokens(&mut timers), ['a']);
        assert!(timers.set_interval(id, HOUR));
        assert!(tokens(&mut timers).is_empty());
        timers.with(id, |timer| timer.due = Instant::now());
        assert!(timers.reset(id));
        assert!(tokens(&mut timers).is_empty());
        assert!(
            timers.set_interval(id, Duration::MAX),
            "as far as clocks go"
        );
    }

    #[test]
    fn a_timer_that_was_cancelled_is_gone() {
        let mut timers = Timers::new();
        let id = timers.add(Duration::ZERO, 'a');
        assert_eq!(timers.cancel(id), Some('a'));
        assert_eq!(timers.cancel(id), None);
        assert!(!timers.reset(id) && !timers.set_interval(id, HOUR));
        assert_eq!((timers.timeout(), timers.execute()), (None, vec![]));
        assert_ne!(timers.add(HOUR, 'b'), id, "ids are not used again");
    }
}
