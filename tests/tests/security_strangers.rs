//! What strangers send: silence, other protocols, forged metadata, data where none is wanted.

use std::time::Duration;

use curvelink::{
    AnySocket, Context, Curve, Dealer, LinkEventKind, Message, Options, Plain, Pub, PublicKey,
    Pull, Push, Reason, Rights, Router, Socket, SourceLimits, Stage, TryRecvError, ZapReply,
    ZapRequest,
};
use curvelink_tests::support::{
    Policy, admit, admitted, bind_tcp, curve, deadline, disconnected, event, keys, number, peers,
    probes, quick, raw, refusal, texts,
};
use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

async fn strangers(endpoint: &str, count: usize, octets: &[u8]) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(raw::dial(endpoint, octets).await);
    }
    all
}

/// How much of a handshake over CURVE a client says: some of its greeting, all of it, some of HELLO,
/// all of it, some of INITIATE, and all of that but an octet.
const STEPS: [u64; 6] = [9, 64, 164, 266, 300, 266 + 2 + 266];

/// A client of which so many octets reach the server, and then no more: its socket, and the link
/// that holds them back.
async fn stopping(
    context: &Context,
    endpoint: &str,
    server: PublicKey,
    octets: u64,
) -> (Socket<Pull>, AbortOnDrop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("tcp://{}", listener.local_addr().unwrap());
    let client = context.socket::<Pull>(quick().security(Curve::client(keys(), server)));
    client.connect(&own).unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let far = raw::dial(endpoint, b"").await;
    let (from_client, mut to_client) = near.into_split();
    let (mut from_server, mut to_server) = far.into_split();
    let (told, reached) = oneshot::channel();
    let link = tokio::spawn(async move {
        let _cut = io::copy(&mut from_client.take(octets), &mut to_server).await;
        let _nobody_waits = told.send(());
        // Open, and nothing more comes.
        std::future::pending::<()>().await;
    });
    let back = tokio::spawn(async move { io::copy(&mut from_server, &mut to_client).await });
    reached.await.unwrap();
    (
        client,
        AbortOnDrop([link.abort_handle(), back.abort_handle()]),
    )
}

struct AbortOnDrop([AbortHandle; 2]);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

#[tokio::test]
async fn t07_silent_connections_take_no_message_and_keep_nobody_out() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("good", Rights::all()));
    let server = keys();
    let server_key = server.public();
    // All of them come from one address here, and would be told to come more slowly.
    let options = Options::new().source_limits(SourceLimits::none());
    let push = context.socket::<Push>(options.security(Curve::server(server)));
    let endpoint = bind_tcp(&push);
    let silent = strangers(&endpoint, 200, b"").await;
    let mut stopped = Vec::new();
    for octets in STEPS.iter().cycle().take(200) {
        stopped.push(stopping(&context, &endpoint, server_key, *octets).await);
    }
    assert!(push.try_send("x").is_err(), "none of them is a peer");
    let pulls: Vec<_> = (0..100)
        .map(|_| {
            let client = Curve::client(keys(), server_key);
            let pull = context.socket::<Pull>(quick().security(client));
            pull.connect(&endpoint).unwrap();
            pull
        })
        .collect();
    peers(&push, 100).await;
    for i in 0..500 {
        push.send(i.to_string()).await.unwrap();
    }
    let mut received = Vec::new();
    for pull in &pulls {
        for _ in 0..5 {
            received.push(number(&pull.recv().await.unwrap()));
        }
    }
    received.sort_unstable();
    assert_eq!(received, (0..500).collect::<Vec<_>>());
    drop((silent, stopped));
}

#[tokio::test]
async fn t07_slots_of_silent_connections_are_freed_in_time() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let timeout = Duration::from_millis(150);
    let options = quick().max_handshakes(4).greeting_timeout(timeout);
    let pull = context.socket::<Pull>(options);
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let silent = strangers(&endpoint, 8, b"").await;
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    push.send("patient").await.unwrap();
    let (mut open, mut most, mut ended, mut timeouts) = (0, 0, 0, 0);
    while ended < 8 {
        match monitor.recv().await.unwrap().kind {
            LinkEventKind::Accepted => open += 1,
            LinkEventKind::Refused(refusal) => {
                let silent = [Reason::Timeout, Reason::RateLimited];
                assert!(silent.contains(&refusal.reason));
                timeouts += usize::from(refusal.reason == Reason::Timeout);
                (open, ended) = (open - 1, ended + 1);
            }
            LinkEventKind::HandshakeSucceeded(_) => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert_eq!(most, 4, "as many as there are slots");
    assert!(timeouts > 0, "the last have nobody to give way to");
    assert_eq!(texts(&pull.recv().await.unwrap()), ["patient"]);
    drop(silent);
}

/// What knows enough of ZMTP 3 to greet, and then says what killed others: lengths that nobody has
/// memory for.
fn greeters(mechanism: &str) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for length in [u64::MAX, u64::MAX >> 1, 1 << 62, 1 << 32, 20_000] {
        for flags in [0x02, 0x06] {
            let mut octets = raw::greeting(mechanism);
            octets.push(flags);
            octets.extend_from_slice(&length.to_be_bytes());
            octets.extend_from_slice(&[0x41; 256]);
            all.push(octets);
        }
    }
    all
}

