//! PAIR (RFC 31): each has one other, and nothing accepted is lost or doubled.

use curvelink::SocketType;

use crate::Pattern;
use crate::ledger::Id;
use crate::operation::{Links, Slot};
use crate::pipeline::message;
use crate::world::{Offer, World};

#[derive(Default)]
pub(crate) struct Pair;

impl Pattern for Pair {
    const KINDS: [SocketType; 2] = [SocketType::Pair, SocketType::Pair];
    const LINKS: Links = Links::Couples;

    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        let id = world.next_id(slot);
        match world.offer(slot, message(id), polls) {
            Offer::Taken => world.ledger.accept(id),
            Offer::Full => return false,
            Offer::Refused(error) => panic!("PAIR: {error}"),
        }
        true
    }

    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        let Some(message) = world.take(slot, polls).expect("PAIR receives") else {
            return false;
        };
        let id = Id::of(&message);
        let from = id.sender.slot;
        assert!(
            from.side != slot.side && from.index == slot.index,
            "{id} to {slot:?}"
        );
        world.ledger.receive(id, &message);
        true
    }
}
