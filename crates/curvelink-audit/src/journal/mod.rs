//! The journal: entries on disk, in an order that nobody can change afterwards without being
//! noticed.
//!
//! [`Journal`] hands entries to one thread, which writes them in groups ([`log`]). What a crash
//! left is looked at in [`recover`]; everything that the folder holds stands in `docs/audit.md`.

pub(crate) mod checkpoints;
mod crc32c;
pub(crate) mod encrypt;
mod epoch;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod layout;
mod log;
pub(crate) mod notice;
mod prune;
mod receipt;
pub(crate) mod recover;
mod seal;
mod settings;
pub(crate) mod tiles;
pub(crate) mod wal;
mod watch;

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use curvelink_tlog::Note;

pub use self::encrypt::{InvalidRecipient, Recipient, RecipientKey};
pub use self::error::{AppendError, Damage, JournalError, KeyProblem};
pub use self::receipt::Receipt;
pub use self::settings::{Durability, JournalSettings, OnFailure};
pub use self::watch::Checkpoints;

use self::error::About;
use self::log::Log;
use self::notice::{Notice, Stamp, is_reserved};
use self::receipt::{Promise, pair};
use self::watch::Watch;
use crate::{Clock, Record, SystemClock};

/// Octets of entries that may wait for the writer.
const MAX_QUEUE: usize = 16 << 20;

/// Entries about the journal itself that wait for whoever tells others of them.
const MAX_NOTICES: usize = 64;

/// An open journal: the one writer of its folder.
///
/// Entries are written by a thread of its own, in groups: while one group goes to the disk, the
/// next gathers. Dropping the journal writes and seals what was appended; [`close`](Self::close)
/// also tells how that went.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    stamp: Stamp,
    on_failure: OnFailure,
    queue: usize,
}

impl Journal {
    /// Makes a journal in a folder that is not there yet or empty, and the key of its first epoch
    /// in a file outside of it. Returns the anchor: the public key that every verification begins
    /// with, to be kept elsewhere.
    ///
    /// `origin` names the log, for ever: a host name and a path, without spaces and plus signs.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; nothing that stood there is overwritten.
    pub fn create(
        folder: &Path,
        key_file: &Path,
        origin: &str,
        settings: JournalSettings,
    ) -> Result<String, JournalError> {
        Log::create(
            folder,
            key_file,
            origin,
            settings,
            Arc::new(SystemClock::default()),
        )
    }

    /// Opens a journal to go on with it, after a look at what the last run left: octets that a
    /// crash left half-written are put aside in a file and recorded. The key of the last run's
    /// epoch is replaced.
    ///
    /// Reads the newest 65,536 entries and looks whether all files are there; the whole is for
    /// [`verify`](crate::verify()).
    ///
    /// # Errors
    ///
    /// [`JournalError::Damaged`] with the index when what was signed is not as it was;
    /// [`JournalError::InUse`] while another program has the journal.
    pub fn open(
        folder: &Path,
        key_file: &Path,
        settings: JournalSettings,
    ) -> Result<Self, JournalError> {
        Self::open_with(folder, key_file, settings, Arc::new(SystemClock::default()))
    }

