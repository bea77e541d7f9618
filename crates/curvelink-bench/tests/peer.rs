//! `curvelink-peer` as a driver sees it: its words, its JSON, its exit codes.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;

const FACES: [&str; 2] = ["async", "blocking"];

#[test]
fn throughput_counts_every_message() {
    for face in FACES {
        for transport in [Transport::Tcp, Transport::TcpCurve, Transport::Ipc] {
            for size in [0, 16, 1000] {
                let place = Place::new(transport);
                let options = format!("--size {size} --count 3000");
                let receiver = place.start(face, "thr-recv", &options).expect("READY");
                let sender = place.start(face, "thr-send", &options);
                let result = receiver.result(0);
                sender.ends(0);
                assert_eq!(
                    (&result["count"], &result["lost"]),
                    (&3000.into(), &0.into())
                );
                assert!(number(&result, "msgs_per_s") > 0.0, "{result}");
                assert!(number(&result, "cpu_s") > 0.0, "{result}");
            }
        }
    }
}

#[test]
fn latency_gives_percentiles_in_their_order() {
    for face in FACES {
        for transport in [Transport::Tcp, Transport::TcpCurve, Transport::Ipc] {
            let place = Place::new(transport);
            let options = "--size 64 --count 50 --warmup 10";
            let rep = place.start(face, "lat-rep", options).expect("READY");
            let result = place.start(face, "lat-req", options).result(0);
            rep.ends(0);
            let names = ["p50_us", "p90_us", "p99_us", "p999_us"];
            let percentiles = names.map(|name| number(&result, name));
            assert!(percentiles.is_sorted() && percentiles[0] > 0.0, "{result}");
            assert_eq!(result["count"], 50);
        }
    }
}

#[test]
fn every_subscriber_gets_every_message() {
    for face in FACES {
        for transport in [Transport::Tcp, Transport::Ipc] {
            let place = Place::new(transport);
            let options = "--size 64 --count 2000 --subs 3";
            let mut publisher = place.start(face, "pub", options).expect("READY");
            let subscribers = place.start(face, "sub", options).expect("SUBSCRIBED");
            publisher.say("GO");
            let result = subscribers.result(0);
            publisher.ends(0);
            assert_eq!(
                (&result["count"], &result["lost"]),
                (&6000.into(), &0.into())
            );
            assert!(number(&result, "per_sub_min") > 0.0, "{result}");
        }
    }
}

#[test]
fn both_ends_meet_in_one_process() {
    for face in FACES {
        let place = Place::new(Transport::Inproc);
        let result = place
            .start(face, "inproc-thr", "--size 16 --count 3000")
            .result(0);
        assert_eq!(
            (&result["count"], &result["lost"]),
            (&3000.into(), &0.into())
        );
        let result = place
            .start(face, "inproc-lat", "--size 64 --count 50")
            .result(0);
        assert_eq!(result["count"], 50);
    }
}

