//! The verdict on one request, and what decided it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use curvelink_proto::{Credentials, MechanismName, Password, Reason, ZapReply, ZapRequest};

use crate::identity::Identity;
use crate::password::PasswordHash;
use crate::policy::{Credential, Policy};

impl Policy {
    /// Decides one request, as of `now`. Pure: no I/O, no clock; one hash, and a look at each of
    /// the identity's own sources, domains and endpoints. Only a password is left to be checked,
    /// which takes too long for a thread that has other things to do.
    ///
    /// Admits a peer whose key or password proves a listed identity. What is looked at, in this
    /// order, each with its own [`Reason`]: the mechanism (NULL proves nothing, and of mechanisms
    /// that this crate does not know nothing is believed), the credential, the time of the key, the
    /// source, the domain, the endpoint. Socket type and routing id are not known yet: they are
    /// in the [`rights`](ZapReply::rights), by which the end of the handshake is judged.
    pub fn decide(&self, request: &ZapRequest, now: SystemTime) -> Outcome {
        match (request.mechanism, &request.credentials) {
            (MechanismName::PLAIN, Credentials::Plain { username, password }) => {
                let user = self.users.get(&username[..]);
                let hash = user.and_then(Credential::user).map(|user| &user.password);
                let Some(hash) = hash.or(self.decoy.as_ref()) else {
                    return Outcome::Decided(Decision::of_stranger(Reason::UnknownUser));
                };
                Outcome::Password(PasswordCheck {
                    password: password.clone(),
                    hash: Arc::clone(hash),
                    proven: self.decide_proven(request, now),
                })
            }
            _ => Outcome::Decided(self.decide_proven(request, now)),
        }
    }

    /// As [`decide`](Self::decide), for a request whose credentials were proven before: of a PLAIN
    /// user the password is not asked again.
    #[must_use]
    pub fn decide_proven(&self, request: &ZapRequest, now: SystemTime) -> Decision {
        let proven = match (request.mechanism, &request.credentials) {
            (MechanismName::CURVE, Credentials::Curve(key)) => {
                self.keys.get(key).ok_or(Reason::UnknownKey)
            }
            (MechanismName::PLAIN, Credentials::Plain { username, .. }) => {
                self.users.get(&username[..]).ok_or(Reason::UnknownUser)
            }
            _ => return Decision::of_stranger(Reason::MechanismDenied),
        };
        match proven {
            Ok(credential) if request.mechanism == MechanismName::CURVE => {
                Decision::on_key(credential, request, now)
            }
            Ok(credential) => Decision {
                mark: credential.user().map_or(0, |user| user.password.mark()),
                ..Decision::on_entry(&credential.identity, request)
            },
            Err(reason) => Decision::of_stranger(reason),
        }
    }
}

/// What [`Policy::decide`] comes to.
#[derive(Debug)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "a caller must be able to match it whole"
)]
pub enum Outcome {
    /// The verdict.
    Decided(Decision),
    /// The verdict hangs on a password.
    Password(PasswordCheck),
}

impl Outcome {
    /// The verdict; where it hangs on a password, that is checked on this thread, which takes some
    /// 25 ms and some memory, as the file says. For offline tools and tests.
    #[must_use]
    pub fn settle(self) -> Decision {
        match self {
            Self::Decided(decision) => decision,
            Self::Password(check) => check.run(),
        }
    }
}

/// A password that is to be checked before the verdict is known.
#[derive(Debug)]
pub struct PasswordCheck {
    password: Password,
    hash: Arc<PasswordHash>,
    /// The verdict if it is the right one.
    proven: Decision,
}

impl PasswordCheck {
    /// Checks it, which costs as much for a user who is not listed.
    #[must_use]
    pub fn run(self) -> Decision {
        if self.hash.matches(&self.password) {
            self.proven
        } else {
            Decision::of_stranger(Reason::UnknownUser)
        }
    }
}

/// A verdict, with the identity and the line of the file that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    identity: Option<Arc<Identity>>,
    refusal: Option<Reason>,
    line: Option<usize>,
    expires: Option<SystemTime>,
    /// Of a PLAIN user: which password it was.
    mark: u64,
}

