//! Links that come, break, come back and end: reconnecting, lingering, closing, heartbeats.

use std::time::{Duration, Instant};

use curvelink::{
    Context, Dealer, LinkEvent, LinkEventKind, Message, Options, Pub, Pull, Push, Reason, Router,
    SendError, Socket, Sub,
};
use curvelink_tests::support::{
    admitted, bind_tcp, deadline, disconnected, event, free_endpoint, number, peers, quick, raw,
    texts,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

const MILLISECOND: Duration = Duration::from_millis(1);

/// A PULL peer that was written by hand, on the next connection of a listener.
async fn raw_pull(listener: &TcpListener) -> TcpStream {
    let (mut peer, _) = listener.accept().await.unwrap();
    let hello = raw::null_peer(&[("Socket-Type", b"PULL")]);
    peer.write_all(&hello).await.unwrap();
    raw::skip_greeting(&mut peer).await;
    raw::read_frame(&mut peer).await.expect("READY");
    peer
}

#[tokio::test]
async fn what_was_not_written_whole_goes_out_on_the_next_connection() {
    let _deadline = deadline();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().send_hwm(20));
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    push.connect(&endpoint).unwrap();
    let mut first = raw_pull(&listener).await;
    let sent = fill(&push).await;
    first.shutdown().await.unwrap();
    let mut received = 0;
    while let Some((_, body)) = raw::read_frame(&mut first).await {
        assert_eq!(body[0], received as u8);
        received += 1;
    }
    assert!(received > 0 && received < sent, "{received} of {sent}");
    let mut second = raw_pull(&listener).await;
    for i in received..sent {
        let (_, body) = raw::read_frame(&mut second).await.unwrap();
        assert_eq!(body[0], i as u8, "the one that was cut comes again, whole");
    }
    push.send("and on").await.unwrap();
    assert_eq!(raw::read_frame(&mut second).await.unwrap().1, b"and on");
}

#[tokio::test]
async fn queued_messages_survive_the_absence_of_their_peer() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let push = context.socket::<Push>(quick());
    let mut monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    for round in 0..3 {
        for i in 0..10 {
            push.try_send((round * 10 + i).to_string()).unwrap();
        }
        let pull = context.socket::<Pull>(Options::new());
        pull.bind(&endpoint).unwrap();
        for i in 0..10 {
            assert_eq!(number(&pull.recv().await.unwrap()), round * 10 + i);
        }
        pull.close();
        disconnected(&mut monitor).await;
    }
}

#[tokio::test]
async fn a_subscriber_subscribes_again_on_every_connection() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let subscriber = context.socket::<Sub>(quick());
    subscriber.subscribe("a");
    subscriber.subscribe("gone");
    subscriber.connect(&endpoint).unwrap();
    for round in 0..3 {
        let publisher = context.socket::<Pub>(Options::new());
        publisher.bind(&endpoint).unwrap();
        publisher.wait_for_subscribers("a", 1).await;
        let gone = publisher.subscribers(b"gone").len();
        assert_eq!(gone, usize::from(round == 0), "unsubscribed meanwhile");
        publisher.send(["a", &round.to_string()]).await.unwrap();
        let message = subscriber.recv().await.unwrap();
        assert_eq!(texts(&message), ["a", &round.to_string()]);
        publisher.close();
        peers(&subscriber, 0).await;
        if round == 0 {
            subscriber.unsubscribe("gone");
        }
    }
}

#[tokio::test]
async fn attempts_to_connect_grow_apart_up_to_a_bound() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new()
        .reconnect_interval(4 * MILLISECOND)
        .reconnect_interval_max(32 * MILLISECOND);
    let push = context.socket::<Push>(options);
    let mut monitor = push.monitor();
    push.connect(&free_endpoint()).unwrap();
    for milliseconds in [4, 8, 16, 32, 32, 32] {
        let (after, error) = event(&mut monitor, |event| match event.kind {
            LinkEventKind::Retrying { after, error } => Some((after, error)),
            _ => None,
        })
        .await;
        let full = milliseconds * MILLISECOND;
        assert!(
            after <= full && after >= full * 3 / 4,
            "{after:?} of {full:?}"
        );
        assert_eq!(error, Some(std::io::ErrorKind::ConnectionRefused));
    }
}

