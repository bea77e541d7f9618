//! The allow-list as it is used: checked, immutable, looked up by key and by user.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use curvelink_proto::{Password, PublicKey, Rights, Topics};

use crate::error::PolicyError;
use crate::password::StoredPassword;
use crate::{file, open};

/// Who may connect, where, and what they may publish and subscribe.
///
/// Every value is valid: at least one identity, no key or user twice, no weak key. A policy does
/// not change; to change one, read the file again and [`replace`](crate::PolicyHandler::replace).
///
/// A lookup costs one hash, whatever the number of identities. The hash is keyed afresh in each
/// policy, so its time tells nothing about listed keys; what a lookup does tell, that the asker's
/// own proven key is listed, the verdict tells as well. Passwords are compared in constant time.
#[derive(Debug)]
pub struct Policy {
    pub(crate) file: Arc<str>,
    pub(crate) identities: BTreeMap<Arc<str>, Arc<Identity>>,
    pub(crate) keys: HashMap<PublicKey, Arc<Identity>>,
    pub(crate) users: HashMap<Box<[u8]>, User>,
    pub(crate) decoy: StoredPassword,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) identity: Arc<Identity>,
    pub(crate) password: StoredPassword,
}

impl Policy {
    /// Reads a policy from text; `name` stands for the file in errors and explanations.
    ///
    /// Reads passwords too: that nobody else can read the text is the caller's care.
    ///
    /// # Errors
    /// The first mistake in the file, with its line: see [`Problem`](crate::Problem). A text of
    /// more than 1 MiB is refused before it is parsed.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, PolicyError> {
        file::parse(text, name)
    }

    /// Reads a policy from a file of up to 1 MiB.
    ///
    /// Who can write the file decides who gets in. On Unix the file, its directory and each
    /// directory above must therefore belong to this process's effective user or to root; the
    /// file and its directory must not be writable by group or others, the directories above not
    /// by others (sticky directories, such as `/tmp`, may be). Symbolic links are followed if
    /// they, and where they lead, keep the same rules. A file with passwords must not be readable
    /// by group and others either. Modes are those of the opened file, not of its name.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml), and whatever of the above does not hold.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let opened = open::read(path).map_err(|problem| PolicyError::new(&name, None, problem))?;
        let policy = file::parse_octets(&opened.octets, &name)?;
        if policy.users.is_empty() {
            return Ok(policy);
        }
        let private = opened.check_private();
        private.map_err(|problem| PolicyError::new(&name, None, problem))?;
        Ok(policy)
    }

    /// The file's name, as it was given; for messages.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The identity of a name.
    #[must_use]
    pub fn identity(&self, name: &str) -> Option<&Arc<Identity>> {
        self.identities.get(name)
    }

    /// Every identity, by name.
    pub fn identities(&self) -> impl ExactSizeIterator<Item = &Arc<Identity>> {
        self.identities.values()
    }

    /// The identity that owns a CURVE key.
    #[must_use]
    pub fn identity_of_key(&self, key: &PublicKey) -> Option<&Arc<Identity>> {
        self.keys.get(key)
    }

    /// The identity that a PLAIN user belongs to; says nothing about a password.
    #[must_use]
    pub fn identity_of_user(&self, username: &[u8]) -> Option<&Arc<Identity>> {
        self.users.get(username).map(|user| &user.identity)
    }

    /// The identity that a PLAIN user has proven. An unlisted user costs a comparison too, so
    /// that time does not tell who is listed.
    pub(crate) fn prove_user(
        &self,
        username: &[u8],
        password: &Password,
    ) -> Option<&Arc<Identity>> {
        let user = self.users.get(username);
        let expected = user.map_or(&self.decoy, |user| &user.password);
        let proven = expected.matches(password);
        user.filter(|_| proven).map(|user| &user.identity)
    }
}

/// One entry of the file: a name, what proves it, what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The name: 1 to 64 of `a-z 0-9 . _ -`, a letter or digit first. The ZAP user id.
    pub name: Arc<str>,
    /// The line of the file on which it begins.
    pub line: usize,
    /// Its CURVE public keys.
    pub curve: Vec<PublicKey>,
    /// Its Ed25519 public keys, for the signatures of its messages. Not one is of small order;
    /// that each is a point of the curve, the verifier checks.
    pub sign: Vec<[u8; 32]>,
    /// Its PLAIN user names.
    pub users: Vec<String>,
    /// The ZAP domains that it may enter: exact names.
    pub domains: Grant,
    /// The topics that it may publish: prefixes.
    pub publish: Grant,
    /// The topics that it may subscribe to: prefixes.
    pub subscribe: Grant,
    /// Whether it may hand on messages that other identities signed.
    pub relay: bool,
}

