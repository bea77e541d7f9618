//! Asking the policy, and answering for others: RFC 27 within a context.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant, SystemTime};

use curvelink_proto::zap::{
    ZAP_ENDPOINT, decode_reply, decode_request, encode_reply, encode_request,
};
use curvelink_proto::{
    BoxFuture, Credentials, Endpoint, EventId, Frame, Message, PeerAddress, SecurityEvent,
    SocketType, ZapHandler, ZapReply, ZapRequest, ZapStatus,
};

use crate::context::{Context, Shared};
use crate::error::BindError;
use crate::options::Options;
use crate::socket::core::Core;
use crate::socket::{AnySocket, Router, Socket};
use crate::transport;

/// Whether somebody in this context answers for peers.
pub(crate) fn has_policy(shared: &Shared) -> bool {
    shared.policy.handler().is_some() || shared.names.is_bound(ZAP_ENDPOINT)
}

/// Asks the policy. Whatever goes wrong (no policy, a slow one, a panic, a reply that RFC 27 does
/// not allow) is a refusal with status 500.
pub(crate) fn authenticate(core: Arc<Core>, request: ZapRequest) -> BoxFuture<'static, ZapReply> {
    Box::pin(async move {
        let began = Instant::now();
        let ask = NoPanic(Box::pin(ask(&core.shared, &request)));
        let reply = tokio::time::timeout(core.options.security.zap_timeout, ask).await;
        let reply = reply.ok().flatten().unwrap_or_else(ZapReply::failed);
        core.shared
            .record(decision(&core.shared, &request, &reply, began.elapsed()));
        reply
    })
}

/// Whether the context's handler could admit anybody from this address; yes where none is asked. A
/// handler that panics admits nobody.
pub(crate) fn admits_address(core: &Core, address: &PeerAddress) -> bool {
    let handler = core.shared.policy.handler();
    let Some(handler) = handler.filter(|_| core.options.asks_policy()) else {
        return true;
    };
    let domain = &core.options.security.zap_domain;
    let ask = AssertUnwindSafe(|| handler.admits_address(domain, address));
    catch_unwind(ask).unwrap_or(false)
}

/// What the policy said, and how long it took.
fn decision(
    shared: &Shared,
    request: &ZapRequest,
    reply: &ZapReply,
    took: Duration,
) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Decision, SystemTime::now());
    event.endpoint = Some(request.endpoint.clone());
    event.at(Some(request.address));
    event.mechanism = Some(request.mechanism);
    event.domain = Some(request.domain.clone()).filter(|domain| !domain.is_empty());
    event.status = Some(reply.status.code());
    event.duration = Some(took);
    if let Credentials::Curve(key) = &request.credentials {
        event.fingerprint = Some(key.fingerprint());
    }
    if reply.status == ZapStatus::Admitted {
        event.identity = Some(reply.user_id.clone());
    }
    let is_ours = shared.policy.handler().is_some();
    event.detail("handler", if is_ours { "context" } else { ZAP_ENDPOINT });
    event
}

/// The handler set on the context; else the socket bound at `inproc://zeromq.zap.01`; else none.
async fn ask(shared: &Arc<Shared>, request: &ZapRequest) -> Option<ZapReply> {
    match shared.policy.handler() {
        Some(handler) => Some(handler.authenticate(request).await),
        None if shared.names.is_bound(ZAP_ENDPOINT) => ask_socket(shared, request).await,
        None => None,
    }
}

/// One request over a socket of its own: it cannot be answered with another's reply.
async fn ask_socket(shared: &Arc<Shared>, request: &ZapRequest) -> Option<ZapReply> {
    const ID: &[u8] = b"1";
    let core = Asking(Core::new(
        SocketType::Dealer,
        Options::new(),
        shared.clone(),
    ));
    transport::connect(&core.0, &Endpoint::Inproc("zeromq.zap.01".to_owned()), None).ok()?;
    let mut question = encode_request(request, ID);
    question.push_front(Frame::empty());
    let mut waiter = None;
    poll_fn(|cx| core.0.poll_send(&mut question, &mut waiter, cx))
        .await
        .ok()?;
    let mut waiter = None;
    let mut reply = poll_fn(|cx| core.0.poll_recv(&mut waiter, cx)).await.ok()?;
    let delimited = reply.pop_front().is_some_and(|frame| frame.is_empty());
    decode_reply(&reply, ID).ok().filter(|_| delimited)
}

/// Closes the asking socket however the question ends.
struct Asking(Arc<Core>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.close(Instant::now());
    }
}

/// Turns a panic of a handler into `None`. The future is dropped after it, and never polled again.
struct NoPanic<F>(F);

impl<F: Future<Output = Option<ZapReply>>> Future for NoPanic<Pin<Box<F>>> {
    type Output = Option<ZapReply>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let future = self.0.as_mut();
        catch_unwind(AssertUnwindSafe(|| future.poll(cx))).unwrap_or(Poll::Ready(None))
    }
}

/// Answers RFC 27 requests at `inproc://zeromq.zap.01` with a handler, for sockets of this context
/// that ask there. Dropping it stops the answers.
#[derive(Debug)]
#[must_use = "dropping it stops the answers"]
pub struct ZapServer {
    socket: Socket<Router>,
    task: tokio::task::AbortHandle,
}

impl Drop for ZapServer {
    fn drop(&mut self) {
        self.task.abort();
        self.socket.clone().close();
    }
}

/// Binds a handler at `inproc://zeromq.zap.01`.
///
/// A socket's own context asks the handler of
/// [`set_zap_handler`](Context::set_zap_handler) first, where one is set. A request that is
/// malformed gets no answer, which refuses its peer when the time is over.
///
/// # Errors
/// [`BindError::InUse`] when the context has a handler there already.
pub fn serve(context: &Context, handler: impl ZapHandler) -> Result<ZapServer, BindError> {
    let socket = context.socket::<Router>(Options::new());
    socket.bind(ZAP_ENDPOINT)?;
    let handler: Arc<dyn ZapHandler> = Arc::new(handler);
    let serving = answer_all(socket.any().clone(), handler);
    let task = context.0.shared.spawn(serving).abort_handle();
    Ok(ZapServer { socket, task })
}

async fn answer_all(socket: AnySocket, handler: Arc<dyn ZapHandler>) {
    while let Ok(question) = socket.recv().await {
        let (socket, handler) = (socket.clone(), handler.clone());
        tokio::spawn(async move {
            if let Some(answer) = answer(question, &*handler).await {
                let _asker_gone = socket.try_send(answer);
            }
        });
    }
}

async fn answer(mut question: Message, handler: &dyn ZapHandler) -> Option<Message> {
    // R27-35: the asker's routing id, those of whoever passed the question on, the delimiter.
    let mut envelope = vec![question.pop_front()?];
    while envelope.last().is_some_and(|frame| !frame.is_empty()) {
        envelope.push(question.pop_front()?);
    }
    let (id, request) = decode_request(&question).ok()?;
    let reply = handler.authenticate(&request).await;
    let answer = encode_reply(&reply, &id).into_frames();
    Some(envelope.into_iter().chain(answer).collect())
}
