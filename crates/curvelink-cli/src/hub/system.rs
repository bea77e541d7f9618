//! What the hub itself publishes: nobody else may, whatever a policy says.

use std::future::pending;

use curvelink::Message;
use curvelink_audit::Checkpoints;

/// Below this nobody but the hub publishes.
const SYSTEM: &str = "$sys/";
/// Each checkpoint of the hub's journal, a signed note: for whoever keeps it elsewhere.
const CHECKPOINT: &str = "$sys/checkpoint";

/// Whether a topic is the hub's own. Such a message has no envelope: it came from the owner of the
/// hub's key, and what is in it is signed by itself.
pub(crate) fn is_system(topic: &[u8]) -> bool {
    topic.starts_with(SYSTEM.as_bytes())
}

/// The message that tells of a checkpoint.
pub(super) fn checkpoint(note: String) -> Message {
    Message::from([CHECKPOINT.to_owned(), note])
}

/// The next checkpoint; none ever comes where there is no journal.
pub(super) async fn next(checkpoints: &mut Option<Checkpoints>) -> Option<String> {
    match checkpoints {
        Some(checkpoints) => checkpoints.next().await,
        None => pending().await,
    }
}
