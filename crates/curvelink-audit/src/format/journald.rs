//! The native protocol of the systemd journal.

use std::io;
use std::os::unix::net::UnixDatagram;

use curvelink_proto::EventId;

use super::syslog::level;
use super::text::summary;
use crate::record::Record;

/// Where the journal of the host listens.
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// The record as fields of the journal: MESSAGE, MESSAGE_ID, PRIORITY, the fields of syslog, and
/// `CURVELINK_` with each name of the record.
///
/// A value with control characters is written with its length before it, so it holds any octets
/// and can end no field.
#[must_use]
pub fn journald(record: &Record) -> Vec<u8> {
    let mut entry = Vec::with_capacity(1024);
    let origin = record.origin();
    push(&mut entry, "MESSAGE", &summary(record));
    if let Some(id) = record.event().and_then(message_id) {
        push(&mut entry, "MESSAGE_ID", id);
    }
    push(
        &mut entry,
        "PRIORITY",
        &level(record.severity()).to_string(),
    );
    push(&mut entry, "SYSLOG_FACILITY", "10");
    push(&mut entry, "SYSLOG_IDENTIFIER", "curvelink");
    for (name, value) in [
        ("id", record.id()),
        ("name", record.name()),
        ("severity", record.severity().name()),
        ("first", &record.first().to_string()),
        ("last", &record.last().to_string()),
        ("count", &record.count().to_string()),
        ("host", origin.host()),
        ("boot", origin.boot()),
        ("program", origin.program()),
        ("sequence", &origin.sequence().to_string()),
    ] {
        push_own(&mut entry, name, value);
    }
    for (name, value) in record.fields() {
        push_own(&mut entry, name, &value.to_string());
    }
    entry
}

/// Sends the record to a journal: to the host's where the socket was connected to
/// [`JOURNAL_SOCKET`].
///
/// One datagram; blocks while the journal's queue is full, unless the socket is non-blocking.
///
/// # Errors
///
/// What the operating system says: nobody listens, or the record is larger than a datagram may be
/// (about 200 KiB on Linux, where a record has at most 64).
pub fn send_to_journald(socket: &UnixDatagram, record: &Record) -> io::Result<()> {
    socket.send(&journald(record)).map(drop)
}

fn push_own(entry: &mut Vec<u8>, name: &str, value: &str) {
    let name = format!("CURVELINK_{}", name.to_ascii_uppercase());
    push(entry, &name, value);
}

fn push(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.bytes().any(|octet| octet < b' ') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// The MESSAGE_ID of an event: 32 hexadecimal digits that never change, for `journalctl
/// MESSAGE_ID=` and catalogues of messages; none for an event of a later version.
#[must_use]
pub fn message_id(event: EventId) -> Option<&'static str> {
    let mut known = MESSAGE_IDS.iter();
    let (_, id) = known.find(|(code, _)| *code == event.code())?;
    Some(id)
}

/// Made at random once (UUID version 4).
const MESSAGE_IDS: &[(&str, &str)] = &[
    ("CL1001", "587b824cfc004e30b987d37d47fbacea"),
    ("CL1002", "f74b04ae936c452585befec10f83a63f"),
    ("CL1003", "c72f05832c7449138cc11ce5cd8939c5"),
    ("CL1004", "a83bbdbb1c0a4303a45309034edb8aa8"),
    ("CL1005", "25b94b23066041ef89c65b0dfe126567"),
    ("CL1010", "1bb157409d464635ab2e23ead01c1131"),
    ("CL1020", "1afbbf0d4e0e4551938e219db4f22ffb"),
    ("CL1021", "c2a86231e51a4b5f9f2f5a277dcfea6a"),
    ("CL2001", "636afb186a7d49ba9568e402990f7e74"),
    ("CL2002", "4d611311ba644197947a4f34bb9f4602"),
    ("CL2003", "19ea679b2a2a4a92af6b147a8530ef84"),
    ("CL2004", "eb061dd2339a4d5cb0987351a12b2206"),
    ("CL2005", "a7161e467fd9425483a5ba9fad304894"),
    ("CL3001", "416035fe3cb0486282ef870e1fd9a68f"),
    ("CL3002", "24984810485c4ac5aa2fc55e3f77d6c1"),
    ("CL3003", "27fda05a33aa4d0dbc479bba66fff9c0"),
    ("CL3004", "4ae64f87e8bc49e6b8e51cc68e8379e4"),
    ("CL3005", "7b1c727e77e74b0fbd8df81cb873bfcd"),
    ("CL3006", "f6c8b31f5d9549bca907a1cbe27b6408"),
    ("CL3007", "e755297efadd4a2b93c618e1e766db9e"),
    ("CL3008", "44a87dba3f6c42919306b3415da718b3"),
    ("CL3009", "b58ea4592bd04095b2ac8e5cca514caa"),
    ("CL3010", "c57e69e8b1924a288ccddad0dd9e51b7"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_has_an_id_of_its_own() {
        let ids: BTreeSet<_> = EventId::ALL
            .iter()
            .filter_map(|id| message_id(*id))
            .collect();
        assert_eq!(
            (ids.len(), MESSAGE_IDS.len()),
            (EventId::ALL.len(), ids.len())
        );
        let is_hex = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        assert!(
            ids.iter()
                .all(|id| id.len() == 32 && id.bytes().all(is_hex))
        );
    }
}
