//! REP (RFC 28): one request, then our reply to it, in strict turn.

use std::collections::HashMap;
use std::sync::Arc;

use curvelink_proto::{Frame, Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Rep {
    incoming: Turns,
    request: Option<Request>,
    /// Who was at the other end of a pipe last.
    peers: HashMap<PipeId, Arc<Peer>>,
}

/// Whom the reply is for.
#[derive(Debug)]
struct Request {
    /// `None` once the pipe is gone: the reply is dropped then.
    pipe: Option<PipeId>,
    peer: Option<Arc<Peer>>,
    /// The routing ids that the request came with, and the empty delimiter.
    envelope: Vec<Frame>,
}

impl Rep {
    fn forget(&mut self, pipe: PipeId) {
        self.peers.remove(&pipe);
        if let Some(request) = &mut self.request {
            request.pipe = request.pipe.filter(|asker| *asker != pipe);
        }
    }

    /// The pipe to whoever asked: its link may be another by now, its identity not.
    fn asker(&self, request: &Request) -> Option<PipeId> {
        let pipe = request.pipe?;
        let (asked, now) = (request.peer.as_ref()?, self.peers.get(&pipe)?);
        asked.is_same_identity(now).then_some(pipe)
    }

    /// Drops what is no request (R28-11); whether one is next.
    fn request_is_next(&mut self, pipes: &mut Pipes) -> bool {
        while let Some((_, message)) = self.incoming.peek(pipes) {
            if is_request(message) {
                return true;
            }
            pipes.drops.malformed += 1;
            self.incoming.skip(pipes);
        }
        false
    }
}

/// A delimiter and a body (RFC 28).
fn is_request(message: &Message) -> bool {
    let mut frames = message.iter();
    frames.any(|frame| frame.is_empty()) && frames.next().is_some()
}

impl Pattern for Rep {
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    /// A reply that waits was meant for the peer that was there, not for another in its place.
    fn ready(&mut self, pipe: PipeId, peer: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        if let Some(known) = self.peers.insert(pipe, peer.clone())
            && !known.is_same_identity(peer)
        {
            pipes.clear_outgoing(pipe);
        }
        Ok(())
    }

    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        if !pipes.reconnects(pipe) {
            pipes.clear_outgoing(pipe);
            self.forget(pipe);
        }
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.remove(pipe);
        self.forget(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let Some(request) = self.request.take() else {
            return Err(Refused::WrongTurn);
        };
        let Some(pipe) = self.asker(&request) else {
            pipes.drops.unroutable += 1;
            return Ok(());
        };
        for frame in request.envelope.into_iter().rev() {
            message.push_front(frame);
        }
        // R28-19: a peer that does not take its reply loses it.
        if !pipes.try_give(pipe, message) {
            pipes.drops.no_room += 1;
        }
        Ok(())
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        _: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        if self.request.is_some() {
            return Err(WrongTurn);
        }
        if !self.request_is_next(pipes) {
            return Ok(0);
        }
        let pipe = self.incoming.recv_one(into, pipes);
        let Some(message) = into.last_mut() else {
            return Ok(0);
        };
        let mut envelope = Vec::new();
        while let Some(frame) = message.pop_front() {
            let delimiter = frame.is_empty();
            envelope.push(frame);
            if delimiter {
                break;
            }
        }
        self.request = Some(Request {
            pipe,
            peer: message.peer().cloned(),
            envelope,
        });
        Ok(1)
    }

    /// Whenever it is our turn: a peer that does not take its reply loses it.
    fn can_send(&mut self, _: &Pipes) -> bool {
        self.request.is_some()
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.request.is_none() && self.request_is_next(pipes)
    }
}
