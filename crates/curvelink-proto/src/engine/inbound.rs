//! Octets of the peer's -> frames, messages, subscriptions.

use bytes::{Buf, Bytes, BytesMut};

use super::config::Limits;
use super::{Engine, Event, MAX_EVENTS, State};
use crate::error::{MechanismError, ProtocolError};
use crate::frame::Frame;
use crate::mechanism::{FrameFlags, Opener};
use crate::message::Message;
use crate::socket_type::SocketType;
use crate::wire::command::{CANCEL, Command, PING, PONG, SUBSCRIBE};
use crate::wire::frame_header::FrameHeader;

/// The read buffer grows from the first to the second as reads fill it.
const SMALL_READ: usize = 4 * 1024;
const LARGE_READ: usize = 128 * 1024;

/// What a mechanism may add to a frame, octets: room above the limit for one sealed frame.
const SEAL_ROOM: usize = 1024;

/// What was read and not yet parsed, and the message of which some frames are still to come.
#[derive(Debug)]
pub(crate) struct Inbound {
    buffer: BytesMut,
    /// How much of the buffer the last call of `arrived` had seen.
    seen: usize,
    /// How much room the next read gets.
    read: usize,
    /// Octets that the frame at the front of the buffer still lacks.
    lacking: usize,
    partial: Message,
    partial_octets: usize,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            seen: 0,
            read: SMALL_READ,
            lacking: 0,
            partial: Message::new(),
            partial_octets: 0,
        }
    }
}

impl Inbound {
    pub(crate) fn octets(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Octets of the message under way that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.octets()
    }

    pub(crate) fn skip(&mut self, octets: usize) {
        self.buffer.advance(octets.min(self.buffer.len()));
        self.seen = self.buffer.len();
    }

    /// Memory follows octets that came, not lengths that were announced: room for the rest of a
    /// large frame is at most what has already arrived of it, or one large read.
    pub(crate) fn read_buf(&mut self) -> &mut BytesMut {
        let free = self.buffer.capacity() - self.buffer.len();
        let rest_of_frame = self.lacking.min(self.buffer.len().max(LARGE_READ));
        if free < rest_of_frame.max(SMALL_READ) {
            self.buffer.reserve(rest_of_frame.max(self.read));
        }
        &mut self.buffer
    }

    /// Whether octets were added since the last call; reads that fill their room get more.
    pub(crate) fn arrived(&mut self) -> bool {
        let added = self.buffer.len().saturating_sub(self.seen);
        if added >= self.read {
            self.read = (self.read * 2).min(LARGE_READ);
        }
        self.seen = self.buffer.len();
        added > 0
    }

    /// The next octets, at most so many, whatever they are.
    pub(super) fn take(&mut self, at_most: usize) -> BytesMut {
        let octets = self.buffer.split_to(at_most.min(self.buffer.len()));
        self.seen = self.buffer.len();
        octets
    }

    /// The next whole frame; `None` while octets are missing.
    pub(crate) fn frame(
        &mut self,
        limit: usize,
    ) -> Result<Option<(FrameFlags, BytesMut)>, ProtocolError> {
        let Some((header, skip)) = FrameHeader::parse(&self.buffer, limit)? else {
            self.lacking = 0;
            return Ok(None);
        };
        // Where there is no limit, a header may announce all that a length can say.
        let whole = skip.saturating_add(header.length);
        self.lacking = whole.saturating_sub(self.buffer.len());
        if self.lacking > 0 {
            return Ok(None);
        }
        self.buffer.advance(skip);
        let body = self.buffer.split_to(header.length);
        self.seen = self.buffer.len();
        Ok(Some((header.flags, body)))
    }

    /// Adds a frame to the message under way; gives the message once it is whole.
    fn assemble(
        &mut self,
        frame: Frame,
        more: bool,
        limits: Limits,
    ) -> Result<Option<Message>, ProtocolError> {
        self.partial_octets += frame.len();
        if self.partial_octets > limits.message {
            let announced = self.partial_octets as u64;
            let limit = limits.message as u64;
            return Err(ProtocolError::TooLarge {
                what: "message",
                announced,
                limit,
            });
        }
        if self.partial.len() == limits.frames {
            return Err(ProtocolError::TooManyFrames {
                limit: limits.frames,
            });
        }
        self.partial.push_back(frame);
        if more {
            return Ok(None);
        }
        self.partial_octets = 0;
        Ok(Some(std::mem::take(&mut self.partial)))
    }
}

