//! push, pull, req, rep, pub and sub between themselves and with pyzmq.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use curvelink_tests::python;
use tempfile::tempdir;

use crate::support::{Background, PROGRAM, Site, curvelink, curvelink_with, findings, site};

#[test]
fn pushed_lines_and_json_are_pulled_in_either_bind_order() {
    for (push, pull) in [("--bind", ""), ("", "--bind")] {
        let dir = tempdir().unwrap();
        let pull = format!("pull ipc://p --count 3 {pull}");
        let mut pull = Background::start(dir.path(), "pull", pull);
        let push = format!("push ipc://p --lines {push}");
        let said = curvelink_with(dir.path(), push, "one\ntwo\n\u{1b}[2Jthree\n").ok();
        assert_eq!(said, "sent 3 messages\n");
        assert_eq!([pull.line(), pull.line()], ["one\n", "two\n"]);
        assert_eq!(
            pull.line(),
            "\\u{1b}[2Jthree\n",
            "the terminal is not the sender's"
        );
        assert_eq!(pull.wait(), 0);
    }
}

#[test]
fn json_lines_carry_every_frame_there_and_back() {
    let dir = tempdir().unwrap();
    let mut rep = Background::start(
        dir.path(),
        "rep",
        "rep --bind --echo --json ipc://r --count 1",
    );
    let frames = r#"["a",{"base64":"/wA="},""]"#;
    let input = format!("{{\"frames\":{frames}}}\n");
    let reply = curvelink_with(dir.path(), "req ipc://r --jsonl --json", &input).json();
    assert_eq!(reply["frames"].to_string(), frames);
    assert_eq!(reply["peer"]["mechanism"], "NULL");
    assert!(rep.line().contains(frames));
    assert_eq!(rep.wait(), 0);
    let line = curvelink_with(dir.path(), "push --bind --wait 0 ipc://x --jsonl", "{}\n");
    assert!(line.fails(1).contains("frames"));
}

