//! Through a SOCKS5 proxy that we did not write, with and without a password.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curvelink::{
    ConnectError, Context, LinkEventKind, Monitor, Options, Password, Pull, Push, RefusedEndpoint,
    Socket,
};
use curvelink_tests::python;
use curvelink_tests::support::{bind_tcp, deadline, event, free_endpoint, quick, texts};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// A running proxy; killed when dropped.
struct Proxy {
    process: Child,
    address: String,
}

impl Proxy {
    /// `None` where Python is not to be had, which was said. `login` is `#user:password` or empty.
    fn start(login: &str) -> Option<Self> {
        let python = python::environment().ok()?;
        let address = free_endpoint().replace("tcp://", "");
        let mut process = Command::new(python)
            .args(["-u", "-m", "pproxy", "-l"])
            .arg(format!("socks5://{address}{login}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the proxy starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let serving = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("Serving")));
        assert!(serving.is_some(), "the proxy serves");
        // It says what it does: somebody has to listen.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, address })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _died_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn through(proxy: &Proxy) -> Options {
    quick()
        .socks_proxy(&proxy.address)
        .allow_clear_text_beyond_this_host()
}

fn push(options: Options) -> (Socket<Push>, Monitor) {
    let push = Context::new().unwrap().socket::<Push>(options);
    let monitor = push.monitor();
    (push, monitor)
}

/// Waits until an attempt has come to nothing; what the operating system, or the proxy, said.
async fn failure(monitor: &mut Monitor) -> Option<ErrorKind> {
    event(monitor, |event| match event.kind {
        LinkEventKind::Retrying { error, .. } => Some(error),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn messages_go_through_a_proxy_to_names_and_addresses() {
    let Some(proxy) = Proxy::start("") else {
        return;
    };
    let _deadline = deadline();
    let pull = Context::new().unwrap().socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    for host in ["127.0.0.1", "localhost"] {
        let (push, mut monitor) = push(through(&proxy));
        push.connect(&endpoint.replace("127.0.0.1", host)).unwrap();
        push.send(host).await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), [host]);
        let peer = event(&mut monitor, |event| match &event.kind {
            LinkEventKind::HandshakeSucceeded(peer) => Some(peer.address.to_string()),
            _ => None,
        })
        .await;
        assert_eq!(peer, proxy.address, "the peer that we see is the proxy");
    }
    // A name that no resolver knows: it was the proxy that was asked, after it was reached.
    let (push, mut monitor) = push(through(&proxy));
    push.connect("tcp://host.invalid:5555").unwrap();
    event(&mut monitor, |event| {
        matches!(event.kind, LinkEventKind::Connecting).then_some(())
    })
    .await;
    failure(&mut monitor).await;
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_gets_it() {
    let Some(proxy) = Proxy::start("#user:secret") else {
        return;
    };
    let _deadline = deadline();
    let pull = Context::new().unwrap().socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    let with = |password: &str| through(&proxy).socks_credentials("user", Password::new(password));
    // The right one last: this proxy lets an address in that it has let in before.
    for options in [with("wrong"), through(&proxy)] {
        let (push, mut monitor) = push(options);
        push.connect(&endpoint).unwrap();
        assert!(failure(&mut monitor).await.is_some());
        assert!(push.peers().is_empty());
    }
    let (push, _) = push(with("secret"));
    push.connect(&endpoint).unwrap();
    push.send("x").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
    assert_eq!(pull.peers().len(), 1);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_tried_again() {
    let Some(proxy) = Proxy::start("") else {
        return;
    };
    let _deadline = deadline();
    let target = free_endpoint();
    let (push, mut monitor) = push(through(&proxy));
    push.connect(&target).unwrap();
    for _ in 0..2 {
        failure(&mut monitor).await;
    }
    let pull = Context::new().unwrap().socket::<Pull>(Options::new());
    pull.bind(&target).unwrap();
    push.send("at last").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["at last"]);
}

#[tokio::test]
async fn what_a_proxy_says_is_told_and_never_the_last_word() {
    let _deadline = deadline();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = quick()
        .socks_proxy(&address)
        .allow_clear_text_beyond_this_host();
    let (push, mut monitor) = push(options);
    push.connect("tcp://host.invalid:5555").unwrap();
    for (reply, kind) in [
        (
            &b"\x05\x00\x05\x05\x00\x01aaaapp"[..],
            ErrorKind::ConnectionRefused,
        ),
        (
            b"\x05\x00\x05\x04\x00\x01aaaapp",
            ErrorKind::HostUnreachable,
        ),
        (b"\x05\xff", ErrorKind::PermissionDenied),
        (b"HTTP/1.1 400 Bad Request", ErrorKind::InvalidData),
    ] {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(reply).await.unwrap();
        assert_eq!(failure(&mut monitor).await, Some(kind));
    }
    drop(listener);
    let nobody = failure(&mut monitor).await;
    assert_eq!(nobody, Some(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_silent_proxy_costs_the_time_of_one_attempt() {
    let _deadline = deadline();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = quick()
        .socks_proxy(&listener.local_addr().unwrap().to_string())
        .connect_timeout(Duration::from_millis(50))
        .allow_clear_text_beyond_this_host();
    let (push, mut monitor) = push(options);
    push.connect("tcp://127.0.0.1:9").unwrap();
    assert_eq!(failure(&mut monitor).await, Some(ErrorKind::TimedOut));
}

#[tokio::test]
async fn through_a_proxy_even_localhost_is_beyond_this_host() {
    for endpoint in ["tcp://localhost:9", "tcp://127.0.0.1:9"] {
        let (push, _) = push(quick().socks_proxy("127.0.0.1:9"));
        assert!(matches!(
            push.connect(endpoint),
            Err(ConnectError::Refused(RefusedEndpoint::ClearText))
        ));
    }
    let (push, _) = push(quick().socks_proxy("127.0.0.1:9"));
    push.connect("inproc://no-proxy").unwrap();
    push.bind("tcp://127.0.0.1:*").unwrap();
    let (push, _) = self::push(quick().socks_proxy("no port"));
    assert!(matches!(
        push.connect("tcp://127.0.0.1:9"),
        Err(ConnectError::Refused(RefusedEndpoint::Option(
            "socks_proxy"
        )))
    ));
}
