//! Every reason there is, made by what a peer, a policy or a clock does to real sockets; and the
//! event of each, which says who, where and why.

use std::sync::Arc;
use std::time::Duration;

use curvelink::{
    AnySocket, Command, Context, Curve, EventId, Fingerprint, Handshake, HandshakeCx, KeyPair,
    Mechanism, MechanismError, MechanismName, Options, Plain, Properties, Reason, Rights,
    SecurityEvent, SecurityEvents, SocketType, SourceLimits, Step, Topics, ZapReply, ZapRequest,
};
use curvelink_tests::support::changing::Changing;
use curvelink_tests::support::relay::Relay;
use curvelink_tests::support::{Policy, deadline, keys, quick, raw};
use curvelink_zap::PolicyHandler;
use tokio::time::timeout;

/// How long what is too slow may take.
const SOON: Duration = Duration::from_millis(50);

/// A server with a key, a client with a key, and what the operator of both is told.
struct Scene {
    context: Context,
    events: SecurityEvents,
    server: KeyPair,
    client: KeyPair,
    /// What lives until the scene ends.
    sockets: Vec<AnySocket>,
}

/// What was told, and what should have been.
struct Told {
    event: SecurityEvent,
    endpoint: String,
    key: Option<Fingerprint>,
}

impl Scene {
    fn new() -> Self {
        let context = Context::new().unwrap();
        Self {
            events: context.events(),
            context,
            server: keys(),
            client: keys(),
            sockets: Vec::new(),
        }
    }

    /// Options of the server: CURVE, and a policy that is asked in the domain `hub`.
    fn server(&self) -> Options {
        let curve = Curve::server(self.server.duplicate());
        quick().security(curve).zap_domain("hub")
    }

    /// Options of the client that has the server's key.
    fn client(&self) -> Options {
        let client = self.client.duplicate();
        quick().security(Curve::client(client, self.server.public()))
    }

    /// Binds a server of this type; its endpoint.
    fn bind(&mut self, kind: SocketType, options: Options) -> String {
        let socket = self.context.any_socket(kind, options);
        let endpoint = socket.bind("tcp://127.0.0.1:*").unwrap().to_string();
        self.sockets.push(socket);
        endpoint
    }

    fn connect(&mut self, kind: SocketType, options: Options, endpoint: &str) {
        let socket = self.context.any_socket(kind, options);
        socket.connect(endpoint).unwrap();
        self.sockets.push(socket);
    }

    /// The next event of this side's with the reason.
    async fn told(&mut self, reason: Reason) -> SecurityEvent {
        loop {
            let event = self.events.recv().await.expect("the context is open");
            let by = if reason == Reason::Closed {
                "peer"
            } else {
                "us"
            };
            let is_here = event.by.is_none_or(|side| side.name() == by);
            if event.reason == Some(reason.code()) && is_here {
                return event;
            }
        }
    }

    async fn admitted(&mut self) {
        while self.events.recv().await.expect("open").id != EventId::Accepted {}
    }

    /// What a server tells of octets that no peer of ours would send. Nobody has proven anything.
    async fn of_stranger(mut self, reason: Reason, octets: &[u8]) -> Told {
        let options = self.server().greeting_timeout(SOON);
        let policy = Policy(|_: &ZapRequest| ZapReply::deny(Reason::Denied));
        self.context.set_zap_handler(policy);
        let endpoint = self.bind(SocketType::Pull, options);
        let stranger = raw::dial(&endpoint, octets).await;
        let stays = Some(stranger).filter(|_| reason != Reason::Closed);
        let event = self.told(reason).await;
        drop(stays);
        Told {
            event,
            endpoint,
            key: None,
        }
    }

    /// What a server tells of a client with a proven key, once the policy has said this.
    async fn of_client(mut self, reason: Reason, reply: ZapReply) -> Told {
        let policy = Policy(move |_: &ZapRequest| reply.clone());
        self.context.set_zap_handler(policy);
        let endpoint = self.bind(SocketType::Router, self.server());
        let client = self.client().routing_id("worker");
        self.connect(SocketType::Dealer, client, &endpoint);
        self.expect(reason, endpoint).await
    }

