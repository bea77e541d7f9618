//! Octets of the peer's -> frames, messages, subscriptions.

use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};

use super::config::Limits;
use super::{Engine, Event, State};
use crate::blocks::Blocks;
use crate::error::ProtocolError;
use crate::frame::Frame;
use crate::mechanism::FrameFlags;
use crate::message::Message;
use crate::socket_type::SocketType;
use crate::wire::command::{CANCEL, Command, END_OF_STREAM, PING, PONG, SUBSCRIBE};
use crate::wire::frame_header::FrameHeader;

/// The read buffer grows from the first to the second as reads fill it; before the peer is ready it
/// has at most the first beside what it holds.
const SMALL_READ: usize = 1024;
const LARGE_READ: usize = 128 * 1024;

/// From this length on, header and all, a frame is read into a buffer of its own.
const OWN_BUFFER: usize = 32 * 1024;

/// The largest buffer that frames of any length may keep alive: of a larger one, only those may that
/// fill a good part of it.
const SHARED_BUFFER: usize = LARGE_READ + OWN_BUFFER;

/// What a mechanism may add to a frame, octets: room above the limit for one sealed frame.
const SEAL_ROOM: usize = 1024;

/// What was read and not yet parsed, and the message of which some frames are still to come.
#[derive(Debug)]
pub(crate) struct Inbound {
    buffer: BytesMut,
    /// How many octets the buffer was made for.
    size: usize,
    /// How far the buffer is parsed: what is before is given up at the next read.
    parsed: usize,
    /// Earlier buffers, of which messages have parts.
    blocks: Blocks,
    /// How much of the buffer the last call of `arrived` had seen.
    seen: usize,
    /// How much room the next read gets, and the most that one gets.
    read: usize,
    most: usize,
    /// Octets that the frame under way still lacks.
    lacking: usize,
    /// The length of the last whole frame, header and all: what came once may come again.
    earned: usize,
    partial: Message,
    partial_octets: usize,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            size: 0,
            parsed: 0,
            blocks: Blocks::default(),
            seen: 0,
            read: SMALL_READ,
            most: SMALL_READ,
            lacking: 0,
            earned: 0,
            partial: Message::new(),
            partial_octets: 0,
        }
    }
}

impl Inbound {
    pub(crate) fn octets(&self) -> &[u8] {
        self.buffer.get(self.parsed..).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets().is_empty()
    }

    /// Whether all that was read is whole messages, parsed.
    pub(super) fn is_between_messages(&self) -> bool {
        self.is_empty() && self.partial.is_empty()
    }