impl Engine {
    pub(super) fn parse_traffic(&mut self) -> Result<(), ProtocolError> {
        let limits = self.config.limits;
        loop {
            let State::Ready { opener, .. } = &mut self.state else {
                return Ok(());
            };
            if self.events.len() >= MAX_EVENTS {
                self.holds_input = !self.inbound.is_empty();
                return Ok(());
            }
            let protected = opener.is_some();
            let limit = if protected {
                limits.message.saturating_add(SEAL_ROOM)
            } else {
                limits.message
            };
            let Some((outer, body)) = self.inbound.frame(limit)? else {
                return Ok(());
            };
            let (flags, body) = match opener {
                None => (outer, body),
                Some(_) if outer.more => {
                    return Err(ProtocolError::Malformed("frame: MORE outside the box"));
                }
                Some(opener) => open(&mut **opener, body)?,
            };
            if flags.command {
                self.take_command(&body)?;
            } else {
                self.take_frame(body, flags.more)?;
            }
        }
    }

    fn take_frame(&mut self, body: BytesMut, more: bool) -> Result<(), ProtocolError> {
        let limits = self.config.limits;
        let kind = self.config.socket_type;
        // R29-7, R30-1: nobody receives on PUB and PUSH. Of a message that is dropped when it is whole,
        // nothing is kept before either.
        let frame = if more && !kind.receives() {
            Frame::empty()
        } else {
            Frame::from(body)
        };
        let Some(message) = self.inbound.assemble(frame, more, limits)? else {
            return Ok(());
        };
        if kind.is_publisher()
            && let Some((subscribe, prefix)) = subscription_of_3_0(&message)
        {
            return self.take_subscription(subscribe, prefix);
        }
        if kind.receives() {
            self.events.push_back(Event::Message(message));
        }
        Ok(())
    }

    fn take_command(&mut self, body: &[u8]) -> Result<(), ProtocolError> {
        let command = Command::parse(body).ok_or(ProtocolError::Malformed("command"))?;
        if command.is(PING) {
            let context = self.pulse.ping(command.body)?;
            if let State::Ready { sealer, .. } = &mut self.state {
                let sealer = sealer.as_deref_mut().map(|sealer| sealer as _);
                self.outbound.push_control(PONG, context, sealer)?;
            }
        } else if command.is(SUBSCRIBE) || command.is(CANCEL) {
            let prefix = Bytes::copy_from_slice(command.body);
            self.take_subscription(command.is(SUBSCRIBE), prefix)?;
        }
        // PONG was a sign of life already; commands that nobody knows are ignored, as RFC 37 and
        // libzmq have it.
        Ok(())
    }

    fn take_subscription(&mut self, subscribe: bool, prefix: Bytes) -> Result<(), ProtocolError> {
        let limit = self.config.limits.topic;
        if prefix.len() > limit {
            return Err(ProtocolError::TooLarge {
                what: "subscription",
                announced: prefix.len() as u64,
                limit: limit as u64,
            });
        }
        if matches!(self.config.socket_type, SocketType::Pub | SocketType::Xpub) {
            self.events.push_back(if subscribe {
                Event::Subscribe(prefix)
            } else {
                Event::Cancel(prefix)
            });
        }
        Ok(())
    }
}

/// Opens a frame; what is not clear is cut off.
fn open(
    opener: &mut dyn Opener,
    mut body: BytesMut,
) -> Result<(FrameFlags, BytesMut), MechanismError> {
    let (flags, clear) = opener.open_in_place(&mut body)?;
    if body.get(clear.clone()).is_none() {
        return Err(MechanismError::Malformed(
            "opened frame: its clear body is not within it",
        ));
    }
    body.truncate(clear.end);
    body.advance(clear.start);
    Ok((flags, body))
}

/// A subscription as ZMTP 3.0 has it (R23-6), which publishers take from every peer as libzmq's
/// do: a message of one frame, 1 or 0 and the prefix.
fn subscription_of_3_0(message: &Message) -> Option<(bool, Bytes)> {
    if message.len() != 1 {
        return None;
    }
    let frame = message.first()?;
    let (first, _) = frame.split_first()?;
    let prefix = || frame.to_bytes().slice(1..);
    match first {
        1 => Some((true, prefix())),
        0 => Some((false, prefix())),
        _ => None,
    }
}
