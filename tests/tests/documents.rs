//! What the documents say about the tree is true.

use std::fs;

use curvelink_tests::proofs::{files, root};

/// The words between backticks that look like paths of this repository.
fn paths(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|word| word.contains('/') && !word.contains([' ', ':', '<', '*', '\n']))
        .filter(|word| {
            ["crates/", "tests/", "docs/", "config/", "certs/"]
                .iter()
                .any(|top| word.starts_with(top))
        })
        .collect()
}

#[test]
fn every_path_that_a_document_names_exists() {
    let top = [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "README.md",
    ];
    let mut documents = files("docs", &["md"]);
    documents.extend(top.map(|document| root().join(document)));
    let mut seen = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths(&text) {
            assert!(
                root().join(path).exists(),
                "{} names {path}, which is not there",
                document.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "the search for paths finds them: {seen}");
}

#[test]
fn a_path_that_is_not_there_would_be_found() {
    assert_eq!(
        paths("see `crates/x.rs` and `not a path` and `a::b`"),
        ["crates/x.rs"]
    );
}