#[tokio::test]
async fn close_delivers_what_waits_within_the_linger_time() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new().recv_hwm(10));
    let push = context.socket::<Push>(Options::new().send_hwm(0));
    push.connect(&bind_tcp(&pull)).unwrap();
    for i in 0..2000 {
        push.try_send(vec![i as u8; 1000]).unwrap();
    }
    push.close();
    for i in 0..2000 {
        let message = pull.recv().await.unwrap();
        assert_eq!(message, Message::from(vec![i as u8; 1000]));
    }
}

#[tokio::test]
async fn close_waits_for_a_peer_that_is_not_there_yet() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let push = context.socket::<Push>(quick());
    let mut monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    push.try_send("late").unwrap();
    push.close();
    event(&mut monitor, |event| {
        matches!(event.kind, LinkEventKind::Retrying { .. }).then_some(())
    })
    .await;
    let pull = context.socket::<Pull>(Options::new());
    pull.bind(&endpoint).unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["late"]);
}

#[tokio::test]
async fn without_linger_what_waits_is_dropped() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let push = context.socket::<Push>(quick().linger(Duration::ZERO));
    push.connect(&endpoint).unwrap();
    push.try_send("dropped").unwrap();
    push.close();
    context.shutdown().await;
    let pull = context.socket::<Pull>(Options::new());
    pull.bind(&endpoint).unwrap();
    let other = context.socket::<Push>(quick());
    other.connect(&endpoint).unwrap();
    other.send("kept").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["kept"]);
}

#[tokio::test]
async fn shutdown_waits_for_the_linger_time_and_not_longer() {
    let _deadline = deadline();
    let linger = 200 * MILLISECOND;
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().linger(linger));
    push.connect(&free_endpoint()).unwrap();
    push.try_send("never").unwrap();
    let start = Instant::now();
    context.shutdown().await;
    let took = start.elapsed();
    assert!(
        took >= linger && took < linger + Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(push.send("x").await, Err(SendError::Closed));
}

#[tokio::test]
async fn shutdown_ends_linger_against_a_peer_that_does_not_read() {
    let _deadline = deadline();
    let linger = 200 * MILLISECOND;
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new().linger(linger));
    let mut stuck = raw::join(&bind_tcp(&push), &[("Socket-Type", b"PULL")]).await;
    peers(&push, 1).await;
    while push.try_send(vec![0; 1 << 20]).is_ok() {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    context.shutdown().await;
    let took = start.elapsed();
    // Linger, and a second for the farewell.
    assert!(
        took >= linger && took < linger + Duration::from_secs(2),
        "{took:?}"
    );
    raw::closed(&mut stuck).await;
}

#[tokio::test]
async fn shutdown_returns_at_once_when_nothing_waits() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    let pushes: Vec<_> = (0..10).map(|_| context.socket::<Push>(quick())).collect();
    for push in &pushes {
        push.connect(&endpoint).unwrap();
        push.connect(&free_endpoint()).unwrap();
    }
    peers(&pull, 10).await;
    let start = Instant::now();
    context.shutdown().await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_waiting_receive_ends_when_another_clone_closes() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let mut monitor = pull.monitor();
    bind_tcp(&pull);
    let clone = pull.clone();
    let receiving = tokio::spawn(async move { clone.recv().await });
    tokio::task::yield_now().await;
    pull.clone().close();
    assert_eq!(receiving.await.unwrap(), Err(curvelink::RecvError::Closed));
    assert!(
        pull.bind("tcp://127.0.0.1:*").is_err(),
        "a closed socket does not bind"
    );
    drop(pull);
    while monitor.recv().await.is_some() {}
}

