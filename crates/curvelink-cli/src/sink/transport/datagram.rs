//! A datagram for each line, to a Unix socket.

use std::future::pending;
use std::path::PathBuf;

use tokio::net::UnixDatagram;

use super::Transport;

pub(in crate::sink) struct Datagram {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Datagram {
    pub(in crate::sink) const fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }
}

impl Transport for Datagram {
    async fn connect(&mut self) -> Result<(), String> {
        let path = &self.path;
        let connected = UnixDatagram::unbound().and_then(|socket| {
            socket.connect(path)?;
            Ok(socket)
        });
        self.socket = Some(connected.map_err(|error| error.to_string())?);
        Ok(())
    }

    async fn send(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(socket) = &self.socket else {
            return Err("not connected".to_owned());
        };
        let sent = socket.send(line).await;
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// The next datagram tells.
    async fn broken(&mut self) -> String {
        pending().await
    }

    async fn finish(self) {}
}
