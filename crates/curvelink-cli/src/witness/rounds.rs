//! The hub's witnesses: each new checkpoint is shown to all of them, and kept once enough have
//! signed it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use curvelink::Context;
use curvelink_audit::{Journal, JournalReader};
use curvelink_tlog::{Note, NoteSignature};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::ask::Asked;
use super::status::{WitnessStatus, Witnessed};
use super::told::{self, Trouble};
use crate::audit::Place;
use crate::home::Home;

/// Checkpoints are shown no more often.
const PERIOD: Duration = Duration::from_secs(1);

/// A task that has the journal's checkpoints signed; ends when dropped.
#[derive(Debug)]
pub(crate) struct Witnesses {
    task: JoinHandle<()>,
    status: watch::Receiver<Witnessed>,
}

impl Witnesses {
    /// Begins; `None` where the settings name no witness.
    pub(crate) fn start(context: &Context, home: &Home, journal: &Arc<Journal>) -> Option<Self> {
        let audit = &home.config.audit;
        if audit.witness.is_empty() {
            return None;
        }
        let witnesses = audit.witness.iter();
        let (tell, status) = watch::channel(Witnessed {
            wanted: audit.min_witnesses(),
            enough: None,
            witnesses: witnesses.map(|it| WitnessStatus::new(&it.key)).collect(),
        });
        let rounds = Rounds {
            context: context.clone(),
            home: home.clone(),
            journal: Arc::clone(journal),
            idle: audit
                .witness
                .iter()
                .cloned()
                .map(Asked::new)
                .enumerate()
                .collect(),
            asking: JoinSet::new(),
            waited_for: 0,
            shown: None,
            is_due: false,
            earliest: Instant::now(),
            within: audit.witness_within(),
            behind_since: None,
            is_told: false,
            tell,
        };
        let task = tokio::spawn(rounds.run());
        Some(Self { task, status })
    }

    /// How they do, always the newest.
    pub(crate) fn status(&self) -> watch::Receiver<Witnessed> {
        self.status.clone()
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        // A checkpoint that is being kept is kept: that is no part of the task.
        self.task.abort();
    }
}

/// A checkpoint as witnesses are asked about it.
struct Shown {
    journal: Arc<JournalReader>,
    note: Note,
}

/// What came of asking one.
struct Outcome {
    place: usize,
    asked: Asked,
    /// Others waited for it: it was well before.
    was_well: bool,
    shown: Arc<Shown>,
    signed: Result<NoteSignature, Trouble>,
}

struct Rounds {
    context: Context,
    home: Home,
    journal: Arc<Journal>,
    /// Who is not asked right now, with their places in the settings.
    idle: Vec<(usize, Asked)>,
    /// Who is.
    asking: JoinSet<Outcome>,
    /// How many of them the next round waits for: not for those who are in trouble.
    waited_for: usize,
    /// The checkpoint of this round, with its signatures.
    shown: Option<(Arc<Shown>, Note)>,
    /// There is a newer one, or somebody who has not seen this one.
    is_due: bool,
    /// When the next round may begin.
    earliest: Instant,
    /// For longer without enough signatures is told.
    within: Duration,
    /// Since when there is a checkpoint that too few have signed.
    behind_since: Option<Instant>,
    /// That was told.
    is_told: bool,
    tell: watch::Sender<Witnessed>,
}

impl Rounds {
    /// Until the journal is closed.
    async fn run(mut self) {
        let mut checkpoints = self.journal.checkpoints();
        loop {
            let (next, alarm) = (self.next_round(), self.alarm());
            tokio::select! {
                biased;
                () = at(alarm) => self.tell_few(),
                Some(outcome) = self.asking.join_next() => {
                    if let Ok(outcome) = outcome {
                        self.answered(outcome).await;
                    }
                }
                note = checkpoints.next() => {
                    if note.is_none() {
                        return;
                    }
                    self.is_due = true;
                    self.behind_since.get_or_insert_with(Instant::now);
                }
                () = at(next) => self.round().await,
            }
        }
    }

