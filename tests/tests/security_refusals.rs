//! Who was refused, at which stage and why: both sides are told (T17), and no refusal that
//! anybody can forge is the last word (T15).

use std::time::Duration;

use curvelink::{
    Context, Curve, EventId, Fingerprint, LinkEventKind, Mechanism, MechanismName, Monitor, Null,
    OnDeny, Options, Pair, PeerAddress, Plain, Pull, Push, Reason, Rep, Rights, Side, Stage,
    ZapReply, ZapRequest,
};
use curvelink_tests::support::{
    Policy, admit, admitted, bind_tcp, deadline, event, keys, quick, raw, refusal, texts,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use Reason::*;

const SOON: Duration = Duration::from_millis(200);

/// What a side was told.
#[derive(Debug, PartialEq)]
struct Told {
    by: Side,
    stage: Stage,
    reason: Reason,
    status: Option<u16>,
    fingerprint: Option<Fingerprint>,
}

fn told(by: Side, stage: Stage, reason: Reason) -> Told {
    Told {
        by,
        stage,
        reason,
        status: None,
        fingerprint: None,
    }
}

/// The next refusal, which must name the endpoint, the peer's address and our mechanism.
async fn next(monitor: &mut Monitor, endpoint: &str, mechanism: MechanismName) -> Told {
    let (event, refusal) = refusal(monitor).await;
    assert_eq!(&*event.endpoint, endpoint);
    assert!(matches!(event.address, Some(PeerAddress::Tcp(address)) if address.ip().is_loopback()));
    assert_eq!(refusal.mechanism, mechanism);
    assert_eq!(event.kind.id(), Some(EventId::Refused));
    let shown = event.to_string();
    assert!(shown.contains(refusal.reason.code()), "{shown}");
    Told {
        by: refusal.by,
        stage: refusal.stage,
        reason: refusal.reason,
        status: refusal.status,
        fingerprint: refusal.fingerprint,
    }
}

/// Connects a client to a server; what each of the two was told.
async fn both(context: &Context, server: Options, client: Options) -> (Told, Told) {
    let mechanism = server_mechanism(&server);
    let pull = context.socket::<Pull>(server);
    let mut at_server = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let push = context.socket::<Push>(client.clone().refused_interval(10 * SOON));
    let mut at_client = push.monitor();
    push.connect(&endpoint).unwrap();
    let server = next(&mut at_server, &endpoint, mechanism).await;
    let client = next(&mut at_client, &endpoint, server_mechanism(&client)).await;
    assert!(pull.peers().is_empty() && push.peers().is_empty());
    (server, client)
}

/// The mechanism's name, as `Debug` of the options shows which it is.
fn server_mechanism(options: &Options) -> MechanismName {
    let shown = format!("{options:?}");
    [MechanismName::CURVE, MechanismName::PLAIN]
        .into_iter()
        .find(|name| {
            let start = format!("mechanism: {}", name.as_str());
            shown.to_uppercase().contains(&start.to_uppercase())
        })
        .unwrap_or(MechanismName::NULL)
}

fn with(mechanism: impl Mechanism) -> Options {
    quick().security(mechanism)
}

#[tokio::test]
async fn t17_an_unknown_key_is_told_with_its_fingerprint() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(|_: &ZapRequest| ZapReply::deny(UnknownKey)));
    let (server, client) = (keys(), keys());
    let fingerprint = Some(client.public().fingerprint());
    let client = Curve::client(client, server.public());
    let options = with(Curve::server(server));
    let (at_server, at_client) = both(&context, options.clone(), with(client.clone())).await;
    let expected = Told {
        status: Some(400),
        fingerprint,
        ..told(Side::Us, Stage::Admission, UnknownKey)
    };
    assert_eq!(at_server, expected);
    let expected = Told {
        status: Some(400),
        ..told(Side::Peer, Stage::Handshake, Denied)
    };
    assert_eq!(at_client, expected, "the peer learns three digits");
    let silent = options.on_deny(OnDeny::Close);
    let (_, at_client) = both(&context, silent, with(client)).await;
    assert_eq!(
        at_client,
        told(Side::Peer, Stage::Handshake, Denied),
        "a guess from the moment"
    );
}

