//! What one source may do before its connections are ready, and who gives way when slots are rare.
//!
//! The sources are loopback addresses, which the tests put under the limits.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use curvelink::{
    BoxFuture, Context, LinkEventKind, Monitor, Options, PeerAddress, Pull, Push, Reason, Refusal,
    Rights, Socket, SourceLimits, Stage, ZapHandler, ZapReply, ZapRequest,
};
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, event, number, peers, quick, raw, refusal, texts,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

/// Limits so wide that none is reached, for a test to draw one of them in.
const WIDE: SourceLimits = SourceLimits::none().including_loopback();

/// A connection from a loopback address.
async fn from(source: &str, endpoint: &str, octets: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let address = endpoint.trim_start_matches("tcp://");
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    // One that is closed at once may be so before this.
    let _closed = stream.write_all(octets).await;
    stream
}

fn null_peer() -> Vec<u8> {
    raw::null_peer(&[("Socket-Type", b"PUSH")])
}

/// A peer that is admitted and stays.
async fn good(source: &str, endpoint: &str, monitor: &mut Monitor) -> TcpStream {
    let stream = from(source, endpoint, &null_peer()).await;
    admitted(monitor).await;
    stream
}

/// Waits for the next connection's end before an octet of it was read.
async fn limited(monitor: &mut Monitor) {
    let (event, refused) = refusal(monitor).await;
    assert!(event.address.is_some());
    assert_eq!(
        (refused.stage, refused.reason),
        (Stage::Transport, Reason::RateLimited)
    );
}

fn bound(context: &Context, options: Options) -> (Socket<Pull>, Monitor, String) {
    let pull = context.socket::<Pull>(options);
    let endpoint = bind_tcp(&pull);
    let monitor = pull.monitor();
    (pull, monitor, endpoint)
}

/// Whether a NULL peer passes, who stays if it does.
async fn passes(source: &str, endpoint: &str, monitor: &mut Monitor) -> Option<TcpStream> {
    let stream = from(source, endpoint, &null_peer()).await;
    let passed = event(monitor, |event| match &event.kind {
        LinkEventKind::Refused(refused) => {
            assert_eq!(refused.reason, Reason::RateLimited);
            Some(false)
        }
        LinkEventKind::HandshakeSucceeded(_) => Some(true),
        _ => None,
    });
    passed.await.then_some(stream)
}

/// A connection that fails, and its event.
async fn fail(source: &str, endpoint: &str, monitor: &mut Monitor) -> Refusal {
    let _stranger = from(source, endpoint, b"GET / HTTP/1.1\r\n").await;
    refusal(monitor).await.1
}

#[tokio::test]
async fn programs_of_this_host_have_no_limits_unless_they_are_included() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (pull, mut monitor, endpoint) = bound(&context, quick());
    for _ in 0..40 {
        let refused = fail("127.0.0.1", &endpoint, &mut monitor).await;
        assert_eq!(refused.reason, Reason::NotZmtp);
    }
    let _good = good("127.0.0.1", &endpoint, &mut monitor).await;
    drop(pull);

    let options = quick().source_limits(SourceLimits::new().including_loopback());
    let (_pull, mut monitor, endpoint) = bound(&context, options);
    for _ in 0..5 {
        let refused = fail("127.0.0.1", &endpoint, &mut monitor).await;
        assert_eq!(refused.reason, Reason::NotZmtp);
    }
    let mut stranger = from("127.0.0.1", &endpoint, b"").await;
    limited(&mut monitor).await;
    assert_eq!(raw::closed(&mut stranger).await, b"");
}

#[tokio::test]
async fn a_source_has_so_many_connections_that_are_not_ready_on_each_listener() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = || quick().source_limits(WIDE.handshakes(3));
    let (_pull, mut monitor, endpoint) = bound(&context, options());
    let (_other, mut others, elsewhere) = bound(&context, options());
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(from("127.0.0.1", &endpoint, b"").await);
    }
    let mut fourth = from("127.0.0.1", &endpoint, &null_peer()).await;
    limited(&mut monitor).await;
    assert_eq!(raw::closed(&mut fourth).await, b"");
    let _elsewhere = good("127.0.0.1", &elsewhere, &mut others).await;
    let _another = good("127.0.0.2", &endpoint, &mut monitor).await;
    // One that ends makes room, soon after it is told; and one that is ready takes none.
    drop(silent.pop());
    refusal(&mut monitor).await;
    let mut ready = Vec::new();
    while ready.is_empty() {
        ready.extend(passes("127.0.0.1", &endpoint, &mut monitor).await);
    }
    for _ in 0..5 {
        ready.push(good("127.0.0.1", &endpoint, &mut monitor).await);
    }
}

