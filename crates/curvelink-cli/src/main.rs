//! `curvelink`: keys, secure publish and subscribe from the shell, a hub, verification.

mod args;
mod command;
mod exit;
mod home;
mod hub;
mod inbox;
mod key;
mod link;
mod log;
mod message;
mod output;
mod secret_file;
mod sign;
mod trust;

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
