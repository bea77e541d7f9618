//! From one link to a socket: whole messages, handed over in batches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

use curvelink_proto::{Message, Peer};

use crate::pipe::PipeId;
use crate::socket::core::{Core, Effect};
use crate::sync::lock;

/// The queue between a session, or an inproc peer, and the socket that receives.
///
/// The socket swaps the whole queue out under one lock and serves from its own batch; what it
/// swapped out and has not served counts against the high-water mark all the same.
#[derive(Debug)]
pub(crate) struct Incoming {
    state: Mutex<State>,
    max_octets: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    octets: usize,
    max_messages: usize,
    /// Messages of the batch that the socket swapped out last.
    held: usize,
    held_octets: usize,
    /// The socket found nothing and wants to hear of the next message.
    idle: bool,
    /// The writer found no room and wants to hear of it.
    writer: Writer,
    /// The reader is gone.
    closed: bool,
}

#[derive(Debug, Default)]
enum Writer {
    #[default]
    Busy,
    Session(Waker),
    Inproc(Weak<Core>, PipeId),
}

impl Incoming {
    /// `max_messages` is the high-water mark, 0 for none; octets are bounded beside it.
    pub(crate) fn new(max_messages: usize, max_octets: usize) -> Self {
        let state = State {
            idle: true,
            ..State::default()
        };
        let incoming = Self {
            state: Mutex::new(state),
            max_octets,
        };
        incoming.set_mark(max_messages);
        incoming
    }

    /// Sets the high-water mark anew: of an inproc queue, half is known once the ends are joined.
    pub(crate) fn set_mark(&self, max_messages: usize) {
        lock(&self.state).max_messages = match max_messages {
            0 => usize::MAX,
            mark => mark,
        };
    }

    /// Moves messages in until the queue is full; whether the socket must be told. What found no
    /// room stays in `batch`; `waker` is called once there is.
    pub(crate) fn push_batch(&self, batch: &mut VecDeque<Message>, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if state.closed {
            batch.clear();
        }
        let mut pushed = false;
        while let Some(message) = batch.pop_front() {
            if let Err(message) = self.push(&mut state, message) {
                batch.push_front(message);
                state.writer = Writer::Session(waker.clone());
                break;
            }
            pushed = true;
        }
        pushed && std::mem::take(&mut state.idle)
    }

    /// Moves the last messages of a link in, over the mark if need be; whether the socket must be
    /// told.
    pub(crate) fn push_rest(&self, rest: &mut VecDeque<Message>) -> bool {
        let mut state = lock(&self.state);
        if state.closed || rest.is_empty() {
            return false;
        }
        state.octets += rest.iter().map(Message::octets).sum::<usize>();
        state.queue.append(rest);
        std::mem::take(&mut state.idle)
    }

    /// Accepts one message of an inproc peer; whether the receiving socket must be told.
    pub(crate) fn push_inproc(
        &self,
        message: Message,
        writer: &Weak<Core>,
        pipe: PipeId,
    ) -> Result<bool, Message> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(message);
        }
        match self.push(&mut state, message) {
            Ok(()) => Ok(std::mem::take(&mut state.idle)),
            Err(message) => {
                state.writer = Writer::Inproc(writer.clone(), pipe);
                Err(message)
            }
        }
    }

    /// Whether a message of an inproc peer would be accepted; if not, the peer is told once it
    /// would.
    pub(crate) fn has_room(&self, writer: &Weak<Core>, pipe: PipeId) -> bool {
        let mut state = lock(&self.state);
        if state.closed || self.full(&state) {
            state.writer = Writer::Inproc(writer.clone(), pipe);
            return false;
        }
        true
    }

    fn full(&self, state: &State) -> bool {
        let messages = state.queue.len() + state.held;
        let octets = state.octets + state.held_octets;
        messages >= state.max_messages || (octets >= self.max_octets && messages > 0)
    }

    fn push(&self, state: &mut State, message: Message) -> Result<(), Message> {
        if self.full(state) {
            return Err(message);
        }
        state.octets += message.octets();
        state.queue.push_back(message);
        Ok(())
    }

    /// Swaps what there is into the socket's batch, which it has served whole; the next message
    /// after an empty swap is announced. The effect wakes a writer that waits for room.
    pub(crate) fn take(&self, batch: &mut VecDeque<Message>) -> Option<Effect> {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.queue, batch);
        state.held = batch.len();
        state.held_octets = std::mem::take(&mut state.octets);
        state.idle = batch.is_empty();
        if state.held > state.max_messages / 2 && !state.idle {
            return None;
        }
        match std::mem::take(&mut state.writer) {
            Writer::Busy => None,
            Writer::Session(waker) => Some(Effect::Wake(waker)),
            Writer::Inproc(core, pipe) => Some(Effect::Writable(core, pipe)),
        }
    }

    /// Notes the sender on the messages that wait: another peer's come after them.
    pub(crate) fn note_sender(&self, sender: Option<&Arc<Peer>>) {
        super::note_sender(&mut lock(&self.state).queue, sender);
    }

    /// Messages that wait here, without those of the batch that was swapped out.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).queue.len()
    }

    /// The reader is gone: what waits is dropped, and nothing more is accepted.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.queue.clear();
        if let Writer::Session(waker) = std::mem::take(&mut state.writer) {
            drop(state);
            waker.wake();
        }
    }
}
