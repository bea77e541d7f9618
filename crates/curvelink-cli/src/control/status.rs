//! What a hub tells of itself, as it goes over the control socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What came of reading policy and keys again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// The files were as before: nothing was done.
    pub(crate) unchanged: bool,
    /// For so many seconds; what follows is what changed then.
    pub(crate) age: u64,
    /// Names that may more than before, and new ones.
    pub(crate) gained: Vec<String>,
    /// Names that may less than before, and those that are gone.
    pub(crate) lost: Vec<String>,
    /// Of these, who was connected and is cut.
    pub(crate) cut: Vec<String>,
    /// Whether other topics are signed than before, or otherwise.
    #[serde(default)]
    pub(crate) envelope: bool,
    pub(crate) keys: KeysShown,
}

/// The fingerprints of the hub's own keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeysShown {
    pub(crate) current: String,
    /// While clients change over.
    pub(crate) next: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) version: String,
    pub(crate) keys: KeysShown,
    /// Seconds since it started.
    pub(crate) up: u64,
    pub(crate) policy: PolicyShown,
    pub(crate) sockets: Vec<SocketShown>,
    /// Who watches the journal, where anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) witnessed: Option<WitnessedShown>,
    /// Handshakes that were refused since it started, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// How the journal is witnessed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WitnessedShown {
    /// How many witnesses are enough.
    pub(crate) wanted: usize,
    /// How many entries are covered by a checkpoint that enough have signed.
    pub(crate) size: u64,
    /// Seconds since they did; none: not since the hub started.
    pub(crate) age: Option<u64>,
    pub(crate) witnesses: Vec<WitnessShown>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WitnessShown {
    pub(crate) name: String,
    /// How many entries it has signed since the hub started.
    pub(crate) size: u64,
    /// Seconds since it did.
    pub(crate) age: Option<u64>,
    /// Why it does not now.
    pub(crate) trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PolicyShown {
    pub(crate) file: String,
    /// SHA-256 of the file, in hex.
    pub(crate) digest: String,
    /// Seconds since it was put in force.
    pub(crate) age: u64,
    pub(crate) identities: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SocketShown {
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) links: Vec<LinkShown>,
}

/// A peer whose handshake is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LinkShown {
    pub(crate) name: Option<String>,
    /// The fingerprint of its key.
    pub(crate) key: Option<String>,
    pub(crate) address: String,
    pub(crate) socket: String,
    /// The fingerprint of the hub's key that it pins.
    pub(crate) server_key: Option<String>,
    /// Seconds since the handshake.
    pub(crate) handshake: u64,
    pub(crate) received: Through,
    pub(crate) sent: Through,
    /// Messages that wait to be written to it.
    pub(crate) queued: usize,
    pub(crate) subscriptions: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Through {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
}
