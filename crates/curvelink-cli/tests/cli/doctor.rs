//! `doctor` tells apart what stands between two peers, within two seconds.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curvelink_tests::python;

use crate::refusals::{foreign_server, quickly};
use crate::support::{Run, Site, Words, curvelink};

/// What `doctor --json` says, after the checks that hold for every report.
#[track_caller]
fn outcome(run: Run) -> (String, i32, serde_json::Value) {
    let report: serde_json::Value = serde_json::from_str(&run.out).expect(&run.err);
    let outcome = report["outcome"].as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7, "{report}");
    let failed = steps.iter().filter(|step| step["state"] == "failed");
    assert_eq!(failed.count(), usize::from(run.code != 0), "{report}");
    assert_eq!(run.code == 0, outcome == "ok", "{report}");
    (outcome, run.code, report)
}

#[track_caller]
fn looks(dir: &Path, args: impl Words) -> (String, i32, serde_json::Value) {
    outcome(quickly(|| curvelink(dir, args)))
}

/// A server that answers what it is sent once it has seen a whole line.
fn patient_web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let answer = |mut stream: TcpStream| {
            let mut line = Vec::new();
            let read = BufReader::new(&mut stream).read_until(b'\n', &mut line);
            if read.is_ok() && line.ends_with(b"\n") {
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
            }
        };
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    endpoint
}

#[test]
fn the_five_causes_are_told_apart_each_within_two_seconds() {
    let site = Site::up();
    curvelink(&site.dir, "key gen --out stranger").ok();
    let (ingest, feed) = (&site.ingest, &site.feed);
    for (args, expected, code) in [
        (format!("--as ci-scanner {ingest}"), "ok", 0),
        (format!("--as siem {feed}"), "ok", 0),
        ("--as ci-scanner".to_owned(), "ok", 0),
        (
            format!("--as ci-scanner --server-key keys/siem.key {ingest}"),
            "wrong-server-key",
            4,
        ),
        (format!("--key stranger {ingest}"), "unknown-key", 4),
        (format!("--as siem --type PUSH {feed}"), "closed", 4),
    ] {
        let (found, status, report) = looks(&site.dir, format!("doctor --json {args}"));
        assert_eq!(
            (found.as_str(), status),
            (expected, code),
            "{args} {report}"
        );
    }
    // Without the folder, and so without its keys.
    let elsewhere = tempfile::tempdir().unwrap();
    let (found, code, report) = looks(elsewhere.path(), format!("doctor --json {ingest}"));
    assert_eq!(
        (found.as_str(), code),
        ("mechanism-mismatch", 4),
        "{report}"
    );
    assert!(
        report["steps"][3]["said"]
            .as_str()
            .unwrap()
            .contains("speaks CURVE")
    );
    // The server's key can be looked at without one of one's own.
    let key = site.dir.join("keys/hub.key");
    let args = format!("doctor --json --server-key {} {ingest}", key.display());
    let (found, _, report) = looks(elsewhere.path(), args);
    assert_eq!(
        (found.as_str(), &report["steps"][5]["state"]),
        ("ok", &"skipped".into())
    );
    let web = foreign_server(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    for web in [web, patient_web_server()] {
        let args = format!("doctor --json --as ci-scanner {web}");
        let (found, code, report) = looks(&site.dir, args);
        assert_eq!((found.as_str(), code), ("not-zmtp", 4), "{report}");
        assert!(
            report["steps"][2]["said"]
                .as_str()
                .unwrap()
                .contains("HTTP")
        );
    }
}

#[test]
fn a_key_that_was_replaced_is_told_from_one_that_was_never_there() {
    let (_root, dir) = crate::support::site();
    let policy = fs::read_to_string(dir.join("zap.toml")).unwrap();
    let key = curvelink(&dir, "key pub keys/ci-scanner.key_secret").ok();
    let other = curvelink(&dir, "key gen --out other").ok();
    fs::write(
        dir.join("zap.toml"),
        policy.replace(key.trim(), other.trim()),
    )
    .unwrap();
    let mut hub = crate::support::Background::start(&dir, "up", "up");
    hub.line();
    let (found, code, report) = looks(&dir, "doctor --json --as ci-scanner");
    assert_eq!((found.as_str(), code), ("revoked-key", 4), "{report}");
    let (found, ..) = looks(&dir, "doctor --json --key other");
    assert_eq!(found, "ok");
    let dated = format!(
        "{{ key = {:?}, not_after = 2020-01-01T00:00:00Z }}",
        other.trim()
    );
    let policy = fs::read_to_string(dir.join("zap.toml")).unwrap();
    let expired = policy.replace(&format!("{:?}", other.trim()), &dated);
    fs::write(dir.join("zap.toml"), expired).unwrap();
    curvelink(&dir, "reload").ok();
    let (found, code, report) = looks(&dir, "doctor --json --key other");
    assert_eq!((found.as_str(), code), ("expired-key", 4), "{report}");
}

#[test]
fn what_is_no_zeromq_socket_is_named() {
    let site = Site::up();
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp://{}", listener.local_addr().unwrap())
    };
    let legacy = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02\0\0\0\0";
    for (endpoint, expected, code, word) in [
        (
            foreign_server(Some(b"SSH-2.0-OpenSSH_9.2\r\n")),
            "not-zmtp",
            4,
            "SSH",
        ),
        (
            foreign_server(Some(b"\x15\x03\x01\0\x02\x02\x46")),
            "not-zmtp",
            4,
            "TLS",
        ),
        (
            foreign_server(Some(b"\x1b[2Jhello")),
            "not-zmtp",
            4,
            "something else",
        ),
        (foreign_server(Some(legacy)), "legacy-version", 4, "ZMTP 1"),
        (foreign_server(None), "silent", 5, "says nothing"),
        (dead, "not-reached", 5, "nobody listens"),
        (
            "ipc://nothing-here".to_owned(),
            "not-reached",
            5,
            "no such socket",
        ),
        (
            "tcp://does-not-exist.invalid:1".to_owned(),
            "not-resolved",
            1,
            "leads nowhere",
        ),
    ] {
        let args = format!("doctor --json --as ci-scanner {endpoint}");
        let (found, status, report) = looks(&site.dir, args);
        assert_eq!(
            (found.as_str(), status),
            (expected, code),
            "{endpoint} {report}"
        );
        let failed = report["steps"].as_array().unwrap().iter();
        let mut failed = failed.filter(|step| step["state"] == "failed");
        let said = failed.next().unwrap()["said"].as_str().unwrap();
        assert!(said.contains(word), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
    for wrong in ["inproc://x", "tcp://*:1", "tcp://127.0.0.1:0", "nonsense"] {
        curvelink(&site.dir, format!("doctor {wrong}")).fails(1);
    }
}

#[test]
fn people_get_a_line_for_each_step_and_one_that_says_what_to_do() {
    let site = Site::up();
    let text = curvelink(&site.dir, "doctor --as ci-scanner").ok();
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("ok       ")),
        "{text}"
    );
    assert!(text.contains("with a socket of type ROUTER"), "{text}");
    let run = curvelink(
        &site.dir,
        "doctor --as ci-scanner --server-key keys/siem.key",
    );
    assert!(
        run.out
            .contains("failed   server key  the server does not have SHA256:")
    );
    assert!(run.fails(4).ends_with(": wrong-server-key"));
}

