//! Who subscribed to what: at the publisher a set for each peer, at the subscriber counts.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::trie::Trie;
use crate::pipe::PipeId;

/// Most distinct prefixes of one peer.
pub(crate) const MAX_PREFIXES: usize = 10_000;

/// Most octets of all prefixes of one peer.
pub(crate) const MAX_OCTETS: usize = 16 << 20;

/// The subscriptions of a publisher's peers. A peer has a prefix or has it not: subscribers count
/// for themselves, and cancel once what they subscribed to several times.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    of: HashMap<PipeId, Held>,
    trie: Trie,
}

/// What one peer has.
#[derive(Debug, Default)]
struct Held {
    prefixes: HashSet<Bytes>,
    octets: usize,
}

impl Held {
    fn has_room(&self, prefix: &Bytes) -> bool {
        self.prefixes.len() < MAX_PREFIXES && self.octets + prefix.len() <= MAX_OCTETS
    }

    fn remove(&mut self, prefix: &[u8]) -> bool {
        let known = self.prefixes.remove(prefix);
        self.octets -= if known { prefix.len() } else { 0 };
        known
    }
}

/// What a subscription changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The prefix is the first of its kind, or was the last, over all peers.
    ForAll,
    /// Others have the same prefix.
    ForOne,
    /// The peer has the prefix already, or cancels one that it has not.
    Nothing,
    /// The peer has too many prefixes, or too long ones: nothing was added.
    TooMany,
}

impl Subscriptions {
    pub(super) fn add(&mut self, pipe: PipeId, prefix: &Bytes) -> Change {
        let held = self.of.entry(pipe).or_default();
        if held.prefixes.contains(prefix) {
            return Change::Nothing;
        }
        if !held.has_room(prefix) {
            return Change::TooMany;
        }
        held.octets += prefix.len();
        held.prefixes.insert(prefix.clone());
        if self.trie.insert(prefix, pipe) {
            Change::ForAll
        } else {
            Change::ForOne
        }
    }

    pub(super) fn remove(&mut self, pipe: PipeId, prefix: &[u8]) -> Change {
        let held = self.of.get_mut(&pipe);
        if !held.is_some_and(|held| held.remove(prefix)) {
            return Change::Nothing;
        }
        if self.trie.remove(prefix, pipe) {
            Change::ForAll
        } else {
            Change::ForOne
        }
    }

    /// Forgets a peer; gives its prefixes, each with whether nobody else has it.
    pub(super) fn remove_pipe(&mut self, pipe: PipeId) -> Vec<(Bytes, bool)> {
        let held = self.of.remove(&pipe).unwrap_or_default();
        let removed = held.prefixes.into_iter().map(|prefix| {
            let last = self.trie.remove(&prefix, pipe);
            (prefix, last)
        });
        removed.collect()
    }

    /// Calls `found` with each pipe that has a prefix of `topic`; with several such prefixes, as
    /// often as it has them.
    pub(super) fn matching(&self, topic: &[u8], found: impl FnMut(PipeId)) {
        self.trie.matching(topic, found);
    }

    /// How many prefixes a peer has.
    pub(super) fn of(&self, pipe: PipeId) -> usize {
        self.of.get(&pipe).map_or(0, |held| held.prefixes.len())
    }

    /// How many distinct prefixes there are, over all peers.
    pub(super) const fn len(&self) -> usize {
        self.trie.len()
    }
}

/// What a subscriber wants. Counted: N subscribes need N cancels (R37-70).
#[derive(Debug, Default)]
pub(super) struct Wanted {
    counts: BTreeMap<Bytes, u32>,
    trie: Trie,
}

impl Wanted {
    pub(super) fn add(&mut self, prefix: &Bytes) {
        let count = self.counts.entry(prefix.clone()).or_default();
        *count = count.saturating_add(1);
        if *count == 1 {
            self.trie.insert(prefix, PipeId::OWN);
        }
    }

    /// Whether that was the last of its kind; an unknown prefix is none.
    pub(super) fn remove(&mut self, prefix: &[u8]) -> bool {
        let Some(count) = self.counts.get_mut(prefix) else {
            return false;
        };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.counts.remove(prefix);
        self.trie.remove(prefix, PipeId::OWN)
    }

    /// Whether a topic begins with a prefix that is wanted.
    pub(super) fn matches(&self, topic: &[u8]) -> bool {
        let mut found = false;
        self.trie.matching(topic, |_| found = true);
        found
    }

