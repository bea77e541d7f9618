//! A peer that sends more than its rights let it is read later, and nobody else.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use curvelink::{
    Context, Curve, KeyPair, LinkEventKind, Message, Options, PublicKey, Pull, Push, Reason, Rep,
    Req, Rights, Socket,
};
use curvelink_tests::support::changing::Changing;
use curvelink_tests::support::{admitted, bind_tcp, deadline, disconnected, keys, number, quick};

/// A context whose policy admits these clients, each with its rights.
struct Server {
    context: Context,
    policy: Changing,
    keys: KeyPair,
}

impl Server {
    fn new() -> Self {
        let (context, policy) = (Context::new().unwrap(), Changing::new());
        context.set_zap_handler(policy.clone());
        Self {
            context,
            policy,
            keys: keys(),
        }
    }

    fn options(&self) -> Options {
        quick().security(Curve::server(self.keys.duplicate()))
    }

    /// The options and the key of a client that may send so many messages in a second.
    fn client(&self, name: &str, rate: Option<u32>) -> (Options, PublicKey) {
        let client = keys();
        let key = client.public();
        self.policy.admit(key, name, rated(rate));
        let curve = Curve::client(client, self.keys.public());
        (quick().security(curve), key)
    }
}

fn rated(rate: Option<u32>) -> Rights {
    let mut rights = Rights::all();
    rights.rate = rate.and_then(NonZeroU32::new);
    rights
}

async fn send_numbers(push: &Socket<Push>, count: u64) {
    for i in 0..count {
        push.send(i.to_string()).await.unwrap();
    }
}

/// Receives the numbers from 0 on; how long that took.
async fn receive_numbers(pull: &Socket<Pull>, count: u64) -> Duration {
    let began = Instant::now();
    for i in 0..count {
        assert_eq!(number(&pull.recv().await.unwrap()), i);
    }
    began.elapsed()
}

#[tokio::test]
async fn what_a_peer_sends_above_its_rate_comes_later_and_nothing_is_lost() {
    let _deadline = deadline();
    let server = Server::new();
    for (rate, least) in [(Some(200), 900), (None, 0)] {
        let pull = server.context.socket::<Pull>(server.options());
        let (client, _) = server.client("limited", rate);
        let push = server.context.socket::<Push>(client);
        push.connect(&bind_tcp(&pull)).unwrap();
        send_numbers(&push, 400).await;
        let took = receive_numbers(&pull, 400).await;
        assert!(took >= Duration::from_millis(least), "{took:?}");
        assert!(took < Duration::from_millis(least + 2500), "{took:?}");
        assert_eq!(pull.dropped(), 0);
    }
}

#[tokio::test]
async fn heartbeats_do_not_end_a_link_that_waits_for_its_rate() {
    let _deadline = deadline();
    let server = Server::new();
    let beat = |options: Options| {
        options
            .heartbeat_interval(Duration::from_millis(200))
            .heartbeat_timeout(Duration::from_millis(500))
            .heartbeat_ttl(Duration::from_millis(500))
    };
    let pull = server.context.socket::<Pull>(beat(server.options()));
    let (client, _) = server.client("limited", Some(2));
    let push = server.context.socket::<Push>(beat(client));
    let (mut ours, mut theirs) = (pull.monitor(), push.monitor());
    push.connect(&bind_tcp(&pull)).unwrap();
    send_numbers(&push, 6).await;
    // Two at once, and then two in a second.
    let took = receive_numbers(&pull, 6).await;
    assert!(took > Duration::from_millis(1500), "{took:?}");
    for monitor in [&mut ours, &mut theirs] {
        while let Some(event) = monitor.try_recv() {
            let ended = matches!(event.kind, LinkEventKind::Disconnected { .. });
            assert!(!ended, "{event}");
        }
    }
}

#[tokio::test]
async fn a_rate_that_is_lifted_ends_the_wait_and_a_lower_one_cuts_the_link() {
    let _deadline = deadline();
    let server = Server::new();
    let pull = server.context.socket::<Pull>(server.options());
    let (client, key) = server.client("limited", Some(1));
    let push = server.context.socket::<Push>(client);
    let mut monitor = pull.monitor();
    push.connect(&bind_tcp(&pull)).unwrap();
    admitted(&mut monitor).await;
    // The last would come in a minute.
    send_numbers(&push, 60).await;
    push.send("last").await.unwrap();
    receive_numbers(&pull, 1).await;
    server.policy.admit(key, "limited", rated(None));
    while pull.recv().await.unwrap() != Message::from("last") {}
    server.policy.admit(key, "limited", rated(Some(1)));
    let cut = disconnected(&mut monitor).await;
    assert_eq!(cut, Some(Reason::RightsNarrowed));
}

/// The time within which `quantile` of a hundred is answered.
fn quantile(times: &mut [Duration], quantile: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * quantile / 100]
}

/// How long each of some clients waits for each of its replies.
async fn round_trips(clients: &[Socket<Req>], rounds: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        for client in clients {
            let began = Instant::now();
            client.send("ping").await.unwrap();
            client.recv().await.unwrap();
            times.push(began.elapsed());
        }
    }
    times
}

/// One that floods beside many that do not: with a rate, the others hardly notice. Compared with
/// the same in the same run, since machines differ. `CURVELINK_FULL=1` makes it a hundred, and
/// holds the 99th of a hundred replies to twice its time; that is for a machine that does nothing
/// else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_floods_at_its_rate_does_not_slow_the_others_down() {
    let full = std::env::var_os("CURVELINK_FULL").is_some();
    let _deadline = (!full).then(deadline);
    let (count, rounds, seconds) = if full { (99, 100, 10) } else { (20, 20, 1) };
    let server = Server::new();
    let pull = server.context.socket::<Pull>(server.options());
    let rep = server.context.socket::<Rep>(server.options());
    let endpoint = bind_tcp(&rep);
    let clients: Vec<_> = (0..count)
        .map(|i| {
            let (options, _) = server.client(&format!("good{i}"), None);
            let client = server.context.socket::<Req>(options);
            client.connect(&endpoint).unwrap();
            client
        })
        .collect();
    let serve = rep.clone();
    tokio::spawn(async move {
        while let Ok(request) = serve.recv().await {
            serve.send(request).await.unwrap();
        }
    });
    let flood_to = bind_tcp(&pull);
    let receiver = pull.clone();
    tokio::spawn(async move { while receiver.recv().await.is_ok() {} });

    round_trips(&clients, 5).await;
    let mut calm = round_trips(&clients, rounds).await;
    let (options, _) = server.client("flooder", Some(1000));
    let flooder = server.context.socket::<Push>(options);
    flooder.connect(&flood_to).unwrap();
    let sender = flooder.clone();
    tokio::spawn(async move { while sender.send("flood").await.is_ok() {} });
    let began = Instant::now();
    let mut beside = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        beside.extend(round_trips(&clients, 1).await);
    }
    let received = pull.statistics().received.messages;
    let most = 1000 * seconds + 3500;
    assert!(received < most, "{received} in {:?}", began.elapsed());
    let quantiles = [50, 99].map(|at| (quantile(&mut calm, at), quantile(&mut beside, at)));
    println!("alone and beside a flood, median and 99 %: {quantiles:?}");
    let [(calm, beside), (calm_99, beside_99)] = quantiles;
    assert!(beside < calm * 3 + Duration::from_millis(5));
    assert!(!full || beside_99 <= calm_99 * 2);
    flooder.close();
}
