//! Records as SIEMs read them: each format is a pure function of a [`Record`].
//!
//! Every field of a record is in every format: where the format has a place for it there, else
//! under its own name. No value can end a line, a field or an element, whatever a peer chose.

mod cef;
mod ecs;
mod fields;
mod journald;
mod ocsf;
mod outcome;
mod syslog;
mod text;

use std::fmt;
use std::str::FromStr;

pub use self::cef::cef;
pub use self::ecs::ecs;
pub use self::journald::{JOURNAL_SOCKET, journald, message_id, send_to_journald};
pub use self::ocsf::ocsf;
pub use self::syslog::{octet_counted, syslog};
use crate::record::Record;

/// A format that a record can be written in.
///
/// ```
/// # use curvelink_audit::format::Format;
/// assert_eq!("ocsf".parse(), Ok(Format::Ocsf));
/// assert_eq!(Format::Syslog.to_string(), "syslog");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The record's own canonical JSON.
    Json,
    /// [OCSF](ocsf()) 1.5.0, JSON.
    Ocsf,
    /// [RFC 5424](syslog()).
    Syslog,
    /// [ArcSight's Common Event Format](cef()).
    Cef,
    /// [Elastic Common Schema](ecs()), JSON.
    Ecs,
    /// [Fields of the systemd journal](journald()).
    Journald,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::Ocsf,
        Self::Syslog,
        Self::Cef,
        Self::Ecs,
        Self::Journald,
    ];

    /// One word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ocsf => "ocsf",
            Self::Syslog => "syslog",
            Self::Cef => "cef",
            Self::Ecs => "ecs",
            Self::Journald => "journald",
        }
    }

    /// The record for a file or a pipe with many of them: one line with its end; of journald the
    /// fields and an empty line, as `systemd-journal-remote` reads them.
    ///
    /// A record whose own JSON would be too long is [abridged](Record::abridged) in that.
    #[must_use]
    pub fn entry(self, record: &Record) -> Vec<u8> {
        let mut entry = match self {
            Self::Json => record
                .to_json()
                .or_else(|_| record.abridged().to_json())
                .unwrap_or_default()
                .into_bytes(),
            Self::Ocsf => ocsf(record).into_bytes(),
            Self::Syslog => syslog(record).into_bytes(),
            Self::Cef => cef(record).into_bytes(),
            Self::Ecs => ecs(record).into_bytes(),
            Self::Journald => journald(record),
        };
        entry.push(b'\n');
        entry
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No format has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such format: json, ocsf, syslog, cef, ecs and journald are known")]
#[non_exhaustive]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let mut all = Self::ALL.iter().copied();
        all.find(|format| format.name() == name)
            .ok_or(UnknownFormat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_name_and_no_other() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(*format));
            let listed = UnknownFormat.to_string();
            assert!(listed.contains(format.name()), "{listed}");
        }
        for name in ["", "OCSF", "ocsf ", "xml"] {
            assert_eq!(name.parse::<Format>(), Err(UnknownFormat), "{name}");
        }
    }
}
