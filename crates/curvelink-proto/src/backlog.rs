//! Messages that wait to be written: framed plaintext with message boundaries.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::blocks::Blocks;
use crate::message::Message;
use crate::wire::command;
use crate::wire::frame_header::{FrameHeader, MAX_HEADER};

/// Bodies of this size and more are shared, not copied: from here on a write of their own costs
/// less than the copy.
const SHARE: usize = 4 * 1024;

/// Blocks grow from the first to the second as messages fill them.
const SMALL_BLOCK: usize = 256;
const LARGE_BLOCK: usize = 64 * 1024;

/// Whole messages and commands in the order they were accepted, already framed as ZMTP frames.
///
/// Framing at once, in the sender's own turn, is cheaper than queueing messages and framing them
/// later. The octets are plaintext, so a backlog outlives the connection that it waits for: what
/// was not wholly written can go out again on the next one.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Complete chunks, in order; a shared body is a chunk of its own.
    chunks: VecDeque<Bytes>,
    /// What follows the chunks.
    tail: BytesMut,
    /// The framed octets of each entry.
    entries: Runs,
    octets: usize,
    /// Earlier tails, of which chunks have parts.
    blocks: Blocks,
    /// How large the tail was made.
    block: usize,
}

/// The lengths of entries in order. Neighbours of one length, which is most of them in a stream of
/// messages of one kind, are one run: what is done for each run is not done for each message.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: VecDeque<Run>,
    entries: usize,
}

/// So many entries of so many octets each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) octets: usize,
    pub(crate) count: usize,
}

impl Runs {
    const fn len(&self) -> usize {
        self.entries
    }

    pub(crate) fn push(&mut self, run: Run) {
        self.entries += run.count;
        match self.runs.back_mut() {
            Some(last) if last.octets == run.octets => last.count += run.count,
            _ => self.runs.push_back(run),
        }
    }

    fn append(&mut self, later: Self) {
        later.into_iter().for_each(|run| self.push(run));
    }

    /// Takes entries from the front until they make up so many octets.
    fn take_front(&mut self, octets: usize) -> Self {
        let mut front = Self::default();
        let mut left = octets;
        while let Some(run) = self.runs.front_mut().filter(|_| left > 0) {
            let whole = left.checked_div(run.octets).unwrap_or(run.count);
            let count = (whole + usize::from(left > whole * run.octets)).min(run.count);
            let octets = run.octets;
            front.push(Run { octets, count });
            left = left.saturating_sub(octets * count);
            self.entries -= count;
            run.count -= count;
            if run.count == 0 {
                self.runs.pop_front();
            }
        }
        front
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().copied()
    }

    pub(crate) fn octets(&self) -> usize {
        self.iter().map(|run| run.octets * run.count).sum()
    }
}

impl IntoIterator for Runs {
    type Item = Run;
    type IntoIter = std::collections::vec_deque::IntoIter<Run>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter()
    }
}

impl Backlog {
    /// A backlog of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages and commands wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// How many framed octets wait.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Appends a message; gives its framed octets. A message without frames appends nothing.
    pub fn push(&mut self, message: &Message) -> usize {
        let before = self.octets;
        let mut left = message.len();
        for frame in message {
            left -= 1;
            let shared = frame.as_shared().filter(|body| body.len() >= SHARE);
            let copied = if shared.is_some() { 0 } else { frame.len() };
            self.make_room(MAX_HEADER + copied);
            let start = self.tail.len();
            FrameHeader::message(frame.len(), left > 0).write(&mut self.tail);
            self.octets += self.tail.len() - start + frame.len();
            if let Some(body) = shared {
                self.chunks.push_back(self.tail.split().freeze());
                self.chunks.push_back(body.clone());
            } else {
                self.tail.extend_from_slice(frame);
            }
        }
        self.enter(before)
    }

    /// Room in the tail for so many octets: a chunk is added rather than that octets are moved.
    fn make_room(&mut self, octets: usize) {
        let free = self.tail.capacity() - self.tail.len();
        if free >= octets || self.tail.is_empty() && self.tail.try_reclaim(octets) {
            return;
        }
        let before = self.block;
        self.block = (4 * before).clamp(SMALL_BLOCK, LARGE_BLOCK);
        let next = self.blocks.room(self.block.max(octets));
        let mut full = std::mem::replace(&mut self.tail, next);
        if !full.is_empty() {
            self.chunks.push_back(full.split().freeze());
        }
        self.blocks.lend(full, before);
    }

    /// Gives memory back: nothing comes for now.
    pub fn rest(&mut self) {
        self.blocks.rest();
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Appends a subscription, or its end, in the form of ZMTP 3.1; gives its framed octets.
    pub fn push_subscription(&mut self, prefix: &[u8], subscribe: bool) -> usize {
        let before = self.octets;
        let name = if subscribe {
            command::SUBSCRIBE
        } else {
            command::CANCEL
        };
        self.make_room(MAX_HEADER + 1 + name.len() + prefix.len());
        let start = self.tail.len();
        let _always_named = command::write(&mut self.tail, name, prefix);
        self.octets += self.tail.len() - start;
        self.enter(before)
    }

    /// Notes an entry, of which the octets are there; gives how many these are.
    fn enter(&mut self, before: usize) -> usize {
        let octets = self.octets - before;
        if octets > 0 {
            self.entries.push(Run { octets, count: 1 });
        }
        octets
    }

    /// Appends all that `later` holds.
    pub fn append(&mut self, mut later: Self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
        self.chunks.append(&mut later.chunks);
        self.tail = later.tail;
        self.entries.append(later.entries);
        self.octets += later.octets;
    }

    /// Takes all, leaving the empty backlog with its memory.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let chunks = std::mem::take(&mut self.chunks);
        let tail = self.tail.split();
        let entries = std::mem::take(&mut self.entries);
        Self {
            chunks,
            tail,
            entries,
            octets: std::mem::take(&mut self.octets),
            ..Self::default()
        }
    }

