//! What one peer, one link and one socket may cost: high-water marks, sizes, events, descriptors.

use std::time::Duration;

use curvelink::{
    Context, Curve, LinkEvent, LinkEventKind, Message, Options, Pull, Push, Reason, Socket,
    TrySendErrorKind,
};
use curvelink_tests::support::{
    admitted, bind_tcp, deadline, disconnected, event, free_endpoint, keys, number, peers, quick,
    raw, texts,
};
use tokio::io::AsyncWriteExt as _;

fn try_number(push: &Socket<Push>, number: usize) -> bool {
    match push.try_send(number.to_string()) {
        Ok(()) => true,
        Err(refused) => {
            assert_eq!(refused.error, TrySendErrorKind::Full);
            false
        }
    }
}

#[tokio::test]
async fn a_send_mark_of_2000_takes_2000_messages_without_a_peer() {
    let _deadline = deadline();
    for endpoint in [free_endpoint(), "inproc://nobody".to_owned()] {
        for mark in [1, 2, 2000] {
            let context = Context::new().unwrap();
            let options = quick().send_hwm(mark).linger(Duration::ZERO);
            let push = context.socket::<Push>(options);
            push.connect(&endpoint).unwrap();
            let taken = (0..).take_while(|i| try_number(&push, *i)).count();
            assert_eq!(taken, mark, "{endpoint}");
        }
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick().send_hwm(0).linger(Duration::ZERO));
        push.connect(&endpoint).unwrap();
        assert!((0..20_000).all(|i| try_number(&push, i)), "0 is no mark");
    }
}

#[tokio::test]
async fn each_endpoint_has_its_own_send_mark() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().send_hwm(10).linger(Duration::ZERO));
    for _ in 0..3 {
        push.connect(&free_endpoint()).unwrap();
    }
    assert_eq!((0..).take_while(|i| try_number(&push, *i)).count(), 30);
}

#[tokio::test]
async fn a_sender_at_its_mark_goes_on_when_there_is_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let push = context.socket::<Push>(quick().send_hwm(10));
    push.connect(&endpoint).unwrap();
    let sender = push.clone();
    let sending = tokio::spawn(async move {
        for i in 0..1000 {
            sender.send(i.to_string()).await.unwrap();
        }
    });
    while try_number(&push, 9999) {}
    let pull = context.socket::<Pull>(Options::new().recv_hwm(10));
    pull.bind(&endpoint).unwrap();
    let mut next = 0;
    while next < 1000 {
        let received = number(&pull.recv().await.unwrap());
        if received != 9999 {
            assert_eq!(received, next);
            next += 1;
        }
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn a_reader_that_stops_stops_its_sender_and_loses_nothing() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for place in ["tcp://127.0.0.1:*", "inproc://slow"] {
        let pull = context.socket::<Pull>(Options::new().recv_hwm(5));
        let endpoint = pull.bind(place).unwrap().to_string();
        let push = context.socket::<Push>(Options::new().send_hwm(5));
        push.connect(&endpoint).unwrap();
        peers(&pull, 1).await;
        let mut sent = 0;
        let mut full = 0;
        // Full for long enough that it is not just a pause of the session's.
        while full < 1000 {
            let body = vec![(sent % 251) as u8; 200_000];
            match push.try_send(body) {
                Ok(()) => (sent, full) = (sent + 1, 0),
                Err(_) => full += 1,
            }
            tokio::task::yield_now().await;
        }
        // Marks of 5 at each end, and the kernel's buffers between them.
        assert!((10..200).contains(&sent), "{sent} on {place}");
        for i in 0..sent {
            let body = vec![(i % 251) as u8; 200_000];
            assert_eq!(pull.recv().await.unwrap(), Message::from(body), "{place}");
        }
        push.send("and on").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["and on"]);
    }
}

#[tokio::test]
async fn octets_are_bounded_beside_messages() {
    let _deadline = deadline();
    for endpoint in [free_endpoint(), "inproc://octets".to_owned()] {
        let context = Context::new().unwrap();
        let options = quick().queue_octets(100_000).linger(Duration::ZERO);
        let push = context.socket::<Push>(options);
        push.connect(&endpoint).unwrap();
        let taken = (0..).take_while(|_| push.try_send(vec![0; 10_000]).is_ok());
        let taken = taken.count();
        assert!((9..=11).contains(&taken), "{taken} at {endpoint}");
        let alone = context.socket::<Push>(quick().queue_octets(1).linger(Duration::ZERO));
        alone.connect(&endpoint).unwrap();
        assert!(alone.try_send(vec![0; 10_000]).is_ok(), "one passes alone");
        assert!(alone.try_send("x").is_err());
    }
}

