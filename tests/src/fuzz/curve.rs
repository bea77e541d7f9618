//! What an attacker of either side of CURVE can do to commands that it has made itself.

use curvelink_proto::{Metadata, SocketType};

use super::input::Input;
use super::meaning::Meaning;
use super::nacl::{PairBox, nonce};
use super::side::Side;
use crate::support::raw;

/// A conversation with an engine, and whether all that was said is what a good peer says.
#[derive(Debug)]
pub(super) struct Attack<'a> {
    pub(super) input: Input<'a>,
    pub(super) side: Side,
    pub(super) sound: bool,
    /// Something was left out: the engine may still wait for it.
    silent: bool,
    /// The metadata announced that the end of the stream is said.
    announced: bool,
    /// What will be sent a second time.
    again: Vec<u8>,
    /// What the engine said and nobody has heard yet.
    said: Vec<u8>,
}

impl<'a> Attack<'a> {
    /// Exchanges greetings.
    pub(super) fn begin(input: Input<'a>, mut side: Side) -> Self {
        side.feed(&raw::greeting("CURVE"));
        let said = side.output().split_off(64);
        Self {
            input,
            side,
            sound: true,
            silent: false,
            announced: false,
            again: Vec::new(),
            said,
        }
    }

    /// The body of the next command that the engine sent.
    pub(super) fn heard(&mut self) -> Option<Vec<u8>> {
        self.said.extend(self.side.output());
        let skip = match self.said[..] {
            [] => return None,
            [4, ..] => 2,
            _ => 9,
        };
        let length = match skip {
            2 => usize::from(self.said[1]),
            _ => u64::from_be_bytes(*self.said[1..].first_chunk().expect("a length")) as usize,
        };
        let rest = self.said.split_off(skip + length);
        let frame = std::mem::replace(&mut self.said, rest);
        Some(frame[skip..].to_vec())
    }

    /// Changes octets or leaves them as they are.
    pub(super) fn flip(&mut self, octets: &mut [u8]) {
        self.sound &= !self.input.flip(octets);
    }

    /// One of several, of which only the first is right.
    pub(super) fn choose<T: Clone>(&mut self, choices: &[T]) -> T {
        let choice = usize::from(self.input.octet() / 4) % choices.len();
        self.sound &= choice == 0;
        choices[choice].clone()
    }

    /// A counter of which only one value is right.
    pub(super) fn counter(&mut self, good: u64) -> u64 {
        let counter = self.input.counter(good);
        self.sound &= counter == good;
        counter
    }

    /// The metadata of a good peer, or any other.
    pub(super) fn metadata(&mut self, ours: SocketType, theirs: SocketType) -> Vec<u8> {
        let octets = match self.input.octet() % 4 {
            0 => raw::metadata(&[("Socket-Type", theirs.name().as_bytes())]),
            1 => raw::metadata(&[
                ("Socket-Type", theirs.name().as_bytes()),
                ("X-End-Of-Stream", b"1"),
            ]),
            _ => self.input.chunk().to_vec(),
        };
        self.sound &= Metadata::parse(&octets).is_ok_and(|metadata| {
            let kind = metadata.property("Socket-Type");
            let kind = kind.and_then(|name| SocketType::from_name(name));
            let id = metadata.property("Identity").map_or(&b""[..], |id| id);
            let end = metadata.property("X-End-Of-Stream");
            self.announced = end.is_some_and(|value| value == "1");
            kind.is_some_and(|kind| ours.talks_to(kind)) && id.first() != Some(&0)
        });
        octets
    }

    /// Sends a command, or something that is not quite that command, or nothing: whether it sent
    /// anything.
    pub(super) fn deliver(&mut self, name: &str, mut body: Vec<u8>) -> bool {
        let traffic = name == "MESSAGE";
        let choice = self.input.octet() % 16;
        match choice {
            1 => body.truncate(self.input.wide() % body.len()),
            2 => body.push(0),
            3 => {
                let at = self.input.wide() % body.len();
                // Two bits: what was flipped before it was sealed is not put right again.
                body[at] ^= 0x11 << self.input.below(4);
            }
            _ => {}
        }
        let good = raw::command(name, &body);
        let whole = [&[name.len() as u8][..], name.as_bytes(), &body].concat();
        let frame = match choice {
            4 => raw::command("WELCOME!", &body),
            5 => [raw::command("ERROR", b"\x03400"), good].concat(),
            6 => [raw::command("PING", b"\0\0"), good].concat(),
            7 => [raw::frame(0, b"clear"), good].concat(),
            8 => raw::frame(0x0c, &whole),
            9 => Vec::new(),
            10 => {
                self.again.clone_from(&good);
                good
            }
            11 => raw::frame(0, &whole),
            12 => [&[6][..], &(whole.len() as u64).to_be_bytes(), &whole].concat(),
            _ => good,
        };
        self.sound &= !(1..=9).contains(&choice) && (traffic || choice != 11);
        self.silent |= choice == 9;
        self.side.feed(&frame);
        choice != 9
    }

    /// Sends the last command a second time if it was to be.
    pub(super) fn repeat(&mut self) {
        let again = std::mem::take(&mut self.again);
        self.sound &= again.is_empty();
        self.side.feed(&again);
    }

    /// Sends frames in boxes until the input ends, and checks what came of them.
    pub(super) fn messages(
        &mut self,
        session: &PairBox,
        direction: [&'static str; 2],
        mut last: u64,
        kind: SocketType,
    ) {
        let mut meaning = Meaning::of(kind, self.announced);
        while !self.input.is_empty() && !meaning.end {
            let sound = self.sound;
            let flags = self.input.octet() % 6;
            let prefix = self.choose(&direction);
            let Some(next) = last.checked_add(1) else {
                self.sound = false;
                break;
            };
            let counter = self.counter(next);
            let (flags, body) = match flags {
                5 => (2, &b"\x0bENDOFSTREAM"[..]),
                flags => (flags, self.input.chunk()),
            };
            let counted = counter.to_be_bytes();
            let clear = [&[flags][..], body].concat();
            let sealed = session.seal(&nonce(prefix, &counted), &clear);
            if !self.deliver("MESSAGE", [&counted[..], &sealed].concat()) {
                self.sound = sound;
                continue;
            }
            if self.sound {
                let understood = match flags {
                    0 | 1 => meaning.frame(body, flags == 1),
                    2 => meaning.command(body),
                    _ => None,
                };
                self.sound = understood.is_some();
            }
            // Before the end, what comes twice is an error; after it, nothing is.
            let ended = self.sound && meaning.end;
            self.repeat();
            self.sound |= ended;
            last = next;
        }
        let rest = self.input.rest();
        if meaning.end {
            self.side.feed(rest);
        }
        meaning.assert_seen(&self.side.seen);
        if self.sound {
            assert_eq!(self.side.seen.error, None);
        } else if last < u64::MAX && !self.silent {
            assert!(self.side.seen.error.is_some(), "{:?}", self.side);
        }
    }

    /// Says more after a refusal: nothing may come of it.
    pub(super) fn refused(mut self) {
        let rest = self.input.rest();
        self.side.feed(rest);
        assert!(self.side.seen.ready.is_none() && self.side.seen.messages.is_empty());
    }
}