#[tokio::test]
async fn new_connections_of_a_source_are_bounded_by_burst_and_rate_over_all_listeners() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = || quick().source_limits(WIDE.rate(20).burst(4));
    let (_pull, mut monitor, endpoint) = bound(&context, options());
    let (_other, mut others, elsewhere) = bound(&context, options());
    let start = Instant::now();
    let mut ready = Vec::new();
    for _ in 0..3 {
        ready.push(good("127.0.0.1", &endpoint, &mut monitor).await);
    }
    ready.push(good("127.0.0.1", &elsewhere, &mut others).await);
    let mut passed = 0;
    for _ in 0..100 {
        let next = passes("127.0.0.1", &endpoint, &mut monitor).await;
        passed += u64::from(next.is_some());
    }
    let most = start.elapsed().as_millis() as u64 / 50 + 1;
    assert!(passed <= most, "{passed} of {most}");
    let _another = good("127.0.0.2", &endpoint, &mut monitor).await;
}

#[tokio::test]
async fn failures_bring_a_penalty_that_ends_and_touches_nobody_else() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let penalty = Duration::from_millis(500);
    let limits = WIDE.failures(3).penalty(penalty);
    let options = || quick().source_limits(limits);
    let (pull, mut monitor, endpoint) = bound(&context, options());
    let (_other, mut others, elsewhere) = bound(&context, options());
    let mut before = good("127.0.0.1", &endpoint, &mut monitor).await;
    let start = Instant::now();
    for i in 0..3 {
        let on_first = i < 2;
        let refused = if on_first {
            fail("127.0.0.1", &endpoint, &mut monitor).await
        } else {
            fail("127.0.0.1", &elsewhere, &mut others).await
        };
        assert_eq!(refused.reason, Reason::NotZmtp, "{i}");
    }
    for (endpoint, monitor) in [(&endpoint, &mut monitor), (&elsewhere, &mut others)] {
        let same = passes("127.0.0.1", endpoint, monitor).await;
        assert!(same.is_none() || start.elapsed() >= penalty);
        let _another = good("127.0.0.2", endpoint, monitor).await;
    }
    before.write_all(&raw::frame(0, b"on")).await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["on"], "a link goes on");
    let stranger = Context::new().unwrap();
    let (_third, mut thirds, away) = bound(&stranger, options());
    let _elsewhere = good("127.0.0.1", &away, &mut thirds).await;
    // In again when it is over.
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    push.send("7").await.unwrap();
    assert_eq!(number(&pull.recv().await.unwrap()), 7);
    assert!(start.elapsed() >= penalty);
}

#[tokio::test]
async fn a_health_check_is_no_failure_and_each_way_to_fail_is_one() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let timeout = Duration::from_millis(50);
    let options = quick()
        .source_limits(WIDE.failures(4))
        .greeting_timeout(timeout)
        .handshake_timeout(2 * timeout);
    let (_pull, mut monitor, endpoint) = bound(&context, options);
    for _ in 0..20 {
        let mut check = from("127.0.0.1", &endpoint, b"").await;
        check.shutdown().await.unwrap();
        assert_eq!(refusal(&mut monitor).await.1.reason, Reason::NotZmtp);
    }
    let _good = good("127.0.0.1", &endpoint, &mut monitor).await;
    for (octets, closes, reason) in [
        (b"GET".to_vec(), false, Reason::NotZmtp),
        (b"".to_vec(), false, Reason::Timeout),
        (raw::greeting("NULL"), false, Reason::Timeout),
        (raw::greeting("NULL"), true, Reason::Closed),
    ] {
        let mut stranger = from("127.0.0.1", &endpoint, &octets).await;
        if closes {
            stranger.shutdown().await.unwrap();
        }
        assert_eq!(refusal(&mut monitor).await.1.reason, reason);
    }
    let _same = from("127.0.0.1", &endpoint, &null_peer()).await;
    limited(&mut monitor).await;
}

