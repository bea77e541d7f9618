//! Writes the events of a context into the journal, and gives them to the sinks.

use std::future::pending;
use std::sync::Arc;
use std::time::SystemTime;

use curvelink::{Context, EventId, SecurityEvent, SecurityEvents};
use curvelink_audit::{AppendError, Checkpoints, Journal, Origin, Receipt, Record};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::here;
use crate::sink::Sinks;

/// A task that keeps each event of a context, but for the decisions of the policy: those are
/// recorded before they take effect.
pub(crate) struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Keeper {
    /// Begins with the next event; `None` where nothing is to be kept.
    pub(crate) fn start(
        context: &Context,
        journal: Option<&Arc<Journal>>,
        sinks: Option<Sinks>,
    ) -> Option<Self> {
        if journal.is_none() && sinks.is_none() {
            return None;
        }
        let (stop, stopped) = oneshot::channel();
        let keeping = Keeping {
            context: context.clone(),
            events: context.events(),
            checkpoints: journal
                .filter(|_| sinks.is_some())
                .map(|it| it.checkpoints()),
            journal: journal.cloned(),
            sinks,
            receipt: None,
            is_failing: false,
            origin: here(),
            told: 0,
        };
        let task = tokio::spawn(keeping.run(stopped));
        Some(Self { stop, task })
    }

    /// Keeps what there still is, once the context has been shut down; seals the journal, and
    /// takes leave of the sinks.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        // Where the task has ended there is nobody to tell.
        let _ = self.stop.send(());
        self.task.await?
    }
}

struct Keeping {
    context: Context,
    events: SecurityEvents,
    journal: Option<Arc<Journal>>,
    sinks: Option<Sinks>,
    /// Those of the journal, where there are sinks for them.
    checkpoints: Option<Checkpoints>,
    /// Of one of the entries that are being written.
    receipt: Option<Receipt>,
    /// The last one was not written, and that was told.
    is_failing: bool,
    origin: Origin,
    /// Records that no journal has numbered.
    told: u64,
}

impl Keeping {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                // What was told before the end is told first.
                biased;
                event = self.events.recv() => match event {
                    Some(event) => self.keep(&event),
                    None => break,
                },
                note = next(&mut self.checkpoints) => self.tell_checkpoint(note),
                written = outcome(&mut self.receipt) => self.judge(written),
                _ = &mut stop => break,
            }
        }
        self.end().await
    }

    fn keep(&mut self, event: &SecurityEvent) {
        if event.id == EventId::Decision {
            return;
        }
        let record = Record::from(event);
        let record = match &self.journal {
            Some(journal) => journal.stamped(record),
            None => {
                self.told += 1;
                record.with_origin(self.origin.numbered(self.told))
            }
        };
        if let Some(sinks) = &self.sinks {
            sinks.tell(&record);
        }
        if let Some(journal) = &self.journal {
            // A flood does not wait for the disk; of many that wait, one tells of it.
            let receipt = journal.append(record);
            self.receipt.get_or_insert(receipt);
        }
    }

    /// Tells once, until it goes on, that the journal does not take entries: how many those were is
    /// its own to tell.
    fn judge(&mut self, written: Result<u64, AppendError>) {
        self.receipt = None;
        let Err(error) = written else {
            self.is_failing = false;
            return;
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            let mut event = SecurityEvent::new(EventId::NotSaved, SystemTime::now());
            event.detail("error", format!("the audit journal: {error}"));
            self.context.record(event);
        }
    }

    fn tell_checkpoint(&mut self, note: Option<String>) {
        let (Some(note), Some(sinks)) = (note, &self.sinks) else {
            self.checkpoints = None;
            return;
        };
        let notices = self.journal.iter().flat_map(|it| it.take_notices());
        notices.for_each(|notice| sinks.tell(&notice));
        sinks.tell_checkpoint(&note);
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let mut sealed = Ok(());
        if let Some(journal) = self.journal.clone() {
            sealed = spawn_blocking(move || journal.seal()).await?;
        }
        if sealed.is_ok() && self.checkpoints.is_some() {
            // It was signed just now.
            let note = next(&mut self.checkpoints).await;
            self.tell_checkpoint(note);
        }
        if let Some(sinks) = self.sinks {
            sinks.close().await;
        }
        Ok(sealed?)
    }
}

/// Waits for ever where there are none.
async fn next(checkpoints: &mut Option<Checkpoints>) -> Option<String> {
    match checkpoints {
        Some(checkpoints) => checkpoints.next().await,
        None => pending().await,
    }
}

/// Waits for ever where nothing is being written.
async fn outcome(receipt: &mut Option<Receipt>) -> Result<u64, AppendError> {
    match receipt {
        Some(receipt) => receipt.await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn that_entries_are_not_taken_is_told_once_each_time() {
        let context = Context::new().unwrap();
        let mut told = context.events();
        let mut keeping = Keeping {
            context: context.clone(),
            events: context.events(),
            journal: None,
            sinks: None,
            checkpoints: None,
            receipt: None,
            is_failing: false,
            origin: here(),
            told: 0,
        };
        let busy = Err(AppendError::Busy);
        for written in [busy, busy, Ok(1), Ok(2), busy, busy] {
            keeping.judge(written);
        }
        context.shutdown().await;
        let told = std::iter::from_fn(|| told.try_recv());
        let told: Vec<_> = told.map(|event| (event.id, event.count)).collect();
        // The second is told with all others of that minute.
        assert_eq!(told, [(EventId::NotSaved, 1), (EventId::NotSaved, 1)]);
    }
}
