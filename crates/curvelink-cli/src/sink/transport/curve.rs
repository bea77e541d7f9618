//! A frame for each line, over CURVE: PUSH, to the PULL of a collector.

use std::time::Duration;

use curvelink::{
    Context, Curve, CurveBackend, KeyPair, LinkEventKind, Monitor, Options, PublicKey, Push, Socket,
};
use tokio::select;

use super::Transport;

/// Lines that the socket takes while it is full: they wait for the next link.
const WAITING: usize = 64;
/// After a refusal: somebody has to change something first.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);
const LINGER: Duration = Duration::from_secs(1);

pub(in crate::sink) struct CurveLink {
    /// Not the hub's: it goes on when that is shut down, to tell the end, and its links are not
    /// the hub's events, of which each would be another line to send.
    context: Context,
    socket: Socket<Push>,
    monitor: Monitor,
}

impl CurveLink {
    /// Starts to connect to the owner of `server`.
    pub(in crate::sink) fn open(
        endpoint: &str,
        keys: KeyPair,
        server: PublicKey,
        backend: CurveBackend,
    ) -> anyhow::Result<Self> {
        let context = Context::new()?;
        let curve = Curve::client(keys, server).backend(backend);
        let options = Options::new()
            .security(curve)
            .send_hwm(WAITING)
            .refused_interval(AFTER_REFUSAL)
            .linger(LINGER);
        let socket = context.socket::<Push>(options);
        let monitor = socket.monitor();
        socket.connect(endpoint)?;
        Ok(Self {
            context,
            socket,
            monitor,
        })
    }
}

impl Transport for CurveLink {
    const PACES_ITSELF: bool = true;

    async fn connect(&mut self) -> Result<(), String> {
        while let Some(event) = self.monitor.recv().await {
            match event.kind {
                LinkEventKind::HandshakeSucceeded(_) => return Ok(()),
                LinkEventKind::Refused(refusal) => return Err(refusal.to_string()),
                LinkEventKind::ConnectFailed { error } => return Err(error.to_string()),
                _ => {}
            }
        }
        Err(CLOSED.to_owned())
    }

    async fn send(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.to_vec();
        select! {
            biased;
            sent = self.socket.send(line) => sent.map_err(|error| error.to_string()),
            error = broken(&mut self.monitor) => Err(error),
        }
    }

    async fn broken(&mut self) -> String {
        broken(&mut self.monitor).await
    }

    async fn finish(self) {
        self.context.shutdown().await;
    }
}

const CLOSED: &str = "the socket was closed";

async fn broken(monitor: &mut Monitor) -> String {
    while let Some(event) = monitor.recv().await {
        if let LinkEventKind::Disconnected { .. } = event.kind {
            return event.kind.to_string();
        }
    }
    CLOSED.to_owned()
}
