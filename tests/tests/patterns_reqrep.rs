//! REQ, REP and DEALER (RFC 28).

use std::collections::HashSet;
use std::time::Duration;

use curvelink::{
    Context, Credentials, Dealer, Frame, LinkEventKind, Message, Options, Pair, Plain, Reason,
    RecvError, Rep, Req, Rights, Router, SendError, SocketType, Stage, TryRecvError,
    TrySendErrorKind, ZapReply, ZapRequest, blocking,
};
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, disconnected, free_endpoint, peers, quick, refusal,
    texts, ways,
};

#[tokio::test]
async fn requests_are_answered_over_every_transport_in_both_orders() {
    let _deadline = deadline();
    for way in ways() {
        for rep_binds in [true, false] {
            let context = Context::new().unwrap();
            let req = context.socket::<Req>(quick());
            let rep = context.socket::<Rep>(quick());
            if rep_binds {
                way.link(rep.any(), req.any());
            } else {
                way.link(req.any(), rep.any());
            }
            for i in 0..20 {
                req.send([format!("ask {i}"), String::new()]).await.unwrap();
                let request = rep.recv().await.unwrap();
                assert_eq!(texts(&request), [format!("ask {i}"), String::new()]);
                rep.send(format!("answer {i}")).await.unwrap();
                let reply = req.recv().await.unwrap();
                assert_eq!(texts(&reply), [format!("answer {i}")], "{way:?}");
            }
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn turns_are_strict_on_both_sides() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let req = context.socket::<Req>(Options::new());
    req.connect(&bind_tcp(&rep)).unwrap();
    assert_eq!(req.recv().await, Err(RecvError::WrongTurn));
    assert_eq!(rep.send("unasked").await, Err(SendError::WrongTurn));
    req.send("1").await.unwrap();
    assert_eq!(req.send("2").await, Err(SendError::WrongTurn));
    let refused = req.try_send("2").unwrap_err();
    assert_eq!(refused.error, TrySendErrorKind::Send(SendError::WrongTurn));
    assert_eq!(texts(&refused.message), ["2"], "no delimiter is left on it");
    rep.recv().await.unwrap();
    assert_eq!(rep.recv().await, Err(RecvError::WrongTurn));
    rep.send("one").await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["one"]);
    assert_eq!(req.try_recv(), Err(RecvError::WrongTurn.into()));
}

#[tokio::test]
async fn the_envelope_of_a_request_goes_back_with_the_reply() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let dealer = context.socket::<Dealer>(Options::new());
    dealer.connect(&bind_tcp(&rep)).unwrap();
    for no_request in [&["no delimiter"][..], &["only", ""], &[""]] {
        let frames = no_request.iter().map(|frame| (*frame).into());
        dealer.send(frames.collect::<Message>()).await.unwrap();
    }
    dealer
        .send(["hop 1", "hop 2", "", "body", ""])
        .await
        .unwrap();
    assert_eq!(texts(&rep.recv().await.unwrap()), ["body", ""]);
    rep.send("reply").await.unwrap();
    let reply = dealer.recv().await.unwrap();
    assert_eq!(texts(&reply), ["hop 1", "hop 2", "", "reply"]);
}

#[tokio::test]
async fn req_discards_what_is_no_reply() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new());
    let req = context.socket::<Req>(Options::new().routing_id("asker"));
    // Over inproc, what was sent has arrived.
    router.bind("inproc://replies").unwrap();
    req.connect("inproc://replies").unwrap();
    req.send("ask").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["asker", "", "ask"]);
    router.send(["asker", "no delimiter"]).await.unwrap();
    router.send(["asker", ""]).await.unwrap();
    assert_eq!(req.try_recv(), Err(TryRecvError::Empty));
    router.send(["asker", "", "reply"]).await.unwrap();
    router.send(["asker", "", "second reply"]).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["reply"]);
    req.send("again").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["asker", "", "again"]);
    // What came before the request was sent is no reply to it.
    assert_eq!(req.try_recv(), Err(TryRecvError::Empty));
    router.send(["asker", "", "reply again"]).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["reply again"]);
}

