//! The guide is whole: its examples run, its pages are found, its links lead somewhere, and what it
//! names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use curvelink_tests::guide::{PAGES, blocks};

/// Pages of tables alone.
const WITHOUT_EXAMPLES: &[&str] = &["coming-from.md"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide")
}

fn page(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A page without its blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    outside.map(|line| format!("{line}\n")).collect()
}

/// Where the links of a page lead: the file, and the heading in it.
fn links(text: &str) -> Vec<(String, Option<String>)> {
    let prose = prose(text);
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let inside = targets.filter(|(target, _)| !target.contains("://"));
    inside
        .map(|(target, _)| match target.split_once('#') {
            None => (target.to_owned(), None),
            Some((file, heading)) => (file.to_owned(), Some(heading.to_owned())),
        })
        .collect()
}

/// The names by which the headings of a page are linked to.
fn headings(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let titles = prose.lines().filter(|line| line.starts_with('#'));
    titles
        .map(|line| {
            let kept = line
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-");
            kept.chars()
                .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
                .collect()
        })
        .collect()
}

/// What is wrong with the Rust blocks of a page.
fn unrun(text: &str) -> Option<&'static str> {
    let blocks = blocks(text);
    if blocks.iter().any(|(language, _)| language.is_empty()) {
        return Some("a block without a language would be compiled as Rust");
    }
    let mut examples = blocks
        .iter()
        .filter(|(language, _)| language.starts_with("rust"));
    if examples.clone().any(|(language, _)| *language != "rust") {
        return Some("an example is not run: mark it rust and nothing else");
    }
    if examples.all(|(_, body)| !body.contains("assert")) {
        return Some("no example runs and asserts");
    }
    None
}

#[test]
fn every_page_has_an_example_that_runs() {
    let run: BTreeSet<String> = PAGES.iter().map(|page| (*page).to_owned()).collect();
    let without = WITHOUT_EXAMPLES.iter().map(|page| (*page).to_owned());
    for name in pages().difference(&without.collect()) {
        assert!(
            run.contains(name),
            "{name} is not in the list of src/guide.rs"
        );
        assert_eq!(unrun(&page(name)), None, "{name}");
    }
}

#[test]
fn an_example_that_does_not_run_would_be_found() {
    assert_eq!(unrun("```rust\nassert!(true);\n```\n"), None);
    for bad in [
        "",
        "```rust\nlet x = 1;\n```\n",
        "```sh\nassert\n```\n",
        "```rust,ignore\nassert!(true);\n```\n",
        "```rust\nassert!(true);\n```\n```rust,no_run\nassert!(true);\n```\n",
        "```rust\nassert!(true);\n```\n```\ntext\n```\n",
    ] {
        assert!(unrun(bad).is_some(), "{bad}");
    }
}

#[test]
fn every_page_is_linked_from_the_first() {
    let linked: BTreeSet<String> = links(&page("README.md"))
        .into_iter()
        .map(|link| link.0)
        .collect();
    for name in pages() {
        assert!(
            name == "README.md" || linked.contains(&name),
            "{name} is not linked from README.md"
        );
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for name in pages() {
        let text = page(&name);
        for (file, heading) in links(&text) {
            let target = match &file[..] {
                "" => text.clone(),
                file => fs::read_to_string(folder().join(file))
                    .unwrap_or_else(|error| panic!("{name} links to {file}: {error}")),
            };
            if let Some(heading) = heading {
                assert!(
                    headings(&target).contains(&heading),
                    "{name} links to {file}#{heading}, which is not there"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "the search for links finds them: {seen}");
}

#[test]
fn links_and_headings_are_read_as_they_are_shown() {
    let text = "# Am I *connected*?\nsee [a](b.md), [c](d.md#e-f) and [g](https://h.i)\n```sh\n# no\n[j](k)\n```\n";
    assert_eq!(
        links(text),
        [
            ("b.md".into(), None),
            ("d.md".into(), Some("e-f".to_owned()))
        ]
    );
    assert_eq!(headings(text), BTreeSet::from(["am-i-connected".into()]));
}
