//! `curvelink`: keys, secure publish and subscribe from the shell, a hub, verification.

mod args;
mod audit;
mod command;
mod control;
mod core_dump;
mod doctor;
mod exit;
mod home;
mod hub;
mod inbox;
mod key;
mod link;
mod log;
mod message;
mod output;
mod rotate;
mod secret_file;
mod sign;
mod sink;
mod source;
mod stop;
mod trust;
mod witness;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: not even the command line is looked at before.
    let no_core_dumps = core_dump::forbid();
    match args::parse() {
        Ok(cli) => match core_dump::judge(no_core_dumps, cli.command.handles_secrets())
            .and_then(|()| command::run(cli))
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => exit::report(&error),
        },
        Err(code) => code,
    }
}
