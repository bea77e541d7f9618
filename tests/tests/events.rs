//! What an operator is told: the catalogue and its page say the same, a flood is a few events, and
//! nothing that a peer chose gets out of its line.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use curvelink::{
    Context, Curve, EventId, Options, PeerAddress, Pub, Pull, Push, Rights, SecurityEvent,
    SecurityEvents, Sub, Topics,
};
use curvelink_tests::proofs::root;
use curvelink_tests::support::{admit, bind_tcp, curve, deadline, event, keys, quick, raw};
use tokio::io::AsyncWriteExt as _;

/// The rows of the page's table as the code would have them.
fn rows() -> Vec<String> {
    let row = |id: &EventId| {
        let fields: Vec<String> = id.fields().iter().map(|name| format!("`{name}`")).collect();
        format!(
            "| {} | `{}` | {} | {} | {} | {} |",
            id.code(),
            id.name(),
            id.severity(),
            if id.is_default() { "yes" } else { "no" },
            id.telling(),
            fields.join(" ")
        )
    };
    EventId::ALL.iter().map(row).collect()
}

#[test]
fn the_page_lists_the_events_that_the_code_has_and_no_others() {
    let page = fs::read_to_string(root().join("docs/events.md")).unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| CL"))
        .collect();
    let rows = rows();
    assert_eq!(
        listed,
        rows,
        "docs/events.md should say\n{}",
        rows.join("\n")
    );
}

#[test]
fn the_page_says_of_each_event_what_it_is() {
    let page = fs::read_to_string(root().join("docs/events.md")).unwrap();
    for id in EventId::ALL {
        let heading = format!("* **{}**", id.code());
        let said = page.lines().filter(|line| line.starts_with(&heading));
        assert_eq!(said.count(), 1, "{id}");
    }
}

fn drain(events: &mut SecurityEvents) -> Vec<SecurityEvent> {
    std::iter::from_fn(|| events.try_recv()).collect()
}

async fn next(events: &mut SecurityEvents, id: EventId) -> SecurityEvent {
    loop {
        let event = events.recv().await.expect("the context is open");
        if event.id == id {
            return event;
        }
    }
}

fn refused(host: u8) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Refused, SystemTime::now());
    let address = ([192, 0, host, 1], 4711).into();
    event.at(Some(PeerAddress::Tcp(address)));
    event.reason = Some("unknown-key");
    event
}

#[tokio::test]
async fn a_context_tells_who_came_what_it_did_and_how_it_ended() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rights = Rights::new(Topics::under([b"findings/".to_vec()]), Topics::none());
    context.set_zap_handler(admit("ci", rights));
    let mut events = context.events();
    let (server, client) = curve();
    let sub = context.socket::<Sub>(quick().security(server).zap_domain("hub"));
    let endpoint = bind_tcp(&sub);
    sub.subscribe("");
    // A context of its own, so that one side tells.
    let elsewhere = Context::new().unwrap();
    let publisher = elsewhere.socket::<Pub>(quick().security(client));
    publisher.connect(&endpoint).unwrap();
    let accepted = next(&mut events, EventId::Accepted).await;
    publisher.wait_for_subscribers("remediate/", 1).await;
    let topic = b"remediate/\x1b[2J\nCL3001 lifecycle";
    publisher.send([&topic[..], b"body"]).await.unwrap();
    let denied = next(&mut events, EventId::Denied).await;
    drop((publisher, elsewhere));
    let ended = next(&mut events, EventId::Disconnected).await;
    for event in [&accepted, &denied, &ended] {
        assert_eq!(event.endpoint.as_deref(), Some(&*endpoint), "{event}");
        assert_eq!(event.identity.as_deref(), Some("ci"), "{event}");
        assert_eq!(event.domain.as_deref(), Some("hub"), "{event}");
        assert!(
            event.fingerprint.is_some() && event.duration.is_some(),
            "{event}"
        );
        assert!(event.first <= SystemTime::now(), "{event}");
        let fields = event.fields();
        let mut names = fields
            .iter()
            .map(|(name, _)| name)
            .filter(|name| **name != "count");
        assert!(
            names.all(|name| event.id.fields().contains(name)),
            "{event}"
        );
    }
    assert_eq!(denied.action, Some("publish"));
    assert_eq!(
        denied.topic.as_deref(),
        Some(r"remediate/\u{1b}[2J\nCL3001 lifecycle")
    );
    assert_eq!(sub.statistics().denied, 1);
    assert!(ended.details.contains(&("received", "1".into())), "{ended}");
}

