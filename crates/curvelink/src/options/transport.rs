//! What listeners and connections are told of the operating system.

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) max_handshakes: usize,
    pub(crate) backlog: u32,
    pub(crate) ipc_mode: u32,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            max_handshakes: 256,
            backlog: 1024,
            ipc_mode: 0o600,
        }
    }
}

impl Options {
    /// Connections of one listener whose handshake is not done; further ones wait to be accepted.
    /// Default 256.
    pub const fn max_handshakes(mut self, connections: usize) -> Self {
        self.transport.max_handshakes = connections;
        self
    }

    /// Connections that the system holds for a listener before it accepts them. Default 1024.
    #[doc(alias = "ZMQ_BACKLOG")]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.transport.backlog = connections;
        self
    }

    /// The mode of an ipc socket's file, as in `chmod`. Default 0600: our own user only.
    pub const fn ipc_mode(mut self, mode: u32) -> Self {
        self.transport.ipc_mode = mode;
        self
    }
}
