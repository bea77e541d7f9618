//! The control socket: `reload` and `show`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::support::{Background, Site, curvelink, site};

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// A policy file with something else in the place of something that stands in it.
fn edit(dir: &Path, from: &str, to: &str) {
    let path = dir.join("zap.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).unwrap();
}

#[test]
fn the_control_socket_is_the_owners_alone_and_gone_with_the_hub() {
    let mut site = Site::up();
    let run = site.dir.join("run");
    assert_eq!(
        (mode(&run), mode(&run.join("control.sock"))),
        (0o700, 0o600)
    );
    let line = curvelink(&site.dir, "up").fails(1);
    assert!(line.contains("runs in this folder already"), "{line}");
    // The second did not take the first one's place.
    curvelink(&site.dir, "show").ok();
    assert_eq!(site.hub.terminate(), 0);
    assert!(!run.join("control.sock").exists());
    for command in ["show", "reload"] {
        let line = curvelink(&site.dir, command).fails(1);
        assert!(line.contains("no hub runs"), "{line}");
    }
}

#[test]
fn a_hub_that_was_killed_leaves_nothing_that_keeps_the_next_one_down() {
    let (_root, dir) = site();
    let mut first = Background::start(&dir, "up", "up");
    first.line();
    // Killed: it tidies nothing up.
    drop(first);
    assert!(dir.join("run/control.sock").exists());
    assert!(curvelink(&dir, "show").fails(1).contains("no hub runs"));
    let mut second = Background::start(&dir, "up", "up");
    second.line();
    curvelink(&dir, "show").ok();
    drop(second);
    fs::remove_file(dir.join("run/control.sock")).unwrap();
    fs::write(dir.join("run/control.sock"), "precious").unwrap();
    assert!(curvelink(&dir, "up").fails(1).contains("is no socket"));
    assert_eq!(
        fs::read_to_string(dir.join("run/control.sock")).unwrap(),
        "precious"
    );
}

#[test]
fn what_is_no_request_is_answered_as_such_and_strangers_hold_nothing_up() {
    let site = Site::up();
    let path = site.dir.join("run/control.sock");
    let long = vec![b'x'; (64 << 10) + 1];
    for request in [
        &b"\n"[..],
        b"{}\n",
        b"{\"do\":\"dance\"}\n",
        b"{\"do\":\"show\",\"x\":1}\n",
        &long,
    ] {
        let mut stream = UnixStream::connect(&path).unwrap();
        // A request that is too long is not read to its end.
        let _ = stream.write_all(request);
        let mut line = String::new();
        let _ = BufReader::new(&stream).read_line(&mut line);
        assert!(line.is_empty() || line.contains("refused"), "{line}");
    }
    let silent: Vec<_> = (0..8)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let waiting = std::thread::spawn({
        let dir = site.dir.clone();
        move || curvelink(&dir, "show")
    });
    // They are closed after five seconds: whoever waits behind them is heard then, or earlier.
    for mut stream in silent.into_iter().take(2) {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
    }
    let run = waiting.join().unwrap();
    assert!(run.code == 0 || run.code == 5, "{run:?}");
    curvelink(&site.dir, "show").ok();
}

#[test]
fn show_tells_who_is_connected_and_what_was_refused() {
    let site = Site::up();
    curvelink(&site.dir, "key gen --out stranger").ok();
    curvelink(&site.dir, "pub --key stranger findings/x zap.toml").fails(4);
    let mut sub = Background::start(&site.dir, "sub", "sub --as siem findings/");
    curvelink(&site.dir, "pub --as ci-scanner findings/x zap.toml").ok();
    sub.line();
    let shown = curvelink(&site.dir, "show --json").json();
    let key = curvelink(&site.dir, "key show --json keys/siem.key").json();
    assert_eq!(shown["refused"]["unknown-key"], 1, "{shown}");
    assert_eq!(shown["policy"]["identities"], 2);
    assert_eq!(shown["keys"]["next"], serde_json::Value::Null);
    let feed = &shown["sockets"][1];
    assert_eq!(
        (&feed["name"], &feed["endpoint"]),
        (&"feed".into(), &site.feed.as_str().into())
    );
    let [link] = &feed["links"].as_array().unwrap()[..] else {
        panic!("{shown}");
    };
    assert_eq!(link["name"], "siem");
    assert_eq!(link["key"], key["fingerprint"]);
    assert_eq!(link["server_key"], shown["keys"]["current"]);
    assert_eq!(link["sent"]["messages"], 1, "{shown}");
    assert!(link["subscriptions"].as_u64().unwrap() >= 1, "{shown}");
    let text = curvelink(&site.dir, "show").ok();
    for line in [
        "peer: siem",
        "  latest handshake: ",
        "  refused: 1 unknown-key",
        "  transfer: ",
        "  socket: SUB",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "piped, and so without colours");
}

#[test]
fn reload_says_who_gained_and_lost_and_cuts_no_other() {
    let site = Site::up();
    let mut sub = Background::start(&site.dir, "sub", "sub --as siem findings/ --json");
    curvelink(&site.dir, "pub --as ci-scanner findings/1 zap.toml").ok();
    sub.line();
    let links = |shown: &serde_json::Value| shown["sockets"][1]["links"].clone();
    let before = links(&curvelink(&site.dir, "show --json").json());
    assert!(curvelink(&site.dir, "reload").ok().starts_with("unchanged"));

    edit(
        &site.dir,
        "publish = [\"findings/\"]",
        "publish = [\"findings/\", \"metrics/\"]",
    );
    // Whoever reads it first, the watch or this: what changed is told.
    let told = curvelink(&site.dir, "reload --json").json();
    assert_eq!(told["gained"].to_string(), "[\"ci-scanner\"]");
    assert_eq!(
        (told["lost"].to_string(), told["cut"].to_string()),
        ("[]".into(), "[]".into())
    );
    curvelink(&site.dir, "pub --as ci-scanner --wait 0 metrics/1 zap.toml").ok();
    curvelink(&site.dir, "pub --as ci-scanner findings/2 zap.toml").ok();
    assert!(sub.line().contains("findings/2"));
    let after = links(&curvelink(&site.dir, "show --json").json());
    assert_eq!(
        before[0]["address"], after[0]["address"],
        "the same connection"
    );

    edit(
        &site.dir,
        "subscribe = [\"findings/\"]",
        "subscribe = [\"findings/sast/\"]",
    );
    let told = curvelink(&site.dir, "reload").ok();
    assert!(
        told.contains("lost     siem") && told.contains("cut      siem"),
        "{told}"
    );
    let log = site.log();
    assert!(log.contains("CL3002"), "{log}");
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_its_line() {
    let site = Site::up();
    let digest =
        |site: &Site| curvelink(&site.dir, "show --json").json()["policy"]["digest"].clone();
    let before = digest(&site);
    edit(&site.dir, "version = 1", "version = 1\nnonsense = true");
    let line = curvelink(&site.dir, "reload").fails(1);
    assert!(
        line.contains("nothing was changed") && line.contains("zap.toml"),
        "{line}"
    );
    assert_eq!(digest(&site), before);
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/1 curvelink.toml",
    )
    .ok();
    // And so for the hub's own keys.
    edit(&site.dir, "version = 1\nnonsense = true", "version = 1");
    let settings = fs::read_to_string(site.dir.join("curvelink.toml")).unwrap();
    fs::write(
        site.dir.join("curvelink.toml"),
        settings.replace("[hub]", "[hub]\nx = 1"),
    )
    .unwrap();
    let line = curvelink(&site.dir, "reload").fails(1);
    assert!(line.contains("curvelink.toml"), "{line}");
    fs::write(site.dir.join("curvelink.toml"), settings).unwrap();
    assert!(curvelink(&site.dir, "reload").ok().starts_with("unchanged"));
}

#[test]
fn a_policy_that_changes_is_read_without_being_told_to() {
    let site = Site::up();
    edit(
        &site.dir,
        "publish = [\"findings/\"]",
        "publish = [\"findings/\", \"metrics/\"]",
    );
    site.wait_for_log("applied");
    curvelink(&site.dir, "pub --as ci-scanner --wait 0 metrics/1 zap.toml").ok();
    let told = curvelink(&site.dir, "reload").ok();
    assert!(
        told.starts_with("unchanged for ") && told.contains("gained   ci-scanner"),
        "{told}"
    );
    edit(&site.dir, "version = 1", "version = 1\nnonsense = true");
    site.wait_for_log("nonsense");
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 metrics/1 curvelink.toml",
    )
    .ok();
}
