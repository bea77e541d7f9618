//! What a verifier remembers of each key: which messages came, and where each topic stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::KeyId;
use crate::malformed::Malformed;
use crate::progress::{DamagedState, Progress, TOPICS_PER_EPOCH};
use crate::statement::Statement;
use crate::window::Window;

/// What is known of every key that has sent something: to be saved when a program stops and given
/// to the next [`Verifier`](crate::Verifier), which otherwise takes for new what the last one has
/// already seen (as far as the time skew lets it).
///
/// Serialise it with serde; a damaged one is refused when read. Bounded by the registry: per key
/// 150 octets, and some 60 for each of at most 131 072 topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, KeyState>",
    into = "BTreeMap<String, KeyState>"
)]
pub struct ReplayState {
    keys: BTreeMap<KeyId, KeyState>,
}

/// What a message's numbers tell, beside that it is new. The message is delivered all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag {
    /// A message with a higher number came before.
    Reordered {
        /// 1 if this message was counted in an earlier [`Flag::Gap`] or [`Flag::JoinedLate`], so
        /// that it is not missing after all; otherwise 0.
        recovered: u64,
    },
    /// Messages of the same topic before this one have not come (yet). Across a restart of the
    /// signer it is a lower bound.
    Gap {
        /// How many.
        missing: u64,
    },
    /// This is the first message of its topic to come, but not the first that was signed.
    JoinedLate {
        /// How many were signed before it.
        missed: u64,
    },
}

impl Flag {
    /// The flag's name: `reordered`, `gap` or `joined-late`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Reordered { .. } => "reordered",
            Self::Gap { .. } => "gap",
            Self::JoinedLate { .. } => "joined-late",
        }
    }

    /// How many messages of the topic have not come: 0 where none is missing.
    pub fn missing(self) -> u64 {
        match self {
            Self::Reordered { .. } => 0,
            Self::Gap { missing } => missing,
            Self::JoinedLate { missed } => missed,
        }
    }
}

/// Why a message's numbers are refused.
pub(crate) enum Refused {
    Replayed,
    Malformed(Malformed),
}

impl ReplayState {
    /// What the numbers of `statement`, signed by `key`, tell. Nothing is noted yet.
    pub(crate) fn judge(&self, key: KeyId, statement: &Statement) -> Result<Vec<Flag>, Refused> {
        match self.keys.get(&key) {
            Some(state) => state.judge(statement),
            None => Ok(first_of_topic(statement).into_iter().collect()),
        }
    }

