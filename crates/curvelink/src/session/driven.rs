//! A session that its task polls, and whoever has a message for it.
//!
//! A REQ or a REP sends one message and waits. To wake the session's task for each costs a switch
//! from one thread to another, where both have to be fast; so the sender polls the session itself,
//! if its link is idle. Other patterns do not: their messages are written many at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, TryLockError, Weak};
use std::task::{Context, Poll, Waker};

use curvelink_proto::SocketType;

use super::{LinkEnd, Session};
use crate::pipe::Drive;
use crate::sync::lock;

/// The session, where its task and senders find it.
struct Driven(Mutex<Place>);

struct Place {
    /// `None` once it came to its end.
    session: Option<Box<Session>>,
    /// The end, if a sender met it.
    end: Option<LinkEnd>,
    /// Senders know of it.
    offered: bool,
}

/// Runs a session to its end; gives it back.
pub(super) async fn run(session: Box<Session>) -> (Box<Session>, LinkEnd) {
    let outgoing = session.queues.outgoing.clone();
    let driven = Arc::new(Driven(Mutex::new(Place {
        offered: !matches!(session.core.kind, SocketType::Req | SocketType::Rep),
        session: Some(session),
        end: None,
    })));
    let result = poll_fn(|cx| driven.poll(cx)).await;
    outgoing.set_driver(None);
    result
}

impl Driven {
    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<(Box<Session>, LinkEnd)> {
        let mut place = lock(&self.0);
        if place.end.is_none() {
            place.poll(cx);
        }
        if let Some(end) = place.end.take()
            && let Some(session) = place.session.take()
        {
            return Poll::Ready((session, end));
        }
        // Before the handshake is done there is nothing to write: strangers are the task's.
        let ready = place
            .session
            .as_ref()
            .filter(|session| session.peer.is_some());
        if let Some(session) = ready.filter(|_| !place.offered) {
            let driver: Weak<Self> = Arc::downgrade(self);
            session.queues.outgoing.set_driver(Some(driver));
            place.offered = true;
        }
        Poll::Pending
    }
}

impl Place {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(mut session) = self.session.as_deref_mut()
            && let Poll::Ready(end) = Pin::new(&mut session).poll(cx)
        {
            self.end = Some(end);
        }
    }
}

impl Drive for Driven {
    fn try_drive(&self, task: &Waker) -> bool {
        let mut place = match self.0.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(session) = place.session.as_ref().filter(|_| place.end.is_none()) else {
            return false;
        };
        // Its timers are of the context's runtime, whoever polls it.
        let core = session.core.clone();
        let _entered = core.shared.runtime.enter();
        place.poll(&mut Context::from_waker(task));
        place.end.is_none()
    }
}
