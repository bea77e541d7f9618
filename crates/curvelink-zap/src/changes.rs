//! What one policy allows and another does not: who gains, who loses, setting by setting.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use curvelink_proto::{Endpoint, SocketType};
use serde::Serialize;

use crate::endpoint;
use crate::identity::{DatedKey, Grant, Identity, Limit, Scope, hex};
use crate::policy::Policy;
use crate::source::Source;
use crate::unit::{duration_text, moment_text, size_text};

/// One thing that an identity may do under one policy and not under another.
///
/// Shows no hash of a password and no secret: it may stand in a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Whom it is about.
    pub identity: String,
    /// The setting: its name in the file, or `identity` for all of it.
    pub setting: &'static str,
    /// For better or for worse.
    pub effect: Effect,
    /// What, in the file's words.
    pub what: String,
    /// Where it stands, `file:line`: what was gained in the new file, what was lost in the old.
    pub place: String,
}

/// Whether an identity may do more or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effect {
    /// It may do this now, and could not before.
    Gains,
    /// It could do this before, and may not now.
    Loses,
    /// Neither: another password.
    Changes,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Gains => "gains",
            Effect::Loses => "loses",
            Effect::Changes => "changes",
        };
        let Self {
            identity,
            setting,
            what,
            place,
            ..
        } = self;
        write!(f, "{identity} {effect} {setting}: {what} ({place})")
    }
}

/// What the new policy changes, identity by identity, in the order of their names. Empty where the
/// two files say the same, however they write it.
///
/// # Examples
///
/// ```
/// # use curvelink_zap::{Policy, changes};
/// let file = |topic| format!(
///     "version = 1\n[identities.scanner]\n\
///      curve = ['Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{{hID']\npublish = ['{topic}']\n"
/// );
/// let old = Policy::from_toml(&file("findings/sast/"), "old.toml")?;
/// let new = Policy::from_toml(&file("findings/"), "new.toml")?;
/// let gained = changes(&old, &new);
/// assert_eq!(gained.len(), 1); // what it had is in what it has
/// assert_eq!(gained[0].to_string(), "scanner gains publish: \"findings/\" (new.toml:4)");
/// # Ok::<(), curvelink_zap::PolicyError>(())
/// ```
#[must_use]
pub fn changes(old: &Policy, new: &Policy) -> Vec<Change> {
    let names: BTreeSet<&Arc<str>> = old.identities.keys().chain(new.identities.keys()).collect();
    let mut changes = Vec::new();
    for name in names {
        let mut comparison = Comparison {
            name,
            files: [old.file(), new.file()],
            changes: &mut changes,
        };
        match (old.identity(name), new.identity(name)) {
            (Some(before), Some(after)) => comparison.compare(before, after),
            (Some(only), None) => comparison.all_of(only, Effect::Loses),
            (None, Some(only)) => comparison.all_of(only, Effect::Gains),
            (None, None) => {}
        }
    }
    changes
}

struct Comparison<'a> {
    name: &'a str,
    /// The old one's name, and the new one's.
    files: [&'a str; 2],
    changes: &'a mut Vec<Change>,
}

