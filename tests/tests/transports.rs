//! What is particular to a transport: files and peers of ipc, names and families of tcp.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use curvelink::{
    BindError, ConnectError, Context, Endpoint, EndpointError, IpcFilter, LinkEventKind, Options,
    Pair, PeerAddress, Pull, Push, Reason, RefusedEndpoint, Rights, Side, Stage,
};
use curvelink_tests::support::{admit, admitted, bind_tcp, deadline, event, number, quick, texts};

#[tokio::test]
async fn an_ipc_file_is_its_users_own_and_goes_with_its_socket() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let endpoint = format!("ipc://{}", path.display());
    let context = Context::new().unwrap();
    for (options, mode) in [
        (Options::new(), 0o600),
        (Options::new().ipc_mode(0o660), 0o660),
    ] {
        let pull = context.socket::<Pull>(options);
        pull.bind(&endpoint).unwrap();
        let file = fs::symlink_metadata(&path).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, mode);
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "nothing beside it"
        );
        let second = context.socket::<Pull>(Options::new()).bind(&endpoint);
        assert!(
            matches!(second, Err(BindError::Io(_))),
            "somebody listens there"
        );
        pull.unbind(&endpoint).unwrap();
        while path.exists() {
            tokio::task::yield_now().await;
        }
        pull.bind(&endpoint).unwrap();
        pull.close();
        while path.exists() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_no_other_file() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let endpoint = format!("ipc://{}", path.display());
    let context = Context::new().unwrap();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let pull = context.socket::<Pull>(Options::new());
    pull.bind(&endpoint).unwrap();
    pull.unbind(&endpoint).unwrap();
    while path.exists() {
        tokio::task::yield_now().await;
    }
    fs::write(&path, "precious").unwrap();
    assert!(matches!(pull.bind(&endpoint), Err(BindError::Io(_))));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert!(
        matches!(pull.bind(&endpoint), Err(BindError::Io(_))),
        "a symbolic link"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test]
async fn paths_and_names_of_every_length_work() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let base = format!("{}/", folder.path().display());
    let context = Context::new().unwrap();
    for prefix in [base, format!("@{}/", folder.path().display())] {
        for length in [prefix.len() + 1, 90, 100, 101, 102, 103, 104, 105, 106, 107] {
            let path = format!("{prefix:x<length$}");
            let pull = context.socket::<Pull>(Options::new());
            pull.bind(&format!("ipc://{path}")).unwrap_or_else(|error| {
                panic!("{length}: {error}");
            });
            let push = context.socket::<Push>(quick());
            push.connect(&format!("ipc://{path}")).unwrap();
            push.send("x").await.unwrap();
            assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
        }
        let length = 108;
        let path = format!("{prefix:x<length$}");
        let too_long = context
            .socket::<Pull>(Options::new())
            .bind(&format!("ipc://{path}"));
        assert!(matches!(
            too_long,
            Err(BindError::Endpoint(EndpointError::Path))
        ));
    }
}

#[tokio::test]
async fn an_ipc_peer_is_known_by_what_the_kernel_says_of_it() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/s", folder.path().display());
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let mut monitor = pull.monitor();
    pull.bind(&endpoint).unwrap();
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    let peer = admitted(&mut monitor).await;
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(peer.address, PeerAddress::Ipc { pid: Some(pid), .. } if pid == own));
}