#[tokio::test]
async fn t17_each_status_reaches_the_client_as_rfc_26_has_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for (reply, reason, status) in [
        (ZapReply::temporary(), Denied, None), // a silent close
        (ZapReply::deny(AddressDenied), Denied, Some(400)),
        (ZapReply::failed(), HandlerError, Some(500)),
    ] {
        context.set_zap_handler(Policy(move |_: &ZapRequest| reply.clone()));
        let plain = Plain::client("user", "password").unwrap();
        let (_, at_client) = both(&context, with(Plain::server()), with(plain)).await;
        let expected = Told {
            status,
            ..told(Side::Peer, Stage::Handshake, reason)
        };
        assert_eq!(at_client, expected);
        let domain = quick().zap_domain("build");
        let (_, at_client) = both(&context, domain, quick()).await;
        assert_eq!(at_client.status, status, "NULL");
    }
}

#[tokio::test]
async fn t17_another_server_key_is_told_on_both_sides() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let elsewhere = keys().public();
    let client = with(Curve::client(keys(), elsewhere));
    let (at_server, at_client) = both(&context, with(Curve::server(keys())), client).await;
    assert_eq!(at_server, told(Side::Us, Stage::Handshake, WrongServerKey));
    let expected = Told {
        fingerprint: Some(elsewhere.fingerprint()),
        ..told(Side::Peer, Stage::Handshake, WrongServerKey)
    };
    assert_eq!(at_client, expected);
}

#[tokio::test]
async fn t17_another_mechanism_is_told_on_both_sides() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let mismatch = || told(Side::Us, Stage::Greeting, MechanismMismatch);
    let server = || with(Curve::server(keys()));
    let plain = Plain::client("user", "password").unwrap();
    for (server, client) in [
        (server(), with(Null::new())),
        (server(), with(plain)),
        (
            with(Null::new()),
            with(Curve::client(keys(), keys().public())),
        ),
    ] {
        assert_eq!(
            both(&context, server, client).await,
            (mismatch(), mismatch())
        );
    }
}

#[tokio::test]
async fn t17_what_is_not_zmtp_3_is_told_by_its_first_octets() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let two = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x08"[..], &[0; 4]].concat();
    let one = b"\xff\0\0\0\0\0\0\0\x01\x7e\0\0";
    for mechanism in [with(Null::new()), with(Curve::server(keys()))] {
        let pull = context.socket::<Pull>(mechanism.clone());
        let mut monitor = pull.monitor();
        let endpoint = bind_tcp(&pull);
        for (octets, reason) in [
            (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], NotZmtp),
            (b"SSH-2.0-x\r\n", NotZmtp),
            (b"\x01\0\x05\0HELLO", LegacyVersion),
            (one, LegacyVersion),
            (&two, LegacyVersion),
        ] {
            let mut stranger = raw::dial(&endpoint, octets).await;
            let told_us = next(&mut monitor, &endpoint, server_mechanism(&mechanism)).await;
            assert_eq!(
                told_us,
                told(Side::Us, Stage::Greeting, reason),
                "{octets:?}"
            );
            let said = raw::closed(&mut stranger).await;
            assert!(said.len() <= 64, "nothing but our greeting");
        }
        let mut stranger = raw::dial(&endpoint, b"").await;
        stranger.shutdown().await.unwrap();
        let told_us = next(&mut monitor, &endpoint, server_mechanism(&mechanism)).await;
        assert_eq!(told_us, told(Side::Peer, Stage::Greeting, NotZmtp));
    }
}

#[tokio::test]
async fn t17_a_client_at_a_port_that_does_not_speak_zmtp_is_told_so() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (listener, endpoint) = listen().await;
        let push = context.socket::<Push>(quick());
        let mut monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        let (mut client, _) = listener.accept().await.unwrap();
        // A client may hold the rest of its greeting back until it knows whom it talks to.
        let octets = client.read(&mut [0; 64]).await.unwrap();
        assert!(octets >= 10);
        client.write_all(answer).await.unwrap();
        drop(client);
        let refused = next(&mut monitor, &endpoint, MechanismName::NULL).await;
        assert_eq!((refused.stage, refused.reason), (Stage::Greeting, NotZmtp));
    }
}

