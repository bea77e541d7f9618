//! Messages that are signed by the batch: published, saved, verified, exported.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink_tests::{golang, python};
use serde_json::json;

use crate::support::{Background, PROGRAM, Site, curvelink, curvelink_with};

const BATCH: &str = "[[envelope.topic]]\nprefix = \"findings/\"\nsign = \"batch\"\n";
const PUBLISH: &str = "pub --as ci-scanner findings/x - --lines --content-type text/plain";

/// So many lines, each with its number.
fn numbered(count: usize) -> String {
    (0..count).map(|number| format!("{number}\n")).collect()
}

/// A hub, and as many messages of one run in `inbox`.
fn saved(count: usize, settings: &str) -> Site {
    let site = Site::up_with(settings);
    let args = format!("sub --as siem findings/ --save inbox --count {count} --timeout 60");
    let mut sub = Background::start(&site.dir, "sub", args);
    let sent = curvelink_with(&site.dir, PUBLISH, &numbered(count)).ok();
    assert_eq!(sent.lines().count(), count);
    for (number, line) in sent.lines().enumerate() {
        assert!(line.contains(&format!("  seq {number}  ")), "{line}");
    }
    assert_eq!(sub.wait(), 0);
    site
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("inbox")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(".cle")).collect();
    files.sort();
    files
}

/// Exports a saved message: its proof, its entry and the key for both.
fn export(dir: &Path, file: &str) -> [String; 3] {
    let line = format!("export inbox/{file} --as tlog-proof -o m --key keys/ci-scanner.sign.pem");
    curvelink(dir, line).ok();
    ["m.tlog-proof", "m.entry", "m.vkey"].map(|name| fs::read_to_string(dir.join(name)).unwrap())
}

#[test]
fn lines_are_signed_in_batches_and_each_message_verifies_alone() {
    let site = saved(130, BATCH);
    let files = files(&site.dir);
    assert_eq!(files.len(), 130);
    let all = files.iter().map(|file| format!(" inbox/{file}"));
    let said = curvelink(&site.dir, format!("verify{}", all.collect::<String>())).ok();
    assert!(said.contains("no gap, no replay (130 messages)"), "{said}");
    let alone = curvelink(&site.dir, "verify inbox/000077.cle --json").json();
    assert_eq!(
        (&alone["ok"], &alone["batch"]),
        (&true.into(), &true.into())
    );
    let text = curvelink(&site.dir, "verify inbox/000077.cle").ok();
    assert!(text.contains("signed in a batch by ci-scanner"), "{text}");

    let logs: HashSet<String> = files
        .iter()
        .map(|file| export(&site.dir, file)[2].clone())
        .collect();
    // 64 to a batch at most; how many more there are is the machine's to say.
    assert!((3..130).contains(&logs.len()), "{} batches", logs.len());

    fs::write(site.dir.join("inbox/000077.txt"), "77").unwrap();
    curvelink(&site.dir, "verify inbox/000077.cle").fails(2);
    curvelink(&site.dir, "verify inbox/000078.cle").ok();
}

