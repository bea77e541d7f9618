//! One frame: the body octets of one part of a message.

use std::fmt;
use std::ops::Deref;

use bytes::{Bytes, BytesMut};

const INLINE: usize = Frame::INLINE;

/// One part of a message: octets, cheap to clone, never changed.
///
/// Small bodies (up to 70 octets) live inside the value; larger ones are shared. A large frame
/// that was received may be a slice of the block it was read into and keeps that block alive:
/// use [`into_owned`](Self::into_owned) before keeping one for long.
#[derive(Clone)]
pub struct Frame(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, octets: [u8; INLINE] },
    Shared(Bytes),
}

impl Frame {
    /// Bodies up to this size are kept inside the frame itself: copying so few octets costs less
    /// than the shared counter of a slice, and a small kept frame does not pin the block it was read
    /// into.
    pub(crate) const INLINE: usize = 70;

    /// A frame without octets.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Repr::Inline {
            length: 0,
            octets: [0; INLINE],
        })
    }

    /// Takes a copy.
    #[must_use]
    pub fn copy_from(octets: &[u8]) -> Self {
        Self::inline(octets).unwrap_or_else(|| Self(Repr::Shared(Bytes::copy_from_slice(octets))))
    }

    /// A copy of octets that are few enough.
    pub(crate) fn inline(octets: &[u8]) -> Option<Self> {
        let mut inline = [0; INLINE];
        inline.get_mut(..octets.len())?.copy_from_slice(octets);
        let length = u8::try_from(octets.len()).ok()?;
        Some(Self(Repr::Inline {
            length,
            octets: inline,
        }))
    }

    /// Makes this frame a copy of octets that are few enough; whether they are.
    ///
    /// A small frame that is made here and moved to where it stays costs several times as much: the
    /// processor waits for each octet to be written before it can read them in larger pieces.
    pub(crate) fn set_inline(&mut self, octets: &[u8]) -> bool {
        let Some(length) = u8::try_from(octets.len()).ok() else {
            return false;
        };
        if octets.len() > INLINE {
            return false;
        }
        self.0 = Repr::Inline {
            length,
            octets: [0; INLINE],
        };
        if let Repr::Inline { octets: place, .. } = &mut self.0
            && let Some(place) = place.get_mut(..octets.len())
        {
            place.copy_from_slice(octets);
        }
        true
    }

    /// Octets that are too many for [`set_inline`](Self::set_inline), as they are.
    pub(crate) fn shared(octets: Bytes) -> Self {
        Self(Repr::Shared(octets))
    }

    /// The octets as a shared buffer: no copy for large frames.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Repr::Inline { .. } => Bytes::copy_from_slice(self),
            Repr::Shared(octets) => octets.clone(),
        }
    }

    /// The shared buffer, where the frame has one: what need not be copied to be written.
    #[must_use]
    pub const fn as_shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Inline { .. } => None,
            Repr::Shared(octets) => Some(octets),
        }
    }

    /// The same octets in a buffer of their own, so that no read block is kept alive.
    #[must_use]
    pub fn into_owned(self) -> Self {
        match self.0 {
            Repr::Inline { .. } => self,
            Repr::Shared(octets) => Self(Repr::Shared(Bytes::copy_from_slice(&octets))),
        }
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, octets } => octets.get(..usize::from(*length)).unwrap_or(octets),
            Repr::Shared(octets) => octets,
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::empty()
    }
}

/// `Debug` shows the length, not the octets: messages are not for logs.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} octets)", self.len())
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Frame {}

impl PartialEq<[u8]> for Frame {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for Frame {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Frame {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Frame {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl From<Bytes> for Frame {
    fn from(octets: Bytes) -> Self {
        Self::inline(&octets).unwrap_or(Self(Repr::Shared(octets)))
    }
}

impl From<BytesMut> for Frame {
    fn from(octets: BytesMut) -> Self {
        Self::inline(&octets).unwrap_or_else(|| Self(Repr::Shared(octets.freeze())))
    }
}

impl From<Vec<u8>> for Frame {
    fn from(octets: Vec<u8>) -> Self {
        Self::inline(&octets).unwrap_or_else(|| Self(Repr::Shared(octets.into())))
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Frame {
    fn from(octets: &[u8]) -> Self {
        Self::copy_from(octets)
    }
}

impl<const N: usize> From<&[u8; N]> for Frame {
    fn from(octets: &[u8; N]) -> Self {
        Self::copy_from(octets)
    }
}

impl From<&str> for Frame {
    fn from(text: &str) -> Self {
        Self::copy_from(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_every_size_around_the_inline_limit_keep_their_octets() {
        for length in 0..200 {
            let octets: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for frame in [
                Frame::from(octets.clone()),
                Frame::from(Bytes::from(octets.clone())),
                Frame::from(&octets[..]),
                Frame::from(octets.clone()).into_owned(),
            ] {
                assert_eq!(frame, octets[..], "{length}");
                assert_eq!(
                    frame.as_shared().is_some(),
                    octets.len() > INLINE,
                    "{length}"
                );
                assert_eq!(frame.to_bytes(), octets, "{length}");
            }
        }
    }

    #[test]
    fn a_frame_is_72_octets_and_debug_hides_the_body() {
        assert_eq!(size_of::<Frame>(), 72);
        assert_eq!(format!("{:?}", Frame::from("hunter2")), "Frame(7 octets)");
    }
}
