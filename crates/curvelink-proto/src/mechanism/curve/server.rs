//! The server's side of the handshake.

use std::mem;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::MechanismError;
use crate::keys::{KeyPair, PublicKey};
use crate::mechanism::{Admitted, Handshake, HandshakeCx, Ready, Step};
use crate::wire::command::Command;
use crate::wire::metadata::Metadata;
use crate::zap::Credentials;

use super::backend::{Cipher, TrafficBox};
use super::layout::{
    self, COOKIE, Fields, HELLO, INITIATE, PADDING, READY, SIGNATURE, VERSION, VOUCH, WELCOME,
};
use super::nacl::{CookieBox, PairBox, equal};
use super::server_keys::Held;
use super::traffic::{self, Direction};
use super::{received_key, transient_pair};

/// The number of READY: the server's count begins here and runs on through its messages.
const READY_COUNTER: u64 = 1;

/// One connection's handshake, from the server's side.
#[derive(Debug)]
pub(super) struct Server {
    keys: Held,
    accept_anyone: bool,
    /// For the messages; without one the handshake does not begin.
    cipher: Result<Cipher, MechanismError>,
    state: State,
}

/// | State            | Event    | Answer              | Next               |
/// |------------------|----------|---------------------|--------------------|
/// | AwaitingHello    | HELLO    | WELCOME             | `AwaitingInitiate` |
/// | AwaitingInitiate | INITIATE | the policy is asked | `AwaitingVerdict`  |
/// | AwaitingVerdict  | admitted | READY               | messages           |
///
/// With `accept_anyone`, INITIATE is answered by READY at once. Anything else, and any box that
/// does not open, ends in `Ended`; the keys of the state that was left are wiped as it is dropped.
#[derive(Debug)]
enum State {
    AwaitingHello,
    AwaitingInitiate(Welcomed),
    AwaitingVerdict(Proven),
    Ended,
}

/// A client that knows a permanent key of ours; nothing is known of it yet.
#[derive(Debug)]
struct Welcomed {
    /// S: the one of our keys that the client knows.
    server: PublicKey,
    /// C'.
    client_transient: PublicKey,
    /// S' and s'. A server on TCP has state for each connection anyway, so that keeping s' beside
    /// the cookie costs nothing (R26-17): the cookie must then say the same.
    transient: KeyPair,
    /// Made for this connection and gone with this state, so that a cookie is good once and here
    /// (R26-28).
    cookie: CookieBox,
    /// The number of HELLO.
    counter: u64,
}

/// A client that has proven its permanent key.
#[derive(Debug)]
struct Proven {
    /// C.
    client: PublicKey,
    /// S.
    server: PublicKey,
    metadata: Metadata,
    /// The box of S' and C'.
    session: Arc<PairBox>,
    /// The number of INITIATE.
    counter: u64,
}

impl Server {
    pub(super) const fn new(
        keys: Held,
        accept_anyone: bool,
        cipher: Result<Cipher, MechanismError>,
    ) -> Self {
        Self {
            keys,
            accept_anyone,
            cipher,
            state: State::AwaitingHello,
        }
    }

    /// RFC 26, "The HELLO Command". What costs nothing to check comes first.
    fn on_hello(&self, body: &[u8], cx: &mut HandshakeCx<'_>) -> Result<Welcomed, MechanismError> {
        let mut fields =
            Fields::exactly(layout::HELLO_BODY, body, "HELLO: it has exactly 200 octets")?;
        if fields.take()? != &VERSION {
            return Err(MechanismError::Malformed("HELLO: not version 1.0"));
        }
        if fields.take()? != &PADDING {
            return Err(MechanismError::Malformed("HELLO: padding that is not zero"));
        }
        let client_transient = received_key(fields.take()?)?;
        let counter = fields.counter()?;
        let nonce = layout::short_nonce(b"CurveZMQHELLO---", counter);
        let sealed = fields.rest();
        let mut tried = self.keys.each().map(|keys| {
            let greeting = PairBox::new(&client_transient, keys.secret());
            let signature = greeting.open_copy(&nonce, sealed)?;
            Some((keys.public(), greeting, signature))
        });
        let (server, greeting, signature) = tried
            .find_map(|opened| opened)
            .ok_or(MechanismError::WrongServerKey)?;
        if !equal(&signature, &SIGNATURE) {
            return Err(MechanismError::Malformed("HELLO: its box is not of zeroes"));
        }
        let welcomed = Welcomed {
            server,
            client_transient,
            transient: transient_pair(cx)?,
            cookie: CookieBox::generate(cx.entropy()).map_err(|_| MechanismError::Entropy)?,
            counter,
        };
        Self::welcome(&welcomed, &greeting, cx)?;
        Ok(welcomed)
    }