    /// Octets of the message under way that are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.octets()
    }

    pub(crate) fn skip(&mut self, octets: usize) {
        self.parsed += octets.min(self.octets().len());
    }

    /// Takes note that the peer was admitted: from here on it may have large reads.
    pub(super) fn trust(&mut self) {
        self.most = LARGE_READ;
        self.earned = 0;
    }

    /// Memory follows octets that came, not lengths that were announced: room for the rest of a
    /// large frame is at most what has already arrived of it, one large read, or the frame before.
    pub(crate) fn read_buf(&mut self) -> &mut BytesMut {
        self.forget(self.parsed);
        let held = self.buffer.len();
        let rest = self.lacking.min(held.max(self.most).max(self.earned));
        let (least, room) = if held + rest >= OWN_BUFFER {
            // No octet more, so that the frame after it is not cut, and copied, in its turn.
            (rest, rest)
        } else {
            (rest.max(SMALL_READ), rest.max(self.next_read()))
        };
        let free = self.buffer.capacity() - held;
        if free < least && !self.buffer.try_reclaim(room) {
            let mut larger = self.blocks.room(held + room);
            let capacity = larger.capacity();
            larger.extend_from_slice(&self.buffer);
            let full = std::mem::replace(&mut self.buffer, larger);
            let size = std::mem::replace(&mut self.size, capacity);
            self.blocks.lend(full, size);
        }
        &mut self.buffer
    }

    /// How much room a read gets that begins with a frame. Most likely they are as long as the one
    /// before: then none is cut at the end of the room, and copied.
    fn next_read(&self) -> usize {
        match self.earned {
            OWN_BUFFER.. => self.earned,
            SMALL_READ.. => self.read.next_multiple_of(self.earned),
            _ => self.read,
        }
    }

    /// Gives memory back: nothing comes for now.
    pub(crate) fn rest(&mut self) {
        self.blocks.rest();
        self.read = SMALL_READ;
        self.earned = 0;
        if self.is_empty() {
            self.forget(self.parsed);
            self.buffer = BytesMut::new();
        }
    }

    /// Drops octets from the front, all of them parsed.
    fn forget(&mut self, octets: usize) {
        let octets = octets.min(self.parsed);
        self.buffer.advance(octets);
        self.parsed -= octets;
        self.seen = self.seen.saturating_sub(octets);
    }

    /// Whether octets were added since the last call; reads that fill their room get more.
    pub(crate) fn arrived(&mut self) -> bool {
        let added = self.buffer.len().saturating_sub(self.seen);
        if added >= self.read {
            self.read = (self.read * 2).min(self.most);
        }
        self.seen = self.buffer.len();
        added > 0
    }

    /// The next octets, at most so many, whatever they are.
    pub(super) fn take(&mut self, at_most: usize) -> Frame {
        let start = self.parsed;
        self.skip(at_most);
        self.take_frame(start..self.parsed)
    }

    /// The next whole frame: its flags, and where its body stands; `None` while octets are missing.
    pub(crate) fn frame(
        &mut self,
        limit: usize,
    ) -> Result<Option<(FrameFlags, Range<usize>)>, ProtocolError> {
        let octets = self.octets();
        let Some((header, skip)) = FrameHeader::parse(octets, limit)? else {
            self.lacking = 0;
            return Ok(None);
        };
        // Where there is no limit, a header may announce all that a length can say.
        let whole = skip.saturating_add(header.length);
        self.lacking = whole.saturating_sub(octets.len());
        if self.lacking > 0 {
            return Ok(None);
        }
        self.earned = whole;
        let start = self.parsed + skip;
        self.parsed += whole;
        Ok(Some((header.flags, start..self.parsed)))
    }

    /// The octets of a body that [`frame`](Self::frame) has found, until the next read.
    pub(crate) fn body(&self, body: &Range<usize>) -> &[u8] {
        self.buffer.get(body.clone()).unwrap_or_default()
    }

    pub(crate) fn body_mut(&mut self, body: &Range<usize>) -> &mut [u8] {
        self.buffer.get_mut(body.clone()).unwrap_or_default()
    }

    /// A body as a frame: a small one copied, of a large one the buffer's own octets. The octets
    /// before it are given up.
    fn take_frame(&mut self, body: Range<usize>) -> Frame {
        let octets = self.body(&body);
        if let Some(frame) = Frame::inline(octets) {
            return frame;
        }
        // Queues count a message's own octets. A peer could fill them with small ones that each
        // keep alive the buffer of a large frame, even of one that was refused or ignored.
        if self.size > SHARED_BUFFER && octets.len() < self.size / 4 {
            return Frame::copy_from(octets);
        }
        Frame::shared(self.split(&body).freeze())
    }

    /// A body as the buffer's own octets. The octets before it are given up.
    pub(crate) fn split(&mut self, body: &Range<usize>) -> BytesMut {
        self.forget(body.start);
        let length = body.len().min(self.buffer.len());
        self.parsed -= length;
        self.seen = self.seen.saturating_sub(length);
        self.buffer.split_to(length)
    }

    /// Whether a frame of so many octets is a whole message, within the limits.
    fn is_single(&self, octets: usize, more: bool, limits: Limits) -> bool {
        !more && self.partial.is_empty() && octets <= limits.message && limits.frames > 0
    }

    /// Adds a frame to the message under way; gives the message once it is whole.
    fn assemble(
        &mut self,
        frame: Frame,
        more: bool,
        limits: Limits,
    ) -> Result<Option<Message>, ProtocolError> {
        if self.is_single(frame.len(), more, limits) {
            return Ok(Some(frame.into()));
        }
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
        let limit = self.limits.message.max(self.config.command_room());
        loop {
            let State::Ready { opener, .. } = &mut self.state else {
                return Ok(());
            };
            if self.events.is_full() {
                self.holds_input = !self.inbound.is_empty();
                return Ok(());
            }
            let protected = opener.is_some();
            let limit = if protected {
                limit.saturating_add(SEAL_ROOM)
            } else {
                limit
            };
            let Some((outer, body)) = self.inbound.frame(limit)? else {
                return Ok(());
            };
            let (flags, body) = match opener {
                None => (outer, body),
                Some(_) if outer.more => {
                    return Err(ProtocolError::Malformed("frame: MORE outside the box"));
                }
                Some(opener) => {
                    let (flags, clear) = opener.open_in_place(self.inbound.body_mut(&body))?;
                    (flags, within(&body, clear)?)
                }
            };
            if flags.command {
                self.take_command(&body)?;
            } else {
                self.take_frame(body, flags.more)?;
            }
        }
    }

    fn take_frame(&mut self, body: Range<usize>, more: bool) -> Result<(), ProtocolError> {
        let limits = self.limits;
        let kind = self.config.socket_type;
        // Most messages are this, and are made where they will wait.
        let single = self.inbound.is_single(body.len(), more, limits);
        let given = kind.receives() && !kind.is_publisher();
        if single && given && self.events.push_small(self.inbound.body(&body)) {
            return Ok(());
        }
        // R29-7, R30-1: nobody receives on PUB and PUSH. Of a message that is dropped when it is whole,
        // nothing is kept before either.
        let frame = if more && !kind.receives() {
            Frame::empty()
        } else {
            self.inbound.take_frame(body)
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
            self.events.push_message(message);
        } else {
            self.unwanted += 1;
        }
        Ok(())
    }

    fn take_command(&mut self, body: &Range<usize>) -> Result<(), ProtocolError> {
        let body = self.inbound.body(body);
        let command = Command::parse(body).ok_or(ProtocolError::Malformed("command"))?;
        if command.is(PING) {
            let context = self.pulse.ping(command.body)?;
            if let State::Ready { sealer, .. } = &mut self.state {
                let sealer = sealer.as_deref_mut().map(|sealer| sealer as _);
                self.outbound.push_control(PONG, context, sealer)?;
            }
        } else if command.is(SUBSCRIBE) || command.is(CANCEL) {
            let subscribe = command.is(SUBSCRIBE);
            let prefix = Bytes::copy_from_slice(command.body);
            self.take_subscription(subscribe, prefix)?;
        } else if command.is(END_OF_STREAM) {
            let is_empty = command.body.is_empty();
            self.take_end(is_empty)?;
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
            self.events.push(if subscribe {
                Event::Subscribe(prefix)
            } else {
                Event::Cancel(prefix)
            });
        }
        Ok(())
    }
}

/// Where a clear body stands in the buffer, of which an opener told where it stands in the sealed.
fn within(sealed: &Range<usize>, clear: Range<usize>) -> Result<Range<usize>, ProtocolError> {
    if clear.start > clear.end || clear.end > sealed.len() {
        return Err(ProtocolError::Malformed(
            "frame: opened to more than it had",
        ));
    }
    Ok(sealed.start + clear.start..sealed.start + clear.end)
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
