//! Somebody on the way between two CURVE peers, who can do all but open boxes.

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{frame, frames};
use crate::engine::tests::wire::Cut;
use crate::error::ProtocolError;
use crate::event::Reason;
use crate::mechanism::testing::Seeded;
use crate::message::Message;
use crate::socket_type::SocketType;

/// Three messages of one frame and two of three, and how many frames each has.
fn messages() -> [Message; 5] {
    [
        vec!["a"],
        vec!["A1", "A2", "A3"],
        vec!["b"],
        vec!["B1", "B2", "B3"],
        vec!["c"],
    ]
    .map(|frames| frames.into_iter().map(Into::into).collect())
}

/// Sealed frames under way from one side to the other, which has heard none of them yet.
struct Middle {
    pair: Pair,
    from: Role,
    frames: Vec<Vec<u8>>,
}

impl Middle {
    fn new(from: Role) -> Self {
        let mut pair = Case::curve().up();
        let speaker = match from {
            Role::Client => &mut pair.client,
            Role::Server => &mut pair.server,
        };
        speaker.send(messages());
        let frames = frames(&speaker.sent());
        assert_eq!(frames.len(), 9);
        Self { pair, from, frames }
    }

    fn listener(&mut self) -> &mut Side {
        match self.from {
            Role::Client => &mut self.pair.server,
            Role::Server => &mut self.pair.client,
        }
    }

    /// Delivers these in place of the genuine frames.
    fn deliver(mut self, frames: &[Vec<u8>], cut: Cut) -> Side {
        let now = self.pair.now;
        self.listener().cut = cut;
        self.listener().receive(&frames.concat(), now);
        match self.from {
            Role::Client => self.pair.server,
            Role::Server => self.pair.client,
        }
    }
}

/// How many whole messages stand in so many frames.
fn whole_messages(frames: usize) -> usize {
    let ends = [1, 4, 5, 8, 9];
    ends.iter().filter(|end| **end <= frames).count()
}

/// Delivers an edited sequence; only what stands before the first edit may come out.
fn assert_detected(from: Role, what: &str, edit: impl Fn(&mut Vec<Vec<u8>>)) {
    for cut in Cut::BOTH {
        let middle = Middle::new(from);
        let genuine = middle.frames.clone();
        let mut edited = genuine.clone();
        edit(&mut edited);
        let same = genuine
            .iter()
            .zip(&edited)
            .take_while(|(one, other)| one == other)
            .count();
        assert!(same < edited.len(), "{what}: nothing was changed");
        // What follows is genuine again, and comes too late.
        edited.extend(genuine[same..].to_vec());

        let side = middle.deliver(&edited, cut);
        let expected = &messages()[..whole_messages(same)];
        assert_eq!(side.messages, expected, "{from:?} {what} {cut:?}");
        let reason = side.error.expect(what).reason();
        assert!(
            matches!(reason, Reason::Nonce | Reason::Malformed),
            "{what}: {reason}"
        );
    }
}

#[test]
fn t02_undisturbed_frames_arrive() {
    for from in Role::BOTH {
        for cut in Cut::BOTH {
            let middle = Middle::new(from);
            let frames = middle.frames.clone();
            let side = middle.deliver(&frames, cut);
            assert_eq!((side.error, &side.messages[..]), (None, &messages()[..]));
        }
    }
}

#[test]
fn t02_a_dropped_frame_is_noticed() {
    for from in Role::BOTH {
        for at in 0..8 {
            assert_detected(from, &format!("drop {at}"), |frames| {
                frames.remove(at);
            });
        }
    }
}

#[test]
fn t02_a_repeated_frame_is_noticed() {
    for from in Role::BOTH {
        for at in 0..9 {
            for again in at + 1..=9 {
                assert_detected(from, &format!("{at} again at {again}"), |frames| {
                    frames.insert(again, frames[at].clone());
                });
            }
        }
    }
}