    /// What is told of a client that the policy file knows like this.
    async fn of_listed(mut self, reason: Reason, entry: &str) -> Told {
        let key = self.client.public().to_z85();
        let mut entry = entry.replace("KEY", &key);
        if !entry.contains("domains") {
            entry += "\ndomains = [\"hub\"]";
        }
        self.context.set_zap_handler(policy(&entry));
        let endpoint = self.bind(SocketType::Router, self.server());
        let client = self.client().routing_id("worker");
        self.connect(SocketType::Dealer, client, &endpoint);
        self.expect(reason, endpoint).await
    }

    async fn expect(mut self, reason: Reason, endpoint: String) -> Told {
        Told {
            event: self.told(reason).await,
            endpoint,
            key: Some(self.client.public().fingerprint()),
        }
    }

    /// What is told of a link that was up, after `act` did something to its policy.
    async fn of_link(mut self, reason: Reason, act: impl FnOnce(&Changing, &KeyPair)) -> Told {
        let policy = Changing::new();
        policy.admit(self.client.public(), "ci", Rights::all());
        self.context.set_zap_handler(policy.clone());
        let endpoint = self.bind(SocketType::Pull, self.server());
        let client = self.client();
        self.connect(SocketType::Push, client, &endpoint);
        self.admitted().await;
        self.admitted().await;
        if reason == Reason::PeerDropped {
            self.context.disconnect_peers(|peer| peer.name.is_some());
        }
        act(&policy, &self.client);
        let told = self.expect(reason, endpoint).await;
        assert_eq!(told.event.id, EventId::Cut);
        assert_eq!(told.event.identity.as_deref(), Some("ci"));
        told
    }

    /// Two clients, of which the server can have only the first.
    async fn of_second(mut self, reason: Reason, server: SocketType, client: SocketType) -> Told {
        let policy = Policy(|_: &ZapRequest| ZapReply::admit("ci", Rights::all()));
        self.context.set_zap_handler(policy);
        let endpoint = self.bind(server, self.server());
        let first = Curve::client(keys(), self.server.public());
        let first = quick().security(first).routing_id("worker");
        self.connect(client, first, &endpoint);
        self.admitted().await;
        self.admitted().await;
        let second = self.client().routing_id("worker");
        self.connect(client, second, &endpoint);
        self.expect(reason, endpoint).await
    }
}

/// The handler of a policy file with one identity.
fn policy(entry: &str) -> Arc<PolicyHandler> {
    let text = format!("version = 1\n[identities.ci]\n{entry}\n");
    let policy = curvelink_zap::Policy::from_toml(&text, "zap.toml").expect(&text);
    Arc::new(PolicyHandler::new(policy))
}

/// A mechanism that fails as no honest peer can make one fail.
#[derive(Clone, Debug)]
struct Failing(MechanismError);

impl Mechanism for Failing {
    fn name(&self) -> MechanismName {
        MechanismName::new(b"FAILING").expect("a name of the grammar")
    }

    fn as_server(&self) -> bool {
        true
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: true,
            asks_policy: false,
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(self.clone())
    }
}

impl Handshake for Failing {
    fn start(&mut self, _: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        Err(self.0)
    }

    fn on_command(
        &mut self,
        _: Command<'_>,
        _: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Err(self.0)
    }

    fn on_admitted(
        &mut self,
        _: curvelink::Admitted,
        _: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        Err(self.0)
    }
}

/// What only a forger or a broken machine does; the engine's own tests do it for real.
async fn failing(reason: Reason, error: MechanismError) -> Told {
    let mut scene = Scene::new();
    let endpoint = scene.bind(SocketType::Pull, quick().security(Failing(error)));
    let _peer = raw::dial(&endpoint, &raw::greeting("FAILING")).await;
    Told {
        event: scene.told(reason).await,
        endpoint,
        key: None,
    }
}

async fn wrong_server_key() -> Told {
    let mut scene = Scene::new();
    let options = scene.server();
    let policy = Policy(|_: &ZapRequest| ZapReply::deny(Reason::Denied));
    scene.context.set_zap_handler(policy);
    let endpoint = scene.bind(SocketType::Pull, options);
    let other = Curve::client(keys(), keys().public());
    scene.connect(SocketType::Push, quick().security(other), &endpoint);
    Told {
        event: scene.told(Reason::WrongServerKey).await,
        endpoint,
        key: None,
    }
}

