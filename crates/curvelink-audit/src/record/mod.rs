//! `Record`: an event as the journal keeps it, one JSON object in its one canonical form.

mod json;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use curvelink_proto::{EventId, SecurityEvent, Severity};
use sha2::{Digest as _, Sha256};

pub use self::json::RecordError;
pub use self::value::Value;
use crate::time::Time;

/// An event of the catalogue as it is kept: who recorded it, and every field that it has.
///
/// Its JSON is canonical (RFC 8785: keys in order, no white space, one way to write each text), so
/// a record is one sequence of octets and no other:
///
/// | key | value |
/// |---|---|
/// | `boot`, `host`, `program`, `sequence` | the [`Origin`] |
/// | `id`, `name` | those of the catalogue: `CL` and four digits, and the word |
/// | `severity` | `informational`, `low`, `medium` or `high` |
/// | `first`, `last` | when: UTC with microseconds ([`Time`]) |
/// | `count` | how often, at least 1 |
/// | `fields` | the fields of the catalogue that the event has, by name |
///
/// Every key is there, and there will be no others; what later versions have to say goes into
/// `fields`. Each of those is a text or an integer below 2^53, and has a name of at most 32
/// lower-case letters, digits and underscores that is none of the keys. A reader keeps fields and ids that it does not know, and can
/// show them; so an entry outlives the version that wrote it.
///
/// ```
/// # use curvelink_audit::{Record, Origin};
/// # use curvelink_proto::{EventId, SecurityEvent};
/// # use std::time::UNIX_EPOCH;
/// let mut event = SecurityEvent::new(EventId::NotSaved, UNIX_EPOCH);
/// event.detail("error", "disk full");
/// let origin = Origin::new("hub.example", "8d3c", "curvelink 0.1.0");
/// let record = Record::from(&event).with_origin(origin.numbered(7));
/// assert_eq!(
///     record.to_json().unwrap(),
///     r#"{"boot":"8d3c","count":1,"fields":{"error":"disk full"},"first":"1970-01-01T00:00:00.000000Z","host":"hub.example","id":"CL3006","last":"1970-01-01T00:00:00.000000Z","name":"state-not-saved","program":"curvelink 0.1.0","sequence":7,"severity":"high"}"#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    id: String,
    name: String,
    severity: Severity,
    first: Time,
    last: Time,
    count: u64,
    origin: Origin,
    fields: BTreeMap<String, Value>,
}

impl Record {
    /// The longest JSON, in octets: what an entry bundle of a tiled log can say the length of.
    pub const MAX: usize = curvelink_tlog::tile::MAX_ENTRY;

    /// The id: `CL` and four digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The entry of the catalogue, where this version knows the id.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        let mut known = EventId::ALL.iter().copied();
        known.find(|id| id.code() == self.id)
    }

    /// The name of the entry, as the version that recorded it called it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// When it happened: the first, where it is several.
    #[must_use]
    pub const fn first(&self) -> Time {
        self.first
    }

    /// When the last happened.
    #[must_use]
    pub const fn last(&self) -> Time {
        self.last
    }

    /// How often, at least 1.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Who recorded it.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The same record with another origin.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// A field of the catalogue's, by its name there; a text where the log would show a text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// All fields, in the order of their names.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (name.as_str(), value))
    }

    /// The canonical JSON: one line without its end.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLong`] beyond [`MAX`](Self::MAX); see [`abridged`](Self::abridged).
    pub fn to_json(&self) -> Result<String, RecordError> {
        let json = json::encode(self);
        if json.len() > Self::MAX {
            return Err(RecordError::TooLong { octets: json.len() });
        }
        Ok(json)
    }

    /// Reads the canonical JSON, and nothing else.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when it is longer than [`MAX`](Self::MAX), no record, or not in the form
    /// that [`to_json`](Self::to_json) gives.
    pub fn from_json(json: &[u8]) -> Result<Self, RecordError> {
        if json.len() > Self::MAX {
            return Err(RecordError::TooLong { octets: json.len() });
        }
        let record = json::decode(json)?;
        if json::encode(&record).as_bytes() != json {
            return Err(RecordError::NotCanonical);
        }
        Ok(record)
    }

    /// What is kept of a record whose JSON is too long: the same event, its fields replaced by
    /// `record_digest`, the SHA-256 of that JSON, and `record_octets`, its length.
    ///
    /// Its own JSON is below 8 KiB.
    #[must_use]
    pub fn abridged(&self) -> Self {
        let json = json::encode(self);
        let digest: String = Sha256::digest(&json)
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let octets = Value::Number(json.len() as u64);
        let fields = [
            ("record_digest".to_owned(), Value::Text(digest)),
            ("record_octets".to_owned(), octets),
        ];
        Self {
            fields: fields.into(),
            ..self.clone()
        }
    }
}

/// Has the origin of nobody: see [`Record::with_origin`].
impl From<&SecurityEvent> for Record {
    fn from(event: &SecurityEvent) -> Self {
        let fields = event.fields().into_iter();
        // It has a key of its own.
        let fields = fields.filter(|(name, _)| *name != "count");
        Self {
            id: event.id.code().to_owned(),
            name: event.id.name().to_owned(),
            severity: event.severity,
            first: event.first.into(),
            last: event.last.into(),
            count: event.count.clamp(1, Value::MAX),
            origin: Origin::default(),
            fields: fields
                .map(|(name, text)| (plain_name(name), Value::of(name, text)))
                .collect(),
        }
    }
}

/// What a field is called: other characters than those of the catalogue become underscores.
fn plain_name(name: &str) -> String {
    let plain = |c: char| if is_plain(c) { c } else { '_' };
    let mut name: String = name.chars().take(NAME_MAX).map(plain).collect();
    if name.is_empty() || TAKEN.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

/// The longest name of a parameter of syslog's.
const NAME_MAX: usize = 32;

/// The names of what every record has: no field is called so, and formats without depth can have
/// all side by side.
const TAKEN: &[&str] = &[
    "boot", "count", "fields", "first", "host", "id", "last", "name", "program", "sequence",
    "severity",
];

const fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// Who records: the same for all records of one run, but for the number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    host: String,
    boot: String,
    program: String,
    sequence: u64,
}

impl Origin {
    /// The longest of its texts, in octets; what is longer is cut.
    pub const MAX: usize = 255;

    /// The name of the host, the id of its boot (Linux: `/proc/sys/kernel/random/boot_id`), and
    /// name and version of the program; the number 0.
    #[must_use]
    pub fn new(host: &str, boot: &str, program: &str) -> Self {
        let cut = |text: &str| {
            let mut short = text.to_owned();
            while short.len() > Self::MAX {
                short.pop();
            }
            short
        };
        Self {
            host: cut(host),
            boot: cut(boot),
            program: cut(program),
            sequence: 0,
        }
    }

    /// The same with another number: records of one boot, host and program have ever larger ones.
    #[must_use]
    pub fn numbered(&self, sequence: u64) -> Self {
        Self {
            sequence: sequence.min(Value::MAX),
            ..self.clone()
        }
    }

    /// The name of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Which boot of the host.
    #[must_use]
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Name and version of the program.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The number of the record.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}
