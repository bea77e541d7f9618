//! Taking turns: which pipe is next to be sent to, or received from (RFC 30).

use curvelink_proto::Message;

use crate::pipe::{PipeId, Pipes};

/// The pipes of a socket that deals with one of them at a time, round robin among those that can.
///
/// The first `active` pipes have room (or messages) as far as is known; the others wait for the
/// pipe's next `writable` (or `readable`). libzmq's `lb_t` and `fq_t` are the same idea twice.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pipes: Vec<PipeId>,
    active: usize,
    next: usize,
}

impl Turns {
    /// Adds a pipe, or takes note that it has room (or messages) again.
    pub(crate) fn activate(&mut self, pipe: PipeId) {
        let index = self.index(pipe).unwrap_or_else(|| {
            self.pipes.push(pipe);
            self.pipes.len() - 1
        });
        if index >= self.active {
            self.pipes.swap(index, self.active);
            self.active += 1;
        }
    }

    pub(crate) fn remove(&mut self, pipe: PipeId) {
        if let Some(index) = self.index(pipe) {
            self.deactivate(index);
            self.pipes.retain(|known| *known != pipe);
        }
    }

    fn index(&self, pipe: PipeId) -> Option<usize> {
        self.pipes.iter().position(|known| *known == pipe)
    }

    fn deactivate(&mut self, index: usize) {
        if index < self.active {
            self.active -= 1;
            self.pipes.swap(index, self.active);
        }
        if self.next >= self.active {
            self.next = 0;
        }
    }

    fn pass(&mut self) {
        self.next = (self.next + 1) % self.active.max(1);
    }

    /// Sends to the next pipe with room; gives the pipe, or the message back if none has.
    pub(crate) fn send(&mut self, message: Message, pipes: &mut Pipes) -> Result<PipeId, Message> {
        while self.active > 0 {
            let pipe = self.pipes[self.next];
            if pipes.try_write(pipe, &message) {
                self.pass();
                return Ok(pipe);
            }
            self.deactivate(self.next);
        }
        Err(message)
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
            self.recv(pipes);
        }
        false
    }

    /// Drops what waits to be received now; gives how many messages.
    pub(crate) fn clear(&self, pipes: &mut Pipes) -> usize {
        let active = self.pipes[..self.active].iter();
        active.map(|pipe| pipes.clear_incoming(*pipe)).sum()
    }

    /// The next message, and the pipe that it came by.
    pub(crate) fn recv(&mut self, pipes: &mut Pipes) -> Option<(PipeId, Message)> {
        while self.active > 0 {
            let pipe = self.pipes[self.next];
            if let Some(message) = pipes.read(pipe) {
                self.pass();
                return Some((pipe, message));
            }
            self.deactivate(self.next);
        }
        None
    }
}
