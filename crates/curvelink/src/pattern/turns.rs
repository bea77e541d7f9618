//! Taking turns: which pipe is next to be sent to, or received from (RFC 30).

use std::collections::HashMap;

use curvelink_proto::Message;

use crate::pipe::{PipeId, Pipes};

/// The pipes of a socket that deals with one of them at a time, round robin among those that can
/// (R30-10, R30-21).
///
/// The first `active` pipes have room (or messages) as far as is known; the others wait for the
/// pipe's next `writable` (or `readable`). libzmq's `lb_t` and `fq_t` are the same idea twice, and
/// the order is theirs. No operation but [`clear`](Self::clear) takes longer with more pipes.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pipes: Vec<PipeId>,
    /// Where each pipe stands in `pipes`.
    places: HashMap<PipeId, usize>,
    active: usize,
    next: usize,
}

impl Turns {
    /// Adds a pipe, or takes note that it has room (or messages) again.
    pub(crate) fn activate(&mut self, pipe: PipeId) {
        let end = self.pipes.len();
        let place = *self.places.entry(pipe).or_insert(end);
        if place == end {
            self.pipes.push(pipe);
        }
        if place >= self.active {
            self.swap(place, self.active);
            self.active += 1;
        }
    }

    pub(crate) fn remove(&mut self, pipe: PipeId) {
        if let Some(place) = self.places.get(&pipe) {
            self.deactivate(*place);
        }
        if let Some(place) = self.places.remove(&pipe) {
            self.pipes.swap_remove(place);
            if let Some(moved) = self.pipes.get(place) {
                self.places.insert(*moved, place);
            }
        }
    }

    fn deactivate(&mut self, place: usize) {
        if place < self.active {
            self.active -= 1;
            self.swap(place, self.active);
        }
        if self.next >= self.active {
            self.next = 0;
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one != other {
            self.pipes.swap(one, other);
            for place in [one, other] {
                self.places.insert(self.pipes[place], place);
            }
        }
    }

    fn pass(&mut self) {
        self.next += 1;
        if self.next >= self.active {
            self.next = 0;
        }
    }

    /// Sends to the next pipe with room; gives the pipe, if one has.
    pub(crate) fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Option<PipeId> {
        while self.active > 0 {
            let pipe = self.pipes[self.next];
            if pipes.try_give(pipe, message) {
                self.pass();
                return Some(pipe);
            }
            self.deactivate(self.next);
        }
        None
    }

    /// Whether [`send`](Self::send) would find a pipe with room.
    pub(crate) fn has_room(&mut self, pipes: &Pipes) -> bool {
        while self.active > 0 {
            if pipes.has_room(self.pipes[self.next]) {
                return true;
            }
            self.deactivate(self.next);
        }
        false
    }

    /// The message that [`recv`](Self::recv) would give, and its pipe.
    pub(crate) fn peek<'a>(&mut self, pipes: &'a mut Pipes) -> Option<(PipeId, &'a Message)> {
        while self.active > 0 {
            let pipe = self.pipes[self.next];
            if pipes.peek(pipe).is_some() {
                // Asked twice, because the first answer would be borrowed through the loop.
                return pipes.peek(pipe).map(|message| (pipe, message));
            }
            self.deactivate(self.next);
        }
        None
    }

    /// Whether there is a message that the pattern would give to the application; those in front
    /// of it that it would not are dropped.
    pub(crate) fn has_message(
        &mut self,
        pipes: &mut Pipes,
        mut given: impl FnMut(PipeId, &Message) -> bool,
    ) -> bool {
        while let Some((pipe, message)) = self.peek(pipes) {
            if given(pipe, message) {
                return true;
            }
            pipes.read_peeked(pipe, &mut Vec::new(), 1);
            self.pass();
        }
        false
    }

    /// Drops what waits to be received now; gives how many messages.
    pub(crate) fn clear(&self, pipes: &mut Pipes) -> usize {
        let active = self.pipes[..self.active].iter();
        active.map(|pipe| pipes.clear_incoming(*pipe)).sum()
    }

    /// Appends the next messages, at most `max`; how many. Where several pipes have some, each
    /// gives one in its turn.
    pub(crate) fn recv(&mut self, into: &mut Vec<Message>, max: usize, pipes: &mut Pipes) -> usize {
        if self.active != 1 {
            return usize::from(self.recv_one(into, pipes).is_some());
        }
        let received = pipes.read(self.pipes[self.next], into, max);
        if received == 0 {
            self.deactivate(self.next);
        }
        received
    }

    /// Appends the next message; gives the pipe that it came by.
    pub(crate) fn recv_one(
        &mut self,
        into: &mut Vec<Message>,
        pipes: &mut Pipes,
    ) -> Option<PipeId> {
        while self.active > 0 {
            let pipe = self.pipes[self.next];
            if pipes.read(pipe, into, 1) > 0 {
                self.pass();
                return Some(pipe);
            }
            self.deactivate(self.next);
        }
        None
    }

    /// Drops the next message.
    pub(crate) fn skip(&mut self, pipes: &mut Pipes) {
        self.recv_one(&mut Vec::new(), pipes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipes(count: usize) -> impl Iterator<Item = PipeId> {
        (0..count).map(PipeId::new)
    }

    /// Whom the next messages go to.
    fn next(turns: &mut Turns, messages: usize) -> Vec<usize> {
        let mut next = || {
            let pipe = turns.pipes[turns.next];
            turns.pass();
            pipe.index()
        };
        (0..messages).map(|_| next()).collect()
    }

    #[test]
    fn the_order_is_that_of_libzmq() {
        let mut turns = Turns::default();
        pipes(4).for_each(|pipe| turns.activate(pipe));
        assert_eq!(next(&mut turns, 5), [0, 1, 2, 3, 0]);
        // The last one takes the place of one that goes, and it is that place's turn.
        turns.remove(PipeId::new(1));
        assert_eq!(next(&mut turns, 6), [3, 2, 0, 3, 2, 0]);
    }

    #[test]
    fn one_without_room_is_passed_over_and_comes_last_when_it_has_room_again() {
        let mut turns = Turns::default();
        pipes(3).for_each(|pipe| turns.activate(pipe));
        turns.deactivate(turns.next);
        assert_eq!(next(&mut turns, 4), [2, 1, 2, 1]);
        turns.activate(PipeId::new(0));
        assert_eq!(next(&mut turns, 3), [2, 1, 0]);
    }

    #[test]
    fn every_pipe_stands_where_it_is_noted_after_any_operations() {
        let mut turns = Turns::default();
        let mut known = std::collections::HashSet::new();
        let mut number = 1_u64;
        for _ in 0..10_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let pipe = PipeId::new((number >> 33) as usize % 20);
            match (number >> 60) % 4 {
                0 => {
                    turns.remove(pipe);
                    known.remove(&pipe);
                }
                1 if turns.active > 0 => turns.deactivate(turns.next),
                2 => turns.pass(),
                _ => {
                    turns.activate(pipe);
                    known.insert(pipe);
                }
            }
            assert_eq!(turns.places.len(), turns.pipes.len());
            let places = turns.pipes.iter().enumerate();
            for (place, pipe) in places {
                assert!(turns.places[pipe] == place && known.contains(pipe));
            }
            assert_eq!(known.len(), turns.pipes.len());
            assert!(turns.active <= turns.pipes.len());
            assert!(turns.next < turns.active.max(1));
        }
    }
}
