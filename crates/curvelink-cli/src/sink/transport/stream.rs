//! Octet-counted lines over a connection within this host (RFC 6587, section 3.4.1).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::Transport;

pub(in crate::sink) struct Stream {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Stream {
    pub(in crate::sink) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    async fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        // One write: a line that is cut by the end of the link is sent again whole.
        let mut counted = format!("{} ", line.len()).into_bytes();
        counted.extend_from_slice(line);
        stream.write_all(&counted).await
    }

    /// Reads to the end; a collector says nothing.
    async fn ended(&self) -> io::Result<()> {
        let stream = self.stream.as_ref().ok_or(ErrorKind::NotConnected)?;
        let mut ignored = [0; 256];
        loop {
            stream.readable().await?;
            match stream.try_read(&mut ignored) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Transport for Stream {
    async fn connect(&mut self) -> Result<(), String> {
        self.stream = None;
        let stream = TcpStream::connect(self.address).await;
        self.stream = Some(stream.map_err(|error| error.to_string())?);
        Ok(())
    }

    async fn send(&mut self, line: &[u8]) -> Result<(), String> {
        self.write(line).await.map_err(|error| error.to_string())
    }

    async fn broken(&mut self) -> String {
        match self.ended().await {
            Ok(()) => "closed by the peer".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    async fn finish(mut self) {
        if let Some(stream) = &mut self.stream {
            // Where it fails the link is gone already.
            let _ = stream.shutdown().await;
        }
    }
}
