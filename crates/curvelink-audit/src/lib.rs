//! The audit journal: what happened, in an order that nobody can change afterwards without being
//! noticed, and in the formats that a SIEM reads.

mod clock;
pub mod format;
#[allow(dead_code, reason = "the parts come before the whole")]
mod journal;
mod record;
mod time;

pub use self::clock::{Clock, SystemClock};
pub use self::format::Format;
pub use self::record::{Origin, Record, RecordError, Value};
pub use self::time::{InvalidTime, Time};
