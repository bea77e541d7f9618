//! Whatever a field holds, a reader of each format gets it back and nothing else: no value ends its
//! line, field or element.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;

use curvelink_audit::Record;
use curvelink_audit::format::{cef, ecs, journald, ocsf, send_to_journald, syslog};
use curvelink_proto::EventId;
use proptest::prelude::*;
use serde_json::Value as Json;

#[path = "support/samples.rs"]
mod samples;

/// Pairs of name and value, in order.
type Pairs = Vec<(String, String)>;

/// What a text is in a format of lines.
fn visible(text: &str) -> String {
    let show = |c: char| match c {
        '"' | '\'' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(show).collect()
}

/// The fields of the record as `(prefix + name, value)`.
fn expected(record: &Record) -> BTreeMap<String, String> {
    let fields = record.fields();
    fields
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect()
}

/// Reads one RFC 5424 message by its grammar: header, parameters of the one element, MSG.
fn read_syslog(line: &str) -> Option<(Vec<String>, Pairs, String)> {
    let mut header: Vec<String> = Vec::new();
    let mut rest = line;
    for _ in 0..6 {
        let (word, after) = rest.split_once(' ')?;
        header.push(word.into());
        rest = after;
    }
    let mut rest = rest.strip_prefix("[curvelink@32473")?;
    let mut pairs = Pairs::new();
    while let Some(after) = rest.strip_prefix(' ') {
        let (name, mut after) = after.split_once("=\"")?;
        let mut value = String::new();
        loop {
            let c = after.chars().next()?;
            after = &after[c.len_utf8()..];
            match c {
                '"' => break,
                ']' => return None,
                '\\' => {
                    let escaped = after.chars().next()?;
                    if !"\"\\]".contains(escaped) {
                        return None;
                    }
                    value.push(escaped);
                    after = &after[1..];
                }
                _ => value.push(c),
            }
        }
        pairs.push((name.into(), value));
        rest = after;
    }
    Some((header, pairs, rest.strip_prefix("] ")?.into()))
}

/// Splits at each `at` that no backslash is before, and takes the backslashes away where `unescape`.
fn split_unescaped(text: &str, at: char, times: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == at && !escaped && parts.len() <= times {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescaped(text: &str, special: &str) -> Option<String> {
    let mut characters = text.chars();
    let mut plain = String::new();
    while let Some(c) = characters.next() {
        match c {
            '\\' => plain.push(characters.next().filter(|c| special.contains(*c))?),
            '=' if special.contains('=') => return None,
            _ => plain.push(c),
        }
    }
    Some(plain)
}

/// Reads one CEF line: seven parts of the header, and the extension, where an `=` without a
/// backslash follows a key, and a key follows the last space.
fn read_cef(line: &str) -> Option<(Vec<String>, Pairs)> {
    let mut parts = split_unescaped(line, '|', 7);
    let extension = parts.pop()?;
    let header: Option<Vec<String>> = parts.iter().map(|part| unescaped(part, "\\|")).collect();
    let chunks = split_unescaped(&extension, '=', usize::MAX);
    let mut pairs = Pairs::new();
    let mut key = chunks.first()?.clone();
    for (number, chunk) in chunks.iter().enumerate().skip(1) {
        let is_last = number + 1 == chunks.len();
        let (value, next) = match chunk.rsplit_once(' ') {
            Some((value, next)) if !is_last => (value, next),
            _ => (&chunk[..], ""),
        };
        pairs.push((key, unescaped(value, "\\=")?));
        key = next.to_owned();
    }
    Some((header?, pairs))
}

/// Reads one datagram of the journal's protocol.
fn read_journald(mut entry: &[u8]) -> Option<Pairs> {
    let mut pairs = Pairs::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|octet| b"=\n".contains(octet))?;
        let name = String::from_utf8(entry[..end].into()).ok()?;
        let value = if entry[end] == b'=' {
            let rest = &entry[end + 1..];
            let length = rest.iter().position(|octet| *octet == b'\n')?;
            let (value, after) = rest.split_at(length);
            entry = &after[1..];
            value
        } else {
            let (length, rest) = entry[end + 1..].split_first_chunk::<8>()?;
            let (value, after) =
                rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            entry = after.strip_prefix(b"\n")?;
            value
        };
        pairs.push((name, String::from_utf8(value.into()).ok()?));
    }
    Some(pairs)
}

fn holds_syslog(record: &Record) {
    let line = syslog(record);
    let (header, mut pairs, message) = read_syslog(&line).expect("RFC 5424");
    assert_eq!(header[4..], ["-".to_owned(), record.id().to_owned()]);
    let fields: BTreeMap<_, _> = pairs.split_off(7).into_iter().collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| &name[..]).collect();
    let own = [
        "name", "severity", "first", "count", "boot", "program", "sequence",
    ];
    assert_eq!(names, own);
    let expected = expected(record);
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name, visible(&value)))
        .collect();
    assert_eq!(fields, expected);
    assert!(
        !message.contains(|c: char| c.is_control() || !c.is_ascii()),
        "{message}"
    );
    assert!(!line.contains(char::is_control), "{line}");
}

