//! A policy file that changes on disk, and the links that it admitted.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use curvelink::{
    Context, Curve, KeyPair, LinkEventKind, Monitor, Options, OsEntropy, Password, PeerAddress,
    Plain, Pull, Push, Reason, Socket,
};
use curvelink_tests::support::{
    admitted, bind_tcp, deadline, disconnected, event, keys, quick, refusal, texts,
};
use curvelink_zap::{FileWatch, PasswordHash, Policy, PolicyHandler, RECHECK, Reload, watch};
use tempfile::TempDir;

/// A PULL whose policy is a file that is watched.
struct Server {
    folder: TempDir,
    pull: Socket<Pull>,
    monitor: Monitor,
    endpoint: String,
    context: Context,
    key: KeyPair,
    told: Receiver<String>,
    _watch: FileWatch,
}

/// A client and its name in the policy.
struct Client {
    name: &'static str,
    key: KeyPair,
    push: Socket<Push>,
}

/// A policy of these clients.
fn policy<'a>(clients: impl IntoIterator<Item = &'a Client>) -> String {
    let mut text = "version = 1\n".to_owned();
    for Client { name, key, .. } in clients {
        let key = key.public().to_z85();
        text += &format!("[identities.{name}]\ncurve = [\"{key}\"]\n");
        text += "domains = [\"build\"]\npublish = \"everything\"\n";
    }
    text
}

fn client(context: &Context, server: &KeyPair, name: &'static str) -> Client {
    let key = keys();
    let curve = Curve::client(key.duplicate(), server.public());
    let push = context.socket::<Push>(quick().security(curve).linger(Duration::ZERO));
    Client { name, key, push }
}

impl Server {
    fn start(clients: impl FnOnce(&Context, &KeyPair) -> Vec<Client>) -> (Self, Vec<Client>) {
        let (context, key) = (Context::new().unwrap(), keys());
        let clients = clients(&context, &key);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zap.toml");
        fs::write(&file, policy(&clients)).unwrap();
        let handler = Arc::new(PolicyHandler::new(Policy::from_file(&file).unwrap()));
        context.set_zap_handler(handler.clone());
        let (tell, told) = mpsc::channel();
        let tell = move |outcome: &Reload| tell.send(outcome.to_string()).unwrap_or_default();
        let watch = watch(file, handler, RECHECK, tell).unwrap();
        let curve = Curve::server(key.duplicate());
        let pull = context.socket::<Pull>(Options::new().security(curve).zap_domain("build"));
        let server = Self {
            monitor: pull.monitor(),
            endpoint: bind_tcp(&pull),
            pull,
            folder,
            context,
            key,
            told,
            _watch: watch,
        };
        (server, clients)
    }

    fn write(&self, text: &str) {
        replace(&self.folder.path().join("zap.toml"), text);
    }

    async fn connect(&mut self, client: &Client) {
        client.push.connect(&self.endpoint).unwrap();
        let peer = admitted(&mut self.monitor).await;
        assert_eq!(peer.name.as_deref(), Some(client.name));
    }

    fn address(&self, client: &Client) -> Option<PeerAddress> {
        let peers = self.pull.peers();
        let peer = peers
            .iter()
            .find(|peer| peer.key == Some(client.key.public()));
        peer.map(|peer| peer.address)
    }
}

