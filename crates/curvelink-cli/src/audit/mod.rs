//! The hub's journal: where it is, and who writes what happens into it.

mod keeper;
mod progress;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use curvelink_audit::{Journal, JournalError, Origin};
use curvelink_zap::{FileProblem, OwnedFile};

pub(crate) use keeper::Keeper;
pub(crate) use progress::interruptible;

use crate::exit::{Exit, failure, usage};
use crate::home::Home;
use crate::secret_file;

/// The journal's folder, and its public key, below the folder that `init` made.
const JOURNAL: &str = "audit";
const ANCHOR: &str = "audit.vkey";

/// Where the journal of a folder is.
pub(crate) struct Place {
    pub(crate) journal: PathBuf,
    pub(crate) anchor: PathBuf,
    key: PathBuf,
}

impl Place {
    pub(crate) fn of(home: &Home) -> Self {
        Self {
            journal: home.path(JOURNAL),
            anchor: home.path(ANCHOR),
            // Not in the journal's folder: whoever copies that must not get it too.
            key: home.path("state/epoch.key"),
        }
    }

    /// Makes the journal; gives the anchor, which is written beside it as well.
    pub(crate) fn create(&self, home: &Home, origin: Option<&str>) -> anyhow::Result<String> {
        if self.anchor.exists() {
            return Err(usage(format!(
                "{} is there: the folder has a journal, or had one",
                self.anchor.display()
            )));
        }
        home.state_folder()?;
        if self.key.exists() {
            return Err(usage(format!(
                "{} is there: it is the key of a journal that is gone; move it away to begin \
                 another",
                self.key.display()
            )));
        }
        let origin = match origin {
            Some(origin) => origin.to_owned(),
            None => default_name(&home.path("."))?,
        };
        let settings = home.config.audit.settings();
        let created = Journal::create(&self.journal, &self.key, &origin, settings);
        let anchor = created.map_err(told)?;
        secret_file::create_public(&self.anchor, &format!("{anchor}\n"))?;
        Ok(anchor)
    }

    /// Opens the journal to write, and makes it where the folder never had one.
    ///
    /// # Errors
    /// Where it had one that is gone: what removed it is to be found before there is another. Where
    /// others can read or replace the secret key, or change the journal.
    pub(crate) fn open(&self, home: &Home) -> anyhow::Result<Arc<Journal>> {
        if !self.journal.exists() {
            if self.anchor.exists() {
                return Err(usage(format!(
                    "{} is gone, and its anchor is there: bring it back, or move {} away and \
                     begin another",
                    self.journal.display(),
                    self.anchor.display()
                )));
            }
            self.create(home, None)?;
        }
        owned(&self.key, true)?;
        owned(&self.journal.join("state.json"), false)?;
        let mut settings = home.config.audit.settings();
        settings.origin = here();
        let journal = Journal::open(&self.journal, &self.key, settings).map_err(told);
        Ok(Arc::new(journal.with_context(|| {
            format!("the journal {}", self.journal.display())
        })?))
    }
}

/// Refuses a file that somebody else could change, or read if it is secret. What is not there is
/// the journal's to tell.
fn owned(path: &Path, secret: bool) -> anyhow::Result<()> {
    let check = || {
        let file = OwnedFile::open(path)?;
        file.check_not_a_link()?;
        // Where modes are not known, who reads it is the administrator's care.
        if secret && cfg!(unix) {
            file.check_readers()?;
        }
        file.check_writers()
    };
    match check() {
        Err(FileProblem::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        checked => checked.map_err(|problem| usage(format!("{} {problem}", path.display()))),
    }
}

/// What is damaged ends the program with the code for that.
pub(crate) fn told(error: JournalError) -> anyhow::Error {
    match &error {
        JournalError::Damaged(_) => failure(Exit::Damaged, error.to_string()),
        JournalError::Inconsistent => failure(Exit::VerificationFailed, error.to_string()),
        JournalError::Io { error, .. } if error.kind() == io::ErrorKind::Interrupted => {
            usage("interrupted: nothing is harmed, run it again")
        }
        _ => usage(error.to_string()),
    }
}

/// This host and the folder's name.
pub(crate) fn default_name(folder: &Path) -> anyhow::Result<String> {
    let folder = folder.canonicalize()?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{}/{}", tame(&host()), tame(&name)))
}

/// Text with nothing in it that means something in a path, a URL or a key.
pub(crate) fn tame(text: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    text.chars()
        .map(|c| if kept(c) { c } else { '-' })
        .collect()
}

/// Who records: host, boot and program.
pub(crate) fn here() -> Origin {
    let boot = read_line("/proc/sys/kernel/random/boot_id");
    Origin::new(
        &host(),
        &boot,
        concat!("curvelink ", env!("CARGO_PKG_VERSION")),
    )
}

fn host() -> String {
    let host = read_line("/proc/sys/kernel/hostname");
    if host.is_empty() {
        "localhost".to_owned()
    } else {
        host
    }
}

fn read_line(path: impl AsRef<Path>) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
