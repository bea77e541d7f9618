//! One walk over checkpoints and entries, in step.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curvelink_tlog::{Checkpoint, Note};

use super::VerifyOptions;
use super::epochs::Epochs;
use super::report::{Finding, Report, Rule};
use super::tree::Tree;
use crate::Progress;
use crate::journal::checkpoints::Notes;
use crate::journal::encrypt::is_encrypted;
use crate::journal::error::{About, Damage, JournalError};
use crate::journal::files;
use crate::journal::notice::Notice;
use crate::journal::wal;
use crate::reader::{Entries, JournalReader, parse};
use crate::witness::cosignatures;

const LOG: &str = "checkpoints.log";
/// Entries between two looks at the progress.
const STEP: u64 = 4096;

pub(super) fn run(
    reader: &JournalReader,
    options: &VerifyOptions,
    report: &mut Report,
    progress: &mut dyn Progress,
) -> Result<(), Finding> {
    let min_index = reader.state.min_index;
    report.origin = reader.origin().to_owned();
    report.first = min_index;
    report.size = reader.checkpoint().head.size;
    report.is_archive = reader.state.archive;
    if report.is_archive && !options.allow_archive {
        let what = "says that this is an archive: it shows nothing of what is not in it";
        return Err(bad(Rule::Growth, None, "state.json", what));
    }
    let mut epochs = Epochs::new(&reader.layout, reader.origin(), &options.anchor)?;
    if min_index > 0 {
        epochs.read_certificates(min_index)?;
    }
    let mut walk = Walk {
        reader,
        options,
        report,
        progress,
        epochs,
        tree: Tree::new(reader.tiles(), reader.checkpoint().head.size, min_index)?,
        entries: reader.entries(0..u64::MAX),
        outside: Vec::new(),
        time: None,
        last_size: 0,
        pruned: 0,
    };
    walk.look_outside()?;
    let notes = Notes::open(&reader.layout.checkpoints()).about(LOG)?;
    let mut last = String::new();
    for note in notes {
        last = note.map_err(|error| walk.unreadable(error))?;
        walk.checkpoint(&last)?;
        if walk.last_size >= walk.reader.checkpoint().head.size && last == walk.reader.note() {
            break;
        }
    }
    walk.finish(&last)
}

struct Walk<'a> {
    reader: &'a JournalReader,
    options: &'a VerifyOptions,
    report: &'a mut Report,
    progress: &'a mut dyn Progress,
    epochs: Epochs<'a>,
    tree: Tree<'a>,
    entries: Entries<'a>,
    /// Checkpoints that were kept elsewhere, the largest first.
    outside: Vec<(Checkpoint, Note)>,
    time: Option<SystemTime>,
    last_size: u64,
    /// What the entries say of how far the journal was pruned.
    pruned: u64,
}