impl Decision {
    /// The verdict on the owner of a key.
    fn on_key(credential: &Credential, request: &ZapRequest, now: SystemTime) -> Self {
        let identity = &credential.identity;
        let Some(key) = credential.key() else {
            return Self::of_stranger(Reason::UnknownKey);
        };
        if !key.is_valid_at(now) {
            return Self::refused(identity, Reason::KeyExpired, key.line);
        }
        Self {
            expires: key.not_after,
            ..Self::on_entry(identity, request)
        }
    }

    /// The verdict on somebody whose identity is proven.
    fn on_entry(identity: &Arc<Identity>, request: &ZapRequest) -> Self {
        let refused = |reason, line| Self::refused(identity, reason, line);
        let line = |limit: Option<usize>| limit.unwrap_or(identity.line);
        if !identity.may_come_from(&request.address) {
            let sources = identity.sources.as_ref().map(|limit| limit.line);
            return refused(Reason::AddressDenied, line(sources));
        }
        if !identity.domains.allows_domain(&request.domain) {
            return refused(Reason::DomainDenied, identity.domains.line);
        }
        if !identity.may_come_by(&request.endpoint) {
            let endpoints = identity.endpoints.as_ref().map(|limit| limit.line);
            return refused(Reason::EndpointDenied, line(endpoints));
        }
        Self {
            identity: Some(Arc::clone(identity)),
            refusal: None,
            line: Some(identity.domains.line),
            expires: None,
            mark: 0,
        }
    }

    fn refused(identity: &Arc<Identity>, reason: Reason, line: usize) -> Self {
        Self {
            identity: Some(Arc::clone(identity)),
            refusal: Some(reason),
            line: Some(line),
            expires: None,
            mark: 0,
        }
    }

    /// The verdict on somebody whom the file does not list.
    const fn of_stranger(reason: Reason) -> Self {
        Self {
            identity: None,
            refusal: Some(reason),
            line: None,
            expires: None,
            mark: 0,
        }
    }

    /// Whether the peer is let in.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        self.refusal.is_none() && self.identity.is_some()
    }

    /// Why not: [`Reason::MechanismDenied`], [`Reason::UnknownKey`], [`Reason::UnknownUser`] (a
    /// wrong password as well), [`Reason::KeyExpired`] (not yet valid as well),
    /// [`Reason::AddressDenied`], [`Reason::DomainDenied`] or [`Reason::EndpointDenied`]; `None`
    /// for an admitted peer.
    #[must_use]
    pub const fn refusal(&self) -> Option<Reason> {
        self.refusal
    }

    /// Who it is, also where a known identity was refused.
    #[must_use]
    pub const fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// The line of the setting that decided; `None` where no line speaks of the peer.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// When the key's time is over.
    #[must_use]
    pub const fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// How long the link may last.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        let age = self.identity.as_ref()?.max_session_age.as_ref()?;
        Some(age.value)
    }

    /// The answer to the request (RFC 27): 200 with name, rights and how long they last, or 400.
    #[must_use]
    pub fn reply(&self) -> ZapReply {
        match (&self.identity, self.refusal) {
            (Some(identity), None) => {
                let mut reply = ZapReply::admit(Arc::clone(&identity.name), identity.rights());
                reply.expires = self.expires;
                reply.max_age = self.max_age();
                reply.mark = self.mark;
                reply
            }
            (_, reason) => ZapReply::deny(reason.unwrap_or(Reason::Denied)),
        }
    }
}

#[cfg(test)]
mod tests {
    use curvelink_proto::{
        Password, PeerAddress, PublicKey, Rights, RoutingIds, Topics, ZapStatus,
    };

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
        plain = [{ username = "alice", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1hbGljZS0wMA$VgGd8b7sBUeQsdjCM4U4Wouk51oUzCsqf/AC7ZlqM8E" }]
        domains = "everything"
        subscribe = "everything"
        [identities.idle]
        plain = [{ username = "idle", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1pZGxlLTAwMA$28FnkYpegw2wJUYUT3+W5A" }]
    "#;

    fn policy() -> Policy {
        Policy::from_toml(FILE, "zap.toml").unwrap()
    }

    fn ask(mechanism: MechanismName, domain: &str, credentials: Credentials) -> Decision {
        let request = ZapRequest::new(domain, PeerAddress::Inproc, mechanism, credentials);
        policy().decide(&request, SystemTime::now()).settle()
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
        assert_eq!(decision.reply().rights, {
            let mut rights = Rights::new(Topics::none(), Topics::All);
            rights.routing_ids = RoutingIds::none();
            rights
        });
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
