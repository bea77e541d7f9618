//! Which topics are signed, and what a signature says beside the message.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Background, PROGRAM, Site, add_settings, curvelink, curvelink_with, site};

const OPEN: &str = "[[envelope.topic]]\nprefix = \"findings/open/\"\nsign = \"none\"\n";

#[test]
fn a_topic_that_is_not_signed_passes_beside_those_that_are() {
    let site = Site::up_with(OPEN);
    let sub = "sub --as siem findings/ --json --count 2 --timeout 60";
    let mut sub = Background::start(&site.dir, "sub", sub);
    let save = "sub --as siem findings/ --save inbox --count 2 --timeout 60";
    let mut saves = Background::start(&site.dir, "saves", save);
    let publish = |topic: &str| {
        curvelink_with(
            &site.dir,
            format!("pub --as ci-scanner --wait 2 {topic}"),
            "x",
        )
        .ok()
    };
    assert!(!publish("findings/open/a").contains("signed by"));
    assert!(publish("findings/a").contains("signed by ci-scanner"));
    let [open, signed] =
        [sub.line(), sub.line()].map(|line| -> Value { serde_json::from_str(&line).unwrap() });
    assert_eq!(open["frames"].to_string(), "[\"findings/open/a\",\"x\"]");
    assert_eq!(open["signed"], Value::Null);
    assert_eq!(signed["signed"]["signer"], "ci-scanner");
    assert_eq!(saves.line(), "findings/open/a\tx\n");
    assert!(saves.line().starts_with("inbox/000001.cle"));
    assert_eq!((sub.wait(), saves.wait()), (0, 0));
    let told = fs::read_to_string(site.dir.join("saves.err")).unwrap();
    assert!(told.contains("findings/open/a: not saved"), "{told}");
    let log = site.log();
    assert!(log.contains("unsigned-messages"), "{log}");
    assert!(!Site::up().log().contains("unsigned-messages"));
}

#[test]
fn a_wrong_rule_is_refused_by_whoever_reads_it_with_its_line() {
    for (rule, cause) in [
        ("sign = \"batsh\"\n", "none, each or batch"),
        (
            "signers = [\"ci-scanner\"]\nthreshold = 2\n",
            "line 17: topic \"a\": threshold",
        ),
        (
            "signers = [\"ci-scaner\"]\nthreshold = 1\n",
            "line 17: signers names \"ci-scaner\"",
        ),
        (
            "signers = [\"ci-scanner\"]\n",
            "line 17: topic \"a\": signers and threshold",
        ),
        ("sing = \"each\"\n", "unknown field"),
        (
            "sign = \"each\"\n[[envelope.topic]]\nprefix = \"a\"\nsign = \"each\"\n",
            "two rules",
        ),
    ] {
        let (_root, dir) = site();
        add_settings(&dir, &format!("[[envelope.topic]]\nprefix = \"a\"\n{rule}"));
        for command in ["up", "sub --as siem findings/", "verify x.cle"] {
            let line = curvelink(&dir, command).fails(1);
            assert!(line.contains("curvelink.toml: "), "{command}: {line}");
            assert!(line.contains(cause), "{command}: {line}");
        }
    }
}

#[test]
fn reload_puts_new_rules_in_force_and_keeps_the_old_where_the_new_are_wrong() {
    let site = Site::up_with(OPEN);
    let forge = format!(
        "pub --as ci-scanner --wait 0 {} findings/open/a -",
        site.ingest
    );
    curvelink_with(&site.dir, &*forge, "x").ok();
    let path = site.dir.join("curvelink.toml");
    let open = fs::read_to_string(&path).unwrap();
    fs::write(&path, open.replace("\"none\"", "\"nome\"")).unwrap();
    let line = curvelink(&site.dir, "reload").fails(1);
    assert!(line.contains("none, each or batch"), "{line}");

    // Whoever still goes by the old rule finds the hub going by the new one.
    fs::write(&path, open.replace("\"none\"", "\"each\"")).unwrap();
    let told = curvelink(&site.dir, "reload").ok();
    assert!(told.contains("envelope changed"), "{told}");
    fs::write(&path, &open).unwrap();
    let line = curvelink_with(&site.dir, &*forge, "x").fails(4);
    assert!(line.contains("no envelope"), "{line}");
    assert!(
        curvelink(&site.dir, "reload")
            .ok()
            .contains("envelope changed")
    );
    curvelink_with(&site.dir, &*forge, "x").ok();
    assert!(curvelink(&site.dir, "reload").ok().starts_with("unchanged"));
    assert!(site.log().contains("envelope; keys"), "{}", site.log());
}

#[test]
fn a_trace_is_signed_with_the_message_and_a_wrong_one_is_refused() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let site = Site::up();
    let mut sub = Background::start(
        &site.dir,
        "sub",
        "sub --as siem findings/ --json --count 3 --timeout 60",
    );
    let publish = |environment: &str, more: &[&str]| {
        let args = ["pub", "--as", "ci-scanner", "findings/x", "zap.toml"];
        let output = Command::new(PROGRAM)
            .args(args)
            .args(more)
            .current_dir(&site.dir)
            .env("TRACEPARENT", environment)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), error)
    };
    for (environment, more, trace) in [
        ("", &[][..], Value::Null),
        (TRACE, &[], TRACE.into()),
        // What is typed is meant.
        ("nonsense", &["--traceparent", TRACE], TRACE.into()),
    ] {
        assert_eq!(publish(environment, more).0, 0);
        let message: Value = serde_json::from_str(&sub.line()).unwrap();
        assert_eq!(message["signed"]["traceparent"], trace);
    }
    assert_eq!(sub.wait(), 0);
    let upper = TRACE.to_uppercase();
    let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for (environment, more) in [
        ("nonsense", &[][..]),
        (&upper, &[]),
        ("", &["--traceparent", zero]),
        (TRACE, &["--traceparent", ""]),
    ] {
        let (code, error) = publish(environment, more);
        assert_eq!(code, 1, "{environment} {more:?}");
        assert!(error.contains("a traceparent is 00-"), "{error}");
    }
    let unsigned = [
        "pub",
        "--bind",
        "ipc://p",
        "t",
        "zap.toml",
        "--traceparent",
        TRACE,
    ];
    assert!(
        curvelink(&site.dir, unsigned)
            .fails(1)
            .contains("nothing is here")
    );
}
