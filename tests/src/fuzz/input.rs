//! An input read as a list of choices. At its end every choice is 0, which in each target is what
//! a good peer does: the empty input is a good handshake, and each octet is one thing to go wrong.

use crate::support::random::Random;

#[derive(Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.octet()) % end
    }

    /// One of two octets' worth.
    pub(super) fn wide(&mut self) -> usize {
        usize::from(self.octet()) << 8 | usize::from(self.octet())
    }

    /// The next octets, fewer at the end.
    pub(super) fn take(&mut self, at_most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(at_most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Octets after their length, of one octet.
    pub(super) fn chunk(&mut self) -> &'a [u8] {
        let length = self.octet();
        self.take(usize::from(length))
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.take(self.0.len())
    }

    /// A good counter, or one that an attacker would try.
    pub(super) fn counter(&mut self, good: u64) -> u64 {
        match self.octet() {
            1 => 0,
            2 => good.wrapping_add(1),
            3 => good.wrapping_sub(1),
            4 => u64::MAX,
            5 => u64::MAX - 1,
            6 => good ^ 1 << 63,
            7 => good.swap_bytes(),
            _ => good,
        }
    }

    /// Leaves octets as they are, or changes one of them; whether it did.
    pub(super) fn flip(&mut self, octets: &mut [u8]) -> bool {
        if self.octet().is_multiple_of(4) || octets.is_empty() {
            return false;
        }
        let at = self.wide() % octets.len();
        octets[at] ^= 1 << self.below(8);
        true
    }
}

/// Octets as a network may deliver them: in pieces, of one octet each for `step` 0.
pub(super) fn pieces(mut octets: &[u8], step: u8) -> impl Iterator<Item = &[u8]> {
    let mut random = Random::seeded(step.into());
    std::iter::from_fn(move || {
        let length = 1 + random.below(usize::from(step) + 1);
        let (piece, rest) = octets.split_at(length.min(octets.len()));
        octets = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
