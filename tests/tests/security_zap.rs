//! The policy decides, and whatever goes wrong with it refuses (T13, RFC 27).

use std::sync::Arc;
use std::time::Duration;

use curvelink::{
    BoxFuture, Context, Credentials, Curve, Dealer, Frame, KeyPair, LinkEventKind, MechanismName,
    Message, Monitor, Options, Plain, PublicKey, Pull, Push, Reason, Rep, Rights, Router, Stage,
    ZapHandler, ZapReply, ZapRequest, zap,
};
use curvelink_tests::support::{
    Policy, admit, admitted, bind_tcp, deadline, event, keys, quick, texts,
};

const SLOW: Duration = Duration::from_millis(100);

/// How the two sides of a link are secured.
#[derive(Clone, Debug)]
struct Secured {
    name: MechanismName,
    server: Options,
    client: Options,
    /// Of a CURVE client.
    key: Option<PublicKey>,
}

fn secured() -> [Secured; 3] {
    let (server, client) = (keys(), keys());
    let server_key = server.public();
    let key = Some(client.public());
    let plain = Plain::client("user", "password").unwrap();
    [
        Secured {
            name: MechanismName::NULL,
            server: Options::new(),
            client: quick(),
            key: None,
        },
        Secured {
            name: MechanismName::PLAIN,
            server: Options::new().security(Plain::server()),
            client: quick().security(plain),
            key: None,
        },
        Secured {
            name: MechanismName::CURVE,
            server: Options::new().security(Curve::server(server)),
            client: quick().security(Curve::client(client, server_key)),
            key,
        },
    ]
}

/// What came of one connection: the reason and status of its refusal, or its name.
type Outcome = Result<Option<Arc<str>>, (Reason, Option<u16>)>;

async fn outcome(monitor: &mut Monitor) -> Outcome {
    event(monitor, |event| match &event.kind {
        LinkEventKind::HandshakeSucceeded(peer) => Some(Ok(peer.name.clone())),
        LinkEventKind::Refused(refusal) => {
            assert_eq!(refusal.stage, Stage::Admission);
            assert!(event.address.is_some());
            Some(Err((refusal.reason, refusal.status)))
        }
        _ => None,
    })
    .await
}

/// Lets a client connect, and sees to it that it is served exactly if it was admitted.
async fn attempt(context: &Context, secured: &Secured) -> Outcome {
    let options = secured.server.clone().zap_domain("build").zap_timeout(SLOW);
    let pull = context.socket::<Pull>(options.linger(Duration::ZERO));
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(secured.client.clone().linger(Duration::ZERO));
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send("payload").await.unwrap();
    let outcome = outcome(&mut monitor).await;
    if outcome.is_ok() {
        assert_eq!(texts(&pull.recv().await.unwrap()), ["payload"]);
    } else {
        assert!(pull.peers().is_empty() && pull.try_recv().is_err());
    }
    outcome
}

const FAILED: Outcome = Err((Reason::HandlerError, Some(500)));

/// A handler that goes wrong in its own way.
#[derive(Debug)]
enum Broken {
    Slow,
    PanicsInTheCall,
    PanicsInTheFuture,
}

impl ZapHandler for Broken {
    fn authenticate<'a>(&'a self, _: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        match self {
            Self::Slow => Box::pin(std::future::pending()),
            Self::PanicsInTheCall => panic!("as the test wants it"),
            Self::PanicsInTheFuture => Box::pin(async { panic!("as the test wants it") }),
        }
    }
}

