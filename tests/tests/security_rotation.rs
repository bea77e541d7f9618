//! Servers that exchange their key while clients come and go, and what each side sees of it.

use std::time::Duration;

use curvelink::{
    Context, Curve, LinkEventKind, Monitor, Options, PublicKey, Pull, Push, Reason, Rights,
    ServerKeys, Side, Socket, Stage,
};
use curvelink_tests::peer::ZmqPeer;
use curvelink_tests::peer::security::{allow, allow_list, curve_client, curve_server};
use curvelink_tests::support::{
    admit, admitted, bind_tcp, deadline, event, free_endpoint, keys, quick, refusal, texts,
};
use serde_json::json;

fn context() -> Context {
    let context = Context::new().expect("a runtime");
    context.set_zap_handler(admit("anyone", Rights::all()));
    context
}

fn with(curve: Curve) -> Options {
    quick().security(curve)
}

/// A PUSH of ours that pins these keys, and its events.
fn pinning(context: &Context, pins: &[PublicKey], endpoint: &str) -> (Socket<Push>, Monitor) {
    let mut curve = Curve::client(keys(), pins[0]);
    for pin in &pins[1..] {
        curve = curve.or_server(*pin).expect("another key");
    }
    let push = context.socket::<Push>(with(curve));
    let monitor = push.monitor();
    push.connect(endpoint).expect("connects");
    (push, monitor)
}

/// The next wait before an attempt.
async fn retrying(monitor: &mut Monitor) -> Duration {
    event(monitor, |event| match event.kind {
        LinkEventKind::Retrying { after, .. } => Some(after),
        _ => None,
    })
    .await
}

/// A refusal by a server that does not have the key that was tried; gives how long the wait is.
async fn does_not_have(monitor: &mut Monitor, key: PublicKey) -> Duration {
    let (_, refused) = refusal(monitor).await;
    assert_eq!((refused.by, refused.stage), (Side::Peer, Stage::Handshake));
    assert_eq!(refused.reason, Reason::WrongServerKey);
    assert_eq!(refused.fingerprint, Some(key.fingerprint()));
    retrying(monitor).await
}

async fn passes(push: &Socket<Push>, pull: &Socket<Pull>, text: &str) {
    push.send(text).await.expect("sends");
    assert_eq!(texts(&pull.recv().await.expect("receives")), [text]);
}

#[tokio::test]
async fn a_bound_server_exchanges_its_key_and_cuts_nobody() {
    let _deadline = deadline();
    let context = context();
    let (old, new) = (keys(), keys());
    let held = ServerKeys::new(old.duplicate());
    let pull = context.socket::<Pull>(with(Curve::server(held.clone())));
    let mut events = pull.monitor();
    let endpoint = bind_tcp(&pull);

    let (first, _) = pinning(&context, &[old.public()], &endpoint);
    assert_eq!(admitted(&mut events).await.our_key, Some(old.public()));
    held.replace(old.duplicate(), Some(new.duplicate()))
        .expect("two keys");
    for (key, text) in [(&old, "second"), (&new, "third")] {
        let (push, mut monitor) = pinning(&context, &[key.public()], &endpoint);
        assert_eq!(admitted(&mut events).await.our_key, Some(key.public()));
        assert_eq!(admitted(&mut monitor).await.key, Some(key.public()));
        passes(&push, &pull, text).await;
    }
    held.replace(new.duplicate(), None).expect("one key");
    passes(&first, &pull, "still up").await;
    let (late, mut monitor) = pinning(&context, &[old.public(), new.public()], &endpoint);
    let wait = does_not_have(&mut monitor, old.public()).await;
    assert!(wait <= Duration::from_millis(1), "{wait:?}");
    passes(&late, &pull, "fourth").await;
}

#[tokio::test]
async fn a_client_goes_round_its_pins_at_once_and_then_waits_longer_each_time() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(with(Curve::server(keys())));
    let pins = [keys(), keys(), keys()].map(|keys| keys.public());
    let (_push, mut monitor) = pinning(&context, &pins, &bind_tcp(&pull));
    for round in [5, 10, 20] {
        for (at, pin) in pins.into_iter().enumerate() {
            let wait = does_not_have(&mut monitor, pin).await;
            let longest = if at < 2 { 1 } else { round };
            let full = Duration::from_millis(longest);
            assert!(
                wait <= full && wait >= full * 3 / 4,
                "{wait:?} {at} {round}"
            );
        }
    }
}

#[tokio::test]
async fn each_endpoint_of_a_client_has_its_own_server_key() {
    let _deadline = deadline();
    let context = context();
    let servers = [keys(), keys()];
    let pins = servers.each_ref().map(|keys| keys.public());
    let pulls = servers.map(|keys| context.socket::<Pull>(with(Curve::server(keys))));
    let curve = Curve::client(keys(), pins[0]).or_server(pins[1]).unwrap();
    let push = context.socket::<Push>(with(curve));
    let mut monitor = push.monitor();
    for (pull, pin) in pulls.iter().zip(pins) {
        push.connect(&bind_tcp(pull)).expect("connects");
        assert_eq!(admitted(&mut monitor).await.key, Some(pin));
    }
    assert_eq!(push.peers().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_libzmq_with_the_old_and_the_new_key_are_served_in_an_exchange() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let clients = [keys(), keys()];
    let names = [
        (clients[0].public(), "behind"),
        (clients[1].public(), "ahead"),
    ];
    context.set_zap_handler(allow_list(names.to_vec()));
    let (old, new) = (keys(), keys());
    let held = ServerKeys::new(old.duplicate())
        .with_next(new.duplicate())
        .expect("two keys");
    let pull = context.socket::<Pull>(with(Curve::server(held)));
    let endpoint = bind_tcp(&pull);
    for (client, server, (_, name)) in
        [(&clients[0], &old, names[0]), (&clients[1], &new, names[1])]
    {
        let options = curve_client(client, server.public());
        peer.open(name, "PUSH", ("connect", &endpoint), &options);
        peer.ask(json!({"do": "send", "socket": name, "message": [name]}));
        let message = pull.recv().await.expect("receives");
        let peer = message.peer().expect("a link");
        assert_eq!(
            (peer.name.as_deref(), peer.our_key),
            (Some(name), Some(server.public()))
        );
        assert_eq!(texts(&message), [name]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_the_next_key_of_a_libzmq_server() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let (old, new, client) = (keys(), keys(), keys());
    allow(&mut peer, &[client.public()]);
    let endpoint = free_endpoint();
    peer.open("pull", "PULL", ("bind", &endpoint), &curve_server(&new));
    let curve = Curve::client(client, old.public())
        .or_server(new.public())
        .unwrap();
    let push = context.socket::<Push>(with(curve));
    let mut monitor = push.monitor();
    push.connect(&endpoint).expect("connects");
    does_not_have(&mut monitor, old.public()).await;
    assert_eq!(admitted(&mut monitor).await.key, Some(new.public()));
    peer.tell(json!({"do": "receive", "socket": "pull"}));
    push.send("found").await.expect("sends");
    peer.answer();
}
