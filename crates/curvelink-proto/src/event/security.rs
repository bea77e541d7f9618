//! Security events: what the log, the audit trail and a SIEM are told, in one shape.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{EventId, LinkEvent, LinkEventKind, Reason, Refusal, Severity, Side, Stage};
use crate::keys::Fingerprint;
use crate::mechanism::MechanismName;
use crate::peer::{Network, Peer, PeerAddress};

/// An event of the catalogue, or several of one kind, source and reason told as one.
///
/// It holds no secret and no payload. All that a peer chose is the [`topic`](Self::topic), which
/// is escaped and cut. What several events told as one do not have in common is left out, but for
/// the address and the topic, which are those of the last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// Which entry of the catalogue.
    pub id: EventId,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened: the first, where it is several.
    pub first: SystemTime,
    /// When the last happened.
    pub last: SystemTime,
    /// How often, at least 1.
    pub count: u64,
    /// The endpoint that was bound or connected.
    pub endpoint: Option<Arc<str>>,
    /// The other side.
    pub address: Option<PeerAddress>,
    /// Where the other side is, as events are put together: its network.
    pub network: Option<Network>,
    /// The peer's long-term key, as in [`Refusal::fingerprint`].
    pub fingerprint: Option<Fingerprint>,
    /// The name that the policy gave the peer.
    pub identity: Option<Arc<str>>,
    /// The mechanism that this side demands.
    pub mechanism: Option<MechanismName>,
    /// The ZAP domain of the socket, unless it is empty.
    pub domain: Option<Arc<str>>,
    /// How long it took, or lasted, since the connection was made.
    pub duration: Option<Duration>,
    /// Who refused.
    pub by: Option<Side>,
    /// How far a refused connection had come.
    pub stage: Option<Stage>,
    /// Why: the code of a [`Reason`], or of another closed list (an envelope's error).
    pub reason: Option<&'static str>,
    /// The ZAP status, where a policy decided.
    pub status: Option<u16>,
    /// What was tried or done: one word.
    pub action: Option<&'static str>,
    /// The topic, [escaped](super::Escaped).
    pub topic: Option<Arc<str>>,
    /// The other fields of the entry, by name. The values are escaped where they are shown.
    pub details: Vec<(&'static str, Cow<'static, str>)>,
}

impl SecurityEvent {
    /// An event of this moment, with the severity of its entry; set the fields that are known.
    #[must_use]
    pub const fn new(id: EventId, now: SystemTime) -> Self {
        Self {
            id,
            severity: id.severity(),
            first: now,
            last: now,
            count: 1,
            endpoint: None,
            address: None,
            network: None,
            fingerprint: None,
            identity: None,
            mechanism: None,
            domain: None,
            duration: None,
            by: None,
            stage: None,
            reason: None,
            status: None,
            action: None,
            topic: None,
            details: Vec::new(),
        }
    }

    /// What an event of a link is in the catalogue; `None` where it is not in it.
    #[must_use]
    pub fn of_link(event: &LinkEvent, now: SystemTime) -> Option<Self> {
        let mut told = Self::new(event.kind.id()?, now);
        told.endpoint = Some(event.endpoint.clone());
        told.at(event.address);
        told.duration = event.age;
        if let Some(peer) = &event.peer {
            told.of(peer);
        }
        told.fill(&event.kind);
        Some(told)
    }

    fn fill(&mut self, kind: &LinkEventKind) {
        match kind {
            LinkEventKind::HandshakeSucceeded(peer) => {
                self.of(peer);
                self.detail("socket_type", peer.socket_type.name());
                if let Some(cipher) = peer.cipher {
                    self.detail("cipher", cipher);
                }
            }
            LinkEventKind::Refused(refusal) => self.fill_refusal(refusal),
            LinkEventKind::Disconnected {
                reason,
                received,
                sent,
            } => {
                self.reason = reason.map(Reason::code);
                self.detail("received", received.to_string());
                self.detail("sent", sent.to_string());
            }
            LinkEventKind::Denied {
                action,
                name,
                topic,
                count,
            } => {
                self.action = Some(action.name());
                self.identity.clone_from(name);
                self.topic = Some(topic.clone());
                self.count = *count;
            }
            LinkEventKind::AcceptFailed { error } => self.detail("error", error.to_string()),
            _ => {}
        }
    }

