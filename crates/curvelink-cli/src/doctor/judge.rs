//! What a conversation means, and what to do about it.

use std::io;

use curvelink::{MechanismName, PublicKey, Reason};
use curvelink_proto::ProtocolError;

use super::probe::{End, Seen};
use super::report::{Found, Report};
use super::{Identity, Patient, stranger};
use crate::exit::Exit;

/// Octets of a greeting that tell its version.
const VERSION: usize = 12;

/// Everything that was seen.
pub(super) struct Look<'a> {
    pub(super) patient: &'a Patient,
    pub(super) seen: &'a Seen,
    /// The key that was demanded of the server.
    pub(super) server: Option<PublicKey>,
    /// What it said when asked for HTTP, having said nothing else.
    pub(super) answer: &'a [u8],
}

/// Why there is no connection.
pub(super) fn not_reached(error: &io::Error) -> Found {
    let said = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nobody listens there: is the peer up, and is this its port?".to_owned()
        }
        io::ErrorKind::TimedOut => {
            "no answer: is the host up, and does a firewall stand between?".to_owned()
        }
        io::ErrorKind::NotFound => "there is no such socket: is the peer up?".to_owned(),
        _ => format!("cannot be reached: {error}"),
    };
    Found::failed("not-reached", Exit::TimedOut, said)
}

