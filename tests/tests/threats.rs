//! `docs/threat-model.md`: each threat names its defence and the tests that show it.

use std::collections::BTreeSet;
use std::fs;

use curvelink_tests::proofs::{missing, named, root};

/// Every threat of the model: strangers, on-path, admitted, local, operator, records, supply,
/// quantum.
const THREATS: &[(&str, u32)] = &[("U", 9), ("A", 7), ("L", 5), ("T", 4), ("S", 4), ("Q", 1)];

/// The rows of the tables: their cells, the id first.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let ids = THREATS.iter().map(|(letter, _)| format!("| {letter}"));
    let ids: Vec<String> = ids.collect();
    text.lines()
        .filter(|line| {
            ids.iter().any(|id| {
                line.strip_prefix(id.as_str())
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            })
        })
        .map(|line| {
            let line = line.trim_start_matches("| ").trim_end_matches(" |");
            line.split(" | ").collect()
        })
        .collect()
}

/// What is wrong with a row, if anything is.
fn fault(row: &[&str]) -> Option<String> {
    let [id, threat, defence, shown, measured] = row else {
        return Some(format!("{row:?} has not five cells"));
    };
    if [threat, defence, shown, measured]
        .iter()
        .any(|cell| cell.trim().is_empty())
    {
        return Some(format!("{id} leaves something out"));
    }
    let tests = named(shown);
    if tests.is_empty() && !shown.starts_with("**Not shown.**") {
        return Some(format!("{id} names no test"));
    }
    missing(&tests).map(|test| format!("{id}: {test}"))
}

#[test]
fn every_threat_has_its_row_and_every_row_its_tests() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows = rows(&text);
    let faults: Vec<String> = rows.iter().filter_map(|row| fault(row)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let found: BTreeSet<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    let wanted = THREATS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")));
    assert_eq!(found, wanted.collect());
    assert_eq!(rows.len(), found.len(), "one row each");
}

#[test]
fn a_row_that_shows_nothing_is_found() {
    let good = "| U1 | t | d | [`fault`](../tests/tests/threats.rs) | 1 |";
    let test = "every_threat_has_its_row_and_every_row_its_tests";
    let good = good.replace("`fault`", &format!("`{test}`"));
    assert_eq!(fault(&rows(&good)[0]), None);
    for bad in [
        "| U1 | t | d | a test | 1 |",
        "| U1 | t | d | [`gone`](../tests/tests/threats.rs) | 1 |",
        "| U1 | t |  | **Not shown.** | 1 |",
        "| U1 | t | d | **Not shown.** |",
    ] {
        assert!(fault(&rows(bad)[0]).is_some(), "{bad}");
    }
    assert!(rows("| id | threat |\n| Under | x |").is_empty());
}
