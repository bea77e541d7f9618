//! The file format, version 1: TOML in, a valid [`Policy`] or the first mistake out.

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use curvelink_proto::PublicKey;
use serde::de::DeserializeOwned;
use toml::Spanned;

use self::tables::{FileTable, Header, IdentityTable, PlainTable, ScopeValue, Table};
use crate::error::{PolicyError, Problem};
use crate::password::StoredPassword;
use crate::policy::{Grant, Identity, Policy, Scope, User};
use crate::sign_key;

/// The largest file that is looked at.
pub(crate) const MAX_OCTETS: usize = 1 << 20;

const EVERYTHING: &str = "everything";

/// Reads a file's octets.
pub(crate) fn parse_octets(octets: &[u8], name: &str) -> Result<Policy, PolicyError> {
    let text = std::str::from_utf8(octets).map_err(|error| {
        let before = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        PolicyError::new(name, Some(line), Problem::NotUtf8)
    })?;
    parse(text, name)
}

/// Reads a file's text.
pub(crate) fn parse(text: &str, name: &str) -> Result<Policy, PolicyError> {
    if text.len() > MAX_OCTETS {
        return Err(PolicyError::new(name, None, Problem::TooLarge));
    }
    let source = Source::new(name, text);
    source.check_version()?;
    let FileTable { identities, .. } = source.read()?;
    let mut identities: Vec<_> = identities.unwrap_or_default().into_iter().collect();
    if identities.is_empty() {
        return Err(PolicyError::new(name, None, Problem::NoIdentity));
    }
    // In the file's order, so that the first mistake is the first that a reader meets.
    identities.sort_by_key(|(name, _)| name.span().start);
    let mut draft = Draft::new(source);
    for (name, Table(table)) in identities {
        draft.add(&name, table)?;
    }
    Ok(draft.policy)
}

/// The text, and where its lines end.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
    newlines: Vec<usize>,
}

impl<'a> Source<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Self {
            name,
            text,
            newlines,
        }
    }

    /// Looks at the version alone, before anything that another version may have changed.
    fn check_version(&self) -> Result<(), PolicyError> {
        let Header { version } = self.read()?;
        let version =
            version.ok_or_else(|| PolicyError::new(self.name, Some(1), Problem::VersionMissing))?;
        match version.get_ref() {
            toml::Value::Integer(1) => Ok(()),
            _ => Err(self.error(&version, Problem::VersionUnknown)),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, PolicyError> {
        // The error of the parser holds the whole text, so it goes no further than this.
        toml::from_str(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            PolicyError::new(
                self.name,
                line,
                Problem::Toml(tables::words(error.message())),
            )
        })
    }

    /// The line of an octet, the first line being 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < offset)
    }

    fn line_of<T>(&self, item: &Spanned<T>) -> usize {
        self.line(item.span().start)
    }

    fn error<T>(&self, at: &Spanned<T>, problem: Problem) -> PolicyError {
        PolicyError::new(self.name, Some(self.line_of(at)), problem)
    }
}

/// A policy on its way, and where each credential was seen.
struct Draft<'a> {
    source: Source<'a>,
    keys_seen: HashMap<[u8; 32], usize>,
    users_seen: HashMap<String, usize>,
    policy: Policy,
}

impl<'a> Draft<'a> {
    fn new(source: Source<'a>) -> Self {
        let policy = Policy {
            file: Arc::from(source.name),
            identities: BTreeMap::new(),
            keys: HashMap::new(),
            users: HashMap::new(),
            decoy: StoredPassword::decoy(),
        };
        Self {
            source,
            keys_seen: HashMap::new(),
            users_seen: HashMap::new(),
            policy,
        }
    }

    fn add(&mut self, name: &Spanned<String>, table: IdentityTable) -> Result<(), PolicyError> {
        if !is_name(name.get_ref()) {
            return Err(self.source.error(name, Problem::IdentityName));
        }
        let line = self.source.line_of(name);
        let curve = self.keys("curve", table.curve, curve_key, PublicKey::as_octets)?;
        let sign = self.keys("sign", table.sign, sign_key::parse, |key| key)?;
        let plain = self.plain(table.plain)?;
        if curve.is_empty() && sign.is_empty() && plain.is_empty() {
            return Err(self.source.error(name, Problem::NoCredential));
        }
        let identity = Arc::new(Identity {
            name: Arc::from(name.get_ref().as_str()),
            line,
            curve,
            sign,
            users: plain.iter().map(|(username, _)| username.clone()).collect(),
            domains: self.grant("domains", table.domains, line)?,
            publish: self.grant("publish", table.publish, line)?,
            subscribe: self.grant("subscribe", table.subscribe, line)?,
            relay: table.relay.unwrap_or_default(),
        });
        self.admit(&identity, plain);
        Ok(())
    }

