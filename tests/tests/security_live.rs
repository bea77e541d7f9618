//! A policy that changes while links are up: who stays, and who is cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use curvelink::{
    BoxFuture, Context, Curve, Dealer, KeyPair, Kind, LinkEventKind, Message, Monitor, Options,
    PeerAddress, Plain, Pub, Pull, Push, Reason, Rep, Req, Rights, Router, Socket, Sub,
    SubscribePeerError, Topics, Xpub, Xsub, ZapHandler, ZapReply, ZapRequest,
};
use curvelink_tests::support::changing::Changing;
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, disconnected, event, keys, peers, quick, refusal, texts,
};

/// A change reaches every link within this time.
const SOON: Duration = Duration::from_secs(1);

/// A context whose policy changes, and how the two ends of a link are secured.
struct Live {
    context: Context,
    policy: Changing,
    server: Options,
    client: Options,
    key: Option<KeyPair>,
}

impl Live {
    fn curve() -> Self {
        let (server, key) = (keys(), keys());
        let client = Curve::client(key.duplicate(), server.public());
        Self::new(
            quick().security(Curve::server(server)),
            quick().security(client),
            Some(key),
        )
    }

    fn plain() -> Self {
        let client = Plain::client("user", "password").unwrap();
        Self::new(
            quick().security(Plain::server()),
            quick().security(client),
            None,
        )
    }

    fn new(server: Options, client: Options, key: Option<KeyPair>) -> Self {
        let live = Self {
            context: Context::new().unwrap(),
            policy: Changing::new(),
            server: server.linger(Duration::ZERO),
            client: client.linger(Duration::ZERO),
            key,
        };
        live.context.set_zap_handler(live.policy.clone());
        live.allow(Rights::all());
        live
    }

    /// With queues that are soon full.
    fn narrow(mut self) -> Self {
        self.server = self.server.send_hwm(4);
        self.client = self.client.recv_hwm(1);
        self
    }

    fn allow(&self, rights: Rights) {
        match &self.key {
            Some(key) => self.policy.admit(key.public(), "user", rights),
            None => self.policy.admit_user("user", rights),
        }
    }

    fn answer(&self, reply: ZapReply) {
        let key = self.key.as_ref().expect("CURVE");
        self.policy.answer(key.public(), reply);
    }

    /// A bound server and a client that was admitted.
    async fn link<S: Kind, C: Kind>(&self) -> (Socket<S>, Socket<C>, Monitor) {
        let server = self.context.socket::<S>(self.server.clone());
        let client = self.context.socket::<C>(self.client.clone());
        let mut monitor = server.monitor();
        client.connect(&bind_tcp(&server)).unwrap();
        admitted(&mut monitor).await;
        (server, client, monitor)
    }
}

