//! The endpoints of a socket: named, listed, left, and given up.

use std::time::Duration;

use curvelink::{
    Context, LinkEvent, LinkEventKind, LinkEvents, Monitor, Options, Pull, Push, ReconnectStop,
    SendError, Socket, StopCause, TrySendErrorKind,
};
use curvelink_tests::support::{
    bind_tcp, deadline, event, free_endpoint, number, peers, quick, raw, texts,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

fn context() -> Context {
    Context::new().unwrap()
}

#[tokio::test]
async fn the_last_endpoint_is_the_one_bound_or_connected_last() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(quick());
    assert_eq!(pull.last_endpoint(), None);
    let bound = pull.bind("tcp://127.0.0.1:*").unwrap();
    assert_eq!(pull.last_endpoint(), Some(bound.clone()));
    assert!(pull.bind("tcp://127.0.0.1").is_err());
    assert!(pull.bind(&bound.to_string()).is_err());
    assert_eq!(
        pull.last_endpoint(),
        Some(bound.clone()),
        "failures do not count"
    );
    pull.connect("tcp://localhost:9").unwrap();
    let text = |endpoint: Option<curvelink::Endpoint>| endpoint.unwrap().to_string();
    assert_eq!(text(pull.last_endpoint()), "tcp://localhost:9");
    pull.bind("inproc://last").unwrap();
    assert_eq!(text(pull.last_endpoint()), "inproc://last");
    pull.unbind("inproc://last").unwrap();
    assert_eq!(text(pull.last_endpoint()), "inproc://last");
    let endpoints = pull.endpoints();
    assert_eq!(endpoints.bound, [bound]);
    assert_eq!(endpoints.connected, ["tcp://localhost:9".parse().unwrap()]);
}

#[tokio::test]
async fn a_listener_is_unbound_by_either_of_its_names() {
    let _deadline = deadline();
    let context = context();
    let options = Options::new().allow_clear_text_beyond_this_host();
    let pull = context.socket::<Pull>(options);
    let port = free_endpoint().rsplit(':').next().unwrap().to_owned();
    for name in [format!("tcp://*:{port}"), format!("tcp://0.0.0.0:{port}")] {
        let mut closed = pull.monitor_of(LinkEvents::CLOSED);
        pull.bind(&format!("tcp://*:{port}")).unwrap();
        assert!(pull.unbind("tcp://*:*").is_err(), "which one?");
        pull.unbind(&name).unwrap();
        closed.recv().await.unwrap();
        assert!(pull.unbind(&name).is_err(), "only once");
    }
    let bound = pull.bind("tcp://*:*").unwrap();
    assert!(pull.unbind("tcp://*:*").is_err(), "it may be any");
    pull.unbind(&bound.to_string()).unwrap();
    assert!(pull.unbind("no endpoint at all").is_err());
    assert!(pull.endpoints().bound.is_empty());
}

/// How an endpoint was given up.
async fn stopped(monitor: &mut Monitor) -> (StopCause, u64) {
    event(monitor, |event| match event.kind {
        LinkEventKind::Stopped { cause, dropped } => Some((cause, dropped)),
        _ => None,
    })
    .await
}

fn push(stop: ReconnectStop) -> (Socket<Push>, Monitor) {
    let push = context().socket::<Push>(quick().reconnect_stop(stop));
    let monitor = push.monitor();
    (push, monitor)
}

#[tokio::test]
async fn nobody_there_may_be_the_end() {
    let _deadline = deadline();
    for (stop, cause) in [
        (
            ReconnectStop::new().connection_refused(),
            StopCause::ConnectionRefused,
        ),
        (ReconnectStop::new().at_first_end(), StopCause::NoReconnect),
    ] {
        let (push, mut monitor) = push(stop);
        let endpoint = free_endpoint();
        push.connect(&endpoint).unwrap();
        for i in 0..3 {
            push.try_send(i.to_string()).unwrap();
        }
        assert_eq!(stopped(&mut monitor).await, (cause, 3));
        assert!(push.endpoints().connected.is_empty());
        assert!(push.disconnect(&endpoint).is_err(), "it is left already");
        let full = push.try_send("x").unwrap_err();
        assert_eq!(full.error, TrySendErrorKind::Full, "no peer is left");
        let pull = context().socket::<Pull>(Options::new());
        pull.bind(&endpoint).unwrap();
        push.connect(&endpoint).unwrap();
        push.send("7").await.unwrap();
        assert_eq!(number(&pull.recv().await.unwrap()), 7, "connected anew");
    }
}