impl Comparison<'_> {
    fn note(&mut self, effect: Effect, setting: &'static str, line: usize, what: String) {
        let [old, new] = self.files;
        let file = if effect == Effect::Loses { old } else { new };
        self.changes.push(Change {
            identity: self.name.to_owned(),
            setting,
            effect,
            what,
            place: format!("{file}:{line}"),
        });
    }

    /// An identity that only one of the two has. What narrows it is no news: it narrows nothing
    /// that there was.
    fn all_of(&mut self, only: &Identity, effect: Effect) {
        let what = match effect {
            Effect::Loses => "it is removed",
            _ => "it is new",
        };
        self.note(effect, "identity", only.line, what.to_owned());
        for key in &only.curve {
            self.note(effect, "curve", key.line, key.key.fingerprint().to_string());
        }
        for key in &only.sign {
            self.note(effect, "sign", key.line, hex(&key.key));
        }
        for user in &only.users {
            self.note(effect, "plain", user.line, quoted(&user.username));
        }
        for (setting, grant) in grants(only) {
            for entry in entries(grant) {
                self.note(effect, setting, grant.line, entry_text(entry));
            }
        }
        if only.relay {
            self.note(effect, "relay", only.line, "true".to_owned());
        }
    }

    fn compare(&mut self, old: &Identity, new: &Identity) {
        self.keys("curve", &old.curve, &new.curve, |key| {
            key.fingerprint().to_string()
        });
        self.keys("sign", &old.sign, &new.sign, hex);
        self.users(old, new);
        for ((setting, old), (_, new)) in grants(old).into_iter().zip(grants(new)) {
            let is_prefix = matches!(setting, "publish" | "subscribe");
            for entry in beyond(old, new, is_prefix) {
                self.note(Effect::Gains, setting, new.line, entry_text(entry));
            }
            for entry in beyond(new, old, is_prefix) {
                self.note(Effect::Loses, setting, old.line, entry_text(entry));
            }
        }
        self.narrowed(
            "sources",
            [old, new],
            |it| it.sources.as_ref(),
            Source::covers,
        );
        let is_same = |one: &Endpoint, other: &Endpoint| endpoint::is_same(one, other);
        self.narrowed("endpoints", [old, new], |it| it.endpoints.as_ref(), is_same);
        let is_same = |one: &SocketType, other: &SocketType| one == other;
        self.narrowed("patterns", [old, new], |it| it.patterns.as_ref(), is_same);
        let both = [old, new];
        let sizes = both.map(|it| number(&it.max_message, |octets| *octets as u64));
        self.limit("max_message", both, sizes, |octets| {
            usize::try_from(octets).map_or_else(|_| octets.to_string(), size_text)
        });
        let rates = both.map(|it| number(&it.rate, |rate| rate.get().into()));
        self.limit("rate", both, rates, |rate| format!("{rate} per second"));
        let ages = both.map(|it| number(&it.max_session_age, Duration::as_secs));
        self.limit("max_session_age", both, ages, |seconds| {
            duration_text(Duration::from_secs(seconds))
        });
        match (old.relay, new.relay) {
            (false, true) => self.note(Effect::Gains, "relay", new.line, "true".to_owned()),
            (true, false) => self.note(Effect::Loses, "relay", old.line, "true".to_owned()),
            _ => {}
        }
    }

    fn keys<K: PartialEq>(
        &mut self,
        setting: &'static str,
        old: &[DatedKey<K>],
        new: &[DatedKey<K>],
        text: fn(&K) -> String,
    ) {
        for key in new {
            match old.iter().find(|it| it.key == key.key) {
                None => self.note(Effect::Gains, setting, key.line, text(&key.key)),
                Some(before) => {
                    // A bound that is missing is the widest.
                    let earlier = widens(key.not_before, before.not_before, |one, two| one < two);
                    let later = widens(key.not_after, before.not_after, |one, two| one > two);
                    for (widens, name, at) in [
                        (earlier, "not_before", key.not_before),
                        (later, "not_after", key.not_after),
                    ] {
                        let Some(widens) = widens else { continue };
                        let at = at.map_or_else(|| "no bound".to_owned(), moment_text);
                        let what = format!("{name} of {}: {at}", text(&key.key));
                        let (effect, line) = if widens {
                            (Effect::Gains, key.line)
                        } else {
                            (Effect::Loses, before.line)
                        };
                        self.note(effect, setting, line, what);
                    }
                }
            }
        }
        for key in old {
            if new.iter().all(|it| it.key != key.key) {
                self.note(Effect::Loses, setting, key.line, text(&key.key));
            }
        }
    }

    fn users(&mut self, old: &Identity, new: &Identity) {
        for user in &new.users {
            match old.users.iter().find(|it| it.username == user.username) {
                None => self.note(Effect::Gains, "plain", user.line, quoted(&user.username)),
                Some(before) if before.password != user.password => {
                    let what = format!("the password of {}", quoted(&user.username));
                    self.note(Effect::Changes, "plain", user.line, what);
                }
                Some(_) => {}
            }
        }
        for user in &old.users {
            if new.users.iter().all(|it| it.username != user.username) {
                self.note(Effect::Loses, "plain", user.line, quoted(&user.username));
            }
        }
    }

    /// A list that narrows: without it everything is left.
    fn narrowed<T: Display>(
        &mut self,
        setting: &'static str,
        both: [&Identity; 2],
        list: impl Fn(&Identity) -> Option<&Limit<Vec<T>>>,
        covers: impl Fn(&T, &T) -> bool,
    ) {
        let [old, new] = both;
        let beyond = |wide: &Limit<Vec<T>>, narrow: &Limit<Vec<T>>| -> Vec<String> {
            let is_left = |it: &&T| !wide.value.iter().any(|wide| covers(wide, it));
            let left = narrow.value.iter().filter(is_left);
            left.map(|it| quoted(&it.to_string())).collect()
        };
        match (list(old), list(new)) {
            (Some(before), Some(after)) => {
                for what in beyond(before, after) {
                    self.note(Effect::Gains, setting, after.line, what);
                }
                for what in beyond(after, before) {
                    self.note(Effect::Loses, setting, before.line, what);
                }
            }
            (Some(_), None) => {
                self.note(
                    Effect::Gains,
                    setting,
                    new.line,
                    "every one: it is left out".to_owned(),
                );
            }
            (None, Some(after)) => {
                let listed: Vec<_> = after
                    .value
                    .iter()
                    .map(|it| quoted(&it.to_string()))
                    .collect();
                let what = format!("every one but {}", listed.join(", "));
                self.note(Effect::Loses, setting, old.line, what);
            }
            (None, None) => {}
        }
    }

    /// A number that narrows: the more the wider, and without one the widest.
    fn limit(
        &mut self,
        setting: &'static str,
        [old, new]: [&Identity; 2],
        [before, after]: [Option<(u64, usize)>; 2],
        text: fn(u64) -> String,
    ) {
        let value = |limit: Option<(u64, usize)>| limit.map(|(value, _)| value);
        let Some(widens) = widens(value(after), value(before), |one, two| one > two) else {
            return;
        };
        let shown = |limit| value(limit).map_or_else(|| "no limit".to_owned(), text);
        let what = format!("{} after {}", shown(after), shown(before));
        let (effect, limit, identity) = if widens {
            (Effect::Gains, after, new)
        } else {
            (Effect::Loses, before, old)
        };
        let line = limit.map_or(identity.line, |(_, line)| line);
        self.note(effect, setting, line, what);
    }
}

