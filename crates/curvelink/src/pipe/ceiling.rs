//! What all queues of a context may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The least and the most that a queue takes of the ceiling at once: queues with little leave most
/// of it to others, and those with much seldom come for more.
const STEPS: (usize, usize) = (4 * 1024, 1024 * 1024);

/// The ceiling of one context, and what its queues have taken of it.
#[derive(Debug)]
pub(crate) struct Ceiling {
    octets: AtomicUsize,
    taken: AtomicUsize,
}

impl Ceiling {
    pub(crate) fn new(octets: usize) -> Arc<Self> {
        Arc::new(Self {
            octets: AtomicUsize::new(octets),
            taken: AtomicUsize::new(0),
        })
    }

    /// Moves the ceiling. What queues hold already stays.
    pub(crate) fn set(&self, octets: usize) {
        self.octets.store(octets, Ordering::Relaxed);
    }

    /// The share of a queue that has nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            ceiling: Some(self.clone()),
            taken: 0,
        }
    }

    fn take(&self, octets: usize) -> bool {
        let before = self.taken.fetch_add(octets, Ordering::Relaxed);
        let fits = before.saturating_add(octets) <= self.octets.load(Ordering::Relaxed);
        if !fits {
            self.give_back(octets);
        }
        fits
    }

    fn give_back(&self, octets: usize) {
        self.taken.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// What one queue has taken: a little more than it holds, so that it seldom has to ask.
#[derive(Debug)]
pub(crate) struct Share {
    ceiling: Option<Arc<Ceiling>>,
    taken: usize,
}

/// The share of a queue that is under no ceiling.
impl Default for Share {
    fn default() -> Self {
        Self {
            ceiling: None,
            taken: usize::MAX,
        }
    }
}

impl Share {
    /// Whether a queue that holds so much may hold more.
    pub(super) fn covers(&mut self, octets: usize) -> bool {
        octets < self.taken || self.grow(octets)
    }

    #[cold]
    fn grow(&mut self, octets: usize) -> bool {
        let more = octets.saturating_add(step(octets)) - self.taken;
        let grown = self.ceiling.as_ref().is_none_or(|all| all.take(more));
        if grown {
            self.taken += more;
        }
        grown
    }

    /// Gives back what a queue that holds so much does not need.
    pub(super) fn settle(&mut self, octets: usize) {
        let enough = octets.saturating_add(2 * STEPS.1);
        if self.taken > STEPS.0 && (self.taken > enough || self.taken / 2 > octets) {
            self.shrink(octets);
        }
    }

    #[cold]
    fn shrink(&mut self, octets: usize) {
        let needed = octets.saturating_add(step(octets));
        if let Some(all) = self.ceiling.as_ref().filter(|_| needed < self.taken) {
            all.give_back(self.taken - needed);
            self.taken = needed;
        }
    }

    /// Gives all back but for what the queue holds: nothing comes for now.
    pub(super) fn rest(&mut self, octets: usize) {
        if let Some(all) = self.ceiling.as_ref().filter(|_| octets < self.taken) {
            all.give_back(self.taken - octets);
            self.taken = octets;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.rest(0);
    }
}

fn step(octets: usize) -> usize {
    (octets / 8).clamp(STEPS.0, STEPS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_take_more_than_there_is_and_give_all_back() {
        let all = Ceiling::new(10 << 20);
        let mut shares: Vec<Share> = (0..20).map(|_| all.share()).collect();
        let mut held = [0_usize; 20];
        let mut refused = 0;
        for i in 0_usize..200_000 {
            let at = i * 7919 % 20;
            if i % 3 == 0 {
                held[at] = held[at].saturating_sub(i % 50_000);
                shares[at].settle(held[at]);
            } else if shares[at].covers(held[at]) {
                held[at] += i % 30_000;
            } else {
                refused += 1;
            }
            let taken = all.taken.load(Ordering::Relaxed);
            assert!(taken <= 10 << 20, "{taken}");
            assert_eq!(taken, shares.iter().map(|share| share.taken).sum());
            // Behind by no more than what came last.
            let sum: usize = held.iter().sum();
            assert!(sum <= taken + 20 * 30_000, "{sum} of {taken}");
        }
        assert!(refused > 1000, "{refused}");
        drop(shares);
        assert_eq!(all.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn most_of_the_ceiling_can_be_used_and_little_is_asked_for_little() {
        let all = Ceiling::new(64 << 20);
        let (mut one, mut held) = (all.share(), 0);
        while one.covers(held) {
            held += 1000;
        }
        assert!(held > 60 << 20, "{held}");
        one.settle(0);
        let mut many: Vec<Share> = (0..10_000).map(|_| all.share()).collect();
        assert!(many.iter_mut().all(|share| share.covers(100)));
    }

    #[test]
    fn what_swings_by_little_asks_seldom() {
        let all = Ceiling::new(64 << 20);
        let mut one = all.share();
        let (mut asked, mut before) = (0, 0);
        for i in 0..100_000_usize {
            let held = 20_000 + (i % 100) * 30;
            assert!(one.covers(held));
            one.settle(held);
            asked += usize::from(one.taken != before);
            before = one.taken;
        }
        assert!(asked < 10, "{asked}");
    }

    #[test]
    fn no_ceiling_covers_everything() {
        let mut share = Share::default();
        assert!(share.covers(usize::MAX - 1));
        share.settle(0);
        share.rest(0);
        assert!(share.covers(1 << 60));
    }
}
