//! A security mechanism of a third party, written against the public traits alone, over real
//! sockets: what it can do, and what the engine does not let it do.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use curvelink::{
    Admitted, BindError, Command, Context, Credentials, FrameFlags, Handshake, HandshakeCx,
    Mechanism, MechanismError, MechanismName, Message, Metadata, Opener, Options, Properties,
    Protection, Pub, Pull, Push, Ready, Reason, RefusedEndpoint, Rights, Sealer, Side, Stage, Step,
    Sub, ZapReply, ZapRequest,
};
use curvelink_tests::support::{
    Policy, admitted, bind_tcp, deadline, disconnected, quick, raw, refusal, texts,
};

/// INSECURE, a toy for this test: the client sends a token in clear, and frames are masked with
/// octets that whoever saw the handshake can compute.
///
/// ```text
/// client                        server
///   HELLO(token)            ─▶
///                               asks the policy about the token
///                           ◀─  WELCOME(nonce, metadata)
///   INITIATE(metadata)      ─▶
///   masked frames           ◀─▶ masked frames
/// ```
#[derive(Clone, Debug)]
struct TokenXor {
    token: Option<&'static str>,
    conduct: Conduct,
}

/// How a server lets its clients in. All but the first break the contract.
#[derive(Clone, Debug)]
enum Conduct {
    Honest,
    ClaimsToBeClient,
    TakesAnyone,
    /// Keeps the policy's token of the first connection for the second, which it does not ask for.
    Reuses(Arc<Mutex<Option<Admitted>>>),
}

impl TokenXor {
    const fn client(token: &'static str) -> Self {
        Self {
            token: Some(token),
            conduct: Conduct::Honest,
        }
    }

    const fn server(conduct: Conduct) -> Self {
        Self {
            token: None,
            conduct,
        }
    }
}

impl Mechanism for TokenXor {
    fn name(&self) -> MechanismName {
        MechanismName::new(b"TOKEN-XOR").expect("a name of the grammar")
    }

    fn as_server(&self) -> bool {
        self.token.is_none()
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: false,
            asks_policy: self.as_server(),
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        match self.token {
            Some(token) => Box::new(Client { token }),
            None => Box::new(Server {
                conduct: self.conduct.clone(),
                token: Vec::new(),
                welcomed: None,
            }),
        }
    }
}

#[derive(Debug)]
struct Client {
    token: &'static str,
}

impl Handshake for Client {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        cx.send("HELLO", self.token.as_bytes())?;
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        let (nonce, metadata) = command
            .body
            .split_first_chunk()
            .filter(|_| command.is("WELCOME"))
            .ok_or(MechanismError::UnexpectedCommand)?;
        cx.send("INITIATE", cx.metadata())?;
        Ok(Step::Ready(Ready {
            admitted: Admitted::anyone(),
            metadata: Metadata::parse(metadata)?,
            key: None,
            our_key: None,
            protection: Some(masks(self.token.as_bytes(), *nonce)),
        }))
    }

    fn on_admitted(
        &mut self,
        _admitted: Admitted,
        _cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Err(MechanismError::UnexpectedCommand)
    }
}

#[derive(Debug)]
struct Server {
    conduct: Conduct,
    token: Vec<u8>,
    welcomed: Option<(Admitted, [u8; 8])>,
}

impl Server {
    fn welcome(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        let nonce = cx.random()?;
        cx.send("WELCOME", &[&nonce, cx.metadata()].concat())?;
        self.welcomed = Some((admitted, nonce));
        Ok(Step::Continue)
    }

    fn ask(&self) -> Step {
        Step::Authenticate {
            credentials: Credentials::Foreign(vec![Bytes::copy_from_slice(&self.token)]),
            metadata: None,
        }
    }
}

