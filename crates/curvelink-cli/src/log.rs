//! The log of a long-running command, on standard error.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;

use crate::args::hub::LogForm;

/// Starts the log. Coloured on a terminal only, and not where NO_COLOR is set.
pub(crate) fn start(form: LogForm) {
    let colour =
        io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .with_ansi(colour);
    // A second start in one process is that of a test: the first log stays.
    let _ = match form {
        LogForm::Text => builder.try_init(),
        LogForm::Json => builder.json().flatten_event(true).try_init(),
    };
}
