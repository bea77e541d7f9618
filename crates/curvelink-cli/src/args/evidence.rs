//! `curvelink verify`, `curvelink export`, `curvelink policy ...`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::socket::TrustArgs;

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// Saved messages: the .cle files, with their bodies beside them
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Print one JSON object per message
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The saved message: its .cle file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The form to write
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: ExportForm,
    /// Where to write: a file, or the name that .pae and .sig are appended to, or .tlog-proof,
    /// .entry and .vkey
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// With tlog-proof: the signer's public key, to be written as programs for logs take it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// A DSSE envelope in JSON, for securesystemslib and in-toto
    Dsse,
    /// A sigstore bundle in JSON, for cosign and @sigstore/verify
    Sigstore,
    /// The signed octets and the raw signature, for openssl pkeyutl
    Pae,
    /// Of a message that was signed in a batch: its c2sp.org/tlog-proof@v1 and the entry that it is
    /// for, for programs that check transparency logs
    TlogProof,
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum PolicyCommand {
    /// Read a policy file as the hub would, and say what is worth a second look
    Check {
        /// The policy file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Fail with exit code 2 where there is anything to look at twice
        #[arg(long)]
        strict: bool,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what a policy decides for somebody, and by which line
    #[command(
        after_help = "Example: curvelink policy explain zap.toml ci-scanner --publish findings/sast"
    )]
    Explain(ExplainArgs),
    /// Say who gains and who loses by a change: exit code 2 where anybody does, 0 where nobody
    Diff {
        /// The policy file as it is
        #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
        old: PathBuf,
        /// The policy file as it would be
        #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
        new: PathBuf,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Hash a password for a PLAIN user: the line to write as password_hash
    Password {
        /// Where the password is: FILE, `-`, env:NAME, fd:N or cred:NAME (see `curvelink --help`)
        #[arg(long, value_name = "SOURCE", default_value = "-")]
        from: String,
    },
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The policy file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Who: an identity's name, a public CURVE key in Z85 or hex, or a PLAIN user as user:NAME
    #[arg(value_name = "WHO", allow_hyphen_values = true)]
    pub(crate) who: String,
    /// May they publish this topic?
    #[arg(long, value_name = "TOPIC")]
    pub(crate) publish: Option<String>,
    /// May they subscribe to this prefix?
    #[arg(long, value_name = "PREFIX")]
    pub(crate) subscribe: Option<String>,
    /// May they enter this ZAP domain?
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// May they come from this address? An IP address, or ipc:uid=N
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// May they come by this endpoint of ours?
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// May their socket have this type, such as PUSH?
    #[arg(long, value_name = "TYPE")]
    pub(crate) pattern: Option<String>,
    /// May they have this routing id?
    #[arg(long, value_name = "ID")]
    pub(crate) routing_id: Option<String>,
    /// At which moment, such as 2026-11-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
