//! The commands: one file for each.

mod completions;
mod key;
mod man;

use crate::args::{Cli, Command};

/// Runs what was asked for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Key(command) => key::run(command),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}
