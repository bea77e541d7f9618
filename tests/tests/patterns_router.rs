//! ROUTER (RFC 28): routing ids, and who has them.

use std::collections::HashSet;
use std::time::Duration;

use curvelink::{
    ConnectError, Context, Credentials, Curve, Dealer, Mechanism, Message, Monitor, Null, Options,
    Plain, Reason, Rights, Router, SendError, Socket, SocketType, TryRecvError, ZapReply,
    ZapRequest,
};
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, disconnected, free_endpoint, keys, peers, quick, refusal,
    texts, ways,
};

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

/// A ROUTER at tcp and ipc, with handover, and who takes an id over from whom.
struct Handover {
    router: Socket<Router>,
    monitor: Monitor,
    endpoint: String,
    context: Context,
}

impl Handover {
    fn new(security: impl Mechanism, policy: bool) -> Self {
        let context = Context::new().unwrap();
        if policy {
            context.set_zap_handler(Policy(|request: &ZapRequest| match &request.credentials {
                Credentials::Plain { username, .. } => {
                    ZapReply::admit(&*String::from_utf8_lossy(username), Rights::all())
                }
                _ => ZapReply::admit("anybody", Rights::all()),
            }));
        }
        let options = Options::new().security(security).router_mandatory(true);
        let router = context.socket::<Router>(options.router_handover(true));
        let monitor = router.monitor();
        let endpoint = bind_tcp(&router);
        Self {
            router,
            monitor,
            endpoint,
            context,
        }
    }

    fn dealer(&self, security: impl Mechanism) -> Socket<Dealer> {
        let options = quick().routing_id("me").security(security);
        let dealer = self.context.socket::<Dealer>(options);
        dealer.connect(&self.endpoint).unwrap();
        dealer
    }

    /// The first has the id, then the second asks for it.
    async fn first(&self, security: impl Mechanism) -> Socket<Dealer> {
        let first = self.dealer(security);
        first.send("first").await.unwrap();
        assert_eq!(texts(&self.router.recv().await.unwrap()), ["me", "first"]);
        first
    }
}

#[tokio::test]
async fn handover_ends_the_old_link_after_what_was_accepted_for_it() {
    let _deadline = deadline();
    let mut it = Handover::new(Null::new(), false);
    let first = it.first(Null::new()).await;
    let mut lost = first.monitor();
    first.send("before the handover").await.unwrap();
    for i in 0..100 {
        it.router.send(["me", &i.to_string()]).await.unwrap();
    }
    let second = it.dealer(Null::new());
    admitted(&mut it.monitor).await;
    let new = admitted(&mut it.monitor).await;
    it.router.send(["me", "for the second"]).await.unwrap();
    assert_eq!(texts(&second.recv().await.unwrap()), ["for the second"]);
    for i in 0..100 {
        assert_eq!(texts(&first.recv().await.unwrap()), [i.to_string()]);
    }
    let kept = it.router.recv().await.unwrap();
    assert_eq!(texts(&kept), ["me", "before the handover"]);
    assert_ne!(kept.peer().unwrap().address, new.address);
    disconnected(&mut lost).await;
}

#[tokio::test]
async fn handover_is_for_the_same_identity_only() {
    let _deadline = deadline();
    let server = keys();
    let [mine, others] = [(); 2].map(|()| Curve::client(keys(), server.public()));
    let server = Curve::server(server);
    let it = Handover::new(server.clone(), true);
    taken_over(&it, mine.clone(), mine.clone(), true).await;
    let it = Handover::new(server, true);
    taken_over(&it, mine, others, false).await;

    let user = |name: &str| Plain::client(name, "password").unwrap();
    let plain = Handover::new(Plain::server(), true);
    taken_over(&plain, user("alice"), user("alice"), true).await;
    let plain = Handover::new(Plain::server(), true);
    taken_over(&plain, user("alice"), user("mallory"), false).await;
}

async fn taken_over(it: &Handover, old: impl Mechanism, new: impl Mechanism, expected: bool) {
    let first = it.first(old).await;
    let mut monitor = it.router.monitor();
    let second = it.dealer(new);
    if expected {
        disconnected(&mut monitor).await;
        second.send("mine now").await.unwrap();
        assert_eq!(texts(&it.router.recv().await.unwrap()), ["me", "mine now"]);
    } else {
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!(refused.reason, Reason::RoutingId);
        it.router.send(["me", "still the first's"]).await.unwrap();
        assert_eq!(texts(&first.recv().await.unwrap()), ["still the first's"]);
        assert_eq!(second.try_recv(), Err(TryRecvError::Empty));
    }
}

#[tokio::test]
async fn handover_works_over_inproc_and_a_stranger_on_tcp_takes_nothing_from_this_process() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new().router_mandatory(true).router_handover(true);
    let router = context.socket::<Router>(options);
    let mut monitor = router.monitor();
    router.bind("inproc://handover").unwrap();
    let endpoint = bind_tcp(&router);
    let dealers = [(); 2].map(|()| {
        let dealer = context.socket::<Dealer>(Options::new().routing_id("me"));
        dealer.connect("inproc://handover").unwrap();
        dealer.try_send("here").ok();
        dealer
    });
    router.send(["me", "for the second"]).await.unwrap();
    assert_eq!(texts(&dealers[1].recv().await.unwrap()), ["for the second"]);
    assert_eq!(texts(&router.recv().await.unwrap()), ["me", "here"]);
    assert_eq!(texts(&router.recv().await.unwrap()), ["me", "here"]);
    assert_eq!(router.try_recv(), Err(TryRecvError::Empty));
    assert_eq!((router.peers().len(), dealers[0].peers().len()), (1, 0));

    let stranger = context.socket::<Dealer>(quick().routing_id("me"));
    stranger.connect(&endpoint).unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::RoutingId);
}

