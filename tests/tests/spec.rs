//! The tables of `docs/spec/`: each rule of the RFCs has a test, or a reason why not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use curvelink_tests::proofs::{files, missing, named, root};

/// One rule of an RFC.
#[derive(Debug, PartialEq)]
struct Row {
    /// The RFC and the number: `R26-14` is 26 and 14.
    id: (u32, u32),
    level: String,
    rule: String,
    /// The tests that prove it: name and file.
    tests: Vec<(String, PathBuf)>,
    /// Why it is not followed, where it is not.
    exception: Option<String>,
}

impl Row {
    /// Reads one line of a table; `None` for a line that is no row.
    fn parse(line: &str) -> Option<Result<Self, String>> {
        let cells = line.strip_prefix("| R")?;
        let cells: Vec<&str> = cells.trim_end_matches('|').split(" | ").collect();
        let [id, level, rule, proof] = cells[..] else {
            return Some(Err(format!("not four cells: {line}")));
        };
        let Some(id) = number(id) else {
            return Some(Err(format!("no id: {line}")));
        };
        let exception = proof.strip_prefix("**Excepted.** ").map(str::trim);
        Some(Ok(Self {
            id,
            level: level.to_owned(),
            rule: rule.trim().to_owned(),
            tests: named(proof),
            exception: exception.map(str::to_owned),
        }))
    }

    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        let fault = |what: &str| Some(format!("R{}-{} {what}", self.id.0, self.id.1));
        if !["must", "should", "form"].contains(&&*self.level) {
            return fault("has no level");
        }
        if self.rule.len() < 10 {
            return fault("says nothing");
        }
        match &self.exception {
            Some(reason) if reason.len() < 20 => fault("gives no reason"),
            None if self.tests.is_empty() => fault("has neither a test nor a reason"),
            _ => missing(&self.tests).and_then(|what| fault(&format!("has no proof: {what}"))),
        }
    }
}

/// `26-14` as two numbers.
fn number(id: &str) -> Option<(u32, u32)> {
    let (rfc, number) = id.trim().split_once('-')?;
    Some((rfc.parse().ok()?, number.parse().ok()?))
}

/// The ids in a text: `R`, two digits, a hyphen, a number.
fn tags(text: &str) -> BTreeSet<(u32, u32)> {
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('R') {
        let word_before = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &text[at + 1..];
        let Some((rfc, after)) = rest.split_once('-').filter(|_| digits(rest) == 2) else {
            continue;
        };
        let length = digits(after);
        if rfc.len() == 2 && length > 0 && !word_before {
            found.extend(number(&rest[..3 + length]));
        }
    }
    found
}

/// The tables by file name.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let mut tables = BTreeMap::new();
    for entry in fs::read_dir(root().join("docs/spec")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let rows = text.lines().filter_map(Row::parse);
        let rows: Result<Vec<Row>, String> = rows.collect();
        tables.insert(
            name.clone(),
            rows.unwrap_or_else(|error| panic!("{name}: {error}")),
        );
    }
    tables
}

fn rows() -> Vec<Row> {
    tables().into_values().flatten().collect()
}

