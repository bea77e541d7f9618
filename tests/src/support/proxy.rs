//! A TCP proxy that cuts connections, and knows what was lost by that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A proxy before one server.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    eaten: Arc<Mutex<Vec<Cut>>>,
    task: JoinHandle<()>,
}

/// One connection that was cut.
#[derive(Clone, Debug)]
pub struct Cut {
    /// All that the client wrote, from its greeting on.
    pub octets: Vec<u8>,
    /// How many of them the server was given.
    pub forwarded: usize,
}

impl Proxy {
    /// Forwards connections to `tcp://…`. `cuts` gives, for each connection in turn, after how
    /// many octets of the client's it is cut; connections beyond them are left alone.
    ///
    /// # Panics
    /// If no port is to be had.
    pub async fn start(server: &str, cuts: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = server.trim_start_matches("tcp://").to_owned();
        let eaten = Arc::default();
        let task = tokio::spawn(serve(listener, server, cuts, Arc::clone(&eaten)));
        Self {
            address,
            eaten,
            task,
        }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// The connections that were cut, each once the client has closed its side.
    ///
    /// # Panics
    /// If the proxy has.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.eaten.lock().expect("the proxy lives").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    server: String,
    cuts: Vec<usize>,
    eaten: Arc<Mutex<Vec<Cut>>>,
) {
    let mut cuts = cuts.into_iter();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(upstream) = TcpStream::connect(&server).await else {
            continue;
        };
        match cuts.next() {
            Some(limit) => {
                let cut = forward(client, upstream, limit).await;
                eaten.lock().expect("no one panics").push(cut);
            }
            None => {
                tokio::spawn(async {
                    let (mut client, mut upstream) = (client, upstream);
                    let _either_end =
                        tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                });
            }
        }
    }
}

/// Forwards until `limit` octets of the client's have passed, then closes both sides. It goes on
/// reading until the client has closed too, so that it knows all that the client gave away.
async fn forward(client: TcpStream, upstream: TcpStream, limit: usize) -> Cut {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = upstream.into_split();
    let (cut_now, when_cut) = oneshot::channel();
    let back = tokio::spawn(answer(from_server, to_client, when_cut));
    let mut cut = Cut {
        octets: Vec::new(),
        forwarded: 0,
    };
    while cut.forwarded < limit {
        let before = cut.octets.len();
        match from_client.read_buf(&mut cut.octets).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                let end = cut.octets.len().min(limit);
                if to_server.write_all(&cut.octets[before..end]).await.is_err() {
                    break;
                }
                cut.forwarded = end;
            }
        }
    }
    let _gone_already = to_server.shutdown().await;
    let _ended_already = cut_now.send(());
    while matches!(from_client.read_buf(&mut cut.octets).await, Ok(octets) if octets > 0) {}
    let _it_does_not_panic = back.await;
    cut
}

/// Forwards the server's octets until the cut, and drops those that come after it: closing with
/// octets unread would reset the connection, and could destroy what the server was given.
async fn answer(
    mut from_server: OwnedReadHalf,
    mut to_client: OwnedWriteHalf,
    when_cut: oneshot::Receiver<()>,
) {
    tokio::select! {
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        _ = when_cut => {}
    }
    drop(to_client);
    let _reset_is_an_end_too = tokio::io::copy(&mut from_server, &mut tokio::io::sink()).await;
}
