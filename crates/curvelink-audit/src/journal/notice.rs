//! Entries that the journal writes about itself: CL3004 of the catalogue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use curvelink_proto::{EventId, SecurityEvent};

use super::encrypt::OVERHEAD;
use crate::{Origin, Record, Value};

/// Something befell the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It was made, with this anchor.
    Created { key: String },
    /// An epoch begins after this entry, with this key.
    Epoch { epoch: u64, key: String },
    /// Entries below an index are let go after this entry.
    Pruned { index: u64 },
    /// Octets that were no whole entry stood after this many entries, and were put aside.
    Recovered { octets: u64, index: u64 },
    /// So many entries could not be written.
    Lost { lost: u64 },
    /// What follows is encrypted with this data key.
    DataKey { key: String },
}

impl Notice {
    const fn action(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Epoch { .. } => "epoch",
            Self::Pruned { .. } => "pruned",
            Self::Recovered { .. } => "recovered",
            Self::Lost { .. } => "lost",
            Self::DataKey { .. } => "data-key",
        }
    }

    fn event(self, now: SystemTime) -> SecurityEvent {
        let mut event = SecurityEvent::new(EventId::Journal, now);
        event.action = Some(self.action());
        let mut number = |name, value: u64| event.detail(name, value.to_string());
        match self {
            Self::Pruned { index } => number("index", index),
            Self::Lost { lost } => number("lost", lost),
            Self::Recovered { octets, index } => {
                number("octets", octets);
                number("index", index);
            }
            Self::Epoch { epoch, key } => {
                number("epoch", epoch);
                event.detail("key", key);
            }
            Self::Created { key } | Self::DataKey { key } => event.detail("key", key),
        }
        event
    }

    /// The notice in an entry, if it is one. Costs a look at the octets where it is none.
    pub(crate) fn read(entry: &[u8]) -> Option<Self> {
        // Within a text the quotes would be escaped; a field called `id` is told by the parser.
        const MARK: &[u8] = br#""id":"CL3004""#;
        if !entry.windows(MARK.len()).any(|it| it == MARK) {
            return None;
        }
        let record = Record::from_json(entry).ok()?;
        if !is_reserved(&record) {
            return None;
        }
        let text = |name| record.field(name).and_then(Value::as_text);
        let number = |name| record.field(name).and_then(Value::as_number);
        let key = || text("key").map(str::to_owned);
        match text("action")? {
            "created" => Some(Self::Created { key: key()? }),
            "epoch" => Some(Self::Epoch {
                epoch: number("epoch")?,
                key: key()?,
            }),
            "pruned" => Some(Self::Pruned {
                index: number("index")?,
            }),
            "recovered" => Some(Self::Recovered {
                octets: number("octets")?,
                index: number("index")?,
            }),
            "lost" => Some(Self::Lost {
                lost: number("lost")?,
            }),
            "data-key" => Some(Self::DataKey { key: key()? }),
            _ => None,
        }
    }
}

/// Whether a record is of the kind that only the journal writes.
pub(crate) fn is_reserved(record: &Record) -> bool {
    record.event() == Some(EventId::Journal)
}

/// Says of records where they were made, and numbers them.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    origin: Origin,
    next: Arc<AtomicU64>,
    /// The longest entry.
    longest: usize,
}

impl Stamp {
    pub(crate) fn new(origin: Origin, is_encrypted: bool) -> Self {
        let overhead = if is_encrypted { OVERHEAD } else { 0 };
        Self {
            origin,
            // 0 is the number of what is no entry.
            next: Arc::new(AtomicU64::new(1)),
            longest: Record::MAX - overhead,
        }
    }

    /// The record with where it was made and the next number, unless it says so already.
    pub(crate) fn on(&self, record: Record) -> Record {
        if *record.origin() == Origin::default() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            record.with_origin(self.origin.clone().numbered(number))
        } else {
            record
        }
    }

    /// The octets of a record that is stamped. Of one that is too long, its digest is kept.
    pub(crate) fn entry(&self, record: Record) -> Vec<u8> {
        let record = self.on(record);
        let json = record
            .to_json()
            .ok()
            .filter(|json| json.len() <= self.longest);
        let json = json.map_or_else(|| record.abridged().to_json(), Ok);
        json.unwrap_or_default().into_bytes()
    }

    /// What the journal writes about itself, to be written as it is.
    pub(crate) fn notice(&self, notice: Notice, now: SystemTime) -> Record {
        self.on(Record::from(&notice.event(now)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_notice_is_read_as_it_was_written() {
        let stamp = Stamp::new(Origin::new("h", "b", "p"), false);
        let key = "a+1+b".to_owned();
        for notice in [
            Notice::Created { key: key.clone() },
            Notice::Epoch {
                epoch: 3,
                key: key.clone(),
            },
            Notice::Pruned { index: 512 },
            Notice::Recovered {
                octets: 7,
                index: 9,
            },
            Notice::Lost { lost: 4 },
            Notice::DataKey { key },
        ] {
            let record = stamp.notice(notice.clone(), UNIX_EPOCH);
            assert_eq!(Notice::read(&stamp.entry(record)), Some(notice));
        }
    }

    #[test]
    fn what_peers_chose_makes_no_notice() {
        let stamp = Stamp::new(Origin::default(), false);
        let mut event = SecurityEvent::new(EventId::Refused, UNIX_EPOCH);
        event.identity = Some(r#""id":"CL3004""#.into());
        event.detail("id", "CL3004");
        event.detail("action", "epoch");
        event.detail("epoch", "1");
        event.detail("key", "k");
        let entry = stamp.entry(Record::from(&event));
        assert_eq!(Notice::read(&entry), None);
        // A field of that name, wherever it may come from.
        let json = String::from_utf8(entry).unwrap();
        let field = r#""fields":{"id":"CL3004","#;
        let json = json.replacen(r#""fields":{"#, field, 1);
        assert_eq!(Notice::read(json.as_bytes()), None);
        assert_eq!(Notice::read(br#"{"id":"CL3004","action":"epoch"}"#), None);
    }
}
