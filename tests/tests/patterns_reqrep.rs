//! REQ, REP, DEALER, ROUTER (RFC 28) and PAIR (RFC 31).

use std::collections::HashSet;
use std::time::Duration;

use curvelink::{
    Context, Dealer, Message, Options, Pair, Reason, RecvError, Rep, Req, Router, SendError, Stage,
    TryRecvError, TrySendErrorKind,
};
use curvelink_tests::support::{
    bind_tcp, deadline, disconnected, peers, quick, refusal, texts, ways,
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
    req.connect(&bind_tcp(&router)).unwrap();
    req.send("ask").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["asker", "", "ask"]);
    router.send(["asker", "no delimiter"]).await.unwrap();
    router.send(["asker", ""]).await.unwrap();
    router.send(["asker", "", "reply"]).await.unwrap();
    router.send(["asker", "", "second reply"]).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["reply"]);
    req.send("again").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["asker", "", "again"]);
    // Nothing tells a late reply from a new one: the envelope of RFC 28 has no number.
    assert_eq!(texts(&req.recv().await.unwrap()), ["second reply"]);
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
async fn router_and_dealer_talk_over_every_transport_in_both_orders() {
    let _deadline = deadline();
    for way in ways() {
        for router_binds in [true, false] {
            let context = Context::new().unwrap();
            let router = context.socket::<Router>(quick());
            let dealer = context.socket::<Dealer>(quick().routing_id("d"));
            if router_binds {
                way.link(router.any(), dealer.any());
            } else {
                way.link(dealer.any(), router.any());
            }
            for i in 0..20 {
                dealer.send(["", &i.to_string()]).await.unwrap();
            }
            for i in 0..20 {
                let message = router.recv().await.unwrap();
                assert_eq!(texts(&message), ["d", "", &i.to_string()], "{way:?}");
                router.send(message).await.unwrap();
            }
            for i in 0..20 {
                let message = dealer.recv().await.unwrap();
                assert_eq!(texts(&message), ["", &i.to_string()], "{way:?}");
            }
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn generated_routing_ids_begin_with_zero_and_differ() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new());
    let endpoint = bind_tcp(&router);
    router.bind("inproc://router").unwrap();
    let mut dealers = Vec::new();
    for i in 0..20 {
        let dealer = context.socket::<Dealer>(Options::new());
        let place = if i % 2 == 0 {
            &endpoint
        } else {
            "inproc://router"
        };
        dealer.connect(place).unwrap();
        dealer.send(i.to_string()).await.unwrap();
        dealers.push(dealer);
    }
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let mut message = router.recv().await.unwrap();
        let id = message.pop_front().unwrap();
        assert_eq!((id.len(), id[0]), (5, 0));
        assert!(ids.insert(id.to_vec()), "an id came twice");
        message.push_front(id);
        router.send(message).await.unwrap();
    }
    for (i, dealer) in dealers.iter().enumerate() {
        assert_eq!(texts(&dealer.recv().await.unwrap()), [i.to_string()]);
    }
}

#[tokio::test]
async fn a_routing_id_belongs_to_the_first_live_peer_and_then_to_the_next() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new().router_mandatory(true));
    let mut monitor = router.monitor();
    let endpoint = bind_tcp(&router);
    let first = context.socket::<Dealer>(quick().routing_id("me"));
    first.connect(&endpoint).unwrap();
    first.send("first").await.unwrap();
    assert_eq!(texts(&router.recv().await.unwrap()), ["me", "first"]);

    let second = context.socket::<Dealer>(quick().routing_id("me"));
    second.connect(&endpoint).unwrap();
    let (event, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::RoutingId);
    assert!(event.address.is_some());
    router.send(["me", "for the first"]).await.unwrap();
    assert_eq!(texts(&first.recv().await.unwrap()), ["for the first"]);
    assert_eq!(second.try_recv(), Err(TryRecvError::Empty));

    first.close();
    second.send("second").await.unwrap();
    let message = router.recv().await.unwrap();
    assert_eq!(texts(&message), ["me", "second"], "free for the next peer");
}