#[tokio::test]
async fn a_chosen_id_counts_before_the_connection_and_whatever_the_peer_calls_itself() {
    let _deadline = deadline();
    for place in [free_endpoint(), "inproc://chosen".to_owned()] {
        let context = Context::new().unwrap();
        let router = context.socket::<Router>(quick().router_mandatory(true));
        router.connect_as(&place, "server").unwrap();
        let again = router.connect_as("tcp://127.0.0.1:9", "server");
        assert!(matches!(again, Err(ConnectError::RoutingId)));
        router.send(["server", "early"]).await.unwrap();
        let dealer = context.socket::<Dealer>(Options::new().routing_id("own name"));
        dealer.bind(&place).unwrap();
        assert_eq!(texts(&dealer.recv().await.unwrap()), ["early"], "{place}");
        dealer.send("hello").await.unwrap();
        assert_eq!(texts(&router.recv().await.unwrap()), ["server", "hello"]);
        let unknown = router.send(["own name", "x"]).await;
        assert_eq!(unknown, Err(SendError::Unroutable));
    }
}

#[tokio::test]
async fn only_ids_that_can_be_are_chosen_and_only_where_there_are_ids() {
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new());
    let [long, longest] = [vec![1; 256], vec![1; 255]];
    for id in [&b""[..], b"\0ours", &long] {
        let refused = router.connect_as("tcp://127.0.0.1:9", id);
        assert!(matches!(refused, Err(ConnectError::RoutingId)));
    }
    router.connect_as("tcp://127.0.0.1:9", longest).unwrap();
    for kind in [
        SocketType::Dealer,
        SocketType::Req,
        SocketType::Rep,
        SocketType::Pub,
    ] {
        let socket = context.any_socket(kind, Options::new());
        for place in ["tcp://127.0.0.1:9", "inproc://nobody"] {
            let refused = socket.connect_as(place, "id");
            assert!(matches!(refused, Err(ConnectError::RoutingId)), "{kind}");
            let found = socket.disconnect(place);
            assert!(found.is_err(), "nothing is left of it");
        }
    }
}

#[tokio::test]
async fn what_waits_for_an_endpoint_is_kept_for_the_same_id_and_not_given_to_another() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let endpoint = free_endpoint();
    let router = context.socket::<Router>(quick().router_mandatory(true));
    let mut monitor = router.monitor();
    router.connect(&endpoint).unwrap();
    for (id, before, after) in [("a", None, "1"), ("a", Some("1"), "2"), ("b", None, "3")] {
        let dealer = context.socket::<Dealer>(quick().routing_id(id));
        dealer.bind(&endpoint).unwrap();
        dealer.send("hello").await.unwrap();
        assert_eq!(texts(&router.recv().await.unwrap()), [id, "hello"]);
        router.send([id, "end"]).await.unwrap();
        for expected in before.into_iter().chain(["end"]) {
            assert_eq!(texts(&dealer.recv().await.unwrap()), [expected]);
        }
        dealer.close();
        disconnected(&mut monitor).await;
        router.send([id, after]).await.unwrap();
    }
    let gone = router.send(["a", "x"]).await;
    assert_eq!(gone, Err(SendError::Unroutable), "it was b then");
}

#[tokio::test]
async fn an_id_with_nothing_to_send_is_ignored() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(Options::new().router_mandatory(true));
    router.send("nobody").await.unwrap();
    assert_eq!(
        router.send(["nobody", ""]).await,
        Err(SendError::Unroutable)
    );
}

#[tokio::test]
async fn an_endpoint_that_we_connect_to_hands_nothing_over() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(quick().router_handover(true));
    let ours = context.socket::<Dealer>(Options::new().routing_id("me"));
    let mut monitor = router.monitor();
    router.connect(&bind_tcp(&ours)).unwrap();
    admitted(&mut monitor).await;
    let other = context.socket::<Dealer>(quick().routing_id("me"));
    other.connect(&bind_tcp(&router)).unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::RoutingId);
    router.send(["me", "x"]).await.unwrap();
    assert_eq!(texts(&ours.recv().await.unwrap()), ["x"]);
}

#[tokio::test]
async fn with_immediate_nothing_waits_for_an_endpoint_that_was_lost() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = quick().router_mandatory(true).immediate(true);
    let router = context.socket::<Router>(options);
    let mut monitor = router.monitor();
    let dealer = context.socket::<Dealer>(Options::new().routing_id("d"));
    router.connect(&bind_tcp(&dealer)).unwrap();
    admitted(&mut monitor).await;
    router.send(["d", "x"]).await.unwrap();
    assert_eq!(texts(&dealer.recv().await.unwrap()), ["x"]);
    dealer.close();
    disconnected(&mut monitor).await;
    peers(&router, 0).await;
    let lost = router.send(["d", "y"]).await;
    assert_eq!(lost, Err(SendError::Unroutable));
}
