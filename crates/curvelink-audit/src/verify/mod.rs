//! Whether a journal is what was signed, from its anchor to its newest checkpoint.

mod epochs;
mod report;
mod tree;
mod walk;

use std::path::Path;
use std::time::Duration;

use curvelink_tlog::{Note, VerifyingCosignerKey, VerifyingNoteKey};

use self::report::Finding;
pub use self::report::{Check, Outcome, Report, Rule, Verdict};

use crate::journal::JournalError;
use crate::{JournalReader, Progress};

/// What only somebody outside can tell, in one sentence for whoever reads a verdict.
pub const ONLY_A_WITNESS: &str = "a journal that was cut back to an older checkpoint, or removed \
    as a whole, looks right from the inside: only a checkpoint that was kept elsewhere shows it";

/// What a journal is verified against.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// The public key of the first epoch, as it was kept elsewhere since the journal was made.
    pub anchor: VerifyingNoteKey,
    /// Checkpoints that were kept elsewhere. The journal must go on from each of them.
    pub witnessed: Vec<Note>,
    /// Witnesses whose cosignatures count.
    pub cosigners: Vec<VerifyingCosignerKey>,
    /// So many of them must have signed a checkpoint of the journal. Default 0.
    pub min_witnesses: usize,
    /// Whether entries may follow the newest checkpoint: a journal that is being written has some
    /// for a second. Default: no.
    pub allow_tail: bool,
    /// Whether it may be an archive, which says nothing of what is not in it. Default: no.
    pub allow_archive: bool,
    /// How often the journal signs at least; twice as long without a checkpoint is told. Default
    /// 60 s.
    pub heartbeat: Duration,
}

impl VerifyOptions {
    /// Against an anchor, and nothing else that was kept elsewhere.
    #[must_use]
    pub const fn new(anchor: VerifyingNoteKey) -> Self {
        Self {
            anchor,
            witnessed: Vec::new(),
            cosigners: Vec::new(),
            min_witnesses: 0,
            allow_tail: false,
            allow_archive: false,
            heartbeat: Duration::from_secs(60),
        }
    }
}

/// Verifies a journal: reads all of it, and stops at the first thing that is wrong.
///
/// # Errors
///
/// [`JournalError::Missing`] where there is no journal; [`JournalError::Io`] where the system does
/// not let it be read, of the kind [`Interrupted`](std::io::ErrorKind::Interrupted) when
/// `progress` said so. What is wrong with the journal is no error but the [`Report`]'s.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    progress: &mut dyn Progress,
) -> Result<Report, JournalError> {
    let mut report = Report::default();
    let finding = JournalReader::open(folder)
        .map_err(Finding::from)
        .and_then(|reader| walk::run(&reader, options, &mut report, progress));
    match finding {
        Ok(()) => report.pass_rest(),
        Err(Finding::Stopped(error)) => return Err(error),
        Err(finding) => report.fail(finding),
    }
    Ok(report)
}
