//! `curvelink witness ...`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::hub::LogForm;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum WitnessCommand {
    /// Make the folder of a witness: keys, settings, and what its hubs must have
    Init(WitnessInitArgs),
    /// Watch the journal of a hub, and let that hub ask
    Watch(WitnessWatchArgs),
    /// Run the witness of a folder
    Up(WitnessUpArgs),
    /// Print the journals that were seen: how many entries, when, and where the checkpoint is
    Show {
        /// Print a JSON object for each
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct WitnessInitArgs {
    /// The folder to make; it must not exist, or be empty
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// What its signatures go by, for ever: a host name and a path [default: this host and the
    /// folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where hubs ask: tcp://ADDRESS:PORT
    #[arg(long, value_name = "ENDPOINT", default_value = "tcp://127.0.0.1:5580")]
    pub(crate) endpoint: String,
}

#[derive(Args)]
pub(crate) struct WitnessWatchArgs {
    /// The journal's anchor, as the hub's operator kept it: its file, or the key itself
    #[arg(value_name = "ANCHOR")]
    pub(crate) anchor: String,
    /// The hub's public CURVE key: Z85, hex or FILE
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) hub: String,
}

#[derive(Args)]
pub(crate) struct WitnessUpArgs {
    /// The form of the log on standard error
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(crate) log: LogForm,
}
