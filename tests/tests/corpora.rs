//! What the fuzzers have found, replayed: every input of every committed corpus, through the same
//! bodies (`tests/src/fuzz.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use curvelink_tests::fuzz::TARGETS;
use curvelink_tests::proofs::root;

/// The names of what is in a folder of `fuzz/`, without what stands after a point.
fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths(folder).into_iter().map(stem).collect()
}

fn paths(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("fuzz").join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_input_of_every_corpus_keeps_the_promises() {
    for (name, target) in TARGETS {
        let inputs = paths(&format!("corpus/{name}"));
        assert!(inputs.len() > 10, "{name} has a corpus: {}", inputs.len());
        for path in &inputs {
            // Shown if it fails.
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
        println!("{name}: {} inputs", inputs.len());
    }
}

#[test]
fn every_target_is_run_and_replayed() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    for name in &targets {
        let program = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let source = fs::read_to_string(program).unwrap();
        assert!(
            source.contains(&format!("\"{name}\"")),
            "{name} runs itself"
        );
    }
}

#[test]
fn the_corpora_are_small() {
    let octets: u64 = TARGETS
        .iter()
        .flat_map(|(name, _)| paths(&format!("corpus/{name}")))
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(octets < 1 << 20, "{octets}: minimise them");
}
