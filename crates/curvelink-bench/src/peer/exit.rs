//! What the driver reads: words, one line of JSON, the exit code.

use std::io::{Write, stdout};
use std::process::{self, ExitCode};

use serde::Serialize;
use serde_json::json;

/// The exit codes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Stalled = 3,
    Unsupported = 4,
    Corrupt = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A word of the protocol. A driver that is gone reads nothing: not our trouble.
pub(crate) fn say(line: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Leaves the process as it stands.
pub(crate) fn leave(exit: Exit) -> ! {
    process::exit(exit as i32)
}

/// Leaves with a result.
pub(crate) fn leave_with(exit: Exit, result: &impl Serialize) -> ! {
    say_result(result);
    leave(exit)
}

/// A result, of which there is one.
pub(crate) fn say_result(result: &impl Serialize) {
    say(&serde_json::to_string(result).unwrap_or_default());
}

pub(crate) fn unsupported(what: &str) -> ! {
    let result = json!({"error": "unsupported", "what": what});
    leave_with(Exit::Unsupported, &result)
}

pub(crate) fn stalled(arrived: u64) -> ! {
    let result = json!({"error": "stalled", "count": arrived});
    leave_with(Exit::Stalled, &result)
}

/// Ends the process when a message has not the length that all should have.
pub(crate) fn check_length(got: usize, want: usize) {
    if got != want {
        let result = json!({"error": "corrupt", "got": got, "want": want});
        leave_with(Exit::Corrupt, &result)
    }
}
