//! What a context tells its operator: the events of the catalogue, a flood as a few.

mod aggregate;
mod log;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime};

use curvelink_proto::{EventId, SecurityEvent};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use self::aggregate::Aggregator;
use crate::mailbox::{Listeners, Mailbox};
use crate::sync::lock;

/// A stream of a context's [`SecurityEvent`]s, from its making on.
///
/// Refusals, denials and whatever else a peer can cause at will are told once for each source
/// (a /24 or /64 network, or the name that the policy gave) and reason, and then counted: a minute
/// of a flood is some 60 events, whose counts add up to what happened. The same events go to
/// `tracing`, under the target `curvelink::event`.
///
/// A stream that is not read holds nothing up: it keeps the last 1024 events, and the next one
/// read is then [`EventId::Lost`] with the number of what was lost.
#[derive(Debug)]
pub struct SecurityEvents(Arc<Stream>);

#[derive(Debug)]
struct Stream {
    events: Mailbox<SecurityEvent>,
    lost: Mutex<Lost>,
}

/// What was not read in time.
#[derive(Debug, Default)]
struct Lost {
    /// What the reader has not been told of.
    untold: Option<SecurityEvent>,
    total: u64,
}

impl SecurityEvents {
    /// The next event; `None` once the context and its sockets are gone and all was read.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn recv(&mut self) -> Option<SecurityEvent> {
        match self.take_lost() {
            Some(lost) => Some(lost),
            None => self.0.events.recv().await,
        }
    }

    /// The next event, if one waits.
    pub fn try_recv(&mut self) -> Option<SecurityEvent> {
        self.take_lost().or_else(|| self.0.events.try_recv())
    }

    /// How much was lost because nobody read it in time: the counts of the lost events together.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.0.lost).total
    }

    fn take_lost(&self) -> Option<SecurityEvent> {
        lock(&self.0.lost).untold.take()
    }
}

impl Stream {
    fn tell(&self, event: &SecurityEvent) {
        let Some(gone) = self.events.push(event.clone()) else {
            return;
        };
        let mut lost = lock(&self.lost);
        lost.total = lost.total.saturating_add(gone.count);
        let mut one = SecurityEvent::new(EventId::Lost, gone.first);
        (one.last, one.count) = (gone.last, gone.count);
        match &mut lost.untold {
            Some(untold) => untold.merge(one),
            untold => *untold = Some(one),
        }
    }
}

/// Where a context's events come together.
#[derive(Debug, Default)]
pub(crate) struct Events {
    counts: Mutex<Counts>,
    streams: Listeners<Stream>,
}

#[derive(Debug, Default)]
struct Counts {
    aggregator: Aggregator,
    /// Somebody sleeps until what was counted is to be told.
    has_sleeper: bool,
}

impl Events {
    pub(crate) fn subscribe(&self) -> SecurityEvents {
        let stream = Arc::new(Stream {
            events: Mailbox::new(),
            lost: Mutex::default(),
        });
        self.streams.add(&stream);
        SecurityEvents(stream)
    }

    /// Tells an event, or counts it and tells it within a minute.
    pub(crate) fn note(self: &Arc<Self>, event: SecurityEvent, runtime: &Handle) {
        if !event.id.is_default() {
            return log::write(&event);
        }
        let mut told = Vec::new();
        let mut counts = lock(&self.counts);
        counts.aggregator.note(event, Instant::now(), &mut told);
        let sleeps = counts.aggregator.due().is_some() && !counts.has_sleeper;
        counts.has_sleeper |= sleeps;
        drop(counts);
        self.tell(told);
        if sleeps {
            runtime.spawn(sleep(Arc::downgrade(self)));
        }
    }

    /// Tells an event now, and again each time that `every` has passed.
    pub(crate) fn stand(
        self: &Arc<Self>,
        event: SecurityEvent,
        every: Duration,
        runtime: &Handle,
    ) -> Standing {
        self.note(event.clone(), runtime);
        let again = again(Arc::downgrade(self), event, every, runtime.clone());
        Standing(runtime.spawn(again).abort_handle())
    }

    /// Tells all that was counted: nothing is left when a program ends.
    pub(crate) fn flush(&self) {
        let mut told = Vec::new();
        lock(&self.counts).aggregator.flush(&mut told);
        self.tell(told);
    }

    /// Tells what is due; when more will be. With nothing more, the sleeper goes.
    fn tick(&self) -> Option<Instant> {
        let mut told = Vec::new();
        let mut counts = lock(&self.counts);
        counts.aggregator.tick(Instant::now(), &mut told);
        let due = counts.aggregator.due();
        counts.has_sleeper = due.is_some();
        drop(counts);
        self.tell(told);
        due
    }

    fn tell(&self, events: Vec<SecurityEvent>) {
        if events.is_empty() {
            return;
        }
        let streams = self.streams.all();
        for event in &events {
            log::write(event);
            streams.iter().for_each(|stream| stream.tell(event));
        }
    }
}

/// What was counted is told even if nobody shuts the context down.
impl Drop for Events {
    fn drop(&mut self) {
        self.flush();
        for stream in self.streams.all() {
            stream.events.close();
        }
    }
}

/// A state that is told again every hour, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Standing(AbortHandle);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn again(events: Weak<Events>, mut event: SecurityEvent, every: Duration, runtime: Handle) {
    loop {
        tokio::time::sleep(every).await;
        let Some(events) = events.upgrade() else {
            return;
        };
        event.first = SystemTime::now();
        event.last = event.first;
        events.note(event.clone(), &runtime);
    }
}

/// Tells what was counted when its time has come, and ends when nothing is left to tell.
async fn sleep(events: Weak<Events>) {
    while let Some(due) = events.upgrade().and_then(|events| events.tick()) {
        tokio::time::sleep_until(due.into()).await;
    }
}
