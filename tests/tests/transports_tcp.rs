//! Addresses of tcp: families, interfaces, zones, names, sources, devices.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use curvelink::{
    BindError, ConnectError, Context, Curve, Endpoint, LinkEventKind, Options, Pull, Push,
    RefusedEndpoint, Socket,
};
use curvelink_tests::support::{deadline, event, keys, quick, texts};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

/// One message over a connection; what the receiver is told of the sender's address.
async fn talk(pull: &Socket<Pull>, endpoint: &str) -> IpAddr {
    let push = Context::new().unwrap().socket::<Push>(quick());
    push.connect(endpoint).unwrap();
    push.send("x").await.unwrap();
    let message = pull.recv().await.unwrap();
    assert_eq!(texts(&message), ["x"]);
    message.peer().unwrap().address.ip().unwrap()
}

fn pull(options: Options) -> Socket<Pull> {
    Context::new().unwrap().socket(options)
}

fn port(endpoint: &Endpoint) -> u16 {
    match endpoint {
        Endpoint::Tcp { port, .. } => *port,
        other => panic!("{other} is not tcp"),
    }
}

#[tokio::test]
async fn a_wildcard_is_ipv4_unless_ipv6_is_asked_for() {
    let _deadline = deadline();
    let clear = || Options::new().allow_clear_text_beyond_this_host();
    let four = pull(clear());
    let bound = four.bind("tcp://*:*").unwrap();
    assert_eq!(bound.to_string(), format!("tcp://0.0.0.0:{}", port(&bound)));
    let both = pull(clear().ipv6(true));
    let bound = both.bind("tcp://*:*").unwrap();
    if bound.to_string().starts_with("tcp://0.0.0.0") {
        println!("skipped: this machine has no IPv6");
        return;
    }
    assert_eq!(bound.to_string(), format!("tcp://[::]:{}", port(&bound)));
    for host in ["127.0.0.1", "[::1]"] {
        let ip = talk(&both, &format!("tcp://{host}:{}", port(&bound))).await;
        assert!(ip.is_loopback(), "{ip}");
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_interface_is_bound_by_its_name() {
    let _deadline = deadline();
    // What the name leads to is known when it is bound: loopback needs no override.
    let server = pull(Options::new());
    let bound = server.bind("tcp://lo:*").unwrap();
    let port = port(&bound);
    assert_eq!(bound.to_string(), format!("tcp://127.0.0.1:{port}"));
    talk(&server, &bound.to_string()).await;
    server.unbind(&bound.to_string()).unwrap();
    for name in ["no-such-if0", "example.org"] {
        let refused = server.bind(&format!("tcp://{name}:*"));
        assert!(matches!(refused, Err(BindError::Host)), "{name}");
    }
    let six = pull(Options::new().ipv6(true));
    match six.bind("tcp://lo:*") {
        Ok(bound) => assert!(bound.to_string().starts_with("tcp://[::1]:"), "{bound}"),
        Err(_) => println!("skipped: loopback has no IPv6"),
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_zone_is_part_of_an_address() {
    let _deadline = deadline();
    let clear = || quick().allow_clear_text_beyond_this_host();
    let server = pull(clear());
    // The kernel keeps zones for link-local addresses alone; others are bound as if without.
    let Ok(bound) = server.bind("tcp://[::1%lo]:*") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let push = Context::new().unwrap().socket::<Push>(clear());
    push.connect(&format!("tcp://[::1%1]:{}", port(&bound)))
        .unwrap();
    push.send("x").await.unwrap();
    server.recv().await.unwrap();
    assert!(matches!(
        server.bind("tcp://[fe80::1%no-such-if0]:*"),
        Err(BindError::Io(_))
    ));
    let refused = pull(Options::new()).bind("tcp://[::1%lo]:*");
    assert!(
        refused.is_ok(),
        "the address is loopback, whatever the zone"
    );
}

#[tokio::test]
async fn a_connection_comes_from_its_source() {
    let _deadline = deadline();
    let server = pull(Options::new());
    let bound = server.bind("tcp://127.0.0.1:*").unwrap();
    let target = format!("127.0.0.1:{}", port(&bound));
    for (source, expected) in [
        ("127.0.0.2", "127.0.0.2"),
        ("127.0.0.3:0", "127.0.0.3"),
        #[cfg(target_os = "linux")]
        ("lo:*", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
    ] {
        let ip = talk(&server, &format!("tcp://{source};{target}")).await;
        assert_eq!(ip.to_string(), expected, "{source}");
    }
    let chosen = TcpListener::bind("127.0.0.4:0").unwrap();
    let address = chosen.local_addr().unwrap();
    drop(chosen);
    let push = Context::new().unwrap().socket::<Push>(quick());
    push.connect(&format!("tcp://{address};{target}")).unwrap();
    push.send("x").await.unwrap();
    let message = server.recv().await.unwrap();
    let peer = message.peer().unwrap().address;
    assert_eq!(peer.to_string(), address.to_string());
    assert!(matches!(
        server.bind(&format!("tcp://127.0.0.1:0;{target}")),
        Err(BindError::Host)
    ));
}

#[tokio::test]
async fn a_source_that_is_not_ours_is_told() {
    let _deadline = deadline();
    let server = pull(Options::new());
    let bound = server.bind("tcp://127.0.0.1:*").unwrap();
    for source in ["192.0.2.77", "[::1]", "no-such-if0"] {
        let push = Context::new().unwrap().socket::<Push>(quick());
        let mut monitor = push.monitor();
        push.connect(&format!("tcp://{source};127.0.0.1:{}", port(&bound)))
            .unwrap();
        let error = event(&mut monitor, |event| match event.kind {
            LinkEventKind::Retrying { error, .. } => Some(error),
            _ => None,
        })
        .await;
        assert!(error.is_some(), "{source}");
        push.close();
    }
    assert!(server.peers().is_empty());
}

#[tokio::test]
async fn a_name_is_tried_in_both_families() {
    let _deadline = deadline();
    let known: Vec<_> = lookup_host("localhost:0").await.unwrap().collect();
    for (host, has) in [
        ("127.0.0.1", known.iter().any(SocketAddr::is_ipv4)),
        ("[::1]", known.iter().any(SocketAddr::is_ipv6)),
    ] {
        if !has {
            println!("skipped: this machine's localhost is not {host}");
            continue;
        }
        let server = pull(Options::new());
        let bound = server.bind(&format!("tcp://{host}:*")).unwrap();
        // Where `localhost` stands for both, one of them refuses.
        let ip = talk(&server, &format!("tcp://localhost:{}", port(&bound))).await;
        assert!(format!("{ip} [{ip}]").contains(host), "{ip}");
    }
}

#[tokio::test]
async fn bound_to_a_device_even_loopback_may_lead_out() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = || quick().bind_to_device("lo");
    let refused = context
        .socket::<Push>(options())
        .connect("tcp://127.0.0.1:9");
    assert!(matches!(
        refused,
        Err(ConnectError::Refused(RefusedEndpoint::ClearText))
    ));
    let sealed = Curve::client(keys(), keys().public());
    let sealed = context.socket::<Push>(options().security(sealed));
    sealed.connect("tcp://127.0.0.1:9").unwrap();
    let other = context.socket::<Push>(options());
    other.connect("inproc://no-device").unwrap();
}

#[tokio::test]
async fn an_option_outside_its_range_refuses_every_endpoint() {
    let options = || Options::new().tcp_keepalive_count(0);
    let context = Context::new().unwrap();
    let bound = context.socket::<Pull>(options()).bind("tcp://127.0.0.1:*");
    assert!(matches!(
        bound,
        Err(BindError::Refused(RefusedEndpoint::Option(
            "tcp_keepalive_count"
        )))
    ));
    let connected = context.socket::<Push>(options()).connect("inproc://x");
    assert!(matches!(
        connected,
        Err(ConnectError::Refused(RefusedEndpoint::Option(
            "tcp_keepalive_count"
        )))
    ));
}

/// An address at which nobody answers: a listener that accepts nothing, and whose backlog is full.
#[cfg(target_os = "linux")]
async fn silent() -> (TcpListener, Vec<TcpStream>, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap().into_std().unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let dial = || timeout(Duration::from_millis(100), TcpStream::connect(address));
    while let Ok(stream) = dial().await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting, format!("tcp://{address}"))
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_attempt_to_connect_ends_after_its_time() {
    let _deadline = deadline();
    let (_listener, _waiting, endpoint) = silent().await;
    let context = Context::new().unwrap();
    let time = Duration::from_millis(50);
    for (time, ends) in [(time, true), (Duration::MAX, false)] {
        let options = quick().connect_timeout(time).linger(Duration::ZERO);
        let push = context.socket::<Push>(options);
        let mut monitor = push.monitor();
        push.connect(&endpoint).unwrap();
        let start = Instant::now();
        let retrying = event(&mut monitor, |event| match event.kind {
            LinkEventKind::Retrying { error, .. } => Some(error),
            _ => None,
        });
        match timeout(Duration::from_millis(400), retrying).await {
            Ok(error) => {
                assert_eq!(error, Some(std::io::ErrorKind::TimedOut));
                assert!(ends && start.elapsed() >= time);
            }
            Err(_elapsed) => assert!(!ends, "it never ended"),
        }
    }
}
