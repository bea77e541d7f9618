//! "May this peer do that, and which line says so?", answered offline by the code that decides.

use std::fmt;
use std::sync::Arc;

use std::time::SystemTime;

use curvelink_proto::{PeerAddress, PublicKey, SocketType, Topics};
use serde::Serialize;

use crate::changes::quoted;
use crate::identity::{Grant, Identity, Limit, Scope};
use crate::policy::Policy;
use crate::unit::moment_text;

/// What to explain. What is `None` is not asked.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "the caller writes it out")]
pub struct Question<'a> {
    /// Who asks.
    pub who: Who<'a>,
    /// The moment that is asked about.
    pub at: SystemTime,
    /// Where they come from.
    pub from: Option<PeerAddress>,
    /// The domain that they want to enter; empty for a socket without one.
    pub domain: Option<&'a str>,
    /// The endpoint of ours by which they come.
    pub endpoint: Option<&'a str>,
    /// The type of their socket.
    pub pattern: Option<SocketType>,
    /// The routing id that they ask for.
    pub routing_id: Option<&'a [u8]>,
    /// A topic that they want to publish.
    pub publish: Option<&'a [u8]>,
    /// A prefix that they want to subscribe to.
    pub subscribe: Option<&'a [u8]>,
}

impl<'a> Question<'a> {
    /// Who somebody is, and nothing else yet.
    #[must_use]
    pub const fn new(who: Who<'a>, at: SystemTime) -> Self {
        Self {
            who,
            at,
            from: None,
            domain: None,
            endpoint: None,
            pattern: None,
            routing_id: None,
            publish: None,
            subscribe: None,
        }
    }
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
/// # use std::time::SystemTime;
/// # use curvelink_zap::{Policy, Question, Who, explain};
/// # let policy = Policy::from_toml(r#"version = 1
/// # [identities.ci-scanner]
/// # curve = ["Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"]
/// # publish = ["findings/"]"#, "zap.toml")?;
/// let explanation = explain(&policy, &Question {
///     publish: Some(b"remediate/prod"),
///     ..Question::new(Who::Name("ci-scanner"), SystemTime::now())
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

/// In the order in which they are decided.
fn answers_for<'a>(
    policy: &'a Policy,
    identity: &'a Arc<Identity>,
    question: &Question<'a>,
) -> impl Iterator<Item = Answer> + 'a {
    let rights = identity.rights();
    let answer = |asked: String, allowed, rule, line| Answer {
        asked,
        allowed,
        rule,
        place: Some(place(policy, line)),
    };
    let key = valid_key(policy, identity, question);
    let from = question.from.map(|from| {
        let (rule, line) = limit_rule("sources", &identity.sources, identity);
        let allowed = identity.may_come_from(&from);
        // Of an address alone the port is 0: nobody asked about that.
        let shown = from
            .ip()
            .map_or_else(|| from.to_string(), |ip| ip.to_string());
        answer(format!("come from {shown}"), allowed, rule, line)
    });
    let domain = question.domain.map(|domain| {
        let asked = format!("enter domain {}", quoted(domain));
        let allowed = identity.domains.allows_domain(domain);
        let rule = rule("domains", &identity.domains);
        answer(asked, allowed, rule, identity.domains.line)
    });
    let endpoint = question.endpoint.map(|endpoint| {
        let (rule, line) = limit_rule("endpoints", &identity.endpoints, identity);
        let allowed = identity.may_come_by(endpoint);
        answer(
            format!("come by {}", endpoint.escape_debug()),
            allowed,
            rule,
            line,
        )
    });
    let pattern = question.pattern.map(|pattern| {
        let (rule, line) = limit_rule("patterns", &identity.patterns, identity);
        let allowed = rights.socket_types.contain(pattern);
        answer(format!("have a {pattern}"), allowed, rule, line)
    });
    let routing_id = question.routing_id.map(|id| {
        let asked = format!("be routed to as \"{}\"", id.escape_ascii());
        let grant = &identity.routing_ids;
        let mut rule = rule("routing_ids", grant);
        let allowed = rights.routing_ids.contain(id);
        if grant.scope == Scope::Everything && !allowed {
            rule += ", but another identity lists this one";
        }
        answer(asked, allowed, rule, grant.line)
    });
    let topic = |setting, topic: &[u8], topics: &Topics, grant: &Grant| {
        let asked = format!("{setting} \"{}\"", topic.escape_ascii());
        answer(
            asked,
            topics.contain(topic),
            rule(setting, grant),
            grant.line,
        )
    };
    let publish = question
        .publish
        .map(|asked| topic("publish", asked, &rights.publish, &identity.publish));
    let subscribe = question
        .subscribe
        .map(|asked| topic("subscribe", asked, &rights.subscribe, &identity.subscribe));
    [
        key, from, domain, endpoint, pattern, routing_id, publish, subscribe,
    ]
    .into_iter()
    .flatten()
}

