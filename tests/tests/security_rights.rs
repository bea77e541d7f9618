//! What an admitted peer may publish and subscribe: checked where its octets arrive.

use std::sync::Arc;

use curvelink::{
    Action, Context, Credentials, Curve, Dealer, Frame, KeyPair, LinkEventKind, Message, Monitor,
    Options, Pub, Pull, Push, Reason, Rep, Req, Rights, Router, Socket, Sub, Topics, TryRecvError,
    Xpub, Xsub, ZapReply, ZapRequest,
};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, event, keys, peers, quick, refusal, texts,
};
use curvelink_zap::{Policy as ZapPolicy, PolicyHandler};

fn under(prefixes: &[&str]) -> Topics {
    Topics::under(prefixes.iter().map(|prefix| prefix.as_bytes().to_vec()))
}

/// A context whose policy gives one client rights under the name "limited", and others nothing.
fn limited(rights: Rights) -> (Context, Options, Options) {
    let context = Context::new().unwrap();
    let (server, client): (KeyPair, KeyPair) = (keys(), keys());
    let (server_key, client_key) = (server.public(), client.public());
    context.set_zap_handler(Policy(move |request: &ZapRequest| {
        match &request.credentials {
            Credentials::Curve(key) if *key == client_key => {
                ZapReply::admit("limited", rights.clone())
            }
            _ => ZapReply::deny(Reason::UnknownKey),
        }
    }));
    let server = quick().security(Curve::server(server));
    (
        context,
        server,
        quick().security(Curve::client(client, server_key)),
    )
}

async fn denied(monitor: &mut Monitor, expected: Action) -> u64 {
    let (action, name, count) = event(monitor, |event| match &event.kind {
        LinkEventKind::Denied {
            action,
            name,
            count,
            ..
        } => Some((*action, name.clone(), *count)),
        _ => None,
    })
    .await;
    assert_eq!((action, name.as_deref()), (expected, Some("limited")));
    count
}

#[tokio::test]
async fn a_publisher_ignores_subscriptions_outside_the_rights() {
    let _deadline = deadline();
    let rights = Rights::new(Topics::none(), under(&["findings/", "metrics"]));
    let (context, server, client) = limited(rights);
    let publisher = context.socket::<Pub>(server);
    let mut monitor = publisher.monitor();
    let subscriber = context.socket::<Sub>(client);
    for prefix in [
        "",
        "f",
        "findings",
        "remediate/",
        "metrics",
        "findings/sast",
    ] {
        subscriber.subscribe(prefix);
    }
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    publisher.wait_for_subscribers("metrics", 1).await;
    publisher.wait_for_subscribers("findings/sast", 1).await;
    denied(&mut monitor, Action::Subscribe).await;
    for topic in [
        "x",
        "findings/dast",
        "remediate/now",
        "findings/sast/1",
        "metrics/cpu",
    ] {
        publisher.send([topic, "body"]).await.unwrap();
    }
    for topic in ["findings/sast/1", "metrics/cpu"] {
        let message = subscriber.recv().await.unwrap();
        assert_eq!(texts(&message), [topic, "body"]);
    }
    assert_eq!(publisher.peers().len(), 1, "the link stays up");
    subscriber.close();
    let at_the_end = denied(&mut monitor, Action::Subscribe).await;
    assert_eq!(at_the_end, 3, "each of the four is told or counted");
}

#[tokio::test]
async fn an_xpub_is_not_shown_what_is_outside_the_rights() {
    let _deadline = deadline();
    let (context, server, client) = limited(Rights::new(under(&["up"]), under(&["a"])));
    let publisher = context.socket::<Xpub>(server);
    let mut monitor = publisher.monitor();
    let subscriber = context.socket::<Xsub>(client);
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    peers(&subscriber, 1).await;
    for message in ["\x01b", "\x01", "\x01ab"] {
        subscriber.send(message).await.unwrap();
    }
    let shown = publisher.recv().await.unwrap();
    assert_eq!(shown, Message::from("\x01ab"));
    assert_eq!(shown.peer().unwrap().name.as_deref(), Some("limited"));
    denied(&mut monitor, Action::Subscribe).await;
    subscriber.send(["down", "x"]).await.unwrap();
    subscriber.send(["up/1", "x"]).await.unwrap();
    assert_eq!(texts(&publisher.recv().await.unwrap()), ["up/1", "x"]);
    denied(&mut monitor, Action::Publish).await;
}

