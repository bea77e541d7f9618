//! "May this peer do that, and which line says so?", answered offline by the code that decides.

use std::fmt;
use std::sync::Arc;

use curvelink_proto::{PublicKey, Topics};
use serde::Serialize;

use crate::identity::{Grant, Identity, Scope};
use crate::policy::Policy;

/// What to explain. What is `None` is not asked.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "the caller writes it out")]
pub struct Question<'a> {
    /// Who asks.
    pub who: Who<'a>,
    /// The domain that they want to enter; empty for a socket without one.
    pub domain: Option<&'a str>,
    /// A topic that they want to publish.
    pub publish: Option<&'a [u8]>,
    /// A prefix that they want to subscribe to.
    pub subscribe: Option<&'a [u8]>,
}

/// Somebody in a policy.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Who<'a> {
    /// The owner of a CURVE key.
    Key(&'a PublicKey),
    /// A PLAIN user; taken to know the password.
    User(&'a str),
    /// An identity's name.
    Name(&'a str),
}

/// The answers, one per thing asked, the first being who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Whether everything that was asked is allowed.
    pub allowed: bool,
    /// One by one.
    pub answers: Vec<Answer>,
}

/// One answer: what was asked, the verdict, and the rule and line behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// What was asked, such as `publish "findings/sast"`.
    pub asked: String,
    /// The verdict.
    pub allowed: bool,
    /// The rule, as the file has it, or what is missing.
    pub rule: String,
    /// Where the rule stands: `file:line`; `None` where no line speaks of it.
    pub place: Option<String>,
}

/// One line per answer.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, answer) in self.answers.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{answer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allowed { "allowed" } else { "refused" };
        write!(f, "{verdict}: {}: {}", self.asked, self.rule)?;
        self.place
            .as_ref()
            .map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}

/// Says what a policy decides for somebody, and why.
///
/// # Examples
///
/// ```
/// # use curvelink_zap::{Policy, Question, Who, explain};
/// # let policy = Policy::from_toml(r#"version = 1
/// # [identities.ci-scanner]
/// # curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
/// # publish = ["findings/"]"#, "zap.toml")?;
/// let explanation = explain(&policy, &Question {
///     who: Who::Name("ci-scanner"),
///     domain: None,
///     publish: Some(b"remediate/prod"),
///     subscribe: None,
/// });
/// assert!(!explanation.allowed);
/// assert_eq!(
///     explanation.to_string(),
///     "allowed: name ci-scanner: identity ci-scanner (zap.toml:2)\n\
///      refused: publish \"remediate/prod\": publish = [\"findings/\"] (zap.toml:4)",
/// );
/// # Ok::<(), curvelink_zap::PolicyError>(())
/// ```
#[must_use]
pub fn explain(policy: &Policy, question: &Question<'_>) -> Explanation {
    let (asked, found) = match question.who {
        Who::Key(key) => (
            format!("key {}", key.fingerprint()),
            policy.identity_of_key(key),
        ),
        Who::User(user) => {
            let found = policy.identity_of_user(user.as_bytes());
            (format!("user {}", user.escape_debug()), found)
        }
        Who::Name(name) => (
            format!("name {}", name.escape_debug()),
            policy.identity(name),
        ),
    };
    let mut answers = vec![Answer {
        asked,
        allowed: found.is_some(),
        rule: found.map_or_else(
            || "the file does not list it".to_owned(),
            |identity| format!("identity {}", identity.name),
        ),
        place: found.map(|identity| place(policy, identity.line)),
    }];
    if let Some(identity) = found {
        answers.extend(answers_for(policy, identity, question));
    }
    Explanation {
        allowed: answers.iter().all(|answer| answer.allowed),
        answers,
    }
}

