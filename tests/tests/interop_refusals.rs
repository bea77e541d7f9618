//! Who is refused, between curvelink and libzmq, and what both sides' monitors say of it.

use std::time::Duration;

use curvelink::{
    Context, Curve, KeyPair, MechanismName, Monitor, Null, Options, Plain, Pull, Push, Reason,
    Refusal, Side, Socket, Stage, ZapHandler, ZapReply, ZapRequest,
};
use curvelink_tests::peer::ZmqPeer;
use curvelink_tests::peer::security::{
    PASSWORD, allow, allow_list, curve_client, curve_server, plain, plain_client,
};
use curvelink_tests::support::{Policy, admitted, deadline, keys, quick, refusal};
use serde_json::{Value, json};

/// The numbers of `zmq.h`, "Socket transport events": protocol errors are values of an event.
const ZMTP_CRYPTOGRAPHIC: u64 = 0x1100_0001;
const ZMTP_MECHANISM_MISMATCH: u64 = 0x1100_0002;

/// A PULL of ours that a stranger of the peer's tries to reach.
struct Server {
    pull: Socket<Pull>,
    monitor: Monitor,
    endpoint: String,
    keys: KeyPair,
}

impl Server {
    fn start(context: &Context, options: impl FnOnce(KeyPair) -> Options) -> Self {
        let keys = keys();
        let pull = context.socket::<Pull>(options(keys.duplicate()));
        let monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").expect("binds").to_string();
        Self {
            pull,
            monitor,
            endpoint,
            keys,
        }
    }
}

fn context(policy: impl ZapHandler) -> Context {
    let context = Context::new().expect("a runtime");
    context.set_zap_handler(policy);
    context
}

fn curve(keys: KeyPair) -> Options {
    quick().security(Curve::server(keys))
}

/// Has a PUSH of the peer's connect, and gives how we refused it.
async fn refused(peer: &mut ZmqPeer, server: &mut Server, options: Value) -> Refusal {
    let endpoint = ("connect", &*server.endpoint);
    peer.open("stranger", "PUSH", endpoint, &options);
    let (event, refusal) = refusal(&mut server.monitor).await;
    assert_eq!(*event.endpoint, *server.endpoint);
    assert!(event.address.is_some());
    assert!(server.pull.peers().is_empty());
    refusal
}