#[tokio::test]
async fn a_mandatory_router_says_what_it_cannot_deliver_and_another_counts_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let strict = context.socket::<Router>(Options::new().router_mandatory(true));
    assert_eq!(
        strict.send(["nobody", "x"]).await,
        Err(SendError::Unroutable)
    );
    let refused = strict.try_send(["nobody", "x"]).unwrap_err();
    assert_eq!(texts(&refused.message), ["nobody", "x"], "it is given back");
    let lenient = context.socket::<Router>(Options::new());
    lenient.send(["nobody", "x"]).await.unwrap();
    assert_eq!(lenient.dropped(), 1);
}

#[tokio::test]
async fn a_mandatory_router_waits_for_room_until_the_peer_goes() {
    let _deadline = deadline();
    for endpoint in ["tcp://127.0.0.1:*", "inproc://full"] {
        let context = Context::new().unwrap();
        let options = Options::new().router_mandatory(true).send_hwm(2);
        let router = context.socket::<Router>(options.linger(Duration::ZERO));
        let bound = router.bind(endpoint).unwrap().to_string();
        let dealer = context.socket::<Dealer>(quick().routing_id("d").recv_hwm(2));
        dealer.connect(&bound).unwrap();
        peers(&router, 1).await;
        let message =
            || Message::from(["d".into(), vec![0; 1 << 20].into()] as [curvelink::Frame; 2]);
        let mut sent = 0;
        while router.try_send(message()).is_ok() {
            sent += 1;
            tokio::task::yield_now().await;
        }
        let waiting = router.clone();
        let sending = tokio::spawn(async move { waiting.send(message()).await });
        for _ in 0..sent {
            dealer.recv().await.unwrap();
        }
        sending.await.unwrap().unwrap();
        while router.try_send(message()).is_ok() {
            tokio::task::yield_now().await;
        }
        let waiting = router.clone();
        let sending = tokio::spawn(async move { waiting.send(message()).await });
        tokio::task::yield_now().await;
        dealer.close();
        let unroutable = sending.await.unwrap();
        assert_eq!(unroutable, Err(SendError::Unroutable), "{endpoint}");
    }
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
async fn a_pair_talks_both_ways_over_every_transport() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let [a, b] = [(); 2].map(|()| context.socket::<Pair>(quick()));
        way.link(a.any(), b.any());
        for i in 0..20 {
            b.send(["b", &i.to_string()]).await.unwrap();
            a.send(["a", &i.to_string()]).await.unwrap();
        }
        for i in 0..20 {
            assert_eq!(texts(&a.recv().await.unwrap()), ["b", &i.to_string()]);
            assert_eq!(texts(&b.recv().await.unwrap()), ["a", &i.to_string()]);
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_pair_refuses_a_second_peer_until_the_first_has_gone() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://pair"] {
        let context = Context::new().unwrap();
        let pair = context.socket::<Pair>(Options::new());
        let mut monitor = pair.monitor();
        let endpoint = pair.bind(place).unwrap().to_string();
        let first = context.socket::<Pair>(quick());
        first.connect(&endpoint).unwrap();
        first.send("first").await.unwrap();
        assert_eq!(texts(&pair.recv().await.unwrap()), ["first"]);
        let second = context.socket::<Pair>(quick());
        second.connect(&endpoint).unwrap();
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!(refused.reason, Reason::Exclusive, "{place}");
        pair.send("still the first's").await.unwrap();
        first.recv().await.unwrap();
        first.close();
        if place.starts_with("tcp") {
            disconnected(&mut monitor).await;
            second.send("second").await.unwrap();
            assert_eq!(texts(&pair.recv().await.unwrap()), ["second"]);
        }
    }
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
