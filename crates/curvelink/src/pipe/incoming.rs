//! From one link to a socket: whole messages, handed over in batches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;

use bytes::Bytes;
use curvelink_proto::{Message, Peer};

use super::ceiling::Share;
use super::{Handed, PipeId, Served, Traffic};
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
    /// After how many messages of its batch the socket tells that there is room.
    step: AtomicUsize,
    /// The newest message takes the place of all others.
    conflate: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    /// What an inproc subscriber asked for and the publisher has not taken note of: here, so that
    /// it is told in the order in which it was asked, whichever thread tells it.
    subscriptions: VecDeque<(bool, Bytes)>,
    octets: usize,
    /// Of what all queues of the context may hold.
    share: Share,
    /// What was moved in, on the connection that is up now.
    arrived: Traffic,
    max_messages: usize,
    conflated: u64,
    /// Messages of the batch that the socket swapped out last and has not served, as far as it
    /// told.
    held: Served,
    /// The socket found nothing and wants to hear of the next message.
    idle: bool,
    /// The writer found no room and wants to hear of it.
    writer: Writer,
    /// Nothing more is accepted: the reader, or the link, is gone.
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
    pub(crate) fn new(max_messages: usize, max_octets: usize, conflate: bool) -> Self {
        let incoming = Self {
            state: Mutex::new(State {
                idle: true,
                ..State::default()
            }),
            max_octets,
            step: AtomicUsize::new(1),
            conflate: AtomicBool::new(conflate),
        };
        incoming.set_terms(max_messages, conflate);
        incoming
    }

    /// Puts the queue under a ceiling. Its only message passes all the same.
    pub(crate) fn under(mut self, share: Share) -> Self {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.share = share;
        self
    }

    /// Sets the high-water mark anew, and whether only the last message is kept: of an inproc
    /// queue, half is known once the ends are joined.
    pub(crate) fn set_terms(&self, max_messages: usize, conflate: bool) {
        let mut state = lock(&self.state);
        state.max_messages = match max_messages {
            0 => usize::MAX,
            mark => mark,
        };
        self.conflate.store(conflate, Ordering::Relaxed);
        if conflate && let Some(last) = state.queue.pop_back() {
            self.push(&mut state, last);
        }
        let step = (state.max_messages / 8).clamp(1, 64);
        self.step.store(step, Ordering::Relaxed);
    }

    /// Moves messages in until the queue is full; whether the socket must be told. What found no
    /// room stays in `batch`; `waker` is called once there is.
    pub(crate) fn push_batch(&self, batch: &mut VecDeque<Message>, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if state.closed {
            batch.clear();
            return false;
        }
        let before = batch.len();
        self.push_many(&mut state, batch);
        while !batch.is_empty() && self.room(&mut state) {
            batch
                .pop_front()
                .into_iter()
                .for_each(|message| self.push(&mut state, message));
        }
        if !batch.is_empty() {
            state.writer = Writer::Session(waker.clone());
        }
        batch.len() < before && std::mem::take(&mut state.idle)
    }

    /// Moves as many messages in as the high-water mark allows, if the octets of all these have room
    /// too: where they have, and that is nearly always, each by itself would find the same.
    fn push_many(&self, state: &mut State, batch: &mut VecDeque<Message>) {
        let waiting = state.queue.len() + state.held.messages;
        let room = state.max_messages.saturating_sub(waiting).min(batch.len());
        let octets: usize = batch.iter().take(room).map(Message::octets).sum();
        let held = state.octets + state.held.octets + octets;
        if room == 0 || held > self.max_octets || self.conflates() || !state.share.covers(held) {
            return;
        }
        state.octets += octets;
        state.arrived.count(room, octets);
        if state.queue.is_empty() && room == batch.len() {
            std::mem::swap(&mut state.queue, batch);
        } else {
            state.queue.extend(batch.drain(..room));
        }
    }

    /// Notes a subscription of an inproc peer, or its end, for [`next_subscription`]; whether the
    /// receiving socket is still there to be told.
    ///
    /// [`next_subscription`]: Self::next_subscription
    pub(crate) fn push_subscription(&self, subscribe: bool, prefix: Bytes) -> bool {
        let mut state = lock(&self.state);
        if !state.closed {
            state.subscriptions.push_back((subscribe, prefix));
        }
        !state.closed
    }

    /// The oldest subscription, or end of one, that the publisher has not taken note of.
    pub(crate) fn next_subscription(&self) -> Option<(bool, Bytes)> {
        lock(&self.state).subscriptions.pop_front()
    }

    /// Moves the last messages of a link in, over the mark if need be; whether the socket must be
    /// told.
    pub(crate) fn push_rest(&self, rest: &mut VecDeque<Message>) -> bool {
        let mut state = lock(&self.state);
        if state.closed || rest.is_empty() {
            return false;
        }
        rest.drain(..)
            .for_each(|message| self.push(&mut state, message));
        std::mem::take(&mut state.idle)
    }

    /// Accepts an inproc peer's message, if there is room; whether the receiving socket must be told.
    pub(crate) fn push_inproc(
        &self,
        message: Handed<'_>,
        writer: &Weak<Core>,
        pipe: PipeId,
    ) -> Option<bool> {
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        if !self.room(&mut state) {
            state.writer = Writer::Inproc(writer.clone(), pipe);
            return None;
        }
        self.push(&mut state, message.take());
        // Who sent it to us is not who it comes from for the other socket.
        if let Some(taken) = state.queue.back_mut() {
            taken.set_peer(None);
        }
        Some(std::mem::take(&mut state.idle))
    }

    /// Whether a message of an inproc peer would be accepted; if not, the peer is told once it
    /// would.
    pub(crate) fn has_room(&self, writer: &Weak<Core>, pipe: PipeId) -> bool {
        let mut state = lock(&self.state);
        let room = !state.closed && self.room(&mut state);
        if !room {
            state.writer = Writer::Inproc(writer.clone(), pipe);
        }
        room
    }

    fn room(&self, state: &mut State) -> bool {
        let messages = state.queue.len() + state.held.messages;
        let octets = state.octets + state.held.octets;
        let full = messages >= state.max_messages
            || messages > 0 && (octets >= self.max_octets || !state.share.covers(octets));
        self.conflates() || !full
    }

    fn push(&self, state: &mut State, message: Message) {
        if self.conflates() {
            state.conflated += state.queue.len() as u64;
            state.queue.clear();
            state.octets = 0;
        }
        let octets = message.octets();
        state.octets += octets;
        state.arrived.count(1, octets);
        state.queue.push_back(message);
    }

    /// Swaps what there is into the socket's batch, which it has served whole; the next message
    /// after an empty swap is announced. The effect wakes a writer that waits for room.
    ///
    /// Where messages conflate, one that was swapped out and not served gives way to a newer one.
    pub(crate) fn take(&self, batch: &mut VecDeque<Message>) -> Option<Effect> {
        let mut state = lock(&self.state);
        if !batch.is_empty() {
            if state.queue.is_empty() {
                return None;
            }
            state.conflated += batch.len() as u64;
            batch.clear();
        }
        std::mem::swap(&mut state.queue, batch);
        state.held = Served {
            messages: batch.len(),
            octets: std::mem::take(&mut state.octets),
        };
        state.idle = batch.is_empty();
        state.tell_writer(self.max_octets)
    }

    /// Whether the newest message takes the place of all others.
    pub(crate) fn conflates(&self) -> bool {
        self.conflate.load(Ordering::Relaxed)
    }

    /// Whether so much was served of the batch that [`served`](Self::served) should be told.
    pub(crate) fn is_worth_telling(&self, served: Served) -> bool {
        served.messages >= self.step.load(Ordering::Relaxed) || served.octets >= self.max_octets / 8
    }

    /// Takes note of what the socket has served of its batch. The effect wakes a writer that waits
    /// for room, once half of it is free.
    pub(crate) fn served(&self, served: Served) -> Option<Effect> {
        let mut state = lock(&self.state);
        state.held.messages = state.held.messages.saturating_sub(served.messages);
        state.held.octets = state.held.octets.saturating_sub(served.octets);
        state.tell_writer(self.max_octets)
    }

    /// What was moved in on the connection that is up now.
    pub(crate) fn traffic(&self) -> Traffic {
        lock(&self.state).arrived
    }

    /// Another connection is up.
    pub(crate) fn count_anew(&self) {
        lock(&self.state).arrived = Traffic::default();
    }

    /// Gives memory back: nothing comes for now.
    pub(crate) fn rest(&self) {
        let mut state = lock(&self.state);
        let octets = state.octets + state.held.octets;
        state.share.rest(octets);
        if state.queue.is_empty() {
            state.queue = VecDeque::new();
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

    /// Messages whose place a newer one took.
    pub(crate) fn conflated(&self) -> u64 {
        lock(&self.state).conflated
    }

    /// The link is over: what waits may be received, and nothing more is accepted.
    pub(crate) fn seal(&self) {
        lock(&self.state).closed = true;
    }

    /// The reader is gone: what waits is dropped, and nothing more is accepted.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.queue.clear();
        (state.octets, state.held) = (0, Served::default());
        state.share.rest(0);
        if let Writer::Session(waker) = std::mem::take(&mut state.writer) {
            drop(state);
            waker.wake();
        }
    }
}

