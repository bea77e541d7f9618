//! The file's tables as serde reads them; nothing is believed of them yet.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use toml::Spanned;
use zeroize::Zeroizing;

/// The one field that every version has.
#[derive(serde::Deserialize)]
pub(super) struct Header {
    pub(super) version: Option<Spanned<toml::Value>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct FileTable {
    /// Looked at before, in [`Header`]; named here so that it is not an unknown field.
    #[serde(rename = "version")]
    _version: de::IgnoredAny,
    pub(super) identities: Option<BTreeMap<Spanned<String>, IdentityTable>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct IdentityTable {
    pub(super) curve: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) sign: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) plain: Option<Spanned<Vec<Spanned<PlainTable>>>>,
    pub(super) domains: Option<Spanned<ScopeValue>>,
    pub(super) publish: Option<Spanned<ScopeValue>>,
    pub(super) subscribe: Option<Spanned<ScopeValue>>,
    pub(super) relay: Option<bool>,
}

#[derive(serde::Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table { username = \"…\", password = \"…\" }"
)]
pub(super) struct PlainTable {
    pub(super) username: Spanned<String>,
    pub(super) password: Spanned<Secret>,
}

/// A string that is wiped. (The parser's own copies of the text are not ours to wipe.)
pub(super) struct Secret(Zeroizing<String>);

impl Secret {
    pub(super) fn expose_octets(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
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
        Some((found, expected)) if found.starts_with("invalid ") && found.contains(": ") => {
            format!("wrong kind of value: expected {expected}")
        }
        None if message.starts_with("invalid ") && message.contains(": ") => {
            "wrong kind of value".to_owned()
        }
        _ => message.to_owned(),
    };
    let message = message.replace("a sequence", "a list in [brackets]");
    message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
