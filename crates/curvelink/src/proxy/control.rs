//! libzmq's words on a control socket.

use std::task::{Context, Poll};

use curvelink_proto::{Frame, Message};

use super::ProxyError;
use super::handle::{Course, Shared};
use super::statistics::{ProxyCount, ProxyStatistics};
use crate::error::RecvError;
use crate::socket::AnySocket;

#[derive(Debug)]
pub(super) struct Control {
    socket: AnySocket,
    waiter: Option<u64>,
}

impl Control {
    pub(super) fn new(socket: &AnySocket) -> Self {
        Self {
            socket: socket.clone(),
            waiter: None,
        }
    }

    /// Obeys the next word; whether there was one.
    pub(super) fn obey(&mut self, shared: &Shared, cx: &Context<'_>) -> Result<bool, ProxyError> {
        let message = match self.socket.core().poll_recv(&mut self.waiter, cx) {
            Poll::Ready(Ok(message)) => message,
            Poll::Ready(Err(RecvError::Closed)) => return Err(ProxyError::Closed),
            Poll::Ready(Err(_)) | Poll::Pending => return Ok(false),
        };
        let answer = answer(&message, shared);
        // A peer that reads no answers is not waited for.
        let _full = self.socket.try_send(answer);
        Ok(true)
    }

    /// Waits for nothing any more.
    pub(super) fn stop(&mut self) {
        self.socket.core().forget_waiter(self.waiter.take());
    }
}

fn answer(message: &Message, shared: &Shared) -> Message {
    let word = message.first().filter(|_| message.len() == 1);
    match word.map(|frame| &frame[..]) {
        Some(b"STATISTICS") => return numbers(&shared.statistics()),
        Some(b"PAUSE") => shared.steer(Course::Paused),
        Some(b"RESUME") => shared.steer(Course::Running),
        Some(b"TERMINATE") => shared.steer(Course::Terminated),
        _ => {}
    }
    Frame::empty().into()
}

fn numbers(statistics: &ProxyStatistics) -> Message {
    let (front, back) = (&statistics.frontend, &statistics.backend);
    let counts = [&front.received, &front.sent, &back.received, &back.sent];
    let numbers = counts.map(|count: &ProxyCount| [count.frames, count.octets]);
    let frames = numbers.as_flattened().iter();
    frames
        .map(|number| Frame::from(number.to_ne_bytes().to_vec()))
        .collect()
}