#[tokio::test]
async fn receivers_drop_topics_outside_the_senders_rights() {
    let _deadline = deadline();
    let topics = ["findings/1", "findings", "other", "", "findings/2"];
    let (context, server, client) = limited(Rights::new(under(&["findings/"]), Topics::none()));
    let pull = context.socket::<Pull>(server.clone());
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client.clone());
    push.connect(&bind_tcp(&pull)).unwrap();
    for topic in topics {
        push.send([topic, "body"]).await.unwrap();
    }
    assert_eq!(texts(&pull.recv().await.unwrap()), ["findings/1", "body"]);
    assert_eq!(texts(&pull.recv().await.unwrap()), ["findings/2", "body"]);
    denied(&mut monitor, Action::Publish).await;

    let subscriber = context.socket::<Sub>(server);
    let mut monitor = subscriber.monitor();
    subscriber.subscribe("");
    let publisher = context.socket::<Pub>(client);
    publisher.connect(&bind_tcp(&subscriber)).unwrap();
    publisher.wait_for_subscribers("", 1).await;
    for topic in topics {
        publisher.send([topic, "body"]).await.unwrap();
    }
    assert_eq!(
        texts(&subscriber.recv().await.unwrap()),
        ["findings/1", "body"]
    );
    assert_eq!(
        texts(&subscriber.recv().await.unwrap()),
        ["findings/2", "body"]
    );
    denied(&mut monitor, Action::Publish).await;
}

#[tokio::test]
async fn rights_count_where_the_side_that_asks_the_policy_connects_too() {
    let _deadline = deadline();
    let rights = Rights::new(under(&["up/"]), under(&["down/"]));
    let (context, server, client) = limited(rights);
    let pull = context.socket::<Pull>(server.clone());
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client.clone());
    pull.connect(&bind_tcp(&push)).unwrap();
    for topic in ["down/1", "up/1"] {
        push.send([topic, "body"]).await.unwrap();
    }
    assert_eq!(texts(&pull.recv().await.unwrap()), ["up/1", "body"]);
    denied(&mut monitor, Action::Publish).await;

    let publisher = context.socket::<Pub>(server);
    let mut monitor = publisher.monitor();
    let subscriber = context.socket::<Sub>(client);
    for prefix in ["", "up/", "down/"] {
        subscriber.subscribe(prefix);
    }
    publisher.connect(&bind_tcp(&subscriber)).unwrap();
    publisher.wait_for_subscribers("down/", 1).await;
    denied(&mut monitor, Action::Subscribe).await;
    for topic in ["up/1", "down/1"] {
        publisher.send([topic, "body"]).await.unwrap();
    }
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["down/1", "body"]);
}

#[tokio::test]
async fn no_topics_are_no_topics() {
    let _deadline = deadline();
    let (context, server, client) = limited(no_topics());
    let pull = context.socket::<Pull>(server.clone());
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client.clone());
    push.connect(&bind_tcp(&pull)).unwrap();
    for i in 0..500 {
        push.send(i.to_string()).await.unwrap();
    }
    push.close();
    let mut told = denied(&mut monitor, Action::Publish).await;
    while told < 500 {
        told += denied(&mut monitor, Action::Publish).await;
    }
    assert_eq!((told, pull.try_recv()), (500, Err(TryRecvError::Empty)));
}

#[tokio::test]
async fn sockets_without_topics_ask_for_none() {
    let _deadline = deadline();
    let (context, server, client) = limited(no_topics());
    let rep = context.socket::<Rep>(server);
    let req = context.socket::<Req>(client);
    req.connect(&bind_tcp(&rep)).unwrap();
    req.send("ask").await.unwrap();
    assert_eq!(texts(&rep.recv().await.unwrap()), ["ask"]);
    rep.send("answer").await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["answer"]);
}

#[tokio::test]
async fn no_rights_are_no_rights() {
    let _deadline = deadline();
    let (context, server, client) = limited(Rights::none());
    let rep = context.socket::<Rep>(server);
    let mut monitor = rep.monitor();
    let req = context.socket::<Req>(client);
    req.connect(&bind_tcp(&rep)).unwrap();
    let reason = event(&mut monitor, |event| match &event.kind {
        LinkEventKind::Refused(refusal) => Some(refusal.reason),
        _ => None,
    });
    assert_eq!(reason.await, Reason::PatternDenied);
}

fn no_topics() -> Rights {
    Rights::new(Topics::none(), Topics::none())
}

/// Topics of few letters, so that prefixes meet.
fn topic(random: &mut Random, longest: usize) -> String {
    let length = random.below(longest + 1);
    (0..length).map(|_| ['a', 'b'][random.below(2)]).collect()
}

