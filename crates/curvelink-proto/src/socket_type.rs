//! The socket types and who talks to whom (RFC 28, 29, 30, 31).

use std::fmt;

macro_rules! socket_types {
    ($($(#[$doc:meta])* $name:ident = $wire:literal talks to $($peer:ident)*;)*) => {
        /// A socket's type, as `Socket-Type` in the metadata names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SocketType { $($(#[$doc])* $name,)* }

        impl SocketType {
            /// Every type, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// Whether the two types talk to each other.
            #[must_use]
            pub const fn talks_to(self, peer: Self) -> bool {
                match self { $(Self::$name => false $(|| matches!(peer, Self::$peer))*,)* }
            }
        }
    };
}

socket_types! {
    /// Asks one peer at a time and waits for its reply (RFC 28).
    Req = "REQ" talks to Rep Router;
    /// Answers requests in turn (RFC 28).
    Rep = "REP" talks to Req Dealer;
    /// Sends to and receives from many peers in turn, asynchronously (RFC 28).
    Dealer = "DEALER" talks to Rep Dealer Router;
    /// Addresses each peer by its routing id (RFC 28).
    Router = "ROUTER" talks to Req Dealer Router;
    /// Publishes to subscribers (RFC 29).
    Pub = "PUB" talks to Sub Xsub;
    /// Receives what it subscribed to (RFC 29).
    Sub = "SUB" talks to Pub Xpub;
    /// PUB that shows the subscriptions (RFC 29).
    Xpub = "XPUB" talks to Sub Xsub;
    /// SUB that sends subscriptions as messages (RFC 29).
    Xsub = "XSUB" talks to Pub Xpub;
    /// Hands messages to the next free worker (RFC 30).
    Push = "PUSH" talks to Pull;
    /// Takes messages from many (RFC 30).
    Pull = "PULL" talks to Push;
    /// Talks to exactly one peer (RFC 31).
    Pair = "PAIR" talks to Pair;
    /// Speaks to peers without ZMTP, in the octets of plain TCP. The name is never on the wire.
    Stream = "STREAM" talks to;
}

impl SocketType {
    /// The type of a wire name, compared exactly as libzmq does. Nobody who speaks ZMTP is a
    /// STREAM, whatever it says.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name().as_bytes() == name && !kind.is_raw())
    }

    /// Whether this type's peers speak no ZMTP: nothing of them is known, proven or asked.
    #[must_use]
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Stream)
    }

    /// Whether applications send with this type.
    #[must_use]
    pub const fn sends(self) -> bool {
        !matches!(self, Self::Sub | Self::Pull)
    }

    /// Whether applications receive with this type.
    #[must_use]
    pub const fn receives(self) -> bool {
        !matches!(self, Self::Pub | Self::Push)
    }

    /// Whether peers send this type their subscriptions.
    #[must_use]
    pub const fn is_publisher(self) -> bool {
        matches!(self, Self::Pub | Self::Xpub)
    }

    /// Whether this type sends its peers subscriptions.
    #[must_use]
    pub const fn is_subscriber(self) -> bool {
        matches!(self, Self::Sub | Self::Xsub)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talking_is_mutual_and_every_type_but_stream_talks_to_somebody() {
        for one in SocketType::ALL {
            let talks = SocketType::ALL.iter().any(|other| one.talks_to(*other));
            assert_eq!(talks, *one != SocketType::Stream);
            for other in SocketType::ALL {
                assert_eq!(one.talks_to(*other), other.talks_to(*one), "{one} {other}");
            }
        }
    }

    #[test]
    fn names_are_exact() {
        for kind in SocketType::ALL {
            let known = (*kind != SocketType::Stream).then_some(*kind);
            assert_eq!(SocketType::from_name(kind.name().as_bytes()), known);
            let lower = kind.name().to_lowercase();
            assert_eq!(SocketType::from_name(lower.as_bytes()), None);
        }
        assert_eq!(SocketType::from_name(b""), None);
        assert_eq!(SocketType::from_name(b"PUSH\0"), None);
    }
}
