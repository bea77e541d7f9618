use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::json::severity as severity_of;
use super::*;

fn event() -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Refused, UNIX_EPOCH + Duration::from_micros(5));
    event.count = 3;
    event.status = Some(400);
    event.duration = Some(Duration::from_millis(1500));
    event.identity = Some("a\n\"b\u{1f}\u{7f}\u{2028}".into());
    event
}

fn record() -> Record {
    Record::from(&event()).with_origin(Origin::new("h", "b", "p").numbered(9))
}

const JSON: &str = concat!(
    r#"{"boot":"b","count":3,"fields":{"duration":"1.500","identity":"a\n\"b\u001f"#,
    "\u{7f}\u{2028}",
    r#"","status":400},"first":"1970-01-01T00:00:00.000005Z","host":"h","id":"CL1002","#,
    r#""last":"1970-01-01T00:00:00.000005Z","name":"handshake-refused","program":"p","#,
    r#""sequence":9,"severity":"medium"}"#
);

#[test]
fn a_record_has_one_form() {
    assert_eq!(record().to_json().unwrap(), JSON);
    assert_eq!(Record::from_json(JSON.as_bytes()), Ok(record()));
    assert_eq!(record().event(), Some(EventId::Refused));
}

#[test]
fn every_event_of_the_catalogue_is_known_again() {
    for id in EventId::ALL {
        let record = Record::from(&SecurityEvent::new(*id, UNIX_EPOCH));
        let read = Record::from_json(record.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!((read.event(), read.name()), (Some(*id), id.name()));
        assert_eq!(read.severity(), id.severity());
    }
}

#[test]
fn a_field_has_a_name_that_a_record_can_have() {
    let mut event = event();
    for name in [
        "Some Name",
        "host",
        "",
        "more_than_thirty_two_characters_long",
    ] {
        event.detail(name, "x");
    }
    assert!(
        EventId::ALL
            .iter()
            .all(|id| !id.fields().iter().any(|name| TAKEN.contains(name)))
    );
    let record = Record::from(&event);
    assert_eq!(
        Record::from_json(record.to_json().unwrap().as_bytes()).as_ref(),
        Ok(&record)
    );
    for name in [
        "_ome__ame",
        "host_",
        "_",
        "more_than_thirty_two_characters_",
    ] {
        assert_eq!(
            record.field(name).and_then(Value::as_text),
            Some("x"),
            "{name}"
        );
    }
}

/// What becomes of the record when a part of its JSON is another.
fn with(part: &str, another: &str) -> Result<Record, RecordError> {
    assert!(JSON.contains(part), "{part}");
    Record::from_json(JSON.replacen(part, another, 1).as_bytes())
}

#[test]
fn ids_and_fields_of_later_versions_are_kept() {
    let read = with("CL1002", "CL4711").unwrap();
    assert_eq!((read.id(), read.event()), ("CL4711", None));
    assert!(read.to_json().unwrap().contains("CL4711"));
    let read = with(r#""status":400"#, r#""status":400,"zone":"x""#).unwrap();
    assert_eq!(read.field("zone").and_then(Value::as_text), Some("x"));
    assert!(read.to_json().unwrap().contains(r#""zone":"x""#));
}

#[test]
fn another_way_to_write_the_same_is_refused() {
    for (part, another) in [
        (r#""count":3"#, r#""count": 3"#),
        (r#""count":3"#, r#""count":03"#),
        (r#""status":400"#, r#""status":400,"status":400"#),
        (r#""status":400"#, r#""status":400,"a":1"#),
        ("CL1002", r"CL\u0031002"),
        (r"\u001f", r"\u001F"),
        (r"\n", r"\u000a"),
        (r#""medium"}"#, "\"medium\"}\n"),
    ] {
        let refused = with(part, another).unwrap_err();
        let expected = matches!(
            refused,
            RecordError::NotCanonical | RecordError::Malformed { .. }
        );
        assert!(expected, "{another}: {refused}");
    }
    let twice = with(r#""count":3"#, r#""count":3,"count":3"#);
    assert!(matches!(twice, Err(RecordError::Malformed { .. })));
    let moved = JSON.replacen(r#""boot":"b","#, "", 1);
    let moved = moved.replacen(r#""sequence""#, r#""boot":"b","sequence""#, 1);
    assert_eq!(
        Record::from_json(moved.as_bytes()),
        Err(RecordError::NotCanonical)
    );
}

#[test]
fn what_no_record_can_have_is_refused() {
    for (part, another) in [
        ("CL1002", "CL10020"),
        ("CL1002", "cl1002"),
        ("CL1002", "CL1\u{e9}2"),
        ("handshake-refused", "Handshake"),
        ("handshake-refused", ""),
        ("medium", "fatal"),
        ("05Z", "5Z"),
        (r#""count":3"#, r#""count":0"#),
        (r#""count":3"#, r#""count":9007199254740992"#),
        (r#""sequence":9"#, r#""sequence":9007199254740992"#),
        (r#""status":400"#, r#""sta tus":400"#),
        (r#""status":400"#, r#""":400"#),
        (r#""status":400"#, r#""host":"h""#),
    ] {
        assert_eq!(with(part, another), Err(RecordError::Value), "{another}");
    }
    for (part, another) in [
        (r#""count":3"#, r#""count":3.0"#),
        (r#""count":3"#, r#""count":"3""#),
        (r#""count":3"#, r#""cou":3"#),
        (r#""count":3,"#, ""),
        (r#""status":400"#, r#""status":4e2"#),
        (r#""status":400"#, r#""status":-1"#),
        (r#""status":400"#, r#""status":9007199254740992"#),
        (r#""status":400"#, r#""status":null"#),
        (r#""status":400"#, r#""status":[]"#),
        (r#""medium"}"#, r#""medium"}{}"#),
    ] {
        let refused = with(part, another).unwrap_err();
        assert!(
            matches!(refused, RecordError::Malformed { .. }),
            "{another}"
        );
        let said = refused.to_string();
        assert!(!said.contains("cou"), "nothing of the entry's: {said}");
    }
    assert!(with(r#""status":400"#, r#""status":9007199254740991"#).is_ok());
    assert!(with(r#""boot":"b""#, &format!(r#""boot":"{}""#, "b".repeat(256))).is_err());
}

#[test]
fn of_what_is_too_long_the_digest_is_kept() {
    let mut event = event();
    event.detail(
        "error",
        "x".repeat(65_535 - JSON.len() - r#""error":"","#.len()),
    );
    let whole = Record::from(&event).with_origin(record().origin);
    assert_eq!(whole.to_json().unwrap().len(), Record::MAX);
    event.detail("by", "");
    let record = Record::from(&event).with_origin(whole.origin);
    let octets = Record::MAX + r#""by":"","#.len();
    assert_eq!(record.to_json(), Err(RecordError::TooLong { octets }));
    let kept = record.abridged();
    assert_eq!((kept.id(), kept.count()), ("CL1002", 3));
    let number = kept.field("record_octets").and_then(Value::as_number);
    assert_eq!(number, Some(octets as u64));
    assert_eq!(
        Record::from_json(kept.to_json().unwrap().as_bytes()),
        Ok(kept)
    );
    let long = [b' '; Record::MAX + 1];
    let refused = Record::from_json(&long);
    assert!(matches!(refused, Err(RecordError::TooLong { .. })));
}

#[test]
fn an_origin_is_cut_where_a_character_ends() {
    let origin = Origin::new(&"\u{e9}".repeat(200), &"\u{1}".repeat(999), "p");
    assert_eq!(origin.host().len(), 254);
    let kept = record().with_origin(origin.numbered(u64::MAX)).abridged();
    let json = kept.to_json().unwrap();
    assert!(json.len() < 8192);
    assert_eq!(Record::from_json(json.as_bytes()), Ok(kept));
}

prop_compose! {
    fn any_record()(
        id in prop::sample::select(EventId::ALL),
        severity in prop::sample::select(vec!["informational", "low", "medium", "high"]),
        times: (u64, u64),
        count: u64,
        texts: (String, String, String, String, String),
        status: Option<u16>,
        sequence: u64,
    ) -> Record {
        let mut event = SecurityEvent::new(id, Time::from_unix_us(times.0).into());
        event.last = Time::from_unix_us(times.1).into();
        event.severity = severity_of(severity).unwrap();
        event.count = count;
        event.status = status;
        event.topic = Some(texts.0.into());
        event.detail("error", texts.1);
        let origin = Origin::new(&texts.2, &texts.3, &texts.4);
        Record::from(&event).with_origin(origin.numbered(sequence))
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(record in any_record()) {
        let json = record.to_json().unwrap();
        let ends_a_line = json.bytes().any(|octet| octet < b' ');
        prop_assert!(!ends_a_line, "{}", json);
        prop_assert_eq!(Record::from_json(json.as_bytes()), Ok(record));
    }

    #[test]
    fn one_octet_changed_is_another_record_or_none(record in any_record(), at: usize, bit in 0..8_u8) {
        let mut json = record.to_json().unwrap().into_bytes();
        let at = at % json.len();
        json[at] ^= 1_u8 << bit;
        prop_assert_ne!(Record::from_json(&json), Ok(record));
    }

    #[test]
    fn no_octets_are_a_panic(octets: Vec<u8>) {
        let _ = Record::from_json(&octets);
    }
}