async fn socket_type() -> Told {
    let mut scene = Scene::new();
    let policy = Policy(|_: &ZapRequest| ZapReply::admit("ci", Rights::all()));
    scene.context.set_zap_handler(policy);
    let endpoint = scene.bind(SocketType::Pull, scene.server());
    let client = scene.client();
    scene.connect(SocketType::Sub, client, &endpoint);
    scene.expect(Reason::SocketType, endpoint).await
}

async fn unlisted(reason: Reason, server: Options, client: Options) -> Told {
    let mut scene = Scene::new();
    let entry = format!(
        "curve = [\"{}\"]\ndomains = [\"hub\"]",
        keys().public().to_z85()
    );
    scene.context.set_zap_handler(policy(&entry));
    let endpoint = scene.bind(SocketType::Pull, server.zap_domain("hub"));
    scene.connect(SocketType::Push, client, &endpoint);
    let mut event = scene.told(reason).await;
    assert_eq!(event.domain.take().as_deref(), Some("hub"));
    Told {
        event,
        endpoint,
        key: None,
    }
}

async fn rate_limited() -> Told {
    let mut scene = Scene::new();
    let limits = SourceLimits::new().including_loopback().handshakes(1);
    let endpoint = scene.bind(SocketType::Pull, quick().source_limits(limits));
    let _first = raw::dial(&endpoint, b"").await;
    let _second = raw::dial(&endpoint, b"").await;
    Told {
        event: scene.told(Reason::RateLimited).await,
        endpoint,
        key: None,
    }
}

async fn truncated() -> Told {
    let mut scene = Scene::new();
    let policy = Policy(|_: &ZapRequest| ZapReply::admit("ci", Rights::all()));
    scene.context.set_zap_handler(policy);
    let endpoint = scene.bind(SocketType::Pull, scene.server());
    let relay = Relay::start(&endpoint).await;
    let elsewhere = Context::new().unwrap();
    let push = elsewhere.any_socket(SocketType::Push, scene.client());
    push.connect(&relay.endpoint()).unwrap();
    scene.admitted().await;
    relay.cut();
    scene.expect(Reason::Truncated, endpoint).await
}

