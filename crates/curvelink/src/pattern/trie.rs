//! A radix trie of prefixes, and the pipes that have them.

use crate::pipe::PipeId;

/// A radix trie in one vector: an edge may carry many octets, so memory follows the octets of the
/// prefixes, and every walk is a loop, so that no peer decides how deep our stack goes.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<usize>,
    /// Prefixes that somebody has.
    prefixes: usize,
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
            prefixes: 0,
        }
    }
}

impl Trie {
    /// How many distinct prefixes there are.
    pub(super) const fn len(&self) -> usize {
        self.prefixes
    }

    /// Whether nothing is held but the root.
    #[cfg(test)]
    pub(super) const fn is_bare(&self) -> bool {
        self.nodes.len() - self.free.len() == 1
    }

    /// Adds a pipe to a prefix; whether it is the prefix's first.
    pub(super) fn insert(&mut self, prefix: &[u8], pipe: PipeId) -> bool {
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
        let first = pipes.len() == 1;
        self.prefixes += usize::from(first);
        first
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
    pub(super) fn remove(&mut self, prefix: &[u8], pipe: PipeId) -> bool {
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
        self.prefixes -= usize::from(last);
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

    /// Calls `found` with each pipe that has a prefix of `topic`; with several such prefixes, as
    /// often as it has them.
    pub(super) fn matching(&self, topic: &[u8], mut found: impl FnMut(PipeId)) {
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
