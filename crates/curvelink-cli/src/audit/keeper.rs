//! Writes the events of a context into the journal.

use std::sync::Arc;

use curvelink::{Context, EventId, SecurityEvents};
use curvelink_audit::{Journal, Record};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A task that records each event of a context, but for the decisions of the policy: those are
/// recorded before they take effect.
pub(crate) struct Keeper {
    journal: Arc<Journal>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins with the next event.
    pub(crate) fn start(context: &Context, journal: Arc<Journal>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep(context.events(), Arc::clone(&journal), stopped));
        Self {
            journal,
            stop,
            task,
        }
    }

    /// Records what there still is, once the context has been shut down, and seals the journal.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        // Where the task has ended there is nobody to tell.
        let _ = self.stop.send(());
        self.task.await?;
        let journal = self.journal;
        tokio::task::spawn_blocking(move || journal.seal()).await??;
        Ok(())
    }
}

async fn keep(mut events: SecurityEvents, journal: Arc<Journal>, mut stop: oneshot::Receiver<()>) {
    loop {
        let event = tokio::select! {
            // What was told before the end is told first.
            biased;
            event = events.recv() => event,
            _ = &mut stop => break,
        };
        let Some(event) = event else { break };
        if event.id != EventId::Decision {
            // How the journal does is its own to tell; a flood does not wait for it.
            drop(journal.append(Record::from(&event)));
        }
    }
}
