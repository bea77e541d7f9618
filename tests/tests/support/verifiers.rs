//! Three programs that check an exported envelope, none of them ours.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink_envelope::{Trailer, VerifyingKey, export};
use curvelink_tests::interop::{self, Skipped};
use curvelink_tests::{node, python};

/// What one of them says about each of `trailers` under `key`, called by the id `named`: whether
/// it accepts the signature.
pub(crate) type Verdicts = Result<Vec<bool>, Skipped>;

/// OpenSSL, over the signed octets and the raw signature.
pub(crate) fn openssl(trailers: &[Trailer], key: &VerifyingKey) -> Verdicts {
    let openssl = interop::program("openssl", "version")?;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("key.pem"), key.to_pem()).expect("writes");
    let verdict = |trailer: &Trailer| {
        fs::write(path("m.pae"), export::pae(trailer)).expect("writes");
        fs::write(path("m.sig"), trailer.signatures()[0].as_octets()).expect("writes");
        let output = Command::new(&openssl)
            .args([
                "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin",
            ])
            .args(["-in", "m.pae", "-sigfile", "m.sig"])
            .current_dir(folder.path())
            .output()
            .expect("openssl runs");
        let said = String::from_utf8_lossy(&output.stdout);
        match (output.status.success(), said.trim()) {
            (true, "Signature Verified Successfully") => true,
            (false, "Signature Verification Failure") => false,
            _ => panic!("openssl could not check: {output:?}"),
        }
    };
    Ok(trailers.iter().map(verdict).collect())
}

/// securesystemslib, over the DSSE envelopes.
pub(crate) fn securesystemslib(trailers: &[Trailer], key: &VerifyingKey, named: &str) -> Verdicts {
    let mut command = Command::new(python::environment()?);
    command.arg(script("python/verify_dsse.py"));
    let envelopes = trailers.iter().filter_map(export::dsse_json).collect();
    Ok(ask(command, key, named, envelopes))
}

/// securesystemslib and hashlib, over whole messages: the frames of each, and its trailer.
pub(crate) fn whole_messages(
    messages: &[(Vec<Vec<u8>>, Trailer)],
    key: &VerifyingKey,
    named: &str,
) -> Verdicts {
    let mut command = Command::new(python::environment()?);
    command.arg(script("python/verify_message.py"));
    let line = |(frames, trailer): &(Vec<Vec<u8>>, Trailer)| {
        let frames: Vec<_> = frames.iter().map(|frame| STANDARD.encode(frame)).collect();
        let frames = serde_json::to_string(&frames).expect("text");
        let envelope = export::dsse_json(trailer).expect("signed");
        format!("{{\"envelope\":{envelope},\"frames\":{frames}}}")
    };
    Ok(ask(
        command,
        key,
        named,
        messages.iter().map(line).collect(),
    ))
}

/// @sigstore/verify, over the sigstore bundles.
pub(crate) fn sigstore(trailers: &[Trailer], key: &VerifyingKey, named: &str) -> Verdicts {
    let mut command = Command::new("node");
    command
        .current_dir(node::environment()?)
        .arg(script("node/verify_bundle.cjs"));
    let bundles = trailers
        .iter()
        .filter_map(export::sigstore_bundle_json)
        .collect();
    Ok(ask(command, key, named, bundles))
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Gives `lines` to a script and reads as many verdicts.
fn ask(mut command: Command, key: &VerifyingKey, named: &str, lines: Vec<String>) -> Vec<bool> {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = folder.path().join("key.pem");
    fs::write(&pem, key.to_pem()).expect("writes");
    command.arg(&pem).arg(named);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let mut input = child.stdin.take().expect("piped");
    let count = lines.len();
    let writer = std::thread::spawn(move || input.write_all(lines.join("\n").as_bytes()));
    let output = child.wait_with_output().expect("the script ends");
    // Before the writer's error: the script says better why it stopped reading.
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    writer
        .join()
        .expect("no panic")
        .expect("the script reads all");

    let verdicts: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| match line {
            "accepted" => true,
            "rejected" => false,
            other => panic!("no verdict: {other}"),
        })
        .collect();
    assert_eq!(verdicts.len(), count);
    verdicts
}