/// Whether a key counts at the moment asked about: the one that was named, else any of the
/// identity's. Nothing to say where no key has bounds, or a password does as well.
fn valid_key(policy: &Policy, identity: &Identity, question: &Question<'_>) -> Option<Answer> {
    let named = |listed: &PublicKey| match question.who {
        Who::Key(key) => key == listed,
        Who::User(_) => false,
        Who::Name(_) => identity.users.is_empty(),
    };
    let keys: Vec<_> = identity.curve.iter().filter(|it| named(&it.key)).collect();
    if keys
        .iter()
        .all(|key| key.not_before.is_none() && key.not_after.is_none())
    {
        return None;
    }
    let valid = keys.iter().find(|key| key.is_valid_at(question.at));
    let key = valid.or_else(|| keys.last())?;
    let mut bounds = Vec::new();
    for (name, bound) in [("not_before", key.not_before), ("not_after", key.not_after)] {
        bounds.extend(bound.map(|bound| format!("{name} = {}", moment_text(bound))));
    }
    let rule = if bounds.is_empty() {
        "the key has no bounds".to_owned()
    } else {
        bounds.join(", ")
    };
    Some(Answer {
        asked: format!(
            "use key {} at {}",
            key.key.fingerprint(),
            moment_text(question.at)
        ),
        allowed: valid.is_some(),
        rule,
        place: Some(place(policy, key.line)),
    })
}

/// A list that narrows, in the file's own grammar, and its line.
fn limit_rule<T: fmt::Display>(
    setting: &str,
    limit: &Option<Limit<Vec<T>>>,
    identity: &Identity,
) -> (String, usize) {
    match limit {
        None => (
            format!("{setting} is left out, which sets no limit"),
            identity.line,
        ),
        Some(limit) => {
            let entries = limit.value.iter().map(|entry| quoted(&entry.to_string()));
            let entries: Vec<String> = entries.collect();
            (format!("{setting} = [{}]", entries.join(", ")), limit.line)
        }
    }
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
            domain: Some(domain),
            publish: Some(publish.as_bytes()),
            subscribe: Some(subscribe.as_bytes()),
            ..Question::new(who, SystemTime::UNIX_EPOCH)
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

    #[test]
    fn every_setting_that_decides_is_named_with_its_line() {
        let policy = Policy::from_toml(
            &format!(
                "version = 1\n[identities.scanner]\n\
                 curve = [{{ key = \"{KEY}\", not_after = 1970-01-02T00:00:00Z }}]\n\
                 domains = \"everything\"\nsources = [\"10.0.0.0/8\", \"ipc:uid=7\"]\n\
                 endpoints = [\"tcp://*:1\"]\npatterns = [\"PUSH\"]\n\
                 routing_ids = \"everything\"\n\
                 [identities.other]\ncurve = [\"{STRANGER}\"]\nrouting_ids = [\"theirs\"]\n"
            ),
            "f",
        )
        .unwrap();
        let key = PublicKey::from_z85(KEY).unwrap();
        let mut question = Question {
            from: Some(PeerAddress::Tcp(([10, 0, 0, 1], 0).into())),
            domain: Some(""),
            endpoint: Some("tcp://0.0.0.0:1"),
            pattern: Some(SocketType::Push),
            routing_id: Some(b"mine"),
            ..Question::new(Who::Key(&key), SystemTime::UNIX_EPOCH)
        };
        let told = |question: &Question<'_>| explain(&policy, question);
        let rules = [
            "not_after = 1970-01-02T00:00:00Z (f:3)",
            "come from 10.0.0.1: sources = [\"10.0.0.0/8\", \"ipc:uid=7\"] (f:5)",
            "enter domain \"\": domains = \"everything\" (f:4)",
            "come by tcp://0.0.0.0:1: endpoints = [\"tcp://*:1\"] (f:6)",
            "have a PUSH: patterns = [\"PUSH\"] (f:7)",
            "be routed to as \"mine\": routing_ids = \"everything\" (f:8)",
        ];
        let explanation = told(&question);
        assert!(explanation.allowed, "{explanation}");
        assert_eq!(explanation.answers.len(), 1 + rules.len());
        for (answer, rule) in explanation.answers[1..].iter().zip(rules) {
            let line = answer.to_string();
            assert!(
                line.starts_with("allowed: ") && line.ends_with(rule),
                "{line}"
            );
        }

        question.at += std::time::Duration::from_secs(86_400);
        question.from = Some(PeerAddress::Inproc);
        question.endpoint = Some("tcp://127.0.0.1:1");
        question.pattern = Some(SocketType::Pub);
        question.routing_id = Some(b"theirs");
        let explanation = told(&question);
        let refused: Vec<_> = explanation.answers.iter().map(|it| !it.allowed).collect();
        assert_eq!(refused, [false, true, true, false, true, true, true]);
        let last = explanation.answers.last().unwrap().to_string();
        assert!(last.contains("another identity lists this one"), "{last}");

        question.who = Who::Name("scanner");
        assert!(!told(&question).answers[1].allowed);
        let other = told(&Question::new(Who::Name("other"), SystemTime::now()));
        assert_eq!((other.allowed, other.answers.len()), (true, 1));
    }
}
