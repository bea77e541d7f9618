//! PLAIN passwords at rest in memory.

use std::fmt;

use curvelink_proto::Password;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// What PLAIN can carry (RFC 24).
pub(crate) const MAX_OCTETS: usize = 255;

/// A password in a block of fixed size, its length last: comparing two blocks tells nothing of
/// either's length. Wiped when dropped, not shown.
pub(crate) struct StoredPassword(Box<Zeroizing<[u8; MAX_OCTETS + 1]>>);

impl StoredPassword {
    /// Takes up to 255 octets.
    pub(crate) fn new(octets: &[u8]) -> Option<Self> {
        let mut block = Box::new(Zeroizing::new([0; MAX_OCTETS + 1]));
        let (text, length) = block.split_at_mut(MAX_OCTETS);
        text.get_mut(..octets.len())?.copy_from_slice(octets);
        length.copy_from_slice(&[u8::try_from(octets.len()).ok()?]);
        Some(Self(block))
    }

    /// Something to compare with where there is no password; a match with it means nothing.
    pub(crate) fn decoy() -> Self {
        Self(Box::new(Zeroizing::new([0xff; MAX_OCTETS + 1])))
    }

    /// Whether a peer's password is this one.
    pub(crate) fn matches(&self, presented: &Password) -> bool {
        let block = Self::new(presented.expose_octets());
        let fits = Choice::from(u8::from(block.is_some()));
        let block = block.unwrap_or_else(Self::decoy);
        (fits & self.0.as_slice().ct_eq(block.0.as_slice())).into()
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_itself_alone() {
        let longest = [7; MAX_OCTETS];
        let all: [&[u8]; 6] = [b"", b"a", b"a\0", b"b", &longest, &longest[..254]];
        for one in all {
            for other in all {
                let stored = StoredPassword::new(one).unwrap();
                assert_eq!(stored.matches(&Password::new(other)), one == other);
            }
        }
    }

    #[test]
    fn more_than_plain_can_carry_matches_nothing() {
        let long = Password::new([0xff; MAX_OCTETS + 1]);
        assert!(StoredPassword::new(long.expose_octets()).is_none());
        assert!(!StoredPassword::decoy().matches(&long));
        assert!(!StoredPassword::new(b"a").unwrap().matches(&long));
    }

    #[test]
    fn t20_debug_shows_no_password() {
        let stored = StoredPassword::new(b"hunter2").unwrap();
        assert_eq!(format!("{stored:?}"), "StoredPassword(..)");
    }
}
