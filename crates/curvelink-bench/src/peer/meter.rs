//! How fast messages arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exit::{Exit, leave_with};
use crate::machine::cpu_seconds;
use crate::watch::watch;

/// What is expected of some sockets, and what has come.
#[derive(Debug)]
pub(crate) struct Meter {
    sockets: Vec<Arrivals>,
    /// Messages that each socket should receive.
    count: u64,
    size: usize,
    started: Instant,
    cpu: f64,
}

/// What one socket has received. Its task writes, the watchdog reads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Arrivals {
    received: AtomicU64,
    /// Those of the first batch: when the clock starts they are there already.
    first: AtomicU64,
    first_at: AtomicU64,
    last_at: AtomicU64,
}

impl Meter {
    /// Starts the clock that `cpu_s` is of.
    pub(crate) fn new(sockets: usize, count: u64, size: usize) -> Arc<Self> {
        Arc::new(Self {
            sockets: (0..sockets).map(|_| Arrivals::default()).collect(),
            count,
            size,
            started: Instant::now(),
            cpu: cpu_seconds(),
        })
    }

    /// Reports what there is and ends the process once nothing has come for `idle`.
    pub(crate) fn watch(self: &Arc<Self>, idle: Duration) {
        let (watched, reported) = (self.clone(), self.clone());
        watch(
            idle,
            move || watched.received(),
            move |moved| {
                let moved = reported.since_start(moved);
                for arrivals in reported.unfinished() {
                    arrivals.last_at.store(moved, Relaxed);
                }
                leave_with(Exit::Stalled, &reported.report());
            },
        );
    }

    /// Notes messages of a socket; whether all of them are there.
    pub(crate) fn add(&self, socket: usize, messages: u64) -> bool {
        let arrivals = &self.sockets[socket];
        let before = arrivals.received.load(Relaxed);
        if before == 0 {
            arrivals.first.store(messages, Relaxed);
            let now = self.since_start(Instant::now());
            arrivals.first_at.store(now, Relaxed);
        }
        let received = before + messages;
        arrivals.received.store(received, Relaxed);
        let done = received >= self.count;
        if done {
            let now = self.since_start(Instant::now());
            arrivals.last_at.store(now, Relaxed);
        }
        done
    }

    fn since_start(&self, moment: Instant) -> u64 {
        let time = moment.saturating_duration_since(self.started);
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    fn received(&self) -> u64 {
        self.sockets.iter().map(Arrivals::received).sum()
    }

    fn unfinished(&self) -> impl Iterator<Item = &Arrivals> {
        let count = self.count;
        let sockets = self.sockets.iter();
        sockets.filter(move |arrivals| (1..count).contains(&arrivals.received()))
    }

    /// The result over all sockets.
    pub(crate) fn report(&self) -> Report {
        let of = |value: fn(&Arrivals) -> u64| self.sockets.iter().map(value);
        let begun = || self.sockets.iter().filter(|one| one.received() > 0);
        let first_at = begun().map(|one| one.first_at.load(Relaxed)).min();
        let last_at = begun().map(|one| one.last_at.load(Relaxed)).max();
        let nanos = last_at.unwrap_or(0).saturating_sub(first_at.unwrap_or(0));
        let count = self.received();
        let timed = count - of(|one| one.first.load(Relaxed)).sum::<u64>();
        let rate = per_second(timed, nanos);
        let rates = || self.sockets.iter().map(Arrivals::rate);
        Report {
            msgs_per_s: rate,
            mb_per_s: rate * self.size as f64 / 1e6,
            count,
            lost: (self.count * self.sockets.len() as u64).saturating_sub(count),
            secs: nanos as f64 / 1e9,
            subs: self.sockets.len(),
            per_sub_min: rates().fold(f64::INFINITY, f64::min),
            per_sub_max: rates().fold(0.0, f64::max),
            cpu_s: cpu_seconds() - self.cpu,
        }
    }
}

impl Arrivals {
    fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    fn rate(&self) -> f64 {
        let timed = self.received() - self.first.load(Relaxed);
        let [first, last] = [&self.first_at, &self.last_at].map(|at| at.load(Relaxed));
        per_second(timed, last.saturating_sub(first))
    }
}

fn per_second(messages: u64, nanos: u64) -> f64 {
    if nanos == 0 {
        0.0
    } else {
        messages as f64 / (nanos as f64 / 1e9)
    }
}

/// What is printed of a throughput.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    msgs_per_s: f64,
    mb_per_s: f64,
    count: u64,
    lost: u64,
    secs: f64,
    subs: usize,
    per_sub_min: f64,
    per_sub_max: f64,
    cpu_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one socket received and when, in milliseconds.
    fn arrive(meter: &Meter, socket: usize, [received, first, first_at, last_at]: [u64; 4]) {
        let arrivals = &meter.sockets[socket];
        arrivals.received.store(received, Relaxed);
        arrivals.first.store(first, Relaxed);
        arrivals.first_at.store(first_at * 1_000_000, Relaxed);
        arrivals.last_at.store(last_at * 1_000_000, Relaxed);
    }

    #[test]
    fn the_first_batch_starts_the_clock_and_is_not_timed() {
        let meter = Meter::new(2, 10, 1_000_000);
        arrive(&meter, 0, [10, 2, 1000, 2000]);
        arrive(&meter, 1, [7, 1, 1500, 3000]);
        let report = meter.report();
        assert_eq!((report.count, report.lost, report.subs), (17, 3, 2));
        assert_eq!(
            (report.msgs_per_s, report.mb_per_s, report.secs),
            (7.0, 7.0, 2.0)
        );
        assert_eq!((report.per_sub_min, report.per_sub_max), (4.0, 8.0));
    }

    #[test]
    fn a_socket_that_received_nothing_does_not_stop_the_clock() {
        let meter = Meter::new(2, 10, 1);
        arrive(&meter, 0, [10, 1, 1000, 2000]);
        let report = meter.report();
        assert_eq!(
            (report.msgs_per_s, report.lost, report.per_sub_min),
            (9.0, 10, 0.0)
        );
        assert_eq!(Meter::new(1, 10, 1).report().msgs_per_s, 0.0);
    }

    #[test]
    fn a_socket_is_done_when_all_are_there() {
        let meter = Meter::new(1, 3, 1);
        assert!(!meter.add(0, 2));
        assert_eq!(meter.unfinished().count(), 1);
        assert!(meter.add(0, 1));
        assert_eq!(meter.unfinished().count(), 0);
        assert_eq!(meter.sockets[0].first.load(Relaxed), 2);
    }
}
