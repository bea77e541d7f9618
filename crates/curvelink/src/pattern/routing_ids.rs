//! Routing ids: which pipe has which, and those of our own making (RFC 28, "ROUTER Socket Type").

use std::collections::HashMap;

use bytes::Bytes;

use super::first_number;
use crate::pipe::PipeId;

/// The routing ids of a socket's pipes. A pipe's id outlives its right to be sent to by it: the
/// messages that a link brought keep the id when another pipe has it.
#[derive(Debug)]
pub(super) struct RoutingIds {
    pipes: HashMap<Bytes, PipeId>,
    ids: HashMap<PipeId, Bytes>,
    generated: u32,
}

impl RoutingIds {
    pub(super) fn new() -> Self {
        Self {
            pipes: HashMap::new(),
            ids: HashMap::new(),
            generated: first_number(),
        }
    }

    /// The pipe that messages for an id go to.
    pub(super) fn pipe(&self, id: &[u8]) -> Option<PipeId> {
        self.pipes.get(id).copied()
    }

    /// The id of a pipe's messages.
    pub(super) fn id(&self, pipe: PipeId) -> Option<&Bytes> {
        self.ids.get(&pipe)
    }

    /// All pipes that messages can go to.
    pub(super) fn pipes(&self) -> impl Iterator<Item = PipeId> {
        self.pipes.values().copied()
    }

    /// Gives a pipe an id, taking it from whoever has it.
    pub(super) fn assign(&mut self, pipe: PipeId, id: Bytes) {
        self.release(pipe);
        self.pipes.insert(id.clone(), pipe);
        self.ids.insert(pipe, id);
    }

    /// An id of our own making: 0 and four octets. No peer may ask for one that begins with 0.
    pub(super) fn generate(&mut self) -> Bytes {
        loop {
            self.generated = self.generated.wrapping_add(1);
            let [a, b, c, d] = self.generated.to_be_bytes();
            let id = Bytes::copy_from_slice(&[0, a, b, c, d]);
            if !self.pipes.contains_key(&id) {
                return id;
            }
        }
    }

    /// Frees a pipe's id for others. Messages of the pipe keep it.
    pub(super) fn release(&mut self, pipe: PipeId) {
        if let Some(id) = self.ids.get(&pipe)
            && self.pipes.get(id) == Some(&pipe)
        {
            self.pipes.remove(id);
        }
    }

    pub(super) fn remove(&mut self, pipe: PipeId) {
        self.release(pipe);
        self.ids.remove(&pipe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_taken_over_is_not_freed_by_the_pipe_that_had_it() {
        let mut ids = RoutingIds::new();
        let [old, new] = [PipeId::new(0), PipeId::new(1)];
        let id = Bytes::from_static(b"id");
        ids.assign(old, id.clone());
        ids.assign(new, id.clone());
        assert_eq!((ids.pipe(b"id"), ids.id(old)), (Some(new), Some(&id)));
        ids.release(old);
        ids.remove(old);
        assert_eq!((ids.pipe(b"id"), ids.id(old)), (Some(new), None));
        ids.remove(new);
        assert_eq!(ids.pipe(b"id"), None);
    }

    #[test]
    fn a_pipe_with_another_id_does_not_keep_the_first() {
        let mut ids = RoutingIds::new();
        let pipe = PipeId::new(0);
        ids.assign(pipe, Bytes::from_static(b"first"));
        ids.assign(pipe, Bytes::from_static(b"second"));
        assert_eq!(ids.pipe(b"first"), None);
        assert_eq!(ids.pipe(b"second"), Some(pipe));
    }

    #[test]
    fn a_generated_id_is_nobodys() {
        let mut ids = RoutingIds::new();
        ids.generated = u32::MAX - 1;
        let taken = Bytes::from_static(&[0, 0, 0, 0, 0]);
        ids.assign(PipeId::new(0), taken);
        assert_eq!(ids.generate()[..], [0, 255, 255, 255, 255]);
        assert_eq!(ids.generate()[..], [0, 0, 0, 0, 1]);
    }
}
