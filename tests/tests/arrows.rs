//! Who may name whom: the dependency arrows of the workspace, read from what cargo knows and from
//! the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate of ours, and the crates of ours that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("curvelink-proto", &[]),
    ("curvelink-tlog", &[]),
    ("curvelink-envelope", &["curvelink-tlog"]),
    ("curvelink", &["curvelink-proto"]),
    ("curvelink-zap", &["curvelink-proto"]),
    ("curvelink-audit", &["curvelink-proto", "curvelink-tlog"]),
    (
        "curvelink-cli",
        &[
            "curvelink",
            "curvelink-proto",
            "curvelink-zap",
            "curvelink-envelope",
            "curvelink-tlog",
            "curvelink-audit",
        ],
    ),
    (
        "curvelink-bench",
        &[
            "curvelink",
            "curvelink-proto",
            "curvelink-zap",
            "curvelink-envelope",
            "curvelink-tlog",
            "curvelink-audit",
        ],
    ),
];

/// Crates that know no runtime.
const WITHOUT_RUNTIME: &[&str] = &[
    "curvelink-proto",
    "curvelink-zap",
    "curvelink-envelope",
    "curvelink-tlog",
    "curvelink-audit",
];

/// What the sans-IO half and the patterns never name: I/O, clocks, the environment.
const OUTSIDE_WORLD: &[&str] = &[
    "tokio",
    "std::net",
    "Instant::now",
    "SystemTime::now",
    "std::env",
];

/// The crates of CURVE.
const CRYPTO: &[&str] = &[
    "crypto_box",
    "crypto_secretbox",
    "dryoc::",
    "salsa20",
    "x25519_dalek",
    "chacha20poly1305",
    "curve25519_dalek",
];

#[test]
fn crates_name_only_the_crates_that_they_may() {
    let packages = packages();
    for (name, allowed) in ARROWS {
        let package = packages
            .iter()
            .find(|package| package["name"] == *name)
            .unwrap_or_else(|| panic!("{name} is gone: mend the table"));
        let ours = dependencies(package)
            .into_iter()
            .filter(|dependency| dependency.starts_with("curvelink"));
        // Every crate may be tested with the helpers of the test crate.
        let broken: Vec<_> = ours
            .filter(|dependency| {
                dependency != "curvelink-tests" && !allowed.contains(&&dependency[..])
            })
            .collect();
        assert!(broken.is_empty(), "{name} may not depend on {broken:?}");
    }
    let known: BTreeSet<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let listed = known.contains(name) || name == "curvelink-tests";
        assert!(listed, "{name} has no arrows in the table");
    }
}

#[test]
fn only_the_runtime_and_the_program_depend_on_tokio() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        if WITHOUT_RUNTIME.contains(&name) {
            assert!(
                !dependencies(&package).contains("tokio"),
                "{name} depends on tokio"
            );
        }
    }
}

#[test]
fn the_protocol_and_the_patterns_never_name_the_outside_world() {
    for folder in ["crates/curvelink-proto/src", "crates/curvelink/src/pattern"] {
        let sources = sources(&root().join(folder));
        assert!(!sources.is_empty(), "{folder} is gone: mend the test");
        for (path, text) in sources {
            for word in OUTSIDE_WORLD {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn one_file_names_the_crypto_crates_of_curve() {
    let naming: Vec<PathBuf> = ["curvelink-proto", "curvelink", "curvelink-zap"]
        .iter()
        .flat_map(|name| sources(&root().join("crates").join(name).join("src")))
        .filter(|(_, text)| CRYPTO.iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    let [only] = &naming[..] else {
        panic!("not one file: {naming:?}");
    };
    assert!(only.ends_with("mechanism/curve/nacl.rs"), "{naming:?}");
}

#[test]
fn test_modules_and_comments_are_left_out_of_the_check() {
    let text = "use a; // tokio\n/// tokio\n#[cfg(test)]\nmod tests {\n    use tokio;\n}\n";
    assert_eq!(code(text), "use a; \n");
    assert!(code("use tokio::net;\n").contains("tokio"));
    assert!(code("#[cfg(test)]\nmod tests;\nuse tokio;\n").contains("tokio"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Dependencies of every kind: a test that names a crate is an arrow too.
fn dependencies(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies
        .iter()
        .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// The code of every source below a folder, less its tests.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "tests" {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !is_test(&path) {
            let text = fs::read_to_string(&path).expect("a source");
            found.push((path, code(&text)));
        }
    }
    found
}

/// Modules that are compiled for tests alone.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    matches!(stem, Some("tests" | "testing" | "forged"))
}

/// A source without its comments and without the test module at its end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter_map(|line| {
        let code = line.split("//").next().unwrap_or_default();
        (!code.trim().is_empty()).then_some(code)
    });
    lines.map(|line| format!("{line}\n")).collect()
}
