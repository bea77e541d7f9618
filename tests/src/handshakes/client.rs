//! A script played to a listener, and what becomes of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ANSWER;
use super::curve::Session;
use super::script::{Mechanism, Script};

const GREETING: usize = 64;

/// How many pieces one write is cut into.
const PIECES: usize = 24;

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// The application has got something of it, and has answered.
    Accepted,
    /// It was told ERROR, or the connection was closed.
    Refused,
    /// Nothing happened in the time that there was.
    Waits,
}

/// Plays it. `patience` is how long one wait may take.
pub(super) async fn play(script: &Script, address: &str, patience: Duration) -> Outcome {
    let stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => panic!("{address}: {error}"),
    };
    let _pieces_are_pushed_at_once = stream.set_nodelay(true);
    let mut conversation = Conversation {
        script,
        stream,
        patience,
        session: Session::default(),
        said: Vec::new(),
        parsed: GREETING,
        room: script.cut.unwrap_or(usize::MAX),
    };
    conversation.play().await
}

struct Conversation<'a> {
    script: &'a Script,
    stream: TcpStream,
    patience: Duration,
    session: Session,
    /// All that the server has said.
    said: Vec<u8>,
    /// How much of it has been looked at.
    parsed: usize,
    /// How many octets may still be written.
    room: usize,
}

impl Conversation<'_> {
    async fn play(&mut self) -> Outcome {
        let mut before = self.script.greeting.clone();
        let mut open = self.write(&before).await;
        for frame in &self.script.frames {
            if !open {
                break;
            }
            before = self.script.octets(frame, &mut self.session, &before);
            open = self.write(&before).await;
            if open && frame.answered {
                match self.next().await {
                    Heard::Frame => {}
                    Heard::End(outcome) => return outcome,
                }
            }
        }
        loop {
            if let Heard::End(outcome) = self.next().await {
                return outcome;
            }
        }
    }

    /// Writes as much as may be written; whether the connection takes it and more may come.
    async fn write(&mut self, octets: &[u8]) -> bool {
        let octets = &octets[..octets.len().min(self.room)];
        self.room -= octets.len();
        // The rest in one: a handshake in pieces of one octet would take the others' time.
        let (in_pieces, rest) =
            octets.split_at(octets.len().min(self.script.pieces.saturating_mul(PIECES)));
        for piece in in_pieces.chunks(self.script.pieces).chain([rest]) {
            if self.stream.write_all(piece).await.is_err() {
                return false;
            }
            if self.script.pieces < octets.len() {
                tokio::task::yield_now().await;
            }
        }
        self.room > 0
    }

    /// The next frame of the server's.
    async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.look() {
                return heard;
            }
            match timeout(self.patience, self.stream.read_buf(&mut self.said)).await {
                Err(_) => return Heard::End(Outcome::Waits),
                Ok(Ok(0) | Err(_)) => return Heard::End(Outcome::Refused),
                Ok(Ok(_)) => {}
            }
        }
    }

    fn look(&mut self) -> Option<Heard> {
        // Whatever the server took the octets for: an answer in clear is an answer.
        if self
            .said
            .windows(ANSWER.len())
            .any(|octets| octets == ANSWER)
        {
            return Some(Heard::End(Outcome::Accepted));
        }
        let (body, length) = frame(self.said.get(self.parsed..)?)?;
        let body = body.to_vec();
        self.parsed += length;
        Some(self.hear(&body))
    }

    fn hear(&mut self, body: &[u8]) -> Heard {
        // libzmq writes PLAIN's with another length and first letter.
        if body.get(2..6) == Some(b"RROR") || body.get(1..5) == Some(b"RROR") {
            return Heard::End(Outcome::Refused);
        }
        if self.script.mechanism != Mechanism::Curve {
            return Heard::Frame;
        }
        if let Some(body) = body.strip_prefix(b"\x07WELCOME") {
            assert!(self.session.welcomed(body), "a WELCOME that does not open");
        } else if let Some(body) = body.strip_prefix(b"\x05READY") {
            assert!(self.session.readied(body), "a READY that does not open");
        } else if let Some(body) = body.strip_prefix(b"\x07MESSAGE") {
            let clear = self.session.opened(body).expect("a MESSAGE that opens");
            if clear[1..] == *ANSWER {
                return Heard::End(Outcome::Accepted);
            }
        }
        Heard::Frame
    }
}

enum Heard {
    /// A frame, which was taken note of.
    Frame,
    End(Outcome),
}

/// The first frame's body, and its octets in all.
fn frame(octets: &[u8]) -> Option<(&[u8], usize)> {
    let (flags, rest) = octets.split_first()?;
    let (length, rest) = if flags & 2 == 2 {
        let (length, rest) = rest.split_first_chunk()?;
        (u64::from_be_bytes(*length) as usize, rest)
    } else {
        let (length, rest) = rest.split_first()?;
        (usize::from(*length), rest)
    };
    let body = rest.get(..length)?;
    Some((body, octets.len() - rest.len() + length))
}