fn by_us(stage: Stage, reason: Reason, mechanism: MechanismName) -> Refusal {
    Refusal::new(Side::Us, stage, reason, mechanism)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_an_unknown_key_is_denied_by_name_and_a_known_one_is_let_in() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let (known, unknown) = (keys(), keys());
    let context = context(allow_list(vec![(known.public(), "known")]));
    let mut server = Server::start(&context, curve);

    let options = curve_client(&unknown, server.keys.public());
    let refusal = refused(&mut peer, &mut server, options).await;
    let mut expected = by_us(Stage::Admission, Reason::UnknownKey, MechanismName::CURVE);
    expected.fingerprint = Some(unknown.public().fingerprint());
    expected.status = Some(400);
    assert_eq!(refusal, expected);
    assert_eq!(peer.await_event("stranger", "HANDSHAKE_FAILED_AUTH"), 400);

    let options = curve_client(&known, server.keys.public());
    peer.open("known", "PUSH", ("connect", &server.endpoint), &options);
    peer.ask(json!({"do": "send", "socket": "known", "message": ["from a known one"]}));
    let message = server.pull.recv().await.expect("receives");
    assert_eq!(message, "from a known one".into());
    assert_eq!(
        message.peer().and_then(|peer| peer.key),
        Some(known.public())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_pins_another_server_is_told_nothing() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let client = keys();
    let context = context(allow_list(vec![(client.public(), "client")]));
    let mut server = Server::start(&context, curve);

    let options = curve_client(&client, keys().public());
    let refusal = refused(&mut peer, &mut server, options).await;
    let expected = by_us(
        Stage::Handshake,
        Reason::WrongServerKey,
        MechanismName::CURVE,
    );
    assert_eq!(refusal, expected);
    peer.await_event("stranger", "HANDSHAKE_FAILED_NO_DETAIL");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_mechanism_is_refused_at_the_greeting() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context(allow_list(vec![]));
    for (mechanism, options) in [
        (MechanismName::CURVE, json!({})),
        (MechanismName::CURVE, plain_client(PASSWORD)),
        (MechanismName::PLAIN, json!({})),
        (MechanismName::PLAIN, curve_client(&keys(), keys().public())),
        (MechanismName::NULL, plain_client(PASSWORD)),
    ] {
        let mut server = Server::start(&context, |keys| match mechanism {
            MechanismName::CURVE => curve(keys),
            MechanismName::PLAIN => quick().security(Plain::server()),
            _ => quick().security(Null::new()),
        });
        let refusal = refused(&mut peer, &mut server, options).await;
        let expected = by_us(Stage::Greeting, Reason::MechanismMismatch, mechanism);
        assert_eq!(refusal, expected);
        let value = peer.await_event("stranger", "HANDSHAKE_FAILED_PROTOCOL");
        assert_eq!(value, ZMTP_MECHANISM_MISMATCH);
        peer.ask(json!({"do": "close", "socket": "stranger"}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_denied_in_the_form_that_libzmq_knows() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context(allow_list(vec![]));
    let mut server = Server::start(&context, |_| quick().security(Plain::server()));

    let options = plain_client("open/doors");
    let refusal = refused(&mut peer, &mut server, options).await;
    let mut expected = by_us(Stage::Admission, Reason::UnknownUser, MechanismName::PLAIN);
    expected.status = Some(400);
    assert_eq!(refusal, expected);
    assert_eq!(peer.await_event("stranger", "HANDSHAKE_FAILED_AUTH"), 400);

    let options = plain_client(PASSWORD);
    peer.open("known", "PUSH", ("connect", &server.endpoint), &options);
    admitted(&mut server.monitor).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_cannot_decide_refuses_and_one_that_waits_lets_the_client_return() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let failing = context(Policy(|_: &ZapRequest| ZapReply::failed()));
    let mut server = Server::start(&failing, curve);
    let options = curve_client(&keys(), server.keys.public());
    let refusal = refused(&mut peer, &mut server, options).await;
    assert_eq!(
        (refusal.reason, refusal.status),
        (Reason::HandlerError, Some(500))
    );
    assert_eq!(peer.await_event("stranger", "HANDSHAKE_FAILED_AUTH"), 500);
    peer.ask(json!({"do": "close", "socket": "stranger"}));

    // 300 is no word to the client, which comes back by itself.
    let waiting = context(Policy(|_: &ZapRequest| ZapReply::temporary()));
    let mut server = Server::start(&waiting, curve);
    let options = curve_client(&keys(), server.keys.public());
    let refusal = refused(&mut peer, &mut server, options).await;
    assert_eq!(
        (refusal.reason, refusal.status),
        (Reason::Temporary, Some(300))
    );
    peer.await_event("stranger", "HANDSHAKE_FAILED_NO_DETAIL");
    let (_, again) = curvelink_tests::support::refusal(&mut server.monitor).await;
    assert_eq!(again.reason, Reason::Temporary);
}

/// A PUSH of ours that connects to the peer's PULL, and how it was refused.
async fn refused_by(peer: &mut ZmqPeer, server: Value, client: Options) -> Refusal {
    let context = Context::new().expect("a runtime");
    let endpoint = peer.open("server", "PULL", ("bind", "tcp://127.0.0.1:*"), &server);
    let push = context.socket::<Push>(client);
    let mut monitor = push.monitor();
    push.connect(&endpoint).expect("connects");
    push.send("from a stranger")
        .await
        .expect("waits in the queue");
    let (_, refusal) = refusal(&mut monitor).await;
    refusal
}

fn by_peer(stage: Stage, reason: Reason, mechanism: MechanismName) -> Refusal {
    Refusal::new(Side::Peer, stage, reason, mechanism)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_denies_our_unknown_key_and_lets_us_in_once_it_is_listed() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let (server, client, other) = (keys(), keys(), keys());
    allow(&mut peer, &[other.public()]);
    let endpoint = ("bind", "tcp://127.0.0.1:*");
    let endpoint = peer.open("server", "PULL", endpoint, &curve_server(&server));

    let context = Context::new().expect("a runtime");
    let options = quick().security(Curve::client(client.duplicate(), server.public()));
    let push = context.socket::<Push>(options);
    let mut monitor = push.monitor();
    push.connect(&endpoint).expect("connects");
    push.send("early").await.expect("waits in the queue");
    let (_, refused) = refusal(&mut monitor).await;
    let mut expected = by_peer(Stage::Handshake, Reason::Denied, MechanismName::CURVE);
    expected.status = Some(400);
    assert_eq!(refused, expected);
    assert_eq!(peer.await_event("server", "HANDSHAKE_FAILED_AUTH"), 400);

    // libzmq's own clients would have given up for good.
    allow(&mut peer, &[other.public(), client.public()]);
    let known = admitted(&mut monitor).await;
    assert_eq!(known.key, Some(server.public()));
    let received = peer.ask(json!({"do": "receive", "socket": "server"}));
    assert_eq!(received, json!([["early"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_server_key_is_told_from_a_denial() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let client = keys();
    allow(&mut peer, &[client.public()]);
    let pinned = keys().public();
    let options = quick().security(Curve::client(client, pinned));
    let refusal = refused_by(&mut peer, curve_server(&keys()), options).await;
    let mut expected = by_peer(
        Stage::Handshake,
        Reason::WrongServerKey,
        MechanismName::CURVE,
    );
    expected.fingerprint = Some(pinned.fingerprint());
    assert_eq!(refusal, expected);
    let value = peer.await_event("server", "HANDSHAKE_FAILED_PROTOCOL");
    assert_eq!(value, ZMTP_CRYPTOGRAPHIC);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_mechanism_is_refused_at_the_greeting() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let curve = || Curve::client(keys(), keys().public());
    let cases = [
        (json!({}), quick().security(curve()), MechanismName::CURVE),
        (
            json!({}),
            quick().security(plain(PASSWORD)),
            MechanismName::PLAIN,
        ),
        (json!({"PLAIN_SERVER": 1}), quick(), MechanismName::NULL),
        (
            json!({"PLAIN_SERVER": 1}),
            quick().security(curve()),
            MechanismName::CURVE,
        ),
        (curve_server(&keys()), quick(), MechanismName::NULL),
    ];
    for (server, client, mechanism) in cases {
        let refusal = refused_by(&mut peer, server, client).await;
        let expected = by_us(Stage::Greeting, Reason::MechanismMismatch, mechanism);
        assert_eq!(refusal, expected);
        let value = peer.await_event("server", "HANDSHAKE_FAILED_PROTOCOL");
        assert_eq!(value, ZMTP_MECHANISM_MISMATCH);
        peer.ask(json!({"do": "close", "socket": "server"}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_denies_our_wrong_password() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    allow(&mut peer, &[]);
    let options = quick().security(plain("open/doors"));
    let refusal = refused_by(&mut peer, json!({"PLAIN_SERVER": 1}), options).await;
    let mut expected = by_peer(Stage::Handshake, Reason::Denied, MechanismName::PLAIN);
    expected.status = Some(400);
    assert_eq!(refusal, expected);
    assert_eq!(peer.await_event("server", "HANDSHAKE_FAILED_AUTH"), 400);
    assert_eq!(
        peer.ask(json!({"do": "waiting", "socket": "server"})),
        false
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_client_waits_before_it_tries_again() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    allow(&mut peer, &[]);
    let server = keys();
    let endpoint = ("bind", "tcp://127.0.0.1:*");
    let endpoint = peer.open("server", "PULL", endpoint, &curve_server(&server));
    let context = Context::new().expect("a runtime");
    let options = Options::new().security(Curve::client(keys(), server.public()));
    let push = context.socket::<Push>(options);
    let mut monitor = push.monitor();
    push.connect(&endpoint).expect("connects");
    refusal(&mut monitor).await;
    let pause = curvelink_tests::support::event(&mut monitor, |event| match event.kind {
        curvelink::LinkEventKind::Retrying { after, .. } => Some(after),
        _ => None,
    });
    assert!(pause.await >= Duration::from_secs(45));
}
