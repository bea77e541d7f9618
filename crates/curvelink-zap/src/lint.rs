//! What a valid policy may still not mean.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::identity::{Grant, Identity, Scope};
use crate::policy::Policy;

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
    /// It may hand on what others signed.
    Relay,
    /// Its password stands in the file.
    ClearPassword,
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
            Self::Relay => f.write_str("relay = true: it may hand on what any identity signed"),
            Self::ClearPassword => f.write_str(
                "plain: the password stands in this file and goes over the wire in clear text: \
                 for ipc and loopback only",
            ),
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

/// Everything in a policy that is valid and worth a second look, in the file's order.
#[must_use]
pub fn lints(policy: &Policy) -> Vec<Lint> {
    let domains = count_domains(policy);
    let mut identities: Vec<&Arc<Identity>> = policy.identities().collect();
    identities.sort_by_key(|identity| identity.line);
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
        lonely_domains(identity, &domains, &mut note);
        wildcard("domains", &identity.domains, &mut note);
        for (setting, grant) in [
            ("publish", &identity.publish),
            ("subscribe", &identity.subscribe),
        ] {
            wildcard(setting, grant, &mut note);
            prefixes(setting, grant, &mut note);
        }
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
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let policy = Policy::from_toml(text, "zap.toml").unwrap();
        lints(&policy).iter().map(Lint::to_string).collect()
    }

    const QUIET: &str = r#"version = 1
[identities.scanner]
curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
domains = ["findings"]
publish = ["findings/", "metrics/"]
[identities.siem]
curve = ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"]
domains = ["findings"]
subscribe = ["findings/"]
"#;

    #[test]
    fn a_policy_that_says_what_it_means_has_none() {
        assert_eq!(found(QUIET), [""; 0]);
    }

    #[test]
    fn each_doubt_is_raised_once_where_it_stands() {
        let sign = "sign = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]";
        let plain = "plain = [{ username = \"u\", password_hash = \"$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA\" }]";
        let first = "curve = [\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"]";
        for (old, new, line, fragment) in [
            (
                "[\"findings/\", ",
                "[\"findings\", ",
                5,
                "also allows \"findingsx\"",
            ),
            (
                "\"metrics/\"",
                "\"findings/a/\"",
                5,
                "\"findings/a/\" adds nothing to \"findings/\"",
            ),
            (
                "[\"findings/\", \"metrics/\"]",
                "\"everything\"",
                5,
                "publish = \"everything\"",
            ),
            (
                "domains = [\"findings\"]\npub",
                "domains = \"everything\"\npub",
                4,
                "sets no limit",
            ),
            (
                "domains = [\"findings\"]\npub",
                "pub",
                2,
                "domains is left out",
            ),
            (
                "publish = [\"findings/\", \"metrics/\"]\n",
                "",
                2,
                "neither publish nor subscribe",
            ),
            ("publish", "relay = true\npublish", 2, "relay = true"),
            ("publish", &format!("{plain}\npublish"), 2, "clear text"),
            (first, sign, 2, "only a sign key"),
            (
                "\"findings\"]\npub",
                "\"findings\", \"x\"]\npub",
                4,
                "enter domain \"x\"",
            ),
        ] {
            let text = QUIET.replacen(old, new, 1);
            assert_ne!(text, QUIET, "{old}");
            let start = format!("zap.toml:{line}: scanner: ");
            let lints = found(&text);
            let count = lints
                .iter()
                .filter(|lint| lint.starts_with(&start) && lint.contains(fragment))
                .count();
            assert_eq!(count, 1, "{fragment}: {lints:#?}");
            assert!(!lints.concat().contains("argon2id"));
        }
    }
}