#[tokio::test]
async fn topics_of_any_octets_and_length_are_one_short_line() {
    let _deadline = deadline();
    for topic in [
        vec![0x1b; 65_536],
        vec![0xff; 300],
        "\u{202e}\r\n".repeat(9000).into_bytes(),
    ] {
        let context = Context::new().unwrap();
        context.set_zap_handler(admit("ci", Rights::new(Topics::none(), Topics::none())));
        let mut events = context.events();
        let (server, client) = curve();
        let pull = context.socket::<Pull>(quick().security(server));
        let push = context.socket::<Push>(quick().security(client));
        push.connect(&bind_tcp(&pull)).unwrap();
        push.send(topic).await.unwrap();
        let line = next(&mut events, EventId::Denied).await.to_string();
        assert!(line.len() < 1000, "{line}");
        assert!(
            !line.contains(|octet: char| octet.is_control() || octet == '\u{202e}'),
            "{line}"
        );
    }
}

#[tokio::test]
async fn what_is_recorded_is_told_as_the_catalogue_has_it_and_nothing_stays_behind() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let mut events = context.events();
    for i in 0..100_000_u32 {
        context.record(refused((i % 3) as u8));
    }
    context.record(SecurityEvent::new(EventId::Lifecycle, SystemTime::now()));
    let at_once = drain(&mut events);
    assert_eq!(at_once.len(), 3 + 1);
    context.shutdown().await;
    let rest = drain(&mut events);
    assert_eq!(rest.len(), 3);
    let refused = at_once
        .iter()
        .chain(&rest)
        .filter(|event| event.id == EventId::Refused);
    assert_eq!(refused.map(|event| event.count).sum::<u64>(), 100_000);
    context.record(refused_last());
    drop(context);
    assert!(events.recv().await.is_some());
    assert!(events.recv().await.is_none(), "the context is gone");
}

fn refused_last() -> SecurityEvent {
    let mut event = refused(9);
    event.reason = Some("malformed");
    event
}

#[tokio::test]
async fn what_waits_for_the_end_of_its_minute_is_told_though_nobody_shuts_down() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let mut events = context.events();
    (0..10).for_each(|_| context.record(refused(1)));
    drop(context);
    let mut sum = 0;
    while let Some(event) = events.recv().await {
        sum += event.count;
    }
    assert_eq!(sum, 10);
}

#[tokio::test]
async fn a_stream_that_is_not_read_tells_how_much_it_lost_and_the_sum_stays() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let mut events = context.events();
    for i in 0..2000_u64 {
        let mut event = SecurityEvent::new(EventId::Cut, SystemTime::now());
        event.count = 1 + i % 2;
        context.record(event);
    }
    let lost = events.lost();
    assert!(lost > 0);
    let told = drain(&mut events);
    assert_eq!((told[0].id, told[0].count), (EventId::Lost, lost));
    assert!(told[0].first <= told[0].last);
    assert_eq!(told.len(), 1 + 1024);
    assert_eq!(told.iter().map(|event| event.count).sum::<u64>(), 3000);
    assert!(told[1..].iter().all(|event| event.id == EventId::Cut));
    assert_eq!(events.lost(), lost, "told once, and counted for good");
}

