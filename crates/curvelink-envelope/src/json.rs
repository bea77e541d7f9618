//! A check that serde does not make: no key stands twice in one JSON object, at any depth.
//!
//! Of two values under one key, one program reads the first and another the second: a statement
//! must not mean two things.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Whether `octets` are one JSON value, UTF-8, at most 128 levels deep, without a repeated key.
pub(crate) fn is_unambiguous(octets: &[u8]) -> bool {
    serde_json::from_slice::<Unambiguous>(octets).is_ok()
}

struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

struct Walk;

impl<'de> Visitor<'de> for Walk {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json without repeated keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unambiguous, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            map.next_value::<Unambiguous>()?;
            if !keys.insert(key) {
                return Err(A::Error::custom("repeated key"));
            }
        }
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Unambiguous, A::Error> {
        while elements.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }
}

/// A key, borrowed from the text unless it is written with escapes.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of an object: compared one by one while they are few, as they are in what is honest.
#[derive(Default)]
struct Keys<'a> {
    first: Vec<Key<'a>>,
    more: HashSet<Key<'a>>,
}

const FEW: usize = 16;

impl<'a> Keys<'a> {
    /// Whether the key is new.
    fn insert(&mut self, key: Key<'a>) -> bool {
        if self.first.contains(&key) {
            return false;
        }
        if self.first.len() < FEW {
            self.first.push(key);
            return true;
        }
        self.more.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_once_per_object() {
        assert!(is_unambiguous(
            br#"{"a":[1,-1,1.5,null,true,"x",{"a":{}}],"b":{"a":2}}"#
        ));
        assert!(!is_unambiguous(br#"{"a":1,"a":1}"#));
        assert!(!is_unambiguous(br#"{"a":{"b":[{"c":1,"c":2}]}}"#));
        assert!(
            !is_unambiguous(b"{\"a\":1,\"\\u0061\":1}"),
            "the same key, written otherwise"
        );
        let many = |count: usize, last: &str| {
            let keys: String = (0..count)
                .map(|number| format!("\"{number}\":0,"))
                .collect();
            is_unambiguous(format!("{{{keys}\"{last}\":0}}").as_bytes())
        };
        for count in [15, 16, 17, 18, 40] {
            assert!(many(count, "x"), "{count}");
            assert!(
                !many(count, "0") && !many(count, &(count - 1).to_string()),
                "{count}"
            );
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_refused() {
        assert!(!is_unambiguous(b""));
        assert!(!is_unambiguous(b"{} {}"));
        assert!(!is_unambiguous(b"\"\xff\""));
        assert!(!is_unambiguous("[".repeat(60_000).as_bytes()));
        assert!(!is_unambiguous(
            &[b"[".repeat(200), b"]".repeat(200)].concat()
        ));
    }
}