#[tokio::test]
async fn a_relaxed_req_gives_its_request_up_and_takes_a_late_reply_for_the_next() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new());
    let req = context.socket::<Req>(Options::new().routing_id("r").req_relaxed(true));
    req.connect(&bind_tcp(&router)).unwrap();
    assert_eq!(req.recv().await, Err(RecvError::WrongTurn), "still a turn");
    req.send("first").await.unwrap();
    req.send("second").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["r", "", "first"]);
    assert_eq!(texts(&router.recv().await.unwrap()), ["r", "", "second"]);
    router.send(["r", "", "to the first"]).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["to the first"]);
    assert_eq!(req.recv().await, Err(RecvError::WrongTurn));
}

#[tokio::test]
async fn a_correlated_req_receives_the_reply_to_its_last_request_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new());
    let options = Options::new().req_relaxed(true).req_correlate(true);
    let req = context.socket::<Req>(options);
    req.connect(&bind_tcp(&router)).unwrap();
    req.send("first").await.unwrap();
    req.send("second").await.unwrap();
    let asked = [router.recv().await.unwrap(), router.recv().await.unwrap()];
    let [first, second] = asked.each_ref().map(|request| {
        assert_eq!((request.len(), request.frame(1).unwrap().len()), (4, 4));
        request.frame(1).unwrap().clone()
    });
    assert_ne!(first, second);
    let id = || asked[0].first().unwrap().clone();
    let frame = |octets: &[u8]| Frame::from(octets);
    for no_reply in [
        vec![id(), first, frame(b""), frame(b"to the first")],
        vec![id(), frame(b""), frame(b"no number")],
        vec![id(), second.clone(), frame(b"no delimiter"), frame(b"x")],
        vec![id(), second.clone(), frame(b"")],
        vec![id(), frame(&second[..3]), frame(b""), frame(b"short")],
        vec![id(), second.clone()],
        vec![id(), second, frame(b""), frame(b"to the second")],
    ] {
        router.send(no_reply).await.unwrap();
    }
    assert_eq!(texts(&req.recv().await.unwrap()), ["to the second"]);
}

#[tokio::test]
async fn rep_sends_the_number_of_a_request_back() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let req = context.socket::<Req>(Options::new().req_correlate(true));
    req.connect(&bind_tcp(&rep)).unwrap();
    for i in 0..3 {
        req.send(i.to_string()).await.unwrap();
        assert_eq!(req.try_send("x").unwrap_err().message, "x".into());
        assert_eq!(texts(&rep.recv().await.unwrap()), [i.to_string()]);
        rep.send(format!("reply {i}")).await.unwrap();
        assert_eq!(texts(&req.recv().await.unwrap()), [format!("reply {i}")]);
    }
}

#[tokio::test]
async fn a_relaxed_send_that_finds_no_room_leaves_the_request_before_it_alone() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new().recv_hwm(1));
    let options = Options::new().send_hwm(1).req_relaxed(true);
    let req = context.socket::<Req>(options.req_correlate(true));
    router.bind("inproc://full").unwrap();
    req.connect("inproc://full").unwrap();
    req.send("first").await.unwrap();
    req.send("second").await.unwrap();
    let refused = req.try_send(["third", ""]).unwrap_err();
    assert_eq!(refused.error, TrySendErrorKind::Full, "one and one are two");
    assert_eq!(
        texts(&refused.message),
        ["third", ""],
        "without an envelope"
    );
    router.recv().await.unwrap();
    let mut request = router.recv().await.unwrap();
    request.pop_back();
    request.push_back("to the second");
    router.send(request).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["to the second"]);
}

#[tokio::test]
async fn a_request_whose_peer_is_lost_times_out() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let req = context.socket::<Req>(quick().recv_timeout(Duration::from_millis(50)));
    req.connect(&bind_tcp(&rep)).unwrap();
    req.send("ask").await.unwrap();
    rep.recv().await.unwrap();
    rep.close();
    assert_eq!(req.recv().await, Err(RecvError::TimedOut));
}

