//! `curvelink audit ...`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use curvelink_audit::format::Format;

use super::socket::seconds;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum AuditCommand {
    /// Make the journal of a folder that has none, and print its anchor: keep that elsewhere
    Init {
        /// The log's name, for ever: a host name and a path [default: this host and the folder]
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Verify a journal from its anchor on, and print what was checked
    Verify(AuditVerifyArgs),
    /// Print the entries
    Show(AuditShowArgs),
    /// Print entries as they are sealed, until interrupted
    Tail(AuditTailArgs),
    /// Print the proof of one entry, for somebody who has nothing else: a C2SP tlog-proof
    Prove(AuditProveArgs),
    /// Show that a journal was only added to between two checkpoints
    Diff(AuditDiffArgs),
    /// Write entries for a SIEM, or as an archive that can be verified by itself
    Export(AuditExportArgs),
    /// Let go of old entries; what is kept can be proven as before
    Prune {
        /// The first entry to keep: a multiple of 256
        #[arg(long, value_name = "INDEX")]
        before: u64,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Which journal.
#[derive(Args)]
pub(crate) struct JournalArgs {
    /// The journal's folder [default: `audit` in the folder that `curvelink init` made]
    #[arg(value_name = "JOURNAL", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct AuditVerifyArgs {
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// The anchor as it was kept elsewhere: its file, or the key itself [default: the folder's own
    /// copy, which whoever alters the journal may alter too]
    #[arg(long, value_name = "ANCHOR")]
    pub(crate) anchor: Option<String>,
    /// A checkpoint that was kept elsewhere; the journal must go on from it. May be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) witness: Vec<PathBuf>,
    /// The public key of a witness whose cosignatures count: a file or the key. May be repeated
    /// [default: those of the folder's settings, for the folder's own journal]
    #[arg(long, value_name = "VKEY")]
    pub(crate) cosigner: Vec<String>,
    /// How many of them must have signed [default: all, or as the folder's settings have it]
    #[arg(long, value_name = "K")]
    pub(crate) min_witnesses: Option<usize>,
    /// Take entries that no checkpoint covers yet: for a journal that is being written
    #[arg(long)]
    pub(crate) allow_tail: bool,
    /// Take an archive, which says nothing of what is not in it
    #[arg(long)]
    pub(crate) archive: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which entries, in which form.
#[derive(Args)]
pub(crate) struct SelectionArgs {
    /// Only events of this id or name, such as CL1002 or handshake-refused. May be repeated
    #[arg(long = "type", value_name = "EVENT")]
    pub(crate) kinds: Vec<String>,
    /// The form of an entry
    #[arg(long = "as", value_enum, value_name = "FORM", default_value = "text")]
    pub(crate) form: EntryForm,
    /// The same as `--as json`
    #[arg(long, conflicts_with = "form")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

/// Who reads.
#[derive(Args)]
pub(crate) struct ReadingArgs {
    /// A recipient's secret key: read the entries that are encrypted for it
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

#[derive(Args)]
pub(crate) struct AuditShowArgs {
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Only what happened in this time before now
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) since: Option<Duration>,
    /// The first entry
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
    /// Up to before this entry
    #[arg(long, value_name = "INDEX", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) to: u64,
}

#[derive(Args)]
pub(crate) struct AuditTailArgs {
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
}

#[derive(Args)]
pub(crate) struct AuditProveArgs {
    /// The entry
    #[arg(value_name = "INDEX", required_unless_present = "message")]
    pub(crate) index: Option<u64>,
    /// The entry that tells of this saved message: its .cle file
    #[arg(long, value_name = "FILE", conflicts_with = "index", value_hint = ValueHint::FilePath)]
    pub(crate) message: Option<PathBuf>,
    /// The journal's folder [default: as for verify]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) journal: Option<PathBuf>,
    /// Write the entry's octets, which the proof is about, to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) entry: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Args)]
pub(crate) struct AuditDiffArgs {
    /// The older checkpoint
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub(crate) old: PathBuf,
    /// The newer checkpoint
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub(crate) new: PathBuf,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// Print a JSON object, with the proof
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct AuditExportArgs {
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// The form to write
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(crate) form: ExportedForm,
    /// Where to write; appears when it is whole
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// The first entry
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
    /// Up to before this entry
    #[arg(long, value_name = "INDEX", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) to: u64,
    /// With an archive: a tlog-proof for each entry
    #[arg(long)]
    pub(crate) proofs: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EntryForm {
    /// A line for people
    Text,
    /// The entry as it is kept: one JSON object
    Json,
    /// OCSF, JSON
    Ocsf,
    /// RFC 5424
    Syslog,
    /// ArcSight's Common Event Format
    Cef,
    /// Elastic Common Schema, JSON
    Ecs,
    /// The fields of the systemd journal
    Journald,
}

impl EntryForm {
    /// The format; `None` for people.
    pub(crate) const fn format(self) -> Option<Format> {
        Some(match self {
            Self::Text => return None,
            Self::Json => Format::Json,
            Self::Ocsf => Format::Ocsf,
            Self::Syslog => Format::Syslog,
            Self::Cef => Format::Cef,
            Self::Ecs => Format::Ecs,
            Self::Journald => Format::Journald,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportedForm {
    /// A tar file: entries, hashes, checkpoints and public keys
    Archive,
    /// The entries as they are kept: a JSON object on each line
    Json,
    /// OCSF, JSON
    Ocsf,
    /// RFC 5424
    Syslog,
    /// ArcSight's Common Event Format
    Cef,
    /// Elastic Common Schema, JSON
    Ecs,
    /// The fields of the systemd journal
    Journald,
}

impl ExportedForm {
    /// The format of a line; `None` of an archive.
    pub(crate) const fn format(self) -> Option<Format> {
        Some(match self {
            Self::Archive => return None,
            Self::Json => Format::Json,
            Self::Ocsf => Format::Ocsf,
            Self::Syslog => Format::Syslog,
            Self::Cef => Format::Cef,
            Self::Ecs => Format::Ecs,
            Self::Journald => Format::Journald,
        })
    }
}