fn answers_for<'a>(
    policy: &'a Policy,
    identity: &'a Arc<Identity>,
    question: &Question<'a>,
) -> impl Iterator<Item = Answer> + 'a {
    let rights = identity.rights();
    let domain = question.domain.map(|domain| Answer {
        asked: format!("enter domain \"{}\"", domain.escape_debug()),
        allowed: identity.domains.allows_domain(domain),
        rule: rule("domains", &identity.domains),
        place: Some(place(policy, identity.domains.line)),
    });
    let topic = |setting, topic: &[u8], topics: &Topics, grant: &Grant| Answer {
        asked: format!("{setting} \"{}\"", topic.escape_ascii()),
        allowed: topics.contain(topic),
        rule: rule(setting, grant),
        place: Some(place(policy, grant.line)),
    };
    let publish = question
        .publish
        .map(|asked| topic("publish", asked, &rights.publish, &identity.publish));
    let subscribe = question
        .subscribe
        .map(|asked| topic("subscribe", asked, &rights.subscribe, &identity.subscribe));
    [domain, publish, subscribe].into_iter().flatten()
}

fn place(policy: &Policy, line: usize) -> String {
    format!("{}:{line}", policy.file())
}

/// The setting in the file's own grammar.
fn rule(setting: &str, grant: &Grant) -> String {
    match &grant.scope {
        Scope::Nothing => format!("{setting} is left out, which allows nothing"),
        Scope::Everything => format!("{setting} = \"everything\""),
        Scope::Listed(listed) => format!("{setting} = {listed:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA";
    const STRANGER: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    fn policy() -> Policy {
        let text = format!(
            "version = 1\n[identities.scanner]\ncurve = [\"{KEY}\"]\n\
             plain = [{{ username = \"scan\", password_hash = \"{HASH}\" }}]\n\
             domains = [\"findings\"]\npublish = [\"findings/\"]\n"
        );
        Policy::from_toml(&text, "zap.toml").unwrap()
    }

    fn ask<'a>(
        who: Who<'a>,
        domain: &'a str,
        publish: &'a str,
        subscribe: &'a str,
    ) -> Question<'a> {
        Question {
            who,
            domain: Some(domain),
            publish: Some(publish.as_bytes()),
            subscribe: Some(subscribe.as_bytes()),
        }
    }

    #[test]
    fn each_thing_asked_is_answered_with_its_rule_and_line() {
        let question = ask(
            Who::Name("scanner"),
            "findings",
            "findings/sast",
            "findings/",
        );
        let explanation = explain(&policy(), &question);
        assert!(!explanation.allowed);
        assert_eq!(
            explanation.to_string(),
            "allowed: name scanner: identity scanner (zap.toml:2)\n\
             allowed: enter domain \"findings\": domains = [\"findings\"] (zap.toml:5)\n\
             allowed: publish \"findings/sast\": publish = [\"findings/\"] (zap.toml:6)\n\
             refused: subscribe \"findings/\": subscribe is left out, which allows nothing \
             (zap.toml:2)"
        );
    }

    #[test]
    fn what_is_not_asked_does_not_count() {
        let key = PublicKey::from_z85(KEY).unwrap();
        for who in [Who::Key(&key), Who::User("scan"), Who::Name("scanner")] {
            let mut question = ask(who, "findings", "findings/x", "x");
            assert!(!explain(&policy(), &question).allowed);
            question.subscribe = None;
            let explanation = explain(&policy(), &question);
            assert!(
                explanation.allowed && explanation.answers.len() == 3,
                "{explanation}"
            );
            question.domain = Some("other");
            assert!(!explain(&policy(), &question).allowed);
        }
    }

    #[test]
    fn a_stranger_has_no_line_and_no_further_answers() {
        let key = PublicKey::from_z85(STRANGER).unwrap();
        for who in [Who::Key(&key), Who::User("scanner"), Who::Name("scan")] {
            let explanation = explain(&policy(), &ask(who, "findings", "findings/x", "x"));
            assert!(!explanation.allowed);
            let [answer] = &explanation.answers[..] else {
                panic!("{explanation}")
            };
            assert_eq!(answer.place, None);
        }
    }

    #[test]
    fn an_explanation_is_clean_of_control_characters_and_hashes() {
        let question = ask(Who::Name("scanner"), "\u{1b}[2J\n", "\n\u{7}", "\0");
        let text = explain(&policy(), &question).to_string();
        assert_eq!(text.lines().count(), 4);
        assert!(
            !text.contains(['\u{1b}', '\u{7}', '\0']) && !text.contains("argon2id"),
            "{text}"
        );
    }
}
