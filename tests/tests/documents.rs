//! What the documents say about the tree is true.

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

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
    let mut seen = 0;
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "README.md",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for path in paths(&text) {
            assert!(
                root().join(path).exists(),
                "{document} names {path}, which is not there"
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
