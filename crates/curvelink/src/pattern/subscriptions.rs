//! Who subscribed to what: a radix trie of prefixes, and the counts behind it.

use std::collections::HashMap;

use bytes::Bytes;

use crate::pipe::PipeId;

/// Most distinct prefixes of one peer.
pub(crate) const MAX_PREFIXES: usize = 10_000;

/// The subscriptions of many peers. Subscriptions are counted: N subscribes need N cancels
/// (RFC 29, "SUB Socket Type").
#[derive(Debug)]
pub(crate) struct Subscriptions {
    counts: HashMap<PipeId, HashMap<Bytes, u32>>,
    trie: Trie,
    /// Most distinct prefixes of one pipe.
    limit: usize,
}

/// What a subscription changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The prefix is the first of its kind, or was the last, over all peers.
    ForAll,
    /// Others have the same prefix.
    ForOne,
    /// Nothing but a count, or an unknown prefix was cancelled.
    Nothing,
    /// The peer has too many prefixes: nothing was added.
    TooMany,
}

impl Subscriptions {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            counts: HashMap::new(),
            trie: Trie::default(),
            limit,
        }
    }

    pub(crate) fn add(&mut self, pipe: PipeId, prefix: &Bytes) -> Change {
        let counts = self.counts.entry(pipe).or_default();
        if let Some(count) = counts.get_mut(prefix) {
            *count = count.saturating_add(1);
            return Change::Nothing;
        }
        if counts.len() >= self.limit {
            return Change::TooMany;
        }
        counts.insert(prefix.clone(), 1);
        if self.trie.insert(prefix, pipe) {
            Change::ForAll
        } else {
            Change::ForOne
        }
    }

    pub(crate) fn remove(&mut self, pipe: PipeId, prefix: &[u8]) -> Change {
        let Some(counts) = self.counts.get_mut(&pipe) else {
            return Change::Nothing;
        };
        let Some(count) = counts.get_mut(prefix) else {
            return Change::Nothing;
        };
        *count -= 1;
        if *count > 0 {
            return Change::Nothing;
        }
        counts.remove(prefix);
        if self.trie.remove(prefix, pipe) {
            Change::ForAll
        } else {
            Change::ForOne
        }
    }

    /// Forgets a peer; gives the prefixes that nobody else has.
    pub(crate) fn remove_pipe(&mut self, pipe: PipeId) -> Vec<Bytes> {
        let prefixes = self.counts.remove(&pipe).unwrap_or_default();
        prefixes
            .into_keys()
            .filter(|prefix| self.trie.remove(prefix, pipe))
            .collect()
    }

    /// The distinct prefixes of a pipe.
    pub(crate) fn of(&self, pipe: PipeId) -> impl Iterator<Item = &Bytes> {
        self.counts.get(&pipe).into_iter().flat_map(HashMap::keys)
    }

    /// Calls `found` with each pipe that has a prefix of `topic`; with several such prefixes, as
    /// often as it has them.
    pub(crate) fn matching(&self, topic: &[u8], found: impl FnMut(PipeId)) {
        self.trie.matching(topic, found);
    }
}

/// A radix trie in one vector: an edge may carry many octets, so memory follows the octets of the
/// prefixes, and every walk is a loop, so that no peer decides how deep our stack goes.
#[derive(Debug)]
struct Trie {
    nodes: Vec<Node>,
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Node {
    /// The octets between the parent and this node.
    label: Vec<u8>,
    /// Children, sorted by the first octet of their labels, which all differ.
    children: Vec<(u8, usize)>,
    pipes: Vec<PipeId>,
}

const ROOT: usize = 0;

impl Default for Trie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
        }
    }
}

