//! PLAIN (RFC 24): a name and a password, in clear.
//!
//! ```text
//! client                       server
//!   HELLO(name, password)  ─▶
//!                              asks the policy
//!                          ◀─  WELCOME
//!   INITIATE(metadata)     ─▶
//!                          ◀─  READY(metadata)
//! ```

use std::sync::Arc;
use std::{fmt, mem};

use bytes::Bytes;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::MechanismError;
use crate::event::Reason;
use crate::wire::command::Command;
use crate::wire::metadata::Metadata;
use crate::zap::{Credentials, Password};

use super::{Admitted, Handshake, HandshakeCx, Mechanism, MechanismName, Properties, Ready, Step};

const HELLO: &str = "HELLO";
const WELCOME: &str = "WELCOME";
const INITIATE: &str = "INITIATE";
const READY: &str = "READY";

/// The PLAIN mechanism: the client proves that it knows a password; anybody on the way reads it,
/// and the server proves nothing.
///
/// For endpoints that only this host can reach. A server always asks the policy.
///
/// RFC 24. The ERROR command of libzmq differs from the RFC; both forms are understood.
#[derive(Clone, Debug)]
pub struct Plain(Role);

#[derive(Clone, Debug)]
enum Role {
    Client(Arc<Login>),
    Server,
}

/// The body of HELLO, made once for all connections; wiped with the last of them.
struct Login(Zeroizing<Vec<u8>>);

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// Why a name and a password cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlainError {
    /// The name is empty or too long.
    #[error("a PLAIN user name has 1 to 255 octets")]
    Username,
    /// The password is too long.
    #[error("a PLAIN password has at most 255 octets")]
    Password,
}

impl Plain {
    /// A client with a user name of 1 to 255 octets and a password of 0 to 255.
    ///
    /// # Errors
    /// [`PlainError`] for other lengths.
    pub fn client(
        username: impl AsRef<[u8]>,
        password: impl AsRef<[u8]>,
    ) -> Result<Self, PlainError> {
        let (username, password) = (username.as_ref(), password.as_ref());
        let username_length = u8::try_from(username.len())
            .ok()
            .filter(|length| *length > 0)
            .ok_or(PlainError::Username)?;
        let password_length = u8::try_from(password.len()).map_err(|_| PlainError::Password)?;

        // Made at its full size: a vector that grows leaves copies behind.
        let mut hello = Zeroizing::new(Vec::with_capacity(2 + username.len() + password.len()));
        hello.push(username_length);
        hello.extend_from_slice(username);
        hello.push(password_length);
        hello.extend_from_slice(password);
        Ok(Self(Role::Client(Arc::new(Login(hello)))))
    }

    /// A server. What names and passwords it takes is the policy's to say.
    #[must_use]
    pub const fn server() -> Self {
        Self(Role::Server)
    }
}

impl Mechanism for Plain {
    fn name(&self) -> MechanismName {
        MechanismName::PLAIN
    }

    fn as_server(&self) -> bool {
        matches!(self.0, Role::Server)
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: self.as_server(),
        }
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        match &self.0 {
            Role::Client(login) => Box::new(Client::Start(Arc::clone(login))),
            Role::Server => Box::new(Server::AwaitingHello),
        }
    }
}

/// | State           | Event   | Answer   | Next              |
/// |-----------------|---------|----------|-------------------|
/// | Start           | start   | HELLO    | `AwaitingWelcome` |
/// | AwaitingWelcome | WELCOME | INITIATE | `AwaitingReady`   |
/// | AwaitingReady   | READY   |          | messages          |
#[derive(Debug)]
enum Client {
    Start(Arc<Login>),
    AwaitingWelcome,
    AwaitingReady,
    Ended,
}

impl Handshake for Client {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        let Self::Start(login) = mem::replace(self, Self::Ended) else {
            return Err(MechanismError::UnexpectedCommand);
        };
        cx.send(HELLO, &login.0)?;
        *self = Self::AwaitingWelcome;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(self, Self::Ended) {
            Self::AwaitingWelcome if command.is(WELCOME) => {
                if !command.body.is_empty() {
                    return Err(MechanismError::Malformed("WELCOME: it has no body"));
                }
                cx.send(INITIATE, cx.metadata())?;
                *self = Self::AwaitingReady;
                Ok(Step::Continue)
            }
            // RFC 24 proves the client only: whoever listens there is the server.
            Self::AwaitingReady if command.is(READY) => ready(Admitted::anyone(), command.body),
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }

