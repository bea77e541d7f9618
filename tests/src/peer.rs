//! A process that speaks real ZeroMQ: `python/peer.py` over pyzmq, driven by commands.

pub mod security;
pub mod traffic;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::interop::Skipped;
use crate::python;

/// The longest wait for an answer; the peer gives up on its own sockets before.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running peer; killed when dropped.
///
/// A command is a JSON object whose `"do"` names a method of the script. Commands wait for each
/// other, so a test tells the peer to receive, sends, and then takes the answer.
///
/// ```no_run
/// # use serde_json::json;
/// let Ok(mut peer) = curvelink_tests::peer::ZmqPeer::start() else { return };
/// let endpoint = peer.ask(json!({
///     "do": "open", "socket": "pull", "type": "PULL", "bind": "tcp://127.0.0.1:*",
/// }));
/// peer.tell(json!({"do": "receive", "socket": "pull"}));
/// // … something sends to `endpoint` …
/// let messages = peer.answer();
/// ```
#[derive(Debug)]
pub struct ZmqPeer {
    process: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
    complaints: Arc<Mutex<String>>,
}

impl ZmqPeer {
    /// Starts a peer and waits until it is ready.
    ///
    /// # Errors
    /// [`Skipped`] without Python 3 or a package registry.
    ///
    /// # Panics
    /// When the script does not start; and instead of returning [`Skipped`], when
    /// `CURVELINK_REQUIRE_INTEROP=1` is set.
    pub fn start() -> Result<Self, Skipped> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/peer.py");
        let mut process = Command::new(python::environment()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the environment's Python starts");
        let commands = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut stderr = process.stderr.take().expect("piped");

        let (answer, answers) = channel();
        thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| answer.send(line).is_ok()) {}
        });
        let complaints = Arc::new(Mutex::new(String::new()));
        let said = complaints.clone();
        thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut octets) {
                let text = String::from_utf8_lossy(&octets[..length]);
                said.lock().expect("no panic while held").push_str(&text);
            }
        });

        let peer = Self {
            process,
            commands,
            answers,
            complaints,
        };
        peer.line();
        Ok(peer)
    }

    /// The process, for signals.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a command without waiting for its answer.
    ///
    /// # Panics
    /// When the peer has died.
    pub fn tell(&mut self, command: Value) {
        let sent = writeln!(self.commands, "{command}").and_then(|()| self.commands.flush());
        if sent.is_err() {
            panic!("the peer is gone; it said: {}", self.complaints());
        }
    }

    /// Takes the answer to the oldest command whose answer was not taken.
    ///
    /// # Panics
    /// When the peer reports an error, has died, or takes longer than 30 s.
    #[track_caller]
    pub fn answer(&mut self) -> Value {
        let mut answer = self.line();
        if let Some(error) = answer.get("error") {
            panic!("the peer reports {error}; it said: {}", self.complaints());
        }
        answer["answer"].take()
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Panics
    /// As [`tell`](Self::tell) and [`answer`](Self::answer) do.
    #[track_caller]
    pub fn ask(&mut self, command: Value) -> Value {
        self.tell(command);
        self.answer()
    }

    /// Opens a socket that binds to, or connects to, an endpoint; gives the endpoint as bound.
    /// `options` are pyzmq's by name, `{"HEARTBEAT_IVL": 100}`.
    ///
    /// # Panics
    /// As [`ask`](Self::ask) does.
    #[track_caller]
    pub fn open(
        &mut self,
        socket: &str,
        kind: &str,
        (how, endpoint): (&str, &str),
        options: &Value,
    ) -> String {
        let mut command = json!({"do": "open", "socket": socket, "type": kind, "options": options});
        command[how] = endpoint.into();
        let bound = self.ask(command);
        bound.as_str().expect("an endpoint").to_owned()
    }

    /// Waits for an event of a socket's monitor, named as in pyzmq, and gives its value.
    ///
    /// # Panics
    /// As [`ask`](Self::ask) does.
    #[track_caller]
    pub fn await_event(&mut self, socket: &str, name: &str) -> u64 {
        let event = self.ask(json!({"do": "await_event", "socket": socket, "name": name}));
        event["value"].as_u64().expect("a number")
    }

    #[track_caller]
    fn line(&self) -> Value {
        let line = self.answers.recv_timeout(PATIENCE);
        let Ok(line) = line else {
            panic!("no answer from the peer; it said: {}", self.complaints());
        };
        serde_json::from_str(&line).expect("the peer answers in JSON")
    }

    fn complaints(&self) -> String {
        self.complaints
            .lock()
            .expect("no panic while held")
            .trim()
            .to_owned()
    }
}

impl Drop for ZmqPeer {
    fn drop(&mut self) {
        let _died_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Octets as a command carries them: one character each.
#[must_use]
pub fn text(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_answers_in_order() {
        let Ok(mut peer) = ZmqPeer::start() else {
            return;
        };
        let endpoint = peer.open("pull", "PULL", ("bind", "tcp://127.0.0.1:*"), &json!({}));
        peer.open("push", "PUSH", ("connect", &endpoint), &json!({}));
        peer.tell(json!({"do": "send", "socket": "push", "message": ["a", text(&[0, 255]), ""]}));
        peer.tell(json!({"do": "receive", "socket": "pull"}));
        assert_eq!(peer.answer(), Value::Null);
        assert_eq!(peer.answer(), json!([["a", "\0\u{ff}", ""]]));
    }

    #[test]
    #[should_panic(expected = "KeyError")]
    fn an_error_of_the_peer_fails_the_test() {
        let mut peer = ZmqPeer::start().unwrap_or_else(|_| panic!("KeyError: skipped"));
        peer.ask(json!({"do": "receive", "socket": "unknown"}));
    }
}
