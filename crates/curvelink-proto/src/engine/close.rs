//! How a connection ends: on purpose with a last sealed word, where both sides know it, so that
//! one that was cut is told from one that was closed.

use std::mem;

use super::{Engine, Event, State};
use crate::error::ProtocolError;
use crate::event::Reason;
use crate::wire::command::END_OF_STREAM;

impl Engine {
    /// Ends the connection because our side wants it to end: no more input is taken.
    ///
    /// Where frames are sealed and the peer has announced that it knows the end of stream,
    /// [`poll_transmit`](Self::poll_transmit) shows one, unless messages wait that were not written
    /// whole: then something is missing, and the peer is to know.
    pub fn close(&mut self) {
        self.deadline = None;
        let stage = self.stage();
        let (sealer, awaits_end) = match mem::replace(&mut self.state, State::Closed(stage)) {
            State::Ready {
                sealer, awaits_end, ..
            } => (sealer, awaits_end),
            State::Deciding(ready) => {
                let awaits_end = ready.metadata.announces_end();
                (ready.protection.map(|both| both.sealer), awaits_end)
            }
            _ => return,
        };
        if let Some(mut sealer) = sealer.filter(|_| awaits_end)
            && !self.outbound.holds_messages()
        {
            let sealer = Some(&mut *sealer as _);
            let _none_at_the_end_of_the_counter =
                self.outbound.push_control(END_OF_STREAM, b"", sealer);
        }
    }

    pub(super) fn close_on_error(
        &mut self,
        result: Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        if result.is_err() {
            self.close();
        }
        result
    }

    /// Takes note that the peer has closed its side; gives the error that this means, or `None`
    /// when a link that was ready simply ended.
    pub fn handle_close(&mut self) -> Option<ProtocolError> {
        self.deadline = None;
        let stage = self.stage();
        let reason = match mem::replace(&mut self.state, State::Closed(stage)) {
            State::Greeting if self.inbound.is_empty() => Reason::NotZmtp,
            State::Greeting | State::Authenticating(_) | State::Deciding(_) => Reason::Closed,
            State::Handshake(handshake) => {
                let reason = handshake.closed_early();
                if reason == Reason::WrongServerKey {
                    self.claimed = handshake.expected_key().map(|key| key.fingerprint());
                }
                reason
            }
            State::Ready {
                awaits_end: true, ..
            } => return Some(ProtocolError::Truncated),
            State::Ready { .. } | State::Closed(_) => return None,
        };
        Some(ProtocolError::ClosedEarly { reason, stage })
    }

    /// The peer's last word. Of one that did not announce it, it is a command that nobody knows.
    pub(super) fn take_end(&mut self, is_empty: bool) -> Result<(), ProtocolError> {
        let State::Ready {
            awaits_end: true, ..
        } = self.state
        else {
            return Ok(());
        };
        if !is_empty || !self.inbound.is_between_messages() {
            return Err(ProtocolError::Malformed(
                "end of stream: within a message, or something comes with it",
            ));
        }
        self.state = State::Closed(self.stage());
        self.events.push(Event::End);
        Ok(())
    }
}
