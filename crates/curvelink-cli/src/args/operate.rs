//! `curvelink doctor`, `curvelink reload`, `curvelink show`

use std::time::Duration;

use clap::Args;
use curvelink::SocketType;

use super::socket::seconds;

pub(crate) const RELOAD_HELP: &str = "\
Links that the new policy allows as before stay up; those of peers that it does not admit any more,
or grants less, are cut. Where a file is wrong nothing changes, and the exit code is 1.";

pub(crate) const DOCTOR_HELP: &str = "\
Exit codes: 0 nothing is wrong, 1 the name leads nowhere or the command line is wrong, 3 the peer
breaks the protocol, 4 not ZMTP, another mechanism, another server key, or not let in, 5 not
reached, or no answer. With --json, `outcome` tells each cause:
  ok  not-resolved  not-reached  silent  not-zmtp  legacy-version  mechanism-mismatch
  wrong-server-key  unknown-key  revoked-key  expired-key  refused-for-now  handler-error
  refused  closed  socket-type  timeout  damaged

Examples:
  curvelink doctor tcp://hub:5570 --as ci-scanner
  curvelink doctor tcp://hub:5570 --server-key hub.key --key my.key_secret --type SUB";

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// What to look at: tcp://HOST:PORT or ipc://PATH [default: the folder's hub]
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Be this identity of the folder that `curvelink init` made
    #[arg(long = "as", value_name = "NAME", conflicts_with = "key")]
    pub(crate) identity: Option<String>,
    /// Own secret CURVE key: FILE, `-`, env:NAME, fd:N or cred:NAME (see `curvelink --help`)
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Public CURVE key that the server must have: Z85, hex or FILE [default: the folder's hub]
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) server_key: Option<String>,
    /// The type of socket to be: one that the peer's talks to [default: DEALER, or what the
    /// folder's hub talks to]
    #[arg(long = "type", value_name = "TYPE", value_parser = socket_type)]
    pub(crate) kind: Option<SocketType>,
    /// How long to wait at each step
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0.7")]
    pub(crate) timeout: Duration,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

fn socket_type(text: &str) -> Result<SocketType, &'static str> {
    SocketType::from_name(text.to_ascii_uppercase().as_bytes())
        .ok_or("a type is REQ, REP, DEALER, ROUTER, PUB, SUB, XPUB, XSUB, PUSH, PULL or PAIR")
}

#[derive(Args)]
pub(crate) struct ReloadArgs {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ShowArgs {
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
