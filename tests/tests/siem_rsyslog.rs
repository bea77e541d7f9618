//! Records in a real rsyslog: every field is read as it was written, and over CURVE only listed
//! keys get in, with the configuration of the guide.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use curvelink::{Context, Curve, EventId, KeyPair, Pub, Push, Reason, SecurityEvent, Side};
use curvelink_audit::format::{octet_counted, syslog};
use curvelink_audit::{Origin, Record};
use curvelink_tests::collectors::Rsyslog;
use curvelink_tests::guide::blocks;
use curvelink_tests::proofs::root;
use curvelink_tests::support::{deadline, free_endpoint, keys, quick, refusal};
use serde_json::Value;

/// What it has written so far, once that are so many lines.
async fn records(rsyslog: &mut Rsyslog, count: usize) -> &[Value] {
    while rsyslog.records().len() < count {
        // A file of another program's: nothing tells when it grows.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rsyslog.records()
}

/// The configuration that the guide shows, its paths and port replaced.
fn configuration(folder: &Path, endpoint: &str) -> String {
    let page = fs::read_to_string(root().join("docs/guide/siem.md")).unwrap();
    let all = blocks(&page);
    let (_, shown) = all
        .iter()
        .find(|(language, _)| *language == "rsyslog")
        .unwrap();
    let mut text = shown.clone();
    for (of_the_page, of_the_test) in [
        (
            "/etc/rsyslog.d/curvelink/",
            format!("{}/", folder.display()),
        ),
        (
            "/var/log/curvelink.json",
            folder.join("out.json").display().to_string(),
        ),
        ("tcp://*:2514", endpoint.to_owned()),
    ] {
        assert!(text.contains(of_the_page), "the page names {of_the_page}");
        text = text.replace(of_the_page, &of_the_test);
    }
    text
}

/// What czmq keeps keys in.
fn certificate(path: PathBuf, public: &str, secret: Option<&str>) {
    let mut text = format!("metadata\ncurve\n    public-key = \"{public}\"\n");
    if let Some(secret) = secret {
        text += &format!("    secret-key = \"{secret}\"\n");
    }
    fs::write(path, text).unwrap();
}

fn put_keys(folder: &Path, server: &KeyPair, listed: &KeyPair) {
    let secret = server.secret().expose_z85();
    certificate(
        folder.join("rsyslog.key"),
        &server.public().to_z85(),
        Some(&secret),
    );
    fs::create_dir(folder.join("clients")).unwrap();
    certificate(
        folder.join("clients/hub.key"),
        &listed.public().to_z85(),
        None,
    );
}

/// The records of the golden files: each event, full, hostile and bare.
fn samples() -> Vec<Record> {
    let path = root().join("crates/curvelink-audit/tests/golden/json");
    let lines = fs::read_to_string(path).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| Record::from_json(line.as_bytes()).unwrap())
        .collect()
}

/// A text as lines have it: each character that is not visible as an escape.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(show).collect()
}

/// Holds what rsyslog made of a record against the record.
fn holds(read: &Value, record: &Record) {
    let element = read["$!"]["rfc5424-sd"]["curvelink@32473"]
        .as_object()
        .unwrap();
    let mut element: BTreeMap<&str, &str> = element
        .iter()
        .map(|(name, value)| (&name[..], value.as_str().unwrap()))
        .collect();
    let origin = record.origin();
    for (name, value) in [
        ("name", record.name().to_owned()),
        ("severity", record.severity().name().to_owned()),
        ("first", record.first().to_string()),
        ("count", record.count().to_string()),
        ("boot", origin.boot().to_owned()),
        ("program", origin.program().to_owned()),
        ("sequence", origin.sequence().to_string()),
    ] {
        assert_eq!(element.remove(name), Some(&value[..]), "{name}");
    }
    let fields: BTreeMap<&str, String> = record
        .fields()
        .map(|(name, value)| (name, visible(&value.to_string())))
        .collect();
    let fields: BTreeMap<&str, &str> = fields
        .iter()
        .map(|(name, value)| (*name, &value[..]))
        .collect();
    assert_eq!(element, fields, "{}", record.id());
    let host = if origin.host().is_empty() {
        "-"
    } else {
        origin.host()
    };
    let level = 7 - record.severity() as u8;
    for (property, value) in [
        ("msgid", record.id()),
        ("app-name", "curvelink"),
        ("hostname", host),
        ("syslogfacility", "10"),
        ("timereported", &record.last().to_string()),
        ("syslogseverity", &level.to_string()),
    ] {
        assert_eq!(read[property], value, "{property}");
    }
}