fn holds_cef(record: &Record) {
    let line = cef(record);
    let (header, pairs) = read_cef(&line).expect("CEF");
    assert_eq!(header.len(), 7);
    assert_eq!((&header[0][..], &header[4][..]), ("CEF:0", record.id()));
    let keys: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(keys.len(), pairs.len(), "no key twice: {line}");
    let values: Vec<String> = keys.into_values().collect();
    for (name, value) in expected(record) {
        let is_there = values.contains(&visible(&value)) || name == "peer";
        assert!(is_there, "{name} in {line}");
    }
    assert!(!line.contains(char::is_control), "{line}");
}

fn holds_journald(record: &Record, entry: &[u8]) {
    let pairs = read_journald(entry).expect("the journal's protocol");
    let own = pairs.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("CURVELINK_")?.to_ascii_lowercase();
        Some((name, value.clone()))
    });
    let fields: BTreeMap<_, _> = own.skip(10).collect();
    assert_eq!(fields, expected(record));
    let ids = pairs
        .iter()
        .filter(|(name, _)| name == "MESSAGE_ID")
        .count();
    assert_eq!(ids, usize::from(record.event().is_some()));
}

/// Every text and number in a document.
fn leaves(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Object(object) => object.values().for_each(|value| leaves(value, found)),
        Json::Array(array) => array.iter().for_each(|value| leaves(value, found)),
        Json::String(text) => found.push(text.clone()),
        other => found.push(other.to_string()),
    }
}

fn holds_json(record: &Record, document: &str) {
    assert!(!document.bytes().any(|octet| octet < b' '), "{document}");
    let json: Json = serde_json::from_str(document).expect("JSON");
    let mut found = Vec::new();
    leaves(&json, &mut found);
    for (name, value) in expected(record) {
        let is_converted = ["peer", "endpoint", "duration"].contains(&&name[..]);
        assert!(
            is_converted || found.contains(&value),
            "{name}={value} in {document}"
        );
    }
}

fn holds(record: &Record) {
    holds_syslog(record);
    holds_cef(record);
    holds_journald(record, &journald(record));
    holds_json(record, &ocsf(record));
    holds_json(record, &ecs(record));
}

#[test]
fn every_sample_is_read_back_from_every_format() {
    for record in samples::records() {
        holds(&record);
    }
}

#[test]
fn every_hostile_text_is_read_back_from_every_event() {
    for id in EventId::ALL {
        for text in samples::HOSTILE {
            holds(&Record::from(&samples::evil(*id, text)));
        }
    }
}

#[test]
fn the_readers_see_what_is_not_escaped() {
    assert_eq!(
        read_syslog("<86>1 t h a - i [curvelink@32473 a=\"x]\"] m"),
        None
    );
    assert_eq!(
        read_syslog("<86>1 t h a - i [curvelink@32473 a=\"x\"y\"] m"),
        None
    );
    assert_eq!(read_cef("CEF:0|a|b|c|d|e|1|a=b c=d e").unwrap().1.len(), 2);
    let (header, _) = read_cef("CEF:0|a|b|c|d\\|x|e|1|a=b").unwrap();
    assert_eq!(header[4], "d|x");
    assert_eq!(read_journald(b"A=b\nc\nD=e\n"), None);
}

#[test]
fn a_journal_gets_the_fields_in_one_datagram() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let record = Record::from(&samples::evil(EventId::Refused, samples::HOSTILE[7]));
    assert!(
        send_to_journald(&socket, &record).is_err(),
        "nobody listens"
    );
    socket.connect(&path).unwrap();
    send_to_journald(&socket, &record).unwrap();
    let mut datagram = vec![0; 65_536];
    let length = journal.recv(&mut datagram).unwrap();
    holds_journald(&record, &datagram[..length]);
}

#[test]
fn a_value_that_ends_like_the_header_ends_nothing() {
    holds(&Record::from(&samples::evil(EventId::Accepted, "|")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_text_is_read_back_from_any_event(
        id in prop::sample::select(EventId::ALL),
        text in prop_oneof![any::<String>(), "[\\\\\\]\\[\"'=| \\n\\r\\tab\\x00-\\x1f]{0,12}"],
    ) {
        holds(&Record::from(&samples::evil(id, &text)));
    }
}
