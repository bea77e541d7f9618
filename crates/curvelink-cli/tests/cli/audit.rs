//! The hub's journal, as an auditor has it.

use std::fs;
use std::path::{Path, PathBuf};

use curvelink_tests::golang;
use curvelink_tests::guide::blocks;
use curvelink_tlog::{TlogProof, VerifyingNoteKey, leaf_hash};

use crate::support::{self, Background, Site, curvelink, shell};

/// A hub that took one message, refused another, and has stopped.
fn stopped() -> Site {
    let mut site = Site::up();
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/x zap.toml",
    )
    .ok();
    curvelink(&site.dir, "pub --as ci-scanner --wait 0 other/x zap.toml").fails(4);
    site.hub.terminate();
    site
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    paths.flat_map(below).collect()
}

/// Changes one octet of what the journal says of the refused topic.
fn alter(dir: &Path) {
    for path in files(&dir.join("audit/tile/entries")) {
        let mut octets = fs::read(&path).unwrap();
        let at = octets.windows(7).position(|part| part == b"other/x");
        if let Some(at) = at {
            octets[at] ^= 1;
            fs::write(&path, octets).unwrap();
        }
    }
}

#[test]
fn the_journal_holds_what_happened_and_fails_where_an_octet_changed() {
    let site = stopped();
    let anchor = fs::read_to_string(site.dir.join("audit.vkey")).unwrap();
    let verify = ["audit", "verify", "--anchor", anchor.trim()];
    let said = curvelink(&site.dir, verify).ok();
    for words in ["R1 ok", "R6 not checked", "ok: ", "not checked from here: "] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let refused = curvelink(&site.dir, "audit show --type CL1020").ok();
    assert_eq!(refused.lines().count(), 1, "{refused}");
    assert!(refused.contains("topic=other/x") && refused.contains("reason=topic-denied"));
    assert_eq!(
        curvelink(&site.dir, "audit show --type denied").ok(),
        refused
    );
    assert_eq!(curvelink(&site.dir, "audit show --type none").ok(), "");
    // Who was let in stands there before they were told so, and the end is the last entry.
    let all = curvelink(&site.dir, "audit show").ok();
    let position = |id: &str| all.find(id).unwrap_or_else(|| panic!("{id}: {all}"));
    assert!(position("CL1010") < position("CL1001"));
    assert!(
        all.trim_end()
            .lines()
            .last()
            .unwrap()
            .contains("action=stop")
    );

    alter(&site.dir);
    let index = refused.split('\t').next().unwrap();
    let line = curvelink(&site.dir, verify).fails(2);
    assert!(line.contains(&format!("entry {index}:")), "{line}");
    let shown = curvelink(&site.dir, "audit verify --anchor audit.vkey --json");
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["verdict"], "bad");
    for path in files(&site.dir.join("audit/tile/entries")) {
        fs::remove_file(path).unwrap();
    }
    curvelink(&site.dir, verify).fails(3);
    // Nothing is appended over damage.
    let line = curvelink(&site.dir, "up").fails(3);
    assert!(line.contains("damaged"), "{line}");
}

#[test]
fn a_hub_whose_journal_is_gone_does_not_begin_another() {
    let site = stopped();
    fs::rename(site.dir.join("audit"), site.dir.join("elsewhere")).unwrap();
    let line = curvelink(&site.dir, "up").fails(1);
    assert!(line.contains("audit is gone"), "{line}");
    let line = curvelink(&site.dir, "audit init").fails(1);
    assert!(line.contains("had one"), "{line}");
    fs::rename(site.dir.join("audit.vkey"), site.dir.join("old.vkey")).unwrap();
    // The key of the last epoch would sign for another log.
    let line = curvelink(&site.dir, "audit init").fails(1);
    assert!(line.contains("epoch.key is there"), "{line}");
    fs::remove_file(site.dir.join("state/epoch.key")).unwrap();
    let anchor = curvelink(&site.dir, "audit init --origin hub.example/second").ok();
    assert!(anchor.starts_with("hub.example/second+"), "{anchor}");
    curvelink(&site.dir, "audit verify --anchor old.vkey").fails(2);
    curvelink(&site.dir, "audit verify elsewhere --anchor old.vkey").ok();
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_or_replace_seals_nothing() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let site = stopped();
    let key = site.dir.join("state/epoch.key");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let state = site.dir.join("audit/state.json");
    for (path, wrong, right, cause) in [
        (&key, 0o640, 0o600, "readable by others"),
        (&state, 0o666, 0o644, "writable by others"),
    ] {
        mode(path, wrong);
        let line = curvelink(&site.dir, "up").fails(1);
        assert!(line.contains(cause), "{line}");
        let line = curvelink(&site.dir, "audit prune --before 256").fails(1);
        assert!(line.contains(cause), "{line}");
        mode(path, right);
    }
    let elsewhere = site.dir.join("elsewhere.key");
    fs::rename(&key, &elsewhere).unwrap();
    symlink(&elsewhere, &key).unwrap();
    let line = curvelink(&site.dir, "up").fails(1);
    assert!(line.contains("symbolic link"), "{line}");
    fs::remove_file(&key).unwrap();
    let line = curvelink(&site.dir, "up").fails(1);
    assert!(line.contains("file is missing"), "{line}");
    fs::rename(&elsewhere, &key).unwrap();
    let line = curvelink(&site.dir, "audit prune --before 256").fails(1);
    assert!(line.contains("multiple of 256"), "{line}");
}

