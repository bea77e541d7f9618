//! Where secrets are taken from, and where they never appear.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::support::{Background, PROGRAM, Site, curvelink, shell, site};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn t20_what_is_no_file_of_its_owner_alone_is_no_place_for_a_secret_key() {
    let root = tempdir().unwrap();
    let dir = root.path().join("d");
    fs::create_dir(&dir).unwrap();
    let public = curvelink(&dir, "key gen --out k").ok();
    symlink("k", dir.join("link")).unwrap();
    fs::create_dir(dir.join("folder")).unwrap();
    fs::write(dir.join("huge"), vec![b' '; 64 * 1024 + 1]).unwrap();
    shell(&dir, "mkfifo pipe").ok();
    for (file, cause) in [
        ("link", "symbolic link"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("huge", "too large"),
        ("missing", "No such file"),
    ] {
        let line = curvelink(&dir, format!("key pub {file}")).fails(1);
        assert!(line.contains(cause), "{line}");
    }
    assert_eq!(curvelink(&dir, "key pub k").ok(), public);
    for (mode, cause) in [(0o777, "its directory is writable"), (0o720, "directory")] {
        set_mode(&dir, mode);
        let line = curvelink(&dir, "key pub k").fails(1);
        assert!(line.contains(cause), "{line}");
    }
    set_mode(&dir, 0o755);
    if std::os::unix::fs::chown(dir.join("k"), Some(4_242), None).is_ok() {
        let line = curvelink(&dir, "key pub k").fails(1);
        assert!(line.contains("belongs to another user"), "{line}");
    } else {
        println!("SKIPPED: only root can give a file to another user");
    }
}

#[test]
fn t20_only_so_many_words_take_a_secret_from_a_file_that_others_reach() {
    let dir = tempdir().unwrap();
    let public = curvelink(dir.path(), "key gen --out k").ok();
    set_mode(&dir.path().join("k"), 0o644);
    symlink("k", dir.path().join("link")).unwrap();
    for file in ["k", "file:k", "link"] {
        curvelink(dir.path(), format!("key pub {file}")).fails(1);
    }
    for file in ["exposed-file:k", "exposed-file:link"] {
        assert_eq!(
            curvelink(dir.path(), format!("key pub {file}")).ok(),
            public
        );
    }
}

#[test]
fn t20_a_credential_of_systemd_is_read_from_its_folder_and_from_nowhere_else() {
    let dir = tempdir().unwrap();
    let public = curvelink(dir.path(), "key gen --out hub").ok();
    let with_folder = |name: &str| {
        let line = format!("CREDENTIALS_DIRECTORY=$PWD curvelink key pub {name}");
        shell(dir.path(), &line)
    };
    assert_eq!(with_folder("cred:hub").ok(), public);
    // A service's access list shows as a mode that its group could read by.
    set_mode(&dir.path().join("hub"), 0o440);
    assert_eq!(with_folder("cred:hub").ok(), public);
    for (name, cause) in [
        ("cred:other", "cannot read"),
        ("cred:../hub", "without a slash"),
        ("cred:", "without a slash"),
    ] {
        let line = with_folder(name).fails(1);
        assert!(line.contains(cause), "{line}");
    }
    let line = shell(
        dir.path(),
        "unset CREDENTIALS_DIRECTORY; curvelink key pub cred:hub",
    );
    assert!(line.fails(1).contains("LoadCredential"));
    set_mode(dir.path(), 0o777);
    let line = with_folder("cred:hub").fails(1);
    assert!(line.contains("writable by others"), "{line}");
}

#[test]
fn t20_an_abort_leaves_no_core_dump() {
    let (_root, dir) = site();
    // What would be dumped by a program that does not forbid it: the control.
    let aborts = |line: &str| {
        let shell = format!("ulimit -c unlimited && exec {line}");
        let mut command = Command::new("sh");
        command.args(["-c", &shell]).current_dir(&dir);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell");
        let mut first = [0; 1];
        let out = child.stdout.as_mut().expect("piped");
        std::io::Read::read_exact(out, &mut first).expect("it says that it runs");
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id()));
        let pid = child.id().to_string();
        Command::new("kill").args(["-ABRT", &pid]).status().unwrap();
        let status = child.wait().expect("it ends");
        assert_eq!(status.signal(), Some(6), "{status}");
        (status.core_dumped(), limits.unwrap_or_default())
    };
    let core_of = |limits: &str| {
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        line.map(|line| line.split_whitespace().nth(4).map(str::to_owned))
    };
    let (control, limits) = aborts("sh -c 'echo runs; while :; do sleep 1; done'");
    println!("a program that forbids nothing: core dumped: {control}");
    if let Some(limit) = core_of(&limits) {
        assert_eq!(limit.as_deref(), Some("unlimited"));
    }
    let (dumped, limits) = aborts(&format!("{PROGRAM} up"));
    assert!(!dumped, "memory with a secret key was written to disk");
    if let Some(limit) = core_of(&limits) {
        assert_eq!(limit.as_deref(), Some("0"), "{limits}");
    }
}

