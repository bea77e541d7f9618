//! The hub's witnesses: each new checkpoint is shown to all of them, and kept once enough have
//! signed it.

use std::sync::Arc;
use std::time::Duration;

use curvelink::Context;
use curvelink_audit::{Journal, JournalReader};
use curvelink_tlog::{Note, NoteSignature};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::ask::Asked;
use super::told::{self, Trouble};
use crate::audit::Place;
use crate::control::{WitnessShown, WitnessedShown};
use crate::home::Home;

/// Checkpoints are shown no more often.
const PERIOD: Duration = Duration::from_secs(1);
/// As good as never.
const NEVER: Duration = Duration::from_secs(86_400);

/// A task that has the journal's checkpoints signed; ends when dropped.
#[derive(Debug)]
pub(crate) struct Witnesses {
    task: JoinHandle<()>,
    status: watch::Receiver<Witnessed>,
}

/// How the journal is witnessed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witnessed {
    /// So many entries are covered by a checkpoint that enough have signed, and since when.
    enough: Option<(u64, Instant)>,
    /// How many are enough.
    wanted: usize,
    witnesses: Vec<WitnessStatus>,
}

impl Witnessed {
    /// As it goes over the control socket.
    pub(crate) fn shown(&self) -> WitnessedShown {
        let age = |since: Instant| since.elapsed().as_secs();
        let witnesses = self.witnesses.iter().map(|it| WitnessShown {
            name: it.name.clone(),
            size: it.signed.map_or(0, |(size, _)| size),
            age: it.signed.map(|(_, since)| age(since)),
            trouble: it.trouble.map(str::to_owned),
        });
        WitnessedShown {
            wanted: self.wanted,
            size: self.enough.map_or(0, |(size, _)| size),
            age: self.enough.map(|(_, since)| age(since)),
            witnesses: witnesses.collect(),
        }
    }
}

/// A witness.
#[derive(Clone, Debug)]
struct WitnessStatus {
    name: String,
    /// How many entries it has signed, and when.
    signed: Option<(u64, Instant)>,
    /// Why it does not now.
    trouble: Option<&'static str>,
}

