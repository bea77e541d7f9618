//! Dialling: connect, run the session, connect again.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use curvelink_proto::{
    Endpoint, EngineConfig, LinkEventKind, PeerAddress, Reason, Refusal, Side, Stage, StopCause,
};

use super::{Link, Outcome, Session};
use crate::events::Standing;
use crate::pipe::PipeId;
use crate::socket::core::{Core, Queues};
use crate::sync::lock;
use crate::transport::{self, BoxStream, Route};

/// The shortest wait between attempts: without it, a peer that is not there costs a processor.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest wait after refusals in a row.
const REFUSED_MAX: Duration = Duration::from_secs(600);

pub(crate) fn spawn(
    core: &Arc<Core>,
    endpoint: Endpoint,
    queues: Queues,
    pipe: PipeId,
    disconnected: Arc<AtomicBool>,
) {
    let dial = Dial {
        core: core.clone(),
        config: config(core),
        name: Arc::from(endpoint.to_string()),
        _insecure: transport::tell_insecure(core, &endpoint),
        endpoint,
        queues,
        disconnected,
    };
    core.shared.spawn(dial.run(pipe));
}

/// The configuration of the connections to one endpoint: the socket's, unless the mechanism learns
/// something of the server there.
fn config(core: &Core) -> Arc<EngineConfig> {
    let Some(mechanism) = core.engine.mechanism.for_endpoint() else {
        return core.engine.clone();
    };
    let mut config = EngineConfig::clone(&core.engine);
    config.mechanism = mechanism;
    Arc::new(config)
}

struct Dial {
    core: Arc<Core>,
    config: Arc<EngineConfig>,
    endpoint: Endpoint,
    name: Arc<str>,
    queues: Queues,
    disconnected: Arc<AtomicBool>,
    _insecure: Option<Standing>,
}

impl Dial {
    async fn run(self, pipe: PipeId) {
        let cause = self.dial(pipe).await;
        lock(&self.core.book).forget(&self.queues.outgoing);
        // Nothing is accepted from here on, so that what is counted is what is lost.
        self.queues.outgoing.close(Instant::now());
        let dropped = self.queues.outgoing.messages() as u64;
        self.core.detach(pipe);
        self.emit(None, LinkEventKind::Stopped { cause, dropped });
    }

    /// Connects again and again; why it came to an end.
    async fn dial(&self, pipe: PipeId) -> StopCause {
        let mut pause = Pause::new(&self.core);
        let stop = self.core.options.links.reconnect_stop;
        loop {
            // A connection that is made as the socket closes must not carry what was given up.
            let attempt = tokio::select! {
                biased;
                () = self.closing() => return StopCause::Asked,
                attempt = self.open() => attempt,
            };
            let (after, error) = match attempt {
                Err(error) => {
                    if let Some(cause) = stop.on_failure(error.kind()) {
                        return cause;
                    }
                    (pause.after_failure(), Some(error.kind()))
                }
                Ok((stream, address)) => {
                    let began = Instant::now();
                    let outcome = self.session(stream, address, pipe).run().await;
                    if outcome.closed {
                        return StopCause::Asked;
                    }
                    let next_key = outcome.wrong_server_key;
                    if next_key && self.config.mechanism.try_next_key() {
                        (SHORTEST, None)
                    } else if let Some(cause) = stop.on_end(outcome.was_ready) {
                        return cause;
                    } else {
                        (pause.after_session(outcome, began.elapsed()), None)
                    }
                }
            };
            self.emit(None, LinkEventKind::Retrying { after, error });
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = self.closing() => return StopCause::Asked,
            }
        }
    }

    fn session(&self, stream: BoxStream, address: PeerAddress, pipe: PipeId) -> Box<Session> {
        self.emit(Some(address), LinkEventKind::Connected);
        let link = Link {
            endpoint: self.name.clone(),
            address,
        };
        let queues = self.queues.clone();
        let config = self.config.clone();
        Session::new(self.core.clone(), config, stream, link, queues, Some(pipe))
    }

    fn emit(&self, address: Option<PeerAddress>, kind: LinkEventKind) {
        self.core.emit(&self.name, address, kind);
    }

    /// A name that was `localhost`'s led somewhere else: the operator must know.
    fn tell_clear_text(&self, error: &io::Error) {
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<transport::ClearText>())
        {
            let mechanism = self.core.options.security.mechanism.name();
            let refusal = Refusal::new(Side::Us, Stage::Transport, Reason::ClearText, mechanism);
            self.emit(None, LinkEventKind::Refused(refusal));
        }
    }

    async fn open(&self) -> io::Result<(BoxStream, PeerAddress)> {
        let timeout = self.core.options.links.connect_timeout;
        let mut connecting = false;
        let open = tokio::time::timeout(timeout, self.connect(&mut connecting)).await;
        let open = open.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = &open {
            self.tell_clear_text(error);
            if connecting {
                let error = error.into();
                self.emit(None, LinkEventKind::ConnectFailed { error });
            }
        }
        open
    }

    /// Names are resolved anew at every attempt: the address behind one may have changed.
    async fn connect(&self, connecting: &mut bool) -> io::Result<(BoxStream, PeerAddress)> {
        let route = Route::find(&self.endpoint, &self.core.options).await?;
        *connecting = true;
        if matches!(self.endpoint, Endpoint::Tcp { .. }) {
            self.emit(None, LinkEventKind::Connecting);
        }
        route.open(&self.core.options).await
    }

    /// Ready when nothing is to be written any more: the socket is closed, or the endpoint
    /// disconnected, and nothing waits or lingering is over.
    async fn closing(&self) {
        let deadline = poll_fn(|cx| self.queues.outgoing.poll_closing(cx)).await;
        let at_once = self.core.options.links.reconnect_stop.on_disconnect()
            && self.disconnected.load(Ordering::Relaxed);
        if !at_once && Instant::now() < deadline {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}

/// How long to wait before the next attempt: doubling, with a random quarter taken off so that
/// many clients of one server do not come back at the same moment.
struct Pause {
    first: Duration,
    next: Duration,
    max: Duration,
    first_refused: Duration,
    refused: Duration,
}

impl Pause {
    fn new(core: &Core) -> Self {
        let options = &core.options;
        let first = options.links.reconnect_interval.max(SHORTEST);
        Self {
            first,
            next: first,
            max: options.links.reconnect_interval_max.max(first),
            first_refused: options.links.refused_interval,
            refused: options.links.refused_interval,
        }
    }

    fn after_failure(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.max);
        jittered(pause)
    }

    /// A refusal in words is waited out longer, but never taken as the last word: it may be
    /// forged, and allow-lists are mended by people.
    ///
    /// A link counts as a success only if it lived longer than the wait before it: one that the
    /// peer lets in and drops at once (a taken routing id, a second PAIR) is tried less and less.
    fn after_session(&mut self, outcome: Outcome, lived: Duration) -> Duration {
        if outcome.refused {
            let pause = self.refused;
            self.refused = pause
                .saturating_mul(2)
                .min(REFUSED_MAX.max(self.first_refused));
            return jittered(pause);
        }
        if outcome.was_ready && lived >= self.next {
            self.next = self.first;
            self.refused = self.first_refused;
        }
        self.after_failure()
    }
}

fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) % 256;
    let quarter = pause / 4;
    pause - quarter / 256 * u32::try_from(random).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause() -> Pause {
        let ms = Duration::from_millis;
        Pause {
            first: ms(100),
            next: ms(100),
            max: ms(1000),
            first_refused: ms(60_000),
            refused: ms(60_000),
        }
    }

    fn outcome(was_ready: bool, refused: bool) -> Outcome {
        Outcome {
            was_ready,
            refused,
            closed: false,
            wrong_server_key: false,
        }
    }

    /// Whether the wait is this long, less a random quarter.
    fn is_about(taken: Duration, expected: u64) -> bool {
        let expected = Duration::from_millis(expected);
        taken <= expected && taken * 4 >= expected * 3
    }

    #[test]
    fn a_link_that_lives_begins_the_waits_anew_and_one_that_is_dropped_at_once_does_not() {
        let (long, short) = (Duration::from_secs(9), Duration::from_millis(1));
        let mut pause = pause();
        let ready = outcome(true, false);
        for expected in [100, 200, 400, 800, 1000, 1000] {
            assert!(
                is_about(pause.after_session(ready, short), expected),
                "{expected}"
            );
        }
        assert!(is_about(pause.after_session(ready, long), 100));
        assert!(is_about(pause.after_failure(), 200));
    }

    #[test]
    fn refusals_are_waited_out_longer_and_never_for_ever() {
        let mut pause = pause();
        for expected in [60_000, 120_000, 240_000, 480_000, 600_000, 600_000] {
            let taken = pause.after_session(outcome(false, true), Duration::ZERO);
            assert!(is_about(taken, expected), "{expected}");
        }
    }

    #[tokio::test]
    async fn t17_a_name_of_this_host_that_leads_elsewhere_is_told_as_clear_text() {
        let context = crate::Context::new().unwrap();
        let mut events = context.events();
        let socket = context.any_socket(curvelink_proto::SocketType::Push, crate::Options::new());
        let endpoint: Endpoint = "tcp://localhost:1".parse().unwrap();
        let dial = Dial {
            core: socket.core().clone(),
            config: config(socket.core()),
            name: endpoint.to_string().into(),
            endpoint,
            queues: socket.core().queues(),
            disconnected: Arc::default(),
            _insecure: None,
        };
        let denied = io::ErrorKind::PermissionDenied;
        dial.tell_clear_text(&io::Error::from(denied));
        assert!(events.try_recv().is_none(), "the system's own word");
        dial.tell_clear_text(&io::Error::new(denied, transport::ClearText));
        let event = events.try_recv().unwrap();
        assert_eq!(
            (event.id, event.reason),
            (curvelink_proto::EventId::Refused, Some("clear-text"))
        );
        assert_eq!(event.endpoint.as_deref(), Some("tcp://localhost:1"));
        assert_eq!(socket.statistics().refused, 1);
    }
}