impl State {
    /// Wakes a writer that waits, if half of the mark is free or nothing is left to be served.
    fn tell_writer(&mut self, max_octets: usize) -> Option<Effect> {
        let messages = self.queue.len() + self.held.messages;
        let octets = self.octets + self.held.octets;
        self.share.settle(octets);
        let room = messages <= self.max_messages / 2 && octets <= max_octets / 2;
        if !room && messages > 0 {
            return None;
        }
        match std::mem::take(&mut self.writer) {
            Writer::Busy => None,
            Writer::Session(waker) => Some(Effect::Wake(waker)),
            Writer::Inproc(core, pipe) => Some(Effect::Writable(core, pipe)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(incoming: &Incoming) -> usize {
        let mut count = 0;
        while incoming
            .push_inproc(Handed::Copy(&"x".into()), &Weak::new(), PipeId::OWN)
            .is_some()
        {
            count += 1;
        }
        count
    }

    fn one() -> Served {
        Served {
            messages: 1,
            octets: 1,
        }
    }

    #[test]
    fn exactly_the_high_water_mark_is_accepted_and_what_is_swapped_out_counts() {
        for mark in [1, 2, 3, 7, 2000] {
            let incoming = Incoming::new(mark, 1 << 20, false);
            assert_eq!(fill(&incoming), mark);
            let mut batch = VecDeque::new();
            assert!(
                incoming.take(&mut batch).is_none(),
                "{mark}: nothing served"
            );
            assert_eq!((batch.len(), fill(&incoming)), (mark, 0));
            // Half of the mark, rounded up, must be served before the writer hears of it.
            let woken = (1..=mark).find(|_| incoming.served(one()).is_some());
            assert_eq!(woken, Some(mark.div_ceil(2)), "{mark}");
            assert_eq!(fill(&incoming), mark.div_ceil(2));
        }
    }

    #[test]
    fn octets_are_bounded_but_one_large_message_passes() {
        let incoming = Incoming::new(0, 1000, false);
        let push = |octets: usize| {
            incoming
                .push_inproc(
                    Handed::Copy(&vec![0; octets].into()),
                    &Weak::new(),
                    PipeId::OWN,
                )
                .is_some()
        };
        assert!(push(5000) && !push(1));
        let mut batch = VecDeque::new();
        assert!(incoming.take(&mut batch).is_none());
        assert!(!push(1), "it is not served yet");
        let served = Served {
            messages: 1,
            octets: 5000,
        };
        assert!(incoming.is_worth_telling(served));
        assert!(incoming.served(served).is_some() && push(1));
    }

    #[test]
    fn only_the_last_message_is_kept_where_they_conflate() {
        let incoming = Incoming::new(1, 1, true);
        let mut batch: VecDeque<Message> = (0..9).map(|i| i.to_string().into()).collect();
        assert!(incoming.push_batch(&mut batch, Waker::noop()));
        assert!(batch.is_empty() && incoming.len() == 1);
        assert_eq!(incoming.conflated(), 8);
        incoming.take(&mut batch);
        assert_eq!(batch, ["8".into()]);
        incoming.take(&mut batch);
        assert_eq!(batch, ["8".into()], "there is no newer one");
        incoming.push_rest(&mut VecDeque::from(["9".into(), "10".into()]));
        incoming.take(&mut batch);
        assert_eq!(batch, ["10".into()]);
        assert_eq!(incoming.conflated(), 10);
    }

    #[test]
    fn what_waited_before_the_ends_were_joined_conflates_too() {
        let incoming = Incoming::new(5, 1000, false);
        assert_eq!(fill(&incoming), 5);
        incoming.set_terms(9, true);
        assert_eq!((incoming.len(), incoming.conflated()), (1, 4));
        let mut batch = VecDeque::new();
        incoming.take(&mut batch);
        assert_eq!(batch.len(), 1);
    }
}
