//! Peers of other versions of ZMTP, octet for octet: 3.0 is served, 1.0 and 2.0 are refused.
//!
//! What the old versions send was written down from RFC 13 and 15; no libzmq of today speaks as
//! they did.

use curvelink::{
    Context, MechanismName, Pub, Pull, Reason, Refusal, Side, Socket, Stage, Sub, Xpub,
};
use curvelink_tests::support::raw::{closed, command, dial, frame, greeting, metadata, read_frame};
use curvelink_tests::support::{admitted, bind_tcp, deadline, quick, refusal};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The octets of a NULL peer of ZMTP 3.0 up to its READY.
fn null_peer_of_3_0(socket_type: &str) -> Vec<u8> {
    let mut greeting = greeting("NULL");
    greeting[11] = 0;
    let properties = metadata(&[("Socket-Type", socket_type.as_bytes()), ("Identity", b"")]);
    [greeting, command("READY", &properties)].concat()
}

/// Connects and reads our greeting and READY.
async fn join(endpoint: &str, socket_type: &str) -> TcpStream {
    let mut stream = dial(endpoint, &null_peer_of_3_0(socket_type)).await;
    curvelink_tests::support::raw::skip_greeting(&mut stream).await;
    let (flags, body) = read_frame(&mut stream).await.expect("READY");
    assert!(flags == 4 && body.starts_with(b"\x05READY"));
    stream
}

#[tokio::test]
async fn a_3_0_subscriber_subscribes_and_cancels_by_messages() {
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let publisher = context.socket::<Pub>(quick());
    let mut sub = join(&bind_tcp(&publisher), "SUB").await;

    sub.write_all(&frame(0, b"\x01a")).await.expect("writes");
    publisher.wait_for_subscribers("a", 1).await;
    assert_eq!(publisher.subscribers(b"a")[0].minor, 0);
    publisher.send(["b", "unwanted"]).await.expect("sends");
    publisher.send(["a", "wanted"]).await.expect("sends");
    assert_eq!(read_frame(&mut sub).await, Some((1, b"a".to_vec())));
    assert_eq!(read_frame(&mut sub).await, Some((0, b"wanted".to_vec())));

    let changes = [frame(0, b"\x00a"), frame(0, b"\x01b")].concat();
    sub.write_all(&changes).await.expect("writes");
    publisher.wait_for_subscribers("b", 1).await;
    assert!(publisher.subscribers(b"a").is_empty());
}

#[tokio::test]
async fn a_3_1_peer_may_subscribe_by_messages_too() {
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let xpub = context.socket::<Xpub>(quick());
    let mut octets = null_peer_of_3_0("XSUB");
    octets[11] = 1;
    octets.extend(frame(0, b"\x01old form"));
    octets.extend(command("SUBSCRIBE", b"new form"));
    let _stream = dial(&bind_tcp(&xpub), &octets).await;
    for expected in [b"\x01old form", b"\x01new form"] {
        assert_eq!(xpub.recv().await, Ok([&expected[..]].into()));
    }
}

#[tokio::test]
async fn a_3_0_publisher_is_told_subscriptions_by_messages() {
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let sub = context.socket::<Sub>(quick());
    sub.subscribe("a");
    let mut publisher = join(&bind_tcp(&sub), "PUB").await;
    assert_eq!(
        read_frame(&mut publisher).await,
        Some((0, b"\x01a".to_vec()))
    );
    sub.subscribe("b");
    sub.unsubscribe("a");
    assert_eq!(
        read_frame(&mut publisher).await,
        Some((0, b"\x01b".to_vec()))
    );
    assert_eq!(
        read_frame(&mut publisher).await,
        Some((0, b"\x00a".to_vec()))
    );

    // It may send more than it was asked for; only what was wanted is received.
    let messages = [frame(0, b"a, late"), frame(0, b"b, in time")].concat();
    publisher.write_all(&messages).await.expect("writes");
    assert_eq!(sub.recv().await, Ok("b, in time".into()));
}

/// Tells a PULL these octets; what it says to that, and of it.
async fn told(pull: &Socket<Pull>, endpoint: &str, octets: &[u8]) -> (Vec<u8>, Refusal) {
    let mut monitor = pull.monitor();
    let mut stream = dial(endpoint, octets).await;
    let (_, refusal) = refusal(&mut monitor).await;
    (closed(&mut stream).await, refusal)
}

#[tokio::test]
async fn zmtp_1_and_2_are_refused_and_3_0_is_not() {
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let pull = context.socket::<Pull>(quick());
    let endpoint = bind_tcp(&pull);
    let signature = b"\xff\0\0\0\0\0\0\0\x01\x7f";
    let old = [
        // 1.0: an anonymous peer, a named one, one with a name of 255 octets, each with a message.
        b"\x01\0\x06\0hello".to_vec(),
        b"\x06\0alice\x06\0hello".to_vec(),
        [&b"\xff\0\0\0\0\0\0\x01\0\0"[..], &[b'x'; 255]].concat(),
        // 2.0: revision 1, the type PUSH, an empty identity, a message. Then 2.1.
        [&signature[..], b"\x01\x08\0\0\0\x05hello"].concat(),
        [&signature[..], b"\x02\x08\0\0\0\x05hello"].concat(),
    ];
    let mechanism = MechanismName::NULL;
    let expected = Refusal::new(Side::Us, Stage::Greeting, Reason::LegacyVersion, mechanism);
    for octets in old {
        let (said, refusal) = told(&pull, &endpoint, &octets).await;
        assert_eq!(refusal, expected, "{octets:?}");
        // Signature and major version, and not a word more.
        assert_eq!(said.len(), 11, "{octets:?}");
    }
    assert!(pull.try_recv().is_err());

    let mut monitor = pull.monitor();
    let mut push = join(&endpoint, "PUSH").await;
    admitted(&mut monitor).await;
    push.write_all(&frame(0, b"hello")).await.expect("writes");
    assert_eq!(pull.recv().await, Ok("hello".into()));
}