    /// Takes from the front as many entries as make up so many octets, at least one if there is any.
    #[must_use]
    pub fn take_front(&mut self, octets: usize) -> Self {
        if self.octets <= octets {
            return self.take();
        }
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
        let mut front = Self {
            entries: self.entries.take_front(octets.max(1)),
            ..Self::default()
        };
        front.octets = front.entries.octets();
        self.octets -= front.octets;
        let mut left = front.octets;
        while let Some(chunk) = self.chunks.front_mut().filter(|_| left > 0) {
            let part = chunk.split_to(left.min(chunk.len()));
            left -= part.len();
            front.chunks.push_back(part);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        front
    }

    pub(crate) fn from_parts(chunks: VecDeque<Bytes>, entries: Runs) -> Self {
        let octets = entries.octets();
        Self {
            chunks,
            entries,
            octets,
            ..Self::default()
        }
    }

    /// The octets in chunks, and the length of each entry.
    pub(crate) fn into_parts(mut self) -> (VecDeque<Bytes>, Runs) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.freeze());
        }
        (self.chunks, self.entries)
    }
}

/// Walks the frames of chunks that a [`Backlog`] made: a header and its body stand in one chunk,
/// or the body is the whole next chunk.
pub(crate) struct Frames<'a> {
    chunks: std::collections::vec_deque::Iter<'a, Bytes>,
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(crate) fn of(chunks: &'a VecDeque<Bytes>) -> Self {
        Self {
            chunks: chunks.iter(),
            rest: &[],
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (FrameHeader, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.rest.is_empty() {
            self.rest = self.chunks.next()?;
        }
        let (header, length) = FrameHeader::parse(self.rest, usize::MAX).ok().flatten()?;
        let after = self.rest.get(length..)?;
        if header.length > 0 && after.is_empty() {
            self.rest = &[];
            return Some((header, self.chunks.next()?));
        }
        let (body, rest) = after.split_at_checked(header.length)?;
        self.rest = rest;
        Some((header, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(backlog: Backlog) -> Vec<(bool, Vec<u8>)> {
        let (chunks, entries) = backlog.into_parts();
        let octets: usize = chunks.iter().map(Bytes::len).sum();
        assert_eq!(octets, entries.octets());
        Frames::of(&chunks)
            .map(|(header, body)| (header.flags.more, body.to_vec()))
            .collect()
    }

    #[test]
    fn frames_of_every_size_are_walked_as_they_were_pushed() {
        let mut backlog = Backlog::new();
        let mut expected = Vec::new();
        for size in [0, 1, 62, 63, 255, 256, SHARE - 1, SHARE, SHARE + 1, 100_000] {
            backlog.push(&vec![7; size].into());
            expected.push((false, vec![7; size]));
            backlog.push(&[vec![1; size], vec![], vec![2; size]].into());
            expected.extend([
                (true, vec![1; size]),
                (true, vec![]),
                (false, vec![2; size]),
            ]);
        }
        assert_eq!(backlog.push(&Message::new()), 0);
        assert_eq!(backlog.len(), 20);
        assert_eq!(frames(backlog), expected);
    }

    #[test]
    fn what_is_taken_from_the_front_is_whole_messages_and_enough_of_them() {
        for most in [1, 2, 3, 17, 100, 4999, 5000, 20_000, 1 << 20] {
            let mut backlog = Backlog::new();
            let sizes = [0, 1, 1, 1, 5000, 300, 300, 4096, 70_000, 2, 2];
            for size in sizes {
                backlog.push(&vec![7; size].into());
            }
            let (all, mut bodies) = (backlog.octets(), Vec::new());
            let mut taken = 0;
            while !backlog.is_empty() {
                let front = backlog.take_front(most);
                taken += front.octets();
                assert_eq!(taken + backlog.octets(), all, "{most}");
                assert!(front.octets() >= most || backlog.is_empty(), "{most}");
                let last = frames(front);
                let enough: usize = last.iter().map(|(_, body)| body.len() + 9).sum();
                let before = enough - last.last().unwrap().1.len() - 9;
                assert!(
                    before < most + last.len() * 9,
                    "{most}: one message too many"
                );
                bodies.extend(last.into_iter().map(|(_, body)| body.len()));
            }
            assert_eq!(bodies, sizes, "{most}");
        }
    }

    #[test]
    fn appending_keeps_the_order_and_the_count() {
        let mut backlog = Backlog::new();
        backlog.push(&"a".into());
        let mut later = backlog.take();
        assert!(backlog.is_empty() && backlog.octets() == 0);
        backlog.push(&"b".into());
        later.append(backlog);
        later.push(&"c".into());
        assert_eq!((later.len(), later.octets()), (3, 9));
        let bodies: Vec<_> = frames(later).into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, [b"a", b"b", b"c"]);
    }
}
