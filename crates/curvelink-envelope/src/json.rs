//! A check that serde does not make: no key stands twice in one JSON object, at any depth.
//!
//! Of two values under one key, one program reads the first and another the second: a statement
//! must not mean two things.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

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
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
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
