//! Backlogs and commands -> octets to write, and back to a backlog what was not written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::backlog::{Backlog, Frames, Run, Runs};
use crate::blocks::Blocks;
use crate::error::{MechanismError, ProtocolError};
use crate::mechanism::Sealer;
use crate::wire::command::{self, CANCEL, Command, SUBSCRIBE};
use crate::wire::frame_header::{FrameHeader, MAX_HEADER};

/// Most PONGs that wait to be written: a peer that pings without reading gets no more.
const MAX_CONTROL: usize = 16;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a backlog has them: ZMTP 3.1.
    Current,
    /// For a peer of ZMTP 3.0, which knows subscriptions as messages.
    Legacy,
    /// Bodies without framing: STREAM.
    Raw,
}

/// The octets that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    wire: VecDeque<Bytes>,
    wire_octets: usize,
    /// What the wire octets are, entry by entry; equal neighbours are one.
    entries: VecDeque<Entry>,
    /// Of the first entry, what has been written.
    written: usize,
    /// The plaintext of the entries that are messages, kept until they are written whole.
    plain: VecDeque<Bytes>,
    control: usize,
    /// Earlier blocks of octets to write.
    blocks: Blocks,
}

/// So many messages, or octets of the engine's own, that have these lengths each.
#[derive(Clone, Copy, Debug)]
struct Entry {
    wire: usize,
    /// Framed plaintext octets of a message; 0 for what the engine itself sends.
    plain: usize,
    count: usize,
}

impl Entry {
    /// How many of these are finished, of which the wire has taken so many octets.
    const fn finished(&self, written: usize) -> usize {
        match written.checked_div(self.wire) {
            Some(whole) if whole < self.count => whole,
            _ => self.count,
        }
    }
}

/// What a write has finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Messages, counting subscriptions, that are on their way whole.
    pub messages: usize,
    /// Their framed plaintext octets, as the backlog counted them.
    pub octets: usize,
}

impl Outbound {
    pub(crate) const fn octets(&self) -> usize {
        self.wire_octets
    }

