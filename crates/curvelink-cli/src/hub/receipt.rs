//! Receipts: how a subscriber tells the hub that it has a message, so that a publisher's answer
//! means more than "it was sent".
//!
//! A SUB socket can tell its publisher one thing: what it subscribes to. A receipt therefore is a
//! subscription, taken back at once, to a name below the message's topic, which is within the
//! subscriber's rights because the topic is:
//!
//! ```text
//! PREFIX \0 receipts/ID             I subscribe to PREFIX, and will confirm
//! TOPIC  \0 received/DIGEST/ID      I have the message whose statement has this SHA-256
//! ```
//!
//! ID is random: an XPUB shows the first subscription of its kind only, and another subscriber
//! cannot confirm what it has not.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use curvelink::{Entropy as _, OsEntropy, Socket, Sub};
use tokio::time::{Instant, sleep_until};

use crate::output;

/// How long a publisher's answer waits for receipts.
const PATIENCE: Duration = Duration::from_secs(1);

/// A name longer than that is not sent: the hub would cut the link for a subscription over 4 KiB.
const LONGEST: usize = 4096;

const ANNOUNCED: &str = "\0receipts/";
const RECEIVED: &str = "\0received/";

/// A subscriber's side.
pub(crate) struct Receipts {
    id: String,
}

impl Receipts {
    /// Says that the messages under these prefixes will be confirmed.
    pub(crate) fn announce(socket: &Socket<Sub>, prefixes: &[String]) -> anyhow::Result<Self> {
        let mut octets = [0; 8];
        OsEntropy.fill(&mut octets).context("random octets")?;
        let id = output::hex(&octets);
        for prefix in prefixes {
            let name = format!("{prefix}{ANNOUNCED}{id}");
            if name.len() <= LONGEST {
                socket.subscribe(name);
            }
        }
        Ok(Self { id })
    }

    /// Says that a message has come, and was dealt with.
    pub(crate) fn confirm(&self, socket: &Socket<Sub>, topic: &str, digest: &[u8; 32]) {
        let name = format!("{topic}{RECEIVED}{}/{}", output::hex(digest), self.id);
        if name.len() <= LONGEST {
            socket.subscribe(name.as_str());
            socket.unsubscribe(name);
        }
    }
}

/// The hub's side: who confirms, and which answers wait for whom.
pub(super) struct Ledger<A> {
    /// By id: the prefix that was announced, and the name of who did.
    announced: HashMap<String, (Vec<u8>, String)>,
    waiting: Vec<Waiting<A>>,
}

struct Waiting<A> {
    answer: A,
    digest: String,
    missing: HashSet<String>,
    deadline: Instant,
}

/// What a subscription says about receipts.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Announced { prefix: &'a [u8], id: &'a str },
    Received { digest: &'a str, id: &'a str },
}

