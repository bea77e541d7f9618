//! The catalogue: every security event that this project tells, with its stable id.

use std::fmt;

/// How much an event matters, in the numbers of OCSF (`severity_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a renderer has a word for each of them"
)]
pub enum Severity {
    /// The ordinary course of things.
    Informational = 1,
    /// Worth to be found again.
    Low = 2,
    /// Somebody did what they may not, or a setting leaves a door open.
    Medium = 3,
    /// Somebody should look now.
    High = 4,
}

impl Severity {
    /// One word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many events of one kind are told singly before the rest is only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "an entry is either bounded or not")]
pub enum Telling {
    /// Every one: no peer can cause more of them than the operator does.
    Each,
    /// So many within one minute of each source and reason; the rest is one event with their
    /// number.
    First(u64),
}

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Each => f.write_str("each"),
            Self::First(count) => write!(f, "first {count} a minute"),
        }
    }
}

/// Fields that tell of a peer; every event about one may have them.
macro_rules! peer_fields {
    ($($more:literal),*) => {
        &[
            "endpoint", "peer", "network", "key", "identity", "mechanism", "domain", "duration", $($more),*
        ]
    };
}

macro_rules! catalogue {
    ($(
        $(#[$doc:meta])*
        $entry:ident = $code:literal $name:literal, $severity:ident, $default:literal,
        $telling:expr, $fields:expr;
    )*) => {
        /// An entry of the catalogue of security events. Ids and names never change once released,
        /// and none is used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum EventId { $($(#[$doc])* $entry,)* }

        impl EventId {
            /// Every entry, in the order of the ids.
            pub const ALL: &'static [Self] = &[$(Self::$entry,)*];

            /// The stable id: `CL` and four digits.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$entry => $code,)* }
            }

            /// The name: lower case and dashes.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$entry => $name,)* }
            }

            /// How much it matters, unless the event itself says otherwise.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$entry => Severity::$severity,)* }
            }

            /// Whether it is told unless somebody asks for less; the others are told to who asks
            /// for detail.
            #[must_use]
            pub const fn is_default(self) -> bool {
                match self { $(Self::$entry => $default,)* }
            }

            /// How many are told singly.
            #[must_use]
            pub const fn telling(self) -> Telling {
                match self { $(Self::$entry => $telling,)* }
            }

            /// The names of the fields that such an event may have, beside `count`, `first` and
            /// `last`, which each has.
            #[must_use]
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$entry => $fields,)* }
            }
        }
    };
}

catalogue! {
    /// A handshake is done and the policy said yes.
    Accepted = "CL1001" "handshake-accepted", Informational, true, Telling::First(30),
        peer_fields!("socket_type", "cipher");
    /// A connection was refused, by us or by the peer.
    Refused = "CL1002" "handshake-refused", Medium, true, Telling::First(1),
        peer_fields!("by", "stage", "reason", "status");
    /// A link that was up has ended.
    Disconnected = "CL1003" "peer-disconnected", Informational, true, Telling::First(30),
        peer_fields!("reason", "received", "sent");
    /// A link that was up was cut because the policy no longer admits the peer as it did.
    Cut = "CL1004" "peer-cut", Medium, true, Telling::Each,
        peer_fields!("reason", "received", "sent");
    /// A listener could not accept a connection: usually no file descriptor is left.
    AcceptFailed = "CL1005" "accept-failed", High, true, Telling::First(1),
        &["endpoint", "error"];
    /// The policy was asked and answered. A refusal's answer is in CL1002 too.
    Decision = "CL1010" "zap-decision", Informational, false, Telling::Each,
        peer_fields!("status", "handler");
    /// A peer asked for, or sent, what its rights do not hold; the link stays up.
    Denied = "CL1020" "denied", Medium, true, Telling::First(1),
        peer_fields!("reason", "action", "topic");
    /// A peer subscribed to a prefix, or cancelled it (told by the hub).
    Subscription = "CL1021" "subscription", Informational, true, Telling::First(30),
        peer_fields!("action", "topic");
    /// A message was signed.
    Signed = "CL2001" "message-signed", Informational, false, Telling::First(30),
        peer_fields!("topic", "digest", "seq");
    /// A message came whose envelope is right, and was passed on.
    Verified = "CL2002" "message-verified", Informational, true, Telling::First(30),
        peer_fields!("topic", "digest", "subscribers");
    /// A message came whose envelope is missing, wrong or another's, and was not passed on.
    Rejected = "CL2003" "message-rejected", High, true, Telling::First(1),
        peer_fields!("reason", "topic", "digest");
    /// Messages of a signer are missing, repeated or out of order.
    Gap = "CL2004" "message-gap", Medium, true, Telling::First(1),
        peer_fields!("reason", "topic", "missing");
    /// A subscriber that confirms messages did not confirm one in time.
    Unconfirmed = "CL2005" "message-unconfirmed", Low, true, Telling::First(1),
        &["identity"];
    /// The program started, or stops.
    Lifecycle = "CL3001" "lifecycle", Informational, true, Telling::Each,
        &["action", "version", "config", "key", "error"];
    /// The settings were read again: they are in force, or were refused and the old ones stay.
    Reload = "CL3002" "config-reload", Low, true, Telling::Each,
        &["action", "old", "new", "changed", "who", "error"];
    /// A key was made, changed or taken away, or others can read its file.
    Key = "CL3003" "key", Low, true, Telling::Each,
        &["action", "key", "identity", "purpose", "error"];
    /// Something befell the audit journal: another key, entries let go, damage mended, entries lost.
    Journal = "CL3004" "journal", Informational, true, Telling::Each,
        &["action", "epoch", "key", "index", "octets", "lost", "error"];
    /// A setting is in force that lets strangers read, forge or come in.
    Insecure = "CL3005" "insecure-setting", Medium, true, Telling::Each,
        &["endpoint", "setting"];
    /// What must outlive the process could not be written.
    NotSaved = "CL3006" "state-not-saved", High, true, Telling::First(1),
        &["error"];
    /// Events were lost because whoever listens did not read them in time.
    Lost = "CL3007" "events-lost", High, true, Telling::Each, &[];
    /// A checkpoint of the audit journal was signed: told to sinks, and not recorded in the journal
    /// itself, which would then never come to rest.
    Checkpoint = "CL3008" "checkpoint", Informational, true, Telling::Each,
        &["origin", "size", "root", "key", "note"];
    /// Where events are copied to cannot be reached, can again, or did not get some.
    Sink = "CL3009" "sink", Medium, true, Telling::First(1),
        &["endpoint", "action", "error"];
    /// A witness does not sign the journal's checkpoints, is away or back; or too few have signed.
    Witness = "CL3010" "witness", High, true, Telling::First(1),
        &["endpoint", "identity", "action", "reason", "size", "error"];
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_in_order_and_each_once() {
        let codes: Vec<&str> = EventId::ALL.iter().map(|id| id.code()).collect();
        assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
        for id in EventId::ALL {
            let digits = id.code().strip_prefix("CL").unwrap();
            assert!(digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()));
            let plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'-';
            assert!(id.name().bytes().all(plain), "{id}");
        }
    }
}
