//! `curvelink pub | sub | push | pull | req | rep`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use curvelink::{CurveBackend, UnknownBackend};

/// Who this side is, and whom it talks to.
#[derive(Args)]
pub(crate) struct SecurityArgs {
    /// Be this identity of the folder that `curvelink init` made
    #[arg(long = "as", value_name = "NAME", conflicts_with = "key")]
    pub(crate) identity: Option<String>,
    /// Own secret CURVE key: FILE, `-`, env:NAME, fd:N or cred:NAME (see `curvelink --help`)
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Public CURVE key that the server must have: Z85, hex or FILE [default: the folder's hub]
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) server_key: Option<String>,
    /// With --bind: who may connect [default: the folder's policy]
    #[arg(long, value_name = "FILE", requires = "bind", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<PathBuf>,
    /// With --bind: the domain that a peer must be allowed to enter [default: the folder's]
    #[arg(long, value_name = "DOMAIN", requires = "bind")]
    pub(crate) domain: Option<String>,
    /// With keys: what seals messages, dryoc (fast, young, not audited) or rustcrypto (slower, long
    /// in use); the peer need not use the same [default: the folder's, or dryoc]
    #[arg(long, value_name = "NAME", value_parser = curve_backend)]
    pub(crate) curve_backend: Option<CurveBackend>,
    /// Without keys: talk in clear text also where others can listen, change and forge
    #[arg(long, conflicts_with_all = ["identity", "key"])]
    pub(crate) allow_clear_text_beyond_this_host: bool,
}

/// How long to wait, and for how many.
#[derive(Args)]
pub(crate) struct PatienceArgs {
    /// Give up after so many seconds without a peer (10 unless given) or a message (never unless
    /// given)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// What is sent.
#[derive(Args)]
pub(crate) struct InputArgs {
    /// The message's body: a file, or `-` for standard input
    #[arg(value_name = "FILE", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) cut: CutArgs,
}

/// How input is cut into messages.
#[derive(Args)]
pub(crate) struct CutArgs {
    /// Send each line as one message
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) lines: bool,
    /// Send each line as one message: {"frames":["text",{"base64":"..."}]}
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// How received messages are shown.
#[derive(Args)]
pub(crate) struct ShowArgs {
    /// Print each message as one JSON object: its frames, and who sent it
    #[arg(long, alias = "jsonl", conflicts_with = "raw")]
    pub(crate) json: bool,
    /// Print the octets of the body as they are, without line feeds between messages
    #[arg(long)]
    pub(crate) raw: bool,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

#[derive(Args)]
#[command(override_usage = "curvelink pub [OPTIONS] [ENDPOINT] TOPIC [FILE]")]
pub(crate) struct PubArgs {
    /// The endpoint of the hub, unless it is the folder's; the topic; the file with the body,
    /// unless it comes from standard input
    #[arg(value_name = "ENDPOINT|TOPIC|FILE", required_unless_present = "envelope", num_args = 1..=3)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    #[command(flatten)]
    pub(crate) cut: CutArgs,
    #[command(flatten)]
    pub(crate) sign: SignArgs,
    /// Send this message, which `curvelink sign` made, with its signatures: the .cle file
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["lines", "jsonl", "sign_key", "content_type", "traceparent", "heartbeat"]
    )]
    pub(crate) envelope: Option<PathBuf>,
    /// Say every so many seconds, signed, how many messages the topic has had, and go on after the
    /// last until stopped; 0 is never [default: 5 s after a message and then every 60 s, until the
    /// input ends]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) heartbeat: Option<Duration>,
    /// Wait for so many subscribers before sending
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) wait: usize,
    /// Send to subscribers themselves: any ZeroMQ SUB socket, no hub between
    #[arg(long)]
    pub(crate) direct: bool,
    /// Let subscribers connect to ENDPOINT; implies --direct
    #[arg(long)]
    pub(crate) bind: bool,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
    /// Print a JSON object per message sent
    #[arg(long)]
    pub(crate) json: bool,
}

