//! Who could come from where, known before anybody has said a word.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use curvelink_proto::PeerAddress;

use crate::identity::{Identity, Scope};
use crate::source::Source;

/// For each domain, the sources of all who may enter it.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    everywhere: Door,
    domains: HashMap<Box<str>, Door>,
}

#[derive(Debug, Default)]
struct Door {
    /// Somebody may come from anywhere.
    is_open: bool,
    sources: HashSet<Source>,
}

impl Doors {
    pub(crate) fn of<'a>(identities: impl IntoIterator<Item = &'a Arc<Identity>>) -> Self {
        let mut doors = Self::default();
        for identity in identities {
            match &identity.domains.scope {
                // A signing key proves no connection.
                _ if !identity.connects() => {}
                Scope::Nothing => {}
                Scope::Everything => doors.everywhere.add(identity),
                Scope::Listed(domains) => {
                    for domain in domains {
                        let door = doors.domains.entry(domain.as_str().into());
                        door.or_default().add(identity);
                    }
                }
            }
        }
        doors
    }

    pub(crate) fn admit(&self, domain: &str, address: &PeerAddress) -> bool {
        let named = self.domains.get(domain);
        self.everywhere.admits(address) || named.is_some_and(|door| door.admits(address))
    }
}

impl Door {
    fn add(&mut self, identity: &Identity) {
        match &identity.sources {
            None => self.is_open = true,
            Some(sources) => self.sources.extend(&sources.value),
        }
    }

    fn admits(&self, address: &PeerAddress) -> bool {
        self.is_open || self.sources.iter().any(|source| source.admits(address))
    }
}
