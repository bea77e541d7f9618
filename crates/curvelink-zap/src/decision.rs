//! The verdict on one request, and what decided it.

use std::sync::Arc;

use curvelink_proto::{Credentials, MechanismName, Reason, ZapReply, ZapRequest};

use crate::policy::{Identity, Policy};

impl Policy {
    /// Decides one request. Pure: no I/O, no clock; one hash and at most one comparison.
    ///
    /// Admits a peer whose key or password proves a listed identity, into a domain that this
    /// identity may enter. NULL proves nothing and is never admitted; of mechanisms that this
    /// crate does not know, nothing is believed.
    #[must_use]
    pub fn decide(&self, request: &ZapRequest) -> Decision {
        let proven = match (request.mechanism, &request.credentials) {
            (MechanismName::CURVE, Credentials::Curve(key)) => {
                self.identity_of_key(key).ok_or(Reason::UnknownKey)
            }
            (MechanismName::PLAIN, Credentials::Plain { username, password }) => self
                .prove_user(username, password)
                .ok_or(Reason::UnknownUser),
            _ => Err(Reason::MechanismDenied),
        };
        match proven {
            Ok(identity) => Decision::on_entry(identity, &request.domain),
            Err(reason) => Decision::of_stranger(reason),
        }
    }
}

/// A verdict, with the identity and the line of the file that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    identity: Option<Arc<Identity>>,
    refusal: Option<Reason>,
}

impl Decision {
    /// The verdict on somebody whose identity is proven.
    pub(crate) fn on_entry(identity: &Arc<Identity>, domain: &str) -> Self {
        let allowed = identity.domains.allows_domain(domain);
        Self {
            identity: Some(Arc::clone(identity)),
            refusal: (!allowed).then_some(Reason::DomainDenied),
        }
    }

    /// The verdict on somebody whom the file does not list.
    pub(crate) const fn of_stranger(reason: Reason) -> Self {
        Self {
            identity: None,
            refusal: Some(reason),
        }
    }

    /// Whether the peer is let in.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.refusal.is_none() && self.identity.is_some()
    }

    /// Why not: [`Reason::UnknownKey`], [`Reason::UnknownUser`] (a wrong password as well),
    /// [`Reason::DomainDenied`] or [`Reason::MechanismDenied`]; `None` for an admitted peer.
    #[must_use]
    pub const fn refusal(&self) -> Option<Reason> {
        self.refusal
    }

    /// Who it is, also where a known identity was refused a domain.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// The line of the setting that decided; `None` where no line speaks of the peer.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.identity.as_ref().map(|identity| identity.domains.line)
    }

    /// The answer to the request (RFC 27): 200 with name and rights, or 400.
    #[must_use]
    pub fn reply(&self) -> ZapReply {
        match (&self.identity, self.refusal) {
            (Some(identity), None) => {
                ZapReply::admit(Arc::clone(&identity.name), identity.rights())
            }
            (_, reason) => ZapReply::deny(reason.unwrap_or(Reason::Denied)),
        }
    }
}

#[cfg(test)]
mod tests {
    use curvelink_proto::{Password, PeerAddress, PublicKey, Rights, ZapStatus};

    use super::*;

    const CLIENT: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const STRANGER: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    const FILE: &str = r#"
        version = 1
        [identities.scanner]
        curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
        domains = ["findings"]
        publish = ["findings/"]
        [identities.alice]
        plain = [{ username = "alice", password = "open sesame" }]
        domains = "everything"
        subscribe = "everything"
        [identities.idle]
        plain = [{ username = "idle", password = "x" }]
    "#;

    fn policy() -> Policy {
        Policy::from_toml(FILE, "zap.toml").unwrap()
    }

    fn ask(mechanism: MechanismName, domain: &str, credentials: Credentials) -> Decision {
        policy().decide(&ZapRequest::new(
            domain,
            PeerAddress::Inproc,
            mechanism,
            credentials,
        ))
    }

    fn curve(key: &str, domain: &str) -> Decision {
        let key = PublicKey::from_z85(key).unwrap();
        ask(MechanismName::CURVE, domain, Credentials::Curve(key))
    }

