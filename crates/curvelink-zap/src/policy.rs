//! The allow-list as it is used: checked, immutable, looked up by key and by user.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use curvelink_proto::{PeerAddress, PublicKey};

use crate::doors::Doors;
use crate::error::PolicyError;
use crate::identity::{DatedKey, Identity, User};
use crate::password::PasswordHash;
use crate::{file, open};

/// Who may connect, from where, and what they may publish and subscribe.
///
/// Every value is valid: at least one identity, no key, user or routing id twice, no weak key. A
/// policy does not change; to change one, read the file again and
/// [`replace`](crate::PolicyHandler::replace).
///
/// A lookup costs one hash, whatever the number of identities. The hash is keyed afresh in each
/// policy, so its time tells nothing about listed keys; what a lookup does tell, that the asker's
/// own proven key is listed, the verdict tells as well. A password costs as much to check whether
/// its user is listed or not.
#[derive(Debug)]
pub struct Policy {
    pub(crate) file: Arc<str>,
    pub(crate) digest: [u8; 32],
    pub(crate) identities: BTreeMap<Arc<str>, Arc<Identity>>,
    pub(crate) keys: HashMap<PublicKey, Credential>,
    pub(crate) users: HashMap<Box<[u8]>, Credential>,
    /// What the password of a user who is not listed is compared with; `None` where no user is.
    pub(crate) decoy: Option<Arc<PasswordHash>>,
    pub(crate) doors: Doors,
}

/// One of an identity's keys or users: which, is a place in its list.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) identity: Arc<Identity>,
    pub(crate) index: usize,
}

impl Credential {
    pub(crate) fn key(&self) -> Option<&DatedKey<PublicKey>> {
        self.identity.curve.get(self.index)
    }

    pub(crate) fn user(&self) -> Option<&User> {
        self.identity.users.get(self.index)
    }
}

impl Policy {
    /// Reads a policy from text; `name` stands for the file in errors and explanations.
    ///
    /// Reads hashes of passwords too: that nobody else can read the text is the caller's care.
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
    /// they, and where they lead, keep the same rules. A file with hashes of passwords must not be
    /// readable by group and others either. Modes are those of the opened file, not of its name.
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

    /// The SHA-256 of the file's octets: which version of it is in force, for records.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
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

    /// The identity that owns a CURVE key, whenever the key counts.
    #[must_use]
    pub fn identity_of_key(&self, key: &PublicKey) -> Option<&Arc<Identity>> {
        self.keys.get(key).map(|credential| &credential.identity)
    }

    /// The identity that a PLAIN user belongs to; says nothing about a password.
    #[must_use]
    pub fn identity_of_user(&self, username: &[u8]) -> Option<&Arc<Identity>> {
        let user = self.users.get(username);
        user.map(|credential| &credential.identity)
    }

    /// Whether anybody who may enter the domain could come from this address: a no is certain, a
    /// yes promises nothing. Costs one hash and a look at each distinct source of the domain.
    #[must_use]
    pub fn admits_address(&self, domain: &str, address: &PeerAddress) -> bool {
        self.doors.admit(domain, address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scope;

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
    { username = "alice", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA" },
    { username = "al", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA" },
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
        assert_eq!(scanner.sign[0].key[..4], [0xd7, 0x5a, 0x98, 0x01]);
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
            (
                &alice.users[0].username[..],
                &alice.users[1].username[..],
                alice.relay
            ),
            ("alice", "al", true)
        );
        assert_eq!(alice.domains.scope, Scope::Everything);
        assert!(policy.identity("bob").is_none());
    }

    #[test]
    fn every_credential_leads_to_its_identity() {
        let policy = policy();
        for key in &policy.identity("scanner").unwrap().curve {
            assert_eq!(&*policy.identity_of_key(&key.key).unwrap().name, "scanner");
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
    fn t20_debug_shows_no_password_hash() {
        assert!(!format!("{:?}", policy()).contains("argon2id"));
    }
}
