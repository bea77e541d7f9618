//! `curvelink sign | cosign`

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::socket::SignArgs;

pub(crate) const SIGN_HELP: &str = "\
Example, for topics that need two signers:
  curvelink sign --as alice restart/web order.json --out restart.cle
  curvelink cosign --as bob restart.cle
  curvelink pub --as alice --envelope restart.cle

The first signer sends it, or a relay does: the hub refuses it from anybody else.";

#[derive(Args)]
pub(crate) struct SignFileArgs {
    /// The topic of the message
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The body: each file is one frame
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Where to save the message: a name that ends in .cle; the body is kept beside it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Sign as this identity of the folder that `curvelink init` made
    #[arg(
        long = "as",
        value_name = "NAME",
        required_unless_present = "sign_key",
        conflicts_with = "sign_key"
    )]
    pub(crate) identity: Option<String>,
    #[command(flatten)]
    pub(crate) sign: SignArgs,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CosignArgs {
    /// The message: the .cle file, with its body beside it
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Sign as this identity of the folder that `curvelink init` made
    #[arg(long = "as", value_name = "NAME", required_unless_present = "sign_key")]
    pub(crate) identity: Option<String>,
    /// Sign with this Ed25519 key instead of the identity's: FILE, `-`, env:NAME, fd:N
    /// or cred:NAME
    #[arg(long, value_name = "KEY", conflicts_with = "identity")]
    pub(crate) sign_key: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