#[tokio::test]
async fn unbind_keeps_links_and_refuses_new_ones() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    let first = context.socket::<Push>(quick());
    first.connect(&endpoint).unwrap();
    peers(&pull, 1).await;
    assert!(pull.unbind("tcp://127.0.0.1:1").is_err());
    assert!(
        pull.disconnect(&endpoint).is_err(),
        "it is bound, not connected"
    );
    let mut ours = pull.monitor();
    pull.unbind(&endpoint).unwrap();
    assert!(pull.unbind(&endpoint).is_err(), "only once");
    let closed = |event: &LinkEvent| {
        matches!(event.kind, LinkEventKind::Closed).then(|| event.endpoint.clone())
    };
    assert_eq!(*event(&mut ours, closed).await, *endpoint);
    let second = context.socket::<Push>(quick());
    let mut monitor = second.monitor();
    second.connect(&endpoint).unwrap();
    event(&mut monitor, |event| {
        matches!(event.kind, LinkEventKind::Retrying { .. }).then_some(())
    })
    .await;
    first.send("still here").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["still here"]);
    pull.bind(&endpoint).unwrap();
    second.send("again").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["again"]);
}

#[tokio::test]
async fn disconnect_writes_what_waits_and_connects_no_more() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://leave"] {
        let context = Context::new().unwrap();
        let pull = context.socket::<Pull>(Options::new());
        let endpoint = pull.bind(place).unwrap().to_string();
        let push = context.socket::<Push>(quick());
        push.connect(&endpoint).unwrap();
        push.send("last").await.unwrap();
        push.disconnect(&endpoint).unwrap();
        assert!(push.disconnect(&endpoint).is_err());
        assert_eq!(texts(&pull.recv().await.unwrap()), ["last"], "{place}");
        peers(&pull, 0).await;
        assert!(push.try_send("nobody").is_err(), "{place}");
    }
}

#[tokio::test]
async fn an_inproc_name_is_free_again_after_its_socket() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for round in 0..3 {
        let pull = context.socket::<Pull>(Options::new());
        pull.bind("inproc://name").unwrap();
        let taken = context.socket::<Pull>(Options::new()).bind("inproc://name");
        assert!(matches!(taken, Err(curvelink::BindError::InUse)));
        let push = context.socket::<Push>(Options::new());
        push.connect("inproc://name").unwrap();
        push.close();
        let push = context.socket::<Push>(Options::new());
        push.connect("inproc://name").unwrap();
        push.send(round.to_string()).await.unwrap();
        assert_eq!(
            number(&pull.recv().await.unwrap()),
            round,
            "a connecter frees no name"
        );
        pull.close();
        peers(&push, 0).await;
    }
}

#[tokio::test]
async fn a_silent_peer_is_cut_and_one_that_answers_is_not() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new()
        .heartbeat_interval(30 * MILLISECOND)
        .heartbeat_timeout(30 * MILLISECOND);
    let router = context.socket::<Router>(options);
    let mut monitor = router.monitor();
    let endpoint = bind_tcp(&router);
    let lively = context.socket::<Dealer>(Options::new().routing_id("lively"));
    lively.connect(&endpoint).unwrap();
    admitted(&mut monitor).await;
    let mut silent = raw::join(&endpoint, &[("Socket-Type", b"DEALER")]).await;
    admitted(&mut monitor).await;
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Timeout));
    let said = raw::closed(&mut silent).await;
    assert_eq!(said[..7], *b"\x04\x07\x04PING", "it was asked first");
    assert_eq!(router.peers().len(), 1);
    assert_eq!(router.peers()[0].routing_id, "lively");
}

#[tokio::test]
async fn a_reader_that_pauses_does_not_take_its_peer_for_dead() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new()
        .recv_hwm(1)
        .heartbeat_interval(20 * MILLISECOND)
        .heartbeat_timeout(20 * MILLISECOND);
    let pull = context.socket::<Pull>(options);
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(Options::new().heartbeat_interval(Duration::ZERO));
    push.connect(&bind_tcp(&pull)).unwrap();
    admitted(&mut monitor).await;
    let sent = fill(&push).await;
    // Time itself is what is tested: several heartbeats pass while nothing is read.
    tokio::time::sleep(200 * MILLISECOND).await;
    for i in 0..sent {
        let message = pull.recv().await.unwrap();
        assert_eq!(message.first().unwrap()[0], i as u8);
    }
    assert!(monitor.try_recv().is_none(), "the link was never cut");
}

