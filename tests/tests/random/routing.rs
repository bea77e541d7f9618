//! DEALER and ROUTER (RFC 28): a ROUTER knows who sent what, and reaches whom it names.

use curvelink::SocketType;

use crate::Pattern;
use crate::ledger::Id;
use crate::operation::{Links, SLOTS, Slot};
use crate::world::{Offer, World, routing_id};

const DEALER: usize = 0;

#[derive(Default)]
pub(crate) struct Routing;

impl Pattern for Routing {
    const KINDS: [SocketType; 2] = [SocketType::Dealer, SocketType::Router];
    const LINKS: Links = Links::One;

    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        let id = world.next_id(slot);
        let text = id.to_string();
        if slot.side == DEALER {
            match world.offer(slot, text.into(), polls) {
                Offer::Taken => world.ledger.accept(id),
                Offer::Full => return false,
                Offer::Refused(error) => panic!("DEALER: {error}"),
            }
            return true;
        }
        let target = routing_id(Slot {
            side: DEALER,
            index: id.number as usize % SLOTS,
        });
        let dropped = world.socket(slot).dropped();
        let frames = [target.clone(), target, text];
        let offer = world.offer(slot, frames.into(), polls);
        assert_eq!(offer, Offer::Taken, "ROUTER never waits");
        // What it drops it counts: a peer that is not there, or has no room.
        if world.socket(slot).dropped() == dropped {
            world.ledger.accept(id);
        }
        true
    }

    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        let Some(message) = world.take(slot, polls).expect("both receive") else {
            return false;
        };
        let id = Id::of(&message);
        // At a DEALER the first frame is what the ROUTER repeated after the routing id.
        let other = if slot.side == DEALER {
            slot
        } else {
            id.sender.slot
        };
        assert_ne!(id.sender.slot.side, slot.side);
        assert_eq!(message.len(), 2);
        assert_eq!(
            message.first().expect("a frame")[..],
            *routing_id(other).as_bytes()
        );
        world.ledger.receive(id, &message);
        true
    }
}
