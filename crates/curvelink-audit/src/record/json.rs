//! The JSON of a record, written and read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use curvelink_proto::Severity;
use serde::{Deserialize, Serialize};

use super::{NAME_MAX, Origin, Record, TAKEN, Value, is_plain};

pub(super) fn encode(record: &Record) -> String {
    // Neither a map with keys that are no text nor a failing `Serialize` is in it.
    serde_json::to_string(&Shape::of(record)).unwrap_or_default()
}

pub(super) fn decode(json: &[u8]) -> Result<Record, RecordError> {
    let shape: Shape<'_> = serde_json::from_slice(json).map_err(|error| {
        // What serde says may hold octets of the entry.
        RecordError::Malformed {
            column: error.column(),
        }
    })?;
    shape.checked().ok_or(RecordError::Value)
}

/// Why octets are no record, or a record no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The JSON is longer than [`Record::MAX`].
    #[error(
        "a record of {octets} octets: at most 65535 fit into an entry, keep its digest instead"
    )]
    TooLong {
        /// How long it is.
        octets: usize,
    },
    /// No JSON object with the keys and types of a record.
    #[error("no record: not its JSON at column {column}")]
    Malformed {
        /// Where it is wrong, from 1; 0 where the whole is.
        column: usize,
    },
    /// A value that a record cannot have.
    #[error("no record: an id, name, time, count or field is not as records have them")]
    Value,
    /// Keys twice or out of order, white space, another way to write a text.
    #[error("no record: its JSON is not in the canonical form of RFC 8785")]
    NotCanonical,
}

/// The JSON, its keys in the order of RFC 8785.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape<'a> {
    boot: Cow<'a, str>,
    count: u64,
    fields: Cow<'a, BTreeMap<String, Value>>,
    first: Cow<'a, str>,
    host: Cow<'a, str>,
    id: Cow<'a, str>,
    last: Cow<'a, str>,
    name: Cow<'a, str>,
    program: Cow<'a, str>,
    sequence: u64,
    severity: Cow<'a, str>,
}

impl<'a> Shape<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            boot: Cow::Borrowed(&record.origin.boot),
            count: record.count,
            fields: Cow::Borrowed(&record.fields),
            first: record.first.to_string().into(),
            host: Cow::Borrowed(&record.origin.host),
            id: Cow::Borrowed(&record.id),
            last: record.last.to_string().into(),
            name: Cow::Borrowed(&record.name),
            program: Cow::Borrowed(&record.origin.program),
            sequence: record.origin.sequence,
            severity: record.severity.name().into(),
        }
    }

    fn checked(self) -> Option<Record> {
        let digits = self.id.strip_prefix("CL")?;
        let is_id = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let is_number = |number: u64| number <= Value::MAX;
        let is_name = |name: &str, more: &str| {
            let is_plain = |c: char| is_plain(c) || more.contains(c);
            (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_plain)
        };
        let origin = [&self.boot, &self.host, &self.program];
        let is_sound = is_id
            && is_name(&self.name, "-")
            && self
                .fields
                .keys()
                .all(|name| is_name(name, "") && !TAKEN.contains(&&name[..]))
            && self.count > 0
            && is_number(self.count)
            && is_number(self.sequence)
            && origin.iter().all(|text| text.len() <= Origin::MAX);
        is_sound.then_some(())?;
        Some(Record {
            severity: severity(&self.severity)?,
            first: self.first.parse().ok()?,
            last: self.last.parse().ok()?,
            id: self.id.into_owned(),
            name: self.name.into_owned(),
            count: self.count,
            origin: Origin {
                host: self.host.into_owned(),
                boot: self.boot.into_owned(),
                program: self.program.into_owned(),
                sequence: self.sequence,
            },
            fields: self.fields.into_owned(),
        })
    }
}

pub(super) fn severity(name: &str) -> Option<Severity> {
    let all = [
        Severity::Informational,
        Severity::Low,
        Severity::Medium,
        Severity::High,
    ];
    all.into_iter().find(|severity| severity.name() == name)
}
