//! The two faces: futures on a runtime, and threads that block.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use curvelink::{Kind, LinkEvents, Options, Pub, Sub, blocking};
use tokio::runtime::Builder;
use tokio::task;
use tokio::time::timeout;

use crate::exit::{Exit, leave};
use crate::socket::Socket;

/// A context and how its sockets are waited for. Commands are written once, as futures: on the
/// blocking face each is ready when it is polled, for its thread has blocked.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    context: curvelink::Context,
    blocking: bool,
}

/// Runs a command on one of the faces.
pub(crate) fn run<F>(blocking: bool, command: impl FnOnce(Face) -> F) -> anyhow::Result<Infallible>
where
    F: Future<Output = anyhow::Result<Infallible>>,
{
    if blocking {
        let context = curvelink::Context::with_io_threads(1)?;
        return blocked(command(Face { context, blocking }));
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = curvelink::Context::new()?;
        command(Face { context, blocking }).await
    })
}

/// The result of a future whose every wait blocks the thread.
fn blocked<F: Future>(future: F) -> F::Output {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("on the blocking face nothing is awaited"),
    }
}

impl Face {
    pub(crate) fn socket<K: Kind>(&self, options: Options) -> Socket<K> {
        let socket = self.context.socket(options);
        if self.blocking {
            Socket::Blocking(blocking::Socket::new(socket))
        } else {
            Socket::Async(socket)
        }
    }

    /// Runs a future beside this one: a task, or a thread. An error there ends the process.
    pub(crate) fn spawn<F>(&self, future: F) -> Running
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let future = async {
            if let Err(error) = future.await {
                eprintln!("curvelink-peer: {error:#}");
                leave(Exit::Failed);
            }
        };
        if self.blocking {
            Running::Thread(thread::spawn(|| blocked(future)))
        } else {
            Running::Task(task::spawn(future))
        }
    }

    /// Waits for something that blocks its thread, such as standard input.
    pub(crate) async fn blocks(&self, wait: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        if self.blocking {
            wait();
            return Ok(());
        }
        Ok(task::spawn_blocking(wait).await?)
    }

    /// Lets other tasks run, where they need to be let.
    pub(crate) async fn breathe(&self) {
        if !self.blocking {
            task::yield_now().await;
        }
    }

    /// Subscribes to everything, and waits until the connection that was asked for is made.
    pub(crate) async fn subscribe(
        &self,
        socket: &Socket<Sub>,
        endpoint: &str,
        time: Duration,
    ) -> anyhow::Result<()> {
        let mut monitor = socket.monitor_of(LinkEvents::HANDSHAKE_SUCCEEDED);
        socket.subscribe("");
        socket.connect(endpoint)?;
        let up = if self.blocking {
            blocking::next_event(&mut monitor, time)
        } else {
            timeout(time, monitor.recv()).await.unwrap_or_default()
        };
        up.context("no publisher was there in time")?;
        Ok(())
    }

    /// Waits for peers that would receive what is published.
    pub(crate) async fn subscribers(
        &self,
        socket: &Socket<Pub>,
        count: usize,
        time: Duration,
    ) -> anyhow::Result<()> {
        let all_there = match socket {
            Socket::Blocking(socket) => socket.wait_for_subscribers("", count, time),
            Socket::Async(socket) => {
                let there = socket.wait_for_subscribers("", count);
                timeout(time, there).await.is_ok()
            }
        };
        ensure!(all_there, "not all subscribers were there in time");
        Ok(())
    }
}

/// What [`Face::spawn`] started.
#[derive(Debug)]
pub(crate) enum Running {
    Task(task::JoinHandle<()>),
    Thread(thread::JoinHandle<()>),
}

impl Running {
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Task(task) => Ok(task.await?),
            Self::Thread(thread) => thread.join().ok().context("a thread panicked"),
        }
    }
}
