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
    /// Where to write: a file, or for pae the name that .pae and .sig are appended to
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// A DSSE envelope in JSON, for securesystemslib and in-toto
    Dsse,
    /// A sigstore bundle in JSON, for cosign and @sigstore/verify
    Sigstore,
    /// The signed octets and the raw signature, for openssl pkeyutl
    Pae,
}

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum PolicyCommand {
    /// Read a policy file as the hub would, and say what is worth a second look
    Check {
        /// The policy file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what a policy decides for somebody, and by which line
    #[command(
        after_help = "Example: curvelink policy explain zap.toml ci-scanner --publish findings/sast"
    )]
    Explain(ExplainArgs),
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
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