#[tokio::test]
async fn all_queues_of_a_context_have_a_bound_together_and_each_takes_a_message() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_queue_octets(1 << 20);
    let ends: Vec<(Socket<Push>, String)> = (0..4)
        .map(|i| {
            let push = context.socket::<Push>(quick().send_hwm(0));
            let endpoint = match i {
                3 => "inproc://bounded".to_owned(),
                _ => free_endpoint(),
            };
            push.connect(&endpoint).unwrap();
            (push, endpoint)
        })
        .collect();
    let fill = |push: &Socket<Push>| -> usize {
        let taken = (0..).take_while(|_| push.try_send(vec![7; 5000]).is_ok());
        taken.count()
    };
    let taken: Vec<usize> = ends.iter().map(|(push, _)| fill(push)).collect();
    let octets = taken.iter().sum::<usize>() * 5000;
    assert!((900_000..1_100_000).contains(&octets), "{octets}");
    assert!(taken.iter().all(|taken| *taken > 0), "{taken:?}");
    // Nothing is lost, and what is taken out makes room.
    for ((push, endpoint), taken) in ends.iter().zip(taken) {
        let pull = context.socket::<Pull>(quick());
        pull.bind(endpoint).unwrap();
        for _ in 0..taken {
            assert_eq!(pull.recv().await.unwrap().octets(), 5000);
        }
        push.send("and on").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["and on"]);
    }
    let again = context.socket::<Push>(quick().send_hwm(0).linger(Duration::ZERO));
    again.connect(&free_endpoint()).unwrap();
    let octets = fill(&again) * 5000;
    assert!((800_000..1_100_000).contains(&octets), "{octets}");
}

#[tokio::test]
async fn at_the_bound_of_a_context_reading_pauses_and_loses_nothing() {
    let _deadline = deadline();
    let (near, far) = (Context::new().unwrap(), Context::new().unwrap());
    near.set_queue_octets(1 << 20);
    let pull = near.socket::<Pull>(quick().recv_hwm(0));
    let endpoint = bind_tcp(&pull);
    let pushes: Vec<_> = (0..4)
        .map(|_| {
            let push = far.socket::<Push>(quick());
            push.connect(&endpoint).unwrap();
            push
        })
        .collect();
    peers(&pull, 4).await;
    const EACH: usize = 2000;
    let sending: Vec<_> = pushes
        .iter()
        .cloned()
        .map(|push| {
            tokio::spawn(async move {
                for _ in 0..EACH {
                    push.send(vec![7; 5000]).await.unwrap();
                }
            })
        })
        .collect();
    let (mut waiting, mut same) = (0, 0);
    while same < 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = pull.statistics().queued_from_peers;
        same = if now == waiting && now > 0 {
            same + 1
        } else {
            0
        };
        waiting = now;
    }
    let octets = waiting * 5000;
    assert!((800_000..1_100_000).contains(&octets), "{octets}");
    for _ in 0..4 * EACH {
        assert_eq!(pull.recv().await.unwrap().octets(), 5000);
    }
    for sending in sending {
        sending.await.unwrap();
    }
}

/// A PULL with limits, a good peer that stays, and its monitor.
async fn limited(options: Options) -> (Context, Socket<Pull>, Socket<Push>, String) {
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(options);
    let endpoint = bind_tcp(&pull);
    let good = context.socket::<Push>(quick());
    good.connect(&endpoint).unwrap();
    peers(&pull, 1).await;
    (context, pull, good, endpoint)
}

#[tokio::test]
async fn a_message_over_the_limit_cuts_its_link_and_no_other() {
    let _deadline = deadline();
    let (_context, pull, good, endpoint) = limited(quick().max_message_size(1000)).await;
    let mut monitor = pull.monitor();
    let half = raw::frame(1, &[0; 500]);
    for octets in [
        raw::frame(0, &[0; 1001]),
        [&half[..], &half, &raw::frame(0, b"x")].concat(),
        [half.clone(), raw::frame(1, &[0; 501])].concat(),
        [half.repeat(2), raw::frame(1, b"x")].concat(),
    ] {
        let mut peer = raw::join(&endpoint, &[("Socket-Type", b"PUSH")]).await;
        admitted(&mut monitor).await;
        let whole = [half.clone(), raw::frame(0, &[0; 500])].concat();
        peer.write_all(&whole).await.unwrap();
        assert_eq!(
            pull.recv().await.unwrap().octets(),
            1000,
            "the limit itself passes"
        );
        peer.write_all(&octets).await.unwrap();
        assert_eq!(disconnected(&mut monitor).await, Some(Reason::TooLarge));
        good.send("on").await.unwrap();
        assert_eq!(
            texts(&pull.recv().await.unwrap()),
            ["on"],
            "nothing of the other's"
        );
    }
}

