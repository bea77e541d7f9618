//! The audit journal: what happened, in an order that nobody can change afterwards without being
//! noticed, and in the formats that a SIEM reads.

mod audited;
mod clock;
mod export;
pub mod format;
mod journal;
mod progress;
mod reader;
mod record;
mod tar;
mod time;
mod verify;
mod witness;

pub use self::audited::Audited;
pub use self::clock::{Clock, SystemClock};
pub use self::export::Exported;
pub use self::format::Format;
pub use self::journal::{
    AppendError, Checkpoints, Damage, Durability, InvalidRecipient, Journal, JournalError,
    JournalSettings, KeyProblem, OnFailure, Receipt, Recipient, RecipientKey, Status,
};
pub use self::progress::Progress;
pub use self::reader::{Diff, Entries, Entry, JournalReader};
pub use self::record::{Origin, Record, RecordError, Value};
pub use self::time::{InvalidTime, Time};
pub use self::verify::{
    Check, ONLY_A_WITNESS, Outcome, Report, Rule, Verdict, VerifyOptions, verify,
};
pub use self::witness::{Witness, WitnessError, WitnessRequest};
