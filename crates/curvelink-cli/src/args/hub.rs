//! `curvelink init`, `curvelink up` and `curvelink demo`

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

#[derive(Args)]
pub(crate) struct InitArgs {
    /// The folder to make; it must not exist, or be empty
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The hub's first port on 127.0.0.1; subscribers use the next one. 0: any, found by clients
    /// through the folder
    #[arg(long, value_name = "PORT", default_value_t = 5570)]
    pub(crate) port: u16,
}

#[derive(Args)]
pub(crate) struct UpArgs {
    /// The form of the log on standard error
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    pub(crate) log: LogForm,
    /// Print the `ready` line as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// One line of text per event
    Text,
    /// One JSON object per event
    Json,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// The findings to publish: a SARIF file [default: bandit's findings in requests 2.6.0]
    #[arg(long, value_name = "FINDINGS", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
}
