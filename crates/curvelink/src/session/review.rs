//! Live links and a policy that changes: who stays, and who is cut.

use std::mem;

use std::time::{Instant, SystemTime};

use curvelink_proto::{Reason, ZapReply};

use super::{LinkEnd, Session};
use crate::pipe::{Order, PipeId};

impl Session {
    /// Takes note of the policy's answer, before the engine does.
    pub(super) fn note_answer(&mut self, reply: ZapReply) -> ZapReply {
        match &mut self.warrant {
            Some(warrant) => warrant.answered(reply, Instant::now(), SystemTime::now()),
            None => reply,
        }
    }

    /// Does what the session was woken for beside messages. A handshake is not reviewed: it ends
    /// with [`review_if_stale`](Self::review_if_stale).
    pub(super) fn obey(&mut self, order: Order) -> Result<(), LinkEnd> {
        match order {
            Order::Cut if self.peer.is_some() => Err(LinkEnd::Cut(Reason::PeerDropped)),
            Order::Review if self.peer.is_some() => self.review(),
            _ => Ok(()),
        }
    }

    /// Asks again if the policy has changed since it was asked.
    pub(super) fn review_if_stale(&mut self) -> Result<(), LinkEnd> {
        let now = self.core.shared.policy.changes();
        match &self.warrant {
            Some(warrant) if warrant.asked != now => self.review(),
            _ => Ok(()),
        }
    }

    fn review(&mut self) -> Result<(), LinkEnd> {
        let (Some(warrant), Some(peer)) = (&mut self.warrant, &self.peer) else {
            return Ok(());
        };
        let policy = &self.core.shared.policy;
        warrant.asked = policy.changes();
        let Some(reply) = policy.review(&warrant.request, &warrant.user_id) else {
            return Ok(());
        };
        let (now, wall) = (Instant::now(), SystemTime::now());
        let rights = warrant
            .reviewed(reply, &peer.rights, now, wall)
            .map_err(LinkEnd::withdrawn)?;
        if let Some(rights) = rights
            && let Some(peer) = self.engine.handle_rights(rights)
        {
            self.peer = Some(peer.clone());
            self.set_rate(peer.rights.rate);
            if let Some(pipe) = self.pipe {
                self.core.replace_peer(pipe, &peer);
            }
        }
        Ok(())
    }

    /// When the link's time has to be looked at, if its policy set one.
    pub(super) fn look(&self) -> Option<Instant> {
        self.warrant.as_ref()?.look
    }

    /// Ends the link if its time is over.
    pub(super) fn check_term(&mut self, now: Instant) -> Result<(), LinkEnd> {
        let Some(warrant) = &mut self.warrant else {
            return Ok(());
        };
        if warrant.look.is_some_and(|look| now >= look) {
            let term = warrant.look(now, SystemTime::now());
            term.map_err(LinkEnd::withdrawn)?;
        }
        Ok(())
    }

    /// Drops what waits in either direction, before the end is told.
    pub(super) fn drop_queues(&mut self, pipe: PipeId) {
        let parsed = mem::take(&mut self.inbox).len();
        drop(self.engine.take_unsent());
        self.core.cut(pipe, parsed);
    }
}

impl LinkEnd {
    /// The policy ends the link. Age alone takes nothing away: what came is received.
    fn withdrawn(reason: Reason) -> Self {
        match reason {
            Reason::SessionAge => Self::Pattern(reason),
            _ => Self::Cut(reason),
        }
    }
}