    /// Whether messages wait that were not written whole.
    pub(super) fn holds_messages(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Appends octets of the engine's own: greeting, handshake, ERROR.
    pub(crate) fn push_raw(&mut self, octets: Bytes) {
        if !octets.is_empty() {
            self.enter(octets.len(), 0, 1);
            self.wire_octets += octets.len();
            self.wire.push_back(octets);
        }
    }

    fn enter(&mut self, wire: usize, plain: usize, count: usize) {
        match self.entries.back_mut() {
            Some(last) if (last.wire, last.plain) == (wire, plain) => last.count += count,
            _ => self.entries.push_back(Entry { wire, plain, count }),
        }
    }

    /// Appends a command of traffic, sealed where frames are; drops it if too many wait.
    pub(crate) fn push_control(
        &mut self,
        name: &str,
        body: &[u8],
        sealer: Option<&mut dyn Sealer>,
    ) -> Result<(), ProtocolError> {
        if self.control >= MAX_CONTROL {
            return Ok(());
        }
        self.control += 1;
        let mut clear = BytesMut::new();
        let _always_named = command::write(&mut clear, name, body);
        let octets = match sealer {
            None => clear.freeze(),
            Some(sealer) => {
                let chunks = VecDeque::from([clear.freeze()]);
                let mut sealed = BytesMut::new();
                for (header, body) in Frames::of(&chunks) {
                    seal_frame(sealer, header, body, &mut sealed)?;
                }
                sealed.freeze()
            }
        };
        self.push_raw(octets);
        Ok(())
    }

    /// Appends a backlog.
    pub(crate) fn push_backlog(
        &mut self,
        backlog: Backlog,
        sealer: Option<&mut dyn Sealer>,
        form: Form,
    ) -> Result<(), ProtocolError> {
        let (chunks, lengths) = backlog.into_parts();
        let result = if sealer.is_none() && form == Form::Current {
            self.wire_octets += lengths.octets();
            for Run { octets, count } in lengths {
                self.enter(octets, octets, count);
            }
            self.wire.extend(chunks.iter().cloned());
            Ok(())
        } else {
            self.encode(&chunks, &lengths, sealer, form)
        };
        // After an error too: what could not be sealed is there to be taken back.
        self.plain.extend(chunks);
        result
    }

    fn encode(
        &mut self,
        chunks: &VecDeque<Bytes>,
        lengths: &Runs,
        mut sealer: Option<&mut dyn Sealer>,
        form: Form,
    ) -> Result<(), ProtocolError> {
        let messages: usize = lengths.iter().map(|run| run.count).sum();
        let room = lengths.octets() + messages * 64;
        let mut out = self.blocks.room(room);
        let mut frames = Frames::of(chunks);
        let mut result = Ok(());
        for run in lengths.iter() {
            for _ in 0..run.count {
                let before = out.len();
                result =
                    result.and_then(|()| encode_message(&mut frames, &mut sealer, form, &mut out));
                if result.is_ok() {
                    self.enter(out.len() - before, run.octets, 1);
                } else {
                    // No part of it goes out, so that no write can finish it.
                    out.truncate(before);
                    self.enter(usize::MAX, run.octets, 1);
                }
            }
        }
        self.wire_octets += out.len();
        if !out.is_empty() {
            self.wire.push_back(out.split().freeze());
        }
        self.blocks.lend(out, room);
        result
    }

    /// Shows what to write next, at most `slices.len()` chunks; gives how many it showed.
    pub(crate) fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut shown = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.wire) {
            *slice = IoSlice::new(chunk);
            shown += 1;
        }
        shown
    }

    /// Takes note that this many octets were written.
    pub(crate) fn advance(&mut self, octets: usize) -> Written {
        let octets = octets.min(self.wire_octets);
        self.wire_octets -= octets;
        let mut left = octets;
        while let Some(chunk) = self.wire.front_mut().filter(|_| left > 0) {
            let step = left.min(chunk.len());
            chunk.advance(step);
            left -= step;
            if chunk.is_empty() {
                self.wire.pop_front();
            }
        }
        self.written += octets;
        let mut done = Written::default();
        while let Some(entry) = self.entries.front_mut() {
            let finished = entry.finished(self.written);
            self.written -= finished * entry.wire;
            entry.count -= finished;
            if entry.plain == 0 {
                self.control = self.control.saturating_sub(finished);
            } else {
                done.messages += finished;
                done.octets += finished * entry.plain;
            }
            if entry.count > 0 {
                break;
            }
            self.entries.pop_front();
        }
        self.forget_plain(done.octets);
        done
    }

    fn forget_plain(&mut self, mut octets: usize) {
        while let Some(chunk) = self.plain.front_mut().filter(|_| octets > 0) {
            let step = octets.min(chunk.len());
            chunk.advance(step);
            octets -= step;
            if chunk.is_empty() {
                self.plain.pop_front();
            }
        }
    }

    /// Gives memory back: nothing goes for now.
    pub(crate) fn rest(&mut self) {
        self.blocks.rest();
        if self.wire_octets == 0 && self.entries.is_empty() {
            *self = Self::default();
        }
    }

    /// Takes back every message that was not written whole, for another connection: the peer
    /// cannot have had the end of a message that was cut, so it will not come twice. Where there is
    /// none, what the engine itself has to say stays.
    pub(crate) fn take_unsent(&mut self) -> Backlog {
        if !self.holds_messages() {
            return Backlog::default();
        }
        let taken = std::mem::take(self);
        let mut lengths = Runs::default();
        for Entry { plain, count, .. } in taken.entries {
            if plain > 0 {
                let octets = plain;
                lengths.push(Run { octets, count });
            }
        }
        Backlog::from_parts(taken.plain, lengths)
    }
}

/// Encodes the frames of the next message, sealed where there is a sealer.
fn encode_message(
    frames: &mut Frames<'_>,
    sealer: &mut Option<&mut dyn Sealer>,
    form: Form,
    out: &mut BytesMut,
) -> Result<(), ProtocolError> {
    loop {
        let (header, body) = frames
            .next()
            .ok_or(ProtocolError::Malformed("backlog of our own"))?;
        let old;
        let (header, body) = if form == Form::Legacy && header.flags.command {
            old = subscription_of_3_0(body);
            (FrameHeader::message(old.len(), false), &old[..])
        } else {
            (header, body)
        };
        match sealer {
            Some(sealer) => seal_frame(*sealer, header, body, out)?,
            None => {
                if form != Form::Raw {
                    header.write(out);
                }
                out.extend_from_slice(body);
            }
        }
        if !header.flags.more {
            return Ok(());
        }
    }
}

fn seal_frame(
    sealer: &mut dyn Sealer,
    header: FrameHeader,
    body: &[u8],
    out: &mut BytesMut,
) -> Result<(), MechanismError> {
    let length = sealer.sealed_len(body.len());
    out.reserve(MAX_HEADER.saturating_add(length));
    // R37-91: the real flags are inside. Outside, every frame is a message of one frame, which is
    // libzmq's reading of RFC 26, "MESSAGE Command".
    FrameHeader::message(length, false).write(out);
    let start = out.len();
    sealer.seal(header.flags, body, out)?;
    if out.len() - start == length {
        Ok(())
    } else {
        Err(MechanismError::Malformed(
            "sealed frame of our own: its length is not what was said",
        ))
    }
}

