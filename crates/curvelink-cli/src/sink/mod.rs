//! Sinks: copies of the hub's events for syslog, systemd's journal and collectors.
//!
//! ```text
//! keeper -> tell -> Queue (one for each sink, bounded) -> Worker -> Transport
//! ```
//!
//! The audit journal is the record. A sink that is slow or away holds nothing up: what does not
//! fit into its queue is counted and told.

mod config;
mod queue;
#[cfg(test)]
mod tests;
mod told;
mod transport;
mod worker;

pub(crate) use config::{SinkConfig, distinct};

use std::sync::Arc;
use std::time::Duration;

use curvelink::{Context, EventId, Severity};
use curvelink_audit::{Format, Origin, Record};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::audit::here;
use crate::home::Home;
use config::Target;
use queue::{Line, LineKind, Queue, Told};
use transport::{CurveLink, Datagram, Stream};
use worker::Worker;

/// The longest line; of a record that would be longer, the digest is sent.
const MAX_LINE: usize = 64 * 1024;

/// How long what waits may take at the end.
const LAST: Duration = Duration::from_secs(2);

/// The sinks of a running hub.
pub(crate) struct Sinks {
    sinks: Vec<Arc<Sink>>,
    workers: JoinSet<()>,
    hub: Context,
}

/// One sink, as its worker and those who tell it something have it.
struct Sink {
    /// As the settings have it.
    name: String,
    format: Format,
    min_severity: Severity,
    /// Who tells what is no entry of the journal.
    origin: Origin,
    queue: Queue,
}

impl Sinks {
    /// Starts those of the settings; none is waited for. `None` where there are none.
    ///
    /// # Errors
    /// Where the hub's key, which collectors know it by, cannot be read.
    pub(crate) fn start(hub: &Context, home: &Home) -> anyhow::Result<Option<Self>> {
        let (configs, origin) = (&home.config.sink, here());
        if configs.is_empty() {
            return Ok(None);
        }
        let mut started = Self {
            sinks: Vec::new(),
            workers: JoinSet::new(),
            hub: hub.clone(),
        };
        for config in configs {
            let sink = Arc::new(Sink::new(config, &origin));
            started.spawn(Arc::clone(&sink), &config.target, home)?;
            started.sinks.push(sink);
        }
        Ok(Some(started))
    }

    fn spawn(&mut self, sink: Arc<Sink>, target: &Target, home: &Home) -> anyhow::Result<()> {
        let hub = self.hub.clone();
        match target {
            Target::Datagram(path) => {
                let transport = Datagram::new(path.clone());
                self.workers.spawn(Worker::new(sink, transport, hub).run());
            }
            Target::Stream(address) => {
                let transport = Stream::new(*address);
                self.workers.spawn(Worker::new(sink, transport, hub).run());
            }
            Target::Curve { endpoint, server } => {
                let (keys, _next) = home.server_keys()?;
                let backend = home.config.curve.backend;
                let transport = CurveLink::open(endpoint, keys, *server, backend)?;
                self.workers.spawn(Worker::new(sink, transport, hub).run());
            }
        }
        Ok(())
    }

    /// Gives a record to each sink that it is for. Never waits.
    pub(crate) fn tell(&self, record: &Record) {
        for sink in self.sinks.iter().filter(|sink| sink.wants(record)) {
            self.give(sink, record);
        }
    }

    /// Gives a checkpoint, a signed note, to each sink.
    pub(crate) fn tell_checkpoint(&self, note: &str) {
        let event = told::checkpoint(note);
        for sink in &self.sinks {
            self.give(sink, &Record::from(&event).with_origin(sink.origin.clone()));
        }
    }

    fn give(&self, sink: &Sink, record: &Record) {
        let lost = sink.queue.push(sink.line(record));
        if lost > 0 {
            self.hub.record(told::lost(&sink.name, lost));
        }
    }

    /// Sends what waits, for a moment, and tells what nobody got.
    pub(crate) async fn close(mut self) {
        self.sinks.iter().for_each(|sink| sink.queue.close());
        let all = async { while self.workers.join_next().await.is_some() {} };
        if timeout(LAST, all).await.is_err() {
            self.workers.shutdown().await;
        }
        for sink in &self.sinks {
            match sink.queue.left() {
                0 => {}
                left => self.hub.record(told::lost(&sink.name, left)),
            }
        }
    }
}

impl Sink {
    fn new(config: &SinkConfig, origin: &Origin) -> Self {
        Self {
            name: config.to.clone(),
            format: config.format,
            min_severity: config.min_severity,
            origin: origin.clone(),
            queue: Queue::default(),
        }
    }

    /// How a sink does is for everybody but itself.
    fn wants(&self, record: &Record) -> bool {
        let about = record
            .field("endpoint")
            .filter(|_| record.event() == Some(EventId::Sink));
        let is_own = about.is_some_and(|name| name.as_text() == Some(&self.name));
        record.severity() >= self.min_severity && !is_own
    }

    fn line(&self, record: &Record) -> Line {
        let mut text = self.text(record);
        if text.len() > MAX_LINE {
            text = self.text(&record.abridged());
        }
        Line {
            text,
            kind: match record.event() {
                Some(EventId::Checkpoint) => LineKind::Checkpoint,
                Some(EventId::Sink) => LineKind::Notice,
                _ => LineKind::Event,
            },
            told: Told {
                count: record.count(),
                first: record.first(),
                last: record.last(),
            },
        }
    }

    /// In the place of events that had to go.
    fn missing(&self, lost: Told) -> Line {
        let record = Record::from(&told::missing(lost));
        Line {
            // Others have been told of the events.
            kind: LineKind::Notice,
            ..self.line(&record.with_origin(self.origin.clone()))
        }
    }

    /// The record without the end of its line.
    fn text(&self, record: &Record) -> Vec<u8> {
        let mut text = self.format.entry(record);
        text.pop();
        text
    }
}
