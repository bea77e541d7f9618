//! A policy on its way, and where everything that may stand in one place only was seen.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use curvelink_proto::{PublicKey, Rights};
use toml::Spanned;

use super::Text;
use super::tables::{IdentityTable, KeyEntry, KeyTable, List, PlainTable, ScopeValue, Table};
use crate::doors::Doors;
use crate::error::{PolicyError, Problem};
use crate::identity::{DatedKey, Grant, Identity, Limit, Scope, User};
use crate::password::PasswordHash;
use crate::policy::{Credential, Policy};
use crate::sign_key;

pub(super) struct Draft<'a> {
    text: Text<'a>,
    max_session_age: Option<Limit<Duration>>,
    keys_seen: HashMap<[u8; 32], usize>,
    users_seen: HashMap<String, usize>,
    ids_seen: HashMap<String, usize>,
    identities: Vec<Identity>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(text: Text<'a>, max_session_age: Option<Limit<Duration>>) -> Self {
        Self {
            text,
            max_session_age,
            keys_seen: HashMap::new(),
            users_seen: HashMap::new(),
            ids_seen: HashMap::new(),
            identities: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        name: &Spanned<String>,
        table: IdentityTable,
    ) -> Result<(), PolicyError> {
        if !is_name(name.get_ref()) {
            return Err(self.text.error(name, Problem::IdentityName));
        }
        let line = self.text.line_of(name);
        let curve = self.keys("curve", table.curve, curve_key, PublicKey::as_octets)?;
        let sign = self.keys("sign", table.sign, sign_key::parse, |key| key)?;
        let users = self.users(table.plain)?;
        if curve.is_empty() && sign.is_empty() && users.is_empty() {
            return Err(self.text.error(name, Problem::NoCredential));
        }
        let routing_ids = self.routing_ids(table.routing_ids, line)?;
        let text = &self.text;
        let max_session_age = text.duration("max_session_age", table.max_session_age)?;
        self.identities.push(Identity {
            name: Arc::from(name.get_ref().as_str()),
            line,
            curve,
            sign,
            users,
            domains: text.grant("domains", table.domains, line)?,
            publish: text.grant("publish", table.publish, line)?,
            subscribe: text.grant("subscribe", table.subscribe, line)?,
            routing_ids,
            sources: text.sources(table.sources)?,
            endpoints: text.endpoints(table.endpoints)?,
            patterns: text.patterns(table.patterns)?,
            max_message: text.size("max_message", table.max_message)?,
            rate: text.rate("rate", table.rate)?,
            max_session_age: max_session_age.or_else(|| self.max_session_age.clone()),
            relay: table.relay.unwrap_or_default(),
            // Known once every identity has said which routing ids are its own.
            rights: Rights::none(),
        });
        Ok(())
    }

    /// The policy of all that was added.
    pub(super) fn finish(self, digest: [u8; 32]) -> Policy {
        let taken: Arc<[Bytes]> = self.ids_seen.into_keys().map(Bytes::from).collect();
        let (mut keys, mut users) = (HashMap::new(), HashMap::new());
        let mut identities = BTreeMap::new();
        for mut identity in self.identities {
            identity.rights = identity.rights_where(&taken);
            let identity = Arc::new(identity);
            let credential = |index| Credential {
                identity: Arc::clone(&identity),
                index,
            };
            for (index, key) in identity.curve.iter().enumerate() {
                keys.insert(key.key, credential(index));
            }
            for (index, user) in identity.users.iter().enumerate() {
                let username = user.username.clone().into_bytes().into_boxed_slice();
                users.insert(username, credential(index));
            }
            identities.insert(Arc::clone(&identity.name), identity);
        }
        Policy {
            file: Arc::from(self.text.name),
            digest,
            doors: Doors::of(identities.values()),
            decoy: decoy(&users),
            identities,
            keys,
            users,
        }
    }

    /// Keys of either kind. Both share one list of those seen: a key that serves two purposes
    /// would let one of them be attacked through the other.
    fn keys<K>(
        &mut self,
        setting: &'static str,
        list: List<KeyEntry>,
        parse: fn(&str) -> Result<K, Problem>,
        octets: fn(&K) -> &[u8; 32],
    ) -> Result<Vec<DatedKey<K>>, PolicyError> {
        let mut keys = Vec::new();
        for entry in self.text.entries(setting, list)? {
            let at = entry.span();
            let (text, not_before, not_after) = match entry.into_inner() {
                KeyEntry::Bare(text) => (Spanned::new(at, text), None, None),
                KeyEntry::Dated(Table(KeyTable {
                    key,
                    not_before,
                    not_after,
                })) => {
                    let (from, to) = self.text.validity(not_before, not_after)?;
                    (key, from, to)
                }
            };
            let error = |problem| self.text.error(&text, problem);
            let key = parse(text.get_ref()).map_err(error)?;
            let line = self.text.line_of(&text);
            if let Some(first) = self.keys_seen.insert(*octets(&key), line) {
                return Err(error(Problem::KeyTwice(first)));
            }
            keys.push(DatedKey {
                key,
                not_before,
                not_after,
                line,
            });
        }
        Ok(keys)
    }

    fn users(&mut self, list: List<Table<PlainTable>>) -> Result<Vec<User>, PolicyError> {
        let mut users = Vec::new();
        for entry in self.text.entries("plain", list)? {
            let line = self.text.line_of(&entry);
            let Table(table) = entry.get_ref();
            let username = &table.username;
            let has_length = (1..=255).contains(&username.get_ref().len());
            if !has_length || username.get_ref().contains(char::is_control) {
                return Err(self.text.error(username, Problem::Username));
            }
            if let Some(password) = &table.password {
                return Err(self.text.error(password, Problem::ClearPassword));
            }
            let hash = table.password_hash.as_ref();
            let hash = hash.ok_or_else(|| self.text.error(&entry, Problem::PasswordMissing))?;
            let password = PasswordHash::parse(hash.get_ref())
                .map_err(|problem| self.text.error(hash, problem))?;
            let username_seen = username.get_ref().clone();
            if let Some(first) = self.users_seen.insert(username_seen, line) {
                return Err(self.text.error(username, Problem::UserTwice(first)));
            }
            users.push(User {
                username: username.get_ref().clone(),
                password: Arc::new(password),
                line,
            });
        }
        Ok(users)
    }

    /// An id that is listed belongs to the identity that lists it.
    fn routing_ids(
        &mut self,
        value: Option<Spanned<ScopeValue>>,
        line: usize,
    ) -> Result<Grant, PolicyError> {
        let grant = self.text.grant("routing_ids", value, line)?;
        if let Scope::Listed(ids) = &grant.scope {
            for id in ids {
                if let Some(first) = self.ids_seen.insert(id.clone(), grant.line) {
                    let problem = Problem::RoutingIdTwice(first);
                    return Err(PolicyError::new(self.text.name, Some(grant.line), problem));
                }
            }
        }
        Ok(grant)
    }
}

/// What a stranger's password is compared with: something as dear as what the dearest user costs.
fn decoy(users: &HashMap<Box<[u8]>, Credential>) -> Option<Arc<PasswordHash>> {
    let hashes = users
        .values()
        .filter_map(|user| Some(&user.user()?.password));
    let dearest = hashes.max_by_key(|hash| hash.cost().work())?;
    Some(Arc::new(dearest.decoy()))
}

fn curve_key(text: &str) -> Result<PublicKey, Problem> {
    let key = if text.len() == 64 {
        PublicKey::from_hex(text)
    } else {
        PublicKey::from_z85(text)
    };
    key.map_err(Problem::CurveKey)
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 64
        && name.starts_with(word)
        && name
            .chars()
            .all(|c| word(c) || matches!(c, '.' | '_' | '-'))
}
