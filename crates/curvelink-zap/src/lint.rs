//! What a valid policy may still not mean.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use std::time::{Duration, SystemTime};

use curvelink_proto::{Endpoint, PublicKey, SocketType};
use serde::Serialize;

use crate::changes::{grants, quoted};
use crate::identity::{DatedKey, Grant, Identity, Scope};
use crate::policy::Policy;
use crate::source::Source;
use crate::unit::moment_text;
use crate::{endpoint, identity};

/// How long before its end a key is spoken of: time to make and spread a new one.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Something to look at twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Lint {
    /// Where: `file:line`.
    pub place: String,
    /// The identity that it is about.
    pub identity: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: LintKind,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.identity, self.kind)
    }
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "lint", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LintKind {
    /// The word `"everything"` is in use.
    Everything {
        /// Where.
        setting: &'static str,
    },
    /// An entry that leaves nothing out.
    Wide {
        /// Where.
        setting: &'static str,
        /// The entry.
        entry: String,
    },
    /// It may hand on what others signed.
    Relay,
    /// Its password goes over the wire in clear.
    ClearPassword,
    /// Its hash costs so little that a stolen file gives many passwords away.
    WeakHash {
        /// The user.
        username: String,
    },
    /// Its hash costs less than another: how long its refusal takes tells that it is listed, since
    /// who is not costs as much as the dearest.
    UnequalHash {
        /// The user.
        username: String,
    },
    /// A key's time is over.
    Expired {
        /// Whose fingerprint it has, or which octets.
        key: String,
        /// Since when, RFC 3339.
        at: String,
    },
    /// A key's time is over within 30 days.
    ExpiresSoon {
        /// Whose fingerprint it has, or which octets.
        key: String,
        /// When, RFC 3339.
        at: String,
    },
    /// A key's time has not begun.
    NotYetValid {
        /// Whose fingerprint it has, or which octets.
        key: String,
        /// When it begins, RFC 3339.
        at: String,
    },
    /// Nobody who comes from there comes by one of its endpoints.
    SourceNeverMatches {
        /// The source.
        source: String,
    },
    /// Nobody who comes by it comes from one of its sources.
    EndpointNeverMatches {
        /// The endpoint.
        endpoint: String,
    },
    /// A right that no socket of its types can use.
    PatternsNeverUse {
        /// The right.
        setting: &'static str,
    },
    /// A limit on messages that no socket of its types sends.
    NothingToLimit {
        /// The limit.
        setting: &'static str,
    },
    /// It has only a signing key: it cannot connect.
    CannotConnect,
    /// It can prove itself and enter no domain.
    NoDomain,
    /// It can enter and neither publish nor subscribe.
    NoTopic,
    /// No other identity may enter this domain: with whom does it talk?
    LonelyDomain {
        /// The domain.
        domain: String,
    },
    /// A prefix that another one contains.
    Overlap {
        /// Where.
        setting: &'static str,
        /// The prefix without which nothing would change.
        narrow: String,
        /// The one that contains it.
        wide: String,
    },
    /// A prefix that ends in a letter or digit, so that it goes on in the middle of a word.
    OpenEnd {
        /// Where.
        setting: &'static str,
        /// The prefix.
        prefix: String,
    },
}

impl fmt::Display for LintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything { setting } => write!(f, "{setting} = \"everything\" sets no limit"),
            Self::Wide { setting, entry } => write!(f, "{setting}: {entry} sets no limit"),
            Self::Relay => f.write_str("relay = true: it may hand on what any identity signed"),
            Self::ClearPassword => f.write_str(
                "plain: the password goes over the wire in clear text: for ipc and loopback only",
            ),
            Self::WeakHash { username } => write!(
                f,
                "the password_hash of {} is cheap to attack: make a new one with \
                 `curvelink policy password`",
                quoted(username)
            ),
            Self::UnequalHash { username } => write!(
                f,
                "the password_hash of {} costs less than another of this file: how long a wrong \
                 password takes tells that the user exists; make a new one with \
                 `curvelink policy password`",
                quoted(username)
            ),
            Self::Expired { key, at } => write!(f, "key {key} has expired at {at}: remove it"),
            Self::ExpiresSoon { key, at } => {
                write!(f, "key {key} expires at {at}: list the next one beside it")
            }
            Self::NotYetValid { key, at } => write!(f, "key {key} does not count before {at}"),
            Self::SourceNeverMatches { source } => {
                write!(
                    f,
                    "sources: nobody comes from {source} by one of its endpoints"
                )
            }
            Self::EndpointNeverMatches { endpoint } => {
                write!(
                    f,
                    "endpoints: nobody comes by {endpoint} from one of its sources"
                )
            }
            Self::PatternsNeverUse { setting } => {
                write!(f, "{setting}: no socket of its patterns has a use for it")
            }
            Self::NothingToLimit { setting } => {
                write!(f, "{setting}: no socket of its patterns sends messages")
            }
            Self::CannotConnect => {
                f.write_str("has only a sign key: others must hand its messages on")
            }
            Self::NoDomain => f.write_str("domains is left out: it is refused everywhere"),
            Self::NoTopic => f.write_str("may neither publish nor subscribe"),
            Self::LonelyDomain { domain } => {
                write!(
                    f,
                    "no other identity may enter domain {domain:?}: is it spelt right?"
                )
            }
            Self::Overlap {
                setting,
                narrow,
                wide,
            } => {
                write!(f, "{setting}: {narrow:?} adds nothing to {wide:?}")
            }
            Self::OpenEnd { setting, prefix } => write!(
                f,
                "{setting}: {prefix:?} also allows \"{}x\": end it with a separator if that is \
                 not meant",
                prefix.escape_debug()
            ),
        }
    }
}

