//! MESSAGE: frames in boxes, each under the next number of its direction.
//!
//! RFC 26 asks for numbers that grow (R26-21, R26-56). Here each is exactly one above the last, as
//! every known sender counts: otherwise somebody on the way could drop frames unnoticed, and join
//! the head of one message to the tail of another.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};

use crate::error::MechanismError;
use crate::mechanism::{FrameFlags, Opener, Protection, Sealer};

use super::backend::TrafficBox;
use super::layout::short_nonce;
use super::nacl::TAG;

const NAME: &[u8; 8] = b"\x07MESSAGE";
const COUNTER: usize = 8;

/// What a sealed frame is longer than its clear body: name, counter, tag and flags.
const OVERHEAD: usize = NAME.len() + COUNTER + TAG + 1;

const MORE: u8 = 0x01;
/// Not in RFC 26, which reserves it (R26-61): libzmq marks commands with it, and ZMTP 3.1 needs
/// the mark.
const COMMAND: u8 = 0x02;

/// One way of a connection: its box, the same as for the other way, and how far it has counted.
#[derive(Debug)]
pub(super) struct Direction {
    pub(super) session: TrafficBox,
    prefix: &'static [u8; 16],
    last: u64,
}

impl Direction {
    /// From the client, whose last handshake command had the number `last`.
    pub(super) const fn of_client(session: TrafficBox, last: u64) -> Self {
        Self {
            session,
            prefix: b"CurveZMQMESSAGEC",
            last,
        }
    }

    /// From the server, whose last handshake command had the number `last`.
    pub(super) const fn of_server(session: TrafficBox, last: u64) -> Self {
        Self {
            session,
            prefix: b"CurveZMQMESSAGES",
            last,
        }
    }

    fn next(&self) -> Result<(u64, [u8; 24]), MechanismError> {
        let counter = self
            .last
            .checked_add(1)
            .ok_or(MechanismError::NonceExhausted)?;
        Ok((counter, short_nonce(self.prefix, counter)))
    }

    /// Opens a frame where it stands: its clear body follows the first [`OVERHEAD`] octets.
    ///
    /// RFC 26, "The MESSAGE Command".
    fn open(&mut self, body: &mut [u8]) -> Result<FrameFlags, MechanismError> {
        const SHORT: MechanismError =
            MechanismError::Malformed("MESSAGE: it has 33 octets or more");
        if !body.starts_with(NAME) {
            return Err(MechanismError::UnexpectedCommand);
        }
        if body.len() < OVERHEAD {
            return Err(SHORT);
        }
        let (_name, body) = body.split_first_chunk_mut::<8>().ok_or(SHORT)?;
        let (counter, sealed) = body.split_first_chunk_mut::<COUNTER>().ok_or(SHORT)?;
        let (next, nonce) = self.next()?;
        if u64::from_be_bytes(*counter) != next {
            return Err(MechanismError::Nonce);
        }
        let clear = self.session.open(&nonce, sealed);
        let flags = flags(
            *clear
                .and_then(|clear| clear.first())
                .ok_or(MechanismError::BadBox)?,
        )?;
        self.last = next;
        Ok(flags)
    }
}

fn flags(octet: u8) -> Result<FrameFlags, MechanismError> {
    let flags = FrameFlags {
        more: octet & MORE != 0,
        command: octet & COMMAND != 0,
    };
    if octet & !(MORE | COMMAND) != 0 || (flags.more && flags.command) {
        return Err(MechanismError::Malformed("MESSAGE: flags"));
    }
    Ok(flags)
}

pub(super) fn protection(ours: Direction, theirs: Direction) -> Protection {
    Protection {
        sealer: Box::new(CurveSealer(ours)),
        opener: Box::new(CurveOpener(Some(theirs))),
    }
}

/// A connection whose keys are the same in every run, as often as a test wants it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Known(TrafficBox);

#[cfg(test)]
impl Known {
    pub(crate) fn new() -> Self {
        use super::backend::Cipher;
        use super::nacl::PairBox;
        let session = PairBox::of_octets(&[9; 32], &[5; 32]);
        let cipher = Cipher::new(super::CurveBackend::Dryoc).expect("it is sound");
        Self(TrafficBox::new(std::sync::Arc::new(session), cipher))
    }

