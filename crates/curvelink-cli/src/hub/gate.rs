//! What may pass from ingest to feed: the sender's rights, then the envelope.

use std::sync::Arc;

use curvelink::{Frame, Peer};
use curvelink_envelope::{ReplayState, Verifier, Via};
use curvelink_zap::{Policy, Scope};

use super::system::is_system;
use crate::home::{self, EnvelopeConfig, Sign};

/// Judges messages. What passed is remembered, so that it passes once.
#[derive(Debug)]
pub(super) struct Gate {
    policy: Arc<Policy>,
    /// `None` where no signatures are asked for.
    verifier: Option<Verifier>,
}

/// What to do with a message that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell who would receive the topic: the message has no body.
    Ask,
    /// Pass it on.
    Publish,
}

/// Why a message may not pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refused {
    /// The code where the sender may not publish the topic, whatever the envelope says.
    pub(super) const TOPIC_DENIED: &'static str = "topic-denied";
}

impl Gate {
    pub(super) fn new(policy: Arc<Policy>, config: &EnvelopeConfig) -> anyhow::Result<Self> {
        let verifier = match config.sign {
            Sign::None => None,
            Sign::Each => {
                let verifier = Verifier::new(home::registry(&policy)?, [&*config.audience]);
                Some(verifier.with_max_skew(config.max_skew()))
            }
        };
        Ok(Self { policy, verifier })
    }

    /// Goes on from what was seen before.
    pub(super) fn remember(&mut self, seen: ReplayState) {
        self.verifier = self
            .verifier
            .take()
            .map(|verifier| verifier.with_replay_state(seen));
    }

    /// What has been seen.
    pub(super) fn seen(&self) -> Option<&ReplayState> {
        self.verifier.as_ref().map(Verifier::replay_state)
    }

    /// Judges the frames of a message that came from `peer`.
    pub(super) fn judge(&mut self, peer: &Peer, frames: &[Frame]) -> Result<Verdict, Refused> {
        let refused = |code, message| Err(Refused { code, message });
        let Some(name) = peer.name.as_deref() else {
            return refused(
                "unknown-sender",
                "the policy has no name for the sender".to_owned(),
            );
        };
        let Some(topic) = frames.first() else {
            return refused(
                "no-topic",
                "a message needs a topic as its first frame".to_owned(),
            );
        };
        if is_system(topic) {
            let message = "topics below $sys/ are the hub's own: publish another".to_owned();
            return refused(Refused::TOPIC_DENIED, message);
        }
        if !peer.rights.publish.contain(topic) {
            return refused(Refused::TOPIC_DENIED, self.rights_of(name));
        }
        if frames.len() == 1 {
            return Ok(Verdict::Ask);
        }
        let is_relay = self
            .policy
            .identity(name)
            .is_some_and(|identity| identity.relay);
        let via = if is_relay {
            Via::Relay
        } else {
            Via::Identity(name)
        };
        match &mut self.verifier {
            None => Ok(Verdict::Publish),
            Some(verifier) => match verifier.verify(frames, via) {
                Ok(_) => Ok(Verdict::Publish),
                Err(error) => refused(error.code(), error.to_string()),
            },
        }
    }