#[test]
fn an_encrypted_journal_is_verified_by_all_and_read_by_its_recipients() {
    let (root, dir) = support::site();
    for name in ["auditor.key", "other.key"] {
        curvelink(&dir, format!("key gen --out {name}")).ok();
    }
    let auditor = curvelink(&dir, "key pub auditor.key").ok();
    let settings = fs::read_to_string(dir.join("curvelink.toml")).unwrap();
    for (recipients, cause) in [
        ("[]", "encrypts nothing"),
        ("[\"abc\"]", "line"),
        (
            &format!("[{:?}, {:?}]", auditor.trim(), auditor.trim()),
            "twice",
        ),
    ] {
        let table = format!("{settings}\n[audit]\nrecipients = {recipients}\n");
        fs::write(dir.join("curvelink.toml"), table).unwrap();
        let line = curvelink(&dir, "audit show").fails(1);
        assert!(line.contains(cause), "{line}");
    }
    let table = format!("{settings}\n[audit]\nrecipients = [{:?}]\n", auditor.trim());
    fs::write(dir.join("curvelink.toml"), table).unwrap();
    let mut site = Site::up_in(root, dir.clone());
    curvelink(&dir, "pub --as ci-scanner --wait 0 other/x zap.toml").fails(4);
    site.hub.terminate();

    curvelink(&dir, "audit verify --anchor audit.vkey").ok();
    for reading in ["", " --key other.key"] {
        let shown = curvelink(&dir, format!("audit show{reading}")).ok();
        assert!(shown.contains("octets that only their recipients read"));
        assert!(!shown.contains("other/x"), "{shown}");
        let line = curvelink(&dir, format!("audit export --as json --out all{reading}")).fails(1);
        assert!(line.contains("recipients alone"), "{line}");
    }
    let shown = curvelink(&dir, "audit show --key auditor.key").ok();
    assert!(shown.contains("topic=other/x") && !shown.contains("only their recipients"));
    let line = curvelink(&dir, "audit show --key auditor.key.pub").fails(1);
    assert!(!line.contains('\n'), "{line}");
    curvelink(&dir, "audit export --as ocsf --out all --key auditor.key").ok();
    assert!(
        fs::read_to_string(dir.join("all"))
            .unwrap()
            .contains("other/x")
    );
    for file in files(&dir.join("audit")) {
        let octets = fs::read(&file).unwrap();
        let is_clear = octets.windows(7).any(|it| it == b"other/x");
        assert!(!is_clear, "{}", file.display());
    }
}

#[test]
fn a_proof_and_an_archive_stand_for_themselves() {
    let site = stopped();
    let kept = site.dir.join("kept");
    fs::copy(site.dir.join("audit/checkpoint"), &kept).unwrap();
    let shown = curvelink(&site.dir, "audit show --type CL2002").ok();
    let index = shown.split('\t').next().unwrap();
    let line = format!("audit prove {index} --entry entry.json");
    let proof: TlogProof = curvelink(&site.dir, line).ok().parse().expect("a proof");
    let entry = fs::read(site.dir.join("entry.json")).unwrap();
    // Whoever has no more than the archive finds the key of the epoch there.
    curvelink(&site.dir, "audit export --as archive --proofs --out a.tar").ok();
    let unpacked = site.dir.join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    shell(&site.dir, "tar xf a.tar -C unpacked").ok();
    let key = fs::read_to_string(unpacked.join("keys/epoch-000001.vkey")).unwrap();
    let key: VerifyingNoteKey = key.trim().parse().expect("a key");
    let origin = key.name().to_owned();
    proof
        .verify(leaf_hash(&entry), &key, &origin)
        .expect("it is in the log");
    let mut altered = entry;
    altered[9] ^= 1;
    assert!(proof.verify(leaf_hash(&altered), &key, &origin).is_err());
    curvelink(
        &site.dir,
        "audit verify unpacked --archive --anchor audit.vkey",
    )
    .ok();
    curvelink(&site.dir, "audit verify unpacked --anchor audit.vkey").fails(2);
    for line in ["audit prove 4000", "audit prove 18446744073709551615"] {
        curvelink(&site.dir, line).fails(1);
    }
    curvelink(&site.dir, "audit verify --anchor audit.vkey --witness kept").ok();
    curvelink(&site.dir, "audit diff kept audit/checkpoint").ok();
    let formats = ["json", "ocsf", "syslog", "cef", "ecs", "journald"];
    for form in formats {
        curvelink(
            &site.dir,
            format!("audit export --as {form} --out {form}.out"),
        )
        .ok();
        let text = fs::read_to_string(site.dir.join(format!("{form}.out"))).unwrap();
        assert!(text.contains("other/x"), "{form}");
    }
}