    /// As [`open`](Self::open), by another clock.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        folder: &Path,
        key_file: &Path,
        settings: JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let (on_failure, queue) = (settings.on_failure, settings.queue);
        let mut log = Log::open(folder, key_file, settings, clock)?;
        let stamp = log.stamp.clone();
        let shared = Arc::new(Shared::default());
        {
            let mut queue = shared.lock();
            queue.status = Status::of(&log);
            queue.take_notices(&mut log);
        }
        let name = "curvelink-journal".to_owned();
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || run(&ours, log));
        Ok(Self {
            shared,
            thread: Some(thread.about(".")?),
            stamp,
            on_failure,
            queue,
        })
    }

    /// The record as [`append`](Self::append) will write it: one of nobody gets the journal's origin
    /// and the next number. For whoever gives it to others too, so that what they have can be held
    /// against the entry.
    #[must_use]
    pub fn stamped(&self, record: Record) -> Record {
        self.stamp.on(record)
    }

    /// Appends a record; never blocks. A record of nobody gets the journal's origin and the next
    /// number, so that one that was lost leaves a hole in the numbers.
    ///
    /// Of a record that is too long, its digest is kept (see [`Record::abridged`]).
    pub fn append(&self, record: Record) -> Receipt {
        if is_reserved(&record) {
            let (promise, receipt) = pair();
            promise.keep(Err(AppendError::Reserved));
            return receipt;
        }
        self.push(self.stamp.entry(record))
    }

    fn push(&self, entry: Vec<u8>) -> Receipt {
        let (promise, receipt) = pair();
        let refused = {
            let mut queue = self.shared.lock();
            if queue.is_closed {
                Some(AppendError::Closed)
            } else if queue.jobs.len() >= self.queue || queue.octets + entry.len() > MAX_QUEUE {
                queue.lost += 1;
                queue.status.lost += 1;
                Some(AppendError::Busy)
            } else {
                queue.octets += entry.len();
                queue.jobs.push_back(Job::Entry(entry, promise));
                self.shared.work.notify_one();
                return receipt;
            }
        };
        // After the lock: an outcome may wake somebody.
        if let Some(error) = refused {
            promise.keep(Err(error));
        }
        receipt
    }

    /// Whether an admission that cannot be recorded is refused.
    #[must_use]
    pub const fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    /// How the journal does.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// The newest checkpoint, and each that is signed from now on.
    #[must_use]
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(Arc::clone(&self.shared))
    }

    /// What the journal has written about itself (CL3004) since it was opened, or since this was
    /// asked last: for whoever tells others of it. The newest 64 of them.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Record> {
        self.shared.lock().notices.drain(..).collect()
    }

    /// Writes what was appended before and signs a checkpoint of it; blocks until that is done.
    ///
    /// # Errors
    ///
    /// [`JournalError`] where it could not be written.
    pub fn seal(&self) -> Result<(), JournalError> {
        self.call(Log::seal)
    }

    /// Keeps a checkpoint with the cosignatures of witnesses, as `checkpoint.witnessed`, if enough
    /// of those that count have signed it. Tells whether they have.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] for a checkpoint of another log, [`JournalError::Io`].
    pub fn keep_witnessed(&self, note: &Note) -> Result<bool, JournalError> {
        let note = note.clone();
        self.call(move |log| log.keep_witnessed(&note))
    }

    /// Runs something on the journal's thread, after what was appended before.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Log) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        {
            let mut queue = self.shared.lock();
            if queue.is_closed {
                return Err(JournalError::Closed);
            }
            queue.jobs.push_back(Job::Call(Box::new(move |shared, log| {
                let outcome = call(log);
                shared.publish(log, None);
                // Whoever asked may have gone.
                let _ = answer.send(outcome);
            })));
            self.shared.work.notify_one();
        }
        answered.recv().map_err(|_| JournalError::Closed)?
    }

    /// Writes and seals everything that was appended, and lets go of the folder.
    ///
    /// # Errors
    ///
    /// [`JournalError`] where it could not be sealed; what was acknowledged is in the write-ahead
    /// file then, and sealed when the journal is opened again.
    pub fn close(mut self) -> Result<(), JournalError> {
        let sealed = self.seal();
        self.stop();
        sealed
    }

    fn stop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How a journal does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Entries in it.
    pub size: u64,
    /// Entries that the newest checkpoint covers.
    pub sealed: u64,
    /// Entries that could not be written since it was opened.
    pub lost: u64,
    /// The epoch whose key signs.
    pub epoch: u64,
    /// What stands in the way of writing or sealing, if anything does.
    pub problem: Option<String>,
    /// The newest checkpoint: a signed note, for whoever keeps it elsewhere.
    pub checkpoint: String,
    /// Entries that the newest checkpoint covers which enough witnesses have signed.
    pub witnessed: u64,
}

impl Status {
    fn of(log: &Log) -> Self {
        Self {
            size: log.size(),
            sealed: log.sealed,
            lost: 0,
            epoch: log.key.epoch(),
            problem: None,
            checkpoint: log.note.clone(),
            witnessed: log.witnessed,
        }
    }
}

/// What the journal and its thread share.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    octets: usize,
    /// Entries that were not written and that no entry tells of yet.
    lost: u64,
    is_closed: bool,
    status: Status,
    watch: Watch,
    /// What nobody has taken, the oldest first.
    notices: VecDeque<Record>,
}

