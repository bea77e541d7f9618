//! The file format, version 1: TOML in, a valid [`Policy`] or the first mistake out.

mod draft;
mod settings;
mod tables;

use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use toml::Spanned;

use self::draft::Draft;
use self::tables::{FileTable, Header, Table};
use crate::error::{PolicyError, Problem};
use crate::policy::Policy;

/// The largest file that is looked at.
pub(crate) const MAX_OCTETS: usize = 1 << 20;

/// Reads a file's octets.
pub(crate) fn parse_octets(octets: &[u8], name: &str) -> Result<Policy, PolicyError> {
    let text = std::str::from_utf8(octets).map_err(|error| {
        let before = octets.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        PolicyError::new(name, Some(line), Problem::NotUtf8)
    })?;
    parse(text, name)
}

/// Reads a file's text.
pub(crate) fn parse(text: &str, name: &str) -> Result<Policy, PolicyError> {
    if text.len() > MAX_OCTETS {
        return Err(PolicyError::new(name, None, Problem::TooLarge));
    }
    let text = Text::new(name, text);
    text.check_version()?;
    let table: FileTable = text.read()?;
    let mut identities: Vec<_> = table.identities.unwrap_or_default().into_iter().collect();
    if identities.is_empty() {
        return Err(PolicyError::new(name, None, Problem::NoIdentity));
    }
    // In the file's order, so that the first mistake is the first that a reader meets.
    identities.sort_by_key(|(name, _)| name.span().start);
    let max_session_age = text.duration("max_session_age", table.max_session_age)?;
    let digest = Sha256::digest(text.text).into();
    let mut draft = Draft::new(text, max_session_age);
    for (name, Table(table)) in identities {
        draft.add(&name, table)?;
    }
    Ok(draft.finish(digest))
}

/// The text, and where its lines end.
struct Text<'a> {
    name: &'a str,
    text: &'a str,
    newlines: Vec<usize>,
}

impl<'a> Text<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Self {
            name,
            text,
            newlines,
        }
    }

    /// Looks at the version alone, before anything that another version may have changed.
    fn check_version(&self) -> Result<(), PolicyError> {
        let Header { version } = self.read()?;
        let version =
            version.ok_or_else(|| PolicyError::new(self.name, Some(1), Problem::VersionMissing))?;
        match version.get_ref() {
            toml::Value::Integer(1) => Ok(()),
            _ => Err(self.error(&version, Problem::VersionUnknown)),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, PolicyError> {
        // The error of the parser holds the whole text, so it goes no further than this.
        toml::from_str(self.text).map_err(|error| {
            let line = error.span().map(|span| self.line(span.start));
            let words = tables::words(error.message());
            PolicyError::new(self.name, line, Problem::Toml(words))
        })
    }

    /// The line of an octet, the first line being 1.
    fn line(&self, offset: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < offset)
    }

    fn line_of<T>(&self, item: &Spanned<T>) -> usize {
        self.line(item.span().start)
    }

    fn error<T>(&self, at: &Spanned<T>, problem: Problem) -> PolicyError {
        PolicyError::new(self.name, Some(self.line_of(at)), problem)
    }
}
