//! One setting each: what serde read, checked, with the line on which it stands.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use curvelink_proto::{Endpoint, SocketType};
use toml::Spanned;
use toml::value::Datetime;

use super::Text;
use super::tables::{List, ScopeValue, SizeValue};
use crate::error::{PolicyError, Problem};
use crate::identity::{Grant, Limit, Scope};
use crate::source::Source;
use crate::{endpoint, unit};

const EVERYTHING: &str = "everything";

impl Text<'_> {
    /// What a list holds; one that was written holds something.
    pub(super) fn entries<T>(
        &self,
        setting: &'static str,
        list: List<T>,
    ) -> Result<Vec<Spanned<T>>, PolicyError> {
        match list {
            Some(list) if list.get_ref().is_empty() => {
                Err(self.error(&list, Problem::EmptyList(setting)))
            }
            list => Ok(list.map(Spanned::into_inner).unwrap_or_default()),
        }
    }

    pub(super) fn grant(
        &self,
        setting: &'static str,
        value: Option<Spanned<ScopeValue>>,
        line_of_identity: usize,
    ) -> Result<Grant, PolicyError> {
        let Some(value) = value else {
            return Ok(Grant {
                scope: Scope::Nothing,
                line: line_of_identity,
            });
        };
        let line = self.line_of(&value);
        let span = value.span();
        let scope = match value.into_inner() {
            ScopeValue::Word(word) if word == EVERYTHING => Scope::Everything,
            ScopeValue::Word(_) => {
                let problem = Problem::Word(setting);
                return Err(PolicyError::new(self.name, Some(line), problem));
            }
            ScopeValue::List(list) => {
                let entries = self.entries(setting, Some(Spanned::new(span, list)))?;
                Scope::Listed(self.listed(setting, entries)?)
            }
        };
        Ok(Grant { scope, line })
    }

    fn listed(
        &self,
        setting: &'static str,
        entries: Vec<Spanned<String>>,
    ) -> Result<Vec<String>, PolicyError> {
        let mut seen = HashSet::new();
        for entry in &entries {
            let text = entry.get_ref().as_str();
            let problem = if text.is_empty() || text.contains('*') {
                Problem::Wildcard(setting)
            } else if text == EVERYTHING {
                Problem::WordInList(setting)
            } else if text.len() > 255 || text.contains(char::is_control) || text.trim() != text {
                Problem::Entry(setting)
            } else if !seen.insert(text) {
                Problem::EntryTwice(setting)
            } else {
                continue;
            };
            return Err(self.error(entry, problem));
        }
        Ok(entries.into_iter().map(Spanned::into_inner).collect())
    }

    pub(super) fn sources(
        &self,
        list: List<String>,
    ) -> Result<Option<Limit<Vec<Source>>>, PolicyError> {
        self.limit("sources", list, Source::parse)
    }

    pub(super) fn endpoints(
        &self,
        list: List<String>,
    ) -> Result<Option<Limit<Vec<Endpoint>>>, PolicyError> {
        self.limit("endpoints", list, endpoint::parse)
    }

    pub(super) fn patterns(
        &self,
        list: List<String>,
    ) -> Result<Option<Limit<Vec<SocketType>>>, PolicyError> {
        self.limit("patterns", list, |name| {
            SocketType::from_name(name.as_bytes()).ok_or(Problem::Pattern)
        })
    }

    /// A list that narrows: of what, `parse` says.
    fn limit<T: PartialEq>(
        &self,
        setting: &'static str,
        list: List<String>,
        parse: fn(&str) -> Result<T, Problem>,
    ) -> Result<Option<Limit<Vec<T>>>, PolicyError> {
        let Some(line) = list.as_ref().map(|list| self.line_of(list)) else {
            return Ok(None);
        };
        let mut value = Vec::new();
        for entry in self.entries(setting, list)? {
            let read = parse(entry.get_ref()).map_err(|problem| self.error(&entry, problem))?;
            if value.contains(&read) {
                return Err(self.error(&entry, Problem::EntryTwice(setting)));
            }
            value.push(read);
        }
        Ok(Some(Limit { value, line }))
    }

    pub(super) fn size(
        &self,
        setting: &'static str,
        value: Option<Spanned<SizeValue>>,
    ) -> Result<Option<Limit<usize>>, PolicyError> {
        self.number(value, Problem::Size(setting), |size| match size {
            SizeValue::Octets(octets) => usize::try_from(*octets).ok().filter(|it| *it > 0),
            SizeValue::Text(text) => unit::size(text),
        })
    }

    pub(super) fn rate(
        &self,
        setting: &'static str,
        value: Option<Spanned<i64>>,
    ) -> Result<Option<Limit<NonZeroU32>>, PolicyError> {
        self.number(value, Problem::Rate(setting), |rate| {
            u32::try_from(*rate).ok().and_then(NonZeroU32::new)
        })
    }

    pub(super) fn duration(
        &self,
        setting: &'static str,
        value: Option<Spanned<String>>,
    ) -> Result<Option<Limit<Duration>>, PolicyError> {
        self.number(value, Problem::Duration(setting), |text| {
            unit::duration(text)
        })
    }

    fn number<T, N>(
        &self,
        value: Option<Spanned<T>>,
        problem: Problem,
        read: fn(&T) -> Option<N>,
    ) -> Result<Option<Limit<N>>, PolicyError> {
        let Some(value) = value else {
            return Ok(None);
        };
        let line = self.line_of(&value);
        match read(value.get_ref()) {
            Some(value) => Ok(Some(Limit { value, line })),
            None => Err(self.error(&value, problem)),
        }
    }

    /// When a key counts.
    pub(super) fn validity(
        &self,
        from: Option<Spanned<Datetime>>,
        to: Option<Spanned<Datetime>>,
    ) -> Result<(Option<SystemTime>, Option<SystemTime>), PolicyError> {
        let moment = |written: &Spanned<Datetime>| {
            unit::moment(written.get_ref()).map_err(|problem| self.error(written, problem))
        };
        let not_before = from.as_ref().map(moment).transpose()?;
        let not_after = to.as_ref().map(moment).transpose()?;
        match (not_before, not_after, &to) {
            (Some(before), Some(after), Some(written)) if before >= after => {
                Err(self.error(written, Problem::TimeOrder))
            }
            _ => Ok((not_before, not_after)),
        }
    }
}
