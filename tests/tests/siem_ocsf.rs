//! OCSF events against the schema as it was released, checked by programs that we did not write.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use curvelink_tests::interop::Skipped;
use curvelink_tests::proofs::root;
use curvelink_tests::python;
use serde_json::{Value, json};

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/ocsf_check.py");

/// What the schema of that version has against each of the events.
fn errors(version: &str, events: &[Value]) -> Result<Vec<Vec<String>>, Skipped> {
    let python = python::environment()?;
    let mut check = Command::new(python)
        .args([CHECK, version])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut input = check.stdin.take().unwrap();
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = check.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Ok(errors.collect())
}

/// Every event of the catalogue, full, hostile and bare, as the golden file has them.
fn events() -> Vec<Value> {
    let path = root().join("crates/curvelink-audit/tests/golden/ocsf");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The release whose events they say they are, and the newest that there is.
const VERSIONS: &[&str] = &["1.5.0", "1.8.0"];

#[test]
fn every_event_is_what_the_released_schema_says() {
    let events = events();
    for event in &events {
        assert_eq!(event["metadata"]["version"], VERSIONS[0]);
    }
    for version in VERSIONS {
        let Ok(errors) = errors(version, &events) else {
            return;
        };
        assert_eq!(errors.len(), events.len());
        for (event, errors) in events.iter().zip(errors) {
            assert!(errors.is_empty(), "{version}: {event}: {errors:?}");
        }
    }
}

#[test]
fn an_event_that_is_not_right_is_refused_by_the_schema() {
    let mut broken = Vec::new();
    let mut one_of_each = events();
    one_of_each.sort_by_key(|event| event["class_uid"].as_u64());
    one_of_each.dedup_by_key(|event| event["class_uid"].as_u64());
    for event in one_of_each {
        for required in [
            "class_uid",
            "activity_id",
            "type_uid",
            "severity_id",
            "time",
            "metadata",
        ] {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove(required).unwrap();
            broken.push(event);
        }
        for (name, value) in [
            ("severity_id", json!(77)),
            ("activity_id", json!("1")),
            ("type_uid", json!(100_201)),
            ("time", json!("2026-11-22T00:00:00Z")),
            ("no_attribute_of_the_schema", json!(1)),
        ] {
            let mut event = event.clone();
            event[name] = value;
            broken.push(event);
        }
    }
    let Ok(errors) = errors(VERSIONS[0], &broken) else {
        return;
    };
    assert_eq!(errors.len(), broken.len());
    for (event, errors) in broken.iter().zip(errors) {
        assert!(!errors.is_empty(), "{event}");
    }
}
