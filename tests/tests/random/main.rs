//! Thousands of random operations on each pattern, against a model of it.
//!
//! `CURVELINK_SEED` repeats a run, `CURVELINK_OPERATIONS` makes it longer. A failure prints what was
//! done since all was settled the last time.

mod ledger;
mod operation;
mod pair;
mod pipeline;
mod pubsub;
mod reqrep;
mod routing;
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use curvelink::SocketType;
use curvelink_tests::support::deadline;
use curvelink_tests::support::random::Random;

use crate::operation::{Links, Operation, Slot, plan};
use crate::world::World;

/// Operations of one pattern, unless the environment says otherwise.
const OPERATIONS: usize = 10_000;

/// How long anything may take that must happen, and how often one looks.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_micros(200);

/// How long links must have been the same to be believed.
const STEADY: Duration = Duration::from_millis(20);

/// What a pattern promises.
trait Pattern: Default {
    /// The socket types of the two sides.
    const KINDS: [SocketType; 2];
    const LINKS: Links;

    /// A slot has a new socket.
    fn opened(&mut self, _world: &World, _slot: Slot) {}

    /// Sends one message; whether another may be tried.
    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool;

    /// Receives one message and judges it; whether one came.
    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool;

    /// Answers what was received, where that must be before more is.
    fn answer(&mut self, _world: &mut World) {}

    fn subscribe(&mut self, _world: &World, _slot: Slot, _topic: usize, _subscribe: bool) {}

    /// All places are bound and nothing is done meanwhile: what is owed comes.
    async fn settle(&mut self, world: &mut World) {
        collect(self, world, STEADY).await;
    }
}

/// Receives until nothing is owed and all links have been up for a time: one side may not have
/// noticed yet that it took another's place, or was refused.
async fn collect<P: Pattern>(pattern: &mut P, world: &mut World, steady: Duration) {
    let start = Instant::now();
    let mut links = (Instant::now(), BTreeSet::new());
    loop {
        for slot in Slot::all() {
            while pattern.receive(world, slot, 0) {}
        }
        pattern.answer(world);
        world.note_destroyed();
        if P::LINKS != Links::Many && start.elapsed() > Duration::from_millis(50) {
            world.join_again();
        }
        let (owed, unlinked) = (world.ledger.owed(), world.unlinked());
        let now = world.links_now();
        if now != links.1 {
            links = (Instant::now(), now);
        }
        if owed.is_empty() && unlinked.is_empty() && links.0.elapsed() >= steady {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{} are owed, such as {:?}; {unlinked:?}",
            owed.len(),
            owed.first(),
        );
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was done since all was settled; printed when that fails.
#[derive(Default)]
struct History(Vec<(usize, Operation)>);

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (index, operation) in &self.0 {
                println!("{index}: {operation:?}");
            }
        }
    }
}

async fn run<P: Pattern>() {
    let given = std::env::var("CURVELINK_OPERATIONS").ok();
    let count = given.and_then(|count| count.parse().ok());
    let mut random = Random::new();
    let mark = [8, 20, 1000][random.below(3)];
    let mut world = World::new(P::KINDS, mark).await;
    let mut pattern = P::default();
    let mut history = History::default();
    let mut watch = deadline();
    for (index, operation) in plan(random, P::LINKS, count.unwrap_or(OPERATIONS))
        .into_iter()
        .enumerate()
    {
        history.0.push((index, operation));
        match operation {
            Operation::Send(slot, many, polls) => {
                let _some = (0..many).all(|_| pattern.send(&mut world, slot, polls));
            }
            Operation::Receive(slot, many, polls) => {
                let _some = (0..many).all(|_| pattern.receive(&mut world, slot, polls));
            }
            Operation::Subscribe(slot, topic) => pattern.subscribe(&world, slot, topic, true),
            Operation::Unsubscribe(slot, topic) => pattern.subscribe(&world, slot, topic, false),
            Operation::Settle => {
                pattern.settle(&mut world).await;
                world.ledger.settle();
                history.0.clear();
                watch = deadline();
            }
            _ => world.apply(operation).await,
        }
        if let Operation::Open(slot, _) = operation {
            pattern.opened(&world, slot);
        }
        tokio::task::yield_now().await;
    }
    let (accepted, received, lost) = world.ledger.sums();
    println!("{accepted} accepted, {received} received, {lost} lost or dropped");
    assert!(accepted > 200, "the run was idle: {accepted}");
    drop(watch);
}

#[test]
fn the_same_seed_plans_the_same_operations() {
    let plans = [1, 1, 2].map(|seed| {
        let plan = plan(Random::seeded(seed), Links::Many, 1000);
        format!("{plan:?}")
    });
    assert_eq!(plans[0], plans[1]);
    assert_ne!(plans[0], plans[2]);
}

macro_rules! random_operations {
    ($($name:ident: $pattern:ty;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run::<$pattern>().await;
        }
    )*};
}

random_operations! {
    push_and_pull_keep_what_they_accept: pipeline::Pipeline;
    pub_and_sub_give_each_its_topics: pubsub::PubSub<false>;
    xpub_and_xsub_give_each_its_topics: pubsub::PubSub<true>;
    req_and_rep_take_turns: reqrep::ReqRep;
    dealer_and_router_know_each_other: routing::Routing;
    pair_and_pair_stay_a_couple: pair::Pair;
}
