//! REQ and REP (RFC 28): strict turns, and each reply is to the request that was asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use curvelink::{RecvError, SendError, SocketType};

use crate::ledger::Id;
use crate::operation::{Links, Slot};
use crate::world::{Offer, World, until};
use crate::{PATIENCE, PAUSE, Pattern, STEADY, collect};

const REQ: usize = 0;

#[derive(Default)]
pub(crate) struct ReqRep {
    /// REQ: what was asked and not answered. REP: what is to be answered.
    open: BTreeMap<Slot, Id>,
}

impl Pattern for ReqRep {
    const KINDS: [SocketType; 2] = [SocketType::Req, SocketType::Rep];
    const LINKS: Links = Links::Many;

    fn opened(&mut self, _: &World, slot: Slot) {
        self.open.remove(&slot);
    }

    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        match (slot.side, self.open.get(&slot).copied()) {
            (REQ, None) => {
                let id = world.next_id(slot);
                match world.offer(slot, id.to_string().into(), polls) {
                    Offer::Taken => {
                        world.ledger.accept(id);
                        self.open.insert(slot, id);
                    }
                    Offer::Full => {}
                    Offer::Refused(error) => panic!("it is REQ's turn: {error}"),
                }
            }
            (REQ, Some(_)) | (_, None) => {
                let offer = world.offer(slot, "out of turn".into(), polls);
                assert_eq!(offer, Offer::Refused(SendError::WrongTurn));
            }
            (_, Some(id)) => {
                let reply = format!("re {id}").into();
                assert_eq!(world.offer(slot, reply, polls), Offer::Taken);
                self.open.remove(&slot);
            }
        }
        false
    }

    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        let asked = self.open.get(&slot).copied();
        let received = world.take(slot, polls);
        if (slot.side == REQ) != asked.is_some() {
            assert_eq!(received.err(), Some(RecvError::WrongTurn));
            return false;
        }
        let Some(message) = received.expect("it is the turn to receive") else {
            return false;
        };
        if let Some(asked) = asked {
            let text = String::from_utf8(message.first().expect("a frame").to_vec());
            let text = text.expect("text");
            let answered: Id = text
                .strip_prefix("re ")
                .expect("a reply")
                .parse()
                .expect("to one");
            // Where REP connects, what it owes to a REQ goes to the next that is bound there: under
            // NULL it cannot tell them apart.
            let earlier = answered.sender.slot == slot && answered.sender.life < asked.sender.life;
            assert!(answered == asked || earlier, "{answered} to {asked}");
            self.open.remove(&slot);
        } else {
            let id = Id::of(&message);
            world.ledger.receive(id, &message);
            self.open.insert(slot, id);
        }
        true
    }

    fn answer(&mut self, world: &mut World) {
        for slot in Slot::all().filter(|slot| slot.side != REQ) {
            if self.open.contains_key(&slot) {
                self.send(world, slot, 0);
            }
        }
    }

    async fn settle(&mut self, world: &mut World) {
        self.answer_all(world, Duration::ZERO).await;
        // What was lost on the way leaves a REQ waiting for ever: it is replaced.
        for slot in Slot::all().filter(|slot| slot.side == REQ) {
            if self.open.contains_key(&slot) {
                world.replace(slot).await;
                self.open.remove(&slot);
            }
        }
        self.answer_all(world, STEADY).await;
        world.ledger.settle();
        // Nothing is in the way now.
        let linked = |slot: &Slot| slot.side == REQ && world.links_of(*slot) > 0;
        for slot in Slot::all().filter(linked).collect::<Vec<_>>() {
            until(
                || {
                    self.send(world, slot, 0);
                    self.open.contains_key(&slot)
                },
                || "REP has room",
            )
            .await;
        }
        self.answer_all(world, Duration::ZERO).await;
        assert!(self.open.is_empty(), "{:?}", self.open);
    }
}

impl ReqRep {
    /// Answers until every REQ that must have its reply has it.
    async fn answer_all(&mut self, world: &mut World, steady: Duration) {
        let start = Instant::now();
        loop {
            collect(self, world, steady).await;
            let waits = |id: &Id| !world.ledger.is_exposed(id.sender);
            if !self.open.values().any(waits) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", self.open);
            tokio::time::sleep(PAUSE).await;
        }
    }
}