/// Sends more than the network and the other side's queue take; how many messages.
async fn fill(push: &Socket<Push>) -> usize {
    let body = vec![7; 1 << 20];
    let mut sent = 0;
    let mut full = Instant::now();
    while full.elapsed() < Duration::from_millis(300) {
        if push.try_send(body.clone()).is_ok() {
            sent += 1;
            full = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sent
}

fn port<K: Kind>(socket: &Socket<K>) -> SocketAddr {
    match socket.peers()[0].address {
        PeerAddress::Tcp(address) => address,
        other => panic!("{other}"),
    }
}

/// Waits until so many messages wait for the application.
async fn waiting<K: Kind>(socket: &Socket<K>, messages: usize) {
    while socket.statistics().queued_from_peers < messages {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_revoked_peer_is_cut_with_what_waits_and_comes_back_once_it_is_listed_again() {
    let _deadline = deadline();
    for live in [Live::curve(), Live::plain()] {
        let (pull, push, mut monitor) = live.link::<Pull, Push>().await;
        for i in 0..100 {
            push.send(i.to_string()).await.unwrap();
        }
        waiting(&pull, 100).await;
        assert_eq!(texts(&pull.recv().await.unwrap()), ["0"], "a batch is out");
        let began = Instant::now();
        live.policy.revoke_all();
        assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
        assert!(began.elapsed() < SOON);
        assert!(pull.try_recv().is_err());
        assert_eq!(pull.statistics().dropped.cut, 99);
        peers(&pull, 0).await;

        let (_, refusal) = refusal(&mut monitor).await;
        assert_eq!(refusal.reason, Reason::UnknownKey);
        push.send("again").await.unwrap();
        live.allow(Rights::all());
        admitted(&mut monitor).await;
        assert_eq!(texts(&pull.recv().await.unwrap()), ["again"]);
    }
}

#[tokio::test]
async fn nothing_more_goes_to_a_revoked_peer() {
    let _deadline = deadline();
    let live = Live::curve().narrow();
    let (push, pull, mut monitor) = live.link::<Push, Pull>().await;
    let sent = fill(&push).await;
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    let statistics = push.statistics();
    assert!(statistics.dropped.cut > 0, "{statistics:?}");
    assert_eq!(statistics.queued_to_peers, 0);
    // What was with the network may still come; then the client sees the end, and is refused.
    let mut received = 0;
    while !pull.peers().is_empty() {
        received += usize::from(pull.try_recv().is_ok());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(received < sent, "{received} of {sent}");
}

#[tokio::test]
async fn peers_whose_rights_stay_or_grow_keep_their_connection() {
    let _deadline = deadline();
    let live = Live::curve();
    let under = |prefix: &str| Topics::under([prefix.as_bytes().to_vec()]);
    live.allow(Rights::new(Topics::none(), under("a/")));
    let (publisher, subscriber, mut monitor) = live.link::<Pub, Sub>().await;
    let before = port(&publisher);
    subscriber.subscribe("b/");
    subscriber.subscribe("a/");
    publisher.wait_for_subscribers("a/", 1).await;

    live.allow(Rights::new(Topics::none(), under("a/")));
    live.allow(Rights::new(Topics::none(), Topics::All));
    while publisher.peers()[0].rights.subscribe != Topics::All {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(
        publisher.subscribers(b"b/").is_empty(),
        "it was refused then"
    );
    subscriber.unsubscribe("b/");
    subscriber.subscribe("b/");
    publisher.wait_for_subscribers("b/", 1).await;
    publisher.send("b/1").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["b/1"]);
    assert_eq!(port(&publisher), before, "the same connection");
    while let Some(event) = monitor.try_recv() {
        assert!(
            matches!(event.kind, LinkEventKind::Denied { .. }),
            "{event}"
        );
    }
}

#[tokio::test]
async fn peers_with_fewer_rights_or_another_name_are_cut() {
    let _deadline = deadline();
    let narrow = Rights::new(Topics::none(), Topics::All);
    let mut sized = Rights::all();
    sized.max_message = Some(1 << 20);
    for reply in [
        ZapReply::admit("user", narrow),
        ZapReply::admit("user", sized),
        ZapReply::admit("other", Rights::all()),
    ] {
        let live = Live::curve();
        let (pull, push, mut monitor) = live.link::<Pull, Push>().await;
        push.send("before").await.unwrap();
        waiting(&pull, 1).await;
        live.answer(reply.clone());
        let cut = disconnected(&mut monitor).await;
        assert_eq!(cut, Some(Reason::RightsNarrowed), "{reply:?}");
        // It comes back as what it is now.
        let peer = admitted(&mut monitor).await;
        assert_eq!(peer.name.as_deref(), Some(&*reply.user_id));
        assert_eq!(peer.rights, reply.rights);
        assert!(pull.try_recv().is_err());
    }
}

#[tokio::test]
async fn another_handler_reviews_the_peers_of_the_one_before() {
    let _deadline = deadline();
    let live = Live::curve();
    let (_pull, _push, mut monitor) = live.link::<Pull, Push>().await;
    // One that does not know how to review lets them stay.
    let context = &live.context;
    context.set_zap_handler(Policy(|_: &ZapRequest| ZapReply::deny(Reason::Denied)));
    live.policy.revoke_all();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(monitor.try_recv().is_none(), "the old one is not asked");
    context.set_zap_handler(live.policy.clone());
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
}

/// Admits everybody once `open` is closed, and nobody in a review.
#[derive(Debug)]
struct Slow {
    asked: Arc<tokio::sync::Notify>,
    open: Arc<tokio::sync::Notify>,
    panics: bool,
}

impl ZapHandler for Slow {
    fn authenticate<'a>(&'a self, _: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async {
            self.asked.notify_one();
            self.open.notified().await;
            ZapReply::admit("late", Rights::all())
        })
    }

    fn review(&self, _: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        assert!(!self.panics, "as the test wants it");
        assert_eq!(user_id, "late");
        Some(ZapReply::deny(Reason::UnknownKey))
    }
}

#[tokio::test]
async fn a_peer_that_is_admitted_while_the_policy_changes_is_reviewed_when_it_is_up() {
    let _deadline = deadline();
    for panics in [false, true] {
        let live = Live::curve();
        let notify = || Arc::new(tokio::sync::Notify::new());
        let (asked, open) = (notify(), notify());
        let slow = Arc::new(Slow {
            asked: asked.clone(),
            open: open.clone(),
            panics,
        });
        live.context.set_zap_handler(slow.clone());
        let pull = live.context.socket::<Pull>(live.server.clone());
        let push = live.context.socket::<Push>(live.client.clone());
        let mut monitor = pull.monitor();
        push.connect(&bind_tcp(&pull)).unwrap();
        push.send("early").await.unwrap();
        asked.notified().await;
        live.context.set_zap_handler(slow);
        open.notify_one();
        admitted(&mut monitor).await;
        let expected = if panics {
            Reason::HandlerError
        } else {
            Reason::Revoked
        };
        assert_eq!(disconnected(&mut monitor).await, Some(expected));
        assert!(pull.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_dialled_link_is_cut_too_and_what_waited_for_the_peer_does_not_reach_the_next() {
    let _deadline = deadline();
    let live = Live::curve().narrow();
    // Who connects is the server of the mechanism, and asks the policy.
    let push = live.context.socket::<Push>(live.server.clone());
    let pull = live.context.socket::<Pull>(live.client.clone());
    let mut monitor = push.monitor();
    push.connect(&bind_tcp(&pull)).unwrap();
    admitted(&mut monitor).await;
    let sent = fill(&push).await;
    assert!(push.try_send("full").is_err());
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    let cut = push.statistics().dropped.cut;
    assert!(cut > 0 && push.statistics().queued_to_peers == 0);
    push.send("for whoever comes").await.unwrap();
    live.allow(Rights::all());
    let mut received = 0;
    loop {
        let message = pull.recv().await.unwrap();
        if message.octets() < 100 {
            assert_eq!(texts(&message), ["for whoever comes"]);
            break;
        }
        received += 1;
    }
    assert!(received < sent, "{received} of {sent}, {cut} dropped");
}

#[tokio::test]
async fn a_request_of_a_revoked_peer_gets_no_reply_and_a_reply_of_one_is_not_received() {
    let _deadline = deadline();
    let live = Live::curve();
    let (rep, req, mut monitor) = live.link::<Rep, Req>().await;
    for _ in 0..3 {
        req.send("ping").await.unwrap();
        assert_eq!(texts(&rep.recv().await.unwrap()), ["ping"]);
        rep.send("pong").await.unwrap();
        req.recv().await.unwrap();
    }
    req.send("ping").await.unwrap();
    rep.recv().await.unwrap();
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    rep.send("pong").await.unwrap();
    assert_eq!(rep.statistics().dropped.unroutable, 1);
    peers(&req, 0).await;
    assert!(req.try_recv().is_err());

    let live = Live::curve();
    let (req, rep, mut monitor) = live.link::<Req, Rep>().await;
    req.send("ping").await.unwrap();
    rep.recv().await.unwrap();
    rep.send("pong").await.unwrap();
    waiting(&req, 1).await;
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    assert!(req.try_recv().is_err());
    assert_eq!(req.statistics().dropped.cut, 1);
}

#[tokio::test]
async fn an_xpub_keeps_no_message_of_a_revoked_peer_and_hears_that_its_subscriptions_ended() {
    let _deadline = deadline();
    let live = Live::curve();
    let (publisher, subscriber, mut monitor) = live.link::<Xpub, Xsub>().await;
    subscriber.send("\x01a").await.unwrap();
    subscriber.send(["up", "1"]).await.unwrap();
    waiting(&publisher, 2).await;
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    for expected in ["\x01a", "\0a"] {
        let shown = publisher.recv().await.unwrap();
        assert_eq!(shown, Message::from(expected));
    }
    assert!(publisher.try_recv().is_err());
    assert_eq!(publisher.statistics().dropped.cut, 1);
}

#[tokio::test]
async fn who_was_shown_before_its_rights_grew_can_still_be_subscribed() {
    let _deadline = deadline();
    let mut live = Live::curve();
    live.server = live.server.xpub_manual(true);
    let under = |prefix: &str| Topics::under([prefix.as_bytes().to_vec()]);
    live.allow(Rights::new(Topics::All, under("a")));
    let (publisher, subscriber, _monitor) = live.link::<Xpub, Sub>().await;
    subscriber.subscribe("a");
    let shown = publisher.recv().await.unwrap();
    let peer = shown.peer().unwrap().clone();
    let subscribe = |prefix: &'static str| publisher.subscribe_peer(&peer, prefix);
    assert_eq!(subscribe("b"), Err(SubscribePeerError::Denied));
    live.allow(Rights::all());
    while subscribe("b") != Ok(()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    publisher.send("b1").await.unwrap();
    subscriber.subscribe("b");
    publisher.recv().await.unwrap();
    publisher.send("b2").await.unwrap();
    let received = subscriber.recv().await.unwrap();
    assert!(["b1", "b2"].contains(&&*texts(&received)[0]));
}

#[tokio::test]
async fn a_link_ends_with_its_key_and_with_its_age() {
    let _deadline = deadline();
    let short = Duration::from_millis(300);
    let mut expiring = ZapReply::admit("user", Rights::all());
    expiring.expires = Some(SystemTime::now() + short);
    let mut aging = ZapReply::admit("user", Rights::all());
    aging.max_age = Some(short);
    for (reply, reason) in [(expiring, Reason::KeyExpired), (aging, Reason::SessionAge)] {
        let live = Live::curve();
        live.answer(reply);
        let began = Instant::now();
        let (pull, push, mut monitor) = live.link::<Pull, Push>().await;
        push.send("in time").await.unwrap();
        waiting(&pull, 1).await;
        assert_eq!(disconnected(&mut monitor).await, Some(reason));
        let lived = began.elapsed();
        let times = short - Duration::from_millis(50)..short + SOON;
        assert!(times.contains(&lived), "{lived:?}");
        if reason == Reason::SessionAge {
            assert_eq!(texts(&pull.recv().await.unwrap()), ["in time"]);
            admitted(&mut monitor).await;
        } else {
            assert!(pull.try_recv().is_err());
            let (_, refusal) = refusal(&mut monitor).await;
            assert_eq!(refusal.reason, Reason::KeyExpired);
        }
    }
}

#[tokio::test]
async fn a_term_that_a_change_sets_counts_for_links_that_are_up() {
    let _deadline = deadline();
    let live = Live::curve();
    let (_pull, _push, mut monitor) = live.link::<Pull, Push>().await;
    let mut reply = ZapReply::admit("user", Rights::all());
    reply.expires = Some(SystemTime::now() + Duration::from_millis(200));
    live.answer(reply);
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::KeyExpired));
}

#[tokio::test]
async fn the_application_ends_the_links_of_whom_it_chooses() {
    let _deadline = deadline();
    let live = Live::curve();
    let (router, dealer, mut monitor) = live.link::<Router, Dealer>().await;
    let key = live.key.as_ref().unwrap().public();
    dealer.send("waits").await.unwrap();
    waiting(&router, 1).await;
    let other = Some(keys().public());
    assert_eq!(router.disconnect_peers(|peer| peer.key == other), 0);
    assert_eq!(router.disconnect_peers(|peer| peer.key == Some(key)), 1);
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::PeerDropped));
    admitted(&mut monitor).await;
    let context = &live.context;
    assert_eq!(context.disconnect_peers(|peer| peer.key == Some(key)), 1);
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::PeerDropped));
    assert!(router.try_recv().is_err());
    // It may come back, until the policy says no.
    admitted(&mut monitor).await;
    live.policy.revoke_all();
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Revoked));
    peers(&router, 0).await;
    assert_eq!(router.disconnect_peers(|_| true), 0);
}

#[tokio::test]
async fn a_closed_socket_that_still_writes_stops_when_its_peer_is_revoked() {
    let _deadline = deadline();
    let mut live = Live::curve().narrow();
    live.server = live.server.linger(Duration::from_secs(60));
    let (push, _pull, mut monitor) = live.link::<Push, Pull>().await;
    fill(&push).await;
    push.close();
    live.policy.revoke_all();
    let cut = event(&mut monitor, |event| match event.kind {
        LinkEventKind::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(cut.await, Some(Reason::Revoked));
}
