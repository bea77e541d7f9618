//! The two sides of each mechanism, for a curvelink socket and for the peer's.

use curvelink::{
    Credentials, Curve, CurveBackend, KeyPair, Options, Plain, PublicKey, Reason, Rights,
    ZapHandler, ZapReply,
};
use serde_json::{Value, json};

use super::{ZmqPeer, text};
use crate::support::{Policy, keys};

/// The user that both sides' policies admit under PLAIN.
pub const USER: &str = "scanner";
/// Its password.
pub const PASSWORD: &str = "open/door";

/// A mechanism with credentials that both sides know.
#[derive(Debug)]
pub struct Agreement {
    mechanism: &'static str,
    backend: CurveBackend,
    server: KeyPair,
    client: KeyPair,
}

impl Agreement {
    /// `NULL`, `PLAIN`, or any other word for CURVE with new keys.
    #[must_use]
    pub fn new(mechanism: &'static str) -> Self {
        Self {
            mechanism,
            backend: CurveBackend::default(),
            server: keys(),
            client: keys(),
        }
    }

    /// The same, with another backend of CURVE on our side.
    #[must_use]
    pub const fn by(mut self, backend: CurveBackend) -> Self {
        self.backend = backend;
        self
    }

    /// The mechanism's name.
    #[must_use]
    pub const fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// Our side.
    pub fn ours(&self, serves: bool) -> Options {
        let options = Options::new();
        match (self.mechanism, serves) {
            ("NULL", _) => options,
            ("PLAIN", true) => options.security(Plain::server()),
            ("PLAIN", false) => options.security(plain(PASSWORD)),
            (_, true) => {
                let curve = Curve::server(self.server.duplicate());
                options.security(curve.backend(self.backend))
            }
            (_, false) => {
                let curve = Curve::client(self.client.duplicate(), self.server.public());
                options.security(curve.backend(self.backend))
            }
        }
    }

    /// The peer's side.
    #[must_use]
    pub fn theirs(&self, serves: bool) -> Value {
        match (self.mechanism, serves) {
            ("NULL", _) => json!({}),
            ("PLAIN", true) => json!({"PLAIN_SERVER": 1}),
            ("PLAIN", false) => plain_client(PASSWORD),
            (_, true) => curve_server(&self.server),
            (_, false) => curve_client(&self.client, self.server.public()),
        }
    }

    /// Our policy: the client of this agreement, and nobody else.
    #[must_use]
    pub fn policy(&self) -> impl ZapHandler + use<> {
        allow_list(vec![(self.client.public(), USER)])
    }

    /// The same policy for the peer.
    pub fn tell(&self, peer: &mut ZmqPeer) {
        allow(peer, &[self.client.public()]);
    }
}

/// A PLAIN client of the user's name.
///
/// # Panics
/// If the password is over 255 octets.
#[must_use]
pub fn plain(password: &str) -> Plain {
    Plain::client(USER, password).expect("short")
}

/// The same of the peer's.
#[must_use]
pub fn plain_client(password: &str) -> Value {
    json!({"PLAIN_USERNAME": USER, "PLAIN_PASSWORD": password})
}

/// A CURVE server of the peer's.
#[must_use]
pub fn curve_server(keys: &KeyPair) -> Value {
    json!({"CURVE_SERVER": 1, "CURVE_SECRETKEY": &**keys.secret().expose_z85()})
}

/// A CURVE client of the peer's.
#[must_use]
pub fn curve_client(keys: &KeyPair, server: PublicKey) -> Value {
    json!({
        "CURVE_SERVERKEY": server.to_z85(),
        "CURVE_PUBLICKEY": keys.public().to_z85(),
        "CURVE_SECRETKEY": &**keys.secret().expose_z85(),
    })
}

/// The peer's policy: these keys, the user, and nobody else.
pub fn allow(peer: &mut ZmqPeer, keys: &[PublicKey]) {
    let keys: Vec<_> = keys.iter().map(PublicKey::to_z85).collect();
    peer.ask(json!({"do": "allow", "keys": keys, "users": {USER: PASSWORD}}));
}

/// Our policy: these keys under their names, the user, and nobody else.
#[must_use]
pub fn allow_list(keys: Vec<(PublicKey, &'static str)>) -> impl ZapHandler {
    Policy(
        move |request: &curvelink::ZapRequest| match &request.credentials {
            Credentials::Null => ZapReply::deny(Reason::MechanismDenied),
            Credentials::Curve(asked) => keys.iter().find(|(key, _)| key == asked).map_or_else(
                || ZapReply::deny(Reason::UnknownKey),
                |(_, name)| ZapReply::admit(*name, Rights::all()),
            ),
            Credentials::Plain { username, password }
                if *username == USER && password.matches(PASSWORD.as_bytes()) =>
            {
                ZapReply::admit(text(username), Rights::all())
            }
            _ => ZapReply::deny(Reason::UnknownUser),
        },
    )
}