/// The number of a limit, and its line.
fn number<T>(limit: &Option<Limit<T>>, number: fn(&T) -> u64) -> Option<(u64, usize)> {
    let limit = limit.as_ref()?;
    Some((number(&limit.value), limit.line))
}

/// Whether the new bound is wider than the old one, of which a missing one is the widest; `None`
/// where they are the same.
fn widens<T: PartialEq + Copy>(
    new: Option<T>,
    old: Option<T>,
    is_wider: fn(T, T) -> bool,
) -> Option<bool> {
    match (new, old) {
        _ if new == old => None,
        (None, _) => Some(true),
        (_, None) => Some(false),
        (Some(new), Some(old)) => Some(is_wider(new, old)),
    }
}

pub(crate) fn grants(identity: &Identity) -> [(&'static str, &Grant); 4] {
    [
        ("domains", &identity.domains),
        ("publish", &identity.publish),
        ("subscribe", &identity.subscribe),
        ("routing_ids", &identity.routing_ids),
    ]
}

/// What a grant allows, entry by entry; `None` is everything.
fn entries(grant: &Grant) -> Vec<Option<&str>> {
    match &grant.scope {
        Scope::Nothing => Vec::new(),
        Scope::Everything => vec![None],
        Scope::Listed(listed) => listed.iter().map(|entry| Some(entry.as_str())).collect(),
    }
}

/// The entries of a grant that another one does not allow.
fn beyond<'a>(other: &Grant, grant: &'a Grant, is_prefix: bool) -> Vec<Option<&'a str>> {
    let is_allowed = |entry: &str| match &other.scope {
        Scope::Nothing => false,
        Scope::Everything => true,
        Scope::Listed(listed) => listed
            .iter()
            .any(|it| it == entry || is_prefix && entry.starts_with(it.as_str())),
    };
    let mut entries = entries(grant);
    entries.retain(|entry| match entry {
        Some(entry) => !is_allowed(entry),
        None => other.scope != Scope::Everything,
    });
    entries
}

fn entry_text(entry: Option<&str>) -> String {
    entry.map_or_else(|| "everything".to_owned(), quoted)
}

pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"version = 1
max_session_age = "24h"
[identities.scanner]
curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
plain = [{ username = "scan", password_hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw" }]
domains = ["findings"]
publish = ["findings/"]
routing_ids = ["scan-1"]
sources = ["10.0.0.0/8", "ipc"]
endpoints = ["tcp://*:5570"]
patterns = ["PUSH", "DEALER"]
max_message = "4 MiB"
rate = 100
[identities.siem]
sign = ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"]
subscribe = "everything"
relay = true
"#;

    fn between(old: &str, new: &str) -> Vec<String> {
        let old = Policy::from_toml(old, "old").unwrap();
        let new = Policy::from_toml(new, "new").unwrap();
        changes(&old, &new).iter().map(Change::to_string).collect()
    }

    #[test]
    fn the_same_said_otherwise_changes_nothing() {
        assert_eq!(between(FILE, FILE), [""; 0]);
        let mut otherwise = FILE.replace("\"10.0.0.0/8\", \"ipc\"", "\"ipc\",\n\"10.0.0.0/8\"");
        otherwise = otherwise.replace("tcp://*:5570", "tcp://0.0.0.0:5570");
        otherwise = otherwise
            .replace("\"4 MiB\"", "4194304")
            .replace("24h", "1d");
        let key = curvelink_proto::PublicKey::from_z85("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
        otherwise = otherwise.replace(
            "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
            &key.unwrap().to_hex(),
        );
        assert_eq!(between(FILE, &otherwise), [""; 0]);
    }

    /// What is replaced in the file, by what, and who gains or loses by it; back again it is the
    /// other way round.
    #[rustfmt::skip]
    const STEPS: &[(&str, &str, &str)] = &[
        ("[\"findings\"]", "[\"findings\", \"x\"]", "scanner gains domains: \"x\" (new:6)"),
        ("[\"findings/\"]", "[\"findings/\", \"m/\"]", "scanner gains publish: \"m/\" (new:7)"),
        ("[\"findings/\"]", "\"everything\"", "scanner gains publish: everything (new:7)"),
        ("publish", "subscribe = [\"f/\"]\npublish", "scanner gains subscribe: \"f/\" (new:7)"),
        ("[\"scan-1\"]", "[\"scan-1\", \"scan-2\"]", "scanner gains routing_ids: \"scan-2\" (new:8)"),
        ("10.0.0.0/8", "10.0.0.0/7", "scanner gains sources: \"10.0.0.0/7\" (new:9)"),
        ("sources = [\"10.0.0.0/8\", \"ipc\"]\n", "", "scanner gains sources: every one: it is left out (new:3)"),
        ("[\"tcp://*:5570\"]", "[\"tcp://*:5570\", \"ipc://x\"]", "scanner gains endpoints: \"ipc://x\" (new:10)"),
        ("\"DEALER\"]", "\"DEALER\", \"REQ\"]", "scanner gains patterns: \"REQ\" (new:11)"),
        ("4 MiB", "8 MiB", "scanner gains max_message: 8 MiB after 4 MiB (new:12)"),
        ("max_message = \"4 MiB\"\n", "", "scanner gains max_message: no limit after 4 MiB (new:3)"),
        ("rate = 100", "rate = 1000", "scanner gains rate: 1000 per second after 100 per second (new:13)"),
        ("relay = true", "relay = false", "siem loses relay: true (old:14)"),
        ("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"]", "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\", \"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"]",
            "scanner gains curve: SHA256:"),
        ("\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"", "{ key = \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\", not_after = 2027-01-01T00:00:00Z }",
            "scanner loses curve: not_after of SHA256:"),
        ("\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"", "{ key = \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\", not_before = 2027-01-01T00:00:00Z }",
            "scanner loses curve: not_before of SHA256:"),
    ];

    #[test]
    fn each_setting_says_who_gains_and_who_loses() {
        for (old, new, expected) in STEPS {
            let changed = FILE.replacen(old, new, 1);
            assert_ne!(changed, FILE, "{old}");
            let there = between(FILE, &changed);
            assert!(
                matches!(&there[..], [one] if one.starts_with(expected)),
                "{new} {there:#?}"
            );
            let turned = if expected.contains(" gains ") {
                " loses "
            } else {
                " gains "
            };
            let back = between(&changed, FILE);
            assert!(!back.is_empty(), "{new}");
            for change in back {
                assert!(change.contains(turned), "{new}: {change}");
            }
        }
    }

    #[test]
    fn a_prefix_below_another_is_a_loss_alone() {
        let narrower = FILE.replace("[\"findings/\"]", "[\"findings/a/\", \"findings/b/\"]");
        assert_eq!(
            between(FILE, &narrower),
            ["scanner loses publish: \"findings/\" (old:7)"]
        );
    }

    #[test]
    fn the_files_own_age_is_everybodys() {
        let longer = FILE.replace("24h", "36h");
        assert_eq!(
            between(FILE, &longer),
            [
                "scanner gains max_session_age: 36h after 1d (new:2)",
                "siem gains max_session_age: 36h after 1d (new:2)",
            ]
        );
    }

    #[test]
    fn an_identity_comes_and_goes_with_all_that_it_is_allowed() {
        let without = FILE.split("[identities.siem]").next().unwrap();
        assert_eq!(
            between(FILE, without),
            [
                "siem loses identity: it is removed (old:14)",
                "siem loses sign: d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a (old:15)",
                "siem loses subscribe: everything (old:16)",
                "siem loses relay: true (old:14)",
            ]
        );
        assert_eq!(
            between(without, FILE)[0],
            "siem gains identity: it is new (new:14)"
        );
    }

    #[test]
    fn another_password_is_told_and_not_shown() {
        let other = FILE.replace("$PslqiZeKpqVvrjA2su2xYw", "$PslqiZeKpqVvrjA2su2xYQ");
        assert_ne!(other, FILE);
        let told = between(FILE, &other);
        assert_eq!(
            told,
            ["scanner changes plain: the password of \"scan\" (new:5)"]
        );
        let user = FILE.replace("\"scan\", pass", "\"nacs\", pass");
        assert_eq!(
            between(FILE, &user),
            [
                "scanner gains plain: \"nacs\" (new:5)",
                "scanner loses plain: \"scan\" (old:5)"
            ]
        );
    }
}
