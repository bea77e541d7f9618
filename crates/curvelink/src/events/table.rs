//! Counting events by source and reason, within bounds that no flood moves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink_proto::{EventId, Network, SecurityEvent, Side};

/// What was only counted is told once in this time.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// How much is kept and told, whatever happens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Sources and reasons that are told apart; the others are counted by reason alone.
    pub(super) sources: usize,
    /// Events that are told singly in one window.
    pub(super) singly: u64,
    /// Events at the end of a window. There are more only where there are more reasons than that.
    pub(super) sums: usize,
}

/// One window's events. Time is passed in; the table sleeps for nobody.
#[derive(Debug)]
pub(super) struct Table {
    bounds: Bounds,
    entries: HashMap<Key, Entry>,
    /// What found no entry of its own, without its source.
    others: HashMap<Kind, SecurityEvent>,
    /// When the window began, once something happened in it.
    opened: Option<Instant>,
    singly: u64,
    is_pending: bool,
}

/// What is counted together, wherever it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    id: EventId,
    by: Option<Side>,
    reason: Option<&'static str>,
    action: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Identity(Arc<str>),
    Network(Network),
    Endpoint(Arc<str>),
    Nobody,
}

#[derive(Debug, Default)]
struct Entry {
    /// How many were told singly in this window.
    told: u64,
    /// What was counted in this window and not told yet.
    counted: Option<SecurityEvent>,
    /// It flooded in the window before: nothing is told singly in this one.
    is_flood: bool,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: HashMap::new(),
            others: HashMap::new(),
            opened: None,
            singly: 0,
            is_pending: false,
        }
    }

    /// Counts an event, of whose kind and source the `first` so many are told at once.
    pub(super) fn note(
        &mut self,
        event: SecurityEvent,
        first: u64,
        now: Instant,
        told: &mut Vec<SecurityEvent>,
    ) {
        self.roll(now, told);
        self.opened.get_or_insert(now);
        let key = Key::of(&event);
        let has_room = self.entries.len() < self.bounds.sources;
        if !has_room && !self.entries.contains_key(&key) {
            self.is_pending = true;
            return add(&mut self.others, key.kind, event);
        }
        let entry = self.entries.entry(key).or_default();
        if !entry.is_flood && entry.told < first && self.singly < self.bounds.singly {
            entry.told += 1;
            self.singly += 1;
            return told.push(event);
        }
        self.is_pending = true;
        match &mut entry.counted {
            Some(counted) => counted.merge(event),
            counted => *counted = Some(event),
        }
    }

    /// When [`roll`](Self::roll) has something to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        self.opened
            .filter(|_| self.is_pending)
            .map(|opened| opened + WINDOW)
    }

    /// Tells what was counted, if the window is over.
    pub(super) fn roll(&mut self, now: Instant, told: &mut Vec<SecurityEvent>) {
        if self.opened.is_some_and(|opened| now >= opened + WINDOW) {
            self.tell(told);
            // Who was silent for a window is told singly again.
            self.opened = (!self.entries.is_empty()).then_some(now);
        }
    }

    /// Tells what was counted, and begins a new window.
    pub(super) fn tell(&mut self, told: &mut Vec<SecurityEvent>) {
        let mut others = std::mem::take(&mut self.others);
        let mut counted = Vec::new();
        self.entries.retain(|key, entry| {
            let is_flood = entry.counted.is_some();
            counted.extend(entry.counted.take().map(|event| (key.kind, event)));
            (entry.is_flood, entry.told) = (is_flood, 0);
            is_flood
        });
        // Those that happened most keep their source.
        counted.sort_by_key(|(_, event)| event.count);
        let mut counted = counted.into_iter();
        while counted.len() + others.len() > self.bounds.sums
            && let Some((kind, event)) = counted.next()
        {
            add(&mut others, kind, event);
        }
        let from = told.len();
        told.extend(counted.map(|(_, event)| event).chain(others.into_values()));
        told[from..].sort_by_key(|event| event.first);
        (self.singly, self.is_pending) = (0, false);
    }
}

fn add(to: &mut HashMap<Kind, SecurityEvent>, kind: Kind, event: SecurityEvent) {
    match to.get_mut(&kind) {
        Some(sum) => sum.merge(event),
        None => {
            to.insert(kind, event);
        }
    }
}

impl Key {
    fn of(event: &SecurityEvent) -> Self {
        let who = match (&event.identity, event.network, &event.endpoint) {
            (Some(identity), ..) => Who::Identity(identity.clone()),
            (None, Some(network), _) => Who::Network(network),
            (None, None, Some(endpoint)) => Who::Endpoint(endpoint.clone()),
            (None, None, None) => Who::Nobody,
        };
        let kind = Kind {
            id: event.id,
            by: event.by,
            reason: event.reason,
            action: event.action,
        };
        Self { kind, who }
    }
}
