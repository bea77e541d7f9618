//! Mutated handshakes into curvelink and into libzmq: who takes what.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use curvelink_tests::handshakes::{compare, deviations};

/// Handshakes in one run; with `CURVELINK_FULL=1`.
const COUNTS: [usize; 2] = [1000, 50_000];

/// Handshakes of a class, with nothing else wrong, that show that it differs no longer.
const OFTEN: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_take_the_same_handshakes() {
    agree(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_take_the_same_handshakes_of_any_seed() {
    let given = std::env::var("CURVELINK_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    agree(given.unwrap_or_else(|| RandomState::new().hash_one(0))).await;
}

async fn agree(seed: u64) {
    println!("CURVELINK_SEED={seed}");
    let full = std::env::var_os("CURVELINK_FULL").is_some_and(|value| value == "1");
    let Some(report) = compare(COUNTS[usize::from(full)], seed).await else {
        return;
    };
    println!("{report}");
    let unexplained = report.unexplained();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let idle = report.never_differed(OFTEN);
    assert!(idle.is_empty(), "these differ no more: {idle:?}");
}

#[test]
fn every_class_that_differs_names_a_row_of_the_deviations() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deviations.md");
    let list = fs::read_to_string(list).unwrap();
    let rows: Vec<_> = list.lines().filter(|line| line.starts_with("| ")).collect();
    for words in deviations() {
        let named = rows.iter().filter(|row| row.contains(words)).count();
        assert_eq!(named, 1, "rows with \"{words}\"");
    }
}