#[tokio::test]
async fn t13_only_an_in_process_200_admits() {
    let _deadline = deadline();
    for secured in secured() {
        let context = Context::new().unwrap();
        context.set_zap_handler(admit("zoë", Rights::all()));
        assert_eq!(attempt(&context, &secured).await, Ok(Some("zoë".into())));
        for (reply, reason, status) in [
            (ZapReply::temporary(), Reason::Temporary, 300),
            (ZapReply::deny(Reason::Denied), Reason::Denied, 400),
            (ZapReply::deny(Reason::UnknownKey), Reason::UnknownKey, 400),
            (ZapReply::deny(Reason::KeyExpired), Reason::KeyExpired, 400),
            (ZapReply::failed(), Reason::HandlerError, 500),
        ] {
            context.set_zap_handler(Policy(move |_: &ZapRequest| reply.clone()));
            let outcome = attempt(&context, &secured).await;
            assert_eq!(outcome, Err((reason, Some(status))), "{}", secured.name);
        }
        for broken in [
            Broken::Slow,
            Broken::PanicsInTheCall,
            Broken::PanicsInTheFuture,
        ] {
            let how = format!("{broken:?} under {}", secured.name);
            context.set_zap_handler(broken);
            assert_eq!(attempt(&context, &secured).await, FAILED, "{how}");
        }
    }
}

#[tokio::test]
async fn t13_a_handler_that_went_after_the_bind_refuses() {
    let _deadline = deadline();
    for secured in secured() {
        let context = Context::new().unwrap();
        let handler = zap::serve(&context, admit("early", Rights::all())).unwrap();
        let pull = context.socket::<Pull>(secured.server.clone().zap_domain("build"));
        let mut monitor = pull.monitor();
        let endpoint = bind_tcp(&pull);
        let early = context.socket::<Push>(secured.client.clone());
        early.connect(&endpoint).unwrap();
        assert_eq!(outcome(&mut monitor).await, Ok(Some("early".into())));
        drop(handler);
        let late = context.socket::<Push>(secured.client.clone());
        late.connect(&endpoint).unwrap();
        assert_eq!(outcome(&mut monitor).await, FAILED, "{}", secured.name);
        early.send("still admitted").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["still admitted"]);
    }
}

/// Replies of a hand-written handler: the frames after the envelope, given the request's.
type Answer = fn(&[Frame]) -> Option<Vec<Frame>>;

fn reply(version: &str, id: &[u8], status: &str, frames: usize) -> Option<Vec<Frame>> {
    let all = [
        version.as_bytes(),
        id,
        status.as_bytes(),
        b"text",
        b"zoe",
        b"",
    ];
    let extra = std::iter::repeat_n(&b""[..], frames.saturating_sub(6));
    Some(
        all.into_iter()
            .chain(extra)
            .take(frames)
            .map(Frame::copy_from)
            .collect(),
    )
}

