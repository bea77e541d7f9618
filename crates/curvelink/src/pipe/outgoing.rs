//! From a socket to one link: messages framed at once, taken out in batches.

use std::sync::{Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use curvelink_proto::{BATCH, Backlog, Message, Written};

use super::Traffic;
use super::ceiling::Share;
use crate::sync::lock;

/// The queue between a socket and the session that writes to its peer. It outlives the session
/// where the socket connects: what was not written goes out on the next connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    max_messages: usize,
    max_octets: usize,
    /// The newest message takes the place of all others.
    conflate: bool,
}

#[derive(Debug, Default)]
struct State {
    backlog: Backlog,
    /// Messages accepted and not yet written whole, those that the session has included.
    messages: usize,
    octets: usize,
    /// Of what all queues of the context may hold.
    share: Share,
    /// What the session wrote whole, on the connection that is up now.
    written: Traffic,
    conflated: u64,
    /// The first message that is not yet written is what the peer is greeted with.
    hello: bool,
    /// Subscriptions are among the messages; how many, nobody counts.
    subscribes: bool,
    /// The socket was told that there is no room, and waits.
    full: bool,
    /// When lingering ends; `None` while the socket lives.
    closing: Option<Instant>,
    /// The session, while it has nothing to write.
    reader: Option<Waker>,
    /// The session, where senders poll it.
    driver: Option<Weak<dyn Drive>>,
    order: Option<Order>,
}

/// What a session has to do beside moving messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Ask the policy about the peer again.
    Review,
    /// End the link, whatever waits.
    Cut,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    No,
    Yes,
    /// Yes, and [`drive`](Outgoing::drive) is to be called once no lock is held.
    Idle,
}

/// A session that others than its task may poll.
pub(crate) trait Drive: Send + Sync {
    /// Polls the session with its task's waker, unless somebody else does right now; whether its
    /// task need not be woken.
    fn try_drive(&self, task: &Waker) -> bool;
}

/// What a session finds.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Messages to write, if there are and the session has room.
    pub(crate) backlog: Option<Backlog>,
    /// Once the socket is closed: nothing more will come, and nothing is written beyond this time.
    pub(crate) closing: Option<Instant>,
    pub(crate) order: Option<Order>,
}

impl Outgoing {
    /// `max_messages` is the high-water mark, 0 for none; octets are bounded beside it.
    pub(crate) fn new(max_messages: usize, max_octets: usize, conflate: bool) -> Self {
        let max_messages = if max_messages == 0 {
            usize::MAX
        } else {
            max_messages
        };
        Self {
            state: Mutex::default(),
            max_messages,
            max_octets,
            conflate,
        }
    }

    /// Puts the queue under a ceiling. Its only message passes all the same.
    pub(crate) fn under(mut self, share: Share) -> Self {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.share = share;
        self
    }

    /// Accepts a message unless the queue is full. A message larger than the octet bound is
    /// accepted when nothing else waits.
    pub(crate) fn accept(&self, message: &Message) -> Accepted {
        let mut state = lock(&self.state);
        if !self.room(&mut state) {
            return Accepted::No;
        }
        if self.conflate {
            state.forget_waiting();
        }
        state.octets += state.backlog.push(message);
        state.messages += 1;
        if state.driver.is_some() && state.reader.is_some() {
            return Accepted::Idle;
        }
        wake(state.reader.take(), state);
        Accepted::Yes
    }

    /// Polls the idle session, or wakes it.
    pub(crate) fn drive(&self) {
        let (driver, task) = {
            let mut state = lock(&self.state);
            (state.driver.clone(), state.reader.take())
        };
        // Without a waker it is not idle any more, and looks here before it is again.
        if let Some(task) = task
            && !driver
                .and_then(|driver| driver.upgrade())
                .is_some_and(|driver| driver.try_drive(&task))
        {
            task.wake();
        }
    }

    /// Lets senders poll the session while it is idle, or not any more.
    pub(crate) fn set_driver(&self, driver: Option<Weak<dyn Drive>>) {
        lock(&self.state).driver = driver;
    }

