//! How a journal is kept.

use std::time::Duration;

use curvelink_tlog::VerifyingCosignerKey;

use super::encrypt::Recipient;
use crate::Origin;

/// How a journal is kept. Every field has a default; set what is to be otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JournalSettings {
    /// What an entry's being written means. Default: at most 200 ms are lost with the power.
    pub durability: Durability,
    /// What becomes of an admission that cannot be recorded. Default: it is refused.
    pub on_failure: OnFailure,
    /// The longest that entries wait for a checkpoint. Default 1 s.
    pub seal_after: Duration,
    /// So many entries do not wait for it. Default 256.
    pub seal_entries: u64,
    /// A checkpoint is signed so often even when nothing happens: an idle journal shows that it
    /// lives. Default 60 s.
    pub heartbeat: Duration,
    /// How long a key signs. Default 1 h.
    pub epoch: Duration,
    /// How many entries a key signs for, about. Default 100 000.
    pub epoch_entries: u64,
    /// Entries that may wait for the writer. Default 16 384, and 16 MiB in all.
    pub queue: usize,
    /// Who may read the entries; none: everybody who has the files. Default none.
    pub recipients: Vec<Recipient>,
    /// Witnesses whose cosignatures count. Default none.
    pub cosigners: Vec<VerifyingCosignerKey>,
    /// So many of them make a checkpoint a witnessed one. Default 0.
    pub min_witnesses: usize,
    /// What records of nobody, and the journal's own, say of where they were made.
    pub origin: Origin,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            on_failure: OnFailure::default(),
            seal_after: Duration::from_secs(1),
            seal_entries: 256,
            heartbeat: Duration::from_secs(60),
            epoch: Duration::from_secs(3600),
            epoch_entries: 100_000,
            queue: 16_384,
            recipients: Vec::new(),
            cosigners: Vec::new(),
            min_witnesses: 0,
            origin: Origin::default(),
        }
    }
}

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Once it has reached the disk. Entries that come meanwhile share the next wait.
    Event,
    /// Once the system has it: a crash of the program loses nothing, a loss of power at most what
    /// came in this time.
    Interval(Duration),
    /// Once the system has it, which brings it to the disk when it likes, or with the next
    /// checkpoint.
    Os,
}

impl Default for Durability {
    fn default() -> Self {
        Self::Interval(Duration::from_millis(200))
    }
}

/// What becomes of an admission that cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// It is refused: the peer is told to come back later.
    #[default]
    Refuse,
    /// It takes effect. How many entries were lost is the first thing that is recorded afterwards.
    Continue,
}
