//! PAIR (RFC 31).

use curvelink::{Context, Options, Pair, Reason};
use curvelink_tests::support::{
    bind_tcp, deadline, disconnected, free_endpoint, peers, quick, refusal, texts, ways,
};

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
async fn a_pair_that_connects_to_two_uses_the_first_until_it_is_disconnected() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let bound = [(); 2].map(|()| context.socket::<Pair>(Options::new()));
    let endpoints = [bind_tcp(&bound[0]), bind_tcp(&bound[1])];
    let pair = context.socket::<Pair>(quick());
    let mut monitor = pair.monitor();
    for endpoint in &endpoints {
        pair.connect(endpoint).unwrap();
    }
    for i in ["1", "2"] {
        pair.send(i).await.unwrap();
        assert_eq!(texts(&bound[0].recv().await.unwrap()), [i]);
    }
    let (event, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::Exclusive);
    assert_eq!(*event.endpoint, *endpoints[1]);
    pair.disconnect(&endpoints[0]).unwrap();
    pair.send("3").await.unwrap();
    assert_eq!(texts(&bound[1].recv().await.unwrap()), ["3"]);
    assert!(bound[0].try_recv().is_err());
}

#[tokio::test]
async fn what_waits_on_a_pair_goes_to_its_peer_when_it_comes_back_whoever_binds() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let connecting = context.socket::<Pair>(quick());
    let mut monitor = connecting.monitor();
    connecting.connect(&endpoint).unwrap();
    for round in ["first", "second"] {
        connecting.send(round).await.unwrap();
        let bound = context.socket::<Pair>(Options::new());
        bound.bind(&endpoint).unwrap();
        assert_eq!(texts(&bound.recv().await.unwrap()), [round]);
        bound.send("and back").await.unwrap();
        assert_eq!(texts(&connecting.recv().await.unwrap()), ["and back"]);
        bound.close();
        disconnected(&mut monitor).await;
    }
}

#[tokio::test]
async fn a_bound_pair_receives_what_its_peer_left_and_takes_the_next() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let bound = context.socket::<Pair>(Options::new());
    let endpoint = bind_tcp(&bound);
    for i in ["1", "2", "3"] {
        let peer = context.socket::<Pair>(quick());
        peer.connect(&endpoint).unwrap();
        peer.send(i).await.unwrap();
        let mut monitor = bound.monitor();
        peers(&bound, 1).await;
        bound.send("hello").await.unwrap();
        assert_eq!(texts(&peer.recv().await.unwrap()), ["hello"], "{i}");
        peer.close();
        disconnected(&mut monitor).await;
        assert!(bound.try_send("x").is_err(), "nobody is there");
    }
    for i in ["1", "2", "3"] {
        assert_eq!(texts(&bound.recv().await.unwrap()), [i]);
    }
}
