//! What a client says, part by part, before it becomes octets: mutations change parts.

use super::curve::{self, Session};
use crate::support::raw;

/// The message of a client that nothing is wrong with.
const HELLO_WORLD: &[u8] = b"hello";

/// The user that both sides' policies admit.
pub(super) const USER: &str = "scanner";
/// Its password.
pub(super) const PASSWORD: &str = "open/door";

/// The mechanism of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Null,
    Plain,
    Curve,
}

impl Mechanism {
    pub(super) const ALL: [Self; 3] = [Self::Null, Self::Plain, Self::Curve];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Plain => "PLAIN",
            Self::Curve => "CURVE",
        }
    }
}

/// All that a client says on one connection.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) mechanism: Mechanism,
    pub(super) greeting: Vec<u8>,
    pub(super) frames: Vec<Frame>,
    pub(super) metadata: Vec<Property>,
    /// Octets behind the last property.
    pub(super) metadata_tail: Vec<u8>,
    pub(super) user: Credential,
    pub(super) password: Credential,
    pub(super) curve: curve::Client,
    /// Nothing is said after so many octets.
    pub(super) cut: Option<usize>,
    /// The most octets in one write.
    pub(super) pieces: usize,
}

/// One frame, and what is wrong with its form.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// The command's name; empty for a message.
    pub(super) name: Vec<u8>,
    /// What the name's length says; otherwise the truth.
    pub(super) name_length: Option<u8>,
    pub(super) flags: u8,
    /// Eight octets of length where one would do.
    pub(super) long: bool,
    /// What the frame's length says; otherwise the truth.
    pub(super) declared: Option<u64>,
    /// More or fewer octets than there should be, with a length that says so.
    pub(super) resized: isize,
    /// Octets of the body with these bits changed; positions count round and round.
    pub(super) flips: Vec<(usize, u8)>,
    /// Whether the server answers this before anything else is said.
    pub(super) answered: bool,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// NULL's READY and PLAIN's INITIATE.
    Metadata,
    PlainHello,
    CurveHello,
    CurveInitiate,
    /// What the application sends, with these flags; in CURVE they are in the box.
    Message {
        inside: u8,
        body: Vec<u8>,
    },
    /// These octets.
    Octets(Vec<u8>),
    /// The frame before, octet for octet.
    Again,
}

/// A property, and what is wrong with its form.
#[derive(Clone, Debug)]
pub(super) struct Property {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) name_length: Option<u8>,
    pub(super) value_length: Option<u32>,
}

impl Property {
    pub(super) fn new(name: &str, value: &[u8]) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            name_length: None,
            value_length: None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.name_length.unwrap_or(self.name.len() as u8));
        out.extend_from_slice(&self.name);
        let length = self.value_length.unwrap_or(self.value.len() as u32);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.value);
    }
}

/// A name or a password of PLAIN, and what its length says.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) text: Vec<u8>,
    pub(super) length: Option<u8>,
}

impl Credential {
    fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            length: None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.length.unwrap_or(self.text.len() as u8));
        out.extend_from_slice(&self.text);
    }
}

impl Script {
    /// A client that nothing is wrong with. Its routing id must be one that no other has.
    pub(super) fn new(mechanism: Mechanism, id: &str, curve: curve::Client) -> Self {
        let (hello, initiate) = match mechanism {
            Mechanism::Null => (None, Frame::command("READY", Kind::Metadata)),
            Mechanism::Plain => (
                Some(Frame::command("HELLO", Kind::PlainHello)),
                Frame::command("INITIATE", Kind::Metadata),
            ),
            Mechanism::Curve => (
                Some(Frame::command("HELLO", Kind::CurveHello)),
                Frame::command("INITIATE", Kind::CurveInitiate),
            ),
        };
        let message = Frame::message(0, HELLO_WORLD);
        Self {
            mechanism,
            greeting: raw::greeting(mechanism.name()),
            frames: hello.into_iter().chain([initiate, message]).collect(),
            metadata: vec![
                Property::new("Socket-Type", b"DEALER"),
                Property::new("Identity", id.as_bytes()),
            ],
            metadata_tail: Vec::new(),
            user: Credential::new(USER),
            password: Credential::new(PASSWORD),
            curve,
            cut: None,
            pieces: usize::MAX,
        }
    }

    /// A frame of this connection.
    pub(super) fn octets(&self, frame: &Frame, session: &mut Session, before: &[u8]) -> Vec<u8> {
        if frame.kind == Kind::Again {
            return before.to_vec();
        }
        let mut body = Vec::new();
        let sealed = self.mechanism == Mechanism::Curve && session.is_ready();
        match &frame.kind {
            Kind::Message { inside, body: text } if sealed => {
                body.extend_from_slice(b"\x07MESSAGE");
                body.extend(session.message(&self.curve, *inside, text));
            }
            Kind::Message { inside, body: text } => {
                body.extend_from_slice(text);
                return frame.form(frame.flags | inside, body);
            }
            kind => {
                body.push(frame.name_length.unwrap_or(frame.name.len() as u8));
                body.extend_from_slice(&frame.name);
                body.extend(self.content(kind, session));
            }
        }
        frame.form(frame.flags, body)
    }

    fn content(&self, kind: &Kind, session: &mut Session) -> Vec<u8> {
        match kind {
            Kind::Metadata => self.encoded_metadata(),
            Kind::PlainHello => {
                let mut out = Vec::new();
                self.user.write(&mut out);
                self.password.write(&mut out);
                out
            }
            Kind::CurveHello => session.hello(&self.curve),
            Kind::CurveInitiate => session.initiate(&self.curve, &self.encoded_metadata()),
            Kind::Octets(octets) => octets.clone(),
            Kind::Message { .. } | Kind::Again => Vec::new(),
        }
    }

    fn encoded_metadata(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for property in &self.metadata {
            property.write(&mut out);
        }
        out.extend_from_slice(&self.metadata_tail);
        out
    }
}

impl Frame {
    /// A command. The server answers those of the handshake.
    pub(super) fn command(name: &str, kind: Kind) -> Self {
        Self {
            answered: !matches!(kind, Kind::Octets(_)),
            kind,
            name: name.into(),
            name_length: None,
            flags: 4,
            long: false,
            declared: None,
            resized: 0,
            flips: Vec::new(),
        }
    }

    /// A frame of a message; 1 is MORE, which CURVE hides in the box.
    pub(super) fn message(inside: u8, body: &[u8]) -> Self {
        let kind = Kind::Message {
            inside,
            body: body.into(),
        };
        Self {
            answered: false,
            flags: 0,
            ..Self::command("", kind)
        }
    }

    /// The same octets once more.
    pub(super) fn again() -> Self {
        Self {
            answered: false,
            ..Self::command("", Kind::Again)
        }
    }

    fn form(&self, flags: u8, mut body: Vec<u8>) -> Vec<u8> {
        for (position, bits) in &self.flips {
            let length = body.len().max(1);
            if let Some(octet) = body.get_mut(position % length) {
                *octet ^= bits;
            }
        }
        body.resize(body.len().saturating_add_signed(self.resized), 0);
        let length = self.declared.unwrap_or(body.len() as u64);
        let mut out = match u8::try_from(length) {
            Ok(length) if !self.long => vec![flags, length],
            _ => [&[flags | 2][..], &length.to_be_bytes()].concat(),
        };
        out.extend(body);
        out
    }
}