/// Everything in a policy that is valid and worth a second look at this moment, in the file's
/// order.
#[must_use]
pub fn lints(policy: &Policy, now: SystemTime) -> Vec<Lint> {
    let domains = count_domains(policy);
    let mut identities: Vec<&Arc<Identity>> = policy.identities().collect();
    identities.sort_by_key(|identity| identity.line);
    let users = identities.iter().flat_map(|identity| &identity.users);
    let dearest = users.map(|user| user.password.cost().work()).max();
    let mut lints = Vec::new();
    for identity in identities {
        let mut note = |line: usize, kind| {
            lints.push(Lint {
                place: format!("{}:{line}", policy.file()),
                identity: identity.name.to_string(),
                kind,
            });
        };
        credentials(identity, &mut note);
        hashes(identity, dearest.unwrap_or(0), &mut note);
        keys(
            &identity.curve,
            now,
            |key| PublicKey::fingerprint(key).to_string(),
            &mut note,
        );
        keys(&identity.sign, now, identity::hex, &mut note);
        lonely_domains(identity, &domains, &mut note);
        for (setting, grant) in grants(identity) {
            wildcard(setting, grant, &mut note);
        }
        prefixes("publish", &identity.publish, &mut note);
        prefixes("subscribe", &identity.subscribe, &mut note);
        sources(identity, &mut note);
        ways(identity, &mut note);
        patterns(identity, &mut note);
    }
    lints
}

fn credentials(identity: &Identity, note: &mut impl FnMut(usize, LintKind)) {
    let connects = !identity.curve.is_empty() || !identity.users.is_empty();
    let enters = identity.domains.scope != Scope::Nothing;
    let topics = [&identity.publish, &identity.subscribe];
    let silent = topics.iter().all(|grant| grant.scope == Scope::Nothing);
    for (applies, kind) in [
        (identity.relay, LintKind::Relay),
        (!identity.users.is_empty(), LintKind::ClearPassword),
        (!connects, LintKind::CannotConnect),
        (connects && !enters, LintKind::NoDomain),
        (connects && enters && silent, LintKind::NoTopic),
    ] {
        if applies {
            note(identity.line, kind);
        }
    }
}

/// What looks at its passwords cost, where the dearest of all users costs `dearest`.
fn hashes(identity: &Identity, dearest: u64, note: &mut impl FnMut(usize, LintKind)) {
    for user in &identity.users {
        let username = || user.username.clone();
        if user.password.is_weak() {
            let username = username();
            note(user.line, LintKind::WeakHash { username });
        }
        if user.password.cost().work() < dearest {
            let username = username();
            note(user.line, LintKind::UnequalHash { username });
        }
    }
}

fn keys<K>(
    keys: &[DatedKey<K>],
    now: SystemTime,
    text: fn(&K) -> String,
    note: &mut impl FnMut(usize, LintKind),
) {
    for key in keys {
        let name = || text(&key.key);
        if let Some(begin) = key.not_before.filter(|begin| now < *begin) {
            let (key_text, at) = (name(), moment_text(begin));
            note(key.line, LintKind::NotYetValid { key: key_text, at });
        }
        let Some(end) = key.not_after else { continue };
        let (key_text, at) = (name(), moment_text(end));
        if end <= now {
            note(key.line, LintKind::Expired { key: key_text, at });
        } else if end.duration_since(now).is_ok_and(|left| left <= SOON) {
            note(key.line, LintKind::ExpiresSoon { key: key_text, at });
        }
    }
}

fn sources(identity: &Identity, note: &mut impl FnMut(usize, LintKind)) {
    let Some(limit) = &identity.sources else {
        return;
    };
    for (index, narrow) in limit.value.iter().enumerate() {
        if matches!(narrow, Source::Network(network) if network.is_everything()) {
            let setting = "sources";
            note(
                limit.line,
                LintKind::Wide {
                    setting,
                    entry: narrow.to_string(),
                },
            );
        }
        let mut others = limit
            .value
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        if let Some((_, wide)) = others.find(|(_, wide)| wide.covers(narrow)) {
            let (narrow, wide) = (narrow.to_string(), wide.to_string());
            let setting = "sources";
            note(
                limit.line,
                LintKind::Overlap {
                    setting,
                    narrow,
                    wide,
                },
            );
        }
    }
}