    /// RFC 26, "The WELCOME Command".
    fn welcome(
        welcomed: &Welcomed,
        greeting: &PairBox,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<(), MechanismError> {
        let unique = cx.random()?;
        let mut cookie = Vec::with_capacity(COOKIE);
        cookie.extend_from_slice(&unique);
        welcomed.cookie.seal_onto(
            &layout::long_nonce(b"COOKIE--", &unique),
            &[
                welcomed.client_transient.as_octets(),
                welcomed.transient.secret().expose_octets(),
            ],
            &mut cookie,
        )?;

        let unique = cx.random()?;
        let mut body = Vec::with_capacity(layout::WELCOME_BODY);
        body.extend_from_slice(&unique);
        greeting.seal_onto(
            &layout::long_nonce(b"WELCOME-", &unique),
            &[welcomed.transient.public().as_octets(), &cookie],
            &mut body,
        )?;
        cx.send(WELCOME, &body)
    }

    /// RFC 26, "The INITIATE Command".
    fn on_initiate(welcomed: &Welcomed, body: &[u8]) -> Result<Proven, MechanismError> {
        let mut fields = Fields::with_metadata(
            layout::INITIATE_BODY,
            body,
            "INITIATE: it has 257 octets and up to 8 KiB of metadata",
        )?;
        let cookie: &[u8; COOKIE] = fields.take()?;
        let counter = fields.counter()?;
        if welcomed.counter.checked_add(1) != Some(counter) {
            return Err(MechanismError::Nonce);
        }
        welcomed.check_cookie(cookie)?;

        let secret = welcomed.transient.secret();
        let session = PairBox::new(&welcomed.client_transient, secret);
        let nonce = layout::short_nonce(b"CurveZMQINITIATE", counter);
        let clear = session
            .open_copy(&nonce, fields.rest())
            .ok_or(MechanismError::BadBox)?;
        let mut fields = Fields::with_metadata(32 + VOUCH, &clear, "INITIATE: its box")?;
        let client = received_key(fields.take()?)?;
        Self::check_vouch(welcomed, &client, fields.take()?)?;
        Ok(Proven {
            client,
            server: welcomed.server,
            metadata: Metadata::parse(fields.rest())?,
            session: Arc::new(session),
            counter,
        })
    }

    /// The vouch must open under C and name this connection and the very key of ours that HELLO was
    /// for (R26-38). Without the second half, a server that a client trusts could pass itself off
    /// as that client here.
    fn check_vouch(
        welcomed: &Welcomed,
        client: &PublicKey,
        vouch: &[u8; VOUCH],
    ) -> Result<(), MechanismError> {
        let mut fields = Fields::exactly(VOUCH, vouch, "INITIATE: its vouch")?;
        let nonce = layout::long_nonce(b"VOUCH---", fields.take()?);
        let clear = PairBox::new(client, welcomed.transient.secret())
            .open_copy(&nonce, fields.rest())
            .ok_or(MechanismError::BadVouch)?;
        let expected = [
            *welcomed.client_transient.as_octets(),
            *welcomed.server.as_octets(),
        ];
        if equal(&clear, expected.as_flattened()) {
            Ok(())
        } else {
            Err(MechanismError::BadVouch)
        }
    }

    /// RFC 26, "The READY Command".
    fn ready(
        &self,
        proven: Proven,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        let nonce = layout::short_nonce(b"CurveZMQREADY---", READY_COUNTER);
        let mut body = Vec::with_capacity(layout::READY_BODY + cx.metadata().len());
        body.extend_from_slice(&READY_COUNTER.to_be_bytes());
        proven
            .session
            .seal_onto(&nonce, &[cx.metadata()], &mut body)?;
        cx.send(READY, &body)?;
        let traffic = TrafficBox::new(proven.session, self.cipher?);
        Ok(Step::Ready(Ready {
            admitted,
            metadata: proven.metadata,
            key: Some(proven.client),
            our_key: Some(proven.server),
            protection: Some(traffic::protection(
                Direction::of_server(traffic.clone(), READY_COUNTER),
                Direction::of_client(traffic, proven.counter),
            )),
        }))
    }
}

impl Welcomed {
    fn check_cookie(&self, cookie: &[u8; COOKIE]) -> Result<(), MechanismError> {
        let mut fields = Fields::exactly(COOKIE, cookie, "INITIATE: its cookie")?;
        let nonce = layout::long_nonce(b"COOKIE--", fields.take()?);
        let clear = self
            .cookie
            .open_copy(&nonce, fields.rest())
            .ok_or(MechanismError::BadBox)?;
        let expected = Zeroizing::new([
            *self.client_transient.as_octets(),
            *self.transient.secret().expose_octets(),
        ]);
        if equal(&clear, expected.as_flattened()) {
            Ok(())
        } else {
            Err(MechanismError::BadBox)
        }
    }
}

impl Handshake for Server {
    fn start(&mut self, _cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        let _tested = self.cipher?;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitingHello if command.is(HELLO) => {
                self.state = State::AwaitingInitiate(self.on_hello(command.body, cx)?);
                Ok(Step::Continue)
            }
            State::AwaitingInitiate(welcomed) if command.is(INITIATE) => {
                let proven = Self::on_initiate(&welcomed, command.body)?;
                if self.accept_anyone {
                    return self.ready(proven, Admitted::anyone(), cx);
                }
                let step = Step::Authenticate {
                    credentials: Credentials::Curve(proven.client),
                    metadata: Some(proven.metadata.clone()),
                };
                self.state = State::AwaitingVerdict(proven);
                Ok(step)
            }
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }

    fn on_admitted(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitingVerdict(proven) => self.ready(proven, admitted, cx),
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }
}