#[tokio::test]
async fn rsyslog_reads_every_field_of_every_event() {
    let _deadline = deadline();
    let endpoint = free_endpoint();
    let address = endpoint.strip_prefix("tcp://").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let started = Rsyslog::start(|folder| {
        format!(
            "module(load=\"imtcp\")\nmodule(load=\"mmpstrucdata\")\n\
             template(name=\"json\" type=\"string\" string=\"%jsonmesg%\\n\")\n\
             ruleset(name=\"all\" parser=\"rsyslog.rfc5424\") {{\n\
             action(type=\"mmpstrucdata\")\n\
             action(type=\"omfile\" file=\"{}/out.json\" template=\"json\")\n}}\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"all\")\n",
            folder.display()
        )
    });
    let Ok(mut rsyslog) = started else { return };
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            // It has not bound yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let samples = samples();
    for record in &samples {
        stream
            .write_all(octet_counted(&syslog(record)).as_bytes())
            .unwrap();
    }
    drop(stream);
    let read = records(&mut rsyslog, samples.len()).await;
    assert_eq!(read.len(), samples.len());
    for (read, record) in read.iter().zip(&samples) {
        holds(read, record);
    }
}

const MANY: u64 = 10_000;

#[tokio::test]
async fn rsyslog_takes_ten_thousand_records_over_curve_in_order_from_a_listed_key_alone() {
    let _deadline = deadline();
    let (server, listed) = (keys(), keys());
    let (endpoint, published) = (free_endpoint(), free_endpoint());
    let started = Rsyslog::start(|folder| {
        put_keys(folder, &server, &listed);
        let sub = format!(
            "input(type=\"imczmq\" endpoints=\"@{published}\" socktype=\"SUB\" topics=\"\" ruleset=\"curvelink\")\n"
        );
        configuration(folder, &endpoint) + &sub
    });
    let Ok(mut rsyslog) = started else { return };
    let context = Context::new().unwrap();
    let client = |keys: KeyPair| quick().security(Curve::client(keys, server.public()));

    let stranger = context.socket::<Push>(client(keys()));
    let mut monitor = stranger.monitor();
    stranger.connect(&endpoint).unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(
        (refused.by, refused.reason),
        (Side::Peer, Reason::Denied),
        "{refused}"
    );
    drop(stranger);

    let push = context.socket::<Push>(client(listed.duplicate()));
    push.connect(&endpoint).unwrap();
    let origin = Origin::new("hub.example", "boot", "test");
    let mut event = SecurityEvent::new(EventId::Refused, SystemTime::now());
    event.reason = Some("unknown-key");
    let record = Record::from(&event);
    let line = |number| syslog(&record.clone().with_origin(origin.numbered(number)));
    for number in 1..=MANY {
        push.send(line(number)).await.unwrap();
    }
    let read = records(&mut rsyslog, usize::try_from(MANY).unwrap()).await;
    for (number, read) in (1..=MANY).zip(read) {
        holds(read, &record.clone().with_origin(origin.numbered(number)));
    }
    let publisher = context.socket::<Pub>(client(listed));
    publisher.connect(&published).unwrap();

    publisher.wait_for_subscribers("<84>1", 1).await;
    publisher.send(line(MANY + 1)).await.unwrap();
    let all = usize::try_from(MANY).unwrap() + 1;
    let read = records(&mut rsyslog, all).await;
    assert_eq!(read.len(), all, "no other records came");
    holds(
        read.last().unwrap(),
        &record.with_origin(origin.numbered(MANY + 1)),
    );
}
