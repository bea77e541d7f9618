//! Why connections are refused and cut.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a connection was refused or cut: stable codes for logs, metrics and rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code: lower case and dashes; never changes once released.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

reasons! {
    /// The first octets were no ZMTP greeting.
    NotZmtp = "not-zmtp",
    /// ZMTP 1.0 or 2.0.
    LegacyVersion = "legacy-version",
    /// The two sides demand different mechanisms.
    MechanismMismatch = "mechanism-mismatch",
    /// The client was given another server key.
    WrongServerKey = "wrong-server-key",
    /// The vouch is for another server or connection.
    BadVouch = "bad-vouch",
    /// A key of low order.
    WeakKey = "weak-key",
    /// Octets that the grammar does not allow.
    Malformed = "malformed",
    /// A frame, message or metadata over its limit.
    TooLarge = "too-large",
    /// An encrypted frame lost, repeated or out of order.
    Nonce = "nonce",
    /// Socket types that do not talk to each other.
    SocketType = "socket-type",
    /// A deadline passed.
    Timeout = "timeout",
    /// The policy said no without saying more (ZAP 400).
    Denied = "denied",
    /// The policy does not list the key.
    UnknownKey = "unknown-key",
    /// The policy does not list the user, or the password is another.
    UnknownUser = "unknown-user",
    /// The policy lists the peer, not for this domain.
    DomainDenied = "domain-denied",
    /// The policy does not admit this mechanism.
    MechanismDenied = "mechanism-denied",
    /// The policy does not admit the address.
    AddressDenied = "address-denied",
    /// The policy does not admit the peer by this endpoint.
    EndpointDenied = "endpoint-denied",
    /// The policy does not let the peer have this type of socket.
    PatternDenied = "pattern-denied",
    /// The policy does not let the peer have the routing id that it asks for.
    RoutingIdDenied = "routing-id-denied",
    /// The key's time is over, or has not begun.
    KeyExpired = "key-expired",
    /// The policy no longer admits a peer that it had admitted.
    Revoked = "revoked",
    /// The policy allows a peer less than when it was admitted.
    RightsNarrowed = "rights-narrowed",
    /// The link has lasted as long as the policy lets one last: the peer must prove itself again.
    SessionAge = "session-age",
    /// The application ended the peer's link.
    PeerDropped = "peer-dropped",
    /// The policy asks to come back later (ZAP 300).
    Temporary = "temporary",
    /// No handler, or it failed, was slow, or answered what RFC 27 does not allow (ZAP 500).
    HandlerError = "handler-error",
    /// A sealed connection ended without the end of stream that the peer had announced: it was cut,
    /// or the peer died, and what it sent last may be missing.
    Truncated = "truncated",
    /// Too many connections or attempts.
    RateLimited = "rate-limited",
    /// The routing id belongs to a live peer.
    RoutingId = "routing-id",
    /// The socket talks to one peer (PAIR) and has it.
    Exclusive = "exclusive",
    /// Clear text beyond this host, without the override.
    ClearText = "clear-text",
    /// The peer closed without a reason that can be told.
    Closed = "closed",
    /// A fault of this process: no random octets, a cipher that fails its self-test, a mechanism that
    /// breaks its contract.
    Internal = "internal",
}

impl Reason {
    /// Whether a link that was up is cut with it because what had been granted was taken back: by
    /// the policy, or by the application.
    #[must_use]
    pub const fn is_withdrawal(self) -> bool {
        matches!(
            self,
            Self::Revoked
                | Self::RightsNarrowed
                | Self::KeyExpired
                | Self::SessionAge
                | Self::PeerDropped
                | Self::Temporary
                | Self::HandlerError
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
