//! STREAM: peers that speak plain TCP.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use curvelink::{
    BindError, ConnectError, Context, Dealer, Frame, Message, Null, Options, Plain, Reason,
    RefusedEndpoint, SendError, Socket, SocketType, Stream, TryRecvError, TrySendErrorKind,
};
use curvelink_tests::support::raw;
use curvelink_tests::support::{
    admit, bind_tcp, curve, deadline, disconnected, free_endpoint, peers, quick, refusal, texts,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// After so long without room there will be none.
const STUCK: Duration = Duration::from_millis(500);

/// A client of the standard library's.
fn client(endpoint: &str) -> TcpStream {
    let client = TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// The id and the octets of the next message; empty is a notice.
async fn next(stream: &Socket<Stream>) -> (Frame, Vec<u8>) {
    let message = stream.recv().await.unwrap();
    let [id, octets] = <[Frame; 2]>::try_from(message.into_frames()).unwrap();
    (id, octets.to_vec())
}

/// All octets of one connection until its disconnect notice.
async fn until_lost(stream: &Socket<Stream>, id: &Frame) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (from, octets) = next(stream).await;
        assert_eq!(from, *id);
        if octets.is_empty() {
            return all;
        }
        all.extend(octets);
    }
}

fn to(id: &Frame, octets: impl Into<Frame>) -> Message {
    [id.clone(), octets.into()].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_told_then_its_octets_then_its_end() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let stream = context.socket::<Stream>(Options::new());
    let endpoint = bind_tcp(&stream);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut client = client(&endpoint);
        let (id, notice) = next(&stream).await;
        assert_eq!((id.len(), id[0], notice.len()), (5, 0, 0));
        stream.send(to(&id, "hello")).await.unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        let said: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        client.write_all(&said).unwrap();
        drop(client);
        assert_eq!(until_lost(&stream, &id).await, said);
        let gone = stream.send(to(&id, "x")).await;
        assert_eq!(gone, Err(SendError::Unroutable));
        assert!(!ids.contains(&id), "an id is not used again");
        ids.push(id);
    }
    assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_request_is_answered_and_the_connection_closed_after_the_answer() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let stream = context.socket::<Stream>(Options::new());
    let endpoint = bind_tcp(&stream);
    let page = vec![b'p'; 3 << 20];
    let expected = page.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let mut client = client(&endpoint);
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    });
    let (id, _) = next(&stream).await;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.extend(next(&stream).await.1);
    }
    assert!(request.starts_with(b"GET / "));
    for part in [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), page] {
        stream.send(to(&id, part)).await.unwrap();
    }
    stream.send(to(&id, "")).await.unwrap();
    let refused = stream.try_send(to(&id, "more")).unwrap_err();
    assert_eq!(refused.error, TrySendErrorKind::Send(SendError::Unroutable));
    assert_eq!(refused.message, to(&id, "more"), "it is given back whole");
    let answer = asking.await.unwrap();
    assert_eq!(answer.len(), 19 + expected.len());
    assert_eq!(answer[19..], expected);
    peers(&stream, 0).await;
    // Its own close is no news to the application.
    assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notices_there_are_octets_alone() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let stream = context.socket::<Stream>(Options::new().stream_notify(false));
    let endpoint = bind_tcp(&stream);
    for octets in ["one", "two"] {
        let mut client = client(&endpoint);
        client.write_all(octets.as_bytes()).unwrap();
        drop(client);
        assert_eq!(next(&stream).await.1, octets.as_bytes());
        peers(&stream, 0).await;
    }
    assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_connects_comes_back_under_the_same_id_and_does_not_after_its_own_close() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for chosen in [true, false] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp://{}", server.local_addr().unwrap());
        let stream = context.socket::<Stream>(quick());
        let mut id = Frame::from("web");
        if chosen {
            stream.connect_as(&endpoint, "web").unwrap();
            stream.send(to(&id, "early")).await.unwrap();
        } else {
            stream.connect(&endpoint).unwrap();
        }
        let (mut first, _) = server.accept().unwrap();
        let told = next(&stream).await;
        assert!(told.1.is_empty() && (!chosen || told.0 == id));
        id = told.0;
        if !chosen {
            stream.send(to(&id, "early")).await.unwrap();
        }
        let mut early = [0; 5];
        first.read_exact(&mut early).unwrap();
        assert_eq!(&early, b"early");
        drop(first);
        assert_eq!(until_lost(&stream, &id).await, b"");
        stream.send(to(&id, "again")).await.unwrap();
        let (mut second, _) = server.accept().unwrap();
        assert_eq!(next(&stream).await, (id.clone(), Vec::new()));
        stream.send(to(&id, "")).await.unwrap();
        let mut said = String::new();
        second.read_to_string(&mut said).unwrap();
        assert_eq!(said, "again");
        peers(&stream, 0).await;
        assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
        server.set_nonblocking(true).unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(server.accept().is_err(), "nobody dials again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_a_connection_is_not_said_to_the_next() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", server.local_addr().unwrap());
    let stream = context.socket::<Stream>(quick());
    let mut monitor = stream.monitor();
    stream.connect(&endpoint).unwrap();
    let (first, _) = server.accept().unwrap();
    let (id, _) = next(&stream).await;
    // More than the kernel takes of a peer that does not read.
    while stream.try_send(to(&id, vec![b'x'; 1 << 20])).is_ok() {}
    drop(first);
    disconnected(&mut monitor).await;
    let (mut second, _) = server.accept().unwrap();
    assert_eq!(until_lost(&stream, &id).await, b"");
    assert_eq!(next(&stream).await, (id.clone(), Vec::new()));
    stream.send(to(&id, "new")).await.unwrap();
    stream.send(to(&id, "")).await.unwrap();
    let mut said = String::new();
    second.read_to_string(&mut said).unwrap();
    assert_eq!(said, "new");
    assert!(stream.dropped() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_fills_its_own_queue_and_no_more() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new().send_hwm(4).linger(Duration::ZERO);
    let stream = context.socket::<Stream>(options);
    let endpoint = bind_tcp(&stream);
    let deaf = client(&endpoint);
    let (to_deaf, _) = next(&stream).await;
    // Full for good is when the system's buffers are: nothing tells of that.
    let message = || to(&to_deaf, vec![0; 1 << 20]);
    while tokio::time::timeout(STUCK, stream.send(message()))
        .await
        .is_ok()
    {}
    let full = stream.try_send(message()).unwrap_err();
    assert_eq!(full.error, TrySendErrorKind::Full);
    assert_eq!(
        full.message.first(),
        Some(&to_deaf),
        "it is given back whole"
    );
    let mut other = client(&endpoint);
    let (to_other, _) = next(&stream).await;
    stream.send(to(&to_other, "served")).await.unwrap();
    let mut served = [0; 6];
    other.read_exact(&mut served).unwrap();
    let waiting = stream.clone();
    let sending = tokio::spawn(async move { waiting.send(to(&to_deaf, "x")).await });
    drop(deaf);
    assert_eq!(sending.await.unwrap(), Err(SendError::Unroutable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_does_not_receive_stops_the_reading() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new().recv_hwm(2).max_message_size(1000);
    let stream = context.socket::<Stream>(options);
    let endpoint = bind_tcp(&stream);
    let writing = tokio::task::spawn_blocking(move || {
        let mut client = client(&endpoint);
        client.write_all(&vec![b'x'; 8 << 20]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    });
    let (id, _) = next(&stream).await;
    let held = stream.any().statistics().queued_from_peers;
    assert!(held <= 3, "{held} messages wait");
    assert_eq!(until_lost(&stream, &id).await.len(), 8 << 20);
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_streams_talk_over_ipc() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/socket", folder.path().display());
    let [one, other] = [(); 2].map(|()| context.socket::<Stream>(quick()));
    one.bind(&endpoint).unwrap();
    other.connect_as(&endpoint, "one").unwrap();
    let (id, _) = next(&one).await;
    assert_eq!(next(&other).await, ("one".into(), Vec::new()));
    one.send(to(&id, "over")).await.unwrap();
    assert_eq!(texts(&other.recv().await.unwrap()), ["one", "over"]);
    other.send(["one", "and", " back"]).await.unwrap();
    let mut said = next(&one).await.1;
    while said.len() < 8 {
        said.extend(next(&one).await.1);
    }
    assert_eq!(said, b"and back");
}

#[tokio::test]
async fn a_stream_that_could_not_keep_its_promise_does_not_open() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anybody", curvelink::Rights::all()));
    let (server, _) = curve();
    let refused = [
        (Options::new().security(server), "security"),
        (Options::new().security(Plain::server()), "security"),
        (Options::new().zap_domain("global"), "zap_domain"),
        (
            Options::new().security(Null::new()).router_mandatory(true),
            "router_mandatory",
        ),
    ];
    for (options, option) in refused {
        let options = options.allow_clear_text_beyond_this_host();
        let stream = context.socket::<Stream>(options);
        let bound = stream.bind("tcp://127.0.0.1:*");
        assert!(matches!(
            bound,
            Err(BindError::Refused(RefusedEndpoint::OptionOfOthers(o))) if o == option
        ));
        let connected = stream.connect("tcp://127.0.0.1:9");
        assert!(matches!(
            connected,
            Err(ConnectError::Refused(RefusedEndpoint::OptionOfOthers(o))) if o == option
        ));
    }
    let stream = context.socket::<Stream>(Options::new());
    assert!(matches!(
        stream.bind("tcp://0.0.0.0:*"),
        Err(BindError::Refused(RefusedEndpoint::ClearText))
    ));
    assert!(matches!(
        stream.connect("tcp://192.0.2.1:80"),
        Err(ConnectError::Refused(RefusedEndpoint::ClearText))
    ));
    assert!(matches!(
        stream.bind("inproc://stream"),
        Err(BindError::Refused(RefusedEndpoint::Transport))
    ));
    assert!(matches!(
        stream.connect("inproc://stream"),
        Err(ConnectError::Refused(RefusedEndpoint::Transport))
    ));
}

#[tokio::test]
async fn a_peer_that_says_it_is_a_stream_is_refused_and_a_stream_believes_no_greeting() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(Options::new());
    let mut monitor = dealer.monitor();
    let says = raw::null_peer(&[("Socket-Type", b"STREAM")]);
    let _link = raw::dial(&bind_tcp(&dealer), &says).await;
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::SocketType);

    let endpoint = free_endpoint();
    let stream = context.socket::<Stream>(quick());
    stream.bind(&endpoint).unwrap();
    let _link = raw::dial(&endpoint, &says).await;
    let message = stream.recv().await.unwrap();
    assert_eq!(message.peer().unwrap().socket_type, SocketType::Stream);
    let mut heard = Vec::new();
    while heard.len() < says.len() {
        heard.extend(next(&stream).await.1);
    }
    assert_eq!(heard, says, "octets like any other");
}

#[tokio::test]
async fn an_id_that_nobody_has_is_an_error_and_an_id_alone_is_nothing() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let stream = context.socket::<Stream>(Options::new());
    for body in ["x", ""] {
        let unknown = stream.send(["nobody", body]).await;
        assert_eq!(unknown, Err(SendError::Unroutable));
    }
    stream.send("nobody").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_connection_that_the_application_gave_up_nothing_is_received() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", server.local_addr().unwrap());
    for closes in [true, false] {
        let stream = context.socket::<Stream>(quick());
        stream.connect(&endpoint).unwrap();
        let (mut peer, _) = server.accept().unwrap();
        let (id, _) = next(&stream).await;
        if closes {
            peer.write_all(b"unread").unwrap();
            while stream.any().statistics().queued_from_peers == 0 {
                tokio::task::yield_now().await;
            }
            stream.send(to(&id, "")).await.unwrap();
            assert_eq!(stream.try_recv(), Err(TryRecvError::Empty));
        } else {
            stream.disconnect(&endpoint).unwrap();
        }
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        peers(&stream, 0).await;
        assert_eq!(stream.try_recv(), Err(TryRecvError::Empty), "no notice");
    }
}
