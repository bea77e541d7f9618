//! RFC 5424 syslog.

use std::fmt::Write as _;

use curvelink_proto::Severity;

use super::text::{push_escaped, summary, token};
use crate::record::Record;

/// The facility: security and authorization messages (`authpriv`).
const AUTHPRIV: u8 = 10;

/// The name of the element: the number of private enterprises that documents may use, until the
/// project has one of its own.
const ELEMENT: &str = "curvelink@32473";

/// The record as a syslog message (RFC 5424): facility 10, the id as MSGID, everything else in one
/// element of structured data, then a few words for a human.
///
/// One line without its end, in UTF-8; the words are ASCII and have no byte order mark. It is a
/// datagram, a frame of a message, or with [`octet_counted`] a part of a stream. TIMESTAMP is when
/// the last happened. Characters that are not visible are written as escapes, with a backslash
/// that is escaped in turn.
#[must_use]
pub fn syslog(record: &Record) -> String {
    let origin = record.origin();
    let or_none = |name: String| if name.is_empty() { "-".into() } else { name };
    let mut line = format!(
        "<{}>1 {} {} curvelink - {} [{ELEMENT}",
        AUTHPRIV * 8 + level(record.severity()),
        record.last(),
        or_none(token(origin.host(), 255)),
        record.id(),
    );
    push(&mut line, "name", record.name());
    push(&mut line, "severity", record.severity().name());
    push(&mut line, "first", &record.first().to_string());
    push(&mut line, "count", &record.count().to_string());
    push(&mut line, "boot", origin.boot());
    push(&mut line, "program", origin.program());
    push(&mut line, "sequence", &origin.sequence().to_string());
    for (name, value) in record.fields() {
        push(&mut line, name, &value.to_string());
    }
    let _ = write!(line, "] {}", summary(record));
    line
}

/// A message as a part of a stream: its length before it (RFC 6587, RFC 5425).
///
/// ```
/// # use curvelink_audit::format::octet_counted;
/// assert_eq!(octet_counted("<86>1 - - - - - -"), "17 <86>1 - - - - - -");
/// ```
#[must_use]
pub fn octet_counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// The level of syslog, which the journal uses too.
pub(super) const fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 6,
        Severity::Low => 5,
        Severity::Medium => 4,
        Severity::High => 3,
    }
}

fn push(line: &mut String, name: &str, value: &str) {
    let _ = write!(line, " {name}=\"");
    push_escaped(line, value, &['"', '\\', ']']);
    line.push('"');
}