/// Makes the reason happen.
async fn reach(reason: Reason) -> Told {
    let scene = Scene::new();
    let narrow = Rights::new(Topics::none(), Topics::none());
    match reason {
        Reason::NotZmtp => scene.of_stranger(reason, b"GET / HTTP/1.1\r\n").await,
        Reason::LegacyVersion => scene.of_stranger(reason, b"\x01\0").await,
        Reason::MechanismMismatch => scene.of_stranger(reason, &raw::greeting("NULL")).await,
        Reason::Malformed => {
            let octets = [raw::greeting("CURVE"), vec![0x80]].concat();
            scene.of_stranger(reason, &octets).await
        }
        Reason::TooLarge => {
            let octets = [raw::greeting("CURVE"), b"\x06\0\0\0\0\0\x01\0\0\0".to_vec()].concat();
            scene.of_stranger(reason, &octets).await
        }
        Reason::Timeout | Reason::Closed => scene.of_stranger(reason, b"\xff").await,
        Reason::WrongServerKey => wrong_server_key().await,
        Reason::BadVouch => failing(reason, MechanismError::BadVouch).await,
        Reason::WeakKey => failing(reason, MechanismError::WeakKey).await,
        Reason::Nonce => failing(reason, MechanismError::Nonce).await,
        Reason::Internal => failing(reason, MechanismError::SelfTest).await,
        Reason::SocketType => socket_type().await,
        Reason::Denied => scene.of_client(reason, ZapReply::deny(reason)).await,
        Reason::Temporary => scene.of_client(reason, ZapReply::temporary()).await,
        Reason::HandlerError => scene.of_client(reason, ZapReply::failed()).await,
        Reason::UnknownKey => {
            let other = format!("curve = [\"{}\"]", keys().public().to_z85());
            scene.of_listed(reason, &other).await
        }
        Reason::UnknownUser => {
            let client = Plain::client("nobody", "guess").unwrap();
            unlisted(
                reason,
                quick().security(Plain::server()),
                quick().security(client),
            )
            .await
        }
        Reason::MechanismDenied => unlisted(reason, quick(), quick()).await,
        Reason::DomainDenied => {
            // Another may come to the domain, or nobody at all could from this address.
            let other = keys().public().to_z85();
            let entry = format!(
                "curve = [\"KEY\"]\ndomains = [\"other\"]\n\
                 [identities.other]\ncurve = [\"{other}\"]\ndomains = [\"hub\"]"
            );
            scene.of_listed(reason, &entry).await
        }
        Reason::AddressDenied => {
            // Asked before an octet is read: nothing was proven.
            let entry = "curve = [\"KEY\"]\nsources = [\"192.0.2.0/24\"]";
            let told = scene.of_listed(reason, entry).await;
            Told { key: None, ..told }
        }
        Reason::EndpointDenied => {
            let entry = "curve = [\"KEY\"]\nendpoints = [\"tcp://127.0.0.1:1\"]";
            scene.of_listed(reason, entry).await
        }
        Reason::PatternDenied => {
            let entry = "curve = [\"KEY\"]\npatterns = [\"SUB\"]";
            scene.of_listed(reason, entry).await
        }
        Reason::RoutingIdDenied => {
            let entry = "curve = [\"KEY\"]\nrouting_ids = [\"other\"]";
            scene.of_listed(reason, entry).await
        }
        Reason::KeyExpired => {
            let entry = "curve = [{ key = \"KEY\", not_after = 2020-01-01T00:00:00Z }]";
            scene.of_listed(reason, entry).await
        }
        Reason::Revoked => scene.of_link(reason, |policy, _| policy.revoke_all()).await,
        Reason::RightsNarrowed => {
            let act = |policy: &Changing, key: &KeyPair| policy.admit(key.public(), "ci", narrow);
            scene.of_link(reason, act).await
        }
        Reason::SessionAge => {
            let act = |policy: &Changing, key: &KeyPair| {
                let mut reply = ZapReply::admit("ci", Rights::all());
                reply.max_age = Some(Duration::from_millis(1));
                policy.answer(key.public(), reply);
            };
            scene.of_link(reason, act).await
        }
        Reason::PeerDropped => scene.of_link(reason, |_, _| ()).await,
        Reason::Truncated => truncated().await,
        Reason::RateLimited => rate_limited().await,
        Reason::RoutingId => {
            let (router, dealer) = (SocketType::Router, SocketType::Dealer);
            scene.of_second(reason, router, dealer).await
        }
        Reason::Exclusive => {
            let pair = SocketType::Pair;
            scene.of_second(reason, pair, pair).await
        }
        other => panic!("nothing here reaches {other}: add what does"),
    }
}

/// A name of this host's that leads elsewhere, which takes another's hosts file: the test stands
/// beside the code that looks, in `session::dial`.
const ELSEWHERE: &[Reason] = &[Reason::ClearText];

/// Makes the reason happen, and looks at what was told of it.
async fn check(reason: Reason) {
    let told = timeout(Duration::from_secs(10), reach(reason)).await;
    let Told {
        event,
        endpoint,
        key,
    } = told.unwrap_or_else(|_| panic!("{reason} was not told"));
    assert_eq!(event.endpoint.as_deref(), Some(&*endpoint), "{event}");
    let network = event.network.expect("known").to_string();
    assert_eq!(network, "127.0.0.0/24", "{event}");
    let address = event.address.expect("known").to_string();
    assert!(address.starts_with("127.0.0.1:"), "{event}");
    assert_eq!(event.fingerprint, key, "{event}");
    assert!(event.mechanism.is_some(), "{event}");
    assert_eq!(event.count, 1, "{event}");
    let fields = event.fields();
    let known = |name: &&str| event.id.fields().contains(name) || *name == "count";
    let mut names = fields.iter().map(|(name, _)| name);
    assert!(names.all(known), "{event}");
}

#[tokio::test]
async fn t17_every_reason_is_reached_and_its_event_says_who_where_and_why() {
    let _deadline = deadline();
    let reached = Reason::ALL
        .iter()
        .filter(|reason| !ELSEWHERE.contains(reason));
    let checks: Vec<_> = reached
        .map(|reason| (reason, tokio::spawn(check(*reason))))
        .collect();
    let mut failed: Vec<&Reason> = Vec::new();
    for (reason, checked) in checks {
        failed.extend(checked.await.err().map(|_| reason));
    }
    assert!(failed.is_empty(), "{failed:?}");
}
