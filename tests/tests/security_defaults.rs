//! What does not start unless its danger was written down: clear text beyond this host (T19), and
//! servers without a policy.

use curvelink::{
    BindError, ConnectError, Context, Curve, CurveBackend, Mechanism, Null, Options, Plain, Pull,
    Push, RefusedEndpoint, Rep, Rights, ZapReply, ZapRequest, zap,
};
use curvelink_tests::support::{
    Policy, admit, admitted, bind_tcp, curve, deadline, keys, quick, texts,
};

/// Endpoints that others can reach, or that only a resolver knows.
const BEYOND: &[&str] = &[
    "tcp://0.0.0.0:0",
    "tcp://*:*",
    "tcp://*:0",
    "tcp://[::]:0",
    "tcp://[::ffff:0.0.0.0]:0",
    "tcp://192.0.2.1:1",
    "tcp://[2001:db8::1]:1",
    "tcp://example.org:1",
    "tcp://localhost.example.org:1",
    "tcp://eth0:1",
];

const HERE: &[&str] = &[
    "tcp://127.0.0.1:*",
    "tcp://127.0.0.2:*",
    "tcp://localhost:*",
    "inproc://here",
];

fn clear_text() -> [(&'static str, Options); 3] {
    let client = Plain::client("user", "password").unwrap();
    [
        ("NULL", Options::new().security(Null::new())),
        ("PLAIN server", Options::new().security(Plain::server())),
        ("PLAIN client", Options::new().security(client)),
    ]
}

#[tokio::test]
async fn t19_clear_text_binds_on_this_host_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    for (mechanism, options) in clear_text() {
        for endpoint in BEYOND {
            let refused = context.socket::<Pull>(options.clone()).bind(endpoint);
            // Neither a host's name nor a missing interface is anything to bind to.
            let right = match refused {
                Err(BindError::Host) => ["example", "eth0"]
                    .iter()
                    .any(|name| endpoint.contains(name)),
                Err(BindError::Refused(RefusedEndpoint::ClearText)) => true,
                _ => false,
            };
            assert!(right, "{mechanism} at {endpoint}: {refused:?}");
        }
        for endpoint in HERE {
            let pull = context.socket::<Pull>(options.clone());
            assert!(pull.bind(endpoint).is_ok(), "{mechanism} at {endpoint}");
        }
    }
}

#[tokio::test]
async fn t19_clear_text_connects_to_this_host_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    for (mechanism, options) in clear_text() {
        for endpoint in BEYOND.iter().chain(&["tcp://10.0.0.1:5555"]) {
            let refused = context.socket::<Push>(options.clone()).connect(endpoint);
            let clear = matches!(
                refused,
                Err(ConnectError::Refused(RefusedEndpoint::ClearText))
            );
            assert!(clear, "{mechanism} to {endpoint}: {refused:?}");
        }
        let push = context.socket::<Push>(options.clone());
        push.connect("tcp://localhost:1").unwrap();
        push.connect("tcp://[::1]:1").unwrap();
        assert!(matches!(
            push.connect("tcp://127.0.0.1:*"),
            Err(ConnectError::Wildcard)
        ));
    }
}

#[tokio::test]
async fn t19_the_named_override_lets_clear_text_out() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    for (mechanism, options) in clear_text() {
        let options = options.allow_clear_text_beyond_this_host();
        for endpoint in ["tcp://0.0.0.0:0", "tcp://*:*"] {
            let pull = context.socket::<Pull>(options.clone());
            assert!(pull.bind(endpoint).is_ok(), "{mechanism} at {endpoint}");
        }
        let push = context.socket::<Push>(options);
        push.connect("tcp://192.0.2.1:1").unwrap();
        push.connect("tcp://example.invalid:1").unwrap();
        drop(push);
    }
    // The name of a host is not what a socket binds to.
    let pull = context.socket::<Pull>(Options::new().allow_clear_text_beyond_this_host());
    assert!(matches!(
        pull.bind("tcp://example.org:1"),
        Err(BindError::Host)
    ));
}

#[tokio::test]
async fn curve_goes_beyond_this_host_without_an_override() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("anyone", Rights::all()));
    let (server, client) = curve();
    let pull = context.socket::<Pull>(Options::new().security(server));
    let bound = pull.bind("tcp://*:*").unwrap().to_string();
    let port = bound.rsplit(':').next().unwrap();
    let push = context.socket::<Push>(quick().security(client));
    push.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    push.send("sealed").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["sealed"]);
}

/// Whether a PULL with these options binds at each kind of endpoint.
fn binds(context: &Context, options: &Options) -> [bool; 3] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let file = format!("ipc://{}", path.display());
    let name = format!("ipc://@{}", path.display());
    ["tcp://127.0.0.1:*", &file, &name].map(|endpoint| {
        let bound = context.socket::<Pull>(options.clone()).bind(endpoint);
        match bound {
            Ok(_) => true,
            Err(BindError::Refused(RefusedEndpoint::NoPolicy)) => false,
            Err(error) => panic!("{endpoint}: {error}"),
        }
    })
}