    fn admit(&mut self, identity: &Arc<Identity>, plain: Vec<(String, StoredPassword)>) {
        let policy = &mut self.policy;
        for key in &identity.curve {
            policy.keys.insert(*key, Arc::clone(identity));
        }
        for (username, password) in plain {
            let identity = Arc::clone(identity);
            let username = username.into_bytes().into_boxed_slice();
            policy.users.insert(username, User { identity, password });
        }
        let name = Arc::clone(&identity.name);
        policy.identities.insert(name, Arc::clone(identity));
    }

    /// Keys of either kind. Both share one list of those seen: a key that serves two purposes
    /// would let one of them be attacked through the other.
    fn keys<K>(
        &mut self,
        setting: &'static str,
        list: Option<Spanned<Vec<Spanned<String>>>>,
        parse: fn(&str) -> Result<K, Problem>,
        octets: fn(&K) -> &[u8; 32],
    ) -> Result<Vec<K>, PolicyError> {
        let mut keys = Vec::new();
        for text in self.entries(setting, list)? {
            let key = parse(text.get_ref()).map_err(|problem| self.source.error(&text, problem))?;
            let line = self.source.line_of(&text);
            if let Some(first) = self.keys_seen.insert(*octets(&key), line) {
                return Err(self.source.error(&text, Problem::KeyTwice(first)));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn plain(
        &mut self,
        list: Option<Spanned<Vec<Spanned<Table<PlainTable>>>>>,
    ) -> Result<Vec<(String, StoredPassword)>, PolicyError> {
        let mut users = Vec::new();
        for entry in self.entries("plain", list)? {
            let line = self.source.line_of(&entry);
            let PlainTable { username, password } = &entry.get_ref().0;
            if !has_length(username.get_ref()) || username.get_ref().contains(char::is_control) {
                return Err(self.source.error(username, Problem::Username));
            }
            let stored = Some(password.get_ref().expose_octets())
                .filter(|octets| !octets.is_empty())
                .and_then(StoredPassword::new)
                .ok_or_else(|| self.source.error(password, Problem::Password))?;
            if let Some(first) = self.users_seen.insert(username.get_ref().clone(), line) {
                return Err(self.source.error(username, Problem::UserTwice(first)));
            }
            users.push((username.get_ref().clone(), stored));
        }
        Ok(users)
    }

    fn grant(
        &self,
        setting: &'static str,
        value: Option<Spanned<ScopeValue>>,
        line_of_identity: usize,
    ) -> Result<Grant, PolicyError> {
        let Some(value) = value else {
            return Ok(Grant {
                scope: Scope::Nothing,
                line: line_of_identity,
            });
        };
        let line = self.source.line_of(&value);
        let span = value.span();
        let scope = match value.into_inner() {
            ScopeValue::Word(word) if word == EVERYTHING => Scope::Everything,
            ScopeValue::Word(_) => {
                let problem = Problem::Word(setting);
                return Err(PolicyError::new(self.source.name, Some(line), problem));
            }
            ScopeValue::List(list) => {
                let entries = self.entries(setting, Some(Spanned::new(span, list)))?;
                Scope::Listed(self.listed(setting, entries)?)
            }
        };
        Ok(Grant { scope, line })
    }

    fn listed(
        &self,
        setting: &'static str,
        entries: Vec<Spanned<String>>,
    ) -> Result<Vec<String>, PolicyError> {
        let mut seen = HashSet::new();
        for entry in &entries {
            let text = entry.get_ref().as_str();
            let problem = if text.is_empty() || text.contains('*') {
                Problem::Wildcard(setting)
            } else if text == EVERYTHING {
                Problem::WordInList(setting)
            } else if !has_length(text) || text.contains(char::is_control) || text.trim() != text {
                Problem::Entry(setting)
            } else if !seen.insert(text) {
                Problem::EntryTwice(setting)
            } else {
                continue;
            };
            return Err(self.source.error(entry, problem));
        }
        Ok(entries.into_iter().map(Spanned::into_inner).collect())
    }

    /// What a list holds; one that was written holds something.
    fn entries<T>(
        &self,
        setting: &'static str,
        list: Option<Spanned<Vec<T>>>,
    ) -> Result<Vec<T>, PolicyError> {
        match list {
            Some(list) if list.get_ref().is_empty() => {
                Err(self.source.error(&list, Problem::EmptyList(setting)))
            }
            list => Ok(list.map(Spanned::into_inner).unwrap_or_default()),
        }
    }
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

fn has_length(text: &str) -> bool {
    (1..=255).contains(&text.len())
}