#[test]
fn a_published_file_reaches_a_subscriber_octet_for_octet() {
    let dir = tempdir().unwrap();
    let octets: Vec<u8> = (0..=255).collect();
    fs::write(dir.path().join("body"), &octets).unwrap();
    let sub = Command::new(PROGRAM)
        .args(["sub", "ipc://p", "t/", "--raw", "--count", "1"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = curvelink(dir.path(), "pub --bind ipc://p t/x body").ok();
    assert_eq!(said, "sent to 1 subscriber\n");
    assert_eq!(sub.wait_with_output().unwrap().stdout, octets);
}

#[test]
fn nobody_listening_is_a_timeout_and_not_a_lost_message() {
    let dir = tempdir().unwrap();
    let args = "pub --bind ipc://p --timeout 0.2 t -";
    let line = curvelink(dir.path(), args).fails(5);
    assert!(line.contains("0 of 1 subscribers"), "{line}");
    let args = "push ipc://nobody --timeout 0.2 -";
    curvelink(dir.path(), args).fails(5);
    let args = "pull --bind ipc://quiet --timeout 0.2";
    let run = curvelink(dir.path(), args);
    assert_eq!(run.code, 5, "{}", run.err);
}

#[test]
fn curve_between_two_programs_admits_whom_the_policy_lists() {
    let (_root, dir) = site();
    let mut pull = Background::start(
        &dir,
        "pull",
        "pull --as siem --bind ipc://c --count 1 --json",
    );
    curvelink(&dir, "key gen --out stranger").ok();
    let push = |who: &str| {
        let args = format!("push --server-key keys/siem.key ipc://c --jsonl {who}");
        curvelink_with(&dir, args, "{\"frames\":[\"findings/x\",\"body\"]}\n")
    };
    // Refused once the server is there at all: the two start at the same time.
    push("--key stranger").fails(4);
    push("--as ci-scanner").ok();
    let message: serde_json::Value = serde_json::from_str(&pull.line()).unwrap();
    assert_eq!(message["peer"]["name"], "ci-scanner");
    assert_eq!(message["peer"]["mechanism"], "CURVE");
    assert_eq!(message["frames"].to_string(), r#"["findings/x","body"]"#);
    assert_eq!(pull.wait(), 0);
}

#[test]
fn the_cipher_is_what_was_typed_else_what_the_folder_says_and_each_side_has_its_own() {
    let (_root, dir) = site();
    let settings = fs::read_to_string(dir.join("curvelink.toml")).unwrap();
    let other = settings.clone() + "[curve]\nbackend = \"rustcrypto\"\n";
    for (row, (settings, typed, cipher)) in [
        (&settings, "", "dryoc"),
        (&settings, "--curve-backend rustcrypto", "rustcrypto"),
        (&other, "", "rustcrypto"),
        (&other, "--curve-backend dryoc", "dryoc"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(dir.join("curvelink.toml"), settings).unwrap();
        let pull = format!("pull --as siem --bind ipc://c{row} --count 1 --json {typed}");
        let mut pull = Background::start(&dir, "pull", pull);
        let push = format!("push --server-key keys/siem.key ipc://c{row} --jsonl --as ci-scanner");
        curvelink_with(&dir, push, "{\"frames\":[\"findings/x\"]}\n").ok();
        let message: serde_json::Value = serde_json::from_str(&pull.line()).unwrap();
        assert_eq!(message["peer"]["cipher"], cipher, "row {row}");
        assert_eq!(pull.wait(), 0);
    }
}

#[test]
fn a_cipher_that_is_not_known_or_has_nothing_to_seal_is_refused() {
    let (_root, dir) = site();
    let push = |extra: &str| curvelink(&dir, format!("push ipc://c --timeout 0.1 {extra}"));
    for name in ["aes", "Dryoc", "\"\""] {
        let line = push(&format!("--as siem --curve-backend {name}")).fails(1);
        assert!(line.contains("write dryoc or rustcrypto"), "{line}");
    }
    let line = push("--curve-backend dryoc").fails(1);
    assert!(line.contains("CURVE needs a key"), "{line}");
    let settings = fs::read_to_string(dir.join("curvelink.toml")).unwrap();
    let unknown = settings + "[curve]\nbackend = \"none\"\n";
    fs::write(dir.join("curvelink.toml"), unknown).unwrap();
    for command in ["up", "push ipc://c --as siem"] {
        let line = curvelink(&dir, command).fails(1);
        assert!(line.contains("no backend of CURVE"), "{line}");
    }
}

#[test]
fn pyzmq_subscribes_to_the_hub_and_publishes_only_what_the_gate_lets_through() {
    let Ok(python) = python::environment() else {
        return;
    };
    let site = Site::up();
    let script = format!(
        "\
import json, zmq, zmq.auth
context = zmq.Context()
hub, _ = zmq.auth.load_certificate('keys/hub.key')
def client(kind, name, endpoint):
    socket = context.socket(kind)
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(f'keys/{{name}}.key_secret')
    socket.curve_serverkey = hub
    socket.rcvtimeo = 5000
    socket.connect(endpoint)
    return socket
sub = client(zmq.SUB, 'siem', '{feed}')
sub.subscribe('findings/')
req = client(zmq.REQ, 'ci-scanner', '{ingest}')
def ask(*frames):
    req.send_multipart([frame.encode() for frame in frames])
    return json.loads(req.recv())
while ask('findings/x').get('subscribers') != ['siem']: pass
assert ask('remediate/x', 'body')['code'] == 'topic-denied'
assert ask('findings/x', 'unsigned')['code'] == 'malformed-envelope'
print('subscribed', flush=True)
frames = sub.recv_multipart()
assert frames[0] == b'findings/sast' and frames[2][:4] == b'CLE1', frames
assert frames[1] == open('{findings}', 'rb').read()
",
        feed = site.feed,
        ingest = site.ingest,
        findings = findings().display(),
    );
    let mut child = Command::new(python)
        .args(["-c", &script])
        .current_dir(&site.dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    if said == "subscribed\n" {
        let findings = findings().to_str().unwrap();
        let sent = curvelink(
            &site.dir,
            ["pub", "--as", "ci-scanner", "findings/sast", findings],
        )
        .ok();
        assert!(
            sent.starts_with("sent to 1 subscriber (siem)  seq 0  sha256:"),
            "{sent}"
        );
    }
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn standard_input_cannot_be_key_and_body_at_once() {
    let dir = tempdir().unwrap();
    for args in [
        "push --key - --server-key k ipc://x",
        "req --key - --server-key k ipc://x",
        "pub --key - --server-key k ipc://x t",
        "rep --key - --bind ipc://x",
        "pub --sign-key - --signer s --audience a ipc://x t",
    ] {
        let line = curvelink(dir.path(), args).fails(1);
        assert!(line.contains("standard input"), "{line}");
    }
}

#[test]
fn clear_text_leaves_this_host_only_if_it_is_said_in_so_many_words() {
    let dir = tempdir().unwrap();
    for endpoint in [
        "--bind tcp://0.0.0.0:*",
        "tcp://192.0.2.1:9",
        "tcp://example.org:9",
    ] {
        let line = curvelink(dir.path(), format!("pull --timeout 0.2 {endpoint}")).fails(1);
        assert!(
            line.contains("--allow-clear-text-beyond-this-host"),
            "{line}"
        );
    }
    let said = "pull --timeout 0.2 --allow-clear-text-beyond-this-host --bind tcp://0.0.0.0:*";
    curvelink(dir.path(), said).fails(5);
    let keys = "pull --key k --allow-clear-text-beyond-this-host tcp://127.0.0.1:9";
    assert!(
        curvelink(dir.path(), keys)
            .fails(1)
            .contains("cannot be used with")
    );
}
