//! How lines get to a sink.

mod curve;
mod datagram;
mod stream;

pub(super) use curve::CurveLink;
pub(super) use datagram::Datagram;
pub(super) use stream::Stream;

use std::future::Future;

/// A way to one sink. Errors are a line for the operator.
pub(super) trait Transport: Send + 'static {
    /// Whether [`connect`](Self::connect) waits between attempts by itself.
    const PACES_ITSELF: bool = false;

    /// One attempt to reach it; what was there before is gone.
    fn connect(&mut self) -> impl Future<Output = Result<(), String>> + Send;

    /// Sends a line. After an error, and where the future was dropped, it was not sent, or may have
    /// been as the link broke.
    fn send(&mut self, line: &[u8]) -> impl Future<Output = Result<(), String>> + Send;

    /// Resolves when the link is seen to be gone. Cancel safe.
    fn broken(&mut self) -> impl Future<Output = String> + Send;

    /// Lets go of the sink, once what was sent is written.
    fn finish(self) -> impl Future<Output = ()> + Send;
}
