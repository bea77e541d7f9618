//! `curvelink-peer`: one end of a measurement, driven over the command line and its pipes.
//!
//! A driver starts two of these programs, or one of these and one that speaks the same words on
//! another library, and compares what they print:
//!
//! ```text
//! curvelink-peer COMMAND --endpoint E [--size N] [--count C] [--curve] [--n N] [--subs S]
//!                        [--warmup W] [--hwm H] [--idle-ms MS] [--stay]
//! ```
//!
//! | command | what it does | what it prints |
//! |---|---|---|
//! | `thr-recv` | PULL, binds, receives C messages of N octets | `READY`, then the rate from the first batch to the last message |
//! | `thr-send` | PUSH, connects, sends C messages | |
//! | `lat-rep` | REP, binds, sends every request back | `READY` |
//! | `lat-req` | REQ, connects, makes W round trips and then C that are timed | percentiles |
//! | `pub` | PUB, binds, waits for a line on its standard input, sends C messages | `READY` |
//! | `sub` | S SUBs that connect and receive C messages each | `SUBSCRIBED`, then the rate over all |
//! | `inproc-thr`, `inproc-lat` | both ends of the first two pairs in one process | as those |
//! | `conns-listen` | PULL, binds, waits for one message of each of n connections | `READY`, then the rate and the memory |
//! | `conns-dial` | n PUSHes connect and send the time of the first attempt | |
//!
//! With `--stay`, `conns-listen` keeps the connections after its result until its standard input is
//! closed, and drops what comes over them, so that their memory can be looked at.
//!
//! The endpoint is `tcp://`, `ipc://` or `inproc://`. With `--curve` the end that binds is the
//! server and takes every client; the keys are fixed and no secret. A process that sent stays until
//! its standard input is closed, so nothing depends on lingering; `lat-rep` ends there as well.
//!
//! A result is one line of JSON on the standard output; errors go to the standard error. The exit
//! code is 0 when all went well, 1 for an error, 3 when nothing came for so long that messages are
//! lost, 4 for what this program does not do, 5 for a message of the wrong length.
//!
//! The sockets are driven by a current-thread tokio runtime that also carries their connections.
//! With `CURVELINK_FACE=blocking` in the environment, threads block on them and one I/O thread
//! carries the connections. `CURVELINK_THR_HWM` is the high-water mark of the throughput commands
//! where `--hwm` is not given, `CURVELINK_BACKEND` the implementation of CURVE's cipher, by its name.

mod args;
mod connections;
mod exit;
mod face;
mod latency;
mod machine;
mod meter;
mod publish;
mod socket;
mod throughput;
mod watch;

use std::convert::Infallible;
use std::process::ExitCode;

use crate::args::Args;
use crate::exit::{Exit, unsupported};
use crate::face::Face;

fn main() -> ExitCode {
    let Err(error) = run();
    eprintln!("curvelink-peer: {error:#}");
    Exit::Failed.into()
}

/// Commands leave the process themselves, with their sockets open: taking them down is not part of
/// what is measured.
fn run() -> anyhow::Result<Infallible> {
    let args = Args::parse(std::env::args().skip(1), |name| std::env::var(name).ok())?;
    if args.in_process() && !args.command.starts_with("inproc-") {
        unsupported("inproc joins sockets of one process: use an inproc command");
    }
    if args.in_process() && args.curve {
        unsupported("nothing is sealed within a process");
    }
    face::run(args.blocking, |face| command(face, args))
}

async fn command(face: Face, args: Args) -> anyhow::Result<Infallible> {
    match &*args.command {
        "thr-recv" => throughput::recv(&face, &args).await,
        "thr-send" => throughput::send(&face, &args).await,
        "inproc-thr" => throughput::in_process(&face, args).await,
        "lat-rep" => latency::rep(&face, &args).await,
        "lat-req" => latency::req(&face, &args).await,
        "inproc-lat" => latency::in_process(&face, &args).await,
        "pub" => publish::publish(&face, &args).await,
        "sub" => publish::subscribe(&face, args).await,
        "conns-listen" => connections::listen(&face, &args).await,
        "conns-dial" => connections::dial(&face, &args).await,
        _ => unsupported("no such command"),
    }
}
