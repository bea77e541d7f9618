//! `curvelink key ...`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::key::Form;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum KeyCommand {
    /// Make a key: for connections (CURVE), or for signatures (Ed25519)
    #[command(after_help = "Example: curvelink key gen --out hub.key")]
    Gen(GenArgs),
    /// Print the public key of a secret key: curvelink key gen | curvelink key pub
    Pub(PubArgs),
    /// Say what a key file holds; a secret is never shown
    Show(ShowArgs),
    /// Write a key in another form
    #[command(after_help = "Examples:\n  \
        curvelink key convert --to pem hub.key --out hub.pem\n  \
        curvelink key convert --public --to czmq hub.key > hub.pub")]
    Convert(ConvertArgs),
    /// Replace a CURVE key of a folder while everything runs: the hub's, or an identity's
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
}

const ROTATE_HELP: &str = "\
Without --begin, --finish or --abort it prints what is to be done, by whom, and changes nothing.
Each step can be repeated; one that was cut short goes on where it ended. A hub that runs reads
what was changed at once. Signing keys are not replaced: list a second one in the policy by hand.

Examples:
  curvelink key rotate hub
  curvelink key rotate hub --begin
  curvelink key rotate hub --finish
  curvelink key rotate ci-scanner --begin";

#[derive(Args)]
pub(crate) struct RotateArgs {
    /// Whose key: hub, or the name of an identity
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Make the next key, and have it accepted beside the one in use
    #[arg(long, conflicts_with_all = ["finish", "abort"])]
    pub(crate) begin: bool,
    /// Have the next key accepted alone, and destroy the old one
    #[arg(long, conflicts_with = "abort")]
    pub(crate) finish: bool,
    /// Go back to the old key, and destroy the next one
    #[arg(long)]
    pub(crate) abort: bool,
    /// With --finish or --abort: also while peers are connected by the key that goes; they cannot
    /// come back before they have the other one
    #[arg(long)]
    pub(crate) even_if_peers_are_left_behind: bool,
}

#[derive(Args)]
pub(crate) struct GenArgs {
    /// Make an Ed25519 key, to sign messages with
    #[arg(long)]
    pub(crate) sign: bool,
    /// Write the secret key to this new file, readable by its owner only, and print the public key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
    /// The form of the secret key [default: czmq for CURVE, pem for Ed25519]
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) to: Option<Form>,
}

#[derive(Args)]
pub(crate) struct PubArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The form of the public key [default: z85 for CURVE, pem for Ed25519]
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) to: Option<Form>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) bare: BareArgs,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) bare: BareArgs,
    /// The form to write
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) to: Form,
    /// Write to this new file; one with a secret is readable by its owner only
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,
}

/// Where a key is read from.
#[derive(Args)]
pub(crate) struct Input {
    /// The key: FILE, `-` for standard input, env:NAME, fd:N or cred:NAME (see `curvelink --help`)
    #[arg(value_name = "KEY", default_value = "-", value_hint = ValueHint::FilePath)]
    pub(crate) key: String,
}

/// What a text is that does not say it itself: 40 characters of Z85, or 64 of hex.
#[derive(Args)]
pub(crate) struct BareArgs {
    /// Take a bare Z85 or hex text for a public key; write the public half of any key
    #[arg(long, conflicts_with_all = ["secret", "seed"])]
    pub(crate) public: bool,
    /// Take a bare Z85 or hex text for a secret CURVE key
    #[arg(long, conflicts_with = "seed")]
    pub(crate) secret: bool,
    /// Take a bare hex text for the secret seed of an Ed25519 key
    #[arg(long)]
    pub(crate) seed: bool,
}
