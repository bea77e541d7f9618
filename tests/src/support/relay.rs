//! A TCP relay that is cut and stalled at the test's word, and knows which messages that destroyed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay before one server.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    control: watch::Sender<Control>,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Control {
    cuts: u64,
    stalled: bool,
}

#[derive(Debug, Default)]
struct State {
    destroyed: Vec<Vec<u8>>,
    /// How many directions are open that began after so many cuts.
    open: BTreeMap<u64, usize>,
}

impl Relay {
    /// Forwards connections to `tcp://…`, where nobody need listen yet.
    ///
    /// # Panics
    /// If no port is to be had.
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = server.trim_start_matches("tcp://").to_owned();
        let (control, watched) = watch::channel(Control::default());
        let state = Arc::default();
        let task = tokio::spawn(serve(listener, server, watched, Arc::clone(&state)));
        Self {
            address,
            control,
            state,
            task,
        }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Cuts every connection that there is, wherever its octets are.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Whether both sides have noticed every cut, and all that it destroyed is known.
    ///
    /// # Panics
    /// If the relay has.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let cuts = self.control.borrow().cuts;
        let state = self.state.lock().expect("the relay lives");
        state
            .open
            .range(..cuts)
            .all(|(_, directions)| *directions == 0)
    }

    /// Lets nothing through any more, or everything again. Connections stay open.
    pub fn stall(&self, stalled: bool) {
        self.control
            .send_modify(|control| control.stalled = stalled);
    }

    /// Takes the messages that one side's kernel had taken whole and the other's never got, as
    /// their last frames. Only NULL's are told.
    ///
    /// # Panics
    /// If the relay has.
    pub fn take_destroyed(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state.lock().expect("the relay lives").destroyed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    server: String,
    control: watch::Receiver<Control>,
    state: Arc<Mutex<State>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(upstream) = TcpStream::connect(&server).await else {
            continue;
        };
        let _halves_are_pushed_at_once = (client.set_nodelay(true), upstream.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = upstream.into_split();
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let (control, state) = (control.clone(), Arc::clone(&state));
            let begun = *control.borrow();
            *lock(&state).open.entry(begun.cuts).or_default() += 1;
            tokio::spawn(async move {
                let lost = pump(from, to, control, begun).await;
                let mut state = lock(&state);
                state.destroyed.extend(lost);
                *state.open.entry(begun.cuts).or_default() -= 1;
            });
        }
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().expect("nobody panics")
}

/// Forwards one direction until it is cut or ends; gives what that destroyed.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut control: watch::Receiver<Control>,
    begun: Control,
) -> Vec<Vec<u8>> {
    // What happened between the two is seen as a change.
    control.mark_changed();
    let mut stalled = begun.stalled;
    let (mut octets, mut forwarded) = (Vec::new(), 0);
    loop {
        let pending = octets.len() > forwarded;
        let step = tokio::select! {
            biased;
            _ = control.changed() => {
                let now = *control.borrow_and_update();
                stalled = now.stalled;
                if now.cuts == begun.cuts { Ok(1) } else { Ok(0) }
            }
            written = to.write(&octets[forwarded..]), if pending && !stalled => {
                forwarded += *written.as_ref().unwrap_or(&0);
                written
            }
            read = read_some(&mut from), if !pending && !stalled => match read {
                Ok(more) => {
                    octets.extend_from_slice(&more);
                    Ok(more.len())
                }
                Err(error) => Err(error),
            },
        };
        if !matches!(step, Ok(1..)) {
            break;
        }
    }
    let _gone_already = to.shutdown().await;
    // Octets left unread would turn the close into a reset, which destroys what was forwarded; and
    // what the writer gave away has to be known.
    while matches!(from.read_buf(&mut octets).await, Ok(1..)) {}
    let whole = messages(&octets[..forwarded]).len();
    messages(&octets).split_off(whole)
}

async fn read_some(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let mut some = Vec::with_capacity(4096);
    from.read_buf(&mut some).await?;
    Ok(some)
}

/// The last frames of the messages that are whole within these octets of a NULL connection.
fn messages(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = octets.get(64..).unwrap_or_default();
    while let Some((flags, body, next)) = frame(rest) {
        // 1 is MORE and 4 COMMAND.
        if flags & 5 == 0 {
            found.push(body.to_vec());
        }
        rest = next;
    }
    found
}

fn frame(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (flags, rest) = octets.split_first()?;
    let (length, rest) = if flags & 2 == 2 {
        let (length, rest) = rest.split_first_chunk()?;
        (u64::from_be_bytes(*length), rest)
    } else {
        let (length, rest) = rest.split_first()?;
        (u64::from(*length), rest)
    };
    let (body, rest) = rest.split_at_checked(length as usize)?;
    Some((*flags, body, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::support::raw;

    async fn through(relay: &Relay, listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = raw::dial(&relay.endpoint(), &[0; 64]).await;
        let (mut server, _) = listener.accept().await.expect("the relay connects");
        raw::skip_greeting(&mut server).await;
        (client, server)
    }

    #[tokio::test]
    async fn what_was_forwarded_arrives_and_what_was_not_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let relay = Relay::start(&address.to_string()).await;
        let (mut client, mut server) = through(&relay, &listener).await;
        client
            .write_all(&raw::frame(0, b"arrives"))
            .await
            .expect("writes");
        let arrived = raw::read_frame(&mut server).await.expect("a frame");
        assert_eq!(arrived.1, b"arrives");
        relay.stall(true);
        let stalled = [raw::frame(1, b"more"), raw::frame(0, b"destroyed")].concat();
        client.write_all(&stalled).await.expect("writes");
        client
            .write_all(&raw::frame(0, b"cut")[..4])
            .await
            .expect("writes");
        let waiting = tokio::time::timeout(Duration::from_millis(20), raw::closed(&mut server));
        assert!(waiting.await.is_err(), "a stalled connection is open");
        relay.cut();
        assert_eq!(raw::closed(&mut server).await, b"");
        drop((client, server));
        let mut destroyed = Vec::new();
        while destroyed.is_empty() {
            destroyed = relay.take_destroyed();
            tokio::task::yield_now().await;
        }
        assert_eq!(destroyed, [b"destroyed"]);
        relay.stall(false);
        let (mut client, mut server) = through(&relay, &listener).await;
        client
            .write_all(&raw::frame(0, b"again"))
            .await
            .expect("writes");
        assert_eq!(
            raw::read_frame(&mut server).await.expect("a frame").1,
            b"again"
        );
    }
}
