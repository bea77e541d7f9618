//! One scenario on one implementation, or with sockets of both.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::action::{self, Action, Driver, Frames, Outcome};
use super::endpoints::Endpoints;
use super::ours::Ours;
use super::raw::RawPeer;
use super::script::{Scenario, Step};
use super::theirs::{Libzmq, Theirs};
use super::words::{Ids, summary};

/// Whose sockets a scenario has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// All libzmq's.
    Libzmq,
    /// All curvelink's.
    Curvelink,
    /// The first that it opens curvelink's, the others libzmq's.
    FirstIsOurs,
    /// The first that it opens libzmq's, the others curvelink's.
    FirstIsTheirs,
}

/// Runs a scenario; what each step gave.
pub(super) fn run(scenario: &Scenario, side: Side, libzmq: Option<&Libzmq>) -> Vec<String> {
    let mut run = Run {
        side,
        ours: Ours::default(),
        theirs: libzmq.map(Theirs::new),
        owners: HashMap::new(),
        raw: HashMap::new(),
        endpoints: Endpoints::new(),
        ids: Ids::default(),
        sorted: false,
        closed: false,
    };
    let steps = scenario.steps.iter();
    steps
        .map(|step| {
            let given = run.step(step);
            given.unwrap_or_else(|error| format!("BUG {error}"))
        })
        .collect()
}

