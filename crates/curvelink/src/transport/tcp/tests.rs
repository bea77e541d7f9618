use std::time::Instant;

use super::*;

fn loopback() -> (Listener, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let (listener, _) = listen(address, false, &Transport::default()).unwrap();
    let bound = listener.listener.local_addr().unwrap();
    (listener, bound)
}

#[tokio::test]
async fn where_clear_text_may_not_go_it_is_not_even_tried() {
    let options = Tcp::default();
    // 192.0.2.1 is for documentation: nobody is there.
    let beyond = vec![SocketAddr::from(([192, 0, 2, 1], 9))];
    let error = connect(beyond, None, &options, true).await.unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<ClearText>()));
    // Loopback is tried, and nobody listens on the port of a listener that is gone.
    let (listener, address) = loopback();
    drop(listener);
    let error = connect(vec![address], None, &options, true)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_address_that_refuses_or_is_silent_does_not_hold_the_next_up() {
    let (_listener, address) = loopback();
    let (gone, refuses) = loopback();
    drop(gone);
    let options = Tcp::default();
    let start = Instant::now();
    connect(vec![refuses, address], None, &options, false)
        .await
        .unwrap();
    assert!(start.elapsed() < STAGGER, "a refusal is not waited out");
    // A listener whose backlog is full answers nobody.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = tokio::time::timeout(STAGGER / 5, TcpStream::connect(silent)).await {
        filling.push(stream.unwrap());
    }
    let start = Instant::now();
    connect(vec![silent, address], None, &options, false)
        .await
        .unwrap();
    let took = start.elapsed();
    assert!(took >= STAGGER && took < 4 * STAGGER, "{took:?}");
}

/// Both ends of a connection through our own two functions, under the same options.
async fn connected(address: &str, options: &Transport) -> (TcpStream, TcpStream) {
    let (listener, _) = listen(address.parse().unwrap(), false, options).unwrap();
    let bound = listener.listener.local_addr().unwrap();
    let (client, server) = tokio::join!(
        connect(vec![bound], None, &options.tcp, true),
        listener.accept()
    );
    (client.unwrap().0, server.unwrap().0)
}

#[tokio::test]
async fn both_ends_have_what_the_options_say() {
    let second = Duration::from_secs(1);
    let mut options = Transport::default();
    options.tcp.send_buffer = Some(20_000);
    options.tcp.recv_buffer = Some(30_000);
    options.tcp.type_of_service = 0x28;
    options.tcp.keepalive = Some(true);
    options.tcp.keepalive_idle = Some(7 * second);
    options.tcp.keepalive_interval = Some(5 * second);
    options.tcp.keepalive_count = Some(3);
    let (client, server) = connected("127.0.0.1:0", &options).await;
    for end in [SockRef::from(&client), SockRef::from(&server)] {
        // Linux counts its own book-keeping in and doubles the number.
        let send = end.send_buffer_size().unwrap();
        let recv = end.recv_buffer_size().unwrap();
        assert!([20_000, 40_000].contains(&send), "{send}");
        assert!([30_000, 60_000].contains(&recv), "{recv}");
        assert_eq!(end.tos_v4().unwrap(), 0x28);
        assert!(end.keepalive().unwrap() && end.tcp_nodelay().unwrap());
        assert_eq!(end.tcp_keepalive_time().unwrap(), 7 * second);
        assert_eq!(end.tcp_keepalive_interval().unwrap(), 5 * second);
        assert_eq!(end.tcp_keepalive_retries().unwrap(), 3);
    }
}

#[tokio::test]
async fn without_options_the_system_decides() {
    let (client, server) = connected("127.0.0.1:0", &Transport::default()).await;
    for end in [SockRef::from(&client), SockRef::from(&server)] {
        assert_eq!(end.tos_v4().unwrap(), 0);
        assert!(!end.keepalive().unwrap());
        assert!(end.send_buffer_size().unwrap() > 40_000);
    }
}

#[tokio::test]
async fn keep_alive_may_be_said_to_be_off() {
    let mut options = Transport::default();
    options.tcp.keepalive = Some(false);
    options.tcp.keepalive_idle = Some(Duration::from_secs(7));
    let (client, _server) = connected("127.0.0.1:0", &options).await;
    assert!(!SockRef::from(&client).keepalive().unwrap());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn linux_is_told_the_device_the_retransmit_time_and_the_traffic_class() {
    let mut options = Transport::default();
    options.tcp.type_of_service = 0x28;
    options.tcp.max_retransmit = Some(Duration::from_millis(1234));
    options.tcp.device = "lo".to_owned();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (client, server) = connected(address, &options).await;
        for end in [SockRef::from(&client), SockRef::from(&server)] {
            let time = end.tcp_user_timeout().unwrap();
            assert_eq!(time, Some(Duration::from_millis(1234)));
            assert_eq!(end.device().unwrap(), Some(b"lo".to_vec()));
            let class = match address {
                "[::1]:0" => end.tclass_v6(),
                _ => end.tos_v4(),
            };
            assert_eq!(class.unwrap(), 0x28, "{address}");
        }
    }
    options.tcp.device = "no-such-if0".to_owned();
    let nowhere = vec![SocketAddr::from(([127, 0, 0, 1], 9))];
    let error = connect(nowhere, None, &options.tcp, true)
        .await
        .unwrap_err();
    assert_ne!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    assert!(listen(SocketAddr::from(([127, 0, 0, 1], 0)), false, &options).is_err());
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_backlog_bounds_connections_that_nobody_accepts() {
    for (backlog, expected) in [(1, 1..=4), (20, 20..=24)] {
        let options = Transport {
            backlog,
            ..Transport::default()
        };
        let (listener, _) = listen("127.0.0.1:0".parse().unwrap(), false, &options).unwrap();
        let address = listener.listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while waiting.len() < 100
            && let Ok(stream) = tokio::time::timeout(STAGGER, TcpStream::connect(address)).await
        {
            waiting.push(stream.unwrap());
        }
        assert!(
            expected.contains(&waiting.len()),
            "{backlog}: {}",
            waiting.len()
        );
    }
}
