//! One direction of a connection, which cuts, breaks and forges as it is told.

use std::cmp::Reverse;
use std::mem;

/// How octets arrive: what one read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All that is there.
    Whole,
    /// One octet at a time.
    Octets,
}

impl Cut {
    /// Behaviour must not depend on it, so each test of behaviour runs with both.
    pub(super) const BOTH: [Self; 2] = [Self::Whole, Self::Octets];

    pub(super) const fn read(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Octets => 1,
        }
    }
}

/// What happens to a stretch of octets on the way.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// So many octets are lost.
    Drop(usize),
    /// So many octets come twice.
    Repeat(usize),
    /// One octet is changed.
    Flip(u8),
    /// Octets that nobody sent come before.
    Insert(Vec<u8>),
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) under_way: Vec<u8>,
    /// All that was ever written, before any fault.
    pub(super) record: Vec<u8>,
    /// Faults, each at an octet of `record`.
    pub(super) faults: Vec<(usize, Fault)>,
    /// After how many octets the wire takes no more.
    pub(super) breaks_at: Option<usize>,
    pub(super) closed: bool,
}

impl Wire {
    pub(super) fn room(&self) -> usize {
        self.breaks_at.map_or(usize::MAX, |breaks_at| {
            breaks_at.saturating_sub(self.record.len())
        })
    }

    pub(super) fn write(&mut self, octets: &[u8]) {
        self.under_way.extend_from_slice(octets);
        self.record.extend_from_slice(octets);
    }

    /// Gives what has come to the other end.
    pub(super) fn carry(&mut self) -> Vec<u8> {
        let mut octets = mem::take(&mut self.under_way);
        let start = self.record.len() - octets.len();
        let mut faults = self.faults.clone();
        // From the end, so that no fault moves the place of another.
        faults.sort_by_key(|(at, _)| Reverse(*at));
        for (at, fault) in faults {
            let Some(at) = at.checked_sub(start).filter(|at| *at < octets.len()) else {
                continue;
            };
            match fault {
                Fault::Drop(length) => {
                    let end = octets.len().min(at + length);
                    octets.drain(at..end);
                }
                Fault::Repeat(length) => {
                    let end = octets.len().min(at + length);
                    let again = octets[at..end].to_vec();
                    octets.splice(end..end, again);
                }
                Fault::Flip(mask) => octets[at] ^= mask,
                Fault::Insert(more) => {
                    octets.splice(at..at, more);
                }
            }
        }
        octets
    }
}

#[test]
fn a_wire_does_to_octets_what_it_is_told() {
    let carried = |faults: Vec<(usize, Fault)>| {
        let mut wire = Wire {
            faults,
            ..Wire::default()
        };
        wire.write(b"abc");
        let mut carried = wire.carry();
        wire.write(b"def");
        carried.extend(wire.carry());
        assert_eq!(wire.record, b"abcdef");
        String::from_utf8(carried).unwrap()
    };
    assert_eq!(carried(vec![]), "abcdef");
    assert_eq!(carried(vec![(4, Fault::Drop(9))]), "abcd");
    assert_eq!(carried(vec![(0, Fault::Repeat(2))]), "ababcdef");
    assert_eq!(carried(vec![(5, Fault::Flip(1))]), "abcdeg");
    let insert = |at| (at, Fault::Insert(b"-".to_vec()));
    assert_eq!(carried(vec![insert(3), insert(1), insert(6)]), "a-bc-def");
}