#[test]
fn what_is_done_is_told_to_programs_too() {
    let site = stopped();
    let run = |line: &str| curvelink(&site.dir, format!("{line} --json")).json();
    let verified = run("audit verify --anchor audit.vkey");
    let size = verified["size"].as_u64().unwrap();
    let written = run("audit export --as archive --out a.tar");
    assert_eq!(
        (&written["from"], &written["to"]),
        (&0.into(), &size.into())
    );
    let shown = run("audit show --type CL2002");
    let index = curvelink(&site.dir, "audit show --type CL2002").ok();
    let index = index.split('\t').next().unwrap();
    assert_eq!(shown["id"], "CL2002");
    let proven = run(&format!("audit prove {index}"));
    assert_eq!(proven["index"].to_string(), index);
    let proof: TlogProof = proven["proof"].as_str().unwrap().parse().expect("a proof");
    assert_eq!(proof.index.to_string(), index);
    assert_eq!(run("audit prune --before 0")["first"], 0);
    let diff = run("audit diff audit/checkpoint audit/checkpoint");
    assert_eq!(diff["origin"], proven["origin"]);
    fs::remove_dir_all(site.dir.join("audit")).unwrap();
    for file in ["audit.vkey", "state/epoch.key"] {
        fs::remove_file(site.dir.join(file)).unwrap();
    }
    let made = run("audit init --origin hub.example/again");
    assert!(
        made["anchor"]
            .as_str()
            .unwrap()
            .starts_with("hub.example/again+")
    );
}

/// The page's session, from the export to Go's verdict; and the same with an altered entry, and
/// with the anchor of somebody else.
#[test]
fn an_auditors_session_is_as_written() {
    // Built from the same packages.
    if golang::tlog().is_err() {
        return;
    }
    let site = stopped();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/audit.md");
    let page = fs::read_to_string(page).expect("a page");
    let blocks = blocks(&page);
    let block = |language: &str, nth: usize| {
        let of = blocks.iter().filter(|(it, _)| *it == language);
        of.map(|(_, text)| text.clone()).nth(nth).expect("a block")
    };
    fs::copy(site.dir.join("audit.vkey"), site.dir.join("kept.vkey")).unwrap();
    let checkpoint = site.dir.join("audit/checkpoint");
    fs::copy(checkpoint, site.dir.join("kept.checkpoint")).unwrap();
    let said = shell(&site.dir, &block("sh", 0)).ok();
    for line in block("text", 0).lines() {
        assert!(said.contains(line), "{line}: {said}");
    }

    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["audit.tar", "kept.vkey"] {
        fs::copy(site.dir.join(file), elsewhere.path().join(file)).unwrap();
    }
    fs::write(elsewhere.path().join("entry.go"), block("go", 0)).unwrap();
    let shown = curvelink(&site.dir, "audit show --type denied").ok();
    let index = shown.split('\t').next().unwrap();
    let commands = block("sh", 1).replace("kept.vkey 9", &format!("kept.vkey {index}"));
    let run = |commands: &str| shell(elsewhere.path(), commands);
    let entry = run(&commands).ok();
    assert!(entry.contains("\"topic\":\"other/x\""), "{entry}");

    let again = commands.lines().last().unwrap();
    let altered = "sed -i 's,other/x,other/y,' tile/entries/*/* && ";
    let line = run(&(altered.to_owned() + again));
    assert_ne!(line.code, 0);
    assert!(
        line.err.contains("invalid transparency proof"),
        "{}",
        line.err
    );
    let other = stopped();
    let other = other.dir.join("audit.vkey");
    let line = run(&again.replace("kept.vkey", &other.display().to_string()));
    assert_ne!(line.code, 0);
    assert!(
        line.err.contains("no verifiable signatures"),
        "{}",
        line.err
    );
}

#[test]
fn a_journal_that_was_cut_back_is_found_with_a_checkpoint_from_elsewhere_alone() {
    let mut site = Site::up();
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/1 zap.toml",
    )
    .ok();
    site.hub.terminate();
    shell(&site.dir, "cp -a audit old && cp state/epoch.key old.key").ok();
    let mut hub = Background::start(&site.dir, "again", "up");
    hub.line();
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/2 zap.toml",
    )
    .ok();
    hub.terminate();
    fs::copy(site.dir.join("audit/checkpoint"), site.dir.join("kept")).unwrap();
    curvelink(&site.dir, "audit verify --anchor audit.vkey --witness kept").ok();
    shell(&site.dir, "rm -r audit && mv old audit").ok();
    curvelink(&site.dir, "audit verify --anchor audit.vkey").ok();
    let line = curvelink(&site.dir, "audit verify --anchor audit.vkey --witness kept");
    assert!(line.out.contains("R6 FAILED"), "{}", line.out);
    assert_ne!(line.code, 0);
}
