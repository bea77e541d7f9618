//! Somebody on the way cuts sealed connections: both sides know, and a link that was closed is told
//! from one that was cut.

use curvelink::{
    ConnectError, Context, Curve, LinkEventKind, Monitor, Options, Pub, Pull, Push, Reason,
    RefusedEndpoint, Rights, Side, Socket, Stage, Sub, Topics, ZapReply, ZapRequest,
};
use curvelink_tests::support::proxy::Proxy;
use curvelink_tests::support::relay::Relay;
use curvelink_tests::support::{
    Policy, admit, admitted, bind_tcp, curve, deadline, disconnected, event, keys, quick, refusal,
    texts,
};

fn context() -> Context {
    let context = Context::new().expect("a runtime");
    context.set_zap_handler(admit("anyone", Rights::all()));
    context
}

/// The octets of a PUSH before its first message: greeting, HELLO, INITIATE.
const HANDSHAKE: usize = 64 + (2 + 200) + (9 + 257 + 20 + 21);

/// A sealed message of one octet: its frame's header, and what CURVE adds.
const MESSAGE: usize = 2 + 33 + 1;

#[tokio::test]
async fn t02_a_connection_that_is_cut_between_or_within_frames_is_told_from_one_that_was_closed() {
    let _deadline = deadline();
    let context = context();
    let (server, client) = curve();
    let pull = context.socket::<Pull>(quick().security(server));
    let mut events = pull.monitor();
    let cuts = (0..4).flat_map(|whole| [0, 1, MESSAGE - 1].map(|more| whole * MESSAGE + more));
    let cuts: Vec<_> = cuts.map(|octets| HANDSHAKE + octets).collect();
    let proxy = Proxy::start(&bind_tcp(&pull), cuts.clone()).await;
    let push = context.socket::<Push>(quick().security(client));
    let mut theirs = push.monitor();
    push.connect(&proxy.endpoint()).expect("connects");
    let sender = push.clone();
    let sending = tokio::spawn(async move { while sender.send("x").await.is_ok() {} });
    let receiver = pull.clone();
    let receiving = tokio::spawn(async move { while receiver.recv().await.is_ok() {} });
    for cut in cuts {
        let reason = disconnected(&mut events).await;
        assert_eq!(reason, Some(Reason::Truncated), "server, cut at {cut}");
        // A client that has not heard READY yet has no link that could be cut.
        event(&mut theirs, |event| match event.kind {
            LinkEventKind::Disconnected { reason, .. } => {
                assert_eq!(reason, Some(Reason::Truncated), "client, cut at {cut}");
                Some(())
            }
            LinkEventKind::Refused(_) => Some(()),
            _ => None,
        })
        .await;
    }
    admitted(&mut theirs).await;
    sending.abort();
    push.close();
    assert_eq!(disconnected(&mut events).await, None, "closed on purpose");
    receiving.abort();
}

#[tokio::test]
async fn t02_what_was_sent_last_and_never_came_is_noticed() {
    let _deadline = deadline();
    let context = context();
    let (server, client) = curve();
    let pull = context.socket::<Pull>(quick().security(server));
    let mut events = pull.monitor();
    let relay = Relay::start(&bind_tcp(&pull)).await;
    let push = context.socket::<Push>(quick().security(client));
    let mut theirs = push.monitor();
    push.connect(&relay.endpoint()).expect("connects");
    push.send("arrives").await.expect("sends");
    assert_eq!(texts(&pull.recv().await.expect("receives")), ["arrives"]);
    relay.stall(true);
    push.send("is taken away").await.expect("sends");
    push.close();
    // All of it is written, and the end too: to somebody who keeps it.
    event(&mut theirs, |event| {
        matches!(event.kind, LinkEventKind::Stopped { dropped: 0, .. }).then_some(())
    })
    .await;
    relay.cut();
    assert_eq!(disconnected(&mut events).await, Some(Reason::Truncated));
}

