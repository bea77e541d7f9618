//! Memory that messages have parts of, used again when they are gone.

use bytes::BytesMut;

/// How many blocks are remembered.
const LENT: usize = 2;

/// The largest block that is, octets: what a busy link keeps beside its queues is bounded by these
/// two.
const LARGEST: usize = 2 * 1024 * 1024;

/// Blocks that were filled and handed out. One whose messages are dropped, or written, by the time
/// that another is needed costs no allocation, no page of the system's, and is still in the
/// processor's cache.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Vec<BytesMut>);

impl Blocks {
    /// An empty block with room for so many octets: the one that was handed out last, of those that
    /// are free.
    pub(crate) fn room(&mut self, octets: usize) -> BytesMut {
        let free = |block: &mut BytesMut| block.try_reclaim(octets);
        match self.0.iter_mut().rposition(free) {
            Some(place) => self.0.remove(place),
            None => BytesMut::with_capacity(octets),
        }
    }

    /// Remembers a block of which others have parts, and which was made for so many octets.
    pub(crate) fn lend(&mut self, mut block: BytesMut, octets: usize) {
        if octets > LARGEST {
            return;
        }
        block.clear();
        if self.0.len() == LENT {
            self.0.remove(0);
        }
        self.0.push(block);
    }

    /// Forgets all: their memory is freed with what has parts of them.
    pub(crate) fn rest(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_nobody_has_a_part_of_it() {
        let mut blocks = Blocks::default();
        let mut block = blocks.room(1000);
        block.extend_from_slice(&[7; 1000]);
        let (place, part) = (block.as_ptr(), block.split().freeze());
        blocks.lend(block, 1000);
        let other = blocks.room(1000);
        assert_ne!(other.as_ptr(), place, "somebody has a part of it");
        assert_eq!(part[..], [7; 1000]);
        drop(part);
        let again = blocks.room(900);
        assert!(again.is_empty() && again.capacity() >= 900);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn few_are_remembered_and_none_after_a_rest() {
        let mut blocks = Blocks::default();
        for _ in 0..3 * LENT {
            blocks.lend(BytesMut::with_capacity(10), 10);
        }
        assert_eq!(blocks.0.len(), LENT);
        blocks.rest();
        blocks.lend(BytesMut::new(), LARGEST + 1);
        assert!(blocks.0.is_empty(), "too large to be kept");
        blocks.rest();
        assert_eq!(blocks.0.capacity(), 0);
    }
}