#[tokio::test]
async fn a_short_name_in_a_long_folder_works() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().display().to_string();
    let context = Context::new().unwrap();
    for length in 100..=107 {
        let long = format!("{base}/{}", "x".repeat(length - base.len() - 3));
        fs::create_dir(&long).unwrap();
        let endpoint = format!("ipc://{long}/s");
        assert_eq!(endpoint.len(), "ipc://".len() + length);
        let pull = context.socket::<Pull>(Options::new());
        pull.bind(&endpoint)
            .unwrap_or_else(|error| panic!("{length}: {error}"));
        let push = context.socket::<Push>(quick());
        push.connect(&endpoint).unwrap();
        push.send("x").await.unwrap();
        pull.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_path_may_be_left_to_us() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let (one, other) = (pull.bind("ipc://*").unwrap(), pull.bind("ipc://*").unwrap());
    assert_ne!(one, other);
    assert_eq!(pull.last_endpoint(), Some(other.clone()));
    let push = context.socket::<Push>(quick());
    assert!(matches!(
        push.connect("ipc://*"),
        Err(ConnectError::Wildcard)
    ));
    push.connect(&one.to_string()).unwrap();
    push.send("x").await.unwrap();
    pull.recv().await.unwrap();
    for endpoint in [one, other] {
        let Endpoint::Ipc(path) = &endpoint else {
            panic!("{endpoint} is not ipc")
        };
        let folder = Path::new(path).parent().unwrap();
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "nobody else can put anything there");
        pull.unbind(&endpoint.to_string()).unwrap();
        while folder.exists() {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether a listener with this filter admits this process; a refusal is told as what it is.
async fn admits(filter: IpcFilter) -> bool {
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new().ipc_filter(filter));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind("ipc://*").unwrap().to_string();
    let push = context.socket::<Push>(quick().linger(Duration::ZERO));
    push.connect(&endpoint).unwrap();
    let (event, admitted) = event(&mut monitor, |event| match &event.kind {
        LinkEventKind::HandshakeSucceeded(_) => Some((event.clone(), true)),
        LinkEventKind::Refused(refusal) => {
            assert_eq!(refusal.reason, Reason::AddressDenied);
            assert_eq!((refusal.by, refusal.stage), (Side::Us, Stage::Transport));
            Some((event.clone(), false))
        }
        _ => None,
    })
    .await;
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(matches!(event.address, Some(PeerAddress::Ipc { pid: Some(pid), .. }) if pid == own));
    assert_eq!(&*event.endpoint, endpoint);
    admitted
}

#[tokio::test]
async fn a_filter_admits_the_processes_that_it_lists() {
    let _deadline = deadline();
    let file = tempfile::NamedTempFile::new().unwrap();
    let owner = fs::metadata(file.path()).unwrap();
    let (uid, gid) = (owner.uid(), owner.gid());
    let pid = i32::try_from(std::process::id()).unwrap();
    let none = IpcFilter::new;
    for filter in [
        none(),
        none().uid(uid + 1),
        none().gid(gid + 1).pid(pid + 1),
    ] {
        assert!(!admits(filter.clone()).await, "{filter:?}");
    }
    for filter in [
        none().uid(uid),
        none().gid(gid).uid(uid + 1),
        none().pid(pid),
    ] {
        assert!(admits(filter.clone()).await, "{filter:?}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_kept_to_is_refused() {
    let context = Context::new().unwrap();
    let options = || Options::new().ipc_filter(IpcFilter::new().uid(0));
    let pull = context.socket::<Pull>(options());
    assert!(matches!(
        pull.bind("tcp://127.0.0.1:*"),
        Err(BindError::Refused(RefusedEndpoint::Option("ipc_filter")))
    ));
    context.set_zap_handler(admit("anybody", Rights::all()));
    let asks = options().zap_domain("somebody");
    let pull = context.socket::<Pull>(asks);
    pull.bind("tcp://127.0.0.1:*").unwrap();
}

#[tokio::test]
async fn tcp_serves_both_families_on_one_wildcard() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = Options::new().allow_clear_text_beyond_this_host();
    let pull = context.socket::<Pull>(options);
    let Ok(bound) = pull.bind("tcp://[::]:*") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let bound = bound.to_string();
    let port = bound.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let push = context.socket::<Push>(quick());
        push.connect(&format!("tcp://{host}:{port}")).unwrap();
        push.send(host).await.unwrap();
        let message = pull.recv().await.unwrap();
        assert_eq!(texts(&message), [host]);
        let ip = message.peer().unwrap().address.ip().unwrap();
        assert!(
            ip.is_loopback(),
            "{ip}: a mapped address is told as what it is"
        );
    }
}

#[tokio::test]
async fn one_socket_binds_and_connects_many_endpoints() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let places = ["tcp://127.0.0.1:*", "tcp://127.0.0.2:*", "inproc://many"];
    let file = format!("ipc://{}/s", folder.path().display());
    let push = context.socket::<Push>(quick());
    for place in places.into_iter().chain([&file[..]]) {
        push.connect(&pull.bind(place).unwrap().to_string())
            .unwrap();
    }
    let taken = context.socket::<Pull>(Options::new());
    let tcp = pull.bind("tcp://127.0.0.1:*").unwrap().to_string();
    assert!(matches!(taken.bind(&tcp), Err(BindError::Io(_))));
    for i in 0..40 {
        push.send(i.to_string()).await.unwrap();
    }
    for _ in 0..40 {
        pull.recv().await.unwrap();
    }
}