    fn rights_of(&self, name: &str) -> String {
        match self
            .policy
            .identity(name)
            .map(|identity| &identity.publish.scope)
        {
            Some(Scope::Listed(prefixes)) => {
                format!("{name} may publish {} only", prefixes.join(", "))
            }
            _ => format!("{name} may publish nothing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use curvelink::{PeerAddress, Rights, SocketType, Topics};
    use curvelink_envelope::{Progress, Signer, SigningKey, Timestamp};

    use super::*;
    use crate::output;

    const SEED: [u8; 32] = [3; 32];

    fn gate(sign: &str) -> Gate {
        let key = SigningKey::from_seed(&SEED).verifying_key();
        let policy = format!(
            "version = 1\n\
             [identities.ci]\nsign = [\"{}\"]\npublish = [\"findings/\"]\n\
             [identities.other]\nplain = [{{ username = \"o\", password_hash = \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw\" }}]\n\
             publish = [\"findings/\"]\n",
            output::hex(key.as_octets()),
        );
        let config = format!("sign = \"{sign}\"\naudience = \"hub\"\nmax_skew = 300");
        let policy = Policy::from_toml(&policy, "zap.toml").unwrap();
        Gate::new(Arc::new(policy), &toml::from_str(&config).unwrap()).unwrap()
    }

    fn peer(name: &str) -> Peer {
        let mut peer = Peer::anonymous(PeerAddress::Inproc, SocketType::Req);
        peer.name = Some(name.into());
        peer.rights = Rights::new(Topics::under([b"findings/".to_vec()]), Topics::none());
        peer
    }

    fn signed(topic: &str) -> Vec<Frame> {
        let key = SigningKey::from_seed(&SEED);
        let mut signer =
            Signer::start(key, "ci", "hub", Progress::default(), Timestamp::now()).unwrap();
        let mut frames = vec![Frame::from(topic), Frame::from("body")];
        frames.push(signer.sign(&frames, "text/plain").unwrap().into());
        frames
    }

    fn code(verdict: Result<Verdict, Refused>) -> &'static str {
        verdict.map_or_else(|refused| refused.code, |_| "ok")
    }

    #[test]
    fn a_signed_message_passes_once_and_from_its_signer_only() {
        let mut gate = gate("each");
        let message = signed("findings/a");
        assert_eq!(code(gate.judge(&peer("other"), &message)), "not-the-sender");
        assert_eq!(gate.judge(&peer("ci"), &message), Ok(Verdict::Publish));
        assert_eq!(code(gate.judge(&peer("ci"), &message)), "replayed");
        let mut altered = signed("findings/a");
        altered[1] = "other".into();
        assert_eq!(code(gate.judge(&peer("ci"), &altered)), "digest-mismatch");
    }

    #[test]
    fn a_topic_outside_the_rights_is_refused_before_anything_else_is_looked_at() {
        let mut gate = gate("each");
        for frames in [signed("remediate/a"), vec!["remediate/a".into()]] {
            let refused = gate.judge(&peer("ci"), &frames).unwrap_err();
            assert_eq!(refused.code, "topic-denied");
            assert_eq!(refused.message, "ci may publish findings/ only");
        }
        assert_eq!(
            gate.judge(&peer("ci"), &["findings/a".into()]),
            Ok(Verdict::Ask)
        );
    }

    #[test]
    fn what_is_the_hubs_own_nobody_publishes_whatever_a_policy_says() {
        let mut everything = peer("ci");
        everything.rights = Rights::all();
        let message = |topic: &str| [topic, "body"].map(Frame::from);
        for sign in ["none", "each"] {
            let mut gate = gate(sign);
            for topic in ["$sys/", "$sys/checkpoint", "$sys/x"] {
                for frames in [&message(topic)[..], &message(topic)[..1], &signed(topic)] {
                    let refused = gate.judge(&everything, frames).unwrap_err();
                    assert_eq!(refused.code, "topic-denied", "{topic}");
                    assert!(refused.message.contains("the hub's own"), "{topic}");
                }
            }
        }
        for topic in ["$sys", "$sysx/", "x$sys/"] {
            let verdict = gate("none").judge(&everything, &message(topic));
            assert_eq!(verdict, Ok(Verdict::Publish), "{topic}");
        }
    }

    #[test]
    fn unsigned_messages_pass_only_where_no_signatures_are_asked_for() {
        let frames = ["findings/a", "body"].map(Frame::from);
        assert_eq!(
            code(gate("each").judge(&peer("ci"), &frames)),
            "malformed-envelope"
        );
        assert_eq!(
            gate("none").judge(&peer("ci"), &frames),
            Ok(Verdict::Publish)
        );
        let mut nameless = peer("ci");
        nameless.name = None;
        assert_eq!(
            code(gate("none").judge(&nameless, &frames)),
            "unknown-sender"
        );
    }
}