/// A server over tcp and ipc with a good peer on each: every probe, over each, is refused with an
/// event, while both peers go on.
async fn probe(mechanism: &str, server: Options, client: Options) {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("good", Rights::all()));
    let pull = context.socket::<Pull>(server.greeting_timeout(Duration::from_millis(100)));
    let ipc = format!("ipc://{}", path.display());
    let tcp = bind_tcp(&pull);
    pull.bind(&ipc).unwrap();
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client);
    push.connect(&tcp).unwrap();
    push.connect(&ipc).unwrap();
    peers(&push, 2).await;
    peers(&pull, 2).await;

    let mut probes: Vec<_> = probes::strangers()
        .into_iter()
        .map(|(name, octets)| (Some(name), octets))
        .collect();
    let others = greeters(mechanism).into_iter().chain(probes::noise(40));
    probes.extend(others.map(|octets| (None, octets)));
    for (i, (name, octets)) in probes.iter().enumerate() {
        let mut one = raw::dial(&tcp, octets).await;
        let mut other = UnixStream::connect(&path).await.unwrap();
        let _cut_by_then = other.write_all(octets).await;
        let _cut_by_then = (one.shutdown().await, other.shutdown().await);
        let mut endpoints = Vec::new();
        for _ in 0..2 {
            let (event, refused) = refusal(&mut monitor).await;
            endpoints.push(event.endpoint.to_string());
            match name {
                Some(name) => {
                    let told = matches!(refused.reason, Reason::NotZmtp | Reason::LegacyVersion);
                    assert!(
                        told && refused.stage == Stage::Greeting,
                        "{name}: {refused:?}"
                    );
                }
                None => assert!(matches!(refused.stage, Stage::Greeting | Stage::Handshake)),
            }
        }
        endpoints.sort();
        assert_eq!(endpoints, [ipc.as_str(), &tcp]);
        for message in [2 * i, 2 * i + 1] {
            push.send(message.to_string()).await.unwrap();
        }
        let mut received = [0; 2];
        for received in &mut received {
            *received = number(&pull.recv().await.unwrap());
        }
        received.sort_unstable();
        assert_eq!(received, [2 * i as u64, 2 * i as u64 + 1]);
    }
    println!("{mechanism}: {} probes refused twice", probes.len());
    assert_eq!(pull.peers().len(), 2);
    let nothing = pull.try_recv();
    assert_eq!(nothing, Err(TryRecvError::Empty), "no octet came through");
}

#[tokio::test]
async fn t14_strangers_are_refused_by_null_and_others_go_on() {
    probe("NULL", quick(), quick()).await;
}

#[tokio::test]
async fn t14_strangers_are_refused_by_plain_and_others_go_on() {
    let login = Plain::client("user", "password").unwrap();
    let (server, client) = (quick().security(Plain::server()), quick().security(login));
    probe("PLAIN", server, client).await;
}

#[tokio::test]
async fn t14_strangers_are_refused_by_curve_and_others_go_on() {
    let (server, client) = curve();
    probe("CURVE", quick().security(server), quick().security(client)).await;
}

#[tokio::test]
async fn t14_a_length_that_nobody_has_memory_for_cuts_the_peer_that_claims_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let endpoint = bind_tcp(&pull);
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    admitted(&mut monitor).await;
    for length in [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 40, (16 << 20) + 1] {
        let mut evil = raw::join(&endpoint, &[("Socket-Type", b"PUSH")]).await;
        admitted(&mut monitor).await;
        let mut octets = vec![0x02];
        octets.extend_from_slice(&length.to_be_bytes());
        octets.extend_from_slice(&[0x41; 4096]);
        evil.write_all(&octets).await.unwrap();
        assert_eq!(
            disconnected(&mut monitor).await,
            Some(Reason::TooLarge),
            "{length:#x}"
        );
        raw::closed(&mut evil).await;
        push.send("on").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["on"]);
    }
}