impl Look<'_> {
    /// The steps from the protocol on.
    pub(super) fn report(&self, report: &mut Report) {
        for step in [
            Self::protocol,
            Self::mechanism,
            Self::server_key,
            Self::admission,
            Self::handshake,
        ] {
            report.add(step(self));
            if report.exit().is_some() {
                return;
            }
        }
        if self.seen.end.is_ok() {
            report.handshake_ms = Some(self.milliseconds());
        }
    }

    fn protocol(&self) -> Found {
        match &self.seen.end {
            _ if self.seen.first.is_empty() => self.silence(),
            Err(End::Protocol(ProtocolError::LegacyVersion { major })) => Found::failed(
                "legacy-version",
                Exit::Refused,
                format!("speaks ZMTP {major}.0, which has no security: update the peer"),
            ),
            Err(End::Protocol(ProtocolError::NotZmtp)) => {
                not_zmtp(stranger::name(&self.seen.first).unwrap_or("something else"))
            }
            _ if self.seen.first.len() < VERSION => Found::failed(
                "not-zmtp",
                Exit::Refused,
                "breaks off in its greeting: is this the right port?",
            ),
            _ => {
                let octet = |index: usize| self.seen.first.get(index).copied().unwrap_or_default();
                Found::Ok(format!("ZMTP {}.{}", octet(10), octet(11)))
            }
        }
    }

    /// Something took the connection and sent nothing before it closed, or at all.
    fn silence(&self) -> Found {
        if let Some(name) = stranger::name(self.answer) {
            return not_zmtp(name);
        }
        if self.seen.reason() == Some(Reason::Timeout) {
            let said =
                "takes connections and says nothing: is it a ZeroMQ socket, and not stopped?";
            return Found::failed("silent", Exit::TimedOut, said);
        }
        let said = "closes without a word: is it a ZeroMQ socket? One that has too many strangers, or \
                    does not accept this address, does the same";
        Found::failed("not-zmtp", Exit::Refused, said)
    }

    fn mechanism(&self) -> Found {
        let ours = match self.patient.identity {
            Identity::Clear => MechanismName::NULL,
            Identity::Curve { .. } => MechanismName::CURVE,
        };
        if self.seen.reason() != Some(Reason::MechanismMismatch) {
            return Found::Ok(format!("{ours}, as on this side"));
        }
        let theirs = announced(&self.seen.first);
        let theirs = theirs.as_deref().unwrap_or("another one");
        let to_do = match theirs {
            "CURVE" => "give --as, or --key and --server-key",
            "NULL" => "leave out --as, --key and --server-key, if clear text is meant",
            _ => "doctor can speak CURVE and NULL",
        };
        let said = format!("the peer speaks {theirs}, and this side means {ours}: {to_do}");
        Found::failed("mechanism-mismatch", Exit::Refused, said)
    }

    fn server_key(&self) -> Found {
        let Some(server) = self.server else {
            return Found::Skipped("NULL proves nothing about either side");
        };
        let fingerprint = server.fingerprint();
        if self.seen.past_hello {
            return Found::Ok(format!("the server has proven {fingerprint}"));
        }
        match self.seen.reason() {
            Some(Reason::Timeout) => Found::failed(
                "timeout",
                Exit::TimedOut,
                "the server does not answer HELLO: is it overloaded?",
            ),
            Some(Reason::Temporary | Reason::Denied | Reason::HandlerError) => Found::failed(
                "refused",
                Exit::Refused,
                "the server refused before it proved its key: see its log",
            ),
            _ => {
                let said = format!(
                    "the server does not have {fingerprint}: check --server-key, or somebody else is \
                     listening there"
                );
                Found::failed("wrong-server-key", Exit::Refused, said)
            }
        }
    }

    fn admission(&self) -> Found {
        let has_key = !matches!(self.patient.identity, Identity::Curve { keys: None, .. });
        match &self.seen.end {
            Ok(_) if has_key => Found::Ok("the peer lets this side in".to_owned()),
            Ok(_) => Found::Ok("the peer lets anybody in: a key made just now will do".to_owned()),
            Err(End::Io(error)) => {
                let said = format!("the connection broke: {error}");
                Found::failed("closed", Exit::TimedOut, said)
            }
            Err(End::Protocol(error)) => match error.reason() {
                Reason::Denied | Reason::Closed if !has_key => {
                    Found::Skipped("no key of this side was given: give --as or --key as well")
                }
                _ => self.refused(error),
            },
        }
    }

    fn refused(&self, error: &ProtocolError) -> Found {
        let kind = self.patient.kind;
        let (outcome, exit, said) = match error {
            ProtocolError::RefusedByPeer { status: Some(300) } => {
                let said = "refused for now: try again later".to_owned();
                ("refused-for-now", Exit::Refused, said)
            }
            ProtocolError::RefusedByPeer { status: Some(500) } => {
                let said = "the peer's own check of keys failed: see its log".to_owned();
                ("handler-error", Exit::Refused, said)
            }
            ProtocolError::RefusedByPeer { .. } => {
                let said = "the peer does not admit this side: ask its operator to list the key";
                ("unknown-key", Exit::Refused, said.to_owned())
            }
            ProtocolError::SocketType => {
                let said = format!("the peer's socket does not talk to {kind}: try another --type");
                ("socket-type", Exit::Refused, said)
            }
            ProtocolError::Timeout(_) => {
                let said = "the peer does not decide: does its ZAP handler answer?".to_owned();
                ("timeout", Exit::TimedOut, said)
            }
            ProtocolError::ClosedEarly { .. } => {
                let said = format!(
                    "the peer closed without a word: it does not admit this side, or its socket does \
                     not talk to {kind}: try another --type"
                );
                ("closed", Exit::Refused, said)
            }
            error => {
                let said = format!("the peer breaks the protocol: {error}");
                ("damaged", Exit::Damaged, said)
            }
        };
        Found::failed(outcome, exit, said)
    }

    fn handshake(&self) -> Found {
        match &self.seen.end {
            Ok(peer) => {
                let (took, theirs) = (self.milliseconds(), peer.socket_type);
                Found::Ok(format!(
                    "{took:.1} ms, with a socket of type {}",
                    theirs.name()
                ))
            }
            Err(_) => Found::Skipped("not looked at"),
        }
    }

    fn milliseconds(&self) -> f64 {
        self.seen.took.as_secs_f64() * 1000.0
    }
}

fn not_zmtp(name: &str) -> Found {
    let said = format!("speaks {name}, not ZMTP: is this the right port?");
    Found::failed("not-zmtp", Exit::Refused, said)
}

/// The mechanism of a greeting, if it is a name that can be shown.
fn announced(greeting: &[u8]) -> Option<String> {
    let name = greeting.get(VERSION..32)?;
    let name = name.split(|octet| *octet == 0).next()?;
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.+".contains(octet);
    let fits = !name.is_empty() && name.iter().all(is_name);
    fits.then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_shown_only_if_it_is_a_name() {
        let greeting = |name: &[u8]| {
            let mut octets = vec![0; 64];
            octets[VERSION..VERSION + name.len()].copy_from_slice(name);
            octets
        };
        for (name, shown) in [
            (&b"CURVE"[..], Some("CURVE")),
            (b"", None),
            (b"\x1b[2J", None),
            (b"A NAME", None),
        ] {
            assert_eq!(announced(&greeting(name)).as_deref(), shown);
        }
        assert_eq!(announced(&greeting(b"CURVE")[..20]), None);
    }
}
