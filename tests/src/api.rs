//! The public names of our crates, read from their sources: what documents may speak of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that programs use.
const CRATES: &[&str] = &[
    "curvelink",
    "curvelink-proto",
    "curvelink-zap",
    "curvelink-audit",
    "curvelink-envelope",
];

/// Enums that a macro makes, each variant on a line of its own.
const MADE: &[(&str, &str)] = &[("reasons! {", "Reason"), ("socket_types! {", "SocketType")];

/// `Type::name` of every public method, variant and field of the types that the crates export.
///
/// # Panics
///
/// When a source cannot be read.
#[must_use]
pub fn names() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (root, text) in sources() {
        let exports = fs::read_to_string(root.join("lib.rs")).expect("a source");
        let mut owner = None;
        for line in text.lines().filter(|line| !line.is_empty()) {
            match owner {
                _ if !line.starts_with([' ', '}', '#', '/']) => owner = opened(line),
                Some(_) if line.starts_with('}') => owner = None,
                _ => {}
            }
            if let Some(owner) = owner
                && let Some(name) = line.strip_prefix("    ").and_then(member)
                && word(&exports, owner)
            {
                found.insert(format!("{owner}::{name}"));
            }
        }
    }
    found
}

/// The aliases in the runtime's documentation, each with the item that it is on.
///
/// # Panics
///
/// When a source cannot be read.
#[must_use]
pub fn aliases() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (_, text) in sources() {
        let mut waiting = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(alias) = line.strip_prefix("#[doc(alias = \"") {
                waiting.push(alias.trim_end_matches("\")]").to_owned());
            } else if !line.starts_with(['#', '/'])
                && let Some(name) = opened(line).or_else(|| member(line))
            {
                found.extend(waiting.drain(..).map(|alias| (alias, name.to_owned())));
            }
        }
        assert!(waiting.is_empty(), "an alias of nothing: {waiting:?}");
    }
    found
}

/// Every source, with the folder of its crate's `lib.rs`.
fn sources() -> Vec<(PathBuf, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = Vec::new();
    for name in CRATES {
        let root = crates.join(name).join("src");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).expect("a source");
                    found.push((root.clone(), text));
                }
            }
        }
    }
    found
}

/// The type whose members follow a line: that of an `impl` without a trait, or of a declaration.
fn opened(line: &str) -> Option<&str> {
    if let Some((_, made)) = MADE.iter().find(|(start, _)| *start == line) {
        return Some(made);
    }
    for declaration in ["pub struct ", "pub enum ", "pub trait "] {
        if let Some(rest) = line.strip_prefix(declaration) {
            return first_word(rest);
        }
    }
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(_) => rest.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    (!rest.contains(" for ")).then(|| first_word(rest))?
}

/// The name of a public member.
fn member(line: &str) -> Option<&str> {
    let public = line.strip_prefix("pub ").unwrap_or(line);
    let word = public
        .trim_start_matches("const ")
        .trim_start_matches("async ")
        .strip_prefix("fn ");
    match (line.starts_with("pub "), word) {
        // A trait's methods have no `pub`; those of an `impl` without one are private.
        (_, Some(function)) if line.starts_with("pub ") || line.ends_with(';') => {
            first_word(function)
        }
        (true, None) => first_word(public),
        (false, None) if line.starts_with(|c: char| c.is_ascii_uppercase()) => first_word(line),
        _ => None,
    }
}

fn first_word(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// Whether a word stands in a text, and not as a part of another.
fn word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_are_found_and_others_are_not() {
        let names = names();
        for public in [
            "Options::send_hwm",
            "Socket::recv",
            "Context::new",
            "SendError::WrongTurn",
            "Reason::UnknownKey",
            "SocketType::Pull",
            "Peer::routing_id",
            "LinkEventKind::Retrying",
            "PolicyHandler::replace",
            "ZapHandler::authenticate",
        ] {
            assert!(names.contains(public), "{public}");
        }
        for other in [
            "Core::try_send",
            "AnySocket::core",
            "Socket::from_any",
            "Options::check",
            "Options::nothing",
            "SendError::Full",
        ] {
            assert!(!names.contains(other), "{other}");
        }
    }

    #[test]
    fn aliases_are_found_with_what_they_are_on() {
        let mark = ("ZMQ_SNDHWM".to_owned(), "send_hwm".to_owned());
        assert!(aliases().contains(&mark));
    }
}