impl Trie {
    /// Adds a pipe to a prefix; whether it is the prefix's first.
    fn insert(&mut self, prefix: &[u8], pipe: PipeId) -> bool {
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some(first) = rest.first() {
            let slot = self.nodes[at]
                .children
                .binary_search_by_key(first, |child| child.0);
            match slot {
                Err(slot) => {
                    let leaf = self.allocate(rest.to_vec());
                    self.nodes[at].children.insert(slot, (*first, leaf));
                    at = leaf;
                    rest = &[];
                }
                Ok(slot) => {
                    let child = self.nodes[at].children[slot].1;
                    let common = common_prefix(&self.nodes[child].label, rest);
                    if common < self.nodes[child].label.len() {
                        self.split(child, common);
                    }
                    at = child;
                    rest = &rest[common..];
                }
            }
        }
        let pipes = &mut self.nodes[at].pipes;
        pipes.push(pipe);
        pipes.len() == 1
    }

    /// Cuts a node's label: the node keeps the first `length` octets, a new child has the rest.
    fn split(&mut self, node: usize, length: usize) {
        let rest = self.nodes[node].label.split_off(length);
        let first = rest[0];
        let lower = self.allocate(rest);
        let children = std::mem::replace(&mut self.nodes[node].children, vec![(first, lower)]);
        self.nodes[lower].children = children;
        self.nodes[lower].pipes = std::mem::take(&mut self.nodes[node].pipes);
    }