    /// The distinct prefixes, in the order of their octets.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &Bytes> {
        self.counts.keys()
    }

    /// How many distinct prefixes there are.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn matches(subscriptions: &Subscriptions, topic: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        subscriptions.matching(topic, |pipe| {
            found.insert(pipe.index());
        });
        found
    }

    /// A small generator with a printed seed: what matters is that a failure can be repeated.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % sides
        }

        fn word(&mut self, length: usize) -> Vec<u8> {
            (0..self.roll(length))
                .map(|_| b'a' + self.roll(3) as u8)
                .collect()
        }
    }

    /// What the subscriptions should be: one entry for each pipe and prefix, in no order.
    #[derive(Default)]
    struct Model(BTreeSet<(usize, Vec<u8>)>);

    impl Model {
        fn anybody_has(&self, prefix: &[u8]) -> bool {
            self.0.iter().any(|(_, x)| x == prefix)
        }

        fn add(&mut self, pipe: usize, prefix: Vec<u8>) -> Change {
            let shared = self.anybody_has(&prefix);
            match (self.0.insert((pipe, prefix)), shared) {
                (false, _) => Change::Nothing,
                (true, true) => Change::ForOne,
                (true, false) => Change::ForAll,
            }
        }

        fn remove(&mut self, pipe: usize, prefix: &[u8]) -> Change {
            let known = self.0.remove(&(pipe, prefix.to_vec()));
            match (known, self.anybody_has(prefix)) {
                (false, _) => Change::Nothing,
                (true, true) => Change::ForOne,
                (true, false) => Change::ForAll,
            }
        }

        fn remove_pipe(&mut self, pipe: usize) -> BTreeSet<(Vec<u8>, bool)> {
            let all = std::mem::take(&mut self.0);
            let (gone, left) = all.into_iter().partition(|(p, _)| *p == pipe);
            self.0 = left;
            let gone: BTreeSet<(usize, Vec<u8>)> = gone;
            gone.into_iter()
                .map(|(_, prefix)| {
                    let last = !self.anybody_has(&prefix);
                    (prefix, last)
                })
                .collect()
        }

        fn matches(&self, topic: &[u8]) -> BTreeSet<usize> {
            let matching = self.0.iter().filter(|(_, x)| topic.starts_with(x));
            matching.map(|(p, _)| *p).collect()
        }

        fn distinct(&self) -> usize {
            self.0.iter().map(|(_, x)| x).collect::<BTreeSet<_>>().len()
        }
    }

    #[test]
    fn the_trie_agrees_with_a_list_of_prefixes() {
        let seed = std::process::id().into();
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut subscriptions = Subscriptions::default();
        let mut model = Model::default();
        for _ in 0..20_000 {
            let id = dice.roll(4);
            let pipe = PipeId::new(id);
            let prefix = dice.word(7);
            match dice.roll(10) {
                0..5 => {
                    let change = subscriptions.add(pipe, &prefix.clone().into());
                    assert_eq!(change, model.add(id, prefix));
                }
                5..9 => {
                    let change = subscriptions.remove(pipe, &prefix);
                    assert_eq!(change, model.remove(id, &prefix));
                }
                _ => {
                    let removed = subscriptions.remove_pipe(pipe).into_iter();
                    let removed: BTreeSet<_> =
                        removed.map(|(x, last)| (x.to_vec(), last)).collect();
                    assert_eq!(removed, model.remove_pipe(id));
                }
            }
            let topic = dice.word(9);
            assert_eq!(matches(&subscriptions, &topic), model.matches(&topic));
            assert_eq!(subscriptions.len(), model.distinct());
        }
        for pipe in 0..4 {
            subscriptions.remove_pipe(PipeId::new(pipe));
        }
        assert!(subscriptions.trie.is_bare(), "nothing is left but the root");
    }

    #[test]
    fn as_many_cancels_as_subscribes_end_what_is_wanted() {
        let mut wanted = Wanted::default();
        let prefix = Bytes::from("a");
        assert!(!wanted.remove(&prefix), "an unknown one is not the last");
        wanted.add(&prefix);
        wanted.add(&prefix);
        for other in ["c", "ab", "b"] {
            wanted.add(&other.into());
        }
        let told: Vec<_> = wanted.prefixes().collect();
        assert_eq!(told, ["a", "ab", "b", "c"]);
        for other in ["c", "ab", "b"] {
            assert!(wanted.remove(other.as_bytes()));
        }
        assert_eq!(wanted.len(), 1);
        assert!(!wanted.remove(&prefix) && wanted.matches(b"ab"));
        assert!(wanted.remove(&prefix) && !wanted.matches(b"ab"));
        assert_eq!(wanted.len(), 0);
    }

    #[test]
    fn t08_long_and_many_prefixes_cost_no_stack() {
        let walk = || {
            let mut subscriptions = Subscriptions::default();
            let long = Bytes::from(vec![7; 1 << 20]);
            assert_eq!(subscriptions.add(PipeId::new(0), &long), Change::ForAll);
            for length in (0..1 << 20).step_by(1 << 12) {
                subscriptions.add(PipeId::new(1), &long.slice(..length));
            }
            assert_eq!(matches(&subscriptions, &long), BTreeSet::from([0, 1]));
            assert_eq!(
                subscriptions.remove(PipeId::new(0), b"unknown"),
                Change::Nothing
            );
            assert_eq!(subscriptions.remove(PipeId::new(0), &long), Change::ForAll);
            subscriptions.remove_pipe(PipeId::new(1));
        };
        on_a_small_stack(walk);
    }

    #[test]
    fn t08_a_million_prefixes_that_begin_alike_cost_no_stack() {
        on_a_small_stack(|| {
            let mut subscriptions = Subscriptions::default();
            let pipes = 1_000_000 / MAX_PREFIXES;
            let prefix = |pipe: usize, number: usize| {
                let name = format!("site/1/sensor/{number}/of/{pipe}");
                Bytes::from(name)
            };
            for pipe in 0..pipes {
                for number in 0..MAX_PREFIXES {
                    let change = subscriptions.add(PipeId::new(pipe), &prefix(pipe, number));
                    assert_eq!(change, Change::ForAll);
                }
            }
            for pipe in [0, pipes - 1] {
                let topic = [&prefix(pipe, 77)[..], b"/kelvin"].concat();
                let of = matches(&subscriptions, &topic);
                assert!(of.contains(&pipe), "{pipe}");
            }
            assert!(matches(&subscriptions, b"site/1/sensor/77").is_empty());
            let unknown = subscriptions.remove(PipeId::new(0), b"site/1/sensor/");
            assert_eq!(unknown, Change::Nothing);
            for pipe in 0..pipes {
                subscriptions.remove_pipe(PipeId::new(pipe));
            }
            assert!(matches(&subscriptions, &prefix(0, 77)).is_empty());
        });
    }

    /// Recursion over what a peer sent would end the process here.
    fn on_a_small_stack(walk: fn()) {
        let thread = std::thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(walk)
            .unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn t18_one_peer_has_a_bounded_number_of_prefixes() {
        let mut subscriptions = Subscriptions::default();
        let (one, other) = (PipeId::new(0), PipeId::new(1));
        for i in 0..MAX_PREFIXES {
            let prefix = Bytes::from(format!("{i}."));
            assert_ne!(subscriptions.add(one, &prefix), Change::TooMany);
        }
        assert_eq!(subscriptions.add(one, &Bytes::from("x")), Change::TooMany);
        assert_eq!(subscriptions.add(other, &Bytes::from("x")), Change::ForAll);
    }

    #[test]
    fn t18_the_prefixes_of_one_peer_have_so_many_octets_together() {
        let mut subscriptions = Subscriptions::default();
        let (one, other) = (PipeId::new(0), PipeId::new(1));
        let prefix = |i: usize| Bytes::from([&i.to_be_bytes()[..], &[0; 4088]].concat());
        let all = MAX_OCTETS / 4096;
        for i in 0..all {
            assert_eq!(subscriptions.add(one, &prefix(i)), Change::ForAll);
            assert_eq!(subscriptions.add(one, &prefix(i)), Change::Nothing);
        }
        assert_eq!(subscriptions.add(one, &Bytes::from("x")), Change::TooMany);
        assert_eq!(subscriptions.add(other, &Bytes::from("x")), Change::ForAll);
        for _ in 0..3 {
            assert_eq!(subscriptions.remove(one, &prefix(0)), Change::ForAll);
            assert_eq!(subscriptions.remove(one, &prefix(0)), Change::Nothing);
            assert_eq!(subscriptions.add(one, &prefix(0)), Change::ForAll);
        }
        assert_eq!(subscriptions.add(one, &prefix(all)), Change::TooMany);
    }
}
