//! `curvelink`: keys, secure publish and subscribe from the shell, a hub, verification.

mod args;
mod command;
mod exit;
mod key;
mod output;
mod secret_file;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse() {
        Ok(cli) => match command::run(cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit::report(&error),
        },
        Err(code) => code,
    }
}