impl<A> Ledger<A> {
    pub(super) fn new() -> Self {
        Self {
            announced: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes note of a change of subscriptions; `None` if it is an ordinary one, else the answers
    /// that have nothing to wait for any more.
    pub(super) fn note(&mut self, subscribed: bool, what: &[u8], name: &str) -> Option<Vec<A>> {
        match (said(what)?, subscribed) {
            (Said::Announced { prefix, id }, true) => {
                let entry = (prefix.to_vec(), name.to_owned());
                self.announced.insert(id.to_owned(), entry);
                Some(Vec::new())
            }
            (Said::Announced { id, .. }, false) => {
                self.announced.remove(id);
                Some(self.settle(|waiting| waiting.missing.remove(id)))
            }
            (Said::Received { digest, id }, true) => {
                Some(self.settle(|waiting| waiting.digest == digest && waiting.missing.remove(id)))
            }
            (Said::Received { .. }, false) => Some(Vec::new()),
        }
    }

    /// Keeps an answer until everybody has confirmed who said so; gives it back if nobody did.
    pub(super) fn wait(&mut self, topic: &[u8], digest: &[u8; 32], answer: A) -> Option<A> {
        let concerned = |(prefix, _): &(Vec<u8>, String)| topic.starts_with(prefix);
        let missing: HashSet<String> = self
            .announced
            .iter()
            .filter(|(_, announced)| concerned(announced))
            .map(|(id, _)| id.clone())
            .collect();
        if missing.is_empty() {
            return Some(answer);
        }
        let (digest, deadline) = (output::hex(digest), Instant::now() + PATIENCE);
        self.waiting.push(Waiting {
            answer,
            digest,
            missing,
            deadline,
        });
        None
    }

    fn settle(&mut self, mut mark: impl FnMut(&mut Waiting<A>) -> bool) -> Vec<A> {
        let done = self
            .waiting
            .extract_if(.., |waiting| mark(waiting) && waiting.missing.is_empty());
        done.map(|waiting| waiting.answer).collect()
    }

    /// Resolves when an answer has waited long enough; never while none waits.
    pub(super) async fn due(&self) {
        match self.waiting.iter().map(|waiting| waiting.deadline).min() {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// The answers that have waited long enough, with the names of who did not confirm. Nobody
    /// waits for those again: one slow subscriber must not slow every publisher.
    pub(super) fn overdue(&mut self) -> Vec<(A, Vec<String>)> {
        let now = Instant::now();
        let late: Vec<_> = self
            .waiting
            .extract_if(.., |waiting| waiting.deadline <= now)
            .collect();
        let mut answers = Vec::new();
        for waiting in late {
            let ids = waiting.missing.into_iter();
            let names = ids
                .filter_map(|id| self.announced.remove(&id))
                .map(|(_, name)| name);
            answers.push((waiting.answer, names.collect()));
        }
        answers
    }
}

fn said(what: &[u8]) -> Option<Said<'_>> {
    let zero = what.iter().rposition(|octet| *octet == 0)?;
    let (before, after) = what.split_at(zero);
    let after = std::str::from_utf8(after).ok()?;
    if let Some(id) = after.strip_prefix(ANNOUNCED) {
        return Some(Said::Announced { prefix: before, id });
    }
    let (digest, id) = after.strip_prefix(RECEIVED)?.split_once('/')?;
    Some(Said::Received { digest, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    fn received(id: &str) -> Vec<u8> {
        format!("findings/a{RECEIVED}{}/{id}", output::hex(&DIGEST)).into_bytes()
    }

    fn ledger(ids: &[&str]) -> Ledger<&'static str> {
        let mut ledger = Ledger::new();
        for id in ids {
            let what = format!("findings/{ANNOUNCED}{id}").into_bytes();
            assert_eq!(ledger.note(true, &what, "siem"), Some(Vec::new()));
        }
        ledger
    }

    #[test]
    fn an_answer_waits_for_everybody_who_announced_and_for_nobody_else() {
        let mut ledger = ledger(&["1", "2"]);
        assert_eq!(ledger.wait(b"other/a", &DIGEST, "other"), Some("other"));
        assert_eq!(ledger.wait(b"findings/a", &DIGEST, "ack"), None);
        assert_eq!(ledger.note(true, &received("1"), "siem"), Some(Vec::new()));
        assert_eq!(ledger.note(false, &received("1"), "siem"), Some(Vec::new()));
        assert_eq!(ledger.note(true, &received("9"), "siem"), Some(Vec::new()));
        assert_eq!(ledger.note(true, &received("2"), "siem"), Some(vec!["ack"]));
    }

    #[test]
    fn an_ordinary_subscription_says_nothing_of_receipts() {
        let mut ledger = ledger(&[]);
        for what in [
            "",
            "findings/",
            "a\0b",
            "a\0receipts",
            "a\0received/",
            "a\0received/x",
        ] {
            assert_eq!(ledger.note(true, what.as_bytes(), "siem"), None, "{what:?}");
        }
    }

    #[test]
    fn a_subscriber_that_leaves_is_not_waited_for() {
        let mut ledger = ledger(&["1"]);
        assert_eq!(ledger.wait(b"findings/a", &DIGEST, "ack"), None);
        let gone = format!("findings/{ANNOUNCED}1").into_bytes();
        assert_eq!(ledger.note(false, &gone, ""), Some(vec!["ack"]));
        assert_eq!(ledger.wait(b"findings/a", &DIGEST, "ack"), Some("ack"));
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_confirm_is_named_and_not_waited_for_again() {
        let mut ledger = ledger(&["1"]);
        assert_eq!(ledger.wait(b"findings/a", &DIGEST, "ack"), None);
        assert!(ledger.overdue().is_empty());
        ledger.due().await;
        assert_eq!(ledger.overdue(), [("ack", vec!["siem".to_owned()])]);
        assert_eq!(ledger.wait(b"findings/a", &DIGEST, "ack"), Some("ack"));
    }
}