/// A key whose every form is known, in the files that a folder has them in.
struct Marker {
    texts: Vec<String>,
}

impl Marker {
    /// Notes what the secrets of a folder look like in every form.
    fn of(keys: &Path) -> Self {
        let mut texts = Vec::new();
        for entry in fs::read_dir(keys).expect("keys") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            if !name.contains("secret") {
                continue;
            }
            for form in ["z85", "hex", "pem"] {
                let run = curvelink(keys, ["key", "convert", "--to", form, &name]);
                // Ed25519 has no form in Z85.
                let text = if run.code == 0 { run.out } else { continue };
                let secret = text.lines().find(|line| !line.starts_with("-----"));
                texts.push(secret.expect("a line").trim().to_owned());
            }
        }
        assert!(texts.len() > 6, "{}", texts.len());
        Self { texts }
    }

    #[track_caller]
    fn is_not_in(&self, what: &str, text: &str) {
        for secret in &self.texts {
            assert!(!text.contains(secret), "{what} shows a secret");
        }
    }
}

#[test]
fn t20_no_command_says_a_secret_on_either_stream_in_its_log_or_on_its_command_line() {
    let mut site = Site::up();
    curvelink(&site.dir, "key rotate hub --begin").ok();
    let marker = Marker::of(&site.dir.join("keys"));
    // The search finds what it looks for.
    let file = fs::read_to_string(site.dir.join("keys/hub.key_secret")).unwrap();
    assert!(marker.texts.iter().any(|secret| file.contains(secret)));
    let mut sub = Background::start(&site.dir, "sub", "sub --as siem findings/ --count 1");
    let secret = "keys/ci-scanner.key_secret";
    let sign = "keys/ci-scanner.sign.secret.pem";
    fs::write(site.dir.join("cut"), &file[..file.len() - 9]).unwrap();
    set_mode(&site.dir.join("cut"), 0o600);
    fs::write(site.dir.join("open"), &file).unwrap();
    set_mode(&site.dir.join("open"), 0o644);
    let ingest = &site.ingest;
    for args in [
        "pub --as ci-scanner findings/x zap.toml".to_owned(),
        format!(
            "pub --as ci-scanner --sign-key {sign} --signer x --audience y findings/x zap.toml"
        ),
        "pub --key cut findings/x zap.toml".to_owned(),
        "pub --key open findings/x zap.toml".to_owned(),
        format!("req --key {secret} --server-key keys/siem.key {ingest} zap.toml"),
        format!("key show {secret}"),
        format!("key show {sign} --json"),
        format!("key pub {secret}"),
        "key show cut".to_owned(),
        "key pub open".to_owned(),
        format!("key convert {sign} --to z85"),
        format!("key convert {secret} --to czmq --out {secret}"),
        "policy check keys/hub.key_secret".to_owned(),
        "policy explain zap.toml siem".to_owned(),
        "policy diff zap.toml zap.toml".to_owned(),
        "show".to_owned(),
        "show --json".to_owned(),
        format!("doctor {ingest} --as ci-scanner"),
        format!("doctor {ingest} --as siem --json"),
        "key rotate hub".to_owned(),
        "key rotate hub --begin".to_owned(),
        "reload".to_owned(),
        "key rotate hub --abort".to_owned(),
        format!("--dir {secret} up"),
    ] {
        let run = curvelink(&site.dir, args.as_str());
        marker.is_not_in(&args, &format!("{}{}", run.out, run.err));
    }
    for running in [&sub, &site.hub] {
        let line = fs::read(format!("/proc/{}/cmdline", running.id())).unwrap_or_default();
        marker.is_not_in("a command line", &String::from_utf8_lossy(&line));
    }
    sub.wait();
    site.hub.terminate();
    for log in ["up.err", "sub.err"] {
        let text = fs::read_to_string(site.dir.join(log)).unwrap();
        marker.is_not_in(log, &text);
    }
}