#[tokio::test]
async fn t14_reserved_flags_and_broken_commands_cut_the_peer() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let endpoint = bind_tcp(&pull);
    let mut monitor = pull.monitor();
    for octets in [
        raw::frame(0x08, b"x"),
        raw::frame(0x80, b"x"),
        raw::frame(0x05, b"\x04PING\0\0"),
        raw::frame(0x04, b""),
        raw::frame(0x04, b"\x09PING"),
        raw::command("PING", b"\0"),
        raw::command("PING", &[0; 19]),
    ] {
        let mut evil = raw::join(&endpoint, &[("Socket-Type", b"PUSH")]).await;
        admitted(&mut monitor).await;
        evil.write_all(&octets).await.unwrap();
        assert_eq!(
            disconnected(&mut monitor).await,
            Some(Reason::Malformed),
            "{octets:?}"
        );
    }
    let mut good = raw::join(&endpoint, &[("Socket-Type", b"PUSH")]).await;
    let unknown = raw::command("NOVEL", b"ignored");
    good.write_all(&[unknown, raw::frame(0, b"kept")].concat())
        .await
        .unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["kept"]);
}

#[tokio::test]
async fn t09_data_to_sockets_that_only_send_is_dropped() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick());
    let publisher = context.socket::<Pub>(quick());
    let data = raw::frame(0, &[b'x'; 200]).repeat(5000);

    let mut puller = raw::join(&bind_tcp(&push), &[("Socket-Type", b"PULL")]).await;
    puller.write_all(&data).await.unwrap();
    push.send("out").await.unwrap();
    assert_eq!(raw::read_frame(&mut puller).await.unwrap().1, b"out");
    assert!(push.any().try_recv().is_err());
    assert_eq!(counted(push.any(), 5000).await, 5000);

    let mut subscriber = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"SUB")]).await;
    subscriber.write_all(&data).await.unwrap();
    let subscribe = [raw::command("SUBSCRIBE", b"a"), raw::frame(0, b"\x01b")].concat();
    subscriber.write_all(&subscribe).await.unwrap();
    publisher.wait_for_subscribers("b", 1).await;
    for topic in ["x", "a", "b"] {
        publisher.send(topic).await.unwrap();
    }
    assert_eq!(raw::read_frame(&mut subscriber).await.unwrap().1, b"a");
    assert_eq!(raw::read_frame(&mut subscriber).await.unwrap().1, b"b");
    assert!(publisher.any().try_recv().is_err());
    assert_eq!(counted(publisher.any(), 5000).await, 5000);
}

/// How many messages were dropped unread, once there are so many: they are read when the socket
/// gets to it.
async fn counted(socket: &AnySocket, at_least: u64) -> u64 {
    while socket.statistics().dropped.unread < at_least {
        tokio::task::yield_now().await;
    }
    socket.statistics().dropped.unread
}

#[tokio::test]
async fn t09_data_to_a_publisher_of_the_same_context_is_dropped() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    publisher.bind("inproc://p").unwrap();
    let upstream = context.socket::<curvelink::Xsub>(quick());
    upstream.connect("inproc://p").unwrap();
    for _ in 0..5000 {
        upstream.send("upstream").await.unwrap();
    }
    assert_eq!(
        upstream.dropped(),
        0,
        "nothing is kept that could fill a queue"
    );
    assert_eq!(counted(publisher.any(), 5000).await, 5000);
}

#[tokio::test]
async fn t23_metadata_gives_no_name_and_no_address() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let endpoint = bind_tcp(&pull);
    for name in ["User-Id", "user-id", "Peer-Address", "__fd", "X-Name"] {
        let properties = [("Socket-Type", &b"PUSH"[..]), (name, b"admin")];
        let mut liar = raw::join(&endpoint, &properties).await;
        let address = liar.local_addr().unwrap();
        liar.write_all(&raw::frame(0, b"hello")).await.unwrap();
        let message = pull.recv().await.unwrap();
        let peer = message.peer().unwrap();
        assert_eq!((peer.name.as_deref(), peer.key), (None, None), "{name}");
        assert_eq!(peer.address.to_string(), address.to_string());
        assert!(!peer.to_string().contains("admin"), "{peer}");
    }
}

#[tokio::test]
async fn t23_the_name_and_the_key_are_the_policys() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (server, scanner, other) = (keys(), keys(), keys());
    let (server_key, known) = (server.public(), scanner.public());
    context.set_zap_handler(Policy(move |request: &ZapRequest| {
        match request.credentials {
            curvelink::Credentials::Curve(key) if key == known => {
                ZapReply::admit("scanner", Rights::all())
            }
            _ => ZapReply::admit("guest", Rights::all()),
        }
    }));
    let pull = context.socket::<Pull>(quick().security(Curve::server(server)));
    let endpoint = bind_tcp(&pull);
    for (keys, name) in [(scanner, "scanner"), (other, "guest")] {
        let key = keys.public();
        let client = Curve::client(keys, server_key);
        let push = context.socket::<Push>(quick().security(client));
        let mut monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        push.send(name).await.unwrap();
        let message = pull.recv().await.unwrap();
        let peer = message.peer().unwrap();
        assert_eq!((peer.name.as_deref(), peer.key), (Some(name), Some(key)));
        let server = admitted(&mut monitor).await;
        assert_eq!(
            (server.key, &server.name),
            (Some(server_key), &None),
            "the client's side"
        );
    }
}

