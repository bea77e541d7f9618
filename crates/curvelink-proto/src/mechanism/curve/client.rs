//! The client's side of the handshake.

use std::mem;
use std::sync::Arc;

use crate::error::MechanismError;
use crate::event::Reason;
use crate::keys::{KeyPair, PublicKey};
use crate::mechanism::{Admitted, Handshake, HandshakeCx, Ready, Step};
use crate::wire::command::Command;
use crate::wire::metadata::Metadata;

use super::backend::{Cipher, TrafficBox};
use super::layout::{
    self, COOKIE, Fields, HELLO, INITIATE, PADDING, READY, SIGNATURE, VERSION, WELCOME,
};
use super::nacl::PairBox;
use super::pins::Pins;
use super::traffic::{self, Direction};
use super::{received_key, transient_pair};

/// The number of HELLO: the client's count begins here and runs on through all its commands.
const HELLO_COUNTER: u64 = 1;
const INITIATE_COUNTER: u64 = HELLO_COUNTER + 1;

/// One connection's handshake, from the client's side.
#[derive(Debug)]
pub(super) struct Client {
    keys: Arc<KeyPair>,
    pins: Arc<Pins>,
    /// S: the key among the pins that this connection tries.
    server: PublicKey,
    /// For the messages; without one the handshake does not begin.
    cipher: Result<Cipher, MechanismError>,
    state: State,
}

/// | State           | Event   | Answer   | Next              |
/// |-----------------|---------|----------|-------------------|
/// | Start           | start   | HELLO    | `AwaitingWelcome` |
/// | AwaitingWelcome | WELCOME | INITIATE | `AwaitingReady`   |
/// | AwaitingReady   | READY   |          | messages          |
///
/// Anything else, and any box that does not open, ends in `Ended`; the keys of the state that was
/// left are wiped as it is dropped.
#[derive(Debug)]
enum State {
    Start,
    AwaitingWelcome {
        /// C' and c'.
        transient: KeyPair,
        /// The box of S and C'.
        greeting: PairBox,
    },
    AwaitingReady {
        /// The box of S' and C'.
        session: Arc<PairBox>,
    },
    Ended,
}

impl Client {
    pub(super) fn new(
        keys: Arc<KeyPair>,
        pins: Arc<Pins>,
        cipher: Result<Cipher, MechanismError>,
    ) -> Self {
        Self {
            keys,
            server: pins.tried(),
            pins,
            cipher,
            state: State::Start,
        }
    }

    /// RFC 26, "The HELLO Command".
    fn hello(&self, cx: &mut HandshakeCx<'_>) -> Result<State, MechanismError> {
        let transient = transient_pair(cx)?;
        let greeting = PairBox::new(&self.server, transient.secret());

        let nonce = layout::short_nonce(b"CurveZMQHELLO---", HELLO_COUNTER);
        let mut body = Vec::with_capacity(layout::HELLO_BODY);
        body.extend_from_slice(&VERSION);
        body.extend_from_slice(&PADDING);
        body.extend_from_slice(transient.public().as_octets());
        body.extend_from_slice(&HELLO_COUNTER.to_be_bytes());
        greeting.seal_onto(&nonce, &[&SIGNATURE], &mut body)?;
        cx.send(HELLO, &body)?;
        Ok(State::AwaitingWelcome {
            transient,
            greeting,
        })
    }

    /// RFC 26, "The WELCOME Command" and "The INITIATE Command".
    fn on_welcome(
        &self,
        transient: &KeyPair,
        greeting: &PairBox,
        body: &[u8],
        cx: &mut HandshakeCx<'_>,
    ) -> Result<State, MechanismError> {
        let mut fields = Fields::exactly(
            layout::WELCOME_BODY,
            body,
            "WELCOME: it has exactly 168 octets",
        )?;
        let nonce = layout::long_nonce(b"WELCOME-", fields.take()?);
        let clear = greeting
            .open_copy(&nonce, fields.rest())
            .ok_or(MechanismError::BadBox)?;
        self.pins.proven(&self.server);
        let mut fields = Fields::exactly(32 + COOKIE, &clear, "WELCOME: its box")?;
        let server_transient = received_key(fields.take()?)?;
        let cookie: &[u8; COOKIE] = fields.take()?;

        let vouch = self.vouch(transient, &server_transient, cx)?;
        let session = PairBox::new(&server_transient, transient.secret());
        let nonce = layout::short_nonce(b"CurveZMQINITIATE", INITIATE_COUNTER);
        let mut body = Vec::with_capacity(layout::INITIATE_BODY + cx.metadata().len());
        body.extend_from_slice(cookie);
        body.extend_from_slice(&INITIATE_COUNTER.to_be_bytes());
        let public = self.keys.public();
        let parts = [public.as_octets(), &vouch[..], cx.metadata()];
        session.seal_onto(&nonce, &parts, &mut body)?;
        cx.send(INITIATE, &body)?;
        Ok(State::AwaitingReady {
            session: Arc::new(session),
        })
    }

    /// What only the owner of c can make, for this connection (C') and this server (S) alone.
    fn vouch(
        &self,
        transient: &KeyPair,
        server_transient: &PublicKey,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Vec<u8>, MechanismError> {
        let unique = cx.random()?;
        let mut vouch = Vec::with_capacity(layout::VOUCH);
        vouch.extend_from_slice(&unique);
        PairBox::new(server_transient, self.keys.secret()).seal_onto(
            &layout::long_nonce(b"VOUCH---", &unique),
            &[transient.public().as_octets(), self.server.as_octets()],
            &mut vouch,
        )?;
        Ok(vouch)
    }

    /// RFC 26, "The READY Command".
    fn on_ready(&self, session: Arc<PairBox>, body: &[u8]) -> Result<Step, MechanismError> {
        let mut fields = Fields::with_metadata(
            layout::READY_BODY,
            body,
            "READY: it has 30 octets and up to 8 KiB of metadata",
        )?;
        let counter = fields.counter()?;
        let clear = session
            .open_copy(
                &layout::short_nonce(b"CurveZMQREADY---", counter),
                fields.rest(),
            )
            .ok_or(MechanismError::BadBox)?;
        let traffic = TrafficBox::new(session, self.cipher?);
        Ok(Step::Ready(Ready {
            admitted: Admitted::server_proven(),
            metadata: Metadata::parse(&clear)?,
            key: Some(self.server),
            our_key: Some(self.keys.public()),
            protection: Some(traffic::protection(
                Direction::of_client(traffic.clone(), INITIATE_COUNTER),
                Direction::of_server(traffic, counter),
            )),
        }))
    }
}

impl Handshake for Client {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        let State::Start = mem::replace(&mut self.state, State::Ended) else {
            return Err(MechanismError::UnexpectedCommand);
        };
        let _tested = self.cipher?;
        self.state = self.hello(cx)?;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitingWelcome {
                transient,
                greeting,
            } if command.is(WELCOME) => {
                self.state = self.on_welcome(&transient, &greeting, command.body, cx)?;
                Ok(Step::Continue)
            }
            State::AwaitingReady { session } if command.is(READY) => {
                self.on_ready(session, command.body)
            }
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }

    fn on_admitted(
        &mut self,
        _admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        self.state = State::Ended;
        Err(MechanismError::UnexpectedCommand)
    }

    fn expected_key(&self) -> Option<PublicKey> {
        Some(self.server)
    }

    fn closed_early(&self) -> Reason {
        match self.state {
            State::AwaitingWelcome { .. } => Reason::WrongServerKey,
            State::AwaitingReady { .. } => Reason::Denied,
            State::Start | State::Ended => Reason::Closed,
        }
    }
}
