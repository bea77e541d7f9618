//! PUSH and PULL (RFC 30): nothing accepted is lost or doubled, and peers take turns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use curvelink::{Message, Peer, SocketType};

use crate::ledger::{Id, Sender};
use crate::operation::{Links, Slot};
use crate::world::{Offer, World};
use crate::{PAUSE, Pattern, STEADY, collect};

const PUSH: usize = 0;

/// Messages to each peer when their turns are counted.
const EACH: usize = 2;

#[derive(Default)]
pub(crate) struct Pipeline {
    /// A sender whose messages are counted from a number on, by link.
    counted: Option<(Sender, u64)>,
    arrived: HashMap<*const Peer, usize>,
}

impl Pattern for Pipeline {
    const KINDS: [SocketType; 2] = [SocketType::Push, SocketType::Pull];
    const LINKS: Links = Links::Many;

    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        if slot.side != PUSH {
            return self.receive(world, slot, polls);
        }
        let id = world.next_id(slot);
        match world.offer(slot, message(id), polls) {
            Offer::Taken => world.ledger.accept(id),
            Offer::Full => return false,
            Offer::Refused(error) => panic!("PUSH: {error}"),
        }
        true
    }

    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        if slot.side == PUSH {
            return false;
        }
        let Some(message) = world.take(slot, polls).expect("PULL receives") else {
            return false;
        };
        let id = Id::of(&message);
        world.ledger.receive(id, &message);
        if self
            .counted
            .is_some_and(|(sender, first)| sender == id.sender && first < id.number)
        {
            let link = Arc::as_ptr(message.peer().expect("a sender"));
            *self.arrived.entry(link).or_default() += 1;
        }
        true
    }

    async fn settle(&mut self, world: &mut World) {
        collect(self, world, STEADY).await;
        world.ledger.settle();
        for slot in Slot::all().filter(|slot| slot.side == PUSH) {
            self.take_turns(world, slot).await;
        }
    }
}

impl Pipeline {
    /// All peers have room: each gets as many messages as any other.
    async fn take_turns(&mut self, world: &mut World, slot: Slot) {
        let links = world.links_of(slot);
        // What was received may be credited to its peer a moment later, so that a peer is passed
        // over at first.
        for _ in 0..50 {
            self.arrived.clear();
            self.counted = Some((world.sender(slot), world.next_id(slot).number));
            for _ in 0..EACH * links {
                self.send(world, slot, 0);
            }
            collect(self, world, Duration::ZERO).await;
            self.counted = None;
            let fair = self.arrived.values().all(|count| *count == EACH);
            if fair && self.arrived.len() == links {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{slot:?} has {links} links: {:?}", self.arrived);
    }
}

/// Some messages have a frame before their number, and some a long one.
pub(crate) fn message(id: Id) -> Message {
    let text = id.to_string();
    match id.number % 8 {
        0 => Message::from([vec![0; 1000], text.into_bytes()]),
        1 => Message::from(["more", &text]),
        _ => Message::from(text),
    }
}
