//! The hub's log: an id on every line, no line that a peer wrote, and no flood of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Background, curvelink, site};

/// A hub that logs JSON; its ingest, as an address.
fn hub(dir: &Path) -> (Background, String) {
    let mut hub = Background::start(dir, "up", "up --json --log json");
    let ready: Value = serde_json::from_str(&hub.line()).unwrap();
    let ingest = ready["ingest"].as_str().unwrap();
    let address = ingest.strip_prefix("tcp://").unwrap().to_owned();
    (hub, address)
}

fn lines(dir: &Path) -> Vec<Value> {
    let log = fs::read_to_string(dir.join("up.err")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

fn of<'a>(lines: &'a [Value], id: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["id"] == id).collect()
}

/// Says something that is no ZMTP, and waits for the end.
fn knock(address: &str, octets: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let _ = stream.write_all(octets);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn every_line_has_an_id_and_the_first_and_last_tell_of_the_program() {
    let (_root, dir) = site();
    let (mut hub, address) = hub(&dir);
    knock(&address, b"GET / HTTP/1.1\r\n\r\n");
    curvelink(&dir, "pub --as ci-scanner --wait 0 findings/x zap.toml").ok();
    curvelink(&dir, "pub --as ci-scanner --wait 0 remediate/x zap.toml").fails(4);
    assert_eq!(hub.terminate(), 0);
    let lines = lines(&dir);
    for line in &lines {
        assert!(line["id"].as_str().unwrap().starts_with("CL"), "{line}");
        assert!(line["count"].as_u64().unwrap() >= 1, "{line}");
    }
    let starts = of(&lines, "CL3001");
    let actions: Vec<&Value> = starts.iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["start", "stop"]);
    assert_eq!(lines[0]["id"], "CL3001", "what follows is of this run");
    let refused = of(&lines, "CL1002");
    let [refused] = refused[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(refused["reason"], "not-zmtp");
    assert_eq!(refused["network"], "127.0.0.0/24");
    for (id, identity) in [
        ("CL1001", "ci-scanner"),
        ("CL1003", "ci-scanner"),
        ("CL2002", "ci-scanner"),
    ] {
        assert_eq!(of(&lines, id)[0]["identity"], identity, "{id}");
        assert!(
            of(&lines, id)[0]["key"]
                .as_str()
                .unwrap()
                .starts_with("SHA256:")
        );
    }
    assert_eq!(of(&lines, "CL1020")[0]["topic"], "remediate/x");
    assert!(of(&lines, "CL3005").is_empty(), "nothing is open");
}

#[test]
fn a_flood_of_refusals_is_a_few_lines_whose_counts_add_up() {
    let (_root, dir) = site();
    let (mut hub, address) = hub(&dir);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                (0..250).for_each(|_| knock(&address, b"GET / HTTP/1.1\r\n\r\n"))
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(hub.terminate(), 0);
    let lines = lines(&dir);
    let refused = of(&lines, "CL1002");
    let counts: Vec<u64> = refused
        .iter()
        .map(|line| line["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 1000, "{counts:?}");
    assert!(counts.len() <= 8, "{counts:?}");
    assert!(lines.len() < 20, "{}", lines.len());
}

#[test]
fn a_topic_of_64_kib_of_anything_is_one_short_line() {
    let (_root, dir) = site();
    for form in ["json", "text"] {
        let args = format!("up --log {form}");
        let mut hub = Background::start(&dir, "up", args);
        hub.line();
        let wild = "remediate/\u{1b}]0;x\u{7}\r\nWARN id=\"CL3001\" \u{202e}";
        let long = wild.repeat(65_536 / wild.len());
        let args = ["pub", "--as", "ci-scanner", &long, "zap.toml"];
        curvelink(&dir, args).fails(4);
        assert_eq!(hub.terminate(), 0);
        let log = fs::read_to_string(dir.join("up.err")).unwrap();
        let denied: Vec<&str> = log.lines().filter(|line| line.contains("CL1020")).collect();
        let [line] = denied[..] else { panic!("{log}") };
        assert!(line.len() < 1500 && line.contains("topic-denied"), "{line}");
        let bad = |octet: char| octet == '\u{202e}' || (octet.is_control() && octet != '\n');
        assert!(!log.contains(bad), "{log}");
        let starts = log.lines().filter(|line| line.starts_with("WARN"));
        assert_eq!(starts.count(), 0, "{log}");
    }
}

#[test]
fn a_hub_that_asks_for_no_signatures_says_so() {
    let (_root, dir) = site();
    let file = dir.join("curvelink.toml");
    let settings = fs::read_to_string(&file).unwrap();
    assert!(settings.contains("sign = \"each\""), "{settings}");
    fs::write(
        &file,
        settings.replace("sign = \"each\"", "sign = \"none\""),
    )
    .unwrap();
    let (mut hub, _) = hub(&dir);
    assert_eq!(hub.terminate(), 0);
    let lines = lines(&dir);
    let [insecure] = of(&lines, "CL3005")[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(insecure["details"], "setting=unsigned-messages");
    assert_eq!(insecure["level"], "WARN");
}
