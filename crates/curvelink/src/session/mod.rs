//! Sessions: one task for each connection, from its first octet to its last.

mod admission;
pub(crate) mod dial;
mod drive;
mod driven;
pub(crate) mod listen;
mod rate;
mod review;
mod slots;
mod timer;
mod warrant;
mod work;

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use curvelink_proto::{
    BoxFuture, Engine, EngineConfig, LinkEvent, LinkEventKind, Message, OsEntropy, Peer,
    PeerAddress, ProtocolError, Reason, Refusal, Side, Stage, ZapReply,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::admission::Denials;
use self::drive::Progress;
use self::rate::Rate;
use self::slots::Slot;
use self::timer::Timer;
use self::warrant::Warrant;
use crate::pipe::PipeId;
use crate::socket::core::{Core, Queues};
use crate::sync::lock;
use crate::transport::BoxStream;

/// How long the last octets (an ERROR, a FIN) may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Octets that one poll reads before other tasks get theirs.
const READ_AT_ONCE: usize = 128 * 1024;

/// Turns of one poll before other tasks get theirs.
const TURNS: usize = 16;

/// One connection: its stream, its engine, and its socket's queues. A future that ends with the
/// connection.
pub(crate) struct Session {
    core: Arc<Core>,
    stream: BoxStream,
    engine: Engine,
    link: Link,
    queues: Queues,
    /// Ours from the start where we dialled; made when the peer is ready where it came to us.
    pipe: Option<PipeId>,
    peer: Option<Arc<Peer>>,
    admission: Option<BoxFuture<'static, ZapReply>>,
    /// Where a policy was asked.
    warrant: Option<Box<Warrant>>,
    /// Where the peer's rights have one.
    rate: Option<Box<Rate>>,
    /// Parsed messages for which the socket has no room yet.
    inbox: VecDeque<Message>,
    /// When lingering ends, once the socket is closed.
    closing: Option<Instant>,
    /// The peer takes nothing any more.
    deaf: bool,
    timer: Timer,
    denials: Denials,
    /// Of a connection that came to us, until it is ready.
    slot: Option<Slot>,
    born: Instant,
    sent: u64,
    received: u64,
    /// Octets that the current poll has read.
    read_now: usize,
    /// Messages received and sent when `rests` was set.
    moved: (u64, u64),
    /// When the link gives memory back, unless a message comes or goes before.
    rests: Option<Instant>,
}

/// Which link it is, for events.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) endpoint: Arc<str>,
    pub(crate) address: PeerAddress,
}

/// Why a session is over, or pauses.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// It pauses: the next step of its handshake is to be run where it holds up no I/O.
    Work,
    /// The protocol, or the peer, says so.
    Protocol(ProtocolError),
    /// The pattern does not take the peer, or ends the link; or its time is over.
    Pattern(Reason),
    /// The peer's right to be here has ended: nothing of it is received and nothing goes to it.
    Cut(Reason),
    /// The peer closed, or the network failed.
    Gone,
    /// A newer connection needed the slot.
    GaveWay,
    /// Our socket was closed and everything is written, or lingering is over.
    Closed,
}

/// What a dialling task needs to know of a session that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) was_ready: bool,
    /// The peer said no in words, however unauthenticated.
    pub(crate) refused: bool,
    pub(crate) closed: bool,
    /// The server does not have the key that this connection tried.
    pub(crate) wrong_server_key: bool,
}

impl Session {
    /// On the heap, because each future that it passes through would have room for it.
    pub(crate) fn new(
        core: Arc<Core>,
        config: Arc<EngineConfig>,
        stream: BoxStream,
        link: Link,
        queues: Queues,
        pipe: Option<PipeId>,
    ) -> Box<Self> {
        let now = Instant::now();
        let entropy = Box::new(OsEntropy);
        let endpoint = link.endpoint.clone();
        Box::new(Self {
            engine: Engine::new(config, link.address, endpoint, entropy, now),
            core,
            stream,
            link,
            queues,
            pipe,
            peer: None,
            admission: None,
            warrant: None,
            rate: None,
            inbox: VecDeque::new(),
            closing: None,
            deaf: false,
            timer: Timer::default(),
            denials: Denials::default(),
            slot: None,
            born: now,
            sent: 0,
            received: 0,
            read_now: 0,
            moved: (0, 0),
            rests: None,
        })
    }