#[test]
fn t02_frames_in_another_order_are_noticed() {
    for from in Role::BOTH {
        for one in 0..9 {
            for other in one + 1..9 {
                assert_detected(from, &format!("{one} for {other}"), |frames| {
                    frames.swap(one, other);
                });
            }
        }
    }
}

#[test]
fn t02_the_head_of_one_message_never_meets_the_tail_of_another() {
    for from in Role::BOTH {
        // Frames 1 to 3 and 5 to 7 are the two messages of three.
        assert_detected(from, "A1 B2 B3", |frames| {
            frames.drain(2..6);
        });
        assert_detected(from, "A1 A2 B3", |frames| {
            frames.drain(3..7);
        });
        assert_detected(from, "A1 B2 B3, and the rest in its place", |frames| {
            frames.swap(2, 6);
            frames.swap(3, 7);
        });
    }
}

#[test]
fn t02_a_changed_or_invented_frame_is_noticed() {
    for from in Role::BOTH {
        for at in [0, 2, 8] {
            let length = Middle::new(from).frames[at].len();
            // The first octet is the frame's flags, which say nothing inside a box.
            for octet in 1..length {
                assert_detected(from, &format!("{at} flipped at {octet}"), |frames| {
                    frames[at][octet] ^= 0x10;
                });
            }
            for invented in [
                frame(0, b"forged"),
                frame(0, &[0; 60]),
                frame(4, b"\x04PING\0\0"),
                vec![0, 0],
            ] {
                assert_detected(from, &format!("invented at {at}"), |frames| {
                    frames.insert(at, invented.clone());
                });
            }
        }
    }
}

#[test]
fn t02_marks_outside_the_box_join_and_part_nothing() {
    for from in Role::BOTH {
        for at in 0..9 {
            assert_detected(from, &format!("MORE outside {at}"), |frames| {
                frames[at][0] |= 1
            });
            assert_detected(from, &format!("reserved flag {at}"), |frames| {
                frames[at][0] |= 8
            });
            // COMMAND outside is how RFC 26 itself has it: it changes nothing.
            let middle = Middle::new(from);
            let mut frames = middle.frames.clone();
            frames[at][0] |= 4;
            let side = middle.deliver(&frames, Cut::Whole);
            assert_eq!((side.error, &side.messages[..]), (None, &messages()[..]));
        }
    }
}

#[test]
fn t02_frames_sent_back_to_their_sender_are_noticed() {
    for from in Role::BOTH {
        let mut middle = Middle::new(from);
        let now = middle.pair.now;
        let octets = middle.frames.concat();
        let speaker = match from {
            Role::Client => &mut middle.pair.client,
            Role::Server => &mut middle.pair.server,
        };
        speaker.receive(&octets, now);
        assert!(
            speaker.error.is_some() && speaker.messages.is_empty(),
            "{from:?}"
        );
    }
}

#[test]
fn t02_frames_of_another_connection_of_the_same_peers_are_noticed() {
    for from in Role::BOTH {
        let recorded = Middle::new(from).frames;
        let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
        pair.client.engine.entropy = Box::new(Seeded::new(7));
        pair.drive();
        assert!(pair.is_up());
        let listener = match from {
            Role::Client => &mut pair.server,
            Role::Server => &mut pair.client,
        };
        listener.receive(&recorded.concat(), pair.now);
        assert!(
            listener.error.is_some() && listener.messages.is_empty(),
            "{from:?}"
        );
    }
}

#[test]
fn t02_traffic_that_is_cut_off_ends_with_a_whole_message_and_is_noticed() {
    for from in Role::BOTH {
        let octets = Middle::new(from).frames.concat();
        for cut in 0..octets.len() {
            let mut side = Middle::new(from).deliver(&[octets[..cut].to_vec()], Cut::Whole);
            side.close();
            assert_eq!(side.error, Some(ProtocolError::Truncated));
            assert_eq!(side.messages, messages()[..side.messages.len()], "{cut}");
        }
    }
}