/// A policy that knows one address that it admits nobody from, and one that it fails at.
#[derive(Debug)]
struct ByAddress;

impl ZapHandler for ByAddress {
    fn authenticate<'a>(&'a self, _: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async { ZapReply::admit("", Rights::all()) })
    }

    fn admits_address(&self, domain: &str, address: &PeerAddress) -> bool {
        assert_eq!(domain, "d");
        let PeerAddress::Tcp(address) = address else {
            return false;
        };
        let address = address.ip().to_string();
        assert_ne!(address, "127.0.0.3");
        address != "127.0.0.2"
    }
}

#[tokio::test]
async fn a_policy_refuses_addresses_before_an_octet_is_read() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(ByAddress);
    let (_pull, mut monitor, endpoint) = bound(&context, quick().zap_domain("d"));
    for denied in ["127.0.0.2", "127.0.0.3"] {
        let mut stranger = from(denied, &endpoint, &null_peer()).await;
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!(
            (refused.stage, refused.reason),
            (Stage::Transport, Reason::AddressDenied),
            "{denied}"
        );
        assert_eq!(raw::closed(&mut stranger).await, b"");
    }
    let _good = good("127.0.0.1", &endpoint, &mut monitor).await;
    // A socket that asks no policy does not ask this either.
    let (_open, mut monitor, endpoint) = bound(&context, quick());
    let _good = good("127.0.0.2", &endpoint, &mut monitor).await;
}

#[tokio::test]
async fn a_new_policy_forgives_those_whom_the_old_one_refused() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(|_: &ZapRequest| ZapReply::deny(Reason::Denied)));
    let options = quick().zap_domain("d").source_limits(WIDE.failures(1));
    let (_pull, mut monitor, endpoint) = bound(&context, options);
    let _refused = from("127.0.0.1", &endpoint, &null_peer()).await;
    assert_eq!(refusal(&mut monitor).await.1.reason, Reason::Denied);
    let _same = from("127.0.0.1", &endpoint, &null_peer()).await;
    limited(&mut monitor).await;
    context.set_zap_handler(ByAddress);
    let _good = good("127.0.0.1", &endpoint, &mut monitor).await;
}

#[tokio::test]
async fn silent_strangers_give_way_to_who_comes_and_greeted_ones_do_not() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    // Longer than this test may take: nothing here ends by its deadline.
    let long = Duration::from_secs(60);
    let options = quick()
        .max_handshakes(4)
        .greeting_timeout(Duration::from_secs(1))
        .handshake_timeout(long);
    let (pull, mut monitor, endpoint) = bound(&context, options);
    let greeted = from("127.0.0.1", &endpoint, &raw::greeting("NULL")).await;
    let mut first = from("127.0.0.1", &endpoint, b"").await;
    let silent = [
        from("127.0.0.1", &endpoint, b"").await,
        from("127.0.0.1", &endpoint, &raw::greeting("NULL")[..20]).await,
    ];
    let start = Instant::now();
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    peers(&pull, 1).await;
    assert!(start.elapsed() < Duration::from_millis(900), "no deadline");
    let (told, refused) = refusal(&mut monitor).await;
    assert_eq!(
        (refused.stage, refused.reason),
        (Stage::Greeting, Reason::RateLimited)
    );
    let oldest = first.local_addr().unwrap().to_string();
    assert_eq!(told.address.unwrap().to_string(), oldest);
    raw::closed(&mut first).await;
    let mut greeted = greeted;
    let ready = raw::command("READY", &raw::metadata(&[("Socket-Type", b"PUSH")]));
    greeted.write_all(&ready).await.unwrap();
    peers(&pull, 2).await;
    drop(silent);
}

#[tokio::test]
async fn a_flood_of_silent_sockets_keeps_nobody_out_for_long() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = quick().max_handshakes(8);
    let (pull, _monitor, endpoint) = bound(&context, options);
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(raw::dial(&endpoint, b"").await);
    }
    let start = Instant::now();
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    peers(&pull, 1).await;
    // Without giving way it is the eighth to be served after deadlines of 2 s each.
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    drop(silent);
}
