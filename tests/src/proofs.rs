//! Tests that documents name: a link whose text is the test and whose target is its file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
///
/// # Panics
/// Never: this crate lies in it.
#[must_use]
pub fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("the workspace")
}

/// The tests that a text of a document names: name and file, as seen from the workspace.
#[must_use]
pub fn named(text: &str) -> Vec<(String, PathBuf)> {
    let links = text.split("[`").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("`](")?;
        let (file, _) = rest.split_once(')')?;
        Some((name.to_owned(), file.trim_start_matches("../").into()))
    });
    links.collect()
}

/// The first of these tests that is not there, or does not run.
#[must_use]
pub fn missing(tests: &[(String, PathBuf)]) -> Option<String> {
    let there = |name: &str, file: &Path| {
        let text = fs::read_to_string(root().join(file));
        text.is_ok_and(|text| is_test(&text, name))
    };
    let mut tests = tests.iter();
    let (name, file) = tests.find(|(name, file)| !there(name, file))?;
    Some(format!("{name} is no test of {}", file.display()))
}

/// Whether a source has a test of this name that runs: the attributes stand above it.
fn is_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    text.match_indices(&function).any(|(at, _)| {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let above = text[..line].lines().rev().map(str::trim);
        let above: BTreeSet<&str> = above
            .take_while(|line| line.starts_with(['#', '/']))
            .collect();
        let has = |attribute: &str| above.iter().any(|line| line.starts_with(attribute));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
}

/// Every file below a folder of the workspace whose name ends in one of these.
///
/// # Panics
/// If the folder is not there.
#[must_use]
pub fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if extension.is_some_and(|extension| endings.contains(&extension)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_one_only_with_its_attribute() {
        let text = "#[test]\nfn a() {}\n/// Text.\n#[tokio::test]\nasync fn b() {}\nfn c() {}\n\
                    #[test]\n#[ignore]\nfn d() {}";
        let found = ["a", "b", "c", "d", "e"].map(|name| is_test(text, name));
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn a_test_that_is_not_there_is_missing() {
        let here = "[`a_test_that_is_not_there_is_missing`](../../tests/src/proofs.rs)";
        assert_eq!(missing(&named(here)), None);
        for gone in [
            "[`nobody_wrote_this`](../tests/src/proofs.rs)",
            "[`is_test`](../tests/src/proofs.rs)",
            "[`a_test_that_is_not_there_is_missing`](../tests/src/proof.rs)",
        ] {
            let tests = named(gone);
            assert_eq!(tests.len(), 1);
            assert!(missing(&tests).is_some(), "{gone}");
        }
        assert!(named("`no_link` and [text](file)").is_empty());
    }
}
