//! libzmq and curvelink under the same scripts: see `tests/differential/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use curvelink_tests::differential::script::Verdict;
use curvelink_tests::differential::{check, folder, scenarios};

/// Scenarios that both sides must run.
const LEAST: usize = 250;

macro_rules! areas {
    ($($area:ident)*) => {
        /// The areas that run.
        const AREAS: &[&str] = &[$(stringify!($area)),*];

        $(#[test]
        fn $area() {
            check(stringify!($area));
        })*
    };
}

areas! { endpoints hwm inproc links mechanisms monitor options pair pipeline pubsub reqrep router stream xpub }

#[test]
fn every_file_of_scenarios_runs() {
    let files = fs::read_dir(folder()).unwrap();
    let found: BTreeSet<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, AREAS.iter().map(|area| (*area).to_owned()).collect());
}

#[test]
fn there_are_enough_scenarios_and_each_has_a_name_of_its_own() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut titles = BTreeSet::new();
    for area in AREAS {
        for scenario in scenarios(area) {
            let kind = match scenario.verdict {
                Verdict::Deviates(_) => "deviate",
                Verdict::Open(_) => "open",
                Verdict::LibzmqOnly(_) => "libzmq only",
                _ => "same",
            };
            *counts.entry(kind).or_default() += 1;
            println!("{area:<12} {kind:<12} {}", scenario.title);
            assert!(
                titles.insert(scenario.title.clone()),
                "{} twice",
                scenario.title
            );
        }
    }
    println!("{counts:?}");
    let both = counts.get("same").unwrap_or(&0) + counts.get("deviate").unwrap_or(&0);
    assert!(both >= LEAST, "{both} scenarios run on both sides");
}

#[test]
fn every_difference_is_a_row_of_the_deviations() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deviations.md");
    let list = fs::read_to_string(list).unwrap();
    let rows: Vec<_> = list.lines().filter(|line| line.starts_with("| ")).collect();
    for area in AREAS {
        for scenario in scenarios(area) {
            if let Verdict::Deviates(words) = &scenario.verdict {
                let named = rows.iter().filter(|row| row.contains(words)).count();
                assert_eq!(
                    named, 1,
                    "rows with \"{words}\", for \"{}\"",
                    scenario.title
                );
            }
        }
    }
}
