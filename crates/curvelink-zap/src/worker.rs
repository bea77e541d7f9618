//! Checks passwords on a thread of their own: one look takes as long as thousands of messages.

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use curvelink_proto::ZapReply;

use crate::decision::PasswordCheck;

/// Passwords that wait at most; who comes when so many do is told to come back later.
const QUEUE: usize = 64;

/// The thread, started by the first password and ended with the worker.
#[derive(Debug, Default)]
pub(crate) struct Worker {
    /// `None` inside where the system gives no thread.
    queue: OnceLock<Option<SyncSender<Job>>>,
}

impl Worker {
    /// Answers once the password is checked. Dropping the answer takes the job out of the queue.
    pub(crate) fn check(&self, check: PasswordCheck) -> Answer {
        let answer = Arc::new(Mutex::new(Waiting::default()));
        let job = Job {
            check: Some(check),
            answer: Arc::clone(&answer),
        };
        let queue = self.queue.get_or_init(start);
        let sent = queue.as_ref().map(|queue| queue.try_send(job));
        // Where the thread is missing, the job is dropped, which says that it failed.
        if let Some(Err(TrySendError::Full(job))) = sent {
            job.end(ZapReply::temporary());
        }
        Answer(answer)
    }
}

fn start() -> Option<SyncSender<Job>> {
    let (queue, jobs) = sync_channel(QUEUE);
    let thread = thread::Builder::new().name("curvelink-password".to_owned());
    thread.spawn(move || work(&jobs)).ok().map(|_| queue)
}

fn work(jobs: &Receiver<Job>) {
    while let Ok(mut job) = jobs.recv() {
        // Nobody waits any more: the peer has gone, or its time is over.
        let is_wanted = Arc::strong_count(&job.answer) > 1;
        if let Some(check) = job.check.take().filter(|_| is_wanted) {
            job.end(check.run().reply());
        }
    }
}

/// A password on its way to the thread.
#[derive(Debug)]
struct Job {
    check: Option<PasswordCheck>,
    answer: Arc<Mutex<Waiting>>,
}

impl Job {
    /// The first answer counts.
    fn end(&self, reply: ZapReply) {
        let waker = {
            let mut waiting = lock(&self.answer);
            waiting.reply.get_or_insert(reply);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A job that ends without a verdict has failed: nobody waits for ever.
impl Drop for Job {
    fn drop(&mut self) {
        self.end(ZapReply::failed());
    }
}

#[derive(Debug, Default)]
struct Waiting {
    reply: Option<ZapReply>,
    waker: Option<Waker>,
}

/// The reply to come.
#[derive(Debug)]
pub(crate) struct Answer(Arc<Mutex<Waiting>>);

impl Future for Answer {
    type Output = ZapReply;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ZapReply> {
        let mut waiting = lock(&self.0);
        match waiting.reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // What it guards is written whole: a panic elsewhere cannot have left it half-done.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