    fn fill_refusal(&mut self, refusal: &Refusal) {
        self.by = Some(refusal.by);
        self.stage = Some(refusal.stage);
        self.reason = Some(refusal.reason.code());
        self.mechanism = Some(refusal.mechanism);
        self.fingerprint = refusal.fingerprint;
        self.status = refusal.status;
    }

    /// Sets the address, and with it the network.
    pub fn at(&mut self, address: Option<PeerAddress>) {
        self.address = address;
        self.network = address.map(|address| address.network());
    }

    /// Says which peer it is about: address, key, name and mechanism.
    pub fn of(&mut self, peer: &Peer) {
        self.at(Some(peer.address));
        self.fingerprint = peer.key.map(|key| key.fingerprint());
        self.identity.clone_from(&peer.name);
        self.mechanism = Some(peer.mechanism);
    }

    /// Adds a field of the entry's own.
    pub fn detail(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.details.push((name, value.into()));
    }

    /// Makes one of two events of one kind, this being the earlier.
    pub fn merge(&mut self, later: Self) {
        fn common<T: PartialEq>(ours: &mut Option<T>, theirs: Option<T>) {
            if *ours != theirs {
                *ours = None;
            }
        }
        self.count = self.count.saturating_add(later.count);
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.severity = self.severity.max(later.severity);
        self.address = later.address;
        self.topic = later.topic;
        // Of several, no one is how long all took.
        self.duration = None;
        common(&mut self.endpoint, later.endpoint);
        common(&mut self.network, later.network);
        common(&mut self.fingerprint, later.fingerprint);
        common(&mut self.identity, later.identity);
        common(&mut self.mechanism, later.mechanism);
        common(&mut self.domain, later.domain);
        common(&mut self.by, later.by);
        common(&mut self.stage, later.stage);
        common(&mut self.reason, later.reason);
        common(&mut self.status, later.status);
        common(&mut self.action, later.action);
        self.details.retain(|detail| later.details.contains(detail));
    }

    /// Its fields by name, but for the times: those of [`EventId::fields`] that it has, and `count`.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        fn text<T: fmt::Display>(value: Option<T>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        let fixed = [
            ("endpoint", text(self.endpoint.as_ref())),
            ("peer", text(self.address)),
            ("network", text(self.network)),
            ("key", text(self.fingerprint)),
            ("identity", text(self.identity.as_ref())),
            ("mechanism", text(self.mechanism)),
            ("domain", text(self.domain.as_ref())),
            ("duration", self.duration.map(seconds)),
            ("by", text(self.by.map(Side::name))),
            ("stage", text(self.stage)),
            ("reason", text(self.reason)),
            ("status", text(self.status)),
            ("action", text(self.action)),
            ("topic", text(self.topic.as_ref())),
        ];
        let fixed = fixed
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let details = self.details.iter();
        fixed
            .chain(details.map(|(name, value)| (*name, value.to_string())))
            .chain([("count", self.count.to_string())])
            .collect()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// One line: the entry and its fields, each value quoted where it is more than one plain word.