#[tokio::test]
async fn a_message_of_too_many_frames_cuts_its_link_and_no_other() {
    let _deadline = deadline();
    let (_context, pull, good, endpoint) = limited(quick().max_frames(10)).await;
    let mut monitor = pull.monitor();
    let mut peer = raw::join(&endpoint, &[("Socket-Type", b"PUSH")]).await;
    admitted(&mut monitor).await;
    let frame = raw::frame(1, b"");
    let whole = [frame.repeat(9), raw::frame(0, b"")].concat();
    peer.write_all(&whole).await.unwrap();
    assert_eq!(pull.recv().await.unwrap().len(), 10);
    peer.write_all(&frame.repeat(11)).await.unwrap();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::TooLarge));
    good.send("on").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["on"]);
}

#[tokio::test]
async fn sizes_are_limited_under_curve_too() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let server = keys();
    let client = Curve::client(keys(), server.public());
    let server = Curve::server(server).accept_anyone();
    let pull = context.socket::<Pull>(quick().security(server).max_message_size(1000));
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(quick().security(client).linger(Duration::ZERO));
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send([vec![0; 500], vec![0; 500]]).await.unwrap();
    assert_eq!(pull.recv().await.unwrap().octets(), 1000);
    push.send([vec![0; 500], vec![0; 501]]).await.unwrap();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::TooLarge));
    push.send(vec![0; 5000]).await.unwrap();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::TooLarge));
}

#[tokio::test]
async fn a_long_topic_and_too_many_topics_cut_the_subscriber() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<curvelink::Pub>(quick());
    let mut monitor = publisher.monitor();
    let endpoint = bind_tcp(&publisher);
    let long = raw::command("SUBSCRIBE", &[b'x'; 4097]);
    let many: Vec<u8> = (0..10_001)
        .flat_map(|i: usize| raw::command("SUBSCRIBE", &i.to_be_bytes()))
        .collect();
    for octets in [long, many] {
        let mut peer = raw::join(&endpoint, &[("Socket-Type", b"SUB")]).await;
        admitted(&mut monitor).await;
        let fits = raw::command("SUBSCRIBE", &[b'x'; 4096]);
        peer.write_all(&fits).await.unwrap();
        publisher.wait_for_subscribers(vec![b'x'; 4096], 1).await;
        peer.write_all(&octets).await.unwrap();
        assert_eq!(disconnected(&mut monitor).await, Some(Reason::TooLarge));
        assert!(
            publisher.subscribers(&[b'x'; 4096]).is_empty(),
            "all is forgotten"
        );
    }
}

#[tokio::test]
async fn a_monitor_that_is_not_read_keeps_the_last_events_and_counts_the_others() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let mut unread = pull.monitor();
    let mut read = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let mut told = 0_u64;
    for _ in 0..600 {
        let _stranger = raw::dial(&endpoint, b"GET").await;
        event(&mut read, |event| {
            told += 1;
            matches!(event.kind, LinkEventKind::Refused(_)).then_some(())
        })
        .await;
    }
    assert_eq!(told, 1201, "two of each stranger, and the listener's");
    let mut kept = 0;
    while let Some(event) = unread.try_recv() {
        let first = matches!(event.kind, LinkEventKind::Listening);
        assert!(!first, "the oldest went");
        kept += 1;
    }
    assert_eq!((kept, unread.lost()), (1024, told - 1024));
    assert_eq!(read.lost(), 0);
}

#[tokio::test]
async fn no_time_is_too_long_for_an_option() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let forever = || {
        let time = Duration::MAX;
        Options::new()
            .linger(time)
            .send_timeout(time)
            .recv_timeout(time)
            .connect_timeout(time)
            .greeting_timeout(time)
            .handshake_timeout(time)
            .reconnect_interval(time)
            .reconnect_interval_max(time)
            .refused_interval(time)
            .heartbeat_interval(time)
            .heartbeat_timeout(time)
            .heartbeat_ttl(time)
            .zap_timeout(time)
    };
    let pull = context.socket::<Pull>(forever());
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let push = context.socket::<Push>(forever());
    push.connect(&endpoint).unwrap();
    push.send("x").await.unwrap();
    pull.recv().await.unwrap();
    // The first attempt fails, and the next is a long way off.
    let nobody = context.socket::<Push>(forever());
    let mut monitor = nobody.monitor();
    nobody.connect("tcp://127.0.0.1:1").unwrap();
    let retrying = |event: &LinkEvent| match event.kind {
        LinkEventKind::Retrying { after, .. } => Some(after),
        _ => None,
    };
    assert!(event(&mut monitor, retrying).await > Duration::from_secs(1 << 40));
    context.shutdown().await;
}