#[test]
fn a_single_message_is_a_batch_of_one() {
    let site = saved(1, BATCH);
    let [proof, _, key] = export(&site.dir, "000001.cle");
    assert!(proof.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\ncurvelink/"));
    assert!(
        key.starts_with("curvelink/") && key.contains("/batch/0+"),
        "{key}"
    );
}

#[test]
fn large_messages_do_not_wait_for_each_other() {
    let site = Site::up_with(BATCH);
    let sub = "sub --as siem findings/ --save inbox --count 3 --timeout 60";
    let mut sub = Background::start(&site.dir, "sub", sub);
    let lines = format!("{}\n", "x".repeat(600 << 10)).repeat(3);
    curvelink_with(&site.dir, PUBLISH, &lines).ok();
    assert_eq!(sub.wait(), 0);
    let keys = files(&site.dir).into_iter();
    let logs: HashSet<String> = keys
        .map(|file| export(&site.dir, &file)[2].clone())
        .collect();
    assert_eq!(logs.len(), 3, "two of them are more than a batch holds");
}

#[test]
fn go_accepts_the_exported_proof_and_rejects_an_altered_one() {
    let Ok(program) = golang::tlog() else { return };
    let site = saved(5, BATCH);
    let mut cases = Vec::new();
    for file in files(&site.dir) {
        let [proof, entry, key] = export(&site.dir, &file);
        let origin = key.split('+').next().unwrap();
        let mut case = |proof: &str, entry: &str, verdict: &'static str| {
            let shown = json!({
                "kind": "record", "vkey": key.trim(), "origin": origin,
                "entry": STANDARD.encode(entry), "proof": proof,
            });
            cases.push((shown, verdict));
        };
        case(&proof, &entry, "accepted");
        case(
            &proof,
            &entry.replace("findings/x", "findings/y"),
            "rejected",
        );
        case(&proof.replace("index ", "index 1"), &entry, "rejected");
    }
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = cases
        .iter()
        .map(|(shown, _)| format!("{shown}\n"))
        .collect();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<&str> = cases.iter().map(|(_, verdict)| *verdict).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn each_form_of_export_is_refused_where_the_message_has_no_such_signature() {
    let site = saved(1, BATCH);
    let dir = &site.dir;
    for form in ["dsse", "sigstore", "pae"] {
        let line = curvelink(dir, format!("export inbox/000001.cle --as {form} -o x")).fails(1);
        assert!(line.contains("use --as tlog-proof"), "{line}");
    }
    curvelink(dir, "key gen --sign --out other.secret.pem").ok();
    let other = "export inbox/000001.cle --as tlog-proof -o x --key other.secret.pem";
    let line = curvelink(dir, other).fails(1);
    assert!(line.contains("not signed by this key"), "{line}");
    let leftovers = ["x", "x.pae", "x.sig", "x.tlog-proof", "x.entry", "x.vkey"];
    assert!(leftovers.iter().all(|name| !dir.join(name).exists()));

    let site = saved(1, "");
    let line = curvelink(&site.dir, "export inbox/000001.cle --as tlog-proof -o x").fails(1);
    assert!(line.contains("use --as dsse, sigstore or pae"), "{line}");
    let key = "export inbox/000001.cle --as pae -o x --key keys/ci-scanner.sign.pem";
    curvelink(&site.dir, key).fails(1);
    curvelink(&site.dir, "export inbox/000001.cle --as pae -o x").ok();
}

/// The program with a standard input that stays open.
fn open_ended(dir: &Path, args: &str) -> Child {
    Command::new(PROGRAM)
        .args(args.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_was_read_is_sent_before_a_signal_ends_the_publisher() {
    for signal in ["-INT", "-TERM"] {
        let site = Site::up_with(BATCH);
        let sub = "sub --as siem findings/ --json";
        let mut sub = Background::start(&site.dir, "sub", sub);
        let mut publisher = open_ended(&site.dir, PUBLISH);
        let mut input = publisher.stdin.take().unwrap();
        // More than it reads before it is told to stop, and then nobody takes the rest.
        let writer = std::thread::spawn(move || {
            let _ = input.write_all(numbered(200_000).as_bytes());
            input
        });
        let mut said = BufReader::new(publisher.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        let pid = publisher.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status();
        assert!(killed.unwrap().success());
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        let output = publisher.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{errors}");
        assert!(errors.contains("the input has not ended"), "{errors}");
        drop(writer.join().unwrap());

        // All of it, in order; and the next run finds nothing missing.
        let sent = 1 + rest.lines().count();
        assert!(sent < 200_000);
        for number in 0..sent {
            let message: serde_json::Value = serde_json::from_str(&sub.line()).unwrap();
            assert_eq!(message["frames"][1], number.to_string());
        }
        curvelink_with(&site.dir, PUBLISH, "next\n").ok();
        let message: serde_json::Value = serde_json::from_str(&sub.line()).unwrap();
        assert_eq!(message["frames"][1], "next");
        assert_eq!(message["signed"]["missing"], 0, "{message}");
    }
}

#[test]
fn what_was_read_is_sent_before_a_bad_line_ends_the_publisher() {
    let site = Site::up_with(BATCH);
    let args = "pub --as ci-scanner findings/x - --jsonl --wait 0";
    let good = "{\"frames\":[\"1\"]}\n";
    let run = curvelink_with(&site.dir, args, &format!("{good}{good}nonsense\n{good}"));
    assert_eq!(run.out.lines().count(), 2, "{}", run.out);
    assert!(run.fails(1).contains("each line is one message"));
}

/// What a program that knows nothing of envelopes reads.
const SUBSCRIBER: &str = "\
import sys, zmq, zmq.auth
feed = zmq.Context().socket(zmq.SUB)
feed.curve_publickey, feed.curve_secretkey = zmq.auth.load_certificate('keys/siem.key_secret')
feed.curve_serverkey, _ = zmq.auth.load_certificate('keys/hub.key')
feed.rcvtimeo = 20000
feed.subscribe(b'findings/')
feed.connect(sys.argv[1])
for number in range(100):
    frames = feed.recv_multipart()
    assert frames[0] == b'findings/x', frames
    assert frames[1] == str(number).encode(), frames
    assert len(frames) == 3 and frames[2][:5] == b'CLE1\\x02', frames
";

#[test]
fn pyzmq_reads_topic_and_body_of_a_batch_as_its_first_frames() {
    let Ok(python) = python::environment() else {
        return;
    };
    let site = Site::up_with(BATCH);
    let mut subscriber = Command::new(python)
        .args(["-c", SUBSCRIBER, &site.feed])
        .current_dir(&site.dir)
        .spawn()
        .unwrap();
    curvelink_with(&site.dir, PUBLISH, &numbered(100)).ok();
    assert!(subscriber.wait().unwrap().success());
}
