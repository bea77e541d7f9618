//! The connections that tests are made of: each mechanism in each role.

use std::sync::Arc;

use crate::engine::config::EngineConfig;
use crate::engine::tests::pair::Pair;
use crate::keys::{KeyPair, SecretKey};
use crate::mechanism::Mechanism;
use crate::mechanism::curve::{Curve, CurveBackend};
use crate::mechanism::null::Null;
use crate::mechanism::plain::Plain;
use crate::socket_type::SocketType;
use crate::wire::command::END_OF_STREAM;

pub(super) const CLIENT: u8 = 0xc1;
pub(super) const SERVER: u8 = 0x51;
pub(super) const OTHER: u8 = 0x77;

pub(super) fn keys(octet: u8) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_octets(&[octet; 32]).unwrap())
}

/// Which end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Server];
}

/// A mechanism, both its roles configured to find each other.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) client: Arc<dyn Mechanism>,
    pub(super) server: Arc<dyn Mechanism>,
    /// The server's; with it NULL asks the policy.
    pub(super) domain: &'static str,
}

impl Case {
    pub(super) fn null() -> Self {
        Self {
            name: "null",
            client: Arc::new(Null::new()),
            server: Arc::new(Null::new()),
            domain: "",
        }
    }

    pub(super) fn null_with_domain() -> Self {
        Self {
            name: "null with a domain",
            domain: "global",
            ..Self::null()
        }
    }

    pub(super) fn plain() -> Self {
        Self {
            name: "plain",
            client: Arc::new(Plain::client("scanner", "open/door").unwrap()),
            server: Arc::new(Plain::server()),
            domain: "global",
        }
    }

    pub(super) fn curve() -> Self {
        Self {
            name: "curve",
            client: Arc::new(Curve::client(keys(CLIENT), keys(SERVER).public())),
            // The other backend than the client's, so that each of these tests has both.
            server: Arc::new(Curve::server(keys(SERVER)).backend(CurveBackend::RustCrypto)),
            domain: "global",
        }
    }

    pub(super) fn all() -> [Self; 4] {
        [
            Self::null(),
            Self::null_with_domain(),
            Self::plain(),
            Self::curve(),
        ]
    }

    /// Those in which the server asks the policy.
    pub(super) fn asking() -> [Self; 3] {
        [Self::null_with_domain(), Self::plain(), Self::curve()]
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.name == "curve"
    }

    /// How many octets a side writes when it cuts a peer that is up: its sealed end of stream.
    pub(super) fn farewell(&self) -> usize {
        if self.is_sealed() {
            2 + 33 + 1 + END_OF_STREAM.len()
        } else {
            0
        }
    }

    pub(super) fn config(&self, role: Role, kind: SocketType) -> EngineConfig {
        match role {
            Role::Client => EngineConfig::new(kind, self.client.clone()),
            Role::Server => EngineConfig {
                zap_domain: self.domain.into(),
                ..EngineConfig::new(kind, self.server.clone())
            },
        }
    }

    /// Two sides that have not met yet.
    pub(super) fn pair(&self, client: SocketType, server: SocketType) -> Pair {
        Pair::new(
            self.config(Role::Client, client),
            self.config(Role::Server, server),
        )
    }

    /// A DEALER and a DEALER after the handshake: both send, both receive.
    pub(super) fn up(&self) -> Pair {
        let mut pair = self.pair(SocketType::Dealer, SocketType::Dealer);
        pair.drive();
        assert!(
            pair.is_up(),
            "{}: {:?} {:?}",
            self.name,
            pair.client.log,
            pair.server.log
        );
        pair
    }
}
