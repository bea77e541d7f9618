//! The commands: one file for each.

pub(crate) mod audit;
mod completions;
mod cosign;
mod demo;
mod doctor;
mod export;
pub(crate) mod init;
mod key;
mod man;
mod policy;
mod publish;
mod pull;
mod push;
pub(crate) mod reload;
mod reply;
mod request;
mod show;
mod sign;
mod subscribe;
mod up;
mod verify;
mod witness;

use std::future::Future;

use crate::args::key::KeyCommand;
use crate::args::{Cli, Command};
use crate::rotate;

/// Runs what was asked for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let dir = cli.dir.as_deref();
    match cli.command {
        Command::Demo(args) => wait(demo::run(&args)),
        Command::Init(args) => init::run(&args),
        Command::Up(args) => wait(up::run(&args, dir)),
        Command::Pub(args) => wait(publish::run(&args, dir)),
        Command::Sub(args) => wait(subscribe::run(&args, dir)),
        Command::Push(args) => wait(push::run(&args, dir)),
        Command::Pull(args) => wait(pull::run(&args, dir)),
        Command::Req(args) => wait(request::run(&args, dir)),
        Command::Rep(args) => wait(reply::run(&args, dir)),
        Command::Sign(args) => wait(sign::run(&args, dir)),
        Command::Cosign(args) => cosign::run(&args, dir),
        Command::Verify(args) => verify::run(&args, dir),
        Command::Export(args) => export::run(&args),
        Command::Audit(command) => wait(audit::run(command, dir)),
        Command::Witness(command) => wait(witness::run(command, dir)),
        Command::Reload(args) => wait(reload::run(&args, dir)),
        Command::Show(args) => wait(show::run(&args, dir)),
        Command::Doctor(args) => wait(doctor::run(&args, dir)),
        Command::Policy(command) => policy::run(&command),
        Command::Key(KeyCommand::Rotate(args)) => wait(rotate::run(&args, dir)),
        Command::Key(command) => key::run(command),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { dir } => man::run(dir.as_deref()),
    }
}

/// Runs a command that talks to others.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(command)
}
