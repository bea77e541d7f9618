//! Heartbeats: no messages, but evidence of those that did not come.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use curvelink_envelope::{Progress, Signer, SigningKey, Timestamp, file};
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Background, PROGRAM, Site, curvelink, site};

fn read(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// Waits until the hub's feed has passed on so many messages to its one subscriber.
fn wait_for_passed_on(site: &Site, count: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let shown = curvelink(&site.dir, "show --json").json();
        let sent = shown["sockets"][1]["links"][0]["sent"]["messages"].as_u64();
        if sent >= Some(count) {
            return;
        }
        assert!(Instant::now() < deadline, "{shown}");
    }
}

#[test]
fn heartbeats_pass_the_hub_and_are_shown_as_no_message() {
    let site = Site::up();
    let args = "sub --as siem findings/ --json --count 2 --timeout 60";
    let mut sub = Background::start(&site.dir, "sub", args);
    let publish = "pub --as ci-scanner findings/x zap.toml --heartbeat 0.1 --json";
    let mut publisher = Background::start(&site.dir, "pub", publish);
    assert_eq!(read(&publisher.line())["seq"], 0);
    wait_for_passed_on(&site, 4);
    assert_eq!(publisher.terminate(), 0);
    curvelink(&site.dir, "pub --as ci-scanner findings/x zap.toml").ok();

    let messages = [sub.line(), sub.line()].map(|line| read(&line));
    for message in messages {
        assert!(message["frames"][1].is_string(), "{message}");
        assert_eq!(message["signed"]["missing"], 0);
    }
    assert_eq!(sub.wait(), 0);
    let log = site.log();
    assert_eq!(log.matches("CL2002").count(), 2, "{log}");
    assert_eq!(
        log.matches("CL2005").count(),
        0,
        "nobody confirms one: {log}"
    );
    assert_eq!(log.matches("CL2004").count(), 0, "{log}");
}

#[test]
fn what_was_lost_at_the_end_is_told_by_a_heartbeat() {
    for (form, saves) in [("--json", false), ("", true)] {
        let (_root, dir) = site();
        curvelink(&dir, "key gen --sign --out s.secret.pem").ok();
        let public = "key convert s.secret.pem --public --to pem --out s.pem";
        curvelink(&dir, public).ok();
        // Nobody is there for the first three.
        let mut publisher = publisher(&dir);
        let mut input = publisher.stdin.take().unwrap();
        let mut told = BufReader::new(publisher.stdout.take().unwrap()).lines();
        input.write_all(b"1\n2\n3\n").unwrap();
        for _ in 0..3 {
            let line = told.next().unwrap().unwrap();
            assert!(line.starts_with("sent to 0 subscribers"), "{line}");
        }

        let sub = "sub ipc://p t --count 1 --timeout 60 --signer ci=s.pem --audience here";
        let inbox = if saves { "--save inbox" } else { "" };
        let mut sub = Background::start(&dir, "sub", format!("{sub} {form} {inbox}"));
        if saves {
            let deadline = Instant::now() + Duration::from_secs(20);
            let told = || fs::read_to_string(dir.join("sub.err")).unwrap();
            while !told().contains("note  t: joined-late, 3 missing") {
                assert!(Instant::now() < deadline, "{}", told());
                std::thread::yield_now();
            }
        } else {
            let told = read(&sub.line());
            assert_eq!(told["heartbeat"]["topic"], "t");
            assert_eq!(told["heartbeat"]["flag"], "joined-late");
            assert_eq!(told["heartbeat"]["missing"], 3);
        }
        input.write_all(b"4\n").unwrap();
        let line = sub.line();
        if saves {
            assert!(line.starts_with("inbox/000001.cle  t  "), "{line}");
        } else {
            assert_eq!(read(&line)["frames"][1], "4");
        }
        assert_eq!(sub.wait(), 0);
        publisher.kill().unwrap();
        publisher.wait().unwrap();
    }
}

fn publisher(dir: &std::path::Path) -> Child {
    let args = "pub --bind ipc://p t - --lines --wait 0 --heartbeat 0.1 \
                --sign-key s.secret.pem --signer ci --audience here";
    Command::new(PROGRAM)
        .args(args.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_saved_heartbeat_verifies_as_one_and_tells_what_is_not_there() {
    let dir = tempdir().unwrap();
    let key = SigningKey::from_seed(&[7; 32]);
    let pem = key.verifying_key().to_pem();
    fs::write(dir.path().join("s.pem"), pem).unwrap();
    let now = Timestamp::now();
    let mut signer = Signer::start(key, "ci", "here", Progress::default(), now)
        .unwrap()
        .with_heartbeats(Some(Duration::ZERO), None);
    let save = |stem: &str, message: &[Vec<u8>]| {
        file::save(dir.path(), stem, message).unwrap();
    };
    for stem in ["1", "2"] {
        let mut message = vec![b"t".to_vec(), stem.into()];
        message.push(signer.sign_at(&message, "text/plain", now).unwrap());
        save(stem, &message);
    }
    save("3", &signer.heartbeats(now)[0]);

    let verify = |files: &str| {
        let line = format!("verify {files} --signer ci=s.pem --audience here");
        curvelink(dir.path(), line).ok()
    };
    let all = verify("1.cle 2.cle 3.cle");
    assert!(
        all.contains("3.cle: t  heartbeat, 2 messages so far"),
        "{all}"
    );
    assert!(
        all.contains("no gap, no replay (2 messages, 1 heartbeat)"),
        "{all}"
    );
    let cut = verify("1.cle 3.cle");
    assert!(cut.contains("1 messages are not here"), "{cut}");
    let line = "verify 3.cle --json --signer ci=s.pem --audience here";
    let shown = curvelink(dir.path(), line).json();
    assert_eq!(
        (&shown["heartbeat"], &shown["missing"]),
        (&true.into(), &2.into())
    );
}

#[test]
fn heartbeats_that_nobody_could_believe_or_bear_are_refused() {
    let (_root, dir) = site();
    for (args, cause) in [
        (
            "--bind ipc://p t zap.toml --heartbeat 1",
            "heartbeats are signed",
        ),
        (
            "--as ci-scanner findings/x zap.toml --heartbeat 0.01",
            "at least 0.1",
        ),
    ] {
        let line = curvelink(&dir, format!("pub --timeout 0.2 {args}")).fails(1);
        assert!(line.contains(cause), "{line}");
    }
}