    /// Holds a slot of the listener until the peer is ready.
    fn holding(mut self: Box<Self>, slot: Slot) -> Box<Self> {
        self.slot = Some(slot);
        self
    }

    /// Runs the connection to its end, and tells everybody.
    pub(crate) async fn run(mut self: Box<Self>) -> Outcome {
        // A STREAM's engine is ready before anything is read.
        let mut result = self.take_events();
        loop {
            let end = match result {
                Ok(()) => {
                    let end;
                    (self, end) = driven::run(self).await;
                    end
                }
                Err(end) => end,
            };
            if !matches!(end, LinkEnd::Work) {
                return self.end(end).await;
            }
            (self, result) = self.work().await;
        }
    }

    async fn end(mut self: Box<Self>, mut end: LinkEnd) -> Outcome {
        if matches!(end, LinkEnd::Closed) && self.slot.as_ref().is_some_and(Slot::gave_way) {
            end = LinkEnd::GaveWay;
        }
        self.blame(&end);
        let was_ready = self.peer.is_some();
        if let (LinkEnd::Cut(_), Some(pipe)) = (&end, self.pipe.filter(|_| was_ready)) {
            self.drop_queues(pipe);
        }
        self.report(&end);
        if !matches!(end, LinkEnd::Gone) {
            self.engine.close();
        }
        if was_ready && let Some(pipe) = self.pipe {
            // Messages that were not written whole go out on the next connection, if there is one.
            self.queues.outgoing.give_back(self.engine.take_unsent());
            // What came whole before the end is received, room or not.
            if self.queues.incoming.push_rest(&mut self.inbox) {
                self.core.readable(pipe);
            }
            self.core.lost(pipe);
        }
        lock(&self.core.book).end_handshake(&self.queues.outgoing);
        let outcome = Outcome {
            was_ready,
            refused: matches!(end, LinkEnd::Protocol(ProtocolError::RefusedByPeer { .. })),
            closed: matches!(end, LinkEnd::Closed),
            wrong_server_key: matches!(
                end,
                LinkEnd::Protocol(error) if error.reason() == Reason::WrongServerKey
            ),
        };
        let (slot, outgoing) = (self.slot.take(), self.queues.outgoing.clone());
        tokio::select! {
            biased;
            _slow_peer = tokio::time::timeout(FAREWELL, self.farewell(&end)) => {}
            () = slots::wanted(slot, &outgoing) => {}
        }
        outcome
    }

    /// Writes what the engine itself still has to say (an ERROR, the end of stream), then ends our
    /// side of the stream. Octets that the peer has sent and nobody read would turn the close into
    /// a reset that can destroy what we wrote: they are read and dropped.
    async fn farewell(&mut self, end: &LinkEnd) -> std::io::Result<()> {
        if matches!(end, LinkEnd::Gone | LinkEnd::GaveWay | LinkEnd::Cut(_)) {
            return Ok(());
        }
        std::future::poll_fn(|cx| self.poll_flush(cx)).await?;
        self.stream.shutdown().await?;
        let mut dropped = vec![0; 4096];
        while self.stream.read(&mut dropped).await? > 0 {}
        Ok(())
    }

    /// Tells the slot's source that its connection failed, if it did.
    fn blame(&self, end: &LinkEnd) {
        let failed = match end {
            LinkEnd::Protocol(error) => is_the_peers(error),
            LinkEnd::GaveWay => true,
            LinkEnd::Work
            | LinkEnd::Pattern(_)
            | LinkEnd::Cut(_)
            | LinkEnd::Gone
            | LinkEnd::Closed => false,
        };
        if failed && let Some(source) = self.slot.as_ref().and_then(Slot::source) {
            let limits = &self.core.options.transport.source_limits;
            lock(&self.core.shared.sources).failed(source, Instant::now(), limits);
        }
    }