/// A libzmq server that runs until it is dropped.
struct Theirs {
    child: Child,
    endpoint: String,
}

impl Theirs {
    fn start(dir: &Path, authenticates: bool) -> Option<Self> {
        let python = python::environment().ok()?;
        let script = "\
import sys, zmq, zmq.auth
from zmq.auth.thread import ThreadAuthenticator
context = zmq.Context()
if sys.argv[1] == 'True':
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain='global', location='allowed')
router = context.socket(zmq.ROUTER)
router.curve_publickey, router.curve_secretkey = zmq.auth.load_certificate('server.key_secret')
router.curve_server = True
router.zap_domain = b'global'
port = router.bind_to_random_port('tcp://127.0.0.1')
print(f'tcp://127.0.0.1:{port}', flush=True)
sys.stdin.read()
";
        let mut child = Command::new(python)
            .args(["-c", script, if authenticates { "True" } else { "False" }])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut endpoint = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut endpoint).expect("text");
        let endpoint = endpoint.trim().to_owned();
        Some(Self { child, endpoint })
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn libzmq_servers_are_seen_through_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (name, folder) in [("server", "."), ("ours", "allowed"), ("stranger", ".")] {
        fs::create_dir_all(dir.join(folder)).unwrap();
        curvelink(dir, format!("key gen --out {name}.key_secret")).ok();
        let public =
            format!("key convert {name}.key_secret --public --to czmq --out {folder}/{name}.key");
        curvelink(dir, public).ok();
    }
    for authenticates in [true, false] {
        let Some(theirs) = Theirs::start(dir, authenticates) else {
            return;
        };
        let endpoint = &theirs.endpoint;
        let stranger = if authenticates { "unknown-key" } else { "ok" };
        for (args, expected) in [
            ("--key ours.key_secret --server-key server.key", "ok"),
            (
                "--key stranger.key_secret --server-key server.key",
                stranger,
            ),
            (
                "--key ours.key_secret --server-key stranger.key",
                "wrong-server-key",
            ),
            ("", "mechanism-mismatch"),
        ] {
            let (found, _, report) = looks(dir, format!("doctor --json {args} {endpoint}"));
            assert_eq!(found, expected, "{args} {report}");
        }
    }
}

#[test]
fn t14_a_server_that_sends_octets_for_ever_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                // A greeting that drips: each octet comes, the last never does.
                for octet in b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0".iter() {
                    let _ = stream.write_all(&[*octet]);
                    std::thread::sleep(Duration::from_millis(20));
                }
                let _ = stream.read(&mut [0; 1024]);
                std::thread::sleep(Duration::from_secs(60));
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (found, code, report) = looks(dir.path(), format!("doctor --json {endpoint}"));
    assert_eq!((found.as_str(), code), ("timeout", 5), "{report}");
}
