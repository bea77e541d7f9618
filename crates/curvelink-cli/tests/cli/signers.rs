//! Messages that need several signers: signed, signed by others too, sent.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Background, Run, Site, add_settings, curvelink, site};

const TWO: &str = "[[envelope.topic]]\nprefix = \"restart/\"\n\
                   signers = [\"alice\", \"bob\", \"carol\"]\nthreshold = 2\n";

/// A folder with the identities alice, bob and carol, who may publish restarts, and a rule that
/// two of them must.
fn people() -> Site {
    let (root, dir) = site();
    for name in ["alice", "bob", "carol"] {
        add_person(&dir, name);
    }
    let policy = dir.join("zap.toml");
    let text = fs::read_to_string(&policy).unwrap();
    let all = "subscribe = [\"findings/\"]";
    fs::write(&policy, text.replace(all, "subscribe = [\"restart/\"]")).unwrap();
    add_settings(&dir, TWO);
    Site::up_in(root, dir)
}

fn add_person(dir: &Path, name: &str) {
    curvelink(dir, format!("key gen --out keys/{name}.key_secret")).ok();
    curvelink(
        dir,
        format!("key gen --sign --out keys/{name}.sign.secret.pem"),
    )
    .ok();
    let connects = curvelink(dir, format!("key pub keys/{name}.key_secret")).ok();
    let signs = format!("key show --json keys/{name}.sign.secret.pem");
    let signs = curvelink(dir, signs).json();
    let policy = dir.join("zap.toml");
    let text = fs::read_to_string(&policy).unwrap();
    let identity = format!(
        "\n[identities.{name}]\ncurve = [{:?}]\nsign = [{}]\ndomains = [\"findings\"]\n\
         publish = [\"restart/\", \"findings/\"]\n",
        connects.trim(),
        signs["hex"]
    );
    fs::write(policy, text + &identity).unwrap();
}

/// Alice's order, signed by her alone.
fn sign(site: &Site, out: &str) -> String {
    fs::write(site.dir.join("order.json"), "{\"host\":\"web\"}").unwrap();
    let line = format!("sign --as alice restart/web order.json --out {out}");
    curvelink(&site.dir, line).ok()
}

fn cosign(site: &Site, args: &str) -> Run {
    curvelink(&site.dir, format!("cosign {args}"))
}

/// Sends it as it is, with no look at it first: the folder knows what its own hub asks for.
fn send(site: &Site, name: &str, file: &str) -> Run {
    let line = format!("pub --as {name} --envelope {file} --wait 0 {}", site.ingest);
    curvelink(&site.dir, line)
}

#[test]
fn two_persons_sign_one_message_and_the_first_of_them_sends_it() {
    let site = people();
    let mut sub = Background::start(
        &site.dir,
        "sub",
        "sub --as siem restart/ --json --count 1 --timeout 60",
    );
    let said = sign(&site, "m.cle");
    assert!(said.contains("signed by alice SHA256:"), "{said}");
    assert!(
        said.contains("  1 of 2 signers  to be sent before 20"),
        "{said}"
    );
    let line = curvelink(&site.dir, "pub --as alice --envelope m.cle").fails(2);
    assert!(line.contains("needs 2 signers"), "{line}");
    let line = send(&site, "alice", "m.cle").fails(4);
    assert!(line.contains("needs 2 signers"), "{line}");
    assert!(site.log().contains("too-few-signers"), "{}", site.log());

    let said = cosign(&site, "--as bob m.cle").ok();
    assert!(said.contains("  2 of 2 signers  "), "{said}");
    // Not even bob, who has signed it: what he sends would be his.
    let line = send(&site, "bob", "m.cle").fails(4);
    assert!(line.contains("another identity than its signer"), "{line}");
    let sent = curvelink(&site.dir, "pub --as alice --envelope m.cle").ok();
    assert!(
        sent.starts_with("sent to 1 subscriber (siem)  seq 0  "),
        "{sent}"
    );
    assert!(sent.trim_end().ends_with(" and one other"), "{sent}");
    let line = send(&site, "alice", "m.cle").fails(4);
    assert!(line.contains("received before"), "{line}");

    let message: Value = serde_json::from_str(&sub.line()).unwrap();
    assert_eq!(message["frames"][1], "{\"host\":\"web\"}");
    assert_eq!(message["signed"]["signer"], "alice");
    assert_eq!(message["signed"]["cosigners"].to_string(), "[\"bob\"]");
    assert_eq!(sub.wait(), 0);
    let verified = curvelink(&site.dir, "verify m.cle").ok();
    assert!(
        verified.lines().next().unwrap().ends_with(" and bob"),
        "{verified}"
    );
}

