//! What a refused connection means to the person who tried, and what to do about it.

use curvelink::{MechanismName, Reason, Refusal, Side, Stage};

use crate::exit::{Exit, failure};

/// One line for a refusal of this side's connection.
pub(crate) fn explain(endpoint: &str, refusal: &Refusal) -> anyhow::Error {
    failure(Exit::Refused, format!("{endpoint}: {}", text(refusal)))
}

fn text(refusal: &Refusal) -> String {
    match (refusal.reason, refusal.stage, refusal.by) {
        (Reason::WrongServerKey, ..) => {
            "refused: the server has another key than the one it must have: check --server-key, or \
             somebody else is listening there"
                .to_owned()
        }
        (Reason::MechanismMismatch, ..) => mechanism(refusal.mechanism),
        (Reason::NotZmtp, ..) => {
            "what listens there does not speak ZMTP: is this the right port?".to_owned()
        }
        (Reason::Timeout, Stage::Greeting, _) => {
            "what listens there does not speak ZMTP, it sent no greeting: is this the right port?"
                .to_owned()
        }
        (Reason::LegacyVersion, ..) => {
            "refused: the peer speaks ZMTP 1.0 or 2.0, which has no security: update it".to_owned()
        }
        (Reason::SocketType, ..) => {
            "refused: the peer's socket is of a type that this one does not talk to".to_owned()
        }
        (Reason::Temporary, ..) => "refused for now: try again later".to_owned(),
        (Reason::Closed, Stage::Handshake | Stage::Admission, _)
        | (_, Stage::Admission, _)
        | (
            Reason::Denied
            | Reason::UnknownKey
            | Reason::UnknownUser
            | Reason::DomainDenied
            | Reason::AddressDenied,
            ..,
        ) => denied(refusal),
        (reason, stage, Side::Peer) => format!("refused by the peer at {stage}: {reason}"),
        (reason, stage, Side::Us) => format!("refused at {stage}: {reason}"),
    }
}

fn mechanism(ours: MechanismName) -> String {
    let hint = if ours == MechanismName::NULL {
        "give --as, or --key and --server-key"
    } else {
        "leave out --as and --key if clear text is meant"
    };
    format!("refused: the peer demands another security mechanism than {ours}: {hint}")
}

fn denied(refusal: &Refusal) -> String {
    let who = match refusal.mechanism {
        MechanismName::CURVE => "unknown key",
        _ => "this side is not admitted",
    };
    format!("refused: {who}, the peer's policy does not list it: ask its operator to")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_four_common_refusals_read_differently_in_one_line() {
        let refusals = [
            (Reason::WrongServerKey, Stage::Handshake, Side::Us),
            (Reason::Denied, Stage::Admission, Side::Peer),
            (Reason::MechanismMismatch, Stage::Greeting, Side::Us),
            (Reason::NotZmtp, Stage::Greeting, Side::Us),
        ];
        let lines: HashSet<String> = refusals
            .into_iter()
            .map(|(reason, stage, by)| Refusal::new(by, stage, reason, MechanismName::CURVE))
            .map(|refusal| explain("tcp://h:1", &refusal).to_string())
            .collect();
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }

    #[test]
    fn every_reason_has_a_line() {
        for reason in Reason::ALL {
            let refusal = Refusal::new(Side::Us, Stage::Handshake, *reason, MechanismName::NULL);
            assert!(!text(&refusal).is_empty());
        }
    }
}
