//! A message that is copied into a queue, or moved.

use curvelink_proto::Message;

/// A message on its way into a queue.
#[derive(Debug)]
pub(crate) enum Handed<'a> {
    /// Others get it too.
    Copy(&'a Message),
    /// Taken, once there is room.
    Whole(&'a mut Message),
}

impl AsRef<Message> for Handed<'_> {
    fn as_ref(&self) -> &Message {
        match self {
            Self::Copy(message) => message,
            Self::Whole(message) => message,
        }
    }
}

impl Handed<'_> {
    pub(super) fn octets(&self) -> usize {
        self.as_ref().octets()
    }

    pub(super) fn take(self) -> Message {
        match self {
            Self::Copy(message) => message.clone(),
            Self::Whole(message) => std::mem::take(message),
        }
    }
}
