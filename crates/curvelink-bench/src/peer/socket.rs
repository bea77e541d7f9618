//! A socket on either face, and what it is told.

use std::ops::Deref;

use curvelink::{
    Curve, KeyPair, Message, Options, PublicKey, Receives, SecretKey, Sends, TrySendErrorKind,
    blocking,
};

use crate::args::Args;

/// A socket whose calls wait or block.
#[derive(Debug)]
pub(crate) enum Socket<K> {
    Async(curvelink::Socket<K>),
    Blocking(blocking::Socket<K>),
}

impl<K> Deref for Socket<K> {
    type Target = curvelink::Socket<K>;

    fn deref(&self) -> &curvelink::Socket<K> {
        match self {
            Self::Async(socket) => socket,
            Self::Blocking(socket) => socket,
        }
    }
}

impl<K: Sends> Socket<K> {
    /// Sends without waiting where there is room.
    pub(crate) async fn send_eagerly(&self, message: Message) -> anyhow::Result<()> {
        match self.try_send(message) {
            Ok(()) => Ok(()),
            Err(full) if full.error == TrySendErrorKind::Full => self.send(full.message).await,
            Err(never) => Err(never.error.into()),
        }
    }

    pub(crate) async fn send(&self, message: Message) -> anyhow::Result<()> {
        match self {
            Self::Async(socket) => socket.send(message).await?,
            Self::Blocking(socket) => socket.send(message)?,
        }
        Ok(())
    }
}

impl<K: Receives> Socket<K> {
    pub(crate) async fn recv(&self) -> anyhow::Result<Message> {
        Ok(match self {
            Self::Async(socket) => socket.recv().await?,
            Self::Blocking(socket) => socket.recv()?,
        })
    }

    pub(crate) async fn recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> anyhow::Result<usize> {
        Ok(match self {
            Self::Async(socket) => socket.recv_batch(into, max).await?,
            Self::Blocking(socket) => socket.recv_batch(into, max)?,
        })
    }
}

/// The secrets of both ends: anybody knows them, so that any two programs can be put together.
const SERVER: [u8; 32] = [0x11; 32];
const CLIENT: [u8; 32] = [0x22; 32];

/// What the end that binds is told. It makes room for as many handshakes as are to come, as an
/// operator would who expects them.
pub(crate) fn of_binder(args: &Args) -> anyhow::Result<Options> {
    let mut options = of_both(args)
        .max_handshakes(256.max(args.connections))
        .backlog(u32::try_from(args.connections)?.max(1024));
    if args.curve {
        let server = Curve::server(pair(&SERVER)?).backend(args.backend);
        options = options.security(server.accept_anyone());
    }
    Ok(options)
}

/// What the end that connects is told.
pub(crate) fn of_dialler(args: &Args) -> anyhow::Result<Options> {
    let mut options = of_both(args);
    if args.curve {
        let server: PublicKey = pair(&SERVER)?.public();
        let client = Curve::client(pair(&CLIENT)?, server);
        options = options.security(client.backend(args.backend));
    }
    Ok(options)
}

fn of_both(args: &Args) -> Options {
    let options = Options::new();
    match args.hwm {
        Some(hwm) => options.send_hwm(hwm).recv_hwm(hwm),
        None => options,
    }
}

fn pair(secret: &[u8; 32]) -> anyhow::Result<KeyPair> {
    Ok(KeyPair::from_secret(SecretKey::from_octets(secret)?))
}

/// A message of a length, to be sent many times: a clone shares the octets, unless they are so
/// few that copying costs less.
pub(crate) fn payload(size: usize) -> Message {
    // Not all the same, so that nothing on the way has an easy time.
    let octets: Vec<u8> = (0..size).map(|i| i.to_le_bytes()[0] ^ 0x5a).collect();
    octets.into()
}