    /// Notes that the message has come. Only for one that [`Self::judge`] has let pass.
    pub(crate) fn record(&mut self, key: KeyId, statement: &Statement) {
        let state = self
            .keys
            .entry(key)
            .or_insert_with(|| KeyState::starting_with(statement));
        state.record(statement);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyState {
    window: Window,
    progress: Progress,
}

impl KeyState {
    fn starting_with(statement: &Statement) -> Self {
        let mut progress = Progress::default();
        progress.start_epoch(statement.epoch);
        Self {
            window: Window::starting_with(statement.seq),
            progress,
        }
    }

    fn judge(&self, statement: &Statement) -> Result<Vec<Flag>, Refused> {
        let is_new_epoch = Some(statement.epoch) > self.progress.epoch();
        let is_old_epoch = Some(statement.epoch) < self.progress.epoch();
        if is_old_epoch || !is_new_epoch && !self.window.is_new(statement.seq) {
            return Err(Refused::Replayed);
        }
        let topic = topic_of(statement);
        // The message whose number a heartbeat tells is missing with those before it.
        let told = u64::from(statement.heartbeat);
        if !is_new_epoch && !self.progress.has_room(&topic, TOPICS_PER_EPOCH) {
            return Err(Refused::Malformed(Malformed::TooManyTopics));
        }
        let is_late = !is_new_epoch && statement.seq < self.window.highest();
        let Some(last) = self.progress.position(&topic) else {
            let reordered = is_late.then_some(Flag::Reordered { recovered: 0 });
            return Ok(reordered
                .into_iter()
                .chain(first_of_topic(statement))
                .collect());
        };
        if last.epoch < statement.epoch {
            let reordered = is_late.then_some(Flag::Reordered { recovered: 0 });
            let missing = missing_since(last.epoch, last.tseq, statement) + told;
            return Ok(reordered.into_iter().chain(gap(missing)).collect());
        }
        let reordered = is_late.then_some(Flag::Reordered { recovered: 0 });
        match statement.tseq.checked_sub(last.tseq) {
            // What is known already, said again.
            None | Some(0) if statement.heartbeat => Ok(reordered.into_iter().collect()),
            // A signer gives a number once, so one of the two is not its work; unless this is the
            // message that a heartbeat has told of before it came.
            Some(0) if !is_late => Err(Refused::Replayed),
            None | Some(0) => Ok(vec![Flag::Reordered { recovered: 1 }]),
            Some(step) => Ok(reordered.into_iter().chain(gap(step - 1 + told)).collect()),
        }
    }

    fn record(&mut self, statement: &Statement) {
        if Some(statement.epoch) > self.progress.epoch() {
            self.progress.start_epoch(statement.epoch);
            self.window = Window::starting_with(statement.seq);
        }
        self.window.insert(statement.seq);
        let topic = topic_of(statement);
        let last = self.progress.position(&topic);
        if last.is_none_or(|last| last.epoch < statement.epoch || last.tseq < statement.tseq) {
            self.progress.advance(topic, statement.tseq);
        }
    }
}

/// How many messages lie between `tseq` of `epoch` and the first that came in a later epoch.
fn missing_since(epoch: u64, tseq: u64, statement: &Statement) -> u64 {
    let before = match statement.prev {
        Some(prev) if prev.epoch == epoch => prev.tseq.saturating_sub(tseq),
        // A whole epoch passed unseen; how the one before it ended, nobody said.
        Some(prev) if prev.epoch > epoch => prev.tseq + 1,
        _ => 0,
    };
    before + statement.tseq
}

fn first_of_topic(statement: &Statement) -> Option<Flag> {
    let missed = statement.tseq + u64::from(statement.heartbeat);
    (missed > 0).then_some(Flag::JoinedLate { missed })
}

fn gap(missing: u64) -> Option<Flag> {
    (missing > 0).then_some(Flag::Gap { missing })
}

/// The digest of frame 0: a topic's name of bounded size. A parsed statement has one.
fn topic_of(statement: &Statement) -> [u8; 32] {
    statement.frames.first().copied().unwrap_or_default()
}

impl From<ReplayState> for BTreeMap<String, KeyState> {
    fn from(state: ReplayState) -> Self {
        state
            .keys
            .into_iter()
            .map(|(key, state)| (key.to_string(), state))
            .collect()
    }
}

impl TryFrom<BTreeMap<String, KeyState>> for ReplayState {
    type Error = DamagedState;

    fn try_from(saved: BTreeMap<String, KeyState>) -> Result<Self, DamagedState> {
        let entry = |(key, state): (String, KeyState)| Some((key.parse().ok()?, state));
        let keys: Option<BTreeMap<_, _>> = saved.into_iter().map(entry).collect();
        let is_sound = |state: &KeyState| state.progress.epoch().is_some();
        let keys = keys
            .filter(|keys| keys.values().all(is_sound))
            .ok_or(DamagedState)?;
        Ok(Self { keys })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::statement::tests::statement;
    use crate::statement::{Position, digests};

    const KEY: KeyId = KeyId([3; 32]);

    fn numbered(topic: &str, epoch: u64, seq: u64, tseq: u64) -> Statement {
        let frames = digests(&[topic]);
        Statement {
            epoch,
            seq,
            tseq,
            prev: None,
            frames,
            topic: topic.into(),
            ..statement()
        }
    }

    /// `key` has used as many topics as an epoch counts, `first` among them.
    pub(crate) fn full(key: KeyId, epoch: u64) -> ReplayState {
        let mut state = ReplayState::default();
        state.record(key, &numbered("first", epoch, 0, 0));
        let progress = &mut state.keys.get_mut(&key).expect("recorded").progress;
        for number in 1..TOPICS_PER_EPOCH {
            let mut topic = [0; 32];
            topic[..8].copy_from_slice(&number.to_be_bytes());
            progress.advance(topic, 0);
        }
        state
    }

    /// Delivers the message, or says that it is refused.
    fn deliver(state: &mut ReplayState, statement: &Statement) -> Option<Vec<Flag>> {
        let flags = state.judge(KEY, statement).ok()?;
        state.record(KEY, statement);
        Some(flags)
    }

    #[test]
    fn a_flag_says_how_many_are_missing() {
        for (flag, code, missing) in [
            (Flag::Reordered { recovered: 1 }, "reordered", 0),
            (Flag::Gap { missing: 3 }, "gap", 3),
            (Flag::JoinedLate { missed: 2 }, "joined-late", 2),
        ] {
            assert_eq!((flag.code(), flag.missing()), (code, missing));
        }
    }

    #[test]
    fn numbers_in_order_raise_no_flag() {
        let mut state = ReplayState::default();
        for (seq, topic, tseq) in [(0, "a", 0), (1, "b", 0), (2, "a", 1), (3, "b", 1)] {
            let flags = deliver(&mut state, &numbered(topic, 9, seq, tseq));
            assert_eq!(flags, Some(vec![]), "{seq}");
        }
    }

    #[test]
    fn a_filtered_subscriber_sees_no_gap_for_topics_it_did_not_ask_for() {
        let mut state = ReplayState::default();
        deliver(&mut state, &numbered("a", 9, 0, 0));
        assert_eq!(deliver(&mut state, &numbered("a", 9, 500, 1)), Some(vec![]));
    }

    #[test]
    fn a_gap_is_counted_and_a_late_message_taken_back_from_it() {
        let mut state = ReplayState::default();
        deliver(&mut state, &numbered("a", 9, 0, 0));
        let gap = deliver(&mut state, &numbered("a", 9, 3, 3));
        assert_eq!(gap, Some(vec![Flag::Gap { missing: 2 }]));
        let late = deliver(&mut state, &numbered("a", 9, 1, 1));
        assert_eq!(late, Some(vec![Flag::Reordered { recovered: 1 }]));
        assert_eq!(deliver(&mut state, &numbered("a", 9, 4, 4)), Some(vec![]));
    }

    #[test]
    fn order_between_topics_is_flagged_without_taking_anything_back() {
        let mut state = ReplayState::default();
        deliver(&mut state, &numbered("a", 9, 0, 0));
        deliver(&mut state, &numbered("a", 9, 2, 1));
        let other = deliver(&mut state, &numbered("b", 9, 1, 0));
        assert_eq!(other, Some(vec![Flag::Reordered { recovered: 0 }]));
    }

    #[test]
    fn who_joins_late_is_told_how_much_was_missed() {
        let mut state = ReplayState::default();
        let first = deliver(&mut state, &numbered("a", 9, 70, 5));
        assert_eq!(first, Some(vec![Flag::JoinedLate { missed: 5 }]));
        let second = deliver(&mut state, &numbered("b", 9, 71, 1));
        assert_eq!(second, Some(vec![Flag::JoinedLate { missed: 1 }]));
    }

    #[test]
    fn a_second_copy_an_older_epoch_and_a_reused_topic_number_are_refused() {
        let mut state = ReplayState::default();
        deliver(&mut state, &numbered("a", 9, 0, 0));
        deliver(&mut state, &numbered("a", 9, 2_000, 1));
        for (epoch, seq, tseq) in [
            (9, 0, 0),
            (9, 2_000, 1),
            (9, 976, 1),
            (8, 9_999, 9),
            (9, 3_000, 1),
        ] {
            let copy = numbered("a", epoch, seq, tseq);
            assert_eq!(deliver(&mut state, &copy), None, "{epoch} {seq}");
        }
        assert!(deliver(&mut state, &numbered("a", 10, 0, 0)).is_some());
        assert_eq!(deliver(&mut state, &numbered("a", 9, 2_001, 2)), None);
    }

    #[test]
    fn a_gap_across_a_restart_is_seen_from_where_the_topic_stood() {
        let at = |tseq, prev| Statement {
            prev,
            ..numbered("a", 9, tseq, tseq)
        };
        for (statement, missing) in [
            (at(0, Some(Position::new(5, 3))), 0),
            (at(0, Some(Position::new(5, 7))), 4),
            (at(2, None), 2),
            (at(0, Some(Position::new(7, 1))), 2),
            (at(0, Some(Position::new(2, 9))), 0),
            (at(0, None), 0),
        ] {
            let mut state = ReplayState::default();
            deliver(&mut state, &numbered("a", 5, 3, 3));
            let expected = gap(missing).into_iter().collect();
            assert_eq!(
                deliver(&mut state, &statement),
                Some(expected),
                "{statement:?}"
            );
        }
    }

    fn heartbeat(topic: &str, epoch: u64, seq: u64, tseq: u64) -> Statement {
        Statement {
            heartbeat: true,
            ..numbered(topic, epoch, seq, tseq)
        }
    }

    #[test]
    fn a_heartbeat_shows_what_was_lost_at_the_end_once() {
        let mut state = ReplayState::default();
        deliver(&mut state, &numbered("a", 9, 0, 0));
        assert_eq!(deliver(&mut state, &heartbeat("a", 9, 1, 0)), Some(vec![]));
        let lost = deliver(&mut state, &heartbeat("a", 9, 5, 3));
        assert_eq!(lost, Some(vec![Flag::Gap { missing: 3 }]));
        assert_eq!(deliver(&mut state, &heartbeat("a", 9, 6, 3)), Some(vec![]));
        assert_eq!(
            deliver(&mut state, &heartbeat("a", 9, 6, 3)),
            None,
            "a copy"
        );
        // Those that were only late are taken back from it, the last one too.
        for (seq, tseq) in [(4, 3), (3, 2)] {
            let late = deliver(&mut state, &numbered("a", 9, seq, tseq));
            assert_eq!(late, Some(vec![Flag::Reordered { recovered: 1 }]), "{tseq}");
        }
        assert_eq!(deliver(&mut state, &numbered("a", 9, 7, 4)), Some(vec![]));
        assert_eq!(
            deliver(&mut state, &numbered("a", 9, 8, 4)),
            None,
            "a number given twice"
        );
        let stale = deliver(&mut state, &heartbeat("a", 9, 2, 0));
        assert_eq!(
            stale,
            Some(vec![Flag::Reordered { recovered: 0 }]),
            "on its way for long"
        );
    }

    #[test]
    fn a_heartbeat_of_a_topic_or_epoch_not_seen_yet_counts_all_of_it() {
        let mut state = ReplayState::default();
        let first = deliver(&mut state, &heartbeat("a", 9, 4, 2));
        assert_eq!(first, Some(vec![Flag::JoinedLate { missed: 3 }]));
        let next = deliver(&mut state, &heartbeat("a", 10, 4, 1));
        assert_eq!(next, Some(vec![Flag::Gap { missing: 2 }]));
        assert_eq!(deliver(&mut state, &numbered("a", 10, 5, 2)), Some(vec![]));
    }

    #[test]
    fn no_epoch_counts_more_topics_than_the_format_allows() {
        let mut state = full(KEY, 9);
        let one_more = numbered("x", 9, 100_000, 0);
        let refused = state.judge(KEY, &one_more);
        assert!(matches!(
            refused,
            Err(Refused::Malformed(Malformed::TooManyTopics))
        ));
        assert!(deliver(&mut state, &numbered("first", 9, 100_001, 1)).is_some());
        assert!(deliver(&mut state, &numbered("x", 10, 0, 0)).is_some());
    }

    #[test]
    fn a_saved_state_still_refuses_what_was_seen() {
        let mut state = ReplayState::default();
        let seen = numbered("a", 9, 4, 1);
        deliver(&mut state, &seen);
        let text = serde_json::to_string(&state).expect("writes");
        let mut read: ReplayState = serde_json::from_str(&text).expect("reads");
        assert_eq!(read, state);
        assert_eq!(deliver(&mut read, &seen), None);

        for damaged in [
            text.replacen("03", "3", 1),
            text.replace("\"highest\":4", "\"highest\":-4"),
            text.replace("\"epoch\":9", "\"epoch\":null"),
            text.replace("window", "Window"),
        ] {
            assert!(
                serde_json::from_str::<ReplayState>(&damaged).is_err(),
                "{damaged}"
            );
        }
    }
}
