//! Sockets as streams and sinks: what other crates' combinators build on.

use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};

use curvelink::{
    Context, Dealer, Frame, Message, Options, Pull, Push, RecvError, Rep, Req, Router, SendError,
    Socket,
};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, number, peers, quick, texts};
use futures_util::stream::FusedStream as _;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

fn linked(context: &Context, options: &Options) -> (Socket<Push>, Socket<Pull>) {
    let pull = context.socket::<Pull>(options.clone());
    pull.bind("inproc://linked").unwrap();
    let push = context.socket::<Push>(options.clone());
    push.connect("inproc://linked").unwrap();
    (push, pull)
}

#[tokio::test]
async fn a_sink_fills_a_stream_in_order_and_waits_for_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, &quick().send_hwm(2).recv_hwm(2));
    let sending = tokio::spawn(async move {
        let mut numbers = stream::iter(0..1000).map(|i| Ok(i.to_string().into()));
        push.sink().send_all(&mut numbers).await.map(|()| push)
    });
    let mut got = pull.messages().take(1000).enumerate();
    while let Some((i, message)) = got.next().await {
        assert_eq!(number(&message.unwrap()), i as u64);
    }
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_its_socket() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (_push, pull) = linked(&context, &Options::new());
    let mut messages = pull.messages();
    assert!(poll(pin!(messages.next())).is_pending());
    assert!(!messages.is_terminated());
    pull.close();
    assert_eq!(messages.next().await, Some(Err(RecvError::Closed)));
    assert!(messages.is_terminated());
    assert_eq!(messages.next().await, None);
}

#[tokio::test]
async fn a_sink_tells_what_went_wrong_and_goes_on() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, &Options::new());
    let mut sink = push.sink();
    assert_eq!(sink.send(Message::new()).await, Err(SendError::Empty));
    sink.send("x".into()).await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
    sink.close().await.unwrap();
    push.send("the socket is open").await.unwrap();
    push.close();
    assert_eq!(sink.send("x".into()).await, Err(SendError::Closed));
}

#[tokio::test]
async fn a_rep_answers_with_a_stream_and_a_sink() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let endpoint = bind_tcp(&rep);
    let answering = rep
        .messages()
        .map_err(|_| SendError::Closed)
        .forward(rep.sink());
    let answering = tokio::spawn(answering);
    let req = context.socket::<Req>(Options::new());
    req.connect(&endpoint).unwrap();
    let (mut ask, mut answers) = (req.sink(), req.messages());
    assert!(poll(pin!(answers.next())).is_pending(), "nothing was asked");
    for i in 0..50 {
        ask.send(i.to_string().into()).await.unwrap();
        assert!(poll(pin!(ask.send("too early".into()))).is_pending());
        assert_eq!(number(&answers.next().await.unwrap().unwrap()), i);
    }
    rep.close();
    assert_eq!(answering.await.unwrap(), Err(SendError::Closed));
}

#[tokio::test]
async fn a_message_whose_peer_is_full_waits_in_the_sink() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(quick().router_mandatory(true).send_hwm(1));
    router.bind("inproc://full").unwrap();
    let dealer = |id| {
        let dealer = context.socket::<Dealer>(quick().routing_id(id).recv_hwm(1));
        dealer.connect("inproc://full").unwrap();
        dealer
    };
    let (one, _other) = (dealer("one"), dealer("other"));
    peers(&router, 2).await;
    let message = |text: &str| {
        ["one", text]
            .map(Frame::from)
            .into_iter()
            .collect::<Message>()
    };
    let mut sink = router.sink();
    for i in 0..3 {
        sink.feed(message(&i.to_string())).await.unwrap();
    }
    assert!(poll(pin!(sink.flush())).is_pending());
    for i in 0..3 {
        let _flushed = poll(pin!(sink.flush()));
        assert_eq!(number(&one.recv().await.unwrap()), i);
    }
    sink.flush().await.unwrap();
}

#[test]
fn streams_and_sinks_that_are_dropped_lose_and_double_nothing() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let pull = context.socket::<Pull>(quick().recv_hwm(3));
    let endpoint = bind_tcp(&pull);
    let push = context.socket::<Push>(quick().send_hwm(3));
    push.connect(&endpoint).unwrap();
    let (mut sent, mut received) = (0, 0);
    while received < 100 {
        let mut sink = push.sink();
        for _ in 0..random.below(3) {
            // A send that was started has gone to the socket, or the sink would be pending before.
            let sending = poll(pin!(sink.send(sent.to_string().into())));
            sent += u64::from(sending.is_ready());
        }
        let mut messages = pull.messages();
        for _ in 0..random.below(3) {
            if let Poll::Ready(Some(message)) = poll(pin!(messages.next())) {
                assert_eq!(number(&message.unwrap()), received);
                received += 1;
            }
        }
        std::thread::yield_now();
    }
}
