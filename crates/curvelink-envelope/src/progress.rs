//! How far one key has come in its numbering: what a signer continues from and a verifier compares
//! with.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::hex;
use crate::statement::{MAX_INTEGER, Position};

/// An epoch counts at most this many topics; a signer that needs more starts another epoch.
pub const TOPICS_PER_EPOCH: usize = 65_536;

/// The epoch that a key is in, and the last number of each topic.
///
/// Topics are kept by their SHA-256, so a table is bounded in octets too (some 60 per topic, at
/// most 131 072 topics: those of this epoch, and those of earlier ones up to the same number) and
/// a file of it names no topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct Progress {
    epoch: Option<u64>,
    topics: HashMap<[u8; 32], Position>,
    /// How many of `topics` stand in `epoch`.
    current: usize,
}

impl Progress {
    /// The last epoch; none when the key has signed nothing yet.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    pub(crate) fn position(&self, topic: &[u8; 32]) -> Option<Position> {
        self.topics.get(topic).copied()
    }

    /// Whether `topic` already counts in the epoch, or `limit` leaves room for it.
    pub(crate) fn has_room(&self, topic: &[u8; 32], limit: usize) -> bool {
        self.current < limit || self.is_current(topic)
    }

    /// Begins `epoch`. Positions of the epoch that ends are kept, so that a gap across the change
    /// can be seen; older ones only as far as there is room.
    pub(crate) fn start_epoch(&mut self, epoch: u64) {
        let ended = self.epoch.replace(epoch);
        self.current = 0;
        if self.topics.len() > TOPICS_PER_EPOCH {
            self.topics
                .retain(|_, position| Some(position.epoch) == ended);
        }
    }

    /// Notes that `topic` has come to `tseq` in the current epoch.
    pub(crate) fn advance(&mut self, topic: [u8; 32], tseq: u64) {
        let Some(epoch) = self.epoch else { return };
        if !self.is_current(&topic) {
            self.current += 1;
        }
        self.topics.insert(topic, Position::new(epoch, tseq));
    }

    fn is_current(&self, topic: &[u8; 32]) -> bool {
        self.topics
            .get(topic)
            .is_some_and(|position| Some(position.epoch) == self.epoch)
    }
}

/// [`Progress`] in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    epoch: Option<u64>,
    topics: BTreeMap<String, Position>,
}

impl From<Progress> for Saved {
    fn from(progress: Progress) -> Self {
        let topics = progress
            .topics
            .iter()
            .map(|(topic, at)| (hex::encode(topic), *at));
        Self {
            epoch: progress.epoch,
            topics: topics.collect(),
        }
    }
}

/// A saved [`Progress`] or [`ReplayState`](crate::ReplayState) breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved state is damaged: restore it from a copy")]
#[non_exhaustive]
pub struct DamagedState;

impl TryFrom<Saved> for Progress {
    type Error = DamagedState;

    fn try_from(saved: Saved) -> Result<Self, DamagedState> {
        let epoch = saved.epoch;
        let is_sound = |at: &Position| {
            Some(at.epoch) <= epoch && at.epoch <= MAX_INTEGER && at.tseq <= MAX_INTEGER
        };
        let topics: Option<HashMap<_, _>> = saved
            .topics
            .into_iter()
            .map(|(topic, at)| Some((hex::decode(&topic)?, is_sound(&at).then_some(at)?)))
            .collect();
        let topics = topics.ok_or(DamagedState)?;
        let current = topics.values().filter(|at| Some(at.epoch) == epoch).count();
        let too_many = current > TOPICS_PER_EPOCH || topics.len() > 2 * TOPICS_PER_EPOCH;
        if too_many || epoch > Some(MAX_INTEGER) {
            return Err(DamagedState);
        }
        Ok(Self {
            epoch,
            topics,
            current,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(number: u32) -> [u8; 32] {
        let mut topic = [0; 32];
        topic[..4].copy_from_slice(&number.to_be_bytes());
        topic
    }

    #[test]
    fn positions_of_the_ended_epoch_stay_and_the_table_stays_bounded() {
        let mut progress = Progress::default();
        for epoch in 1..=4 {
            progress.start_epoch(epoch);
            let first = u32::try_from(epoch).expect("small") * 100_000;
            for number in 0..TOPICS_PER_EPOCH as u32 {
                assert!(progress.has_room(&topic(first + number), TOPICS_PER_EPOCH));
                progress.advance(topic(first + number), 5);
            }
            assert!(!progress.has_room(&topic(1), TOPICS_PER_EPOCH));
            assert!(
                progress.has_room(&topic(first), TOPICS_PER_EPOCH),
                "a topic that counts"
            );
            assert!(progress.topics.len() <= 2 * TOPICS_PER_EPOCH);
            if epoch > 1 {
                let before = progress.position(&topic(first - 100_000));
                assert_eq!(before, Some(Position::new(epoch - 1, 5)));
            }
        }
    }

    #[test]
    fn what_was_saved_comes_back_and_damage_is_refused() {
        let mut progress = Progress::default();
        progress.start_epoch(8);
        progress.advance(topic(1), 3);
        progress.start_epoch(9);
        progress.advance(topic(2), 0);
        let text = serde_json::to_string(&progress).expect("writes");
        let read = |text: &str| serde_json::from_str::<Progress>(text).ok();
        assert_eq!(read(&text), Some(progress));

        assert_eq!(read("{}"), None);
        assert_eq!(
            read(&text.replace("\"epoch\":8", "\"epoch\":10")),
            None,
            "from the future"
        );
        assert_eq!(
            read(&text.replace("\"tseq\":3", "\"tseq\":9007199254740992")),
            None
        );
        assert_eq!(
            read(&text.replacen("{\"epoch\":9", "{\"epoch\":9007199254740992", 1)),
            None
        );
        assert_eq!(
            read(&text.replacen("00000001", "0000001", 1)),
            None,
            "no digest"
        );
        assert_eq!(
            read(r#"{"epoch":null,"topics":{}}"#),
            Some(Progress::default())
        );
    }
}