    /// The client's side of it, after the handshake; then the server's.
    pub(crate) fn sides(&self) -> [Protection; 2] {
        let client = || Direction::of_client(self.0.clone(), 2);
        let server = || Direction::of_server(self.0.clone(), 1);
        [
            protection(client(), server()),
            protection(server(), client()),
        ]
    }
}

#[derive(Debug)]
struct CurveSealer(Direction);

impl Sealer for CurveSealer {
    fn sealed_len(&self, clear: usize) -> usize {
        clear.saturating_add(OVERHEAD)
    }

    fn seal(
        &mut self,
        flags: FrameFlags,
        clear: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), MechanismError> {
        let (counter, nonce) = self.0.next()?;
        // R26-19, R26-54: spent from here on, whatever follows. No number is ever used twice.
        self.0.last = counter;

        let start = out.len();
        out.reserve(self.sealed_len(clear.len()));
        out.put_slice(NAME);
        out.put_u64(counter);
        let sealed = out.len();
        out.put_bytes(0, TAG);
        out.put_u8((u8::from(flags.more) * MORE) | (u8::from(flags.command) * COMMAND));
        out.put_slice(clear);
        let outcome = self
            .0
            .session
            .seal(&nonce, out.get_mut(sealed..).unwrap_or_default());
        if outcome.is_err() {
            out.truncate(start);
        }
        outcome
    }

    fn cipher(&self) -> Option<&'static str> {
        Some(self.0.session.cipher())
    }
}

/// `None` once a frame was refused: nothing opens any more.
#[derive(Debug)]
struct CurveOpener(Option<Direction>);