impl Walk<'_> {
    /// Gathers what was kept elsewhere, and what witnesses signed.
    fn look_outside(&mut self) -> Result<(), Finding> {
        let mut notes = self.options.witnessed.clone();
        if self.options.min_witnesses > 0 {
            notes.push(self.cosigned()?);
        }
        for note in notes {
            let checkpoint: Option<Checkpoint> = note.text().parse().ok();
            let checkpoint = checkpoint.filter(|it| it.origin == self.reader.origin());
            let what = "has another origin than the checkpoint that was kept elsewhere";
            let checkpoint =
                checkpoint.ok_or_else(|| bad(Rule::Witness, None, "state.json", what))?;
            let newest = self.reader.checkpoint().head.size;
            if checkpoint.head.size > newest {
                let what = "ends before the checkpoint that was kept elsewhere: it was cut back";
                return Err(bad(Rule::Witness, newest, LOG, what));
            }
            self.outside.push((checkpoint, note));
        }
        self.outside
            .sort_by_key(|(it, _)| std::cmp::Reverse(it.head.size));
        Ok(())
    }

    /// The checkpoint that enough witnesses signed.
    fn cosigned(&self) -> Result<Note, Finding> {
        const FILE: &str = "checkpoint.witnessed";
        let octets = files::read_bounded(&self.reader.layout.witnessed(), 1 << 20);
        let octets = files::if_there(octets).about(FILE)?;
        let text = octets.and_then(|octets| String::from_utf8(octets).ok());
        let note: Option<Note> = text.and_then(|text| text.parse().ok());
        let what = "is not signed by as many witnesses as it should be";
        let few = || bad(Rule::Witness, None, FILE, what);
        let note = note.ok_or_else(few)?;
        if cosignatures(&note, &self.options.cosigners) < self.options.min_witnesses {
            return Err(few());
        }
        Ok(note)
    }

    fn checkpoint(&mut self, text: &str) -> Result<(), Finding> {
        let size = self.tree.size();
        let malformed = || {
            let what = "holds something that is no checkpoint of this log";
            bad(Rule::Growth, size, LOG, what)
        };
        let note: Note = text.parse().map_err(|_| malformed())?;
        let checkpoint = parse(text).filter(|it| it.origin == self.reader.origin());
        let head = checkpoint.ok_or_else(malformed)?.head;
        if head.size < self.last_size || head.size > self.reader.checkpoint().head.size {
            return Err(bad(Rule::Growth, head.size, LOG, "does not only grow"));
        }
        if head.size < self.report.first {
            // Its root is of entries that are gone; its signature still counts.
            self.epochs.pass(head.size.saturating_sub(1))?;
            self.report.old_checkpoints += 1;
        } else {
            self.advance(head.size)?;
            if self.tree.head() != head {
                let what = "has a root that the entries from here on do not lead to";
                return Err(bad(Rule::Roots, self.last_size, LOG, what));
            }
        }
        self.epochs.check(&note, head.size)?;
        self.last_size = head.size;
        self.report.checkpoints += 1;
        self.time(&note, head.size);
        Ok(())
    }

    /// Reads entries up to a size, and compares what was kept elsewhere on the way.
    fn advance(&mut self, size: u64) -> Result<(), Finding> {
        loop {
            self.compare_outside()?;
            let index = self.tree.size();
            if index >= size {
                return Ok(());
            }
            if index.is_multiple_of(STEP) && !self.progress.tell(index, self.report.size) {
                return Err(interrupted());
            }
            let entry = self.entries.next();
            let entry = entry.ok_or_else(interrupted)??.octets;
            self.tree.push(&entry)?;
            let notice = Notice::read(&entry);
            self.epochs.see(index, &entry, notice.as_ref())?;
            self.see(&entry, notice);
        }
    }

    fn see(&mut self, entry: &[u8], notice: Option<Notice>) {
        if is_encrypted(entry) {
            self.report.encrypted += 1;
        }
        match notice {
            Some(Notice::Pruned { index }) => self.pruned = self.pruned.max(index),
            Some(Notice::Lost { lost }) => self.report.lost += lost,
            _ => {}
        }
    }

    fn compare_outside(&mut self) -> Result<(), Finding> {
        while let Some((checkpoint, note)) = self.outside.last() {
            let head = checkpoint.head;
            if head.size > self.tree.size() {
                return Ok(());
            }
            if head.size < self.tree.size() {
                // Only at the beginning: its entries are gone.
                let size = head.size;
                let text = format!("the checkpoint of {size} entries is older than what is kept");
                self.report.warn(Rule::Witness, text);
            } else if head != self.tree.head() || !self.epochs.is_signed(note) {
                let what = "is not the log that was kept elsewhere up to here";
                let first = self.report.witnessed.unwrap_or(self.report.first);
                return Err(bad(Rule::Witness, first, "tile/entries", what));
            } else {
                self.report.witnessed = Some(head.size);
            }
            self.outside.pop();
        }
        Ok(())
    }

    /// R5, by the line that the journal adds to its checkpoints.
    fn time(&mut self, note: &Note, size: u64) {
        let line = note
            .text()
            .lines()
            .nth(3)
            .and_then(|line| line.strip_prefix("time "));
        let ms = line
            .and_then(|ms| ms.parse().ok())
            .map(Duration::from_millis);
        let Some(time) = ms.and_then(|ms| UNIX_EPOCH.checked_add(ms)) else {
            return;
        };
        if let Some(before) = self.time {
            match time.duration_since(before) {
                Ok(gap) if gap > self.options.heartbeat * 2 => {
                    let seconds = gap.as_secs();
                    let text = format!("no checkpoint for {seconds} s before entry {size}");
                    self.report.warn(Rule::Heartbeat, text);
                }
                Err(back) => {
                    let seconds = back.duration().as_secs();
                    let text = format!("the clock went back {seconds} s before entry {size}");
                    self.report.warn(Rule::Heartbeat, text);
                }
                Ok(_) => {}
            }
        }
        self.time = Some(time);
        let first = self.report.times.map_or(time, |(first, _)| first);
        self.report.times = Some((first, time));
    }

    fn finish(&mut self, last: &str) -> Result<(), Finding> {
        self.epochs.finish()?;
        self.report.epochs = self.epochs.epoch() + 1;
        self.report.root = Some(self.tree.head().root);
        if self.report.first > 0 && !self.report.is_archive && self.pruned != self.report.first {
            let what = "says that entries were let go, and no entry says so";
            return Err(bad(Rule::Growth, self.report.first, "state.json", what));
        }
        self.published(last)?;
        self.tail()?;
        self.progress.tell(self.report.size, self.report.size);
        Ok(())
    }

    /// `checkpoint` is the newest; it may be an older one after a crash, and in a live journal.
    fn published(&self, last: &str) -> Result<(), Finding> {
        let octets = files::read_bounded(&self.reader.layout.checkpoint(), 1 << 20);
        let octets = files::if_there(octets).about("checkpoint")?;
        let text = octets.and_then(|octets| String::from_utf8(octets).ok());
        let damage = |what| Damage::new(None, Path::new("checkpoint"), what);
        let missing = || Finding::Damaged(Rule::Growth, damage("is missing or no text"));
        let text = text.ok_or_else(missing)?;
        if text == last || self.options.allow_tail && self.is_logged(&text)? {
            return Ok(());
        }
        Err(Finding::Bad(
            Rule::Growth,
            damage("is not the newest checkpoint"),
        ))
    }

    /// Whether a checkpoint stands in the log as it is now, which may have grown meanwhile.
    fn is_logged(&self, text: &str) -> Result<bool, Finding> {
        for note in Notes::open(&self.reader.layout.checkpoints()).about(LOG)? {
            if note.map_err(|error| self.unreadable(error))? == text {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tail(&mut self) -> Result<(), Finding> {
        if self.report.is_archive {
            return Ok(());
        }
        let contents = wal::read(&self.reader.layout.wal()).about("wal")?;
        let size = self.report.size;
        let after = contents
            .records
            .iter()
            .filter(|(index, _)| *index >= size)
            .count();
        self.report.tail = after as u64;
        let is_clean = after == 0 && contents.rest.is_empty();
        if is_clean || self.options.allow_tail {
            return Ok(());
        }
        Err(bad(
            Rule::Growth,
            size,
            "wal",
            "has entries that no checkpoint covers",
        ))
    }

    fn unreadable(&self, error: std::io::Error) -> Finding {
        if error.kind() == ErrorKind::InvalidData {
            let what = "is damaged from here on";
            let damage = Damage::new(self.tree.size(), Path::new(LOG), what);
            return Finding::Damaged(Rule::Growth, damage);
        }
        JournalError::Io {
            file: LOG.into(),
            error,
        }
        .into()
    }
}

fn bad(rule: Rule, index: impl Into<Option<u64>>, file: &str, what: &'static str) -> Finding {
    Finding::Bad(rule, Damage::new(index, Path::new(file), what))
}

fn interrupted() -> Finding {
    Finding::Stopped(JournalError::from(ErrorKind::Interrupted))
}
