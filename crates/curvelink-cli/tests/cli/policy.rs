//! `policy check | explain | diff | password`: what an operator asks before a file is in force.

use std::fs;
use std::path::Path;

use crate::support::{curvelink, curvelink_with};

const FILE: &str = r#"version = 1
max_session_age = "12h"
[identities.scanner]
curve = [{ key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", not_after = 2999-01-01T00:00:00Z }]
domains = ["findings"]
publish = ["findings/"]
sources = ["10.0.0.0/8", "ipc:uid=7"]
endpoints = ["tcp://*:5570", "ipc:///run/hub"]
patterns = ["PUSH", "DEALER"]
routing_ids = ["scanner-1"]
max_message = "4 MiB"
[identities.siem]
curve = ["rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"]
domains = ["findings"]
subscribe = ["findings/"]
"#;

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn notes_fail_a_check_only_where_it_is_strict() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "zap.toml", FILE);
    curvelink(dir, "policy check zap.toml --strict").ok();
    write(
        dir,
        "zap.toml",
        &FILE.replace("[\"findings/\"]\nsou", "\"everything\"\nsou"),
    );
    let lax = curvelink(dir, "policy check zap.toml").ok();
    assert!(lax.starts_with("note: zap.toml:6: scanner: "), "{lax}");
    assert!(lax.contains("\nok: zap.toml: scanner, siem"), "{lax}");
    let strict = curvelink(dir, "policy check zap.toml --strict");
    assert_eq!(strict.out.lines().count(), 1, "{}", strict.out);
    strict.fails(2);
    let strict = curvelink(dir, "policy check zap.toml --strict --json");
    let told: serde_json::Value = serde_json::from_str(&strict.out).unwrap();
    assert_eq!(told["ok"], false);
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    strict.fails(2);
}

#[test]
fn each_question_about_a_peer_is_answered_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "zap.toml", FILE);
    let explain = |rest: &str| curvelink(dir, format!("policy explain zap.toml scanner {rest}"));
    let told = explain(
        "--from 10.1.2.3 --domain findings --endpoint tcp://[::]:5570 --pattern PUSH \
         --routing-id scanner-1 --publish findings/x --at 2998-01-01T00:00:00Z",
    );
    let lines: Vec<_> = ["3", "4", "7", "5", "8", "9", "10", "6"]
        .map(|line| format!("(zap.toml:{line})"))
        .into();
    let told = told.ok();
    assert_eq!(told.lines().count(), lines.len(), "{told}");
    for (answer, line) in told.lines().zip(&lines) {
        assert!(
            answer.starts_with("allowed: ") && answer.ends_with(line),
            "{told}"
        );
    }
    explain("--from ipc:uid=7").ok();
    for refused in [
        "--from 11.1.2.3",
        "--from ::1",
        "--from ipc:uid=8",
        "--endpoint tcp://*:5571",
        "--pattern PUB",
        "--routing-id scanner-2",
        "--subscribe findings/",
        "--at 2999-01-01T00:00:00Z",
    ] {
        explain(refused).fails(4);
    }
    for wrong in [
        "--from hub",
        "--from ipc:uid=x",
        "--pattern push",
        "--at tomorrow",
    ] {
        explain(wrong).fails(1);
    }
}

#[test]
fn a_difference_says_who_gains_and_who_loses_and_has_its_own_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, "old.toml", FILE);
    write(dir, "same.toml", &FILE.replace("12h", "720m"));
    assert_eq!(curvelink(dir, "policy diff old.toml same.toml").ok(), "");
    let wider = FILE.replace("10.0.0.0/8", "10.0.0.0/7");
    write(dir, "new.toml", &wider.replace("\"PUSH\", ", ""));
    let diff = curvelink(dir, "policy diff old.toml new.toml");
    assert_eq!(
        diff.out,
        "scanner gains sources: \"10.0.0.0/7\" (new.toml:7)\n\
         scanner loses patterns: \"PUSH\" (old.toml:9)\n"
    );
    assert!(diff.fails(2).contains("1 gained, 1 lost"));
    let diff = curvelink(dir, "policy diff old.toml new.toml --json");
    let told: serde_json::Value = serde_json::from_str(&diff.out).unwrap();
    assert_eq!(told["equal"], false);
    assert_eq!(told["changes"][0]["effect"], "gains");
    assert_ne!(told["old"]["sha256"], told["new"]["sha256"]);
    diff.fails(2);
    write(dir, "new.toml", "version = 1\n");
    curvelink(dir, "policy diff old.toml new.toml").fails(1);
}

#[test]
fn a_password_is_hashed_from_where_only_its_owner_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let line = curvelink_with(dir, "policy password", "open sesame\n").ok();
    let line = line.strip_suffix('\n').unwrap();
    assert!(
        line.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{line}"
    );
    let again = curvelink_with(dir, "policy password", "open sesame\n").ok();
    assert_ne!(again.trim_end(), line, "each has a salt of its own");
    let user = format!("plain = [{{ username = \"a\", password_hash = \"{line}\" }}]\ndomains");
    write(dir, "zap.toml", &FILE.replacen("domains", &user, 1));
    let checked = curvelink(dir, "policy check zap.toml").ok();
    assert!(!checked.contains("cheap to attack"), "{checked}");

    write(dir, "secret", "open sesame");
    curvelink(dir, "policy password --from secret").ok();
    for (from, input) in [
        ("-", ""),
        ("-", "\n"),
        ("env:NO_SUCH_NAME", ""),
        ("none", ""),
    ] {
        curvelink_with(dir, format!("policy password --from {from}"), input).fails(1);
    }
    let long = "x".repeat(256);
    curvelink_with(dir, "policy password", &long).fails(1);
    curvelink_with(dir, "policy password", &long[1..]).ok();
    let told = curvelink(dir, "policy password hunter2").fails(1);
    assert!(told.contains("unexpected argument"), "{told}");
}