/// Sends until neither the peer nor the kernel takes more; how many it took.
async fn fill(push: &Socket<Push>) -> usize {
    let mut sent = 0;
    let mut quiet = 0;
    while quiet < 100 {
        match push.try_send(vec![sent as u8; 256 << 10]) {
            Ok(()) => (sent, quiet) = (sent + 1, 0),
            Err(_) => quiet += 1,
        }
        tokio::time::sleep(MILLISECOND / 4).await;
    }
    sent
}

#[tokio::test]
async fn closing_during_the_handshake_ends_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let mut monitor = pull.monitor();
    let mut stranger = raw::dial(&bind_tcp(&pull), &raw::greeting("NULL")).await;
    event(&mut monitor, |event| {
        matches!(event.kind, LinkEventKind::Accepted).then_some(())
    })
    .await;
    pull.close();
    raw::closed(&mut stranger).await;
    context.shutdown().await;
}

#[tokio::test]
async fn a_link_is_told_from_its_first_moment_to_its_last() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let mut at_server = pull.monitor();
    let push = context.socket::<Push>(quick());
    let mut at_client = push.monitor();
    let endpoint = bind_tcp(&pull);
    push.connect(&endpoint).unwrap();
    push.send("x").await.unwrap();
    pull.recv().await.unwrap();
    push.close();
    let mut told = Vec::new();
    for monitor in [&mut at_server, &mut at_client] {
        loop {
            let event = monitor.recv().await.unwrap();
            assert_eq!(&*event.endpoint, endpoint);
            told.push(event.kind.to_string());
            if let LinkEventKind::Disconnected { reason, .. } = event.kind {
                assert_eq!(reason, None);
                break;
            }
        }
    }
    let told: Vec<_> = told
        .iter()
        .map(|kind| kind.split(' ').next().unwrap_or_default())
        .collect();
    let server = ["listening", "accepted", "admitted", "disconnected"];
    let client = ["connecting", "connected", "admitted", "disconnected"];
    assert_eq!(told, [server, client].concat());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_tried_again() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (_, client) = curvelink_tests::support::curve();
    let push = context.socket::<Push>(quick().security(client).linger(Duration::ZERO));
    let mut monitor = push.monitor();
    push.connect("tcp://host.invalid:5555").unwrap();
    for _ in 0..2 {
        event(&mut monitor, |event| {
            matches!(event.kind, LinkEventKind::Retrying { error: Some(_), .. }).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_link_tells_what_went_over_it_since_it_is_up_and_nothing_of_another() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let endpoint = bind_tcp(&publisher);
    assert!(publisher.links().is_empty());
    let subscribers: Vec<Socket<Sub>> = (0..2).map(|_| context.socket::<Sub>(quick())).collect();
    for (subscriber, prefixes) in subscribers.iter().zip([&["a", "b"][..], &["b"][..]]) {
        subscriber.connect(&endpoint).unwrap();
        for prefix in prefixes {
            subscriber.subscribe(*prefix);
        }
    }
    publisher.wait_for_subscribers("b", 2).await;
    publisher.wait_for_subscribers("a", 1).await;
    for topic in ["a1", "a2", "b1"] {
        publisher.send(topic).await.unwrap();
    }
    let mut seen = Vec::new();
    for (subscriber, expected) in subscribers.iter().zip([3, 1]) {
        for _ in 0..expected {
            subscriber.recv().await.unwrap();
        }
        let [link] = &subscriber.links()[..] else {
            panic!("one link");
        };
        assert_eq!(link.received.messages, expected);
        assert_eq!(link.received.octets, 2 * expected);
        assert_eq!((link.queued_from_peer, link.subscriptions), (0, 0));
        seen.push(link.since);
    }
    let mut links = publisher.links();
    links.sort_by_key(|link| link.subscriptions);
    let counts: Vec<_> = links
        .iter()
        .map(|link| (link.subscriptions, link.sent.messages, link.queued_to_peer))
        .collect();
    assert_eq!(counts, [(1, 1, 0), (2, 3, 0)]);
    assert!(
        seen.iter()
            .all(|since| since.elapsed() < Duration::from_secs(60))
    );
    assert!(
        links
            .iter()
            .all(|link| link.sent.octets > link.sent.messages * 2)
    );
}
