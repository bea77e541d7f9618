//! One whole message: its frames, and who sent it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;
use crate::peer::Peer;

/// A whole message of one or more frames. Messages are sent and delivered whole or not at all.
///
/// A message of one small frame needs no allocation. A message that was received knows the peer
/// that sent it: see [`peer`](Self::peer).
#[derive(Clone, Default)]
pub struct Message {
    frames: Frames,
    peer: Option<Arc<Peer>>,
}

#[derive(Clone)]
enum Frames {
    One(Frame),
    Many(VecDeque<Frame>),
}

impl Default for Frames {
    fn default() -> Self {
        Self::Many(VecDeque::new())
    }
}

impl Message {
    /// A message without frames, to push frames into; sockets refuse to send it empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes this a message of one small frame, a copy of octets that are few enough; whether they
    /// are. It is written where it stands: see [`Frame::set_inline`].
    pub(crate) fn set_small(&mut self, octets: &[u8]) -> bool {
        self.frames = Frames::One(Frame::empty());
        match &mut self.frames {
            Frames::One(frame) => frame.set_inline(octets),
            Frames::Many(_) => false,
        }
    }

    /// How many frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.frames {
            Frames::One(_) => 1,
            Frames::Many(frames) => frames.len(),
        }
    }

    /// Whether there is no frame at all. (A message of one empty frame is not empty.)
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many octets the frames' bodies have in all.
    #[must_use]
    pub fn octets(&self) -> usize {
        match &self.frames {
            Frames::One(frame) => frame.len(),
            Frames::Many(frames) => frames.iter().map(|frame| frame.len()).sum(),
        }
    }

    /// The frame at an index, the first being 0.
    #[must_use]
    pub fn frame(&self, index: usize) -> Option<&Frame> {
        match &self.frames {
            Frames::One(frame) => (index == 0).then_some(frame),
            Frames::Many(frames) => frames.get(index),
        }
    }

    /// The first frame: the topic of PUB/SUB, the routing id of ROUTER.
    #[must_use]
    pub fn first(&self) -> Option<&Frame> {
        self.frame(0)
    }

    /// The last frame.
    #[must_use]
    pub fn last(&self) -> Option<&Frame> {
        self.frame(self.len().checked_sub(1)?)
    }

    /// The frames in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            message: self,
            next: 0,
        }
    }

    /// The frames in order, without the message.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        match self.frames {
            Frames::One(frame) => vec![frame],
            Frames::Many(frames) => frames.into(),
        }
    }

    /// Adds a frame at the end.
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        if self.is_empty() {
            self.frames = Frames::One(frame);
        } else {
            self.many().push_back(frame);
        }
    }

    /// Adds a frame in front, such as a routing id.
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        if self.is_empty() {
            self.frames = Frames::One(frame);
        } else {
            self.many().push_front(frame);
        }
    }

    /// Takes the first frame off.
    pub fn pop_front(&mut self) -> Option<Frame> {
        match &mut self.frames {
            Frames::Many(frames) => frames.pop_front(),
            Frames::One(frame) => {
                let frame = std::mem::take(frame);
                self.frames = Frames::default();
                Some(frame)
            }
        }
    }

    /// Takes the last frame off.
    pub fn pop_back(&mut self) -> Option<Frame> {
        match &mut self.frames {
            Frames::Many(frames) => frames.pop_back(),
            Frames::One(_) => self.pop_front(),
        }
    }

    fn many(&mut self) -> &mut VecDeque<Frame> {
        if let Frames::One(frame) = &mut self.frames {
            let frame = std::mem::take(frame);
            self.frames = Frames::Many(VecDeque::from([frame]));
        }
        match &mut self.frames {
            Frames::Many(frames) => frames,
            Frames::One(_) => unreachable!("made Many above"),
        }
    }

    /// Who sent this message, as the handshake proved it; `None` for a message not received.
    ///
    /// The name and key come from the policy and the mechanism only: nothing that the peer wrote
    /// into its metadata can change them.
    #[must_use]
    pub const fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    /// Notes the sender. For runtimes that deliver messages; an application has no use for it.
    pub fn set_peer(&mut self, peer: Option<Arc<Peer>>) {
        self.peer = peer;
    }
}

/// `Debug` shows sizes, not octets: messages are not for logs.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Two messages are equal when their frames are; the sender does not count.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Message {}

/// The frames of a message in order; made by [`Message::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    message: &'a Message,
    next: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Frame;

    fn next(&mut self) -> Option<&'a Frame> {
        let frame = self.message.frame(self.next)?;
        self.next += 1;
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.message.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Message {
    type Item = &'a Frame;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        Self {
            frames: Frames::One(frame),
            peer: None,
        }
    }
}

impl From<Vec<Frame>> for Message {
    fn from(frames: Vec<Frame>) -> Self {
        frames.into_iter().collect()
    }
}

impl<F: Into<Frame>, const N: usize> From<[F; N]> for Message {
    fn from(frames: [F; N]) -> Self {
        frames.into_iter().map(Into::into).collect()
    }
}

impl FromIterator<Frame> for Message {
    fn from_iter<I: IntoIterator<Item = Frame>>(frames: I) -> Self {
        let mut message = Self::new();
        for frame in frames {
            message.push_back(frame);
        }
        message
    }
}

macro_rules! message_of_one_frame {
    ($($source:ty),*) => {$(
        impl From<$source> for Message {
            fn from(body: $source) -> Self {
                Frame::from(body).into()
            }
        }
    )*};
}

message_of_one_frame!(&str, String, &[u8], Vec<u8>, Bytes);

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(body: &[u8; N]) -> Self {
        Frame::from(body).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_in_the_order_they_went_in() {
        let mut message = Message::from(["b", "c"]);
        message.push_front("a");
        message.push_back("d");
        let frames: Vec<_> = message.iter().map(|frame| frame.to_vec()).collect();
        assert_eq!(frames, [b"a", b"b", b"c", b"d"]);
        assert_eq!(message.pop_front().unwrap()[..], *b"a");
        assert_eq!(message.pop_back().unwrap()[..], *b"d");
        assert_eq!((message.len(), message.octets()), (2, 2));
        assert_eq!(message, Message::from(["b", "c"]));
        assert_ne!(message, Message::from(["bc"]));
    }

    #[test]
    fn taking_the_only_frame_leaves_no_frame() {
        let mut message = Message::from("a");
        assert_eq!(message.pop_back().unwrap()[..], *b"a");
        assert!(message.is_empty() && message.pop_front().is_none() && message.first().is_none());
        message.push_back("");
        assert!(!message.is_empty());
        assert_eq!(message.last().unwrap()[..], *b"");
    }
}