impl fmt::Display for SecurityEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        for (name, value) in self.fields() {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_./:+*[]@".contains(&octet);
            if value.bytes().all(plain) && !value.is_empty() {
                write!(f, " {name}={value}")?;
            } else {
                write!(f, " {name}={value:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;
    use crate::entropy::OsEntropy;
    use crate::event::{Action, SystemError};
    use crate::keys::KeyPair;
    use crate::socket_type::SocketType;

    fn address(host: u8) -> PeerAddress {
        PeerAddress::Tcp(SocketAddr::from(([192, 0, 2, host], 4711)))
    }

    fn told(host: u8, kind: LinkEventKind) -> SecurityEvent {
        let mut event = LinkEvent::new("tcp://0.0.0.0:7".into(), Some(address(host)), kind);
        event.age = Some(Duration::from_millis(1500));
        SecurityEvent::of_link(&event, SystemTime::UNIX_EPOCH).unwrap()
    }

    fn refused(host: u8, reason: Reason) -> SecurityEvent {
        let (stage, mechanism) = (Stage::Admission, MechanismName::CURVE);
        let mut refusal = Refusal::new(Side::Us, stage, reason, mechanism);
        let key = KeyPair::generate(&mut OsEntropy).unwrap().public();
        refusal.fingerprint = Some(key.fingerprint());
        refusal.status = Some(400);
        told(host, LinkEventKind::Refused(refusal))
    }

    fn every_kind() -> Vec<SecurityEvent> {
        let mut peer = Peer::anonymous(address(1), SocketType::Dealer);
        peer.key = Some(KeyPair::generate(&mut OsEntropy).unwrap().public());
        peer.name = Some("ci".into());
        peer.cipher = Some("dryoc");
        let ended = |reason| LinkEventKind::Disconnected {
            reason,
            received: 1,
            sent: 2,
        };
        let error = SystemError::from(&std::io::Error::from_raw_os_error(24));
        let denied = LinkEventKind::Denied {
            action: Action::Publish,
            name: Some("ci".into()),
            topic: "a".into(),
            count: 3,
        };
        vec![
            told(1, LinkEventKind::HandshakeSucceeded(Arc::new(peer))),
            refused(1, Reason::UnknownKey),
            told(1, ended(Some(Reason::Malformed))),
            told(1, ended(Some(Reason::Revoked))),
            {
                let mut event = told(1, LinkEventKind::AcceptFailed { error });
                event.at(None);
                event.duration = None;
                event
            },
            told(1, denied),
        ]
    }

    #[test]
    fn an_event_of_a_link_has_only_the_fields_that_the_catalogue_lists() {
        let codes: Vec<&str> = every_kind().iter().map(|event| event.id.code()).collect();
        let links = ["CL1001", "CL1002", "CL1003", "CL1004", "CL1005", "CL1020"];
        assert_eq!(codes, links);
        for event in every_kind() {
            let fields = event.fields();
            let (last, fields) = fields.split_last().unwrap();
            assert_eq!(last.0, "count");
            for (name, value) in fields {
                assert!(event.id.fields().contains(name), "{}: {name}", event.id);
                assert!(!value.is_empty(), "{}: {name}", event.id);
            }
        }
    }

    #[test]
    fn a_line_says_who_when_and_why() {
        let mut event = refused(7, Reason::UnknownKey);
        event.fingerprint = None;
        event.domain = Some("two words".into());
        assert_eq!(
            event.to_string(),
            "CL1002 handshake-refused endpoint=tcp://0.0.0.0:7 peer=192.0.2.7:4711 \
             network=192.0.2.0/24 mechanism=CURVE domain=\"two words\" duration=1.500 by=us \
             stage=admission reason=unknown-key status=400 count=1"
        );
    }

    #[test]
    fn what_is_told_as_one_claims_nothing_that_is_not_true_of_all() {
        let (one, other) = (
            refused(1, Reason::UnknownKey),
            refused(2, Reason::UnknownKey),
        );
        let mut both = one.clone();
        let mut later = other;
        later.last += Duration::from_secs(5);
        later.count = 41;
        both.merge(later);
        assert_eq!(
            (both.count, both.fingerprint, both.duration),
            (42, None, None)
        );
        assert_eq!(both.last, both.first + Duration::from_secs(5));
        assert_eq!(both.address, Some(address(2)), "that of the last");
        assert_eq!((both.network, both.status), (one.network, Some(400)));
        both.merge(refused(3, Reason::Malformed));
        assert_eq!((both.count, both.reason), (43, None));
    }

    #[test]
    fn a_line_holds_no_control_character_whatever_its_details_are() {
        let mut event = refused(1, Reason::UnknownKey);
        event.identity = Some("a\nb\u{1b}[2J".into());
        event.topic = Some(super::super::Escaped(b"x\n y").to_string().into());
        event.detail("error", "one\r\ntwo \u{202e}");
        let line = event.to_string();
        assert!(!line.chars().any(char::is_control), "{line}");
        assert!(line.contains(r#"identity="a\nb\u{1b}[2J""#), "{line}");
    }
}
