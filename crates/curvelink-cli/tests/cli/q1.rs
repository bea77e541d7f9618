//! The quickstart, line for line as a person types it.

use std::path::Path;
use std::process::Command;

use curvelink_tests::python;
use tempfile::tempdir;

use crate::support::{Background, curvelink, findings, shell};

/// Real findings: of bandit, over the Python code that is at hand, or those that it made earlier.
fn scan(dir: &Path) {
    let target = dir.join("scan.sarif");
    let Ok(python) = python::environment() else {
        std::fs::copy(findings(), target).unwrap();
        return;
    };
    let packages = "import bandit; print(bandit.__path__[0])";
    let output = Command::new(&python)
        .args(["-c", packages])
        .output()
        .unwrap();
    let code = String::from_utf8(output.stdout).unwrap();
    // It ends with 1 because it finds something.
    let status = Command::new(&python)
        .args(["-m", "bandit", "-q", "-r", code.trim(), "-f", "sarif", "-o"])
        .arg(&target)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_quickstart_works_as_written() {
    let root = tempdir().unwrap();
    assert!(
        curvelink(root.path(), "init demo --port 0")
            .ok()
            .contains("curvelink up")
    );
    let dir = root.path().join("demo");
    let mut hub = Background::start(&dir, "up", "up");
    assert!(hub.line().starts_with("ready"));
    let mut sub = Background::start(&dir, "sub", "sub --as siem findings/ --save inbox");
    scan(&dir);

    let sent = shell(
        &dir,
        "curvelink pub --as ci-scanner findings/sast scan.sarif",
    )
    .ok();
    assert!(
        sent.starts_with("sent to 1 subscriber (siem)  seq 0  sha256:"),
        "{sent}"
    );
    assert!(sent.contains("signed by ci-scanner SHA256:"), "{sent}");
    let digest = shell(&dir, "sha256sum scan.sarif").ok();
    assert!(
        sent.contains(digest.split_whitespace().next().unwrap()),
        "{sent}"
    );
    assert!(sub.line().starts_with("inbox/000001.cle"));

    let verified = shell(&dir, "curvelink verify inbox/*.cle").ok();
    assert!(verified.contains("no gap, no replay"), "{verified}");
    shell(&dir, "cmp inbox/000001.sarif scan.sarif").ok();
    shell(&dir, "curvelink export inbox/*.cle --as pae -o m").ok();
    shell(
        &dir,
        "openssl pkeyutl -verify -pubin -inkey keys/ci-scanner.sign.pem -rawin -in m.pae -sigfile m.sig",
    )
    .ok();

    let refused = shell(
        &dir,
        "curvelink pub --as ci-scanner remediate/prod scan.sarif",
    )
    .fails(4);
    assert!(
        refused.contains("ci-scanner may publish findings/ only"),
        "{refused}"
    );
    let stranger =
        "curvelink key gen > stranger.key; curvelink pub --key stranger.key findings/sast x";
    let refused = shell(&dir, stranger).fails(4);
    assert!(refused.contains("unknown key"), "{refused}");
    let tampered = "sed -i 's/\"error\"/\"none\"/' inbox/*.sarif && curvelink verify inbox/*.cle";
    let failed = shell(&dir, tampered);
    assert!(
        failed.out.contains("frame/1 digest mismatch"),
        "{}",
        failed.out
    );
    failed.fails(2);
    assert_eq!(hub.terminate(), 0);
}