#[tokio::test]
async fn t17_silence_is_told_with_the_stage_that_it_came_at() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let options = with(Curve::server(keys())).greeting_timeout(SOON);
    let pull = context.socket::<Pull>(options.handshake_timeout(2 * SOON));
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let mut silent = raw::dial(&endpoint, b"").await;
    let told_us = next(&mut monitor, &endpoint, MechanismName::CURVE).await;
    assert_eq!(told_us, told(Side::Us, Stage::Greeting, Timeout));
    raw::closed(&mut silent).await;
    let mut silent = raw::dial(&endpoint, &raw::greeting("CURVE")).await;
    let told_us = next(&mut monitor, &endpoint, MechanismName::CURVE).await;
    assert_eq!(told_us, told(Side::Us, Stage::Handshake, Timeout));
    raw::closed(&mut silent).await;

    let (_listener, endpoint) = listen().await;
    let push = context.socket::<Push>(quick().greeting_timeout(SOON));
    let mut monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let told_us = next(&mut monitor, &endpoint, MechanismName::NULL).await;
    assert_eq!(told_us, told(Side::Us, Stage::Greeting, Timeout));
}

#[tokio::test]
async fn t17_the_handshake_has_one_deadline_however_slowly_octets_come() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = quick().greeting_timeout(SOON).handshake_timeout(SOON);
    let pull = context.socket::<Pull>(options);
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let mut dribbling = raw::dial(&endpoint, b"").await;
    let dribble = async {
        for octet in raw::null_peer(&[("Socket-Type", b"PUSH")]) {
            let _cut_by_then = dribbling.write_all(&[octet]).await;
            tokio::time::sleep(SOON / 20).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        told_us = next(&mut monitor, &endpoint, MechanismName::NULL) => {
            assert_eq!(told_us, told(Side::Us, Stage::Greeting, Timeout));
        }
        () = dribble => {}
    }
}

#[tokio::test]
async fn t17_malformed_handshakes_are_told() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let push = &[("Socket-Type", &b"PUSH"[..])][..];
    let large = vec![b'x'; 17_000];
    let cases = [
        (raw::null_peer(&[]), SocketType),
        (raw::null_peer(&[("Socket-Type", b"PULL")]), SocketType),
        (raw::null_peer(&[("Socket-Type", b"NONSENSE")]), SocketType),
        (raw::null_peer(&[push[0], push[0]]), Malformed),
        (raw::null_peer(&[push[0], ("Identity", b"\0x")]), Malformed),
        (
            raw::null_peer(&[push[0], ("Identity", &[1; 256])]),
            Malformed,
        ),
        (raw::null_peer(&[push[0], ("X", &large)]), TooLarge),
        (
            [raw::greeting("NULL"), raw::frame(0, b"early")].concat(),
            Malformed,
        ),
        (
            [raw::greeting("NULL"), raw::command("HELLO", b"")].concat(),
            Malformed,
        ),
    ];
    for (octets, reason) in cases {
        let mut stranger = raw::dial(&endpoint, &octets).await;
        let told_us = next(&mut monitor, &endpoint, MechanismName::NULL).await;
        assert_eq!(told_us, told(Side::Us, Stage::Handshake, reason));
        raw::closed(&mut stranger).await;
    }
    let mut gone = raw::dial(&endpoint, &raw::greeting("NULL")).await;
    gone.shutdown().await.unwrap();
    let told_us = next(&mut monitor, &endpoint, MechanismName::NULL).await;
    assert_eq!(told_us, told(Side::Peer, Stage::Handshake, Closed));
}

#[tokio::test]
async fn t17_a_pattern_that_refuses_tells_the_key() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let server = keys();
    let server_key = server.public();
    let pair = context.socket::<Pair>(with(Curve::server(server)));
    let mut monitor = pair.monitor();
    let endpoint = bind_tcp(&pair);
    let first = context.socket::<Pair>(with(Curve::client(keys(), server_key)));
    first.connect(&endpoint).unwrap();
    admitted(&mut monitor).await;
    let second = keys();
    let expected = Told {
        fingerprint: Some(second.public().fingerprint()),
        ..told(Side::Us, Stage::Admission, Exclusive)
    };
    let second = context.socket::<Pair>(with(Curve::client(second, server_key)));
    second.connect(&endpoint).unwrap();
    assert_eq!(
        next(&mut monitor, &endpoint, MechanismName::CURVE).await,
        expected
    );
}

#[tokio::test]
async fn types_that_do_not_match_are_told_with_the_key_under_curve() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let (server, client) = (keys(), keys());
    let fingerprint = Some(client.public().fingerprint());
    let mechanism = Curve::client(client, server.public());
    let rep = context.socket::<Rep>(with(Curve::server(server)));
    let mut monitor = rep.monitor();
    let endpoint = bind_tcp(&rep);
    let push = context.socket::<Push>(with(mechanism));
    push.connect(&endpoint).unwrap();
    let expected = Told {
        fingerprint,
        ..told(Side::Us, Stage::Handshake, SocketType)
    };
    assert_eq!(
        next(&mut monitor, &endpoint, MechanismName::CURVE).await,
        expected
    );
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