impl Identity {
    /// Its rights on a link.
    #[must_use]
    pub fn rights(&self) -> Rights {
        Rights::new(self.publish.topics(), self.subscribe.topics())
    }
}

/// One setting that allows something, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// What is allowed.
    pub scope: Scope,
    /// The line of the setting, or of its identity where it was left out.
    pub line: usize,
}

/// What a setting allows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a reader must be able to match it whole"
)]
pub enum Scope {
    /// Nothing: the setting was left out.
    Nothing,
    /// The literal word `"everything"`.
    Everything,
    /// What is listed, in the file's order: exact names of domains, prefixes of topics. At least
    /// one, none of them empty.
    Listed(Vec<String>),
}

impl Grant {
    /// Whether a domain is allowed. A socket without a domain has the empty one, which no list
    /// can name: only `"everything"` allows it.
    #[must_use]
    pub fn allows_domain(&self, domain: &str) -> bool {
        match &self.scope {
            Scope::Nothing => false,
            Scope::Everything => true,
            Scope::Listed(domains) => domains.iter().any(|listed| listed == domain),
        }
    }

    /// The topics, as links check them.
    #[must_use]
    pub fn topics(&self) -> Topics {
        match &self.scope {
            Scope::Nothing => Topics::none(),
            Scope::Everything => Topics::All,
            Scope::Listed(prefixes) => {
                Topics::under(prefixes.iter().map(|prefix| prefix.clone().into_bytes()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
version = 1
[identities.scanner]
curve = [
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "8520F0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
]
sign = ["MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]
domains = ["findings", "metrics"]
publish = ["findings/", "metrics."]

[identities.alice]
plain = [
    { username = "alice", password = "hunter2" },
    { username = "al", password = "hunter2" },
]
domains = "everything"
subscribe = "everything"
relay = true
"#;

    fn policy() -> Policy {
        Policy::from_toml(FILE, "zap.toml").unwrap()
    }

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let policy = policy();
        let names: Vec<_> = policy
            .identities()
            .map(|identity| &*identity.name)
            .collect();
        assert_eq!(names, ["alice", "scanner"]);

        let scanner = policy.identity("scanner").unwrap();
        assert_eq!(
            (scanner.line, scanner.curve.len(), scanner.relay),
            (3, 2, false)
        );
        assert_eq!(scanner.sign[0][..4], [0xd7, 0x5a, 0x98, 0x01]);
        assert_eq!(
            (
                scanner.domains.line,
                scanner.publish.line,
                scanner.subscribe.line
            ),
            (9, 10, 3)
        );
        assert_eq!(scanner.subscribe.scope, Scope::Nothing);
        let listed = ["findings/", "metrics."].map(str::to_owned);
        assert_eq!(scanner.publish.scope, Scope::Listed(listed.to_vec()));

        let alice = policy.identity("alice").unwrap();
        assert_eq!(
            (&alice.users[..], alice.relay),
            (&["alice".to_owned(), "al".to_owned()][..], true)
        );
        assert_eq!(alice.domains.scope, Scope::Everything);
        assert!(policy.identity("bob").is_none());
    }

    #[test]
    fn every_credential_leads_to_its_identity() {
        let policy = policy();
        for key in &policy.identity("scanner").unwrap().curve {
            assert_eq!(&*policy.identity_of_key(key).unwrap().name, "scanner");
        }
        for user in ["alice", "al"] {
            assert_eq!(
                &*policy.identity_of_user(user.as_bytes()).unwrap().name,
                "alice"
            );
        }
        assert!(policy.identity_of_user(b"scanner").is_none());
        let stranger = PublicKey::from_octets([9; 32]).unwrap();
        assert!(policy.identity_of_key(&stranger).is_none());
    }

    #[test]
    fn a_domain_is_a_whole_name_and_a_topic_a_prefix() {
        let policy = policy();
        let scanner = policy.identity("scanner").unwrap();
        for (domain, allowed) in [("findings", true), ("findings2", false), ("", false)] {
            assert_eq!(scanner.domains.allows_domain(domain), allowed, "{domain}");
            assert!(
                policy
                    .identity("alice")
                    .unwrap()
                    .domains
                    .allows_domain(domain)
            );
            assert!(!scanner.subscribe.allows_domain(domain));
        }
        assert!(scanner.publish.topics().contain(b"metrics.cpu"));
        assert!(!scanner.publish.topics().contain(b"metrics"));
    }

    #[test]
    fn t20_debug_shows_no_password() {
        assert!(!format!("{:?}", policy()).contains("hunter2"));
    }
}
