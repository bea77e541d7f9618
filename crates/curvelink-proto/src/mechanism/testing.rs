//! One side of a handshake without the engine, and the grids that every mechanism is held to.

use bytes::{Bytes, BytesMut};

use crate::Entropy;
use crate::error::{EntropyError, MechanismError};
use crate::mechanism::curve::nacl;
use crate::mechanism::{Admitted, Handshake, HandshakeCx, Mechanism, Ready, Step};
use crate::wire::command::Command;
use crate::wire::frame_header::FrameHeader;
use crate::wire::metadata::{self, SOCKET_TYPE};

/// Random octets for tests: the same for one seed, others for each draw.
pub(crate) struct Seeded {
    seed: u8,
    drawn: u8,
}

impl Seeded {
    pub(crate) const fn new(seed: u8) -> Self {
        Self { seed, drawn: 0 }
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        self.drawn += 1;
        octets.copy_from_slice(&nacl::sha256(&[self.seed, self.drawn])[..octets.len()]);
        Ok(())
    }
}

/// One side of a handshake.
pub(crate) struct Party {
    handshake: Box<dyn Handshake>,
    out: BytesMut,
    pub(crate) entropy: Box<dyn Entropy>,
    pub(crate) metadata: Bytes,
    pub(crate) zap_domain: &'static str,
}

impl Party {
    pub(crate) fn new(mechanism: &dyn Mechanism, seed: u8) -> Self {
        Self::of(mechanism.handshake(), seed)
    }

    pub(crate) fn of(handshake: Box<dyn Handshake>, seed: u8) -> Self {
        let mut properties = BytesMut::new();
        metadata::write(&mut properties, SOCKET_TYPE, b"PUSH");
        Self {
            handshake,
            out: BytesMut::new(),
            entropy: Box::new(Seeded::new(seed)),
            metadata: properties.freeze(),
            zap_domain: "",
        }
    }

    pub(crate) fn handshake(&self) -> &dyn Handshake {
        &*self.handshake
    }

    pub(crate) fn start(&mut self) -> Result<Step, MechanismError> {
        self.step(|handshake, cx| handshake.start(cx))
    }

    /// Gives the handshake a command frame's body.
    pub(crate) fn feed(&mut self, body: &[u8]) -> Result<Step, MechanismError> {
        let command = Command::parse(body).ok_or(MechanismError::Malformed("command"))?;
        self.step(|handshake, cx| handshake.on_command(command, cx))
    }

    pub(crate) fn admit(&mut self) -> Result<Step, MechanismError> {
        self.step(|handshake, cx| handshake.on_admitted(Admitted::by_policy(), cx))
    }

    fn step(
        &mut self,
        step: impl FnOnce(&mut dyn Handshake, &mut HandshakeCx<'_>) -> Result<Step, MechanismError>,
    ) -> Result<Step, MechanismError> {
        let mut cx = HandshakeCx {
            out: &mut self.out,
            metadata: &self.metadata,
            entropy: &mut *self.entropy,
            zap_domain: self.zap_domain,
        };
        step(&mut *self.handshake, &mut cx)
    }

    /// The bodies of the command frames that were written since the last call.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while !self.out.is_empty() {
            let (header, length) = FrameHeader::parse(&self.out, 1 << 20).unwrap().unwrap();
            assert!(header.flags.command && !header.flags.more);
            let frame = self.out.split_to(length + header.length);
            bodies.push(frame[length..].to_vec());
        }
        bodies
    }

    /// The body of the one command that was written.
    pub(crate) fn sent_one(&mut self) -> Vec<u8> {
        let [body] = <[_; 1]>::try_from(self.sent()).unwrap();
        body
    }
}

pub(crate) fn ready(step: Result<Step, MechanismError>) -> Ready {
    match step.unwrap() {
        Step::Ready(ready) => ready,
        step => panic!("{step:?}"),
    }
}

pub(crate) fn command(name: &str, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![u8::try_from(name.len()).unwrap()];
    octets.extend(name.as_bytes());
    octets.extend(body);
    octets
}

/// Feeds each of `bodies` under each name to a fresh handshake in one state: the names that got
/// further, and how far.
pub(crate) fn accepted_commands(
    state: impl Fn() -> Party,
    bodies: &[&[u8]],
) -> Vec<(&'static str, &'static str)> {
    const NAMES: &[&str] = &[
        "HELLO",
        "WELCOME",
        "INITIATE",
        "READY",
        "MESSAGE",
        "ERROR",
        "PING",
        "PONG",
        "SUBSCRIBE",
        "CANCEL",
        "JOIN",
        "LEAVE",
        "hello",
        "ready",
        "READY ",
        "X",
    ];
    let mut accepted = Vec::new();
    for name in NAMES {
        for body in bodies {
            let outcome = match state().feed(&command(name, body)) {
                Ok(Step::Continue) => "continue",
                Ok(Step::Authenticate { .. }) => "authenticate",
                Ok(Step::Ready(_)) => "ready",
                Err(_) => continue,
            };
            if !accepted.contains(&(*name, outcome)) {
                accepted.push((*name, outcome));
            }
        }
    }
    accepted
}

/// Feeds a command at every length from 0 to 1024, cut short or padded with zeroes, to a fresh
/// handshake in one state: the lengths that got further.
pub(crate) fn accepted_lengths(state: impl Fn() -> Party, genuine: &[u8]) -> Vec<usize> {
    let accepted = |length: &usize| {
        let mut octets = genuine.to_vec();
        octets.resize(*length, 0);
        state().feed(&octets).is_ok()
    };
    (0..=1024).filter(accepted).collect()
}

/// Fails if what `Debug` shows has eight octets of a secret in a row, in hex or decimal.
pub(crate) fn assert_hidden(shown: &str, secret: &[u8]) {
    for octets in secret.windows(8) {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let decimal = format!("{octets:?}");
        let decimal = decimal.trim_matches(['[', ']']);
        let spread = decimal.replace(", ", ",");
        let text = String::from_utf8_lossy(octets);
        let shown = shown.to_lowercase();
        let squeezed: String = shown.split_whitespace().collect();
        assert!(!shown.contains(&hex) && !shown.contains(decimal), "{shown}");
        assert!(!squeezed.contains(&spread), "{shown}");
        assert!(!shown.contains(&text.to_lowercase()), "{shown}");
    }
}
