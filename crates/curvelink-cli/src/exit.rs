//! How the program ends: the exit codes, and errors that know theirs.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::output;

/// The exit codes other than 0, as `curvelink --help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Wrong usage, or this machine stood in the way: a file, a port, a setting.
    Usage = 1,
    /// Something was checked and is not what it should be.
    VerificationFailed = 2,
    /// Something cannot be read: it is not of the form that it should have.
    Damaged = 3,
    /// A peer, or this side's own policy, said no.
    Refused = 4,
    /// A deadline passed.
    TimedOut = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `curvelink --help` says at its end.
pub(crate) const HELP: &str = "\
A secret KEY is read from:
  FILE               a file that nobody else can read, write or replace, and no symbolic link
  -                  standard input
  env:NAME           an environment variable
  fd:N               an open file descriptor
  cred:NAME          a credential of the systemd service that this runs in
  file:PATH          as FILE, for names with a colon
  exposed-file:PATH  a file whoever else can read or replace it

Exit codes:
  0  ok
  1  usage: the command line, a file or a setting is wrong
  2  verification failed, policies differ, or --strict found something
  3  damaged: a message or state file cannot be read
  4  refused: by the peer, its policy or this side's own
  5  timed out";

/// An error with the exit code that it ends the program with.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    line: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl Error for Failure {}

/// An error of one line, `what happened: what to do`, that ends the program with `exit`.
pub(crate) fn failure(exit: Exit, line: impl Into<String>) -> anyhow::Error {
    let line = line.into();
    Failure { exit, line }.into()
}

/// An error that ends the program with [`Exit::Usage`].
pub(crate) fn usage(line: impl Into<String>) -> anyhow::Error {
    failure(Exit::Usage, line)
}

/// Gives an error its exit code.
pub(crate) trait OrExit<T> {
    /// Ends the program with `exit` if this is an error.
    fn or_exit(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| failure(exit, format!("{:#}", error.into())))
    }
}

/// Says on standard error what went wrong, in one line, and gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read our output has had enough: `curvelink sub ... | head -1`.
        return ExitCode::SUCCESS;
    }
    output::note(&format!("curvelink: {}", one_line(&format!("{error:#}"))));
    exit_of(error).into()
}

/// The exit code of an error.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map_or(Exit::Usage, |failure| failure.exit)
}

/// Text without control characters: what a file is called or a peer says must not start a line of
/// its own or drive the terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_code_below_any_context() {
        let refused: anyhow::Result<()> = Err(failure(Exit::Refused, "unknown key"));
        let error = refused.context("tcp://127.0.0.1:1").unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert_eq!(format!("{error:#}"), "tcp://127.0.0.1:1: unknown key");
        assert_eq!(exit_of(&anyhow::anyhow!("plain")), Exit::Usage);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\n\u{1b}[31mb\n"), "a\\n\\u{1b}[31mb");
    }
}
