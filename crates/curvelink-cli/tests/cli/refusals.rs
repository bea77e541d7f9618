//! Who is refused is told so, at once and differently for each cause.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{Run, Site, curvelink};

/// Runs what must be over in less than two seconds.
pub(crate) fn quickly(run: impl FnOnce() -> Run) -> Run {
    let start = Instant::now();
    let run = run();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}: {}",
        start.elapsed(),
        run.err
    );
    run
}

/// A server that is none of ZeroMQ's: it answers what it is sent, or nothing at all.
pub(crate) fn foreign_server(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            if let Some(answer) = answer {
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(answer);
            }
            held.push(stream);
        }
    });
    endpoint
}

#[test]
fn the_four_refusals_are_distinct_and_take_less_than_two_seconds() {
    let site = Site::up();
    curvelink(&site.dir, "key gen --out stranger").ok();
    let publish = |extra: &str, endpoint: &str| {
        let args = format!("pub {extra} {endpoint} findings/x zap.toml");
        quickly(|| curvelink(&site.dir, args)).fails(4)
    };
    let foreign = foreign_server(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let lines = [
        (
            publish("--as ci-scanner --server-key keys/siem.key", &site.ingest),
            "another key",
        ),
        (publish("--key stranger", &site.ingest), "unknown key"),
        (publish("", &site.ingest), "mechanism"),
        (publish("--as ci-scanner", &foreign), "does not speak ZMTP"),
    ];
    for (line, cause) in &lines {
        assert!(line.contains(cause), "{line}");
    }
    let causes: HashSet<&str> = lines
        .iter()
        .map(|(line, _)| line.rsplit_once("tcp://").unwrap().1)
        .collect();
    assert_eq!(causes.len(), lines.len());
}

#[test]
fn every_command_that_connects_tells_a_refusal() {
    let site = Site::up();
    curvelink(&site.dir, "key gen --out stranger").ok();
    for args in [
        "sub --key stranger findings/".to_owned(),
        format!("req --key stranger {} zap.toml", site.ingest),
        format!("push {} zap.toml", site.ingest),
        format!("pull {}", site.ingest),
    ] {
        quickly(|| curvelink(&site.dir, args)).fails(4);
    }
}

#[test]
fn a_port_that_says_nothing_is_told_from_one_that_is_not_there() {
    let site = Site::up();
    let silent = foreign_server(None);
    let args = format!("pub --as ci-scanner {silent} findings/x zap.toml");
    let line = quickly(|| curvelink(&site.dir, args)).fails(4);
    assert!(line.contains("does not speak ZMTP"), "{line}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let args = format!("pub --as ci-scanner --timeout 0.3 {dead} findings/x zap.toml");
    let line = curvelink(&site.dir, args).fails(5);
    assert!(line.contains("no answer within 0.3 s"), "{line}");
}

#[test]
fn the_hub_logs_each_refusal_in_one_line_with_the_key() {
    let site = Site::up();
    let shown = curvelink(&site.dir, "key gen --out stranger").ok();
    assert_eq!(shown.trim_end().len(), 40);
    let shown = curvelink(&site.dir, "key show --json stranger").json();
    let fingerprint = shown["fingerprint"].as_str().unwrap();
    curvelink(&site.dir, "pub --key stranger findings/x zap.toml").fails(4);
    let log = site.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("CL1002")).collect();
    let [line] = lines[..] else { panic!("{log}") };
    assert!(
        line.contains("unknown-key") && line.contains(fingerprint),
        "{line}"
    );
    assert!(
        !line.contains('\u{1b}'),
        "a log that is no terminal has no colours: {line}"
    );
}
