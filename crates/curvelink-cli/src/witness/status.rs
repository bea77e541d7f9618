//! How the hub's journal is witnessed, for `curvelink show`.

use curvelink_tlog::VerifyingCosignerKey;
use tokio::time::Instant;

use super::ask::Asked;
use super::told::Trouble;
use crate::control::{WitnessShown, WitnessedShown};

/// How the journal is witnessed.
#[derive(Clone, Debug)]
pub(crate) struct Witnessed {
    /// How many are enough.
    pub(super) wanted: usize,
    /// So many entries are covered by a checkpoint that enough have signed, and since when.
    pub(super) enough: Option<(u64, Instant)>,
    /// In the order of the settings.
    pub(super) witnesses: Vec<WitnessStatus>,
}

/// A witness.
#[derive(Clone, Debug)]
pub(super) struct WitnessStatus {
    name: String,
    /// How many entries it has signed, and when.
    signed: Option<(u64, Instant)>,
    /// Why it does not now.
    trouble: Option<&'static str>,
}

impl WitnessStatus {
    /// Not asked yet.
    pub(super) fn new(key: &VerifyingCosignerKey) -> Self {
        Self {
            name: key.name().to_owned(),
            signed: None,
            trouble: None,
        }
    }
}

impl Witnessed {
    /// Takes note of what came of asking one.
    pub(super) fn update(&mut self, place: usize, asked: &Asked) {
        if let Some(status) = self.witnesses.get_mut(place) {
            status.signed = asked.signed;
            status.trouble = asked.trouble.as_ref().map(Trouble::code);
        }
    }

    /// As it goes over the control socket.
    pub(crate) fn shown(&self) -> WitnessedShown {
        let age = |since: Instant| since.elapsed().as_secs();
        let witnesses = self.witnesses.iter().map(|it| WitnessShown {
            name: it.name.clone(),
            size: it.signed.map_or(0, |(size, _)| size),
            age: it.signed.map(|(_, since)| age(since)),
            trouble: it.trouble.map(str::to_owned),
        });
        WitnessedShown {
            wanted: self.wanted,
            size: self.enough.map_or(0, |(size, _)| size),
            age: self.enough.map(|(_, since)| age(since)),
            witnesses: witnesses.collect(),
        }
    }
}
