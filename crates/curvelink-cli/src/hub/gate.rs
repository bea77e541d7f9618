//! What may pass from ingest to feed: the sender's rights, then the envelope.

use std::sync::Arc;

use curvelink::{Frame, Peer};
use curvelink_envelope::{ReplayState, SignPolicy, Verified, Verifier, Via};
use curvelink_zap::{Policy, Scope};

use super::system::is_system;
use crate::home::EnvelopeConfig;

/// Judges messages. What passed is remembered, so that it passes once.
#[derive(Debug)]
pub(super) struct Gate {
    policy: Arc<Policy>,
    /// Which topics are signed.
    modes: SignPolicy,
    verifier: Verifier,
}

/// What to do with a message that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell who would receive the topic: the message has no body.
    Ask,
    /// Pass it on. Of a topic that is not signed, nothing is known of an envelope.
    Publish(Option<Box<Verified>>),
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
    /// Goes on from what was `seen` before.
    pub(super) fn new(
        policy: Arc<Policy>,
        config: &EnvelopeConfig,
        seen: ReplayState,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            modes: config.modes(),
            verifier: config.verifier(&policy, &[])?.with_replay_state(seen),
            policy,
        })
    }

    /// What has been seen.
    pub(super) fn seen(&self) -> &ReplayState {
        self.verifier.replay_state()
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
        if !self.modes.requires_signature(topic) {
            return Ok(Verdict::Publish(None));
        }
        match self.verifier.verify(frames, via) {
            Ok(verified) => Ok(Verdict::Publish(Some(verified.into()))),
            Err(error) => refused(error.code(), error.to_string()),
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
    use curvelink_envelope::{
        About, BatchSigner, Progress, Signer, SigningKey, Timestamp, Trailer,
    };

    use super::*;
    use crate::home::table;
    use crate::output;

    const SEED: [u8; 32] = [3; 32];
    const OTHER: [u8; 32] = [4; 32];

    fn gate(sign: &str, rules: &str) -> Gate {
        let keys = [SEED, OTHER].map(|seed| {
            let key = SigningKey::from_seed(&seed).verifying_key();
            output::hex(key.as_octets())
        });
        let [ci, other] = keys;
        let policy = format!(
            "version = 1\n\
             [identities.ci]\nsign = [{ci:?}]\npublish = [\"findings/\"]\n\
             [identities.other]\nsign = [{other:?}]\npublish = [\"findings/\"]\n",
        );
        let policy = Policy::from_toml(&policy, "zap.toml").unwrap();
        let config = table(sign, rules).unwrap();
        Gate::new(Arc::new(policy), &config, ReplayState::default()).unwrap()
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

    /// The topic of the message is the one that `topic` names, its signer ci.
    fn cosigned(topic: &str) -> Vec<Frame> {
        let mut frames = signed(topic);
        let key = SigningKey::from_seed(&OTHER);
        let trailer = Trailer::countersign(&frames, &key).unwrap();
        frames.pop();
        frames.push(trailer.into());
        frames
    }

    fn batch(topic: &str) -> Vec<Frame> {
        let key = SigningKey::from_seed(&SEED);
        let signer =
            Signer::start(key, "ci", "hub", Progress::default(), Timestamp::now()).unwrap();
        let mut batch = BatchSigner::new(signer);
        let mut frames = vec![Frame::from(topic), Frame::from("body")];
        let about = About::new("text/plain");
        batch.push(&frames, &about, Timestamp::now()).unwrap();
        frames.push(batch.seal().unwrap().remove(0).into());
        frames
    }

    #[test]
    fn a_signed_message_passes_once_and_from_its_signer_only() {
        let mut gate = gate("each", "");
        let message = signed("findings/a");
        assert_eq!(code(gate.judge(&peer("other"), &message)), "not-the-sender");
        assert_eq!(code(gate.judge(&peer("ci"), &message)), "ok");
        assert_eq!(code(gate.judge(&peer("ci"), &message)), "replayed");
        let mut altered = signed("findings/a");
        altered[1] = "other".into();
        assert_eq!(code(gate.judge(&peer("ci"), &altered)), "digest-mismatch");
    }

    #[test]
    fn a_topic_outside_the_rights_is_refused_before_anything_else_is_looked_at() {
        let mut gate = gate("each", "");
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
            let mut gate = gate(sign, "");
            for topic in ["$sys/", "$sys/checkpoint", "$sys/x"] {
                for frames in [&message(topic)[..], &message(topic)[..1], &signed(topic)] {
                    let refused = gate.judge(&everything, frames).unwrap_err();
                    assert_eq!(refused.code, "topic-denied", "{topic}");
                    assert!(refused.message.contains("the hub's own"), "{topic}");
                }
            }
        }
        for topic in ["$sys", "$sysx/", "x$sys/"] {
            let verdict = gate("none", "").judge(&everything, &message(topic));
            assert_eq!(verdict, Ok(Verdict::Publish(None)), "{topic}");
        }
    }

    #[test]
    fn unsigned_messages_pass_only_where_no_signatures_are_asked_for() {
        let frames = ["findings/a", "body"].map(Frame::from);
        let open = "[[topic]]\nprefix = \"findings/a\"\nsign = \"none\"\n";
        let closed = "[[topic]]\nprefix = \"findings/\"\nsign = \"batch\"\n";
        for (sign, rules, expected) in [
            ("each", "", "malformed-envelope"),
            ("batch", "", "malformed-envelope"),
            ("none", "", "ok"),
            ("each", open, "ok"),
            ("none", closed, "malformed-envelope"),
        ] {
            let verdict = gate(sign, rules).judge(&peer("ci"), &frames);
            assert_eq!(code(verdict), expected, "{sign} {rules}");
        }
        let mut nameless = peer("ci");
        nameless.name = None;
        let verdict = gate("none", "").judge(&nameless, &frames);
        assert_eq!(code(verdict), "unknown-sender");
        // What is not looked at counts for nothing.
        let verdict = gate("none", "").judge(&peer("ci"), &signed("findings/a"));
        assert_eq!(verdict, Ok(Verdict::Publish(None)));
    }

    #[test]
    fn either_kind_of_signature_passes_where_one_is_asked_for() {
        for sign in ["each", "batch"] {
            for message in [signed("findings/a"), batch("findings/a")] {
                let mut gate = gate(sign, "");
                assert_eq!(code(gate.judge(&peer("other"), &message)), "not-the-sender");
                assert_eq!(code(gate.judge(&peer("ci"), &message)), "ok", "{sign}");
                let mut altered = message;
                altered[1] = "other".into();
                let verdict = gate.judge(&peer("ci"), &altered);
                assert_eq!(code(verdict), "digest-mismatch", "{sign}");
            }
        }
    }

    #[test]
    fn a_topic_that_needs_two_signers_takes_no_message_with_one() {
        let rules = "[[topic]]\nprefix = \"findings/two/\"\n\
                     signers = [\"ci\", \"other\"]\nthreshold = 2\n";
        for (topic, alone) in [("findings/two/a", "too-few-signers"), ("findings/a", "ok")] {
            let judge = |name: &str, message: &[Frame]| {
                code(gate("each", rules).judge(&peer(name), message))
            };
            assert_eq!(judge("ci", &signed(topic)), alone);
            assert_eq!(judge("ci", &batch(topic)), alone);
            // Who has signed second may not send it for the first.
            assert_eq!(judge("other", &cosigned(topic)), "not-the-sender");
            assert_eq!(judge("ci", &cosigned(topic)), "ok", "{topic}");
        }
    }
}
