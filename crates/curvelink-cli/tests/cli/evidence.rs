//! `verify`, `export` and `policy`: what can be checked later.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Background, Site, curvelink, curvelink_with, shell, site};

/// A folder with three saved messages, its hub gone.
fn saved() -> (Site, PathBuf) {
    let site = Site::up();
    let args = "sub --as siem findings/ --save inbox --count 3";
    let mut sub = Background::start(&site.dir, "sub", args);
    let publish = "pub --as ci-scanner findings/x - --lines --content-type text/plain";
    let sent = curvelink_with(&site.dir, publish, "one\ntwo\nthree\n").ok();
    assert_eq!(sent.lines().count(), 3);
    assert_eq!(sub.wait(), 0);
    let inbox = site.dir.join("inbox");
    (site, inbox)
}

#[test]
fn saved_messages_verify_together_and_each_tampering_fails() {
    let (site, inbox) = saved();
    let all = "verify inbox/000001.cle inbox/000002.cle inbox/000003.cle";
    let out = curvelink(&site.dir, all).ok();
    assert_eq!(out.lines().count(), 4);
    assert!(out.contains("no gap, no replay (3 messages)"), "{out}");
    let reversed = "verify inbox/000003.cle inbox/000002.cle inbox/000001.cle";
    let told = curvelink(&site.dir, reversed).ok();
    assert!(told.starts_with("ok    inbox/000003.cle"), "{told}");
    let gap = curvelink(&site.dir, "verify inbox/000001.cle inbox/000003.cle").ok();
    assert!(gap.contains("1 messages are not here"), "{gap}");

    shell(&inbox, "cp 000002.cle copy.cle; cp 000002.txt copy.txt").ok();
    let twice = curvelink(&site.dir, format!("{all} inbox/copy.cle")).fails(2);
    assert!(twice.contains("1 of 4"), "{twice}");

    fs::write(inbox.join("000002.txt"), "TWO").unwrap();
    let run = curvelink(&site.dir, all);
    assert!(
        run.out
            .contains("FAIL  inbox/000002.cle: frame/1 digest mismatch"),
        "{}",
        run.out
    );
    run.fails(2);
    fs::remove_file(inbox.join("000002.txt")).unwrap();
    curvelink(&site.dir, all).fails(3);
    fs::write(inbox.join("000003.txt"), "THREE").unwrap();
    curvelink(&site.dir, all).fails(2);
}

#[test]
fn verification_needs_the_right_signer_and_audience() {
    let (site, _) = saved();
    let verify = |rest: &str| curvelink(&site.dir, format!("verify inbox/000001.cle {rest}"));
    verify("--signer ci-scanner=keys/ci-scanner.sign.pem --audience demo").ok();
    verify("--signer ci-scanner=keys/ci-scanner.sign.pem --audience production").fails(2);
    verify("--signer other=keys/ci-scanner.sign.pem --audience demo").fails(2);
    verify("--signer ci-scanner=keys/ci-scanner.sign.pem").fails(1);
    curvelink(&site.dir, "key gen --sign --out other.pem").ok();
    verify("--signer ci-scanner=other.pem --audience demo").fails(2);
    let shown = verify("--json").json();
    assert_eq!(
        (&shown["ok"], &shown["signer"], &shown["seq"]),
        (&true.into(), &"ci-scanner".into(), &0.into())
    );
}

#[test]
fn openssl_accepts_an_export_and_rejects_a_tampered_one() {
    let (site, _) = saved();
    let verify = "openssl pkeyutl -verify -pubin -inkey keys/ci-scanner.sign.pem -rawin -in m.pae \
                  -sigfile m.sig";
    shell(&site.dir, "curvelink export inbox/000001.cle --as pae -o m").ok();
    shell(&site.dir, verify).ok();
    shell(&site.dir, "sed -i s/findings/Findings/ m.pae").ok();
    assert_ne!(shell(&site.dir, verify).code, 0);
    for (form, member) in [("dsse", "payloadType"), ("sigstore", "dsseEnvelope")] {
        curvelink(
            &site.dir,
            ["export", "inbox/000001.cle", "--as", form, "-o", "out.json"],
        )
        .ok();
        let text = fs::read_to_string(site.dir.join("out.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json.get(member).is_some(), "{text}");
    }
    curvelink(&site.dir, "export zap.toml --as dsse -o x").fails(3);
}

#[test]
fn a_tampered_message_is_not_delivered_to_a_subscriber() {
    let (_root, dir) = site();
    let sub = "sub ipc://p t --count 1 --signer ci=s.pem --audience here";
    curvelink(&dir, "key gen --sign --out s.secret.pem").ok();
    curvelink(
        &dir,
        "key convert s.secret.pem --public --to pem --out s.pem",
    )
    .ok();
    let mut sub = Background::start(&dir, "sub", sub);
    let body = "{\"frames\":[\"forged\"]}\n";
    curvelink_with(&dir, "pub --bind ipc://p t - --jsonl", body).ok();
    let publish =
        "pub --bind ipc://p t - --lines --sign-key s.secret.pem --signer ci --audience here";
    curvelink_with(&dir, publish, "genuine\n").ok();
    assert_eq!(sub.line(), "t\tgenuine\n");
    assert_eq!(sub.wait(), 2, "it says at its end that something failed");
    let errors = fs::read_to_string(dir.join("sub.err")).unwrap();
    assert!(
        errors.contains("FAIL  t: the message carries no envelope"),
        "{errors}"
    );
}

#[test]
fn a_policy_is_checked_and_explained() {
    let (_root, dir): (TempDir, PathBuf) = site();
    let checked = curvelink(&dir, "policy check zap.toml --json").json();
    assert_eq!(
        checked["identities"].to_string(),
        r#"["ci-scanner","siem"]"#
    );
    let explain = |rest: &str| curvelink(&dir, format!("policy explain zap.toml {rest}"));
    explain("siem --subscribe findings/ --domain findings").ok();
    let refused = explain("siem --publish findings/x --json");
    assert!(refused.out.contains("\"allowed\":false"));
    refused.fails(4);
    let key = curvelink(&dir, "key pub keys/siem.key").ok();
    assert!(explain(key.trim_end()).ok().contains("identity siem"));
    explain("nobody").fails(4);
    let text = fs::read_to_string(dir.join("zap.toml")).unwrap();
    fs::write(dir.join("zap.toml"), text.replace("publish", "pubilsh")).unwrap();
    let line = curvelink(&dir, "policy check zap.toml").fails(1);
    assert!(line.contains("zap.toml:"), "{line}");
}