fn asking() -> [Options; 3] {
    [
        Options::new().security(Curve::server(keys())),
        Options::new().security(Plain::server()),
        Options::new().zap_domain("build"),
    ]
}

#[tokio::test]
async fn a_server_without_a_policy_does_not_bind() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for options in asking() {
        assert_eq!(binds(&context, &options), [false; 3]);
    }
    let push = context.socket::<Push>(Options::new().zap_domain("build"));
    assert!(matches!(
        push.connect("tcp://127.0.0.1:1"),
        Err(ConnectError::Refused(RefusedEndpoint::NoPolicy))
    ));
}

#[tokio::test]
async fn a_handler_is_a_policy() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(|_: &ZapRequest| ZapReply::failed()));
    for options in asking() {
        assert_eq!(binds(&context, &options), [true; 3]);
    }
}

#[tokio::test]
async fn a_socket_at_the_zap_endpoint_is_a_policy_while_it_is_bound() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let handler = context.socket::<Rep>(Options::new());
    handler.bind("inproc://zeromq.zap.01").unwrap();
    for options in asking() {
        assert_eq!(binds(&context, &options), [true; 3]);
    }
    handler.unbind("inproc://zeromq.zap.01").unwrap();
    for options in asking() {
        assert_eq!(binds(&context, &options), [false; 3]);
    }
    let server = zap::serve(&context, admit("x", Rights::all())).unwrap();
    assert_eq!(binds(&context, &asking()[0]), [true; 3]);
    drop(server);
    assert_eq!(binds(&context, &asking()[0]), [false; 3]);
}

#[tokio::test]
async fn a_socket_that_only_connects_to_the_zap_endpoint_is_no_policy() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let asker = context.socket::<Rep>(Options::new());
    asker.connect("inproc://zeromq.zap.01").unwrap();
    assert_eq!(binds(&context, &asking()[0]), [false; 3]);
}

#[tokio::test]
async fn another_contexts_policy_does_not_count() {
    let _deadline = deadline();
    let (context, other) = (Context::new().unwrap(), Context::new().unwrap());
    other.set_zap_handler(admit("anyone", Rights::all()));
    assert_eq!(binds(&context, &asking()[0]), [false; 3]);
}

#[tokio::test]
async fn accept_anyone_must_be_written_and_then_suffices() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let open = Curve::server(keys()).accept_anyone();
    assert_eq!(binds(&context, &Options::new().security(open)), [true; 3]);
    let (_, client) = curve();
    let both = client.clone().accept_anyone();
    assert_eq!(
        client.properties(),
        both.properties(),
        "no effect on a client"
    );
}

#[tokio::test]
async fn each_side_has_its_own_cipher_and_tells_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    context.set_zap_handler(admit("scanner", Rights::all()));
    let (server, client) = curve();
    let server = server.backend(CurveBackend::RustCrypto);
    let pull = context.socket::<Pull>(Options::new().security(server));
    let push = context.socket::<Push>(quick().security(client));
    let monitors = [pull.monitor(), push.monitor()];
    push.connect(&bind_tcp(&pull)).unwrap();
    for length in [0, 100, 100_000] {
        push.send(vec![7; length]).await.unwrap();
        let message = pull.recv().await.unwrap();
        assert_eq!(message, vec![7; length].into());
        assert_eq!(message.peer().unwrap().cipher, Some("rustcrypto"));
    }
    assert_eq!(push.peers()[0].cipher, Some("dryoc"));
    for (mut monitor, cipher) in monitors.into_iter().zip(["rustcrypto", "dryoc"]) {
        let peer = admitted(&mut monitor).await;
        assert_eq!(peer.cipher, Some(cipher));
        let told = peer.to_string();
        assert!(told.contains(&format!("(CURVE, {cipher})")), "{told}");
    }

    let clear = context.socket::<Pull>(Options::new());
    let push = context.socket::<Push>(quick());
    push.connect(&bind_tcp(&clear)).unwrap();
    push.send("x").await.unwrap();
    let message = clear.recv().await.unwrap();
    assert_eq!(message.peer().unwrap().cipher, None);
}

#[tokio::test]
async fn options_out_of_range_are_refused_before_anything_starts() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for (name, options) in [
        ("routing_id", Options::new().routing_id("\0x")),
        ("routing_id", Options::new().routing_id(vec![1; 256])),
        ("zap_domain", Options::new().zap_domain(&"x".repeat(256))),
        ("max_handshakes", Options::new().max_handshakes(0)),
    ] {
        let push = context.socket::<Push>(options);
        let bound = push.bind("tcp://127.0.0.1:*");
        let Err(BindError::Refused(RefusedEndpoint::Option(refused))) = bound else {
            panic!("{name}: {bound:?}");
        };
        assert_eq!(refused, name);
        let connected = push.connect("tcp://127.0.0.1:1");
        assert!(matches!(
            connected,
            Err(ConnectError::Refused(RefusedEndpoint::Option(_)))
        ));
    }
    let longest = Options::new().routing_id(vec![1; 255]);
    bind_tcp(&context.socket::<Push>(longest));
}
