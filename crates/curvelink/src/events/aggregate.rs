//! A flood of events as a few: the sum of what is told is the number of what happened.

use std::time::Instant;

use curvelink_proto::{SecurityEvent, Telling};

use super::table::{Bounds, Table};

/// Of those whom no policy has named, there may be any number.
const STRANGERS: Bounds = Bounds {
    sources: 1024,
    singly: 20,
    sums: 40,
};

/// The policy bounds how many names there are.
const NAMED: Bounds = Bounds {
    sources: 1024,
    singly: 1000,
    sums: 40,
};

/// Puts events of one kind, source and reason together. Knows no clock and tells nobody: what is
/// to be told is appended to `told`.
#[derive(Debug)]
pub(super) struct Aggregator {
    strangers: Table,
    named: Table,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self {
            strangers: Table::new(STRANGERS),
            named: Table::new(NAMED),
        }
    }
}

impl Aggregator {
    /// Takes an event that happened now.
    pub(super) fn note(
        &mut self,
        event: SecurityEvent,
        now: Instant,
        told: &mut Vec<SecurityEvent>,
    ) {
        let Telling::First(first) = event.id.telling() else {
            return told.push(event);
        };
        let table = match event.identity {
            Some(_) => &mut self.named,
            None => &mut self.strangers,
        };
        table.note(event, first, now, told);
    }

    /// When something that was counted is to be told; `None` while nothing is.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = [self.strangers.due(), self.named.due()];
        due.into_iter().flatten().min()
    }

    /// Tells what is due.
    pub(super) fn tick(&mut self, now: Instant, told: &mut Vec<SecurityEvent>) {
        self.strangers.roll(now, told);
        self.named.roll(now, told);
    }

    /// Tells all that was counted.
    pub(super) fn flush(&mut self, told: &mut Vec<SecurityEvent>) {
        self.strangers.tell(told);
        self.named.tell(told);
    }
}