struct Run<'a> {
    side: Side,
    ours: Ours,
    theirs: Option<Theirs<'a>>,
    /// Whether a socket is ours.
    owners: HashMap<String, bool>,
    raw: HashMap<String, RawPeer>,
    endpoints: Endpoints,
    ids: Ids,
    /// Many messages are shown in an order of their own: several links race.
    sorted: bool,
    /// A socket was closed.
    closed: bool,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<String, String> {
        let (socket, args) = (&*step.socket, &step.args[..]);
        match (&*step.verb, args) {
            ("=", [kind, ..]) if kind == "RAW" => {
                self.raw.insert(socket.to_owned(), RawPeer::default());
                Ok("ok".to_owned())
            }
            ("=", [kind, options @ ..]) => self.open(socket, kind, options),
            ("pause", [time]) => {
                let time = time.parse().map_err(|_| "a pause is milliseconds")?;
                thread::sleep(Duration::from_millis(time));
                Ok("ok".to_owned())
            }
            ("knock", [subscribers, topic]) => self.knock(socket, subscribers, topic),
            ("drain-sorted", []) => {
                let drain = self.action("drain", args)?;
                self.sorted = true;
                let drained = self.perform(socket, &drain);
                self.sorted = false;
                Ok(drained)
            }
            (verb, args) if self.raw.contains_key(socket) => self.raw_step(socket, verb, args),
            (verb, args) => {
                let action = self.action(verb, args)?;
                self.closed |= matches!(action, Action::Close);
                let mut given = self.perform(socket, &action);
                // Sockets are closed behind: an address that one had is not free at once.
                let end = Instant::now() + Duration::from_secs(1);
                while given == "in-use" && self.closed && Instant::now() < end {
                    thread::sleep(Duration::from_millis(10));
                    given = self.perform(socket, &action);
                }
                Ok(given)
            }
        }
    }

    fn open(&mut self, socket: &str, kind: &str, options: &[String]) -> Result<String, String> {
        // A scenario should not last as long as the defaults do; it says so where it counts.
        let mut chosen = vec![
            ("linger".to_owned(), b"0".to_vec()),
            ("reconnect_ivl".to_owned(), b"20".to_vec()),
            ("reconnect_ivl_max".to_owned(), b"20".to_vec()),
        ];
        let mut context = "main".to_owned();
        for option in options {
            let (name, value) = option.split_once('=').ok_or("an option is name=value")?;
            let value = self.endpoints.resolve(value);
            chosen.retain(|(known, _)| known != name);
            match name {
                "context" => context = value,
                _ if name.starts_with("curve_") => {
                    chosen.push((name.to_owned(), action::key(&value).into_bytes()));
                }
                _ => chosen.push((name.to_owned(), self.ids.read(&value)?.swap_remove(0))),
            }
        }
        let first = self.owners.is_empty();
        let ours = match self.side {
            Side::Libzmq => false,
            Side::Curvelink => true,
            Side::FirstIsOurs => first,
            Side::FirstIsTheirs => !first,
        };
        self.owners.entry(socket.to_owned()).or_insert(ours);
        let action = Action::Open {
            kind: kind.to_owned(),
            context,
            options: chosen,
        };
        Ok(self.perform(socket, &action))
    }

    fn action(&mut self, verb: &str, args: &[String]) -> Result<Action, String> {
        let mut resolved = args.to_vec();
        for argument in &mut resolved {
            if let Some(socket) = argument.strip_prefix('@') {
                let socket = socket.to_owned();
                *argument = self.raw_outcome(&socket, &Action::Last).1;
            }
        }
        let (ids, endpoints) = (&self.ids, std::cell::RefCell::new(&mut self.endpoints));
        action::parse(
            verb,
            &resolved,
            |text| ids.read(text),
            |text| Ok(endpoints.borrow_mut().resolve(text)),
        )
    }

    fn perform(&mut self, socket: &str, action: &Action) -> String {
        match self.raw_outcome(socket, action) {
            (Outcome::Word(_), word) => self.endpoints.hide(&word),
            (Outcome::Message(frames), _) => self.ids.write(&frames),
            (Outcome::Messages(messages), _) => {
                let mut messages: Vec<_> = messages.iter().map(|m| self.ids.write(m)).collect();
                if self.sorted {
                    messages.sort_unstable();
                }
                summary(&messages)
            }
        }
    }

    /// The outcome, and the word that it is, if it is one.
    fn raw_outcome(&mut self, socket: &str, action: &Action) -> (Outcome, String) {
        // What has no owner is the context.
        let ours = self.owners.get(socket).copied();
        let ours = ours.unwrap_or(self.side == Side::Curvelink);
        let outcome = match &mut self.theirs {
            _ if ours => self.ours.perform(socket, action),
            Some(theirs) => theirs.perform(socket, action),
            None => Outcome::word("BUG no libzmq"),
        };
        let word = match &outcome {
            Outcome::Word(word) => word.clone(),
            _ => String::new(),
        };
        (outcome, word)
    }

    /// Publishes until each subscriber has heard, and has heard the last: no publisher but XPUB is
    /// told when a subscription has come. What the subscribers held before is gone afterwards.
    fn knock(&mut self, publisher: &str, subscribers: &str, topic: &str) -> Result<String, String> {
        const MOST: usize = 500;
        let topic = self.ids.read(topic)?.swap_remove(0);
        let message = |number: usize| vec![topic.clone(), format!("knock {number}").into_bytes()];
        let mut deaf: Vec<&str> = subscribers.split(',').collect();
        let mut last = 0;
        while !deaf.is_empty() && last < MOST {
            last += 1;
            self.raw_outcome(publisher, &Action::Send(Some(0), message(last)));
            deaf.retain(|subscriber| {
                let heard = self.heard(subscriber, Some(10));
                heard.is_none_or(|frames| frames[0] != topic)
            });
        }
        last += 1;
        self.raw_outcome(publisher, &Action::Send(Some(0), message(last)));
        for subscriber in subscribers.split(',') {
            while self.heard(subscriber, Some(5_000)).ok_or("nobody heard")? != message(last) {}
        }
        Ok("ok".to_owned())
    }

    fn heard(&mut self, subscriber: &str, wait: Option<u64>) -> Option<Frames> {
        match self.raw_outcome(subscriber, &Action::Recv(wait)).0 {
            Outcome::Message(frames) => Some(frames),
            _ => None,
        }
    }

    fn raw_step(&mut self, peer: &str, verb: &str, args: &[String]) -> Result<String, String> {
        let argument = args.first().map_or("", String::as_str);
        let raw = self.raw.get_mut(peer).ok_or("no such peer")?;
        let done = match verb {
            "dial" => raw.dial(&self.endpoints.resolve(argument)),
            "listen" => raw.listen(&self.endpoints.resolve(argument)),
            "accept" => raw.accept(),
            "deafen" => raw.deafen(),
            "greet" => {
                let id = args.get(1).map_or("\"\"", String::as_str);
                raw.greet(argument, &self.ids.read(id)?[0])
            }
            "introduce" => raw.introduce(argument),
            "say" => raw.say(&self.ids.read(argument)?),
            "write" => raw.write(&self.ids.read(argument)?.concat()),
            "read" => {
                let count = argument.parse().map_err(|_| "how many octets?")?;
                return Ok(match raw.read(count) {
                    Ok(octets) => self.ids.write(&[octets]),
                    Err(error) => super::raw::word(&error),
                });
            }
            "message" => {
                return Ok(match raw.message() {
                    Ok(frames) => self.ids.write(&frames),
                    Err(error) => super::raw::word(&error),
                });
            }
            "ended" => raw.ended(),
            "hang-up" => raw.hang_up(),
            _ => return Err(format!("a raw peer does not {verb}")),
        };
        Ok(match done {
            Ok(()) => "ok".to_owned(),
            Err(error) => super::raw::word(&error),
        })
    }
}