#[test]
fn connections_are_counted_when_their_message_is_there() {
    for face in FACES {
        for transport in [Transport::Tcp, Transport::TcpCurve] {
            let place = Place::new(transport);
            let listener = place.start(face, "conns-listen", "--n 20").expect("READY");
            let dialler = place.start(face, "conns-dial", "--n 20");
            let result = listener.result(0);
            dialler.ends(0);
            assert_eq!(result["n"], 20);
            assert!(number(&result, "conns_per_s") > 0.0, "{result}");
            assert!(result["rss_per_conn"].is_number(), "{result}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_one_line_and_exit_code_1() {
    let place = Place::new(Transport::Tcp);
    for options in ["--sise 1", "--size", "--size many", "--endpoint nowhere"] {
        let output = place.start("async", "thr-recv", options).output();
        assert_eq!(output.status.code(), Some(1), "{options}: {output:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("curvelink-peer: "), "{error}");
        assert_eq!((error.lines().count(), output.stdout.len()), (1, 0));
    }
}

#[test]
fn what_it_does_not_do_is_exit_code_4() {
    for (transport, command, options) in [
        (Transport::Tcp, "radio-thr", ""),
        (Transport::Inproc, "thr-recv", ""),
        (Transport::Inproc, "inproc-thr", "--curve"),
    ] {
        let result = Place::new(transport).start("async", command, options);
        assert_eq!(result.result(4)["error"], "unsupported");
    }
}

#[test]
fn a_receiver_that_lost_messages_says_how_many_and_exit_code_3() {
    for face in FACES {
        let place = Place::new(Transport::Ipc);
        let receiver = place.start(face, "thr-recv", "--count 10 --idle-ms 1500");
        let receiver = receiver.expect("READY");
        let sender = place.start(face, "thr-send", "--count 7");
        let result = receiver.result(3);
        assert_eq!((&result["count"], &result["lost"]), (&7.into(), &3.into()));
        sender.ends(0);
    }
}

#[test]
fn nobody_there_is_exit_code_3() {
    for command in ["lat-req", "conns-listen"] {
        let place = Place::new(Transport::Ipc);
        let options = "--count 1 --n 1 --idle-ms 100";
        let mut process = place.start("async", command, options);
        if command == "conns-listen" {
            process = process.expect("READY");
        }
        assert_eq!(process.result(3)["error"], "stalled");
    }
}

#[test]
fn a_message_of_another_length_is_exit_code_5() {
    for face in FACES {
        let place = Place::new(Transport::Tcp);
        let receiver = place.start(face, "thr-recv", "--count 10 --size 64");
        let receiver = receiver.expect("READY");
        let sender = place.start(face, "thr-send", "--count 10 --size 65");
        let result = receiver.result(5);
        assert_eq!((&result["got"], &result["want"]), (&65.into(), &64.into()));
        sender.ends(0);
    }
}

#[test]
fn clear_text_and_curve_do_not_meet() {
    let place = Place::new(Transport::Tcp);
    let receiver = place.start("async", "thr-recv", "--curve --count 1 --idle-ms 500");
    let receiver = receiver.expect("READY");
    let sender = place.start("async", "thr-send", "--count 1");
    assert_eq!(receiver.result(3)["lost"], 1);
    sender.ends(0);
}

fn number(result: &Value, name: &str) -> f64 {
    result[name].as_f64().unwrap_or_else(|| panic!("{result}"))
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    TcpCurve,
    Ipc,
    Inproc,
}

/// Where two processes meet.
struct Place {
    words: Vec<String>,
    _folder: TempDir,
}

impl Place {
    fn new(transport: Transport) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = match transport {
            Transport::Tcp | Transport::TcpCurve => format!("tcp://127.0.0.1:{}", free_port()),
            Transport::Ipc => format!("ipc://{}", folder.path().join("socket").display()),
            Transport::Inproc => "inproc://bench".to_owned(),
        };
        let mut words = vec!["--endpoint".to_owned(), endpoint];
        if matches!(transport, Transport::TcpCurve) {
            words.push("--curve".to_owned());
        }
        Self {
            words,
            _folder: folder,
        }
    }

    fn start(&self, face: &str, command: &str, options: &str) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_curvelink-peer"))
            .arg(command)
            .args(&self.words)
            .args(options.split_whitespace())
            .env("CURVELINK_FACE", face)
            .env_remove("CURVELINK_THR_HWM")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        Process {
            input: child.stdin.take().unwrap(),
            child,
        }
    }
}

/// A port that nobody listens at. It is below those that the system gives to connections, so that
/// none of them takes it before it is bound.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (seed + next) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One end, and the pipe by which it is told to leave.
struct Process {
    child: Child,
    input: ChildStdin,
}

impl Process {
    /// Waits for a word.
    fn expect(mut self, word: &str) -> Self {
        let output = self.child.stdout.as_mut().unwrap();
        // One octet at a time: what comes after the line stays in the pipe.
        let mut line = String::new();
        BufReader::with_capacity(1, output)
            .read_line(&mut line)
            .unwrap();
        if line.trim_end() != word {
            panic!("{line:?}, not {word}: {:?}", self.output());
        }
        self
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits until the process leaves by itself, for its result.
    fn result(self, code: i32) -> Value {
        // Told to leave by nobody: the pipe stays open.
        let Self { child, input } = self;
        let output = child.wait_with_output().unwrap();
        drop(input);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// Closes the pipe and waits.
    fn output(self) -> Output {
        drop(self.input);
        self.child.wait_with_output().unwrap()
    }

    fn ends(self, code: i32) {
        let output = self.output();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
}
