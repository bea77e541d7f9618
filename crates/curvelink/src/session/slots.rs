//! The slots of a listener: how many connections may be under way to it before they are ready.

use std::collections::{BTreeMap, HashMap};
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};

use crate::options::Options;
use crate::pipe::Outgoing;
use crate::sources::Source;
use crate::sync::{after, lock};

/// Which part of the greeting's time a connection has for itself when others wait for its slot:
/// more than a round trip takes, and little enough that all slots change hands often within it.
const SHARE: u32 = 16;

/// One listener's slots.
#[derive(Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    share: Duration,
    taken: Mutex<Taken>,
    /// One more may have to give way.
    yields: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// Connections that have to give way, from when on. Closing the queue of one ends it.
    yielding: BTreeMap<(Instant, u64), Weak<Outgoing>>,
    by_source: HashMap<Source, usize>,
}

/// The slot of a connection that is not ready; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    source: Option<Source>,
    /// Where it stands in `yielding`, unless it was told to give way since.
    place: Option<(Instant, u64)>,
    outgoing: Weak<Outgoing>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(options: &Options) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(options.transport.max_handshakes)),
            share: options.links.greeting_timeout / SHARE,
            taken: Mutex::default(),
            yields: Notify::new(),
        })
    }

    /// How many slots a source has.
    pub(super) fn held_by(&self, source: Source) -> usize {
        let taken = lock(&self.taken);
        taken.by_source.get(&source).copied().unwrap_or_default()
    }

    /// Takes a slot for the connection of this queue. While none is free, the oldest whose greeting
    /// is not there has to give way, as does one that only waits for its end to be seen.
    pub(super) async fn take(
        self: &Arc<Self>,
        source: Option<Source>,
        outgoing: &Arc<Outgoing>,
    ) -> Option<Slot> {
        let permit = self.permit().await.ok()?;
        let mut taken = lock(&self.taken);
        if let Some(source) = source {
            *taken.by_source.entry(source).or_default() += 1;
        }
        let outgoing = Arc::downgrade(outgoing);
        let due = after(Instant::now(), self.share);
        Some(Slot {
            slots: self.clone(),
            source,
            place: Some(taken.yields_from(due, outgoing.clone())),
            outgoing,
            _permit: permit,
        })
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let free = self.free.clone().acquire_owned();
        tokio::pin!(free);
        tokio::select! {
            biased;
            permit = &mut free => permit,
            () = self.end_one() => free.await,
        }
    }

    /// Tells the first that has to give way to do so, once its time has come.
    async fn end_one(&self) {
        loop {
            let changed = self.yields.notified();
            let first = lock(&self.taken).first();
            let Some(due) = first else {
                changed.await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = changed => continue,
            }
            let first = lock(&self.taken).yielding.pop_first();
            if let Some((_, outgoing)) = first {
                if let Some(outgoing) = outgoing.upgrade() {
                    outgoing.close(Instant::now());
                }
                return;
            }
        }
    }
}

impl Taken {
    fn yields_from(&mut self, due: Instant, outgoing: Weak<Outgoing>) -> (Instant, u64) {
        let place = (due, self.next);
        self.next += 1;
        self.yielding.insert(place, outgoing);
        place
    }

    fn first(&self) -> Option<Instant> {
        let first = self.yielding.first_key_value();
        first.map(|((due, _), _)| *due)
    }
}

impl Slot {
    pub(super) const fn source(&self) -> Option<Source> {
        self.source
    }

    /// The greeting is there, and the connection need not give way any more; unless it was told to
    /// before: then no.
    pub(super) fn greeted(&mut self) -> bool {
        let Some(place) = self.place.take() else {
            return true;
        };
        lock(&self.slots.taken).yielding.remove(&place).is_some()
    }

    /// Whether the connection was told to give way.
    pub(super) fn gave_way(&self) -> bool {
        self.place
            .is_some_and(|place| !lock(&self.slots.taken).yielding.contains_key(&place))
    }

    fn parts(&mut self) {
        let mut taken = lock(&self.slots.taken);
        if let Some(place) = self.place.take() {
            taken.yielding.remove(&place);
        }
        self.place = Some(taken.yields_from(Instant::now(), self.outgoing.clone()));
        drop(taken);
        self.slots.yields.notify_one();
    }
}

/// Holds the slot of a connection that is over but for its last octets, until another needs it.
/// For ever, if there is none.
pub(super) async fn wanted(slot: Option<Slot>, outgoing: &Outgoing) {
    match slot {
        Some(mut slot) => {
            slot.parts();
            poll_fn(|cx| outgoing.poll_closing(cx)).await;
        }
        None => pending().await,
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.slots.taken);
        if let Some(place) = self.place {
            taken.yielding.remove(&place);
        }
        if let Some(source) = self.source
            && let Some(held) = taken.by_source.get_mut(&source)
        {
            *held -= 1;
            if *held == 0 {
                taken.by_source.remove(&source);
            }
        }
    }
}