#[tokio::test]
async fn either_side_that_closes_says_so_and_without_curve_nobody_asks() {
    let _deadline = deadline();
    for sealed in [true, false] {
        for server_closes in [true, false] {
            let context = context();
            let (server, client) = match sealed {
                true => {
                    let (server, client) = curve();
                    (quick().security(server), quick().security(client))
                }
                false => (quick(), quick()),
            };
            let pull = context.socket::<Pull>(server);
            let push = context.socket::<Push>(client);
            let mut monitors = [pull.monitor(), push.monitor()];
            push.connect(&bind_tcp(&pull)).expect("connects");
            for monitor in &mut monitors {
                admitted(monitor).await;
            }
            let [at_pull, at_push] = &mut monitors;
            let at_other = if server_closes {
                pull.close();
                at_push
            } else {
                push.close();
                at_pull
            };
            assert_eq!(
                disconnected(at_other).await,
                None,
                "{sealed} {server_closes}"
            );
        }
    }
}

fn domain(curve: Curve) -> Options {
    quick().security(curve).zap_domain("upstream")
}

/// A context whose policy answers about the servers that its sockets connect to.
fn asking(answer: impl Fn() -> ZapReply + Send + Sync + 'static) -> Context {
    let context = Context::new().expect("a runtime");
    context.set_zap_handler(Policy(move |request: &ZapRequest| {
        assert_eq!(&*request.domain, "upstream");
        answer()
    }));
    context
}

#[tokio::test]
async fn a_subscriber_that_connects_hears_only_what_its_server_may_publish() {
    let _deadline = deadline();
    let (server, client) = curve();
    let context = context();
    let publisher = context.socket::<Pub>(quick().security(server));
    let endpoint = bind_tcp(&publisher);
    let asking = asking(|| {
        let rights = Rights::new(Topics::under([b"a/".to_vec()]), Topics::All);
        ZapReply::admit("sensor", rights)
    });
    let subscriber = asking.socket::<Sub>(domain(client));
    let mut monitor = subscriber.monitor();
    subscriber.subscribe("");
    subscriber.connect(&endpoint).expect("connects");
    let peer = admitted(&mut monitor).await;
    assert_eq!(peer.name.as_deref(), Some("sensor"));
    publisher.wait_for_subscribers("", 1).await;
    for text in ["b/1", "a/1", "b/2", "a/2"] {
        publisher.send(text).await.expect("sends");
    }
    for text in ["a/1", "a/2"] {
        assert_eq!(texts(&subscriber.recv().await.expect("receives")), [text]);
    }
    denied(&mut monitor).await;
}

async fn denied(monitor: &mut Monitor) {
    event(monitor, |event| {
        matches!(event.kind, LinkEventKind::Denied { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn t13_a_server_that_the_clients_policy_does_not_know_gets_no_message() {
    let _deadline = deadline();
    let (server, client) = curve();
    let context = context();
    let pull: Socket<Pull> = context.socket(quick().security(server));
    let mut at_server = pull.monitor();
    let asking = asking(|| ZapReply::deny(Reason::UnknownKey));
    let push = asking.socket::<Push>(domain(client));
    let mut monitor = push.monitor();
    push.connect(&bind_tcp(&pull)).expect("connects");
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!((refused.by, refused.stage), (Side::Us, Stage::Admission));
    assert_eq!(
        (refused.reason, refused.status),
        (Reason::UnknownKey, Some(400))
    );
    assert!(push.peers().is_empty());
    assert_eq!(disconnected(&mut at_server).await, None, "left, not cut");
    assert!(pull.try_recv().is_err());
}

#[tokio::test]
async fn t13_a_client_in_a_domain_needs_somebody_to_ask() {
    let _deadline = deadline();
    let context = Context::new().expect("a runtime");
    let client = || Curve::client(keys(), keys().public());
    let push = context.socket::<Push>(domain(client()));
    let refused = push.connect("tcp://127.0.0.1:9");
    assert!(
        matches!(
            refused,
            Err(ConnectError::Refused(RefusedEndpoint::NoPolicy))
        ),
        "{refused:?}"
    );
    let push = context.socket::<Push>(quick().security(client()));
    push.connect("tcp://127.0.0.1:9")
        .expect("without a domain nobody is asked");
}