    fn allocate(&mut self, label: Vec<u8>) -> usize {
        let node = Node {
            label,
            ..Node::default()
        };
        match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        }
    }

    /// Takes a pipe off a prefix; whether nobody has the prefix any more.
    fn remove(&mut self, prefix: &[u8], pipe: PipeId) -> bool {
        let mut path = Vec::new();
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some(first) = rest.first() {
            let Ok(slot) = self.nodes[at]
                .children
                .binary_search_by_key(first, |child| child.0)
            else {
                return false;
            };
            let child = self.nodes[at].children[slot].1;
            let Some(after) = rest.strip_prefix(&self.nodes[child].label[..]) else {
                return false;
            };
            path.push((at, slot));
            at = child;
            rest = after;
        }
        let pipes = &mut self.nodes[at].pipes;
        let Some(index) = pipes.iter().position(|known| *known == pipe) else {
            return false;
        };
        pipes.swap_remove(index);
        let last = pipes.is_empty();
        self.prune(at, path);
        last
    }

    /// Frees nodes that say nothing any more, from the leaf upwards.
    fn prune(&mut self, mut at: usize, mut path: Vec<(usize, usize)>) {
        while let Some((parent, slot)) = path.pop() {
            let node = &self.nodes[at];
            if !node.pipes.is_empty() || node.children.len() > 1 {
                return;
            }
            if let [(_, child)] = node.children[..] {
                // One child and nobody here: the child takes the node's place.
                let mut label = std::mem::take(&mut self.nodes[at].label);
                label.append(&mut self.nodes[child].label);
                self.nodes[child].label = label;
                self.nodes[parent].children[slot].1 = child;
                self.release(at);
                return;
            }
            self.nodes[parent].children.remove(slot);
            self.release(at);
            at = parent;
        }
    }

    fn release(&mut self, node: usize) {
        self.nodes[node] = Node::default();
        self.free.push(node);
    }

    fn matching(&self, topic: &[u8], mut found: impl FnMut(PipeId)) {
        let mut at = ROOT;
        let mut rest = topic;
        loop {
            self.nodes[at].pipes.iter().copied().for_each(&mut found);
            let Some(first) = rest.first() else { return };
            let children = &self.nodes[at].children;
            let Ok(slot) = children.binary_search_by_key(first, |child| child.0) else {
                return;
            };
            let child = children[slot].1;
            let Some(after) = rest.strip_prefix(&self.nodes[child].label[..]) else {
                return;
            };
            at = child;
            rest = after;
        }
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
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
    }

    /// What the subscriptions should be: one entry for each, in no order.
    #[derive(Default)]
    struct Model(Vec<(usize, Vec<u8>)>);

    impl Model {
        fn has(&self, pipe: usize, prefix: &[u8]) -> bool {
            self.0.iter().any(|(p, x)| *p == pipe && x == prefix)
        }

        fn anybody_has(&self, prefix: &[u8]) -> bool {
            self.0.iter().any(|(_, x)| x == prefix)
        }

        fn add(&mut self, pipe: usize, prefix: Vec<u8>) -> Change {
            let change = match (self.has(pipe, &prefix), self.anybody_has(&prefix)) {
                (true, _) => Change::Nothing,
                (false, true) => Change::ForOne,
                (false, false) => Change::ForAll,
            };
            self.0.push((pipe, prefix));
            change
        }

        fn remove(&mut self, pipe: usize, prefix: &[u8]) -> Change {
            let here = self.0.iter().position(|(p, x)| *p == pipe && x == prefix);
            let Some(index) = here else {
                return Change::Nothing;
            };
            self.0.remove(index);
            match (self.has(pipe, prefix), self.anybody_has(prefix)) {
                (true, _) => Change::Nothing,
                (false, true) => Change::ForOne,
                (false, false) => Change::ForAll,
            }
        }

        /// How many prefixes nobody has any more.
        fn remove_pipe(&mut self, pipe: usize) -> usize {
            let distinct = |model: &Self| -> usize {
                model
                    .0
                    .iter()
                    .map(|(_, x)| x.clone())
                    .collect::<BTreeSet<_>>()
                    .len()
            };
            let before = distinct(self);
            self.0.retain(|(p, _)| *p != pipe);
            before - distinct(self)
        }

        fn matches(&self, topic: &[u8]) -> BTreeSet<usize> {
            self.0
                .iter()
                .filter(|(_, x)| topic.starts_with(x))
                .map(|(p, _)| *p)
                .collect()
        }
    }

    #[test]
    fn the_trie_agrees_with_a_list_of_prefixes() {
        let seed = std::process::id().into();
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut subscriptions = Subscriptions::new(MAX_PREFIXES);
        let mut model = Model::default();
        for _ in 0..20_000 {
            let id = dice.roll(4);
            let pipe = PipeId::new(id);
            let prefix: Vec<u8> = (0..dice.roll(7))
                .map(|_| b'a' + dice.roll(3) as u8)
                .collect();
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
                    let orphans = subscriptions.remove_pipe(pipe);
                    assert_eq!(orphans.len(), model.remove_pipe(id));
                }
            }
            let topic: Vec<u8> = (0..dice.roll(9))
                .map(|_| b'a' + dice.roll(3) as u8)
                .collect();
            assert_eq!(matches(&subscriptions, &topic), model.matches(&topic));
        }
        for pipe in 0..4 {
            subscriptions.remove_pipe(PipeId::new(pipe));
        }
        let trie = &subscriptions.trie;
        assert_eq!(
            trie.nodes.len() - trie.free.len(),
            1,
            "nothing is left but the root"
        );
    }

    #[test]
    fn t08_long_and_many_prefixes_cost_no_stack() {
        let walk = || {
            let mut subscriptions = Subscriptions::new(MAX_PREFIXES);
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
        let thread = std::thread::Builder::new()
            .stack_size(128 * 1024)
            .spawn(walk)
            .unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn t18_one_peer_has_a_bounded_number_of_prefixes() {
        let mut subscriptions = Subscriptions::new(MAX_PREFIXES);
        for i in 0..MAX_PREFIXES {
            let prefix = Bytes::from(format!("{i}."));
            assert_ne!(subscriptions.add(PipeId::new(0), &prefix), Change::TooMany);
        }
        assert_eq!(
            subscriptions.add(PipeId::new(0), &Bytes::from("x")),
            Change::TooMany
        );
        assert_eq!(
            subscriptions.add(PipeId::new(1), &Bytes::from("x")),
            Change::ForAll
        );
    }
}