const REFUSING: &[(&str, Answer, Reason, u16)] = &[
    (
        "300",
        |r| reply("1.0", &r[1], "300", 6),
        Reason::Temporary,
        300,
    ),
    (
        "400",
        |r| reply("1.0", &r[1], "400", 6),
        Reason::Denied,
        400,
    ),
    (
        "500",
        |r| reply("1.0", &r[1], "500", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "status 2000",
        |r| reply("1.0", &r[1], "2000", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "status 20",
        |r| reply("1.0", &r[1], "20", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "status 201",
        |r| reply("1.0", &r[1], "201", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "no status",
        |r| reply("1.0", &r[1], "", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "a frame less",
        |r| reply("1.0", &r[1], "200", 5),
        Reason::HandlerError,
        500,
    ),
    (
        "a frame more",
        |r| reply("1.0", &r[1], "200", 7),
        Reason::HandlerError,
        500,
    ),
    (
        "one frame",
        |r| reply("1.0", &r[1], "200", 1),
        Reason::HandlerError,
        500,
    ),
    (
        "version 2.0",
        |r| reply("2.0", &r[1], "200", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "no version",
        |r| reply("", &r[1], "200", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "another id",
        |_| reply("1.0", b"2", "200", 6),
        Reason::HandlerError,
        500,
    ),
    (
        "no id",
        |_| reply("1.0", b"", "200", 6),
        Reason::HandlerError,
        500,
    ),
    ("no answer", |_| None, Reason::HandlerError, 500),
];

#[tokio::test]
async fn t13_only_a_well_formed_200_of_a_handler_socket_admits() {
    let _deadline = deadline();
    for secured in secured() {
        let context = Context::new().unwrap();
        let handler = context.socket::<Router>(Options::new());
        handler.bind("inproc://zeromq.zap.01").unwrap();
        let handler = &handler;
        let good: Answer = |r| reply("1.0", &r[1], "200", 6);
        let answered = async |answer: Answer| {
            let attempt = attempt(&context, &secured);
            let serving = async {
                loop {
                    let frames = handler.recv().await.unwrap().into_frames();
                    let [asker, delimiter, request @ ..] = &frames[..] else {
                        panic!("no request: {frames:?}");
                    };
                    check_request(delimiter, request, &secured);
                    if let Some(reply) = answer(request) {
                        let envelope = [asker.clone(), Frame::empty()];
                        let frames = envelope.into_iter().chain(reply);
                        handler.send(frames.collect::<Message>()).await.unwrap();
                    }
                }
            };
            tokio::select! {
                outcome = attempt => outcome,
                () = serving => unreachable!("it serves for ever"),
            }
        };
        assert_eq!(answered(good).await, Ok(Some("zoe".into())));
        for (how, answer, reason, status) in REFUSING {
            let outcome = answered(*answer).await;
            assert_eq!(
                outcome,
                Err((*reason, Some(*status))),
                "{how}, {}",
                secured.name
            );
        }
        assert_eq!(answered(good).await, Ok(Some("zoe".into())), "it recovers");
    }
}

/// RFC 27, "Request".
fn check_request(delimiter: &Frame, request: &[Frame], secured: &Secured) {
    assert!(delimiter.is_empty());
    let [
        version,
        id,
        domain,
        address,
        _routing_id,
        mechanism,
        credentials @ ..,
    ] = request
    else {
        panic!("too short: {request:?}");
    };
    assert_eq!((&version[..], &domain[..]), (&b"1.0"[..], &b"build"[..]));
    assert!(!id.is_empty());
    assert_eq!(address[..], *b"127.0.0.1");
    assert_eq!(mechanism[..], *secured.name.as_str().as_bytes());
    match (secured.key, credentials) {
        (Some(key), [frame]) => assert_eq!(frame[..], key.as_octets()[..]),
        (None, []) => assert_eq!(secured.name, MechanismName::NULL),
        (None, [user, password]) => {
            assert_eq!((&user[..], &password[..]), (&b"user"[..], &b"password"[..]))
        }
        _ => panic!("credentials: {credentials:?}"),
    }
}

#[tokio::test]
async fn t13_a_reply_without_its_delimiter_refuses() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let handler = context.socket::<Router>(Options::new());
    handler.bind("inproc://zeromq.zap.01").unwrap();
    let serving = async {
        loop {
            let frames = handler.recv().await.unwrap().into_frames();
            let reply = reply("1.0", &frames[3], "200", 6).unwrap();
            let all = [frames[0].clone()].into_iter().chain(reply);
            handler.send(all.collect::<Message>()).await.unwrap();
        }
    };
    let [_, _, secured] = secured();
    tokio::select! {
        outcome = attempt(&context, &secured) => assert_eq!(outcome, FAILED),
        () = serving => unreachable!("it serves for ever"),
    }
}

#[tokio::test]
async fn a_rep_socket_answers_as_a_handler() {
    let _deadline = deadline();
    for secured in secured() {
        let context = Context::new().unwrap();
        let handler = context.socket::<Rep>(Options::new());
        handler.bind("inproc://zeromq.zap.01").unwrap();
        let serving = async {
            loop {
                let request = handler.recv().await.unwrap().into_frames();
                let reply = reply("1.0", &request[1], "200", 6).unwrap();
                handler.send(Message::from(reply)).await.unwrap();
            }
        };
        tokio::select! {
            outcome = attempt(&context, &secured) => assert_eq!(outcome, Ok(Some("zoe".into()))),
            () = serving => unreachable!("it serves for ever"),
        }
    }
}

#[tokio::test]
async fn a_served_handler_sees_what_rfc_27_carries() {
    let _deadline = deadline();
    for secured in secured() {
        let context = Context::new().unwrap();
        let expected = secured.clone();
        let check = move |request: &ZapRequest| {
            let known = match &request.credentials {
                Credentials::Null => expected.name == MechanismName::NULL,
                Credentials::Plain { username, password } => {
                    username == "user" && password.matches(b"password")
                }
                Credentials::Curve(key) => Some(*key) == expected.key,
                _ => false,
            };
            assert_eq!(
                (&*request.domain, request.mechanism),
                ("build", expected.name)
            );
            if known {
                ZapReply::admit("known", Rights::none())
            } else {
                ZapReply::deny(Reason::UnknownKey)
            }
        };
        let server = zap::serve(&context, Policy(check)).unwrap();
        let again = zap::serve(&context, admit("x", Rights::all()));
        assert!(again.is_err(), "one handler for each context");
        // RFC 27 carries no rights: a handler there admits to everything.
        assert_eq!(attempt(&context, &secured).await, Ok(Some("known".into())));
        drop(server);
        assert!(zap::serve(&context, admit("x", Rights::all())).is_ok());
    }
}

#[tokio::test]
async fn a_handler_behind_intermediaries_gives_every_envelope_back() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let _server = zap::serve(&context, admit("zoe", Rights::all())).unwrap();
    let asker = context.socket::<Dealer>(Options::new());
    asker.connect("inproc://zeromq.zap.01").unwrap();
    let request = ["1.0", "id", "build", "192.0.2.7", "", "NULL"];
    let reply = ["1.0", "id", "200", "OK", "zoe", ""];
    for hops in [&[][..], &["hop 1"], &["hop 1", "hop 2", "hop 3"]] {
        // Without a delimiter it is no request, and what it carries no envelope.
        let frames = hops.iter().chain(&request[..5]).copied();
        asker
            .send(frames.map(Frame::from).collect::<Message>())
            .await
            .unwrap();
        let frames = hops.iter().chain(&[""]).chain(&request).copied();
        asker
            .send(frames.map(Frame::from).collect::<Message>())
            .await
            .unwrap();
        let expected: Vec<&str> = hops.iter().chain(&[""]).chain(&reply).copied().collect();
        assert_eq!(texts(&asker.recv().await.unwrap()), expected);
    }
}

#[tokio::test]
async fn the_contexts_handler_goes_before_the_socket() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let _server = zap::serve(&context, admit("socket", Rights::all())).unwrap();
    let [_, _, secured] = secured();
    assert_eq!(attempt(&context, &secured).await, Ok(Some("socket".into())));
    context.set_zap_handler(admit("handler", Rights::all()));
    assert_eq!(
        attempt(&context, &secured).await,
        Ok(Some("handler".into()))
    );
    context.set_zap_handler(Broken::Slow);
    assert_eq!(
        attempt(&context, &secured).await,
        FAILED,
        "no second opinion"
    );
}

#[tokio::test]
async fn a_policy_is_asked_about_each_connection_with_all_that_is_known() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (server, client): (KeyPair, KeyPair) = (keys(), keys());
    let (server_key, client_key) = (server.public(), client.public());
    let (asked, mut questions) = tokio::sync::mpsc::unbounded_channel();
    context.set_zap_handler(Policy(move |request: &ZapRequest| {
        asked.send(request.clone()).unwrap();
        ZapReply::admit("name", Rights::all())
    }));
    let options = Options::new().security(Curve::server(server));
    let router = context.socket::<Router>(options.zap_domain("build"));
    let mut monitor = router.monitor();
    let endpoint = bind_tcp(&router);
    let options = quick().security(Curve::client(client, server_key));
    let dealer = context.socket::<Dealer>(options.routing_id("d"));
    dealer.connect(&endpoint).unwrap();
    let peer = admitted(&mut monitor).await;
    let question = questions.recv().await.unwrap();
    assert_eq!(&*question.endpoint, endpoint);
    assert_eq!(question.address, peer.address, "with its port");
    assert_eq!(question.routing_id, "d", "the client's, not ours");
    assert!(matches!(question.credentials, Credentials::Curve(key) if key == client_key));
    dealer.send("x").await.unwrap();
    router.recv().await.unwrap();
    assert!(questions.try_recv().is_err(), "once for each connection");
}