/// How messages are signed.
#[derive(Args)]
pub(crate) struct SignArgs {
    /// Sign with this Ed25519 key instead of the identity's: FILE, `-`, env:NAME, fd:N
    /// or cred:NAME
    #[arg(long, value_name = "KEY", requires_all = ["signer", "audience"])]
    pub(crate) sign_key: Option<String>,
    /// With --sign-key: the name that receivers know the key by
    #[arg(long, value_name = "NAME", requires = "sign_key")]
    pub(crate) signer: Option<String>,
    /// With --sign-key: whom the messages are for
    #[arg(long, value_name = "NAME", requires = "sign_key")]
    pub(crate) audience: Option<String>,
    /// The media type of the body [default: by the file's name]
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,
    /// The trace that the messages are part of, as the W3C writes it: 00-TRACE-PARENT-FLAGS
    /// [default: the environment variable TRACEPARENT]
    #[arg(long, value_name = "VALUE")]
    pub(crate) traceparent: Option<String>,
}

/// Whose signatures are believed.
#[derive(Args, Default)]
pub(crate) struct TrustArgs {
    /// Trust this signer instead of those of the folder's policy: its name and public key file
    #[arg(long, value_name = "NAME=FILE", requires = "audience")]
    pub(crate) signer: Vec<String>,
    /// With --signer: so many of those must have signed each message
    #[arg(long, value_name = "N", default_value_t = 1, requires = "signer")]
    pub(crate) threshold: usize,
    /// Whom the messages must be for [default: what curvelink.toml says]
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Vec<String>,
}

#[derive(Args)]
#[command(override_usage = "curvelink sub [OPTIONS] [ENDPOINT] PREFIX...")]
pub(crate) struct SubArgs {
    /// The endpoint of the publisher, unless it is the folder's hub; the prefixes of the topics to
    /// receive, "" for every topic
    #[arg(value_name = "ENDPOINT|PREFIX", required = true)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Save each verified message here: its .cle file and its body beside it
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) save: Option<PathBuf>,
    /// Let publishers connect to ENDPOINT
    #[arg(long)]
    pub(crate) bind: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

#[derive(Args)]
pub(crate) struct PushArgs {
    /// Where: tcp://HOST:PORT or ipc://PATH
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// Wait for so many peers before sending
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) wait: usize,
    /// Let peers connect to ENDPOINT
    #[arg(long)]
    pub(crate) bind: bool,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

#[derive(Args)]
pub(crate) struct PullArgs {
    /// Where: tcp://HOST:PORT or ipc://PATH
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// Let peers connect to ENDPOINT
    #[arg(long)]
    pub(crate) bind: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

#[derive(Args)]
pub(crate) struct ReqArgs {
    /// Where: tcp://HOST:PORT or ipc://PATH
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// Let the replier connect to ENDPOINT
    #[arg(long)]
    pub(crate) bind: bool,
    /// Print each reply as one JSON object
    #[arg(long, conflicts_with = "raw")]
    pub(crate) json: bool,
    /// Print the octets of each reply as they are
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

#[derive(Args)]
pub(crate) struct RepArgs {
    /// Where: tcp://HOST:PORT or ipc://PATH
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// Let requesters connect to ENDPOINT
    #[arg(long)]
    pub(crate) bind: bool,
    /// Answer each request with itself; otherwise with the next line of standard input
    #[arg(long)]
    pub(crate) echo: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

fn curve_backend(name: &str) -> Result<CurveBackend, UnknownBackend> {
    name.parse()
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "a number of seconds is needed".to_owned())?;
    let range = "it must be from 0 to 1000000000 seconds";
    if seconds > 1e9 {
        return Err(range.to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| range.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_any_number_that_a_clock_can_wait_for() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["", "-1", "nan", "inf", "1e10", "1e30", "5s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
