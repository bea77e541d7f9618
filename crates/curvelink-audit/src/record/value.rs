//! What a field can hold.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "readers of every version know these two"
)]
pub enum Value {
    /// A text, of any characters.
    Text(String),
    /// A number, at most [`Value::MAX`].
    Number(u64),
}

/// The fields that are numbers, where they are in range.
const NUMBERS: &[&str] = &[
    "status",
    "received",
    "sent",
    "seq",
    "subscribers",
    "missing",
    "epoch",
    "index",
    "octets",
    "lost",
];

impl Value {
    /// The largest number: beyond it readers of JSON differ.
    pub const MAX: u64 = (1 << 53) - 1;

    pub(super) fn of(name: &str, text: String) -> Self {
        let number = NUMBERS.contains(&name).then(|| text.parse().ok());
        match number.flatten() {
            Some(number) if number <= Self::MAX => Self::Number(number),
            _ => Self::Text(text),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub const fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

/// The text itself, any characters included, or the number in decimal.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfField;

        impl Visitor<'_> for OfField {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an integer below 2^53")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
                if number > Value::MAX {
                    return Err(E::custom("a number that readers of JSON do not agree on"));
                }
                Ok(Value::Number(number))
            }
        }

        deserializer.deserialize_any(OfField)
    }
}