#[tokio::test]
async fn messages_keep_their_sender_when_it_has_gone() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(|request: &ZapRequest| match &request.credentials {
        curvelink::Credentials::Plain { username, .. } => {
            ZapReply::admit(String::from_utf8_lossy(username), Rights::all())
        }
        _ => ZapReply::failed(),
    }));
    let pull = context.socket::<Pull>(quick().security(Plain::server()));
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    for name in ["a", "b", "c"] {
        let plain = Plain::client(name, "password").unwrap();
        let push = context.socket::<Push>(quick().security(plain));
        push.connect(&endpoint).unwrap();
        push.send(name).await.unwrap();
        push.close();
        disconnected(&mut monitor).await;
    }
    for _ in 0..3 {
        let message = pull.recv().await.unwrap();
        let name = message.peer().unwrap().name.clone().unwrap();
        assert_eq!(texts(&message), [&*name]);
    }
}

#[tokio::test]
async fn a_forwarded_message_takes_nobody_elses_name_along() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (front, back) = (
        context.socket::<Pull>(quick()),
        context.socket::<Push>(quick()),
    );
    let source = context.socket::<Push>(quick());
    source.connect(&bind_tcp(&front)).unwrap();
    let sink = context.socket::<Pull>(quick());
    sink.bind("inproc://sink").unwrap();
    back.connect("inproc://sink").unwrap();
    source.send("x").await.unwrap();
    let message: Message = front.recv().await.unwrap();
    assert_ne!(
        message.peer().unwrap().address,
        curvelink::PeerAddress::Inproc
    );
    back.send(message).await.unwrap();
    let message = sink.recv().await.unwrap();
    assert_eq!(
        message.peer().unwrap().address,
        curvelink::PeerAddress::Inproc
    );
}

#[tokio::test]
async fn t16_routing_ids_of_every_length_and_kind() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(quick());
    let endpoint = bind_tcp(&router);
    let mut monitor = router.monitor();
    for length in [0, 1, 254, 255] {
        let id = vec![b'i'; length];
        let properties = [("Socket-Type", &b"DEALER"[..]), ("Identity", &id[..])];
        let mut dealer = raw::join(&endpoint, &properties).await;
        assert_eq!(admitted(&mut monitor).await.routing_id, id);
        dealer.write_all(&raw::frame(0, b"x")).await.unwrap();
        let shown = router.recv().await.unwrap().pop_front().unwrap();
        if length == 0 {
            assert_eq!((shown.len(), shown[0]), (5, 0), "one of our own making");
        } else {
            assert_eq!(shown[..], id);
        }
    }
    for id in [&[1; 256][..], b"\0", b"\0\0\0\0\x01"] {
        let properties = [("Socket-Type", &b"DEALER"[..]), ("Identity", id)];
        let mut dealer = raw::dial(&endpoint, &raw::null_peer(&properties)).await;
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!(refused.reason, Reason::Malformed);
        raw::closed(&mut dealer).await;
    }
}

#[tokio::test]
async fn t16_another_key_cannot_take_a_live_peers_routing_id() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let server = keys();
    let server_key = server.public();
    let router = context.socket::<Router>(quick().security(Curve::server(server)));
    let mut monitor = router.monitor();
    let endpoint = bind_tcp(&router);
    router.bind("inproc://router").unwrap();
    let dealer = |keys| {
        let client = Curve::client(keys, server_key);
        context.socket::<Dealer>(quick().security(client).routing_id("victim"))
    };
    let victim = dealer(keys());
    victim.connect(&endpoint).unwrap();
    admitted(&mut monitor).await;
    let thief = keys();
    let fingerprint = thief.public().fingerprint();
    let thief = dealer(thief);
    thief.connect(&endpoint).unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(
        (refused.reason, refused.fingerprint),
        (Reason::RoutingId, Some(fingerprint))
    );
    let local = context.socket::<Dealer>(quick().routing_id("victim"));
    local.connect("inproc://router").unwrap();
    event(&mut monitor, |event| match &event.kind {
        LinkEventKind::Refused(refusal) if &*event.endpoint == "inproc://router" => {
            assert_eq!(refusal.reason, Reason::RoutingId);
            Some(())
        }
        _ => None,
    })
    .await;
    router.send(["victim", "secret"]).await.unwrap();
    assert_eq!(texts(&victim.recv().await.unwrap()), ["secret"]);
    assert!(thief.try_recv().is_err() && local.try_recv().is_err());
}