    /// When the next round begins, as far as is known now.
    fn next_round(&self) -> Option<Instant> {
        if self.waited_for > 0 {
            return None;
        }
        let troubled = self.idle.iter().filter(|(_, it)| it.trouble.is_some());
        let again = troubled.map(|(_, it)| it.due).min();
        let due = if self.is_due {
            Some(self.earliest)
        } else {
            again
        };
        due.map(|due| due.max(self.earliest))
    }

    /// When it is to be told that too few have signed.
    fn alarm(&self) -> Option<Instant> {
        let since = self.behind_since.filter(|_| !self.is_told);
        since.map(|since| since + self.within)
    }

    fn tell_few(&mut self) {
        self.is_told = true;
        let size = self.tell.borrow().enough.map_or(0, |(size, _)| size);
        self.context.record(told::few(size));
    }

    /// Shows the newest checkpoint to everybody who is not to be left alone for now.
    async fn round(&mut self) {
        self.earliest = Instant::now() + PERIOD;
        let folder = Place::of(&self.home).journal;
        let Ok(Some(shown)) = spawn_blocking(move || Shown::newest(&folder)).await else {
            // It is being replaced, or cannot be read, which the journal tells of itself.
            return;
        };
        self.is_due = false;
        let shown = Arc::new(shown);
        let note = shown.note.clone();
        self.shown = Some((Arc::clone(&shown), note));
        let now = Instant::now();
        for (place, mut asked) in self.idle.extract_if(.., |(_, it)| it.due <= now) {
            let was_well = asked.trouble.is_none();
            self.waited_for += usize::from(was_well);
            let (context, home) = (self.context.clone(), self.home.clone());
            let shown = Arc::clone(&shown);
            self.asking.spawn(async move {
                let signed = asked.sign(&context, &home, &shown.journal, &shown.note);
                let signed = signed.await;
                Outcome {
                    place,
                    asked,
                    was_well,
                    shown,
                    signed,
                }
            });
        }
    }

    /// Takes a signature, and tells what is new about the witness.
    async fn answered(&mut self, outcome: Outcome) {
        let Outcome {
            place,
            mut asked,
            was_well,
            shown,
            signed,
        } = outcome;
        self.waited_for -= usize::from(was_well);
        let (name, endpoint) = (asked.config.key.name(), &asked.config.endpoint);
        match signed {
            Ok(signature) => {
                if asked.trouble.take().is_some() {
                    self.context.record(told::back(name, endpoint));
                }
                match &mut self.shown {
                    // It was verified; a note has room for more signatures than there are witnesses.
                    Some((current, note)) if Arc::ptr_eq(current, &shown) => {
                        let _ = note.push(signature);
                    }
                    // Meanwhile the others have seen another.
                    _ => self.is_due = true,
                }
            }
            Err(trouble) => {
                let known = asked.trouble.as_ref().map(Trouble::code);
                if known != Some(trouble.code()) {
                    self.context.record(told::trouble(name, endpoint, &trouble));
                }
                asked.trouble = Some(trouble);
            }
        }
        self.tell.send_modify(|status| status.update(place, &asked));
        self.idle.push((place, asked));
        if self.waited_for == 0 {
            self.keep().await;
        }
    }

    /// Keeps the checkpoint of this round if enough have signed it.
    async fn keep(&mut self) {
        let Some((shown, note)) = &self.shown else {
            return;
        };
        if note.signatures().len() == shown.note.signatures().len() {
            return;
        }
        let size = shown.journal.checkpoint().head.size;
        let (journal, note) = (Arc::clone(&self.journal), note.clone());
        let kept = spawn_blocking(move || journal.keep_witnessed(&note)).await;
        if !matches!(kept, Ok(Ok(true))) {
            return;
        }
        let now = Instant::now();
        self.tell
            .send_modify(|status| status.enough = Some((size, now)));
        self.behind_since = self.is_due.then_some(now);
        if std::mem::take(&mut self.is_told) {
            self.context.record(told::enough(size));
        }
    }
}

impl Shown {
    fn newest(folder: &std::path::Path) -> Option<Self> {
        let journal = JournalReader::open(folder).ok()?;
        let note = journal.note().parse().ok()?;
        Some(Self {
            journal: Arc::new(journal),
            note,
        })
    }
}

/// Resolves at an instant; never without one.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
