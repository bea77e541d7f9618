//! The same mutated handshakes into curvelink and into libzmq: both must take them, or neither.
//!
//! A handshake is a script; a mutation changes one of its parts before it becomes octets, so
//! that what is inside of a box can be changed too. Each mutation is of a class, and a class may
//! name the row of `docs/deviations.md` that explains why curvelink refuses what libzmq takes.
//! Any other difference fails.

mod classes;
mod client;
pub mod curve;
mod listeners;
mod script;

mod report;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::classes::Class;
use self::client::{Outcome, play};
use self::listeners::{Addresses, Agreement, Ours, Theirs};
pub use self::report::Report;
use self::script::{Mechanism, Script};
use crate::support::keys;
use crate::support::random::Random;

/// What the application says to whoever reaches it.
const ANSWER: &[u8] = b"yes, that came over";

/// Handshakes that are played at once.
const AT_ONCE: usize = 200;

/// How long a client waits for the next word, in the crowd and alone.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// One handshake, and what is wrong with it.
#[derive(Debug)]
struct Case {
    number: usize,
    script: Script,
    classes: Vec<&'static Class>,
}

/// What curvelink and libzmq made of it.
#[derive(Clone, Copy, Debug)]
struct Outcomes {
    ours: Outcome,
    theirs: Outcome,
}

/// Plays so many handshakes to both; `None` where libzmq cannot be had.
///
/// # Panics
/// When the listeners do not start.
pub async fn compare(count: usize, seed: u64) -> Option<Report> {
    let (server, client) = (keys(), keys());
    let secret = *client.secret().expose_octets();
    let made = curve::Client::new(
        *server.public().as_octets(),
        (*client.public().as_octets(), secret),
    );
    let agreement = Agreement {
        server,
        client: client.public(),
    };
    let theirs = Theirs::start(&agreement).ok()?;
    let ours = Ours::start(&agreement);
    let sides = Arc::new([ours.addresses.clone(), theirs.addresses.clone()]);

    let mut random = Random::seeded(seed);
    let cases = (0..count).map(|number| case(number, &made, &mut random));
    let mut report = Report::default();
    let mut suspects = Vec::new();
    play_all(cases, &sides, AT_ONCE, PATIENCE[0], |case, outcomes| {
        if report::is_explained(&case, outcomes) {
            report.count(&case, outcomes);
        } else {
            suspects.push(case);
        }
    })
    .await;
    // On a busy machine the first wait may have been too short: what differs must differ again.
    report.looked_again = suspects.len();
    play_all(
        suspects.into_iter(),
        &sides,
        8,
        PATIENCE[1],
        |case, outcomes| {
            report.count(&case, outcomes);
        },
    )
    .await;
    Some(report)
}

/// The words by which classes name rows of the deviations.
#[must_use]
pub fn deviations() -> Vec<&'static str> {
    let all = Mechanism::ALL.into_iter().flat_map(classes::of);
    all.filter_map(|class| class.judged.row()).collect()
}

/// A handshake with 0 to 3 things wrong.
fn case(number: usize, client: &curve::Client, random: &mut Random) -> Case {
    let mechanism = Mechanism::ALL[number % 3];
    let id = format!("id-{number}");
    let mut script = Script::new(mechanism, &id, client.with_transient(number));
    let mut among = classes::of(mechanism);
    let wrong = [0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3][random.below(13)];
    let mut classes = Vec::new();
    while classes.len() < wrong {
        // Each once: what comes twice may be wrong in another way.
        classes.push(among.swap_remove(random.below(among.len())));
    }
    for class in &classes {
        (class.change)(&mut script, random);
    }
    Case {
        number,
        script,
        classes,
    }
}

async fn play_all(
    cases: impl Iterator<Item = Case>,
    sides: &Arc<[Addresses; 2]>,
    at_once: usize,
    patience: Duration,
    mut done: impl FnMut(Case, Outcomes),
) {
    let mut playing = JoinSet::new();
    for case in cases {
        if playing.len() == at_once {
            let played: Option<Result<_, _>> = playing.join_next().await;
            let (case, outcomes) = played.expect("some are played").expect("no panic");
            done(case, outcomes);
        }
        let sides = Arc::clone(sides);
        playing.spawn(async move {
            let listener = Mechanism::ALL
                .iter()
                .position(|mechanism| *mechanism == case.script.mechanism)
                .unwrap_or_default();
            let (ours, theirs) = tokio::join!(
                play(&case.script, &sides[0][listener], patience),
                play(&case.script, &sides[1][listener], patience),
            );
            (case, Outcomes { ours, theirs })
        });
    }
    while let Some(played) = playing.join_next().await {
        let (case, outcomes) = played.expect("no panic");
        done(case, outcomes);
    }
}
