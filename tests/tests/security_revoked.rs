//! T21: a peer whose right is taken back while messages go both ways.

use std::time::{Duration, Instant};

use curvelink::{
    Context, Curve, Dealer, KeyPair, LinkEventKind, Monitor, OnDeny, Options, Plain, Reason,
    Rights, Socket,
};
use curvelink_tests::peer::ZmqPeer;
use curvelink_tests::peer::security::{PASSWORD, USER, curve_client, plain, plain_client};
use curvelink_tests::support::changing::Changing;
use curvelink_tests::support::{admitted, bind_tcp, deadline, keys, quick, refusal};
use serde_json::{Value, json};

/// A DEALER that serves, and is sent to and received from without a pause.
struct Loaded {
    context: Context,
    policy: Changing,
    dealer: Socket<Dealer>,
    monitor: Monitor,
    endpoint: String,
    /// Of the client, and of the server; `None` under PLAIN.
    keys: Option<(KeyPair, KeyPair)>,
}

impl Loaded {
    fn curve() -> Self {
        let server = keys();
        let security = quick().security(Curve::server(server.duplicate()));
        Self::start(security, Some((keys(), server)))
    }

    fn plain() -> Self {
        Self::start(quick().security(Plain::server()), None)
    }

    fn start(options: Options, keys: Option<(KeyPair, KeyPair)>) -> Self {
        let (context, policy) = (Context::new().unwrap(), Changing::new());
        context.set_zap_handler(policy.clone());
        // Told in words that it is refused, libzmq would not try again.
        let dealer = context.socket::<Dealer>(options.on_deny(OnDeny::Close));
        let monitor = dealer.monitor();
        let endpoint = bind_tcp(&dealer);
        let sender = dealer.clone();
        tokio::spawn(async move { while sender.send("load").await.is_ok() {} });
        let loaded = Self {
            context,
            policy,
            dealer,
            monitor,
            endpoint,
            keys,
        };
        loaded.list();
        loaded
    }

    fn list(&self) {
        match &self.keys {
            Some((client, _)) => self.policy.admit(client.public(), USER, Rights::all()),
            None => self.policy.admit_user(USER, Rights::all()),
        }
    }

    fn our_client(&self) -> Options {
        match &self.keys {
            Some((client, server)) => {
                quick().security(Curve::client(client.duplicate(), server.public()))
            }
            None => quick().security(plain(PASSWORD)),
        }
    }

    fn their_client(&self) -> Value {
        let mut options = match &self.keys {
            Some((client, server)) => curve_client(client, server.public()),
            None => plain_client(PASSWORD),
        };
        for (name, value) in [("SNDHWM", 1000), ("RCVHWM", 1000), ("RECONNECT_IVL", 20)] {
            options[name] = json!(value);
        }
        options
    }

    async fn receive(&self, messages: usize) {
        for _ in 0..messages {
            self.dealer.recv().await.unwrap();
        }
    }

    /// The whole of it, for a client that is about to come.
    async fn revoke_and_list_again(&mut self) {
        let peer = admitted(&mut self.monitor).await;
        assert_eq!(peer.name.as_deref(), Some(USER));
        self.receive(1000).await;
        // Both ways: what is sent counts once it is written.
        while self.dealer.statistics().sent.messages <= 1000 {
            self.receive(100).await;
        }

        let began = Instant::now();
        self.policy.revoke_all();
        self.receive_until_cut().await;
        let took = began.elapsed();
        println!("cut after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        let cut = self.dealer.statistics();
        let queued = (cut.queued_to_peers, cut.queued_from_peers);
        assert_eq!(queued, (0, 0), "{cut:?}");

        // It tries to come back, in vain, and nothing of it is received.
        for _ in 0..2 {
            let (_, refusal) = refusal(&mut self.monitor).await;
            assert_eq!(refusal.reason, Reason::UnknownKey);
            assert!(self.dealer.try_recv().is_err());
        }
        assert_eq!(self.dealer.statistics().sent, cut.sent, "nothing more went");
        self.list();
        admitted(&mut self.monitor).await;
        self.receive(100).await;
    }

    /// Receives while the peer is there, which ends with an event; nothing comes after it.
    async fn receive_until_cut(&mut self) {
        loop {
            tokio::select! {
                biased;
                event = self.monitor.recv() => {
                    let event = event.unwrap();
                    if let LinkEventKind::Disconnected { reason, .. } = event.kind {
                        assert_eq!(reason, Some(Reason::Revoked), "{event}");
                        assert!(event.address.is_some());
                        break;
                    }
                }
                message = self.dealer.recv() => drop(message.unwrap()),
            }
        }
        assert!(self.dealer.try_recv().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t21_a_revoked_peer_is_cut_under_load_and_comes_back_once_it_is_listed() {
    let _deadline = deadline();
    for mut loaded in [Loaded::curve(), Loaded::plain()] {
        let client = loaded.context.socket::<Dealer>(loaded.our_client());
        client.connect(&loaded.endpoint).unwrap();
        let (sender, receiver) = (client.clone(), client.clone());
        tokio::spawn(async move { while sender.send("load").await.is_ok() {} });
        tokio::spawn(async move { while receiver.recv().await.is_ok() {} });
        loaded.revoke_and_list_again().await;
        client.close();
        loaded.dealer.close();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t21_a_revoked_libzmq_peer_is_cut_under_load_and_comes_back_once_it_is_listed() {
    for which in [Loaded::curve, Loaded::plain] {
        let Ok(mut peer) = ZmqPeer::start() else {
            return;
        };
        let _deadline = deadline();
        let mut loaded = which();
        let endpoint = ("connect", &*loaded.endpoint);
        peer.open("client", "DEALER", endpoint, &loaded.their_client());
        peer.tell(json!({"do": "load", "socket": "client"}));
        loaded.revoke_and_list_again().await;
        // The next command ends the load.
        peer.tell(json!({"do": "close", "socket": "client"}));
        assert!(peer.answer().as_u64() > Some(0), "messages for the peer");
        peer.answer();
        loaded.dealer.close();
    }
}
