//! The file's tables as serde reads them; nothing is believed of them yet.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::value::Datetime;

/// Characters of the parser's words that are shown: an unknown name can be as long as the file.
const MAX_WORDS: usize = 300;

/// A list that may be left out.
pub(super) type List<T> = Option<Spanned<Vec<Spanned<T>>>>;

/// The one field that every version has.
#[derive(serde::Deserialize)]
pub(super) struct Header {
    pub(super) version: Option<Spanned<toml::Value>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTable {
    /// Looked at before, in [`Header`]; named here so that it is not an unknown field.
    #[serde(rename = "version")]
    _version: de::IgnoredAny,
    pub(super) max_session_age: Option<Spanned<String>>,
    pub(super) identities: Option<BTreeMap<Spanned<String>, Table<IdentityTable>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityTable {
    pub(super) curve: List<KeyEntry>,
    pub(super) sign: List<KeyEntry>,
    pub(super) plain: List<Table<PlainTable>>,
    pub(super) domains: Option<Spanned<ScopeValue>>,
    pub(super) publish: Option<Spanned<ScopeValue>>,
    pub(super) subscribe: Option<Spanned<ScopeValue>>,
    pub(super) routing_ids: Option<Spanned<ScopeValue>>,
    pub(super) sources: List<String>,
    pub(super) endpoints: List<String>,
    pub(super) patterns: List<String>,
    pub(super) max_message: Option<Spanned<SizeValue>>,
    pub(super) rate: Option<Spanned<i64>>,
    pub(super) max_session_age: Option<Spanned<String>>,
    pub(super) relay: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlainTable {
    pub(super) username: Spanned<String>,
    pub(super) password_hash: Option<Spanned<String>>,
    /// What it is does not matter: it must not be there, and the reader is told what must.
    pub(super) password: Option<Spanned<de::IgnoredAny>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) key: Spanned<String>,
    pub(super) not_before: Option<Spanned<Datetime>>,
    pub(super) not_after: Option<Spanned<Datetime>>,
}

/// A table with names. What serde derives reads a list as well, by position, in which a value
/// could slip from one setting into another.
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
    type Value = Table<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Table<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Table)
    }
}

/// A key, or a table of a key and when it counts.
pub(super) enum KeyEntry {
    Bare(String),
    Dated(Table<KeyTable>),
}

impl<'de> Deserialize<'de> for KeyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = KeyEntry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, or a table { key = \"...\", not_before = ..., not_after = ... }")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<KeyEntry, E> {
        Ok(KeyEntry::Bare(key.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<KeyEntry, A::Error> {
        Table::deserialize(MapAccessDeserializer::new(entries)).map(KeyEntry::Dated)
    }
}

/// A number of octets, or a text with a unit.
pub(super) enum SizeValue {
    Octets(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for SizeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = SizeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of octets, or a text as in \"4 MiB\"")
    }

    fn visit_i64<E: de::Error>(self, octets: i64) -> Result<SizeValue, E> {
        Ok(SizeValue::Octets(octets))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SizeValue, E> {
        Ok(SizeValue::Text(text.to_owned()))
    }
}

/// A list, or a word: which word, the caller checks, who knows the line.
pub(super) enum ScopeValue {
    Word(String),
    List(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for ScopeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScopeVisitor)
    }
}

struct ScopeVisitor;

impl<'de> Visitor<'de> for ScopeVisitor {
    type Value = ScopeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list in [brackets] or the word \"everything\"")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ScopeValue, E> {
        Ok(ScopeValue::Word(word.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<ScopeValue, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(ScopeValue::List(list))
    }
}

/// The parser's words as one line, without the value that it found: that may be a password.
pub(super) fn words(message: &str) -> String {
    let message = match message.rsplit_once(", expected ") {
        _ if message == "duplicate key" => {
            "the same name stands here already: remove one of the two".to_owned()
        }
        Some((found, expected)) if is_about_a_value(found) => {
            format!("wrong kind of value: expected {expected}")
        }
        None if is_about_a_value(message) => "wrong kind of value".to_owned(),
        _ => message.to_owned(),
    };
    let message = message.replace("a sequence", "a list in [brackets]");
    let shown = message.chars().take(MAX_WORDS);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// As serde words it: `invalid type: string "…"`.
fn is_about_a_value(message: &str) -> bool {
    message.starts_with("invalid ") && message.contains(": ")
}
