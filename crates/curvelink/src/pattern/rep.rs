//! REP (RFC 28): one request, then our reply to it, in strict turn.

use std::sync::Arc;

use curvelink_proto::{Frame, Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Rep {
    incoming: Turns,
    request: Option<Request>,
}

/// Whom the reply is for.
#[derive(Debug)]
struct Request {
    /// `None` once the peer is gone: the reply is dropped then.
    pipe: Option<PipeId>,
    /// The routing ids that the request came with, and the empty delimiter.
    envelope: Vec<Frame>,
}

impl Rep {
    fn forget(&mut self, pipe: PipeId) {
        if let Some(request) = &mut self.request {
            request.pipe = request.pipe.filter(|asker| *asker != pipe);
        }
    }
}

impl Pattern for Rep {
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, _: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        Ok(())
    }

    /// A reply that waits was meant for the peer that is gone, not for the one that comes next.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        pipes.clear_outgoing(pipe);
        self.forget(pipe);
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.remove(pipe);
        self.forget(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn send(&mut self, message: Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let Some(request) = self.request.take() else {
            return Err(Refused::WrongTurn(message));
        };
        let Some(pipe) = request.pipe else {
            return Ok(());
        };
        let frames = request.envelope.into_iter().chain(message.into_frames());
        let reply: Message = frames.collect();
        // RFC 28, "REP Socket Type": a peer that does not take its reply loses it.
        if !pipes.try_write(pipe, &reply) {
            pipes.drops.no_room += 1;
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, WrongTurn> {
        if self.request.is_some() {
            return Err(WrongTurn);
        }
        while let Some((pipe, mut message)) = self.incoming.recv(pipes) {
            let mut envelope = Vec::new();
            while let Some(frame) = message.pop_front() {
                let delimiter = frame.is_empty();
                envelope.push(frame);
                if delimiter && !message.is_empty() {
                    self.request = Some(Request {
                        pipe: Some(pipe),
                        envelope,
                    });
                    return Ok(Some(message));
                }
                if delimiter {
                    break;
                }
            }
            // Without a delimiter and a body it is no request (RFC 28: discard).
        }
        Ok(None)
    }

    /// Whenever it is our turn: a peer that does not take its reply loses it.
    fn can_send(&mut self, _: &Pipes) -> bool {
        self.request.is_some()
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.request.is_none()
            && self
                .incoming
                .has_message(pipes, |_, message| is_request(message))
    }
}

/// A delimiter and a body (RFC 28).
fn is_request(message: &Message) -> bool {
    let mut frames = message.iter();
    frames.any(|frame| frame.is_empty()) && frames.next().is_some()
}