/// Writes beside the file and renames.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t21_who_leaves_the_file_is_cut_and_who_stays_keeps_the_connection() {
    let _deadline = deadline();
    let (mut server, clients) = Server::start(|context, key| {
        ["stays", "leaves"]
            .map(|name| client(context, key, name))
            .into()
    });
    let [stays, leaves] = &clients[..] else {
        panic!("two clients");
    };
    for client in &clients {
        server.connect(client).await;
    }
    let before = server.address(stays);

    let began = Instant::now();
    server.write(&policy([stays]));
    assert_eq!(
        disconnected(&mut server.monitor).await,
        Some(Reason::Revoked)
    );
    let took = began.elapsed();
    println!("cut {took:?} after the file changed");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (_, refusal) = refusal(&mut server.monitor).await;
    assert_eq!(refusal.reason, Reason::UnknownKey);
    assert_eq!(server.address(stays), before, "the same connection");
    stays.push.send("still here").await.unwrap();
    assert_eq!(texts(&server.pull.recv().await.unwrap()), ["still here"]);

    server.write(&policy(&clients));
    let peer = admitted(&mut server.monitor).await;
    assert_eq!(peer.key, Some(leaves.key.public()));
    assert_eq!(server.address(stays), before, "the same connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_cuts_nobody_and_lets_nobody_in() {
    let _deadline = deadline();
    let (mut server, clients) = Server::start(|context, key| vec![client(context, key, "listed")]);
    server.connect(&clients[0]).await;
    let before = server.address(&clients[0]);
    let stranger = client(&server.context, &server.key, "stranger");
    let all = policy(clients.iter().chain([&stranger]));
    // Whoever wrote it was cut short.
    server.write(&all[..all.len() - 10]);
    let told = server.told.recv_timeout(Duration::from_secs(2)).unwrap();
    assert!(told.ends_with("the policy in force stays"), "{told}");
    stranger.push.connect(&server.endpoint).unwrap();
    let refused = event(&mut server.monitor, |event| match &event.kind {
        LinkEventKind::Refused(refusal) => Some(refusal.reason),
        LinkEventKind::Disconnected { .. } => panic!("{event}"),
        _ => None,
    });
    assert_eq!(refused.await, Reason::UnknownKey);
    assert_eq!(server.address(&clients[0]), before);
    server.write(&all);
    let peer = admitted(&mut server.monitor).await;
    assert_eq!(peer.name.as_deref(), Some("stranger"));
    assert_eq!(server.address(&clients[0]), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_with_a_password_that_was_changed_is_cut_and_nobody_else() {
    let _deadline = deadline();
    let hashed = |word: &str| {
        let password = Password::new(word.as_bytes().to_vec());
        PasswordHash::new(&password, &mut OsEntropy)
            .unwrap()
            .to_string()
    };
    let policy = |alice: &str, bob: &str| {
        let user = |name: &str, hash: &str| {
            format!(
                "[identities.{name}]\nplain = [{{ username = \"{name}\", password_hash = \"{hash}\" }}]\n\
                 domains = [\"build\"]\npublish = \"everything\"\n"
            )
        };
        let text = ["version = 1\n", &user("alice", alice), &user("bob", bob)].concat();
        Policy::from_toml(&text, "zap.toml").unwrap()
    };
    let (old, other, new) = (hashed("old"), hashed("other"), hashed("new"));
    let context = Context::new().unwrap();
    let handler = Arc::new(PolicyHandler::new(policy(&old, &other)));
    context.set_zap_handler(handler.clone());
    let options = quick().security(Plain::server()).zap_domain("build");
    let pull = context.socket::<Pull>(options);
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let connect = |name: &str, word: &str| {
        let push = context.socket::<Push>(quick().security(Plain::client(name, word).unwrap()));
        push.connect(&endpoint).unwrap();
        push
    };
    let _alice = connect("alice", "old");
    admitted(&mut monitor).await;
    let bob = connect("bob", "other");
    admitted(&mut monitor).await;

    handler.replace(policy(&new, &other));
    let cut = event(&mut monitor, |event| match &event.kind {
        LinkEventKind::Disconnected { reason, .. } => Some((event.peer.clone(), *reason)),
        _ => None,
    });
    let (peer, reason) = cut.await;
    assert_eq!(peer.unwrap().name.as_deref(), Some("alice"));
    assert_eq!(reason, Some(Reason::Revoked));
    let (_, refusal) = refusal(&mut monitor).await;
    assert_eq!(refusal.reason, Reason::UnknownUser);
    let _alice = connect("alice", "new");
    let peer = admitted(&mut monitor).await;
    assert_eq!(peer.name.as_deref(), Some("alice"));
    bob.send("still here").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["still here"]);
}
