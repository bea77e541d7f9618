//! `[envelope]` of `curvelink.toml`: which topics are signed, how, and by how many.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use curvelink_envelope::{Quorum, SignMode, SignPolicy, Verifier};
use curvelink_zap::Policy;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::registry;
use crate::exit::{one_line, usage};

/// A message carries no more signatures.
const MOST_SIGNERS: usize = 16;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvelopeConfig {
    /// How messages are signed whose topic no rule covers.
    #[serde(deserialize_with = "mode")]
    sign: SignMode,
    /// The name that signers sign for and that receivers go by.
    pub(crate) audience: String,
    /// How far, in seconds, a message's time may lie from the clock; 0 is any distance.
    max_skew: u64,
    #[serde(default)]
    topic: Vec<Rule>,
}

/// What holds for the topics that start with a prefix.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    prefix: Spanned<String>,
    #[serde(default, deserialize_with = "some_mode")]
    sign: Option<SignMode>,
    signers: Option<Vec<String>>,
    threshold: Option<usize>,
    /// Where it begins in the file; known once it was checked.
    #[serde(skip)]
    line: usize,
}

impl EnvelopeConfig {
    /// How far a message's time may lie from the clock; zero is any distance.
    pub(crate) const fn max_skew(&self) -> Duration {
        Duration::from_secs(self.max_skew)
    }

    /// How each topic is signed.
    pub(crate) fn modes(&self) -> SignPolicy {
        let all = SignPolicy::all(self.sign);
        self.topic.iter().fold(all, |modes, rule| {
            modes.with(rule.prefix.get_ref().as_str(), rule.mode())
        })
    }

    /// Whether any topic is signed.
    pub(crate) fn signs_some(&self) -> bool {
        self.each_mode().any(|mode| mode != SignMode::None)
    }

    /// Whether every topic is signed.
    pub(crate) fn signs_all(&self) -> bool {
        self.each_mode().all(|mode| mode != SignMode::None)
    }

    fn each_mode(&self) -> impl Iterator<Item = SignMode> {
        std::iter::once(self.sign).chain(self.topic.iter().map(Rule::mode))
    }

    /// How many must sign a message of `topic`, and who.
    pub(crate) fn signers(&self, topic: &str) -> Option<(usize, &[String])> {
        let quorums = self.topic.iter().filter_map(|rule| {
            let prefix = rule.prefix.get_ref();
            Some((prefix, rule.quorum()?)).filter(|_| topic.starts_with(&**prefix))
        });
        let longest = quorums.max_by_key(|(prefix, _)| prefix.len());
        longest.map(|(_, quorum)| quorum)
    }

    /// Checks messages for `audiences` against the identities of `policy`, and as many signers as
    /// the rules ask for.
    ///
    /// # Errors
    /// Where the policy contradicts itself, or a rule names somebody whom it does not list.
    pub(crate) fn verifier(
        &self,
        policy: &Policy,
        audiences: &[String],
    ) -> anyhow::Result<Verifier> {
        let mut quorums = Vec::new();
        for rule in &self.topic {
            let Some((threshold, names)) = rule.quorum() else {
                continue;
            };
            if let Some(name) = names.iter().find(|name| policy.identity(name).is_none()) {
                return Err(usage(format!(
                    "{}: line {}: signers names {:?}, who is not in {}",
                    super::CONFIG,
                    rule.line,
                    one_line(name),
                    policy.file()
                )));
            }
            let prefix = rule.prefix.get_ref();
            quorums.push(Quorum::new(prefix, threshold, names.iter().cloned()));
        }
        let registry = registry(policy)?.with_quorums(quorums);
        let registry = registry.context(super::CONFIG)?;
        let audiences = match audiences {
            [] => std::slice::from_ref(&self.audience),
            named => named,
        };
        Ok(Verifier::new(registry, audiences).with_max_skew(self.max_skew()))
    }

    /// Looks at what no type can say.
    ///
    /// # Errors
    /// The first mistake, with its line in `text`.
    pub(super) fn check(&mut self, text: &str) -> anyhow::Result<()> {
        let mut prefixes = HashSet::new();
        for rule in &mut self.topic {
            rule.line = line(text, rule.prefix.span().start);
            if !prefixes.insert(rule.prefix.get_ref()) {
                return Err(rule.wrong("two rules are for this prefix: make them one"));
            }
            rule.check()?;
        }
        for rule in self
            .topic
            .iter()
            .filter(|rule| rule.mode() == SignMode::None)
        {
            if self.signers(rule.prefix.get_ref()).is_some() {
                return Err(rule.wrong("topics that need signers cannot be unsigned"));
            }
        }
        Ok(())
    }
}

impl Rule {
    /// What needs signers is signed, whatever holds for the topics around it.
    fn mode(&self) -> SignMode {
        self.sign.unwrap_or(SignMode::Each)
    }

    fn quorum(&self) -> Option<(usize, &[String])> {
        self.threshold.zip(self.signers.as_deref())
    }

