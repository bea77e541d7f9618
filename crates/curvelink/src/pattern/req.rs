//! REQ (RFC 28): one request, then its reply, in strict turn or a relaxed one.

use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Frame, Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn, first_number};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

#[derive(Debug)]
pub(super) struct Req {
    out: Turns,
    incoming: Turns,
    turn: Turn,
    relaxed: bool,
    /// The number of the last request, where requests are numbered.
    request: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Turn {
    #[default]
    Ours,
    /// The peer that has the request; `None` once its pipe is gone.
    Theirs(Option<PipeId>),
}

/// What came.
enum Reply {
    Asked,
    /// To an earlier request, or from a peer that was not asked.
    Late,
    Malformed,
}

impl Req {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            out: Turns::default(),
            incoming: Turns::default(),
            turn: Turn::default(),
            relaxed: options.pattern.req_relaxed,
            request: options.pattern.req_correlate.then(first_number),
        }
    }

    /// The frame that numbers a request, and its reply.
    fn number(&self) -> Option<Frame> {
        let number = self.request?;
        Some(Bytes::copy_from_slice(&number.to_be_bytes()).into())
    }

    /// Takes the envelope off: the number and the delimiter.
    fn open(&self, message: &mut Message) {
        if self.request.is_some() {
            message.pop_front();
        }
        message.pop_front();
    }

    /// Drops what is no reply (R28-7, R28-8); whether one is next.
    fn reply_is_next(&mut self, asked: Option<PipeId>, pipes: &mut Pipes) -> bool {
        while let Some((pipe, message)) = self.incoming.peek(pipes) {
            match self.check(asked, pipe, message) {
                Reply::Asked => return true,
                Reply::Late => pipes.drops.late_reply += 1,
                Reply::Malformed => pipes.drops.malformed += 1,
            }
            self.incoming.skip(pipes);
        }
        false
    }

    fn check(&self, asked: Option<PipeId>, pipe: PipeId, reply: &Message) -> Reply {
        let number = self.number();
        let delimiter = usize::from(number.is_some());
        let is_delimited = reply.frame(delimiter).is_some_and(|frame| frame.is_empty());
        if !is_delimited || reply.len() < delimiter + 2 {
            Reply::Malformed
        } else if asked != Some(pipe) || number.is_some_and(|n| reply.first() != Some(&n)) {
            Reply::Late
        } else {
            Reply::Asked
        }
    }
}

impl Pattern for Req {
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.activate(pipe);
    }

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        self.out.activate(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.remove(pipe);
        self.incoming.remove(pipe);
        if let Turn::Theirs(Some(asked)) = self.turn
            && asked == pipe
        {
            self.turn = Turn::Theirs(None);
        }
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn writable(&mut self, pipe: PipeId) {
        self.out.activate(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        if !self.relaxed && matches!(self.turn, Turn::Theirs(_)) {
            return Err(Refused::WrongTurn);
        }
        if !self.out.has_room(pipes) {
            return Err(Refused::Full);
        }
        // What came before the request is no reply to it. Afterwards the reply may be there.
        pipes.drops.late_reply += self.incoming.clear(pipes) as u64;
        self.request = self.request.map(|last| last.wrapping_add(1));
        // R28-3: an empty delimiter before the body.
        message.push_front(Frame::empty());
        if let Some(number) = self.number() {
            message.push_front(number);
        }
        let asked = self.out.send(message, pipes);
        if asked.is_none() {
            self.open(message);
            return Err(Refused::Full);
        }
        self.turn = Turn::Theirs(asked);
        Ok(())
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        _: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        let Turn::Theirs(asked) = self.turn else {
            return Err(WrongTurn);
        };
        if !self.reply_is_next(asked, pipes) {
            return Ok(0);
        }
        self.incoming.recv_one(into, pipes);
        if let Some(message) = into.last_mut() {
            self.open(message);
        }
        self.turn = Turn::Ours;
        Ok(1)
    }

    fn can_send(&mut self, pipes: &Pipes) -> bool {
        let ours = self.relaxed || matches!(self.turn, Turn::Ours);
        ours && self.out.has_room(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        match self.turn {
            Turn::Ours => false,
            Turn::Theirs(asked) => self.reply_is_next(asked, pipes),
        }
    }
}
