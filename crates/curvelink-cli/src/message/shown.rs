//! How received messages are shown.

use std::io::{self, Write};

use curvelink::Message;
use curvelink_envelope::Verified;

use super::json;
use crate::args::socket::ShowArgs;
use crate::exit::one_line;
use crate::output;

/// The form in which messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line per message, its frames between tabs; nothing in it can drive a terminal.
    Line,
    /// One JSON object per line.
    Json,
    /// The octets of the frames, and nothing else.
    Raw,
}

impl Form {
    pub(crate) const fn new(json: bool, raw: bool) -> Self {
        match (json, raw) {
            (true, _) => Self::Json,
            (false, true) => Self::Raw,
            (false, false) => Self::Line,
        }
    }
}

impl From<&ShowArgs> for Form {
    fn from(args: &ShowArgs) -> Self {
        Self::new(args.json, args.raw)
    }
}

/// Shows a message on standard output.
pub(crate) fn print(message: &Message, form: Form) -> io::Result<()> {
    print_verified(message, None, form)
}

/// As [`print()`], with what is known of the signer in the form that has a place for it.
pub(crate) fn print_verified(
    message: &Message,
    verified: Option<&Verified>,
    form: Form,
) -> io::Result<()> {
    match form {
        Form::Json => output::json(&json::Shown::of(message, verified)),
        Form::Raw => {
            let mut out = io::stdout().lock();
            for frame in message {
                out.write_all(frame)?;
            }
            out.flush()
        }
        Form::Line => {
            let frames: Vec<String> = message
                .iter()
                .map(|frame| one_line(&String::from_utf8_lossy(frame)))
                .collect();
            output::line(&frames.join("\t"))
        }
    }
}