/// Between the client and its server, an attacker on the way: of each connection in turn, so many
/// octets of the server's are let through, then comes an ERROR, then the end.
async fn inject(listener: TcpListener, server: String, after: Vec<usize>, error: Vec<u8>) {
    for octets in after {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(&server[6..]).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let up = tokio::spawn(async move {
            let _either_end = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        let mut let_through = from_server.take(octets as u64);
        tokio::io::copy(&mut let_through, &mut to_client)
            .await
            .unwrap();
        to_client.write_all(&error).await.unwrap();
        up.await.unwrap();
    }
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(&server[6..]).await.unwrap();
        tokio::spawn(async move {
            let _either_end = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[tokio::test]
async fn t15_an_injected_error_at_any_step_never_stops_a_client_for_good() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let server = keys();
    let curve = Curve::client(keys(), server.public());
    let plain = Plain::client("user", "password").unwrap();
    // Whole steps of the server's: its greeting, then WELCOME.
    let steps = [
        (with(Null::new()), with(Null::new()), vec![64]),
        (with(Plain::server()), with(plain), vec![64, 64 + 10]),
        (with(Curve::server(server)), with(curve), vec![64, 64 + 170]),
    ];
    for (server, client, after) in steps {
        let pull = context.socket::<Pull>(server);
        let real = bind_tcp(&pull);
        let (listener, endpoint) = listen().await;
        let error = raw::command("ERROR", b"\x03400");
        let attacker = tokio::spawn(inject(listener, real, after.clone(), error));
        let push = context.socket::<Push>(client);
        let mut monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        for _ in &after {
            let (_, refused) = refusal(&mut monitor).await;
            assert_eq!((refused.by, refused.reason), (Side::Peer, Denied));
            assert_eq!(
                (refused.stage, refused.status),
                (Stage::Handshake, Some(400))
            );
            event(&mut monitor, |event| {
                matches!(event.kind, LinkEventKind::Retrying { .. }).then_some(())
            })
            .await;
        }
        push.send("through").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["through"]);
        attacker.abort();
    }
}

#[tokio::test]
async fn t15_an_error_instead_of_a_greeting_or_after_the_handshake_is_no_refusal() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let error = raw::command("ERROR", b"\x03400");
    let (listener, endpoint) = listen().await;
    let push = context.socket::<Push>(quick());
    let mut monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let (mut client, _) = listener.accept().await.unwrap();
    client.write_all(&error).await.unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!((refused.stage, refused.reason), (Stage::Greeting, NotZmtp));
    let (mut client, _) = listener.accept().await.unwrap();
    let greeting = raw::null_peer(&[("Socket-Type", b"PULL")]);
    client.write_all(&[greeting, error].concat()).await.unwrap();
    admitted(&mut monitor).await;
    push.send("still up").await.unwrap();
    raw::skip_greeting(&mut client).await;
    raw::read_frame(&mut client).await.unwrap();
    assert_eq!(raw::read_frame(&mut client).await.unwrap().1, b"still up");
}

#[tokio::test]
async fn a_refused_client_waits_longer_each_time_and_gets_in_once_the_policy_is_mended() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(|_: &ZapRequest| ZapReply::deny(UnknownKey)));
    let (server, client) = curvelink_tests::support::curve();
    let pull = context.socket::<Pull>(with(server));
    let options = with(client).refused_interval(Duration::from_millis(8));
    let push = context.socket::<Push>(options);
    let mut monitor = push.monitor();
    push.connect(&bind_tcp(&pull)).unwrap();
    for milliseconds in [8, 16, 32] {
        let after = event(&mut monitor, |event| match event.kind {
            LinkEventKind::Retrying { after, .. } => Some(after),
            _ => None,
        })
        .await;
        let full = Duration::from_millis(milliseconds);
        assert!(
            after <= full && after >= full * 3 / 4,
            "{after:?} of {full:?}"
        );
    }
    context.set_zap_handler(admit("mended", Rights::all()));
    push.send("in").await.unwrap();
    let message = pull.recv().await.unwrap();
    assert_eq!(message.peer().unwrap().name.as_deref(), Some("mended"));
}