impl Handshake for Server {
    fn start(&mut self, _cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        Ok(Step::Continue)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        if let Some((admitted, nonce)) = self.welcomed.take_if(|_| command.is("INITIATE")) {
            return Ok(Step::Ready(Ready {
                admitted,
                metadata: Metadata::parse(command.body)?,
                key: None,
                our_key: None,
                protection: Some(masks(&self.token, nonce)),
            }));
        }
        if !command.is("HELLO") || !self.token.is_empty() || command.body.is_empty() {
            return Err(MechanismError::UnexpectedCommand);
        }
        self.token = command.body.to_vec();
        let admitted = match &self.conduct {
            Conduct::Honest => return Ok(self.ask()),
            Conduct::ClaimsToBeClient => Admitted::server_proven(),
            Conduct::TakesAnyone => Admitted::anyone(),
            Conduct::Reuses(kept) => match kept.lock().expect("unpoisoned").take() {
                Some(admitted) => admitted,
                None => return Ok(self.ask()),
            },
        };
        self.welcome(admitted, cx)
    }

    fn on_admitted(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        if let Conduct::Reuses(kept) = &self.conduct {
            *kept.lock().expect("unpoisoned") = Some(admitted);
            return Err(MechanismError::Malformed("HELLO: come again"));
        }
        self.welcome(admitted, cx)
    }
}

fn masks(token: &[u8], nonce: [u8; 8]) -> Protection {
    let mask = || Mask {
        key: [token, &nonce].concat(),
        count: 0,
    };
    Protection {
        sealer: Box::new(mask()),
        opener: Box::new(mask()),
    }
}

/// Masks the flags and the body under a count of frames.
#[derive(Debug)]
struct Mask {
    key: Vec<u8>,
    count: u8,
}

impl Mask {
    fn apply(&mut self, octets: &mut [u8]) {
        self.count = self.count.wrapping_add(1);
        for (octet, key) in octets.iter_mut().zip(self.key.iter().cycle()) {
            *octet ^= key ^ self.count;
        }
    }
}

impl Sealer for Mask {
    fn sealed_len(&self, clear: usize) -> usize {
        1 + clear
    }

    fn seal(
        &mut self,
        flags: FrameFlags,
        clear: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), MechanismError> {
        let start = out.len();
        out.put_u8(u8::from(flags.more) | u8::from(flags.command) << 1);
        out.put_slice(clear);
        self.apply(&mut out[start..]);
        Ok(())
    }
}

impl Opener for Mask {
    fn open_in_place(
        &mut self,
        body: &mut [u8],
    ) -> Result<(FrameFlags, Range<usize>), MechanismError> {
        self.apply(body);
        let flags = match body.first() {
            Some(flags @ 0..=2) => FrameFlags {
                more: flags & 1 != 0,
                command: flags & 2 != 0,
            },
            _ => return Err(MechanismError::Malformed("flags")),
        };
        Ok((flags, 1..body.len()))
    }
}

/// Admits one token.
fn policy(request: &ZapRequest) -> ZapReply {
    match &request.credentials {
        Credentials::Foreign(frames) if frames[..] == ["open sesame"] => {
            ZapReply::admit("ali", Rights::all())
        }
        _ => ZapReply::deny(Reason::UnknownUser),
    }
}

fn server(conduct: Conduct) -> Options {
    quick()
        .security(TokenXor::server(conduct))
        .zap_domain("cave")
}

fn client(token: &'static str) -> Options {
    quick().security(TokenXor::client(token))
}

fn context() -> Context {
    let context = Context::new().unwrap();
    context.set_zap_handler(Policy(policy));
    context
}

#[tokio::test]
async fn messages_pass_both_ways_and_know_their_sender() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(server(Conduct::Honest));
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client("open sesame"));
    push.connect(&bind_tcp(&pull)).unwrap();

    let large = Message::from([vec![1; 70_000], vec![], vec![2; 300]]);
    push.send("one").await.unwrap();
    push.send(large.clone()).await.unwrap();
    let first = pull.recv().await.unwrap();
    assert_eq!(texts(&first), ["one"]);
    let peer = first.peer().unwrap();
    assert_eq!(peer.name.as_deref(), Some("ali"));
    assert_eq!(peer.mechanism.as_str(), "TOKEN-XOR");
    assert_eq!(pull.recv().await.unwrap(), large);
    assert_eq!(admitted(&mut monitor).await.name.as_deref(), Some("ali"));
}

