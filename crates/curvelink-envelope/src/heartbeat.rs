//! When a signer says again how far each topic has come, so that a loss at the end shows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;

/// A heartbeat follows the last message of a topic after so long.
pub const HEARTBEAT_SOON: Duration = Duration::from_secs(5);
/// The next ones follow each other after so long.
pub const HEARTBEAT_LATER: Duration = Duration::from_secs(60);
/// The names of topics with heartbeats take at most so many octets together.
const MAX_NAMES: usize = 1 << 20;

/// The topics of an epoch and when each is due; bounded by the octets of their names. A topic that
/// finds no room has no heartbeats, and a loss at its end shows with its next message.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeats {
    soon: Duration,
    later: Duration,
    topics: BTreeMap<String, Due>,
    octets: usize,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    at: Timestamp,
    /// Whether messages came since the last heartbeat.
    is_dirty: bool,
}

impl Heartbeats {
    pub(crate) fn new(soon: Duration, later: Duration) -> Self {
        Self {
            soon,
            later,
            topics: BTreeMap::new(),
            octets: 0,
        }
    }

    /// A message of `topic` was signed: its heartbeat is due soon after the first since the last.
    pub(crate) fn note(&mut self, topic: &str, now: Timestamp) {
        let soon = Due {
            at: after(now, self.soon),
            is_dirty: true,
        };
        if let Some(due) = self.topics.get_mut(topic) {
            if !due.is_dirty {
                *due = soon;
            }
        } else if self.octets + topic.len() < MAX_NAMES {
            // An empty topic takes room too.
            self.octets += topic.len() + 1;
            self.topics.insert(topic.to_owned(), soon);
        }
    }

    /// The topics that are due; each is next due later.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<String> {
        let later = Due {
            at: after(now, self.later),
            is_dirty: false,
        };
        let mut taken = Vec::new();
        for (topic, due) in &mut self.topics {
            if due.at <= now {
                *due = later;
                taken.push(topic.clone());
            }
        }
        taken
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.topics.values().map(|due| due.at).min()
    }

    /// A new epoch: nothing was sent in it yet.
    pub(crate) fn clear(&mut self) {
        self.topics.clear();
        self.octets = 0;
    }
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_ms(now.unix_ms().saturating_add(delay)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms).expect("in range")
    }

    #[test]
    fn a_topic_is_due_soon_after_its_messages_and_then_seldom() {
        let mut beats = Heartbeats::new(Duration::from_millis(5), Duration::from_millis(60));
        assert_eq!(beats.next(), None);
        beats.note("a", at(0));
        beats.note("a", at(4));
        beats.note("b", at(4));
        assert_eq!(beats.next(), Some(at(5)), "not put off by further messages");
        assert_eq!(beats.take_due(at(4)), [""; 0]);
        assert_eq!(beats.take_due(at(5)), ["a"]);
        assert_eq!(beats.take_due(at(9)), ["b"]);
        assert_eq!(beats.next(), Some(at(65)));
        beats.note("a", at(20));
        assert_eq!(beats.take_due(at(25)), ["a"]);
        assert_eq!(beats.take_due(at(68)), [""; 0]);
        assert_eq!(beats.take_due(at(85)), ["a", "b"]);
        beats.clear();
        assert_eq!(beats.next(), None);
    }

    #[test]
    fn the_names_are_bounded() {
        let mut beats = Heartbeats::new(Duration::ZERO, Duration::ZERO);
        for number in 0..40 {
            beats.note(&format!("{number:030000}"), at(0));
        }
        assert_eq!(beats.take_due(at(0)).len(), 34);
        beats.clear();
        beats.note("a", at(0));
        assert_eq!(beats.take_due(at(0)), ["a"]);
    }
}