/// Refused connections over loopback, for as long as CURVELINK_FLOOD_SECONDS says or one second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_a_flood_of_refused_connections_is_told_exactly_and_in_few_lines() {
    let seconds = std::env::var("CURVELINK_FLOOD_SECONDS").ok();
    let seconds = seconds.map_or(1, |text| text.parse().expect("a number"));
    let context = Context::new().unwrap();
    let mut events = context.events();
    context.set_zap_handler(admit("ci", Rights::all()));
    let pull = context.socket::<Pull>(quick().security(Curve::server(keys())));
    let endpoint = bind_tcp(&pull);
    let end = Instant::now() + Duration::from_secs(seconds);
    let flood = (0..8).map(|_| {
        let endpoint = endpoint.clone();
        tokio::spawn(async move {
            let mut sent = 0;
            while Instant::now() < end {
                let mut stream = raw::dial(&endpoint, b"GET / HTTP/1.1\r\n\r\n").await;
                // Reads to the end, so that the server has refused it.
                raw::closed(&mut stream).await;
                sent += 1;
            }
            sent
        })
    });
    let flood: Vec<_> = flood.collect();
    let mut sent = 0_u64;
    for flooder in flood {
        sent += flooder.await.unwrap();
    }
    while pull.statistics().refused < sent {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    context.shutdown().await;
    let told = drain(&mut events);
    let refused = told.iter().filter(|event| event.id == EventId::Refused);
    assert_eq!(refused.map(|event| event.count).sum::<u64>(), sent);
    let minutes = 1 + seconds as usize / 60;
    assert!(told.len() <= 10 * minutes, "{} events", told.len());
    println!("{sent} refused in {seconds} s, {} events", told.len());
}

#[tokio::test]
async fn what_is_left_open_is_told_where_it_is_used_and_nothing_is_where_nothing_is_open() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("ci", Rights::all()));
    let mut events = context.events();
    let (server, _) = curve();
    let safe = [quick(), quick().security(server)];
    let sockets = safe.map(|options| {
        let pull = context.socket::<Pull>(options);
        pull.bind("tcp://127.0.0.1:*").unwrap();
        pull
    });
    assert!(drain(&mut events).is_empty());
    let setting = |events: &mut SecurityEvents| {
        let [event] = &drain(events)[..] else {
            panic!("one setting, one event");
        };
        assert_eq!(event.id, EventId::Insecure);
        assert!(event.endpoint.as_deref().unwrap().starts_with("tcp://"));
        event.details[0].1.to_string()
    };
    let clear = || quick().allow_clear_text_beyond_this_host();
    let pull = context.socket::<Pull>(clear());
    pull.bind("tcp://*:*").unwrap();
    assert_eq!(setting(&mut events), "clear-text");
    let push = context.socket::<Push>(clear().linger(Duration::ZERO));
    push.connect("tcp://192.0.2.1:1").unwrap();
    assert_eq!(setting(&mut events), "clear-text");
    let anyone = Curve::server(keys()).accept_anyone();
    let open = context.socket::<Pull>(Options::new().security(anyone));
    open.bind("tcp://127.0.0.1:*").unwrap();
    assert_eq!(setting(&mut events), "accept-anyone");
    drop((sockets, pull, push, open));
}

#[tokio::test]
async fn statistics_count_what_was_refused_and_what_was_denied() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let limited = [("Socket-Type", &b"PUSH"[..])];
    let mut good = raw::join(&endpoint, &limited).await;
    good.write_all(&raw::frame(0, b"x")).await.unwrap();
    pull.recv().await.unwrap();
    assert_eq!(
        (pull.statistics().refused, pull.statistics().denied),
        (0, 0)
    );
    for _ in 0..3 {
        let mut bad = raw::dial(&endpoint, b"GET / HTTP/1.1\r\n").await;
        raw::closed(&mut bad).await;
        event(&mut monitor, |event| {
            (event.kind.id()? == EventId::Refused).then_some(())
        })
        .await;
    }
    assert_eq!(
        (pull.statistics().refused, pull.statistics().denied),
        (3, 0)
    );
}