#[test]
fn a_signature_too_many_is_none_and_one_on_what_was_altered_is_not_given() {
    let site = people();
    sign(&site, "m.cle");
    let before = fs::read(site.dir.join("m.cle")).unwrap();
    for (args, code, cause) in [
        ("--as alice m.cle", 2, "two signatures by one key"),
        (
            "--as ci-scanner m.cle",
            1,
            "counts the signatures of alice, bob, carol",
        ),
        ("--as nobody m.cle", 1, "counts the signatures"),
        ("--as bob order.json", 3, ".cle"),
        ("m.cle", 1, "--as"),
    ] {
        let line = cosign(&site, args).fails(code);
        assert!(line.contains(cause), "{line}");
    }
    let mut forged = before.clone();
    *forged.last_mut().unwrap() ^= 1;
    fs::write(site.dir.join("m.cle"), forged).unwrap();
    let line = cosign(&site, "--as bob m.cle").fails(2);
    assert!(line.contains("altered or forged"), "{line}");
    fs::write(site.dir.join("m.cle"), &before).unwrap();
    fs::write(site.dir.join("m.json"), "{\"host\":\"all\"}").unwrap();
    let line = cosign(&site, "--as bob m.cle").fails(2);
    assert!(line.contains("digest mismatch"), "{line}");
    assert_eq!(fs::read(site.dir.join("m.cle")).unwrap(), before);
    fs::write(site.dir.join("m.json"), "{\"host\":\"web\"}").unwrap();
    cosign(&site, "--as bob m.cle").ok();
    cosign(&site, "--as carol m.cle").ok();
    send(&site, "alice", "m.cle").ok();
}

#[test]
fn a_message_that_needs_two_signers_is_published_by_nobody_alone() {
    let site = people();
    let publish = |rest: &str| curvelink(&site.dir, format!("pub --wait 0 {rest}"));
    let line = publish("--as alice restart/web zap.toml").fails(1);
    assert!(line.contains("restart/web needs 2 signers"), "{line}");
    publish("--as alice findings/x zap.toml").ok();
    for (rest, cause) in [
        (
            "--as alice --envelope m.cle restart/web",
            "has its topic and body",
        ),
        ("--as alice --envelope missing.cle", "missing.cle"),
        ("--as alice --envelope m.cle --lines", "cannot be used with"),
    ] {
        let run = publish(rest);
        assert!(run.err.contains(cause), "{}", run.err);
        assert_ne!(run.code, 0);
    }
}

#[test]
fn what_was_signed_and_never_sent_is_missed_by_the_hub() {
    let site = people();
    sign(&site, "m.cle");
    sign(&site, "n.cle");
    cosign(&site, "--as bob n.cle").ok();
    send(&site, "alice", "n.cle").ok();
    sign(&site, "o.cle");
    sign(&site, "p.cle");
    cosign(&site, "--as bob p.cle").ok();
    send(&site, "alice", "p.cle").ok();
    let log = site.log();
    let line = log.lines().find(|line| line.contains("CL2004"));
    let line = line.unwrap_or_else(|| panic!("no gap in {log}"));
    assert!(line.contains("missing=1"), "{line}");
    // An earlier run of the same signer: it cannot be told from one that came before.
    cosign(&site, "--as bob o.cle").ok();
    let line = send(&site, "alice", "o.cle").fails(4);
    assert!(line.contains("older than the replay window"), "{line}");
}

#[test]
fn keys_and_names_serve_where_there_is_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| curvelink(dir.path(), line);
    for name in ["a", "b"] {
        run(&format!("key gen --sign --out {name}.secret.pem")).ok();
        let public = format!("key convert {name}.secret.pem --public --to pem --out {name}.pem");
        run(&public).ok();
    }
    fs::write(dir.path().join("x.txt"), "x").unwrap();
    let sign = "sign t x.txt --out m.cle --sign-key a.secret.pem --signer a --audience here";
    let said = run(sign).ok();
    assert!(!said.contains("signers"), "{said}");
    assert!(run(sign).fails(1).contains("cannot save"), "it is there");
    assert!(
        run("sign t x.txt --out m.txt --as a")
            .fails(1)
            .contains("--dir")
    );
    let verify = |rest: &str| {
        run(&format!(
            "verify m.cle --audience here --signer a=a.pem --signer b=b.pem {rest}"
        ))
    };
    verify("").ok();
    verify("--threshold 2").fails(2);
    run("cosign m.cle --sign-key b.secret.pem").ok();
    verify("--threshold 2").ok();
    for wrong in ["--threshold 0", "--threshold 3"] {
        assert!(verify(wrong).fails(1).contains("--threshold"));
    }
    let alone = "verify m.cle --audience here --signer a=a.pem";
    assert!(
        run(alone).out.contains("no known identity"),
        "each signature counts"
    );
}
