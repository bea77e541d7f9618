//! libzmq: `python/scenario.py` over pyzmq, one process for many scenarios at once.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::action::{Action, Driver, Frames, Outcome};
use crate::interop::Skipped;
use crate::peer::text;
use crate::python;

/// The longest wait for an answer; the script gives up before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that drives libzmq; killed when dropped.
#[derive(Debug)]
pub(super) struct Libzmq {
    process: Child,
    steps: Mutex<ChildStdin>,
    waiting: Arc<Mutex<HashMap<u64, Sender<Value>>>>,
    next: AtomicU64,
}

impl Libzmq {
    /// Starts it.
    ///
    /// # Errors
    /// [`Skipped`] without Python 3 or a package registry.
    ///
    /// # Panics
    /// When the script does not start; and instead of returning [`Skipped`], when
    /// `CURVELINK_REQUIRE_INTEROP=1` is set.
    pub(super) fn start() -> Result<Self, Skipped> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/scenario.py");
        let mut process = Command::new(python::environment()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the environment's Python starts");
        let steps = Mutex::new(process.stdin.take().expect("piped"));
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let waiting: Arc<Mutex<HashMap<u64, Sender<Value>>>> = Arc::default();
        let answered = waiting.clone();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let mut answer: Value = serde_json::from_str(&line).unwrap_or_default();
                let id = answer["id"].as_u64().unwrap_or_default();
                if let Some(waiting) = held(&answered).remove(&id) {
                    let _gave_up = waiting.send(answer["answer"].take());
                }
            }
            // Whoever waits now waits for nothing.
            held(&answered).clear();
        });
        Ok(Self {
            process,
            steps,
            waiting,
            next: AtomicU64::new(1),
        })
    }

    fn ask(&self, mut step: Value) -> Receiver<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = channel();
        held(&self.waiting).insert(id, answer);
        step["id"] = id.into();
        let mut steps = held(&self.steps);
        if writeln!(steps, "{step}")
            .and_then(|()| steps.flush())
            .is_err()
        {
            held(&self.waiting).remove(&id);
        }
        answered
    }
}

impl Drop for Libzmq {
    fn drop(&mut self) {
        let _died_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One scenario's sockets in that process.
#[derive(Debug)]
pub(super) struct Theirs<'a> {
    libzmq: &'a Libzmq,
    /// Runs of the same scenario have contexts of their own.
    run: u64,
}

impl<'a> Theirs<'a> {
    /// No sockets yet.
    pub(super) fn new(libzmq: &'a Libzmq) -> Self {
        let run = libzmq.next.fetch_add(1, Ordering::Relaxed);
        Self { libzmq, run }
    }
}

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        drop(
            self.libzmq
                .ask(json!({"scenario": self.run, "verb": "end"})),
        );
    }
}

impl Driver for Theirs<'_> {
    fn perform(&mut self, socket: &str, action: &Action) -> Outcome {
        let (verb, args) = call(action);
        let step = json!({"scenario": self.run, "socket": socket, "verb": verb, "args": args});
        let answer = self.libzmq.ask(step).recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|_| json!({"bug": "libzmq's process is gone"}));
        outcome(&answer)
    }
}

/// The script's verb and its arguments.
fn call(action: &Action) -> (&'static str, Vec<Value>) {
    match action {
        Action::Open {
            kind,
            context,
            options,
        } => {
            let options = options
                .iter()
                .flat_map(|(name, value)| [json!(name), json!(text(value))]);
            (
                "open",
                [json!(kind), json!(context)]
                    .into_iter()
                    .chain(options)
                    .collect(),
            )
        }
        Action::Set(name, value) => ("set", vec![json!(name), json!(text(value))]),
        Action::Get(name) => ("get", vec![json!(name)]),
        Action::Bind(endpoint) => ("bind", vec![json!(endpoint)]),
        Action::Connect(endpoint) => ("connect", vec![json!(endpoint)]),
        Action::ConnectAs(endpoint, id) => ("connect_as", vec![json!(endpoint), json!(text(id))]),
        Action::Unbind(endpoint) => ("unbind", vec![json!(endpoint)]),
        Action::Disconnect(endpoint) => ("disconnect", vec![json!(endpoint)]),
        Action::Last => ("last", vec![]),
        Action::Close => ("close", vec![]),
        Action::Subscribe(prefix) => ("subscribe", vec![json!(text(prefix))]),
        Action::Unsubscribe(prefix) => ("unsubscribe", vec![json!(text(prefix))]),
        Action::Send(wait, frames) => ("send", behind(json!(wait), frames)),
        Action::Recv(wait) => ("recv", vec![json!(wait)]),
        Action::Burst(count, prefix) => ("burst", behind(json!(count), prefix)),
        Action::Drain(silence) => ("drain", vec![json!(silence)]),
        Action::Links(count) => ("wait", vec![json!(count)]),
        Action::Until(event) => ("until", vec![json!(event)]),
        Action::Start(inner) => {
            let (verb, args) = call(inner);
            ("start", [json!(verb)].into_iter().chain(args).collect())
        }
        Action::Done(wait) => ("done", vec![json!(wait)]),
        Action::Admit(words) => ("admit", words.iter().map(|word| json!(word)).collect()),
        Action::Terminate(context) => ("terminate", vec![json!(context)]),
        Action::Shutdown(context, time) => ("shutdown", vec![json!(context), json!(time)]),
    }
}

fn behind(first: Value, frames: &Frames) -> Vec<Value> {
    let frames = frames.iter().map(|frame| json!(text(frame)));
    [first].into_iter().chain(frames).collect()
}

fn outcome(answer: &Value) -> Outcome {
    if let Some(word) = answer.as_str() {
        Outcome::word(word)
    } else if let Some(message) = answer.get("message") {
        Outcome::Message(frames(message))
    } else if let Some(messages) = answer.get("messages").and_then(Value::as_array) {
        Outcome::Messages(messages.iter().map(frames).collect())
    } else {
        Outcome::word(format!("BUG {answer}"))
    }
}

fn frames(message: &Value) -> Frames {
    let frames = message.as_array().into_iter().flatten();
    frames
        .map(|frame| {
            let characters = frame.as_str().unwrap_or_default().chars();
            characters.map(|character| character as u8).collect()
        })
        .collect()
}
