//! Peers of plain TCP: for STREAM sockets, and to be the other end that no implementation would.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::action::Frames;
use crate::support::raw;

const PATIENCE: Duration = Duration::from_secs(5);

/// One connection, made or awaited.
#[derive(Debug, Default)]
pub(super) struct RawPeer {
    listener: Option<TcpListener>,
    stream: Option<TcpStream>,
}

/// An error as a word.
pub(super) fn word(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "nothing".to_owned(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "ended".to_owned(),
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        kind => format!("{kind:?}"),
    }
}

impl RawPeer {
    pub(super) fn dial(&mut self, endpoint: &str) -> io::Result<()> {
        let stream = TcpStream::connect(endpoint.trim_start_matches("tcp://"))?;
        self.take(stream)
    }

    pub(super) fn listen(&mut self, endpoint: &str) -> io::Result<()> {
        let address = endpoint.trim_start_matches("tcp://");
        self.listener = Some(TcpListener::bind(address)?);
        Ok(())
    }

    pub(super) fn accept(&mut self) -> io::Result<()> {
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        listener.set_nonblocking(true)?;
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                    thread::sleep(Duration::from_millis(2));
                }
                accepted => break accepted?.0,
            }
        };
        stream.set_nonblocking(false)?;
        self.take(stream)
    }

    /// Stops listening.
    pub(super) fn deafen(&mut self) -> io::Result<()> {
        self.listener.take();
        Ok(())
    }

    fn take(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        self.stream
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The whole NULL handshake, as a socket of this type.
    pub(super) fn greet(&mut self, kind: &str, id: &[u8]) -> io::Result<()> {
        let properties = [("Socket-Type", kind.as_bytes()), ("Identity", id)];
        self.write(&raw::null_peer(&properties))?;
        self.read(64)?;
        let (flags, _) = self.frame()?;
        if flags & 4 == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }

    /// Our half of it alone.
    pub(super) fn introduce(&mut self, kind: &str) -> io::Result<()> {
        self.write(&raw::null_peer(&[("Socket-Type", kind.as_bytes())]))
    }

    /// A message, after the handshake.
    pub(super) fn say(&mut self, frames: &Frames) -> io::Result<()> {
        let last = frames.len() - 1;
        let frames = frames.iter().enumerate();
        let octets: Vec<_> = frames
            .map(|(index, frame)| raw::frame(u8::from(index < last), frame))
            .collect();
        self.write(&octets.concat())
    }

    /// The next message; commands between them are not shown.
    pub(super) fn message(&mut self) -> io::Result<Frames> {
        let mut frames = Frames::new();
        loop {
            let (flags, body) = self.frame()?;
            if flags & 4 == 0 {
                frames.push(body);
                if flags & 1 == 0 {
                    return Ok(frames);
                }
            }
        }
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let flags = self.read(1)?[0];
        let length = if flags & 2 == 0 {
            u64::from(self.read(1)?[0])
        } else {
            let length = self.read(8)?;
            length
                .iter()
                .fold(0, |length, octet| length << 8 | u64::from(*octet))
        };
        Ok((flags, self.read(length as usize)?))
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream()?.write_all(octets)
    }

    pub(super) fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut octets = vec![0; count];
        self.stream()?.read_exact(&mut octets)?;
        Ok(octets)
    }

    /// Waits for the end of the connection; what is said until then is not looked at.
    pub(super) fn ended(&mut self) -> io::Result<()> {
        match self.stream()?.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn hang_up(&mut self) -> io::Result<()> {
        self.stream.take();
        Ok(())
    }
}
