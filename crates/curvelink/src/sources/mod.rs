//! Who connects too often, and whose connections fail: a table without a clock and without I/O.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use curvelink_proto::PeerAddress;

use crate::options::SourceLimits;
use crate::sync::after;

/// Most sources that are remembered.
const CAPACITY: usize = 4096;

/// Whom limits count as one: an IPv4 address, or the first half of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    /// The source of a peer that the limits are for.
    pub(crate) fn of(address: &PeerAddress, limits: &SourceLimits) -> Option<Self> {
        let PeerAddress::Tcp(address) = address else {
            return None;
        };
        let ip = address.ip().to_canonical();
        if ip.is_loopback() && !limits.loopback {
            return None;
        }
        Some(match ip {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        })
    }
}

/// What is remembered of the sources of one context.
///
/// A source takes a place when it connects and gives it up once nothing of it matters any more. In
/// a full table a newcomer takes the place of the source that would be forgotten first, but never
/// of one that pays a penalty: if all do, the newcomer goes unremembered. Whoever has many
/// addresses can so clear one of them only by bringing a penalty on each of 4096 others.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    records: HashMap<Source, Record>,
    /// When each is forgotten.
    ends: BTreeSet<(Instant, Source)>,
}

/// What is remembered of one source. A time that has passed means nothing any more.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// When its bucket is full again.
    full: Instant,
    failures: u32,
    /// When the failures count no more.
    window: Instant,
    /// When its penalty is over.
    barred: Instant,
    /// Its last penalty, and until when the next is twice as long.
    penalty: Duration,
    remembered: Instant,
}

impl Sources {
    /// Whether a source may connect now; counts it if so.
    pub(crate) fn admit(&mut self, source: Source, now: Instant, limits: &SourceLimits) -> bool {
        let mut record = self.record(source, now);
        if record.is_barred(now) {
            return false;
        }
        let second = Duration::from_secs(1);
        let full = after(record.full, second / limits.rate);
        let depth = second.saturating_mul(limits.burst) / limits.rate;
        if full > after(now, depth) {
            return false;
        }
        record.full = full;
        self.keep(source, record, now);
        true
    }

    /// Counts a connection that failed before it was ready. What fails during a penalty was under
    /// way when it began, and is paid for.
    pub(crate) fn failed(&mut self, source: Source, now: Instant, limits: &SourceLimits) {
        let mut record = self.record(source, now);
        if record.is_barred(now) {
            return;
        }
        if record.failures == 0 {
            record.window = after(now, limits.window);
        }
        record.failures = record.failures.saturating_add(1);
        if record.failures >= limits.failures {
            let longer = record.penalty.saturating_mul(2).max(limits.penalty);
            record.penalty = longer.min(limits.penalty_max);
            record.barred = after(now, record.penalty);
            record.failures = 0;
        }
        if !record.penalty.is_zero() {
            record.remembered = after(record.barred.max(now), limits.penalty_max);
        }
        self.keep(source, record, now);
    }

    /// Forgets all failures and penalties: who was refused may be admitted now.
    pub(crate) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// What is known of a source, without what has passed.
    fn record(&mut self, source: Source, now: Instant) -> Record {
        while let Some((_, past)) = self.ends.first().filter(|(end, _)| *end <= now) {
            self.records.remove(past);
            self.ends.pop_first();
        }
        let known = self.records.get(&source).copied();
        known.map_or_else(|| Record::new(now), |record| record.at(now))
    }

    fn keep(&mut self, source: Source, record: Record, now: Instant) {
        if let Some(before) = self.records.get(&source) {
            self.ends.remove(&(before.end(), source));
        } else if self.records.len() >= CAPACITY && !self.make_room(now) {
            return;
        }
        self.ends.insert((record.end(), source));
        self.records.insert(source, record);
    }

    /// Frees the place of the source that would be forgotten first. One that pays a penalty is
    /// remembered for longer than any that does not: if the first does, all do.
    fn make_room(&mut self, now: Instant) -> bool {
        let first = self.ends.first().copied();
        let free = first.filter(|(_, source)| {
            let record = self.records.get(source);
            record.is_none_or(|record| !record.is_barred(now))
        });
        let Some(place) = free else {
            return false;
        };
        self.ends.remove(&place);
        self.records.remove(&place.1);
        true
    }
}

impl Record {
    const fn new(now: Instant) -> Self {
        Self {
            full: now,
            failures: 0,
            window: now,
            barred: now,
            penalty: Duration::ZERO,
            remembered: now,
        }
    }

    fn at(mut self, now: Instant) -> Self {
        self.full = self.full.max(now);
        if self.window <= now {
            self.failures = 0;
        }
        if self.remembered <= now {
            self.penalty = Duration::ZERO;
        }
        self
    }

    fn is_barred(&self, now: Instant) -> bool {
        self.barred > now
    }

    fn end(&self) -> Instant {
        self.full
            .max(self.window)
            .max(self.barred)
            .max(self.remembered)
    }
}