/// A subscription as ZMTP 3.0 has it (R23-6, R23-7): a message of 1 or 0 and the prefix.
fn subscription_of_3_0(command: &[u8]) -> Vec<u8> {
    let Some(command) = Command::parse(command) else {
        return Vec::new();
    };
    debug_assert!(
        command.is(SUBSCRIBE) || command.is(CANCEL),
        "backlogs hold no other"
    );
    let mut message = vec![u8::from(command.is(SUBSCRIBE))];
    message.extend_from_slice(command.body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(out: &Outbound, at_most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let shown = out.poll_transmit(&mut slices);
        let mut octets: Vec<u8> = slices[..shown]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        octets.truncate(at_most);
        octets
    }

    #[test]
    fn octets_of_the_engines_own_are_let_go_as_soon_as_they_are_written() {
        // What wipes a password in them is dropped with the last of them.
        struct Login(
            #[expect(dead_code, reason = "dropping it is what counts")] std::sync::Arc<()>,
        );
        impl AsRef<[u8]> for Login {
            fn as_ref(&self) -> &[u8] {
                b"password"
            }
        }
        let held = std::sync::Arc::new(());
        let mut out = Outbound::default();
        out.push_raw(Bytes::from_owner(Login(held.clone())));
        out.advance(7);
        assert_eq!(std::sync::Arc::strong_count(&held), 2);
        out.advance(1);
        assert_eq!(std::sync::Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_message_cut_in_the_middle_comes_back_whole_and_a_written_one_does_not() {
        for cut in 0..=(3 + 3 + 5002 + 7) {
            let mut backlog = Backlog::new();
            backlog.push(&"a".into());
            backlog.push(&"b".into());
            backlog.push(&vec![9; 5000].into());
            let whole = backlog.octets();
            let mut out = Outbound::default();
            out.push_backlog(backlog, None, Form::Current).unwrap();
            let written = out.advance(cut);
            let back = out.take_unsent();
            assert_eq!(written.messages + back.len(), 3, "{cut}");
            assert_eq!(written.octets + back.octets(), whole, "{cut}");
            let (chunks, _) = back.into_parts();
            let bodies: Vec<_> = Frames::of(&chunks).map(|(_, body)| body.len()).collect();
            assert_eq!(bodies, [1, 1, 5000][written.messages..], "{cut}");
        }
    }

    #[test]
    fn commands_of_the_engine_between_messages_do_not_come_back() {
        let mut out = Outbound::default();
        let mut backlog = Backlog::new();
        backlog.push(&"a".into());
        out.push_backlog(backlog.take(), None, Form::Current)
            .unwrap();
        out.push_control("PONG", b"", None).unwrap();
        backlog.push(&"b".into());
        out.push_backlog(backlog, None, Form::Current).unwrap();
        assert_eq!(drain(&out, 99), b"\0\x01a\x04\x05\x04PONG\0\x01b");
        assert_eq!(out.advance(4).messages, 1);
        assert_eq!(out.take_unsent().len(), 1);
    }

    #[test]
    fn t06_pongs_that_nobody_reads_are_bounded() {
        let mut out = Outbound::default();
        for _ in 0..10_000 {
            out.push_control("PONG", b"x", None).unwrap();
        }
        assert_eq!(out.octets(), MAX_CONTROL * 8);
        out.advance(8);
        out.push_control("PONG", b"x", None).unwrap();
        assert_eq!(out.octets(), MAX_CONTROL * 8);
    }

    #[test]
    fn a_3_0_peer_gets_subscriptions_as_messages() {
        let mut backlog = Backlog::new();
        backlog.push_subscription(b"x", true);
        backlog.push_subscription(b"x", false);
        let mut out = Outbound::default();
        out.push_backlog(backlog, None, Form::Legacy).unwrap();
        assert_eq!(drain(&out, 99), b"\0\x02\x01x\0\x02\0x");
    }

    #[test]
    fn raw_octets_are_the_bodies_and_nothing_else() {
        let large = vec![9; 5000];
        let mut backlog = Backlog::new();
        backlog.push(&"a".into());
        backlog.push(&vec!["b", "", "c"].into_iter().map(Into::into).collect());
        backlog.push(&large.clone().into());
        let framed = backlog.octets();
        let mut out = Outbound::default();
        out.push_backlog(backlog, None, Form::Raw).unwrap();
        assert_eq!(drain(&out, 9999), [&b"abc"[..], &large].concat());
        assert_eq!(out.advance(2).messages, 1);
        let rest = out.advance(5001);
        assert_eq!((rest.messages, rest.octets), (2, framed - 3));
        assert_eq!(out.octets(), 0);
    }
}