impl Opener for CurveOpener {
    fn open_in_place(
        &mut self,
        body: &mut [u8],
    ) -> Result<(FrameFlags, Range<usize>), MechanismError> {
        let mut direction = self.0.take().ok_or(MechanismError::Nonce)?;
        let flags = direction.open(body)?;
        self.0 = Some(direction);
        Ok((flags, OVERHEAD..body.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mechanism::curve::CurveBackend;
    use crate::mechanism::curve::backend::Cipher;
    use crate::mechanism::curve::nacl::PairBox;

    const PLAIN: FrameFlags = FrameFlags {
        more: false,
        command: false,
    };

    fn key() -> PairBox {
        PairBox::of_octets(&[9; 32], &[5; 32])
    }

    fn session(backend: CurveBackend) -> TrafficBox {
        TrafficBox::new(Arc::new(key()), Cipher::new(backend).unwrap())
    }

    // One seals and the other opens, so that each test has both.
    fn sealer(last: u64) -> CurveSealer {
        CurveSealer(Direction::of_client(
            session(CurveBackend::RustCrypto),
            last,
        ))
    }

    fn opener(last: u64) -> CurveOpener {
        CurveOpener(Some(Direction::of_client(
            session(CurveBackend::Dryoc),
            last,
        )))
    }

    fn seal(sealer: &mut CurveSealer, clear: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        sealer.seal(PLAIN, clear, &mut out).unwrap();
        out
    }

    /// Frames of one sender, with the clear body `[i]` each.
    fn frames<const N: usize>() -> [BytesMut; N] {
        let mut sealer = sealer(2);
        std::array::from_fn(|i| seal(&mut sealer, &[u8::try_from(i).unwrap()]))
    }

    /// How many frames of a sequence open before the first that is refused; none may open after.
    fn opened(frames: impl IntoIterator<Item = BytesMut>) -> usize {
        let mut opener = opener(2);
        let outcomes: Vec<bool> = frames
            .into_iter()
            .map(|mut frame| opener.open_in_place(&mut frame).is_ok())
            .collect();
        let opened = outcomes.iter().take_while(|ok| **ok).count();
        assert!(!outcomes[opened..].contains(&true), "{outcomes:?}");
        opened
    }

    #[test]
    fn frames_open_as_they_were_sealed() {
        let (mut sealer, mut opener) = (sealer(2), opener(2));
        for (length, more, command) in [
            (0, false, false),
            (1, true, false),
            (1000, false, true),
            (100_000, false, false),
        ] {
            let clear = vec![0xab; length];
            let flags = FrameFlags { more, command };
            let mut out = BytesMut::from("header");
            sealer.seal(flags, &clear, &mut out).unwrap();
            let mut body = out.split_off(6);
            assert_eq!(out, "header");
            assert_eq!(body.len(), sealer.sealed_len(length));
            assert_eq!(body.len(), 33 + length);
            assert!(length < 16 || !body.windows(16).any(|window| window == &clear[..16]));

            let (opened_flags, opened) = opener.open_in_place(&mut body).unwrap();
            assert_eq!(opened, 33..body.len());
            assert_eq!((opened_flags, &body[opened]), (flags, &clear[..]));
        }
    }

    #[test]
    fn a_frame_has_its_name_and_number_in_clear() {
        let frame = seal(&mut sealer(2), b"x");
        assert_eq!(frame[..16], *b"\x07MESSAGE\0\0\0\0\0\0\0\x03");
    }

    #[test]
    fn t02_dropped_repeated_and_reordered_frames_are_refused_and_so_is_all_that_follows() {
        assert_eq!(opened(frames::<4>()), 4);
        let [a, mut b, c, d] = frames();
        let sequences: [(&[&BytesMut], usize); 8] = [
            (&[&b, &c, &d], 0),
            (&[&a, &c, &d], 1),
            (&[&a, &b, &d], 2),
            (&[&a, &a, &b, &c], 1),
            (&[&a, &b, &a, &c], 2),
            (&[&b, &a, &b], 0),
            (&[&a, &c, &b, &c], 1),
            (&[&d, &a, &b, &c], 0),
        ];
        for (row, (sequence, expected)) in sequences.into_iter().enumerate() {
            let sequence = sequence.iter().map(|frame| (*frame).clone());
            assert_eq!(opened(sequence), expected, "row {row}");
        }
        let mut strict = opener(2);
        let refused = strict.open_in_place(&mut b);
        assert_eq!(refused.unwrap_err(), MechanismError::Nonce);
    }

    #[test]
    fn t02_every_flipped_octet_is_refused() {
        let [frame] = frames();
        assert_eq!(opened([frame.clone()]), 1);
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut flipped = frame.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(opened([flipped, frame.clone()]), 0, "octet {at} bit {bit}");
            }
        }
    }

    #[test]
    fn t02_the_counter_ends_without_wrapping() {
        let mut sealer = sealer(u64::MAX - 1);
        let mut last = seal(&mut sealer, b"last");
        let mut out = BytesMut::new();
        let error = sealer.seal(PLAIN, b"secret", &mut out).unwrap_err();
        assert_eq!(error, MechanismError::NonceExhausted);
        assert!(out.is_empty());

        let mut opener = opener(u64::MAX - 1);
        assert!(opener.open_in_place(&mut last.clone()).is_ok());
        let refused = opener.open_in_place(&mut last);
        assert_eq!(refused.unwrap_err(), MechanismError::NonceExhausted);
    }

    #[test]
    fn a_frame_sent_back_to_its_sender_is_refused() {
        let [mut frame] = frames();
        let mut from_server =
            CurveOpener(Some(Direction::of_server(session(CurveBackend::Dryoc), 2)));
        let refused = from_server.open_in_place(&mut frame);
        assert_eq!(refused.unwrap_err(), MechanismError::BadBox);
    }

    #[test]
    fn t04_every_length_but_the_true_one_is_refused() {
        let frame = seal(&mut sealer(2), &[1; 400]);
        for length in (0..1024).filter(|length| *length != frame.len()) {
            let mut octets = frame.clone();
            octets.resize(length, 0);
            assert_eq!(opened([octets]), 0, "{length}");
        }
        assert_eq!(opened([frame]), 1);
    }

    #[test]
    fn flags_that_mean_nothing_are_refused() {
        for octet in 0..=u8::MAX {
            let mut octets = Vec::new();
            octets.extend_from_slice(NAME);
            octets.extend_from_slice(&3_u64.to_be_bytes());
            let nonce = short_nonce(b"CurveZMQMESSAGEC", 3);
            key()
                .seal_onto(&nonce, &[&[octet], b"body"], &mut octets)
                .unwrap();
            let opened = opener(2).open_in_place(&mut octets);
            assert_eq!(opened.is_ok(), matches!(octet, 0..=2), "{octet:#x}");
        }
    }
}