    fn check(&self) -> anyhow::Result<()> {
        let (threshold, signers) = match (self.threshold, &self.signers, self.sign) {
            (Some(threshold), Some(signers), _) => (threshold, signers),
            (None, None, Some(_)) => return Ok(()),
            (None, None, None) => return Err(self.wrong("say sign, or signers and threshold")),
            _ => return Err(self.wrong("signers and threshold go together")),
        };
        let distinct: HashSet<&String> = signers.iter().collect();
        if distinct.len() != signers.len() {
            return Err(self.wrong("signers names somebody twice"));
        }
        if !(1..=signers.len().min(MOST_SIGNERS)).contains(&threshold) {
            return Err(self.wrong(&format!(
                "threshold is from 1 to {}, of the {} signers",
                signers.len().min(MOST_SIGNERS),
                signers.len()
            )));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        usage(format!(
            "line {}: topic {:?}: {what}",
            self.line,
            one_line(self.prefix.get_ref())
        ))
    }
}

/// The number of the line in which the octet at `offset` stands.
pub(super) fn line(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|octet| *octet == b'\n')
        .count()
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignMode, D::Error> {
    let name = String::deserialize(deserializer)?;
    SignMode::from_name(&name).ok_or_else(|| D::Error::custom("sign is none, each or batch"))
}

fn some_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignMode>, D::Error> {
    mode(deserializer).map(Some)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The table `[envelope]` with these lines behind `sign`, `audience` and `max_skew`.
    pub(crate) fn table(sign: &str, rules: &str) -> anyhow::Result<EnvelopeConfig> {
        let text = format!("sign = {sign:?}\naudience = \"hub\"\nmax_skew = 300\n{rules}");
        let mut table: EnvelopeConfig = toml::from_str(&text)?;
        table.check(&text)?;
        Ok(table)
    }

    fn rule(prefix: &str, lines: &str) -> String {
        format!("[[topic]]\nprefix = {prefix:?}\n{lines}\n")
    }

    const TWO: &str = "signers = [\"a\", \"b\", \"c\"]\nthreshold = 2";

    #[test]
    fn the_longest_prefix_decides_how_a_topic_is_signed_and_by_how_many() {
        let rules = rule("metrics/", "sign = \"none\"")
            + &rule("metrics/audit/", "sign = \"batch\"")
            + &rule("restart/", TWO)
            + &rule("restart/all/", "sign = \"batch\"")
            + &rule("restart/test/", "signers = [\"a\"]\nthreshold = 1");
        let config = table("each", &rules).unwrap();
        let modes = config.modes();
        for (topic, mode, needed) in [
            ("findings/", SignMode::Each, None),
            ("metrics/cpu", SignMode::None, None),
            ("metrics/audit/x", SignMode::Batch, None),
            ("restart/web", SignMode::Each, Some(2)),
            // A rule that says nothing of signers takes none away.
            ("restart/all/web", SignMode::Batch, Some(2)),
            ("restart/test/web", SignMode::Each, Some(1)),
        ] {
            assert_eq!(modes.mode(topic.as_bytes()), mode, "{topic}");
            assert_eq!(config.signers(topic).map(|it| it.0), needed, "{topic}");
        }
        assert!(config.signs_some() && !config.signs_all());
    }

    #[test]
    fn what_needs_signers_is_signed_where_nothing_else_is() {
        let config = table("none", &rule("restart/", TWO)).unwrap();
        assert_eq!(config.modes().mode(b"restart/web"), SignMode::Each);
        assert_eq!(config.modes().mode(b"findings/"), SignMode::None);
        assert!(config.signs_some() && !config.signs_all());
        assert!(!table("none", "").unwrap().signs_some());
        assert!(table("batch", "").unwrap().signs_all());
    }

    #[test]
    fn a_rule_that_would_ask_for_less_than_it_seems_to_is_refused_with_its_line() {
        let unsigned = "sign = \"none\"";
        for (rules, cause) in [
            (
                rule("a", unsigned) + &rule("a", TWO),
                "line 8: topic \"a\": two rules",
            ),
            (rule("a", ""), "line 5: topic \"a\": say sign"),
            (
                rule("a", "signers = [\"a\"]"),
                "line 5: topic \"a\": signers and",
            ),
            (rule("a", "threshold = 1"), "go together"),
            (
                rule("a", "signers = [\"a\"]\nthreshold = 0"),
                "line 5: topic \"a\": threshold is from 1 to 1",
            ),
            (rule("a", "signers = [\"a\"]\nthreshold = 2"), "from 1 to 1"),
            (
                rule("a", "signers = [\"a\"]\nthreshold = -1"),
                "invalid value",
            ),
            (rule("a", "signers = []\nthreshold = 0"), "from 1 to 0"),
            (
                rule("a", "signers = [\"a\", \"a\"]\nthreshold = 2"),
                "somebody twice",
            ),
            (
                rule("a", &format!("{unsigned}\n{TWO}")),
                "cannot be unsigned",
            ),
            (
                rule("a", TWO) + &rule("a/b", unsigned),
                "line 9: topic \"a/b\": topics that need signers",
            ),
            (rule("a", "sign = \"Batch\""), "none, each or batch"),
            (rule("a", "sing = \"batch\""), "unknown field"),
            ("[[topic]]\nsign = \"each\"\n".to_owned(), "prefix"),
            ("[[topics]]\nprefix = \"a\"\n".to_owned(), "unknown field"),
        ] {
            let error = table("each", &rules).unwrap_err().to_string();
            assert!(error.contains(cause), "{rules}: {error}");
        }
    }

    #[test]
    fn a_signer_whom_the_policy_does_not_list_is_refused_with_the_line() {
        let policy = |names: &[&str]| {
            let hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw";
            let one = |name: &&str| {
                format!(
                    "[identities.{name}]\nplain = [{{ username = \"{name}\", password_hash = \"{hash}\" }}]\n"
                )
            };
            let identities: String = names.iter().map(one).collect();
            Policy::from_toml(&format!("version = 1\n{identities}"), "zap.toml").unwrap()
        };
        let config = table("each", &rule("a", TWO)).unwrap();
        assert!(config.verifier(&policy(&["a", "b", "c"]), &[]).is_ok());
        let error = config.verifier(&policy(&["a", "b"]), &[]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("line 5: signers names \"c\""), "{error}");
    }
}
