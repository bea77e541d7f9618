//! Dialling: connect, run the session, connect again.

use std::future::poll_fn;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink_proto::{Endpoint, LinkEventKind, Reason, Refusal, Side, Stage};

use super::{Link, Outcome, Session};
use crate::pipe::{Outgoing, PipeId};
use crate::socket::core::{Core, Queues};
use crate::transport;

/// The longest wait after refusals in a row.
const REFUSED_MAX: Duration = Duration::from_secs(600);

pub(crate) fn spawn(core: &Arc<Core>, endpoint: Endpoint, queues: Queues, pipe: PipeId) {
    let dial = Dial {
        core: core.clone(),
        name: Arc::from(endpoint.to_string()),
        endpoint,
        queues,
    };
    core.shared.spawn(dial.run(pipe));
}

struct Dial {
    core: Arc<Core>,
    endpoint: Endpoint,
    name: Arc<str>,
    queues: Queues,
}

impl Dial {
    async fn run(self, pipe: PipeId) {
        let mut pause = Pause::new(&self.core);
        loop {
            let attempt = tokio::select! {
                attempt = self.open() => attempt,
                () = closing(&self.queues.outgoing) => break,
            };
            let (after, error) = match attempt {
                Err(error) => {
                    self.tell_clear_text(&error);
                    (pause.after_failure(), Some(error.kind()))
                }
                Ok((stream, address)) => {
                    self.core
                        .emit(&self.name, Some(address), LinkEventKind::Connected);
                    let link = Link {
                        endpoint: self.name.clone(),
                        address,
                    };
                    let core = self.core.clone();
                    let session = Session::new(core, stream, link, self.queues.clone(), Some(pipe));
                    let began = Instant::now();
                    let outcome = session.run().await;
                    if outcome.closed {
                        break;
                    }
                    (pause.after_session(outcome, began.elapsed()), None)
                }
            };
            self.core
                .emit(&self.name, None, LinkEventKind::Retrying { after, error });
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = closing(&self.queues.outgoing) => break,
            }
        }
        self.core.detach(pipe);
        self.core.emit(&self.name, None, LinkEventKind::Closed);
    }

    /// A name that was `localhost`'s led somewhere else: the operator must know.
    fn tell_clear_text(&self, error: &io::Error) {
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<transport::ClearText>())
        {
            let mechanism = self.core.options.security.mechanism.name();
            let refusal = Refusal::new(Side::Us, Stage::Transport, Reason::ClearText, mechanism);
            self.core
                .emit(&self.name, None, LinkEventKind::Refused(refusal));
        }
    }

    /// Names are resolved anew at every attempt: the address behind one may have changed.
    async fn open(&self) -> io::Result<(transport::BoxStream, curvelink_proto::PeerAddress)> {
        let options = &self.core.options;
        let open = async {
            let route = transport::Route::find(&self.endpoint).await?;
            route.open(options).await
        };
        tokio::time::timeout(options.links.connect_timeout, open)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Ready when the socket is closed and nothing waits to be written, or lingering is over.
async fn closing(outgoing: &Outgoing) {
    let deadline = poll_fn(|cx| outgoing.poll_closing(cx)).await;
    tokio::time::sleep_until(deadline.into()).await;
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
        let first = options.links.reconnect_interval;
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
}