    fn login(username: &str, password: &str) -> Credentials {
        Credentials::Plain {
            username: username.to_owned().into(),
            password: Password::new(password),
        }
    }

    fn plain(username: &str, password: &str, domain: &str) -> Decision {
        ask(MechanismName::PLAIN, domain, login(username, password))
    }

    #[test]
    fn a_listed_key_enters_its_domain_under_its_name_and_with_its_rights() {
        let decision = curve(CLIENT, "findings");
        assert!(decision.is_admitted());
        assert_eq!(decision.line(), Some(5));
        let reply = decision.reply();
        assert_eq!(reply.status, ZapStatus::Admitted);
        assert_eq!(&*reply.user_id, "scanner");
        assert!(reply.rights.publish.contain(b"findings/sast"));
        assert!(!reply.rights.publish.contain(b"findings"));
        assert!(!reply.rights.subscribe.contain(b"findings/"));
    }

    #[test]
    fn a_listed_key_enters_no_other_domain() {
        for domain in [
            "",
            "Findings",
            "findings ",
            "finding",
            "findings/x",
            "*",
            "everything",
        ] {
            let decision = curve(CLIENT, domain);
            assert_eq!(decision.refusal(), Some(Reason::DomainDenied), "{domain:?}");
            let reply = decision.reply();
            assert_eq!(
                (reply.status, reply.reason),
                (ZapStatus::Denied, Reason::DomainDenied)
            );
            assert_eq!((&*reply.user_id, reply.rights), ("", Rights::none()));
        }
    }

    #[test]
    fn an_unlisted_key_is_refused_and_no_line_is_named() {
        let decision = curve(STRANGER, "findings");
        assert_eq!(decision.refusal(), Some(Reason::UnknownKey));
        assert_eq!((decision.line(), decision.identity()), (None, None));
        assert_eq!(decision.reply().status, ZapStatus::Denied);
    }

    #[test]
    fn a_user_enters_with_the_right_password_only() {
        let decision = plain("alice", "open sesame", "any");
        assert_eq!(&*decision.reply().user_id, "alice");
        assert_eq!(
            decision.reply().rights,
            Rights::new(
                curvelink_proto::Topics::none(),
                curvelink_proto::Topics::All,
            )
        );
        assert!(plain("alice", "open sesame", "").is_admitted());
        let long = "x".repeat(300);
        for (username, password) in [
            ("alice", ""),
            ("alice", "open sesam"),
            ("alice", "open sesame "),
            ("alice", "open sesame\0"),
            ("alice", &long),
            ("Alice", "open sesame"),
            ("", "open sesame"),
            ("idle", "open sesame"),
            ("mallory", &"\u{ff}".repeat(127)),
        ] {
            let decision = plain(username, password, "any");
            assert_eq!(
                decision.refusal(),
                Some(Reason::UnknownUser),
                "{username:?} {password:?}"
            );
        }
    }

    #[test]
    fn what_an_identity_leaves_out_is_not_allowed() {
        for domain in ["", "findings"] {
            let decision = plain("idle", "x", domain);
            assert_eq!(decision.refusal(), Some(Reason::DomainDenied));
        }
    }

    #[test]
    fn null_foreign_and_mismatched_mechanisms_are_refused() {
        let key = || Credentials::Curve(PublicKey::from_z85(CLIENT).unwrap());
        let foreign = MechanismName::new(b"X-OTHER").unwrap();
        for (mechanism, credentials) in [
            (MechanismName::NULL, Credentials::Null),
            (MechanismName::CURVE, Credentials::Null),
            (MechanismName::NULL, key()),
            (MechanismName::PLAIN, key()),
            (foreign, key()),
            (MechanismName::NULL, login("alice", "open sesame")),
            (foreign, Credentials::Foreign(vec![])),
            (MechanismName::CURVE, Credentials::Foreign(vec![])),
        ] {
            let decision = ask(mechanism, "findings", credentials);
            assert_eq!(
                decision.refusal(),
                Some(Reason::MechanismDenied),
                "{mechanism}"
            );
            assert_eq!(decision.reply().status, ZapStatus::Denied);
        }
    }
}