impl Witnesses {
    /// Begins; `None` where the settings name no witness.
    pub(crate) fn start(context: &Context, home: &Home, journal: &Arc<Journal>) -> Option<Self> {
        let audit = &home.config.audit;
        if audit.witness.is_empty() {
            return None;
        }
        let (tell, status) = watch::channel(Witnessed::default());
        let rounds = Rounds {
            context: context.clone(),
            home: home.clone(),
            journal: Arc::clone(journal),
            asked: audit.witness.iter().cloned().map(Asked::new).collect(),
            wanted: audit.min_witnesses(),
            within: audit.witness_within(),
            behind_since: None,
            is_told: false,
            enough: None,
            tell,
        };
        rounds.publish();
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

struct Rounds {
    context: Context,
    home: Home,
    journal: Arc<Journal>,
    asked: Vec<Asked>,
    /// How many make a checkpoint a witnessed one.
    wanted: usize,
    /// For longer without them is told.
    within: Duration,
    /// Since when there is a checkpoint that too few have signed.
    behind_since: Option<Instant>,
    /// That was told.
    is_told: bool,
    enough: Option<(u64, Instant)>,
    tell: watch::Sender<Witnessed>,
}

impl Rounds {
    /// Until the journal is closed.
    async fn run(mut self) {
        let mut checkpoints = self.journal.checkpoints();
        let mut earliest = Instant::now();
        loop {
            let again = self.again();
            let alarm = self.alarm();
            tokio::select! {
                biased;
                () = sleep_until(alarm) => {
                    self.tell_few();
                    continue;
                }
                note = checkpoints.next() => {
                    if note.is_none() {
                        return;
                    }
                    self.behind_since.get_or_insert_with(Instant::now);
                }
                () = sleep_until(again) => {}
            }
            sleep_until(earliest).await;
            earliest = Instant::now() + PERIOD;
            self.round().await;
            self.publish();
        }
    }

    /// When the first who is in trouble is to be asked again.
    fn again(&self) -> Instant {
        let troubled = self.asked.iter().filter(|it| it.trouble.is_some());
        let due = troubled.map(|it| it.due).min();
        due.unwrap_or_else(|| Instant::now() + NEVER)
    }

    /// When it is to be told that too few have signed.
    fn alarm(&self) -> Instant {
        let since = self.behind_since.filter(|_| !self.is_told);
        since.map_or_else(|| Instant::now() + NEVER, |since| since + self.within)
    }

    fn tell_few(&mut self) {
        self.is_told = true;
        let size = self.enough.map_or(0, |(size, _)| size);
        self.context.record(told::few(size));
    }

    /// Shows the newest checkpoint to everybody who is not to be left alone for now.
    async fn round(&mut self) {
        let folder = Place::of(&self.home).journal;
        let opened = spawn_blocking(move || {
            let reader = JournalReader::open(&folder).map_err(|error| error.to_string())?;
            let note: Note = reader
                .note()
                .parse()
                .map_err(|_| "no checkpoint".to_owned())?;
            Ok::<_, String>((Arc::new(reader), note))
        });
        let opened = opened.await.unwrap_or_else(|error| Err(error.to_string()));
        let Ok((reader, mut note)) = opened else {
            // The journal tells of itself that it cannot be read, or is replaced right now.
            return;
        };
        let now = Instant::now();
        let (due, mut rest): (Vec<_>, Vec<_>) = self
            .asked
            .drain(..)
            .enumerate()
            .partition(|(_, it)| it.due <= now);
        let mut asking = JoinSet::new();
        for (place, mut one) in due {
            let (context, home) = (self.context.clone(), self.home.clone());
            let (reader, note) = (Arc::clone(&reader), note.clone());
            asking.spawn(async move {
                let signed = one.sign(&context, &home, &reader, &note).await;
                (place, one, signed)
            });
        }
        while let Some(asked) = asking.join_next().await {
            let Ok((place, mut one, signed)) = asked else {
                continue;
            };
            self.note(&mut one, signed, &mut note);
            rest.push((place, one));
        }
        rest.sort_by_key(|(place, _)| *place);
        self.asked = rest.into_iter().map(|(_, one)| one).collect();
        self.keep(note, reader.checkpoint().head.size).await;
    }

    /// Takes a signature, and tells what is new about the witness.
    fn note(&self, one: &mut Asked, signed: Result<NoteSignature, Trouble>, note: &mut Note) {
        let (name, endpoint) = (one.config.key.name(), &one.config.endpoint);
        match signed {
            Ok(signature) => {
                if one.trouble.take().is_some() {
                    self.context.record(told::back(name, endpoint));
                }
                // It was verified; a note has room for more signatures than there are witnesses.
                let _ = note.push(signature);
            }
            Err(trouble) => {
                let known = one.trouble.as_ref().map(Trouble::code);
                if known != Some(trouble.code()) {
                    self.context.record(told::trouble(name, endpoint, &trouble));
                }
                one.trouble = Some(trouble);
            }
        }
    }

    /// Keeps the checkpoint if enough have signed it.
    async fn keep(&mut self, note: Note, size: u64) {
        let journal = Arc::clone(&self.journal);
        let kept = spawn_blocking(move || journal.keep_witnessed(&note)).await;
        if !matches!(kept, Ok(Ok(true))) {
            return;
        }
        self.enough = Some((size, Instant::now()));
        self.behind_since = None;
        if std::mem::take(&mut self.is_told) {
            self.context.record(told::enough(size));
        }
    }

    fn publish(&self) {
        let witnesses = self.asked.iter().map(|it| WitnessStatus {
            name: it.config.key.name().to_owned(),
            signed: it.signed,
            trouble: it.trouble.as_ref().map(Trouble::code),
        });
        self.tell.send_replace(Witnessed {
            enough: self.enough,
            wanted: self.wanted,
            witnesses: witnesses.collect(),
        });
    }
}