#[tokio::test]
async fn subscriptions_go_through_the_seal_like_messages() {
    let _deadline = deadline();
    let context = context();
    let publisher = context.socket::<Pub>(server(Conduct::Honest));
    let subscriber = context.socket::<Sub>(client("open sesame"));
    subscriber.subscribe("findings/");
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    publisher.wait_for_subscribers("findings/sast", 1).await;
    assert!(publisher.subscribers(b"other").is_empty());
    publisher.send("other").await.unwrap();
    publisher.send("findings/sast").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["findings/sast"]);
}

#[tokio::test]
async fn the_policy_refuses_a_token_and_both_sides_are_told() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(server(Conduct::Honest));
    let push = context.socket::<Push>(client("open barley"));
    let (mut at_server, mut at_client) = (pull.monitor(), push.monitor());
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send("never").await.unwrap();

    let (told, refused) = refusal(&mut at_server).await;
    assert_eq!((refused.by, refused.stage), (Side::Us, Stage::Admission));
    assert_eq!(
        (refused.reason, refused.status),
        (Reason::UnknownUser, Some(400))
    );
    assert!(!told.to_string().contains("barley"), "{told}");
    let (_, refused) = refusal(&mut at_client).await;
    assert_eq!((refused.by, refused.status), (Side::Peer, Some(400)));
    assert!(pull.try_recv().is_err() && pull.peers().is_empty());
}

#[tokio::test]
async fn a_server_that_asks_a_policy_does_not_bind_without_one() {
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(server(Conduct::Honest));
    let error = pull.bind("tcp://127.0.0.1:*").unwrap_err();
    let no_policy = matches!(error, BindError::Refused(RefusedEndpoint::NoPolicy));
    assert!(no_policy, "{error}");
}

#[tokio::test]
async fn another_mechanism_on_the_other_side_is_refused() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(server(Conduct::Honest));
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(quick());
    push.connect(&bind_tcp(&pull)).unwrap();
    let (_, refused) = refusal(&mut monitor).await;
    assert_eq!(refused.reason, Reason::MechanismMismatch);
}

#[tokio::test]
async fn a_server_cannot_skip_the_policy_by_another_name() {
    let _deadline = deadline();
    for conduct in [Conduct::ClaimsToBeClient, Conduct::TakesAnyone] {
        let context = context();
        let pull = context.socket::<Pull>(server(conduct));
        let mut monitor = pull.monitor();
        let push = context.socket::<Push>(client("open sesame"));
        push.connect(&bind_tcp(&pull)).unwrap();
        push.send("never").await.unwrap();
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!((refused.by, refused.reason), (Side::Us, Reason::Internal));
        assert!(pull.peers().is_empty() && pull.try_recv().is_err());
    }
}

#[tokio::test]
async fn the_policys_yes_to_one_connection_is_worth_nothing_on_the_next() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(server(Conduct::Reuses(Arc::default())));
    let mut monitor = pull.monitor();
    let push = context.socket::<Push>(client("open sesame"));
    push.connect(&bind_tcp(&pull)).unwrap();
    // The policy says yes to the first, which ends all the same; the second has only that yes.
    for reason in [Reason::Malformed, Reason::Internal] {
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!((refused.by, refused.reason), (Side::Us, reason));
    }
    assert!(pull.peers().is_empty() && pull.try_recv().is_err());
}

#[tokio::test]
async fn a_frame_that_does_not_open_ends_the_link() {
    let _deadline = deadline();
    let context = context();
    let pull = context.socket::<Pull>(server(Conduct::Honest));
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    for (flags, outcome) in [(0, None), (0x80, Some(Reason::Malformed))] {
        let frame = raw::frame(0, &[b'o' ^ 1 ^ flags]);
        let metadata = raw::metadata(&[("Socket-Type", b"PUSH")]);
        let octets = [
            raw::greeting("TOKEN-XOR"),
            raw::command("HELLO", b"open sesame"),
            raw::command("INITIATE", &metadata),
            frame,
        ];
        let peer = raw::dial(&endpoint, &octets.concat()).await;
        admitted(&mut monitor).await;
        if outcome.is_none() {
            assert_eq!(texts(&pull.recv().await.unwrap()), [""]);
            drop(peer);
        }
        assert_eq!(disconnected(&mut monitor).await, outcome);
    }
    assert!(pull.try_recv().is_err());
}