#[tokio::test]
async fn an_inproc_connection_that_was_taken_back_is_not_made_later() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick());
    push.connect("inproc://later").unwrap();
    push.disconnect("inproc://later").unwrap();
    // It takes the place of the connection that was taken back.
    let pull = context.socket::<Pull>(Options::new());
    push.connect(&bind_tcp(&pull)).unwrap();
    let late = context.socket::<Pull>(Options::new());
    late.bind("inproc://later").unwrap();
    assert!(late.peers().is_empty());
    for i in 0..3 {
        push.send(i.to_string()).await.unwrap();
        assert_eq!(number(&pull.recv().await.unwrap()), i);
    }
    push.connect("inproc://later").unwrap();
    assert_eq!(late.peers().len(), 1, "one that was not is");
}

#[tokio::test]
async fn a_socket_that_is_closed_twice_frees_its_inproc_name_once() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let first = context.socket::<Pull>(Options::new());
    first.bind("inproc://name").unwrap();
    first.clone().close();
    let second = context.socket::<Pull>(Options::new());
    second.bind("inproc://name").unwrap();
    drop(first);
    let push = context.socket::<Push>(quick());
    push.connect("inproc://name").unwrap();
    assert_eq!(second.peers().len(), 1, "the name is the second's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipc_path_that_is_bound_again_at_once_can_be_connected_to() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/s", folder.path().display());
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    pull.bind(&endpoint).unwrap();
    for round in 0..100 {
        pull.unbind(&endpoint).unwrap();
        // The listener goes behind.
        while pull.bind(&endpoint).is_err() {
            tokio::task::yield_now().await;
        }
        let push = context.socket::<Push>(quick());
        push.connect(&endpoint).unwrap();
        push.send(round.to_string()).await.unwrap();
        assert_eq!(number(&pull.recv().await.unwrap()), round);
    }
}

#[tokio::test]
async fn an_inproc_link_that_is_given_up_ends_at_once_on_both_sides() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new());
    push.bind("inproc://given-up").unwrap();
    let pull = context.socket::<Pull>(Options::new());
    pull.connect("inproc://given-up").unwrap();
    push.try_send("0").unwrap();
    pull.disconnect("inproc://given-up").unwrap();
    assert!(push.peers().is_empty() && push.try_send("late").is_err());
    assert_eq!(number(&pull.try_recv().unwrap()), 0, "it was there before");
    assert!(pull.try_recv().is_err());
    // With a message waiting, a PAIR's place is free for the next link all the same.
    let bound = context.socket::<Pair>(Options::new());
    bound.bind("inproc://pair").unwrap();
    let pair = context.socket::<Pair>(Options::new());
    pair.connect("inproc://pair").unwrap();
    bound.try_send("1").unwrap();
    pair.disconnect("inproc://pair").unwrap();
    pair.connect("inproc://pair").unwrap();
    bound.try_send("2").unwrap();
    for expected in [1, 2] {
        assert_eq!(number(&pair.try_recv().unwrap()), expected);
    }
}