#[test]
fn every_rule_has_a_test_or_a_reason() {
    let rows = rows();
    assert!(rows.len() > 300, "the tables are read: {}", rows.len());
    let faults: Vec<String> = rows.iter().filter_map(Row::fault).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn rules_are_numbered_from_1_without_gaps() {
    let mut next: BTreeMap<u32, u32> = BTreeMap::new();
    for row in rows() {
        let expected = next.entry(row.id.0).or_insert(1);
        assert_eq!(
            row.id.1, *expected,
            "R{}-{} is out of turn",
            row.id.0, row.id.1
        );
        *expected += 1;
    }
    let rfcs: Vec<u32> = next.into_keys().collect();
    assert_eq!(rfcs, [23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 37]);
}

#[test]
fn every_tag_names_a_rule() {
    let known: BTreeSet<(u32, u32)> = rows().iter().map(|row| row.id).collect();
    let folders = ["crates", "tests", "docs"];
    let files = folders.map(|folder| files(folder, &["rs", "md"])).concat();
    let mut seen = 0;
    for file in files.iter().filter(|file| !file.ends_with("tests/spec.rs")) {
        let text = fs::read_to_string(file).unwrap();
        for tag in tags(&text) {
            assert!(
                known.contains(&tag),
                "{}: no rule R{}-{}",
                file.display(),
                tag.0,
                tag.1
            );
            seen += usize::from(file.extension().is_some_and(|ext| ext == "rs"));
        }
    }
    assert!(seen > 20, "the sources have tags: {seen}");
}

/// The counts of each RFC: rows, proven, excepted.
fn counts() -> BTreeMap<u32, [usize; 3]> {
    let mut counts: BTreeMap<u32, [usize; 3]> = BTreeMap::new();
    for row in rows() {
        let [all, proven, excepted] = counts.entry(row.id.0).or_default();
        *all += 1;
        *if row.exception.is_some() {
            excepted
        } else {
            proven
        } += 1;
    }
    counts
}

#[test]
fn the_counts_of_the_readme_are_true() {
    let readme = fs::read_to_string(root().join("docs/spec/README.md")).unwrap();
    let mut total = [0; 3];
    for (rfc, count) in counts() {
        let [all, proven, excepted] = count;
        let line = format!("| {all} | {proven} | {excepted} |");
        let told = readme
            .lines()
            .any(|told| told.starts_with(&format!("| {rfc} | ")) && told.ends_with(&line));
        assert!(told, "RFC {rfc} has {line}");
        for (sum, count) in total.iter_mut().zip(count) {
            *sum += count;
        }
    }
    let [all, proven, excepted] = total;
    let line = format!("| {all} | {proven} | {excepted} |");
    println!("{all} rules, {proven} proven, {excepted} excepted");
    let told = readme
        .lines()
        .any(|told| told.starts_with("| all | ") && told.ends_with(&line));
    assert!(told, "all have {line}");
}

#[test]
fn a_row_without_proof_would_be_found() {
    let link = "[`rules_are_numbered_from_1_without_gaps`](../../tests/tests/spec.rs)";
    let row = |cells: &str| Row::parse(cells).expect("a row");
    let good = row(&format!("| R26-1 | must | Something is so. | {link} |")).unwrap();
    assert_eq!(
        (good.id, good.tests.len(), good.fault()),
        ((26, 1), 1, None)
    );
    let excepted =
        "| R26-1 | must | Something is so. | **Excepted.** It is not, and for a reason. |";
    assert_eq!(row(excepted).unwrap().fault(), None);
    for bad in [
        "| R26-1 | must | Something is so. | |",
        "| R26-1 | must | Something is so. | It just is. |",
        "| R26-1 | must | Something is so. | **Excepted.** So. |",
        "| R26-1 | must | Something is so. | [`nobody_wrote_this`](../../tests/tests/spec.rs) |",
        "| R26-1 | must | Something is so. | [`number`](../../tests/tests/spec.rs) |",
        &format!("| R26-1 | must | So. | {link} |"),
        &format!("| R26-1 | may | Something is so. | {link} |"),
    ] {
        assert!(row(bad).unwrap().fault().is_some(), "{bad}");
    }
    assert!(row("| R26-1 | must | Something is so. |").is_err());
    assert!(row("| R26 | must | Something is so. | x |").is_err());
    assert!(Row::parse("| row | level | rule | proof |").is_none());
}

#[test]
fn tags_are_told_from_other_words() {
    let text = "// R26-14, (R37-1) and R30-2.\nXR26-3 R2-1 R260-1 R26 -4 _R26-5 R26-x R26-";
    assert_eq!(tags(text), BTreeSet::from([(26, 14), (30, 2), (37, 1)]));
}