#[tokio::test]
async fn a_reply_to_a_peer_that_has_gone_is_dropped_and_rep_goes_on() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let endpoint = bind_tcp(&rep);
    let gone = context.socket::<Req>(Options::new());
    gone.connect(&endpoint).unwrap();
    gone.send("ask").await.unwrap();
    rep.recv().await.unwrap();
    gone.close();
    peers(&rep, 0).await;
    rep.send("to nobody").await.unwrap();
    let next = context.socket::<Req>(Options::new());
    next.connect(&endpoint).unwrap();
    next.send("next").await.unwrap();
    assert_eq!(texts(&rep.recv().await.unwrap()), ["next"]);
    rep.send("reply").await.unwrap();
    assert_eq!(texts(&next.recv().await.unwrap()), ["reply"]);
}

#[tokio::test]
async fn dealers_take_turns_with_their_peers() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(Options::new());
    let endpoint = bind_tcp(&dealer);
    let reps = [(); 2].map(|()| context.socket::<Rep>(Options::new()));
    for rep in &reps {
        rep.connect(&endpoint).unwrap();
    }
    peers(&dealer, 2).await;
    for i in 0..10 {
        dealer.send(["", &i.to_string()]).await.unwrap();
    }
    for rep in &reps {
        for _ in 0..5 {
            let request = rep.recv().await.unwrap();
            rep.send(request).await.unwrap();
        }
    }
    let mut replies = HashSet::new();
    for _ in 0..10 {
        replies.insert(texts(&dealer.recv().await.unwrap()));
    }
    assert_eq!(replies.len(), 10);
}

#[tokio::test]
async fn types_that_do_not_talk_to_each_other_are_refused() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://mismatch"] {
        let context = Context::new().unwrap();
        let rep = context.socket::<Rep>(Options::new());
        let pair = context.socket::<Pair>(quick());
        let mut monitors = [rep.monitor(), pair.monitor()];
        pair.connect(&rep.bind(place).unwrap().to_string()).unwrap();
        let (_, refused) = refusal(&mut monitors[0]).await;
        assert_eq!(refused.reason, Reason::SocketType, "{place}");
        assert!(matches!(refused.stage, Stage::Handshake | Stage::Transport));
        assert!(rep.peers().is_empty() && pair.peers().is_empty());
        refusal(&mut monitors[1]).await;
    }
}

#[tokio::test]
async fn a_probe_comes_first_on_each_connection() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let kinds = [SocketType::Req, SocketType::Dealer, SocketType::Router];
    let sockets = kinds.map(|kind| {
        let options = quick().routing_id(kind.name()).probe_router(true);
        let socket = context.any_socket(kind, options);
        socket.connect(&endpoint).unwrap();
        socket
    });
    // They may send before anybody is there; a ROUTER knows nobody.
    for socket in &sockets[..2] {
        socket.send(["", "x"]).await.unwrap();
    }
    for _connection in 0..2 {
        let router = context.socket::<Router>(quick());
        let mut monitor = router.monitor();
        router.bind(&endpoint).unwrap();
        let mut probed = HashSet::new();
        while probed.len() < 3 {
            let mut message = router.recv().await.unwrap();
            let id = message.pop_front().unwrap();
            if texts(&message) == [""] {
                probed.insert(id.to_vec());
            } else {
                assert!(probed.contains(&id[..]), "a message before its probe");
            }
        }
        router.close();
        disconnected(&mut monitor).await;
    }
}

#[tokio::test]
async fn a_bound_socket_probes_as_well_and_no_socket_does_unasked() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://probed"] {
        let context = Context::new().unwrap();
        let router = context.socket::<Router>(Options::new());
        let sockets = [true, false].map(|probing| {
            let id = if probing { "probing" } else { "silent" };
            let options = Options::new().routing_id(id).probe_router(probing);
            context.socket::<Dealer>(options)
        });
        for (i, dealer) in sockets.iter().enumerate() {
            let place = place.replace("probed", &i.to_string());
            let bound = dealer.bind(&place).unwrap().to_string();
            router.connect(&bound).unwrap();
            peers(dealer, 1).await;
        }
        sockets[1].send("last").await.unwrap();
        let received = [router.recv().await.unwrap(), router.recv().await.unwrap()];
        let mut received = received.map(|message| texts(&message));
        received.sort();
        assert_eq!(received, [["probing", ""], ["silent", "last"]], "{place}");
    }
}