impl Queue {
    fn take_notices(&mut self, log: &mut Log) {
        self.notices.extend(log.notices.drain(..));
        while self.notices.len() > MAX_NOTICES {
            self.notices.pop_front();
        }
    }
}

/// Runs on the journal's thread.
type Call = Box<dyn FnOnce(&Shared, &mut Log) + Send>;

enum Job {
    Entry(Vec<u8>, Promise),
    Call(Call),
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entry(..) => "Entry",
            Self::Call(_) => "Call",
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change of the queue is whole before anything can panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how the journal does: before whoever caused that has an answer, so that nobody who
    /// asks then is told of the past.
    fn publish(&self, log: &mut Log, unwritten: Option<AppendError>) {
        let unwritten = unwritten.map(|error| error.to_string());
        let watchers = {
            let mut queue = self.lock();
            let status = Status {
                lost: queue.status.lost,
                problem: unwritten.or_else(|| log.problem.clone()),
                ..Status::of(log)
            };
            let is_newer = status.checkpoint != queue.status.checkpoint;
            queue.status = status;
            queue.take_notices(log);
            is_newer.then(|| queue.watch.advance())
        };
        // After the lock.
        watchers.into_iter().flatten().for_each(Waker::wake);
    }

    /// All that waits, at the latest after this time; `None` when the journal is closed.
    fn take(&self, longest: Duration) -> Option<VecDeque<Job>> {
        let mut queue = self.lock();
        if queue.jobs.is_empty() && !queue.is_closed {
            let waited = self.work.wait_timeout(queue, longest);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.jobs.is_empty() && queue.is_closed {
            return None;
        }
        queue.octets = 0;
        Some(std::mem::take(&mut queue.jobs))
    }
}

/// Nobody waits for a thread that has ended, however it did.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let (left, watchers) = {
            let mut queue = self.0.lock();
            queue.is_closed = true;
            (std::mem::take(&mut queue.jobs), queue.watch.end())
        };
        // After the lock: promises that are dropped wake whoever waits for them.
        drop(left);
        watchers.for_each(Waker::wake);
    }
}

/// The journal's thread.
fn run(shared: &Shared, mut log: Log) {
    let _ending = Ending(shared);
    let mut longest = log.idle_time();
    while let Some(jobs) = shared.take(longest) {
        let unwritten = work(shared, &mut log, jobs);
        log.tick();
        shared.publish(&mut log, unwritten);
        longest = log.idle_time();
    }
    // Where it fails, the write-ahead file still has what was acknowledged.
    if log.sealed < log.size() {
        let _ = log.seal();
        shared.publish(&mut log, None);
    }
}

/// Does what waited, in order: neighbouring entries as one group.
fn work(shared: &Shared, log: &mut Log, jobs: VecDeque<Job>) -> Option<AppendError> {
    let mut problem = None;
    let (mut entries, mut promises) = (Vec::new(), Vec::new());
    for job in jobs {
        match job {
            Job::Entry(entry, promise) => {
                entries.push(entry);
                promises.push(promise);
            }
            Job::Call(call) => {
                problem = write(shared, log, &mut entries, &mut promises).or(problem);
                call(shared, log);
            }
        }
    }
    write(shared, log, &mut entries, &mut promises).or(problem)
}

fn write(
    shared: &Shared,
    log: &mut Log,
    entries: &mut Vec<Vec<u8>>,
    promises: &mut Vec<Promise>,
) -> Option<AppendError> {
    let lost = shared.lock().lost;
    if entries.is_empty() {
        return None;
    }
    // How many were lost is the first that is written once something is.
    let told = match lost {
        0 => Ok(0),
        lost => log.note(Notice::Lost { lost }),
    };
    if told.is_ok() {
        shared.lock().lost -= lost;
    }
    let written = told.and_then(|_| log.write(entries));
    if written.is_err() {
        let mut queue = shared.lock();
        queue.lost += promises.len() as u64;
        queue.status.lost += promises.len() as u64;
    }
    shared.publish(log, written.err());
    entries.clear();
    for (at, promise) in promises.drain(..).enumerate() {
        promise.keep(written.map(|first| first + at as u64));
    }
    written.err()
}