#[tokio::test]
async fn random_rights_let_through_what_the_model_says() {
    let _deadline = deadline();
    let mut random = Random::new();
    for _ in 0..20 {
        let allowed: Vec<String> = (0..random.below(4))
            .map(|_| topic(&mut random, 3))
            .collect();
        let wanted: Vec<String> = (0..random.below(6))
            .map(|_| topic(&mut random, 4))
            .collect();
        let names: Vec<&str> = allowed.iter().map(|prefix| &**prefix).collect();
        let (context, server, client) = limited(Rights::new(Topics::none(), under(&names)));
        let publisher: Socket<Pub> = context.socket(server);
        let subscriber = context.socket::<Sub>(client);
        wanted
            .iter()
            .for_each(|prefix| subscriber.subscribe(prefix.clone()));
        subscriber.connect(&bind_tcp(&publisher)).unwrap();
        peers(&publisher, 1).await;
        let granted: Vec<&String> = wanted
            .iter()
            .filter(|prefix| allowed.iter().any(|allowed| prefix.starts_with(allowed)))
            .collect();
        for prefix in &granted {
            publisher.wait_for_subscribers(prefix.as_str(), 1).await;
        }
        let mut expected = Vec::new();
        for _ in 0..200 {
            let topic = topic(&mut random, 6);
            publisher.send(Frame::from(topic.clone())).await.unwrap();
            if granted
                .iter()
                .any(|prefix| topic.starts_with(prefix.as_str()))
            {
                expected.push(topic);
            }
        }
        for topic in expected {
            let message = subscriber.recv().await.unwrap();
            assert_eq!(texts(&message), [topic], "{allowed:?} {wanted:?}");
        }
        assert!(subscriber.try_recv().is_err(), "{allowed:?} {wanted:?}");
        context.shutdown().await;
    }
}

/// A policy that gives each of two keys an id of its own.
fn owners(first: &KeyPair, second: &KeyPair) -> Arc<PolicyHandler> {
    let entry = |name: &str, keys: &KeyPair| {
        let key = keys.public().to_z85();
        format!(
            "[identities.{name}]\ncurve = [{key:?}]\ndomains = [\"work\"]\n\
             publish = \"everything\"\nsubscribe = \"everything\"\nrouting_ids = [\"{name}-id\"]\n"
        )
    };
    let text = format!(
        "version = 1\n{}{}",
        entry("one", first),
        entry("two", second)
    );
    Arc::new(PolicyHandler::new(
        ZapPolicy::from_toml(&text, "zap.toml").unwrap(),
    ))
}

#[tokio::test]
async fn t16_a_routing_id_belongs_to_the_key_that_the_policy_file_gives_it_to() {
    let _deadline = deadline();
    for handover in [false, true] {
        let context = Context::new().unwrap();
        let (server, one, two) = (keys(), keys(), keys());
        let server_key = server.public();
        context.set_zap_handler(owners(&one, &two));
        let options = quick().zap_domain("work").router_handover(handover);
        let router = context.socket::<Router>(options.security(Curve::server(server)));
        let mut monitor = router.monitor();
        let endpoint = bind_tcp(&router);
        let dealer = |keys: &KeyPair, id: &str| {
            let client = Curve::client(keys.duplicate(), server_key);
            let dealer = context.socket::<Dealer>(quick().security(client).routing_id(id));
            dealer.connect(&endpoint).unwrap();
            dealer
        };
        let owner = dealer(&one, "one-id");
        admitted(&mut monitor).await;
        // Another's, nobody's, one that the router would make, and its own in another case.
        for (keys, id) in [
            (&two, "one-id"),
            (&one, "two-id"),
            (&one, "x"),
            (&one, "One-id"),
        ] {
            let thief = dealer(keys, id);
            let (_, refused) = refusal(&mut monitor).await;
            let fingerprint = Some(keys.public().fingerprint());
            assert_eq!(
                (refused.reason, refused.fingerprint),
                (Reason::RoutingIdDenied, fingerprint)
            );
            thief.close();
        }
        let other = dealer(&two, "two-id");
        admitted(&mut monitor).await;
        router.send(["one-id", "for one"]).await.unwrap();
        router.send(["two-id", "for two"]).await.unwrap();
        assert_eq!(texts(&owner.recv().await.unwrap()), ["for one"]);
        assert_eq!(texts(&other.recv().await.unwrap()), ["for two"]);
    }
}