    fn on_admitted(
        &mut self,
        _admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        *self = Self::Ended;
        Err(MechanismError::UnexpectedCommand)
    }

    fn closed_early(&self) -> Reason {
        match self {
            Self::AwaitingWelcome => Reason::Denied,
            Self::Start(_) | Self::AwaitingReady | Self::Ended => Reason::Closed,
        }
    }
}

/// | State            | Event    | Answer              | Next               |
/// |------------------|----------|---------------------|--------------------|
/// | AwaitingHello    | HELLO    | the policy is asked | `AwaitingVerdict`  |
/// | AwaitingVerdict  | admitted | WELCOME             | `AwaitingInitiate` |
/// | AwaitingInitiate | INITIATE | READY               | messages           |
#[derive(Debug)]
enum Server {
    AwaitingHello,
    AwaitingVerdict,
    AwaitingInitiate(Admitted),
    Ended,
}

impl Handshake for Server {
    fn start(&mut self, _cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(self, Self::Ended) {
            Self::AwaitingHello if command.is(HELLO) => {
                let credentials = credentials(command.body).ok_or(MechanismError::Malformed(
                    "HELLO: a name and a password, each after its length",
                ))?;
                *self = Self::AwaitingVerdict;
                Ok(Step::Authenticate {
                    credentials,
                    metadata: None,
                })
            }
            Self::AwaitingInitiate(admitted) if command.is(INITIATE) => {
                let step = ready(admitted, command.body)?;
                cx.send(READY, cx.metadata())?;
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
        let Self::AwaitingVerdict = mem::replace(self, Self::Ended) else {
            return Err(MechanismError::UnexpectedCommand);
        };
        cx.send(WELCOME, b"")?;
        *self = Self::AwaitingInitiate(admitted);
        Ok(Step::Continue)
    }
}

/// RFC 24, "HELLO Command": nothing may follow the password.
fn credentials(body: &[u8]) -> Option<Credentials> {
    let (username, rest) = counted(body)?;
    let (password, rest) = counted(rest)?;
    rest.is_empty().then(|| Credentials::Plain {
        username: Bytes::copy_from_slice(username),
        password: Password::new(password),
    })
}

fn counted(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn ready(admitted: Admitted, metadata: &[u8]) -> Result<Step, MechanismError> {
    Ok(Step::Ready(Ready {
        admitted,
        metadata: Metadata::parse(metadata)?,
        key: None,
        our_key: None,
        protection: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::Provenance;
    use crate::mechanism::testing::{
        Party, accepted_commands, accepted_lengths, assert_hidden, ready,
    };

    const HELLO_FRAME: &[u8] = b"\x05HELLO\x07scanner\x09open/door";
    const WELCOME_FRAME: &[u8] = b"\x07WELCOME";
    const INITIATE_FRAME: &[u8] = b"\x08INITIATE\x0bSocket-Type\0\0\0\x04PUSH";
    const READY_FRAME: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH";
    const BODIES: [&[u8]; 3] = [
        b"\x07scanner\x09open/door",
        b"",
        b"\x0bSocket-Type\0\0\0\x04PUSH",
    ];

    fn client() -> Party {
        Party::new(&Plain::client("scanner", "open/door").unwrap(), 1)
    }

    fn server() -> Party {
        Party::new(&Plain::server(), 2)
    }

    /// A client that has sent HELLO.
    fn client_awaiting_welcome() -> Party {
        let mut client = client();
        let _step = client.start().unwrap();
        assert_eq!(client.sent_one(), HELLO_FRAME);
        client
    }

    fn client_awaiting_ready() -> Party {
        let mut client = client_awaiting_welcome();
        assert!(matches!(client.feed(WELCOME_FRAME), Ok(Step::Continue)));
        assert_eq!(client.sent_one(), INITIATE_FRAME);
        client
    }

    fn server_awaiting_verdict() -> Party {
        let mut server = server();
        assert!(matches!(server.start(), Ok(Step::Continue)));
        let _question = server.feed(HELLO_FRAME).unwrap();
        server
    }

    fn server_awaiting_initiate() -> Party {
        let mut server = server_awaiting_verdict();
        assert!(server.sent().is_empty());
        assert!(matches!(server.admit(), Ok(Step::Continue)));
        assert_eq!(server.sent_one(), WELCOME_FRAME);
        server
    }

    #[test]
    fn the_server_asks_the_policy_with_the_name_and_the_password() {
        let step = server().feed(HELLO_FRAME).unwrap();
        let Step::Authenticate {
            credentials: Credentials::Plain { username, password },
            metadata: None,
        } = step
        else {
            panic!("{step:?}");
        };
        assert_eq!(username, "scanner");
        assert!(password.matches(b"open/door") && !password.matches(b"open/Door"));
    }

    #[test]
    fn a_whole_handshake_makes_both_sides_ready() {
        let mut server = server_awaiting_initiate();
        let at_server = ready(server.feed(INITIATE_FRAME));
        assert_eq!(at_server.admitted.provenance(), Provenance::Policy);
        assert_eq!(server.sent_one(), READY_FRAME);

        let at_client = ready(client_awaiting_ready().feed(READY_FRAME));
        assert_eq!(at_client.admitted.provenance(), Provenance::Anyone);
        for ready in [at_server, at_client] {
            assert_eq!(ready.metadata.property("Socket-Type").unwrap(), "PUSH");
            assert!(ready.key.is_none() && ready.protection.is_none());
        }
    }

    #[test]
    fn t24_only_the_table_is_accepted() {
        type State = fn() -> Party;
        let table: [(State, &[(&str, &str)]); 6] = [
            (client, &[]),
            (client_awaiting_welcome, &[("WELCOME", "continue")]),
            (client_awaiting_ready, &[("READY", "ready")]),
            (server, &[("HELLO", "authenticate")]),
            (server_awaiting_verdict, &[]),
            (server_awaiting_initiate, &[("INITIATE", "ready")]),
        ];
        for (row, (state, expected)) in table.into_iter().enumerate() {
            assert_eq!(accepted_commands(state, &BODIES), expected, "row {row}");
        }
    }

    #[test]
    fn t24_a_verdict_counts_only_where_it_was_asked_for() {
        assert!(server_awaiting_verdict().admit().is_ok());
        for state in [server, server_awaiting_initiate, client_awaiting_welcome] {
            let mut party = state();
            assert!(party.admit().is_err() && party.sent().is_empty());
        }
    }

    #[test]
    fn t04_every_command_has_its_exact_lengths() {
        assert_eq!(accepted_lengths(server, HELLO_FRAME), [HELLO_FRAME.len()]);
        assert_eq!(
            accepted_lengths(client_awaiting_welcome, WELCOME_FRAME),
            [WELCOME_FRAME.len()]
        );
        assert_eq!(
            accepted_lengths(server_awaiting_initiate, INITIATE_FRAME),
            [9, INITIATE_FRAME.len()]
        );
        assert_eq!(
            accepted_lengths(client_awaiting_ready, READY_FRAME),
            [6, READY_FRAME.len()]
        );
    }

    #[test]
    fn names_and_passwords_have_the_lengths_of_one_octet() {
        let long = "x".repeat(256);
        assert_eq!(Plain::client("", "p").unwrap_err(), PlainError::Username);
        assert_eq!(Plain::client(&long, "p").unwrap_err(), PlainError::Username);
        assert_eq!(Plain::client("u", &long).unwrap_err(), PlainError::Password);
        for (username, password) in [("u", ""), (&long[..255], &long[..255])] {
            let mut client = Party::new(&Plain::client(username, password).unwrap(), 1);
            let _step = client.start().unwrap();
            let step = server().feed(&client.sent_one()).unwrap();
            let Step::Authenticate {
                credentials:
                    Credentials::Plain {
                        username: sent,
                        password: secret,
                    },
                ..
            } = step
            else {
                panic!("{step:?}");
            };
            assert!(sent == username && secret.matches(password.as_bytes()));
        }
    }

    #[test]
    fn closing_instead_of_welcome_means_that_the_password_was_refused() {
        let reason = |party: Party| party.handshake().closed_early();
        assert_eq!(reason(client_awaiting_welcome()), Reason::Denied);
        assert_eq!(reason(client_awaiting_ready()), Reason::Closed);
        assert_eq!(reason(server()), Reason::Closed);
    }

    #[test]
    fn t20_debug_shows_no_password() {
        let mechanism = Plain::client("scanner", "open/door").unwrap();
        let question = server().feed(HELLO_FRAME).unwrap();
        let shown = format!("{mechanism:?} {:?} {question:?}", mechanism.handshake());
        assert!(shown.contains("Login(..)") && shown.contains("Password(..)"));
        assert_hidden(&shown, b"open/door");
    }
}
