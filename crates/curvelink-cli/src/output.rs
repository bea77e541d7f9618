//! What the program prints.

use std::io::{self, Write};

use serde::Serialize;

/// Prints one line on standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Says something beside the results, on standard error. Nobody there to read it is no reason to
/// end.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints one JSON object on one line.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Prints a result in the form that was asked for.
pub(crate) fn either(
    as_json: bool,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> io::Result<()> {
    if as_json { json(value) } else { line(&text()) }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