    /// Whether a message would be accepted; if not, the socket is told once it would.
    pub(crate) fn has_room(&self) -> bool {
        self.room(&mut lock(&self.state))
    }

    /// Whether a message would be accepted later but not now; the socket is told once it would.
    pub(crate) fn is_full(&self) -> bool {
        let mut state = lock(&self.state);
        state.closing.is_none() && !self.room(&mut state)
    }

    fn room(&self, state: &mut State) -> bool {
        let full = state.messages >= self.max_messages
            || state.messages > 0
                && (state.octets >= self.max_octets || !state.share.covers(state.octets));
        if full && !self.conflate || state.closing.is_some() {
            state.full = true;
            return false;
        }
        true
    }

    /// Puts a message in front of all others, unless it waits there from an earlier connection.
    pub(crate) fn greet(&self, hello: &Message) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.hello, true) {
            return;
        }
        let mut first = Backlog::new();
        first.push(hello);
        state.put_first(first);
        wake(state.reader.take(), state);
    }

    /// Puts subscriptions in front of all that waits: a connection begins with them.
    pub(crate) fn introduce<'a>(&self, prefixes: impl Iterator<Item = &'a Bytes>) {
        let mut state = lock(&self.state);
        let mut first = Backlog::new();
        for prefix in prefixes {
            first.push_subscription(prefix, true);
        }
        state.subscribes |= !first.is_empty();
        state.put_first(first);
        wake(state.reader.take(), state);
    }

    /// Accepts a subscription, unless octets without measure wait: these are not refused at the
    /// high-water mark.
    pub(crate) fn subscribe(&self, prefix: &[u8], subscribe: bool) -> bool {
        let mut state = lock(&self.state);
        if state.octets >= self.max_octets && state.messages > 0 {
            return false;
        }
        state.subscribes = true;
        state.octets += state.backlog.push_subscription(prefix, subscribe);
        state.messages += 1;
        wake(state.reader.take(), state);
        true
    }

    /// Takes what waits, or a good part of it, if the session has room; else wakes it when there is
    /// something new.
    pub(crate) fn poll_take(&self, room: bool, cx: &Context<'_>) -> Taken {
        let mut state = lock(&self.state);
        let waits = !state.backlog.is_empty();
        // What the session has can be replaced no more: one message at a time.
        let room = room && !(self.conflate && state.messages > state.backlog.len());
        let backlog = (room && waits).then(|| state.backlog.take_front(BATCH));
        if backlog.is_none() {
            state.reader = Some(cx.waker().clone());
        }
        Taken {
            backlog,
            closing: state.ends(),
            order: state.order.take(),
        }
    }

    /// Has the session do something, if there is one.
    pub(crate) fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        if state.order != Some(Order::Cut) {
            state.order = Some(order);
        }
        wake(state.reader.take(), state);
    }

    /// Gives memory back: nothing goes for now.
    pub(crate) fn rest(&self) {
        let mut state = lock(&self.state);
        let octets = state.octets;
        state.share.rest(octets);
        state.backlog.rest();
    }

    /// Takes note that messages were written; whether the socket waits for the room.
    pub(crate) fn written(&self, written: Written) -> bool {
        let mut state = lock(&self.state);
        state.messages = state.messages.saturating_sub(written.messages);
        state.octets = state.octets.saturating_sub(written.octets);
        state.written.count(written.messages, written.octets);
        state.hello &= written.messages == 0;
        let octets = state.octets;
        state.share.settle(octets);
        let room = state.messages <= self.max_messages / 2 && octets <= self.max_octets / 2;
        if state.full && room {
            state.full = false;
            return true;
        }
        false
    }

    /// What was written whole on the connection that is up now, counting subscriptions.
    pub(crate) fn traffic(&self) -> Traffic {
        lock(&self.state).written
    }

    /// Another connection is up.
    pub(crate) fn count_anew(&self) {
        lock(&self.state).written = Traffic::default();
    }

    /// Messages accepted and not yet written whole.
    pub(crate) fn messages(&self) -> usize {
        lock(&self.state).messages
    }

    /// Messages whose place a newer one took.
    pub(crate) fn conflated(&self) -> u64 {
        lock(&self.state).conflated
    }

    /// Puts messages that were not written back in front.
    pub(crate) fn give_back(&self, mut unsent: Backlog) {
        let mut state = lock(&self.state);
        if self.conflate && !state.backlog.is_empty() {
            state.messages = state.messages.saturating_sub(unsent.len());
            state.octets = state.octets.saturating_sub(unsent.octets());
            state.conflated += unsent.len() as u64;
            return;
        }
        unsent.append(state.backlog.take());
        state.backlog = unsent;
    }

    /// Forgets all that waits: what was meant for a peer that is gone. Gives how many messages
    /// that were, if there were no subscriptions among them.
    pub(crate) fn clear(&self) -> usize {
        let mut state = lock(&self.state);
        state.backlog = Backlog::new();
        state.octets = 0;
        state.share.settle(0);
        state.hello = false;
        let messages = std::mem::take(&mut state.messages);
        if state.subscribes { 0 } else { messages }
    }

    /// Whether the application gave the link up.
    pub(crate) fn is_closing(&self) -> bool {
        lock(&self.state).closing.is_some()
    }

    /// The socket is closed: what waits may still be written until `deadline`.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        state.closing = Some(
            state
                .closing
                .map_or(deadline, |before| before.min(deadline)),
        );
        wake(state.reader.take(), state);
    }

    /// When lingering ends, once the socket is closed; now, if nothing waits.
    pub(crate) fn poll_closing(&self, cx: &Context<'_>) -> Poll<Instant> {
        let mut state = lock(&self.state);
        match state.ends() {
            Some(end) => Poll::Ready(end),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl State {
    fn put_first(&mut self, mut first: Backlog) {
        self.messages += first.len();
        self.octets += first.octets();
        first.append(self.backlog.take());
        self.backlog = first;
    }

    /// Forgets what no session has taken yet.
    fn forget_waiting(&mut self) {
        let waiting = self.backlog.take();
        self.messages -= waiting.len().min(self.messages);
        self.octets -= waiting.octets().min(self.octets);
        self.conflated += waiting.len() as u64;
        self.hello = false;
    }

    /// When lingering ends, once the socket is closed; now, if nothing waits to be written.
    fn ends(&self) -> Option<Instant> {
        self.closing.map(|deadline| {
            if self.messages == 0 {
                Instant::now()
            } else {
                deadline
            }
        })
    }
}

/// Wakes after the lock is released, so that the woken side does not run into it.
fn wake<T>(waker: Option<Waker>, guard: T) {
    drop(guard);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Outgoing {
        fn try_write(&self, message: &Message) -> bool {
            self.accept(message) != Accepted::No
        }
    }

    fn take(outgoing: &Outgoing) -> Option<Backlog> {
        outgoing
            .poll_take(true, &Context::from_waker(Waker::noop()))
            .backlog
    }

    #[test]
    fn the_high_water_mark_counts_what_is_not_yet_written() {
        let outgoing = Outgoing::new(3, 1 << 20, false);
        let message = Message::from("x");
        assert!((0..3).all(|_| outgoing.try_write(&message)));
        assert!(!outgoing.try_write(&message));
        // What the session has taken and not written still counts.
        assert_eq!(take(&outgoing).unwrap().len(), 3);
        assert!(!outgoing.try_write(&message));
        let mut written = Written::default();
        written.messages = 1;
        assert!(
            !outgoing.written(written),
            "above half of the mark nobody is woken"
        );
        assert!(outgoing.written(written));
        assert!(outgoing.try_write(&message) && outgoing.try_write(&message));
        assert!(!outgoing.try_write(&message));
    }

    #[test]
    fn octets_are_bounded_but_one_large_message_passes() {
        let outgoing = Outgoing::new(0, 1000, false);
        assert!(outgoing.try_write(&vec![0; 5000].into()));
        assert!(!outgoing.try_write(&"x".into()));
    }

    #[test]
    fn who_asks_for_room_in_vain_is_told_of_it() {
        let outgoing = Outgoing::new(1, 1000, false);
        assert!(outgoing.has_room() && outgoing.try_write(&"a".into()));
        let mut written = Written::default();
        written.messages = 1;
        assert!(!outgoing.written(written), "nobody asked");
        assert!(outgoing.try_write(&"a".into()) && !outgoing.has_room());
        assert!(outgoing.written(written));
        outgoing.close(Instant::now());
        assert!(!outgoing.has_room());
    }

    #[test]
    fn only_the_last_message_waits_where_they_conflate() {
        let outgoing = Outgoing::new(1, 1, true);
        let write = |message: &str| assert!(outgoing.try_write(&message.into()));
        (0..9).for_each(|i| write(&i.to_string()));
        let taken = take(&outgoing).unwrap();
        assert_eq!((taken.len(), outgoing.conflated()), (1, 8));
        write("9");
        write("10");
        assert!(
            take(&outgoing).is_none(),
            "one at a time is with the session"
        );
        assert_eq!((outgoing.messages(), outgoing.conflated()), (2, 9));
        outgoing.give_back(taken);
        assert_eq!((outgoing.messages(), outgoing.conflated()), (1, 10));
        assert_eq!(take(&outgoing).unwrap().octets(), 4, "the newest is left");
    }

    #[test]
    fn a_greeting_goes_first_and_not_twice_if_it_was_not_written() {
        let outgoing = Outgoing::new(0, 1000, false);
        assert!(outgoing.try_write(&"a".into()));
        outgoing.greet(&"hello".into());
        let unsent = take(&outgoing).unwrap();
        outgoing.give_back(unsent);
        outgoing.greet(&"hello".into());
        assert_eq!(outgoing.messages(), 2);
        let taken = take(&outgoing).unwrap();
        assert_eq!((taken.len(), taken.octets()), (2, 2 + 5 + 2 + 1));
        let mut written = Written::default();
        (written.messages, written.octets) = (1, 7);
        outgoing.written(written);
        outgoing.greet(&"hello".into());
        assert_eq!(
            outgoing.messages(),
            2,
            "the next connection is greeted anew"
        );
    }

    #[test]
    fn subscriptions_are_bounded_by_their_octets_alone() {
        let outgoing = Outgoing::new(1, 1000, false);
        let accepted = (0..1000).take_while(|_| outgoing.subscribe(b"prefix", true));
        assert_eq!(accepted.count(), 1000_usize.div_ceil(2 + 1 + 9 + 6));
        assert_eq!(outgoing.clear(), 0, "none of them was a message");
    }

    #[test]
    fn unsent_messages_go_out_first() {
        let outgoing = Outgoing::new(0, 1000, false);
        assert!(outgoing.try_write(&"a".into()));
        let unsent = take(&outgoing).unwrap();
        assert!(outgoing.try_write(&"b".into()));
        outgoing.give_back(unsent);
        assert_eq!(take(&outgoing).unwrap().len(), 2);
        assert!(take(&outgoing).is_none());
    }

    #[test]
    fn a_closed_queue_accepts_nothing_and_gives_what_it_has() {
        let outgoing = Outgoing::new(0, 1000, false);
        assert!(outgoing.try_write(&"a".into()));
        let deadline = Instant::now() + Duration::from_secs(1);
        let farther = deadline + Duration::from_secs(9);
        // The nearest counts.
        for deadline in [farther, deadline, farther] {
            outgoing.close(deadline);
        }
        assert!(!outgoing.try_write(&"b".into()));
        assert_eq!(take(&outgoing).unwrap().len(), 1);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(
            outgoing.poll_take(true, &cx).closing,
            Some(deadline),
            "not written yet"
        );
        outgoing.clear();
        assert!(
            outgoing
                .poll_take(true, &cx)
                .closing
                .is_some_and(|end| end < deadline)
        );
    }
}