/// Sources and endpoints that have nothing to do with each other.
fn ways(identity: &Identity, note: &mut impl FnMut(usize, LintKind)) {
    let (Some(sources), Some(endpoints)) = (&identity.sources, &identity.endpoints) else {
        return;
    };
    for source in &sources.value {
        if !endpoints
            .value
            .iter()
            .any(|endpoint| reaches(source, endpoint))
        {
            let source = source.to_string();
            note(sources.line, LintKind::SourceNeverMatches { source });
        }
    }
    for endpoint in &endpoints.value {
        if !sources.value.iter().any(|source| reaches(source, endpoint)) {
            let endpoint = endpoint.to_string();
            note(endpoints.line, LintKind::EndpointNeverMatches { endpoint });
        }
    }
}

/// Whether anybody who comes from the source can come by the endpoint.
fn reaches(source: &Source, endpoint: &Endpoint) -> bool {
    match (source, endpoint) {
        (Source::Ipc | Source::IpcUser(_), endpoint) => matches!(endpoint, Endpoint::Ipc(_)),
        (Source::Network(network), Endpoint::Tcp { host, .. }) => {
            match endpoint::address(host) {
                // A name, or every address of this machine.
                None => true,
                Some(address) if address.is_unspecified() => true,
                Some(address) if address.is_loopback() => network.meets_loopback(address.is_ipv4()),
                Some(address) => address.is_ipv4() == network.is_ipv4(),
            }
        }
        _ => false,
    }
}

fn patterns(identity: &Identity, note: &mut impl FnMut(usize, LintKind)) {
    let Some(patterns) = &identity.patterns else {
        return;
    };
    let any = |uses: fn(SocketType) -> bool| patterns.value.iter().any(|kind| uses(*kind));
    let has_id = |kind| {
        matches!(
            kind,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        )
    };
    for (setting, grant, is_used) in [
        ("publish", &identity.publish, any(SocketType::sends)),
        (
            "subscribe",
            &identity.subscribe,
            any(SocketType::is_subscriber),
        ),
        ("routing_ids", &identity.routing_ids, any(has_id)),
    ] {
        if grant.scope != Scope::Nothing && !is_used {
            note(grant.line, LintKind::PatternsNeverUse { setting });
        }
    }
    let limits = [
        (
            "max_message",
            identity.max_message.as_ref().map(|limit| limit.line),
        ),
        ("rate", identity.rate.as_ref().map(|limit| limit.line)),
    ];
    for (setting, line) in limits {
        if let Some(line) = line.filter(|_| !any(SocketType::sends)) {
            note(line, LintKind::NothingToLimit { setting });
        }
    }
}

/// How many identities may enter each domain that is named.
fn count_domains(policy: &Policy) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    let mut everywhere = 0;
    for identity in policy.identities() {
        match &identity.domains.scope {
            Scope::Nothing => {}
            Scope::Everything => everywhere += 1,
            Scope::Listed(domains) => {
                for domain in domains {
                    *counts.entry(domain.as_str()).or_insert(0) += 1;
                }
            }
        }
    }
    counts.values_mut().for_each(|count| *count += everywhere);
    counts
}

fn lonely_domains(
    identity: &Identity,
    counts: &HashMap<&str, usize>,
    note: &mut impl FnMut(usize, LintKind),
) {
    if let Scope::Listed(domains) = &identity.domains.scope {
        for domain in domains
            .iter()
            .filter(|domain| counts.get(domain.as_str()) == Some(&1))
        {
            let domain = domain.clone();
            note(identity.domains.line, LintKind::LonelyDomain { domain });
        }
    }
}

fn wildcard(setting: &'static str, grant: &Grant, note: &mut impl FnMut(usize, LintKind)) {
    if grant.scope == Scope::Everything {
        note(grant.line, LintKind::Everything { setting });
    }
}

fn prefixes(setting: &'static str, grant: &Grant, note: &mut impl FnMut(usize, LintKind)) {
    let Scope::Listed(listed) = &grant.scope else {
        return;
    };
    // Sorted, a prefix stands before all that begins with it.
    let mut sorted: Vec<&str> = listed.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut wide: Option<&str> = None;
    for prefix in sorted {
        if let Some(wide) = wide.filter(|wide| prefix.starts_with(wide)) {
            let (narrow, wide) = (prefix.to_owned(), wide.to_owned());
            note(
                grant.line,
                LintKind::Overlap {
                    setting,
                    narrow,
                    wide,
                },
            );
            continue;
        }
        wide = Some(prefix);
        if prefix.ends_with(char::is_alphanumeric) {
            let prefix = prefix.to_owned();
            note(grant.line, LintKind::OpenEnd { setting, prefix });
        }
    }
}

#[cfg(test)]
mod tests;