    fn report(&mut self, end: &LinkEnd) {
        if let Some(peer) = &self.peer {
            for denied in self.denials.flush(peer) {
                self.emit(denied);
            }
            let reason = match end {
                LinkEnd::Protocol(error) => Some(error.reason()),
                LinkEnd::Pattern(reason) | LinkEnd::Cut(reason) => Some(*reason),
                LinkEnd::Work | LinkEnd::Gone | LinkEnd::GaveWay | LinkEnd::Closed => None,
            };
            let (received, sent) = (self.received, self.sent);
            self.emit(LinkEventKind::Disconnected {
                reason,
                received,
                sent,
            });
        } else {
            let refusal = match end {
                LinkEnd::Protocol(error) => self.engine.refusal(error),
                LinkEnd::Pattern(reason) | LinkEnd::Cut(reason) => {
                    self.refused_here(Stage::Admission, *reason)
                }
                LinkEnd::GaveWay => self.refused_here(Stage::Greeting, Reason::RateLimited),
                LinkEnd::Work | LinkEnd::Gone | LinkEnd::Closed => return,
            };
            self.emit(LinkEventKind::Refused(refusal));
        }
    }

    fn refused_here(&self, stage: Stage, reason: Reason) -> Refusal {
        let mechanism = self.core.options.security.mechanism.name();
        let mut refusal = Refusal::new(Side::Us, stage, reason, mechanism);
        let key = self.engine.peer().and_then(|peer| peer.key);
        refusal.fingerprint = key.map(|key| key.fingerprint());
        refusal
    }

    fn emit(&self, kind: LinkEventKind) {
        let Link { endpoint, address } = &self.link;
        let mut event = LinkEvent::new(endpoint.clone(), Some(*address), kind);
        event.age = Some(self.born.elapsed());
        event.peer.clone_from(&self.peer);
        self.core.tell(&event);
    }
}

/// Whether a connection that was not ready ended by what the peer did, and not by a fault of this
/// side's, nor by a look whether the port is open.
fn is_the_peers(error: &ProtocolError) -> bool {
    let only_looked = matches!(
        error,
        ProtocolError::ClosedEarly {
            reason: Reason::NotZmtp,
            ..
        }
    );
    let ours = [Reason::Temporary, Reason::HandlerError, Reason::Internal];
    !only_looked && !ours.contains(&error.reason())
}

/// The whole life of a link on one screen. Each step either registers a waker for what it waits
/// for, or says that there is more to do: only when all are parked may the session be.
impl Future for &mut Session {
    type Output = LinkEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let session = &mut **self;
        session.read_now = 0;
        for _ in 0..TURNS {
            let mut turn = Progress::Parked;
            let steps = [
                Session::drive_admission, // the policy's verdict -> engine
                Session::drive_read,      // stream -> engine -> inbox
                Session::drive_inbox,     // inbox -> socket
                Session::drive_pipe,      // socket -> engine
                Session::drive_write,     // engine -> stream
                Session::drive_timer,     // deadlines, heartbeat, linger
            ];
            for step in steps {
                match step(session, cx) {
                    Ok(progress) => turn = turn.and(progress),
                    Err(end) => return Poll::Ready(end),
                }
            }
            if turn == Progress::Parked {
                return Poll::Pending;
            }
            // The application takes its messages while they are in the processor's cache, and the
            // room that it gives back is read into next.
            if session.read_now >= READ_AT_ONCE {
                break;
            }
        }
        // Woken at once, the session would go on before a future that the runtime blocks on is even
        // looked at: the runtime asks it only once its tasks are idle, or now and then.
        let later = pin!(tokio::task::yield_now());
        if later.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
