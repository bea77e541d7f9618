//! NULL (RFC 37, "The NULL Security Mechanism"): metadata in clear, and nothing proven.

use std::mem;

use crate::error::MechanismError;
use crate::wire::command::Command;
use crate::wire::metadata::Metadata;
use crate::zap::Credentials;

use super::{Admitted, Handshake, HandshakeCx, Mechanism, MechanismName, Properties, Ready, Step};

const READY: &str = "READY";

/// The NULL mechanism: anybody may connect, read, change and inject.
///
/// For endpoints that only this host can reach. With a ZAP domain on the socket the policy is
/// asked, which then knows the peer's address and nothing else.
///
/// RFC 37, "The NULL Security Mechanism".
#[derive(Clone, Copy, Debug, Default)]
pub struct Null(());

impl Null {
    /// The mechanism; there is nothing to configure.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Mechanism for Null {
    fn name(&self) -> MechanismName {
        MechanismName::NULL
    }

    fn as_server(&self) -> bool {
        false
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: false,
        }
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(NullHandshake::Start)
    }
}

/// Both sides are alike.
///
/// | State           | Event      | Answer                    | Next              |
/// |-----------------|------------|---------------------------|-------------------|
/// | Start           | no domain  | READY                     | `AwaitingReady`   |
/// | Start           | a domain   | the policy is asked       | `AwaitingVerdict` |
/// | AwaitingVerdict | admitted   | READY                     | `AwaitingReady`   |
/// | AwaitingReady   | READY      |                           | messages          |
#[derive(Debug)]
enum NullHandshake {
    Start,
    /// Our READY is held back: the peer learns nothing of us before the policy has let it in. Its
    /// own READY is not waited for, so that two sides with a policy do not wait for each other.
    AwaitingVerdict,
    AwaitingReady(Admitted),
    Ended,
}

impl NullHandshake {
    fn send_ready(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        cx.send(READY, cx.metadata())?;
        *self = Self::AwaitingReady(admitted);
        Ok(Step::Continue)
    }
}

impl Handshake for NullHandshake {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        let Self::Start = mem::replace(self, Self::Ended) else {
            return Err(MechanismError::UnexpectedCommand);
        };
        if cx.zap_domain().is_empty() {
            return self.send_ready(Admitted::anyone(), cx);
        }
        *self = Self::AwaitingVerdict;
        Ok(Step::Authenticate {
            credentials: Credentials::Null,
            metadata: None,
        })
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(self, Self::Ended) {
            Self::AwaitingReady(admitted) if command.is(READY) => Ok(Step::Ready(Ready {
                admitted,
                metadata: Metadata::parse(command.body)?,
                key: None,
                our_key: None,
                protection: None,
            })),
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }

    fn on_admitted(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        match mem::replace(self, Self::Ended) {
            Self::AwaitingVerdict => self.send_ready(admitted, cx),
            _ => Err(MechanismError::UnexpectedCommand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::Provenance;
    use crate::mechanism::testing::{Party, accepted_commands, accepted_lengths, ready};

    const FRAME: &[u8] = b"\x05READY\x0bSocket-Type\0\0\0\x04PUSH";

    fn party(zap_domain: &'static str) -> Party {
        let mut party = Party::new(&Null::new(), 1);
        party.zap_domain = zap_domain;
        party
    }

    fn started(zap_domain: &'static str) -> Party {
        let mut party = party(zap_domain);
        let _step = party.start().unwrap();
        party.sent();
        party
    }

    #[test]
    fn without_a_domain_ready_goes_out_at_once_and_anyone_is_let_in() {
        let mut party = party("");
        assert!(matches!(party.start(), Ok(Step::Continue)));
        assert_eq!(party.sent(), [FRAME]);
        let ready = ready(party.feed(FRAME));
        assert_eq!(ready.admitted.provenance(), Provenance::Anyone);
        assert_eq!(ready.metadata.property("Socket-Type").unwrap(), "PUSH");
        assert!(ready.key.is_none() && ready.protection.is_none());
    }

    #[test]
    fn with_a_domain_nothing_is_sent_before_the_verdict() {
        let mut party = party("global");
        let step = party.start().unwrap();
        let Step::Authenticate {
            credentials: Credentials::Null,
            metadata: None,
        } = step
        else {
            panic!("{step:?}");
        };
        assert!(party.sent().is_empty());
        assert!(matches!(party.admit(), Ok(Step::Continue)));
        assert_eq!(party.sent(), [FRAME]);
        let ready = ready(party.feed(FRAME));
        assert_eq!(ready.admitted.provenance(), Provenance::Policy);
    }

    #[test]
    fn t13_a_peer_that_was_not_admitted_gets_nowhere() {
        let mut unasked = started("");
        assert!(unasked.admit().is_err());
        let mut undecided = started("global");
        assert!(undecided.feed(FRAME).is_err());
        assert!(undecided.admit().is_err() && undecided.sent().is_empty());
    }

    #[test]
    fn t24_only_the_table_is_accepted() {
        let bodies = [&FRAME[6..], b""];
        assert!(accepted_commands(|| party(""), &bodies).is_empty());
        assert!(accepted_commands(|| started("global"), &bodies).is_empty());
        assert_eq!(
            accepted_commands(|| started(""), &bodies),
            [("READY", "ready")]
        );
        let mut done = started("");
        let _ready = ready(done.feed(FRAME));
        assert!(done.feed(FRAME).is_err() && done.start().is_err());
    }

    #[test]
    fn t04_only_whole_metadata_is_accepted() {
        assert_eq!(accepted_lengths(|| started(""), FRAME), [6, FRAME.len()]);
    }
}