#[tokio::test]
async fn what_is_no_refused_connection_is_tried_again() {
    let _deadline = deadline();
    let stop = ReconnectStop::new().connection_refused();
    let (push, mut monitor) = push(stop);
    // A connection that ends is not one that was refused; nor is a failed handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    push.connect(&format!("tcp://{}", listener.local_addr().unwrap()))
        .unwrap();
    for _ in 0..2 {
        let (mut peer, _) = listener.accept().await.unwrap();
        let hello = raw::null_peer(&[("Socket-Type", b"PULL")]);
        peer.write_all(&hello).await.unwrap();
        raw::skip_greeting(&mut peer).await;
        raw::read_frame(&mut peer).await.expect("READY");
    }
    drop(listener.accept().await.unwrap());
    drop(listener);
    assert_eq!(stopped(&mut monitor).await.0, StopCause::ConnectionRefused);
}

#[tokio::test]
async fn a_failed_handshake_may_be_the_end_and_a_lost_link_is_not() {
    let _deadline = deadline();
    let stop = ReconnectStop::new().handshake_failed();
    let (push, mut monitor) = push(stop);
    let endpoint = free_endpoint();
    push.connect(&endpoint).unwrap();
    push.try_send("0").unwrap();
    // Nobody is there at first: that is not the end.
    let retrying =
        |event: &LinkEvent| matches!(event.kind, LinkEventKind::Retrying { .. }).then_some(());
    event(&mut monitor, retrying).await;
    let address = endpoint.trim_start_matches("tcp://");
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let hello = raw::null_peer(&[("Socket-Type", b"PULL")]);
    peer.write_all(&hello).await.unwrap();
    raw::skip_greeting(&mut peer).await;
    raw::read_frame(&mut peer).await.expect("READY");
    assert_eq!(raw::read_frame(&mut peer).await.unwrap().1, b"0");
    drop(peer);
    event(&mut monitor, retrying).await;
    push.try_send("1").unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stopped(&mut monitor).await, (StopCause::HandshakeFailed, 1));
    assert!(push.endpoints().connected.is_empty());
}

#[tokio::test]
async fn connected_once_only_a_link_that_ends_is_the_end() {
    let _deadline = deadline();
    let (push, mut monitor) = push(ReconnectStop::new().at_first_end());
    let pull = context().socket::<Pull>(Options::new());
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send("x").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
    pull.close();
    assert_eq!(stopped(&mut monitor).await, (StopCause::NoReconnect, 0));
    assert_eq!(
        push.try_send("y").unwrap_err().error,
        TrySendErrorKind::Full
    );
}

#[tokio::test]
async fn disconnect_lingers_for_a_peer_that_is_not_there_unless_told_not_to() {
    let _deadline = deadline();
    let linger = Duration::from_secs(60);
    for (stop, at_once) in [
        (ReconnectStop::new(), false),
        (ReconnectStop::new().after_disconnect(), true),
    ] {
        let options = quick().linger(linger).reconnect_stop(stop);
        let push = context().socket::<Push>(options);
        let mut monitor = push.monitor();
        let endpoint = free_endpoint();
        push.connect(&endpoint).unwrap();
        push.try_send("late").unwrap();
        push.disconnect(&endpoint).unwrap();
        if at_once {
            assert_eq!(stopped(&mut monitor).await, (StopCause::Asked, 1));
            continue;
        }
        let pull = context().socket::<Pull>(Options::new());
        pull.bind(&endpoint).unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["late"]);
        assert_eq!(stopped(&mut monitor).await, (StopCause::Asked, 0));
    }
}

#[tokio::test]
async fn after_disconnect_a_link_that_is_up_still_writes_what_waits() {
    let _deadline = deadline();
    let (push, mut monitor) = push(ReconnectStop::new().after_disconnect());
    let pull = context().socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    push.connect(&endpoint).unwrap();
    peers(&push, 1).await;
    for i in 0..100 {
        push.try_send(i.to_string()).unwrap();
    }
    push.disconnect(&endpoint).unwrap();
    for i in 0..100 {
        assert_eq!(number(&pull.recv().await.unwrap()), i);
    }
    assert_eq!(stopped(&mut monitor).await, (StopCause::Asked, 0));
}

#[tokio::test]
async fn an_interval_of_nothing_is_not_a_busy_loop() {
    let _deadline = deadline();
    let options = Options::new()
        .reconnect_interval(Duration::ZERO)
        .reconnect_interval_max(Duration::ZERO)
        .linger(Duration::MAX);
    let push = context().socket::<Push>(options);
    let mut monitor = push.monitor();
    push.connect(&free_endpoint()).unwrap();
    for _ in 0..20 {
        let after = event(&mut monitor, |event| match event.kind {
            LinkEventKind::Retrying { after, .. } => Some(after),
            _ => None,
        })
        .await;
        let millisecond = Duration::from_millis(1);
        assert!(after <= millisecond && after * 4 >= millisecond * 3);
    }
    push.clone().close();
    assert_eq!(push.send("x").await, Err(SendError::Closed));
}
