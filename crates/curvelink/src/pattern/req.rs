//! REQ (RFC 28): one request, then its reply, in strict turn.

use std::sync::Arc;

use curvelink_proto::{Frame, Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Req {
    out: Turns,
    incoming: Turns,
    turn: Turn,
}

#[derive(Clone, Copy, Debug, Default)]
enum Turn {
    #[default]
    Ours,
    /// The peer that has the request; `None` once its pipe is gone.
    Theirs(Option<PipeId>),
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

    fn send(&mut self, mut message: Message, pipes: &mut Pipes) -> Result<(), Refused> {
        if let Turn::Theirs(_) = self.turn {
            return Err(Refused::WrongTurn(message));
        }
        // RFC 28, "REQ Socket Type": an empty delimiter before the body.
        message.push_front(Frame::empty());
        match self.out.send(message, pipes) {
            Ok(pipe) => {
                self.turn = Turn::Theirs(Some(pipe));
                Ok(())
            }
            Err(mut message) => {
                message.pop_front();
                Err(Refused::Full(message))
            }
        }
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, WrongTurn> {
        let Turn::Theirs(asked) = self.turn else {
            return Err(WrongTurn);
        };
        // What comes from others, or without the delimiter, is no reply (RFC 28: discard).
        while let Some((pipe, mut message)) = self.incoming.recv(pipes) {
            if is_reply(asked, pipe, &message) {
                message.pop_front();
                self.turn = Turn::Ours;
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn can_send(&mut self, pipes: &Pipes) -> bool {
        matches!(self.turn, Turn::Ours) && self.out.has_room(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let Turn::Theirs(asked) = self.turn else {
            return false;
        };
        self.incoming
            .has_message(pipes, |pipe, message| is_reply(asked, pipe, message))
    }
}

fn is_reply(asked: Option<PipeId>, pipe: PipeId, message: &Message) -> bool {
    let delimited = message.first().is_some_and(|frame| frame.is_empty());
    asked == Some(pipe) && delimited && message.len() > 1
}
