//! `init`, `up`, `pub`, `sub` and `demo` together.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::tempdir;

use crate::support::{Background, Site, curvelink, findings, shell, site};

#[test]
fn init_makes_a_folder_that_every_other_command_accepts() {
    let dir = tempdir().unwrap();
    let said = shell(dir.path(), "umask 000; curvelink init demo").ok();
    assert_eq!(said.matches("SHA256:").count(), 4, "{said}");
    let demo = dir.path().join("demo");
    for (path, mode) in [
        ("keys", 0o700),
        ("keys/hub.key_secret", 0o600),
        ("keys/ci-scanner.sign.secret.pem", 0o600),
        ("keys/ci-scanner.key", 0o644),
        ("zap.toml", 0o644),
    ] {
        let found = fs::metadata(demo.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    assert!(
        curvelink(&demo, "policy check zap.toml")
            .ok()
            .starts_with("ok: ")
    );
    let pem = fs::read_to_string(demo.join("keys/ci-scanner.sign.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----"), "{pem}");
    assert!(
        curvelink(dir.path(), "init demo")
            .fails(1)
            .contains("not empty")
    );
}

#[test]
fn programs_of_a_folder_can_start_in_any_order() {
    let (_root, dir) = site();
    let scan = findings().to_str().unwrap();
    let mut sub = Background::start(&dir, "sub", "sub --as siem findings/ --json --count 1");
    let publish = ["pub", "--as", "ci-scanner", "findings/sast", scan, "--json"];
    let mut publish = Background::start(&dir, "pub", publish);
    let mut hub = Background::start(&dir, "up", "up");
    assert!(hub.line().starts_with("ready  ingest tcp://127.0.0.1:"));
    let sent: serde_json::Value = serde_json::from_str(&publish.line()).unwrap();
    assert_eq!(sent["subscribers"].to_string(), r#"["siem"]"#);
    let received: serde_json::Value = serde_json::from_str(&sub.line()).unwrap();
    assert_eq!(received["frames"][1], fs::read_to_string(scan).unwrap());
    assert_eq!(received["signed"]["signer"], "ci-scanner");
    assert_eq!(received["signed"]["seq"], 0);
    assert_eq!((publish.wait(), sub.wait()), (0, 0));
    assert_eq!(hub.terminate(), 0, "SIGTERM is a clean stop");
    assert!(!dir.join("run/hub.json").exists());
}

#[test]
fn the_folder_is_found_from_below_and_by_name() {
    let site = Site::up();
    let below = site.dir.join("keys");
    let args = "pub --as ci-scanner --wait 0 findings/x hub.key";
    assert!(
        curvelink(&below, args)
            .ok()
            .starts_with("sent to 0 subscribers")
    );
    let elsewhere = tempdir().unwrap();
    fs::write(elsewhere.path().join("f"), "x").unwrap();
    let args = "pub --as ci-scanner --wait 0 findings/x f";
    curvelink(elsewhere.path(), args).fails(1);
    curvelink(
        elsewhere.path(),
        format!("--dir {} {args}", site.dir.display()),
    )
    .ok();
}

#[test]
fn one_key_signs_from_several_programs_without_looking_replayed() {
    let site = Site::up();
    let publish = "pub --as ci-scanner --wait 0 findings/x zap.toml";
    let mut running: Vec<Background> = (0..4)
        .map(|i| Background::start(&site.dir, &format!("pub{i}"), publish))
        .collect();
    let codes: Vec<i32> = running.iter_mut().map(Background::wait).collect();
    assert_eq!(codes, [0; 4], "{}", site.log());
}

#[test]
fn what_the_hub_has_seen_outlives_it() {
    let mut site = Site::up();
    let publish = "pub --as ci-scanner --wait 0 findings/x zap.toml";
    curvelink(&site.dir, publish).ok();
    assert_eq!(site.hub.terminate(), 0);
    // The signer forgets, the hub does not: an epoch that it has seen is refused.
    let progress = site.dir.join("state/ci-scanner.progress.json");
    let far = r#"{"epoch":9000000000000000,"topics":{}}"#;
    let seen = fs::read_to_string(site.dir.join("state/hub.replay.json")).unwrap();
    assert!(seen.contains("epoch"), "{seen}");
    fs::write(&progress, far).unwrap();
    let mut hub = Background::start(&site.dir, "up", "up");
    hub.line();
    curvelink(&site.dir, publish).ok();
    assert_eq!(hub.terminate(), 0);
    fs::remove_file(&progress).unwrap();
    let mut hub = Background::start(&site.dir, "up", "up");
    hub.line();
    let line = curvelink(&site.dir, publish).fails(4);
    assert!(line.contains("received before"), "{line}");
    drop(hub);
    fs::write(site.dir.join("state/hub.replay.json"), "{").unwrap();
    curvelink(&site.dir, "up").fails(3);
}

#[test]
fn a_topic_outside_the_rights_is_refused_on_either_side() {
    let site = Site::up();
    let line = curvelink(&site.dir, "pub --as ci-scanner remediate/x zap.toml").fails(4);
    assert!(
        line.contains("ci-scanner may publish findings/ only"),
        "{line}"
    );
    let line = curvelink(&site.dir, "pub --as siem findings/x zap.toml").fails(1);
    assert!(line.contains("no signing key"), "{line}");
    for prefix in ["", "remediate/"] {
        let line = curvelink(&site.dir, ["sub", "--as", "siem", prefix]).fails(4);
        assert!(line.contains("siem may not subscribe"), "{line}");
    }
    assert!(site.log().contains("topic-denied"));
}

#[test]
fn the_hub_seals_by_what_its_folder_says_and_logs_it() {
    let (_root, dir) = site();
    let file = dir.join("curvelink.toml");
    let settings = fs::read_to_string(&file).unwrap();
    for (table, cipher) in [
        ("", "dryoc"),
        ("[curve]\nbackend = \"rustcrypto\"\n", "rustcrypto"),
    ] {
        fs::write(&file, settings.clone() + table).unwrap();
        let mut hub = Background::start(&dir, "up", "up");
        hub.line();
        let args = "pub --as ci-scanner --wait 0 findings/x zap.toml";
        curvelink(&dir, args).ok();
        assert_eq!(hub.terminate(), 0);
        let log = fs::read_to_string(dir.join("up.err")).unwrap();
        let admitted = |line: &str| line.contains("CL1001") && line.contains("\"ci-scanner\"");
        let mut lines = log.lines().filter(|line| admitted(line));
        let sealed = format!("cipher={cipher}");
        assert!(lines.all(|line| line.contains(&sealed)), "{log}");
        assert!(log.lines().any(admitted), "{log}");
    }
}

#[test]
fn a_message_beyond_the_hubs_limit_is_not_sent() {
    let site = Site::up();
    fs::write(site.dir.join("big"), vec![0; (16 << 20) + 1]).unwrap();
    let args = "pub --as ci-scanner --wait 0 findings/x big";
    let line = curvelink(&site.dir, args).fails(1);
    assert!(line.contains("at most 16777216"), "{line}");
    fs::write(site.dir.join("big"), vec![0; 1 << 20]).unwrap();
    curvelink(&site.dir, args).ok();
}

#[test]
fn a_hub_that_goes_away_is_no_hang() {
    let mut site = Site::up();
    let fed = "pub --as ci-scanner --wait 1 findings/x zap.toml";
    let mut waiting = Background::start(&site.dir, "pub", fed);
    site.wait_for_log("CL1001");
    assert_eq!(site.hub.terminate(), 0);
    assert_eq!(
        waiting.wait(),
        4,
        "{}",
        fs::read_to_string(site.dir.join("pub.err")).unwrap()
    );
}

#[test]
fn no_subscriber_is_a_timeout() {
    let site = Site::up();
    let args = "pub --as ci-scanner --timeout 0.2 findings/x zap.toml";
    let line = curvelink(&site.dir, args).fails(5);
    assert!(line.contains("0 of 1 subscribers"), "{line}");
}

#[test]
fn the_log_can_be_json_and_a_peer_cannot_forge_a_line_in_it() {
    let (_root, dir) = site();
    let mut hub = Background::start(&dir, "up", "up --log json");
    hub.line();
    let topic = "remediate/\u{1b}[2J\nINFO forged";
    curvelink(&dir, ["pub", "--as", "ci-scanner", topic, "zap.toml"]).fails(4);
    let log = fs::read_to_string(dir.join("up.err")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line["id"] == "CL1020" && line["reason"] == "topic-denied"),
        "{log}"
    );
    assert!(!log.contains('\u{1b}'));
}

#[test]
fn the_demo_holds_with_the_bundled_findings_and_with_others() {
    let dir = tempdir().unwrap();
    let out = curvelink(dir.path(), "demo").ok();
    assert_eq!(
        out.lines().filter(|line| line.starts_with("ok  ")).count(),
        10,
        "{out}"
    );
    for words in ["(unknown-key)", "(topic-denied)", "and it fails: R3 entry "] {
        assert!(out.contains(words), "{words}: {out}");
    }
    fs::write(dir.path().join("mine.sarif"), "{\"version\":\"2.1.0\"}").unwrap();
    assert!(
        curvelink(dir.path(), "demo --file mine.sarif")
            .ok()
            .contains("19 octets")
    );
    curvelink(dir.path(), "demo --file missing.sarif").fails(1);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "it leaves nothing behind"
    );
}
