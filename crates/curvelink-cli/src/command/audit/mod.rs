//! `curvelink audit ...`: the journal made, read, proven and verified.

mod diff;
mod export;
mod prove;
mod show;
mod verify;

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use curvelink_audit::{Entries, JournalReader, RecipientKey, Record};
use curvelink_tlog::Note;
use serde_json::json;

use crate::args::audit::{AuditCommand, JournalArgs, ReadingArgs};
use crate::audit::{Place, interruptible, told};
use crate::exit::{Exit, failure, usage};
use crate::home::Home;
use crate::key::{Bare, Key};
use crate::output;
use crate::source::Source;

/// No checkpoint and no key is longer.
const MAX_SMALL_FILE: u64 = 64 * 1024;

pub(crate) async fn run(command: AuditCommand, dir: Option<&Path>) -> anyhow::Result<()> {
    match command {
        AuditCommand::Init { origin, json } => init(origin.as_deref(), json, dir),
        AuditCommand::Verify(args) => verify::run(args, dir).await,
        AuditCommand::Show(args) => show::run(&args, dir),
        AuditCommand::Tail(args) => show::tail(&args, dir).await,
        AuditCommand::Prove(args) => prove::run(&args, dir),
        AuditCommand::Diff(args) => diff::run(&args, dir),
        AuditCommand::Export(args) => export::run(args, dir).await,
        AuditCommand::Prune { before, json } => prune(before, json, dir).await,
    }
}

fn init(origin: Option<&str>, as_json: bool, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find(dir)?;
    let place = Place::of(&home);
    let anchor = place.create(&home, origin)?;
    let folder = place.journal.display().to_string();
    let made = json!({ "anchor": &anchor, "journal": &folder });
    output::either(as_json, &made, || anchor)?;
    output::note(&format!(
        "the journal is {folder}; keep this line elsewhere: every verification begins with it"
    ));
    Ok(())
}

async fn prune(before: u64, as_json: bool, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find(dir)?;
    let journal = Place::of(&home).open(&home)?;
    interruptible("removing", move |progress| {
        journal.prune(before, progress).map_err(told)
    })
    .await?;
    let kept = json!({ "first": before });
    Ok(output::either(as_json, &kept, || {
        format!("entries below {before} are gone")
    })?)
}

/// The folder that was named, or that of the folder's hub.
fn folder(named: Option<&Path>, dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    match named {
        Some(folder) => Ok(folder.to_owned()),
        None => Ok(Place::of(&Home::find(dir)?).journal),
    }
}

impl JournalArgs {
    fn open(&self, dir: Option<&Path>) -> anyhow::Result<JournalReader> {
        JournalReader::open(&folder(self.folder.as_deref(), dir)?).map_err(told)
    }
}

/// A key stands for itself: it has plus signs, and no path that is there.
pub(super) fn text_or_file(given: &str) -> anyhow::Result<String> {
    let path = Path::new(given);
    if given.contains('+') && !path.exists() {
        Ok(given.to_owned())
    } else {
        small_text(path)
    }
}

impl ReadingArgs {
    /// The key that was named.
    fn key(&self) -> anyhow::Result<Option<RecipientKey>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let pair = Key::load(&Source::parse(key)?, Bare::Secret)?.into_curve()?;
        Ok(Some(RecipientKey::new(pair.secret().expose_octets())))
    }
}

/// The entries, in clear as far as there is a key for them.
fn entries<'a>(
    reader: &'a JournalReader,
    range: Range<u64>,
    key: Option<&'a RecipientKey>,
) -> Entries<'a> {
    match key {
        Some(key) => reader.entries_for(range, key),
        None => reader.entries(range),
    }
}

/// A small file of text: a checkpoint or a key.
fn small_text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let mut text = String::new();
    let read = File::open(path)
        .and_then(|file| file.take(MAX_SMALL_FILE + 1).read_to_string(&mut text))
        .with_context(|| format!("cannot read {shown}"))?;
    if read as u64 > MAX_SMALL_FILE {
        return Err(usage(format!(
            "{shown} is too large for a checkpoint or a key"
        )));
    }
    Ok(text)
}

fn note(path: &Path) -> anyhow::Result<Note> {
    let text = small_text(path)?;
    text.parse().map_err(|_| {
        let shown = path.display();
        failure(Exit::Damaged, format!("{shown} holds no signed checkpoint"))
    })
}

/// The record of an entry, where this reader may read it.
fn record(octets: &[u8]) -> Option<Record> {
    Record::from_json(octets).ok()
}