#[tokio::test]
async fn a_reply_waits_for_an_endpoint_that_comes_back_and_not_for_another_user_there() {
    let _deadline = deadline();
    for (user, arrives) in [("alice", true), ("mallory", false)] {
        let context = Context::new().unwrap();
        context.set_zap_handler(Policy(|request: &ZapRequest| match &request.credentials {
            Credentials::Plain { username, .. } => {
                ZapReply::admit(&*String::from_utf8_lossy(username), Rights::all())
            }
            _ => ZapReply::failed(),
        }));
        let endpoint = free_endpoint();
        let rep = context.socket::<Rep>(quick().security(Plain::server()));
        let mut monitor = rep.monitor();
        rep.connect(&endpoint).unwrap();
        let bound = |user: &str| {
            let options = quick().security(Plain::client(user, "").unwrap());
            let dealer = context.socket::<Dealer>(options);
            dealer.bind(&endpoint).unwrap();
            dealer
        };
        let asker = bound("alice");
        for request in ["1", "2"] {
            asker.send(["", request]).await.unwrap();
        }
        assert_eq!(texts(&rep.recv().await.unwrap()), ["1"]);
        asker.close();
        disconnected(&mut monitor).await;
        rep.send("reply 1").await.unwrap();
        let next = bound(user);
        next.send(["", "3"]).await.unwrap();
        admitted(&mut monitor).await;
        // A request of alice's that was not read before somebody else came.
        assert_eq!(texts(&rep.recv().await.unwrap()), ["2"]);
        rep.send("reply 2").await.unwrap();
        assert_eq!(texts(&rep.recv().await.unwrap()), ["3"]);
        rep.send("reply 3").await.unwrap();
        let expected: &[&str] = match arrives {
            true => &["reply 1", "reply 2", "reply 3"],
            false => &["reply 3"],
        };
        for reply in expected {
            assert_eq!(texts(&next.recv().await.unwrap()), ["", *reply]);
        }
    }
}

#[tokio::test]
async fn a_reply_of_a_peer_that_was_not_asked_is_none() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let req = context.socket::<Req>(Options::new());
    req.bind("inproc://asks").unwrap();
    let [asked, other] = [(); 2].map(|()| {
        let router = context.socket::<Router>(Options::new());
        router.connect_as("inproc://asks", "req").unwrap();
        router
    });
    req.send("ask").await.unwrap();
    assert_eq!(texts(&asked.recv().await.unwrap()), ["req", "", "ask"]);
    other.send(["req", "", "forged"]).await.unwrap();
    assert_eq!(req.try_recv(), Err(TryRecvError::Empty));
    asked.send(["req", "", "reply"]).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["reply"]);
    assert_eq!(req.any().statistics().dropped.late_reply, 1);
}

/// The runtime's one thread is the test's own, and does not run between the send and the receive.
#[tokio::test]
async fn a_request_on_an_idle_link_is_written_by_its_sender_and_other_messages_by_the_session() {
    let _deadline = deadline();
    let elsewhere = Context::with_io_threads(1).unwrap();
    let (long, short) = (Duration::from_secs(10), Duration::from_millis(300));
    for (kind, at_once) in [(SocketType::Req, true), (SocketType::Dealer, false)] {
        let patience = if at_once { long } else { short };
        let options = Options::new().recv_timeout(patience);
        let rep = blocking::Socket::new(elsewhere.socket::<Rep>(options));
        let endpoint = rep.bind("tcp://127.0.0.1:*").unwrap().to_string();
        let context = Context::new().unwrap();
        let asking = context.any_socket(kind, Options::new());
        let mut monitor = asking.monitor();
        asking.connect(&endpoint).unwrap();
        while !matches!(
            monitor.recv().await.unwrap().kind,
            LinkEventKind::HandshakeSucceeded(_)
        ) {}
        // The session parks once it has told of that.
        tokio::task::yield_now().await;
        let mut question = Message::from("question");
        if kind == SocketType::Dealer {
            question.push_front("");
        }
        asking.try_send(question).unwrap();
        assert_eq!(rep.recv().is_ok(), at_once, "{kind}");
    }
}
