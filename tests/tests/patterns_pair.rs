//! PAIR (RFC 31).

use curvelink::{Context, Options, Pair, Reason};
use curvelink_tests::support::{deadline, disconnected, quick, refusal, texts, ways};

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
