//! Futures that wait for a socket: for a message, for room, for subscribers.

use std::task::{Context, Waker};

/// What a future waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Message,
    Room,
    Subscribers,
}

/// The wakers of waiting futures.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    slots: Vec<Slot>,
    next: u64,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    interest: Interest,
    waker: Waker,
}

impl Waiters {
    /// Notes the waker of a future; `id` is the future's own memory of its place.
    pub(crate) fn register(&mut self, id: &mut Option<u64>, interest: Interest, cx: &Context<'_>) {
        let id = *id.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        let waker = cx.waker().clone();
        match self.slots.iter_mut().find(|slot| slot.id == id) {
            Some(slot) => slot.waker = waker,
            None => self.slots.push(Slot {
                id,
                interest,
                waker,
            }),
        }
    }

    /// Forgets a future that was dropped or is done.
    pub(crate) fn forget(&mut self, id: u64) {
        self.slots.retain(|slot| slot.id != id);
    }

    /// Takes the wakers of one interest. All of them are woken, so that a future which was woken
    /// and dropped takes nobody else's turn with it.
    pub(crate) fn take(&mut self, interest: Interest) -> Vec<Waker> {
        if self.slots.is_empty() {
            return Vec::new();
        }
        let all = self.slots.extract_if(.., |slot| slot.interest == interest);
        all.map(|slot| slot.waker).collect()
    }
}
