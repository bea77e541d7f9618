//! Keys are replaced while everything runs, and nothing is lost.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use curvelink_tests::python;

use crate::support::{Background, Site, curvelink, site};

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

fn text(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).expect(file)
}

fn fingerprint(dir: &Path, key: &str) -> String {
    let shown = curvelink(dir, ["key", "show", "--json", key]).json();
    shown["fingerprint"].as_str().expect("text").to_owned()
}

/// What a folder's files of keys are called.
fn keys(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("keys")).expect("keys");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_plan_says_what_is_to_be_done_and_changes_nothing() {
    let (_root, dir) = site();
    let before = (
        keys(&dir),
        text(&dir, "curvelink.toml"),
        text(&dir, "zap.toml"),
    );
    for name in ["hub", "ci-scanner"] {
        let plan = curvelink(&dir, format!("key rotate {name}")).ok();
        assert!(plan.contains("nothing is changed yet"), "{plan}");
        for step in ["--begin", "curvelink show", "--finish", "--abort"] {
            assert!(plan.contains(step), "{step}: {plan}");
        }
    }
    for line in ["key rotate hub --finish", "key rotate siem --finish"] {
        assert!(
            curvelink(&dir, line)
                .fails(1)
                .contains("no rotation is under way")
        );
    }
    curvelink(&dir, "key rotate nobody --begin").fails(1);
    curvelink(&dir, "key rotate ../hub --begin").fails(1);
    curvelink(&dir, "key rotate hub --begin --finish").fails(1);
    let after = (
        keys(&dir),
        text(&dir, "curvelink.toml"),
        text(&dir, "zap.toml"),
    );
    assert_eq!(before, after);
}

#[test]
fn every_step_can_be_repeated_and_the_way_back_leads_to_the_beginning() {
    let (_root, dir) = site();
    let before = (
        keys(&dir),
        text(&dir, "curvelink.toml"),
        text(&dir, "zap.toml"),
    );
    let old = [
        fingerprint(&dir, "keys/hub.key"),
        fingerprint(&dir, "keys/ci-scanner.key"),
    ];
    for name in ["hub", "ci-scanner"] {
        let first = curvelink(&dir, format!("key rotate {name} --begin")).ok();
        assert_eq!(
            curvelink(&dir, format!("key rotate {name} --begin")).ok(),
            first
        );
        curvelink(&dir, "policy check zap.toml").ok();
        curvelink(&dir, format!("key rotate {name} --abort")).ok();
        let again = curvelink(&dir, format!("key rotate {name} --abort")).ok();
        assert!(again.contains("nothing is changed"), "{again}");
        let after = (
            keys(&dir),
            text(&dir, "curvelink.toml"),
            text(&dir, "zap.toml"),
        );
        assert_eq!(before, after, "{name}");
    }
    assert_eq!(old[1], fingerprint(&dir, "keys/ci-scanner.key_secret"));
    for name in ["hub", "ci-scanner"] {
        let policy = text(&dir, "zap.toml").lines().count();
        curvelink(&dir, format!("key rotate {name} --begin")).ok();
        curvelink(&dir, format!("key rotate {name} --finish")).ok();
        curvelink(&dir, format!("key rotate {name} --finish")).fails(1);
        assert_eq!(keys(&dir), before.0, "{name}");
        assert_eq!(text(&dir, "zap.toml").lines().count(), policy);
    }
    let new = [
        fingerprint(&dir, "keys/hub.key"),
        fingerprint(&dir, "keys/ci-scanner.key"),
    ];
    assert!(old[0] != new[0] && old[1] != new[1]);
    // Whatever was changed fits together.
    let mut hub = Background::start(&dir, "up", "up");
    hub.line();
    curvelink(&dir, "pub --as ci-scanner --wait 0 findings/x zap.toml").ok();
    for file in ["zap.toml", "curvelink.toml"] {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(dir.join(file)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o644, "{file}");
    }
}

#[test]
fn a_finish_that_was_cut_short_is_repeated_and_not_taken_back() {
    let (_root, dir) = site();
    let settings = text(&dir, "curvelink.toml");
    let old = curvelink(&dir, "key pub keys/hub.key_secret").ok();
    curvelink(&dir, "key rotate hub --begin").ok();
    let next = curvelink(&dir, "key pub keys/hub.next.key_secret").ok();
    // As it is between the first change of --finish and the second.
    fs::write(
        dir.join("curvelink.toml"),
        settings.replace(old.trim(), next.trim()),
    )
    .unwrap();
    for step in ["--begin", "--abort"] {
        let line = curvelink(&dir, format!("key rotate hub {step}")).fails(1);
        assert!(line.contains("repeat it"), "{line}");
    }
    let mut hub = Background::start(&dir, "up", "up");
    hub.line();
    curvelink(&dir, "pub --as ci-scanner --wait 0 findings/x zap.toml").ok();
    curvelink(&dir, "key rotate hub --finish").ok();
    assert_eq!(curvelink(&dir, "key pub keys/hub.key_secret").ok(), next);
    curvelink(&dir, "pub --as ci-scanner --wait 0 findings/x zap.toml").ok();
}

#[test]
fn nobody_is_left_behind_unless_that_is_meant() {
    let site = Site::up();
    let mut sub = Background::start(&site.dir, "sub", "sub --as siem findings/ --json");
    curvelink(&site.dir, "pub --as ci-scanner findings/1 zap.toml").ok();
    sub.line();
    let begun = curvelink(&site.dir, "key rotate hub --begin").ok();
    assert!(begun.contains("Still on the old key: siem"), "{begun}");
    assert!(curvelink(&site.dir, "show").ok().contains("(the old one)"));
    let line = curvelink(&site.dir, "key rotate hub --finish").fails(4);
    assert!(line.contains("siem still uses the old key"), "{line}");
    curvelink(
        &site.dir,
        "key rotate hub --finish --even-if-peers-are-left-behind",
    )
    .ok();
    // It keeps its connection: only the next one needs the new key.
    curvelink(&site.dir, "pub --as ci-scanner findings/2 zap.toml").ok();
    assert!(sub.line().contains("findings/2"));

    curvelink(&site.dir, "key rotate siem --begin").ok();
    let line = curvelink(&site.dir, "key rotate siem --finish").fails(4);
    assert!(line.contains("still uses the old key"), "{line}");
    drop(sub);
    // Each key that came or went is an event: two of the hub, and one of an identity.
    let log = text(&site.dir, "up.err");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("CL3003")).collect();
    for (line, words) in told.iter().zip([
        ["accepted", "server", "purpose"],
        ["withdrawn", "server", "purpose"],
        ["accepted", "identity", "siem"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert_eq!(told.len(), 3, "{log}");
}

/// A subscriber of pyzmq that prints the number in each message, and takes another server key when
/// it is told to.
struct Theirs {
    child: Child,
    tell: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// The lines of a program's output, read as they come: one that nobody reads holds it up.
fn lines(out: ChildStdout) -> Receiver<String> {
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        let read = BufReader::new(out).lines().map_while(Result::ok);
        read.map(|line| tell.send(line)).all(|told| told.is_ok())
    });
    lines
}

#[track_caller]
fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).expect("a line in time")
}

/// A subscriber of ours; killed when dropped.
struct Ours {
    child: Child,
    lines: Receiver<String>,
}

impl Ours {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(crate::support::PROGRAM)
            .args(["sub", "--as", "siem", "findings/", "--json"])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let lines = lines(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    #[track_caller]
    fn number(&self) -> u64 {
        let message: serde_json::Value = serde_json::from_str(&next(&self.lines)).expect("JSON");
        message["frames"][1]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number")
    }
}

impl Ours {
    /// From the first that it got, which is at most `joined`, it has each number once and in order.
    #[track_caller]
    fn has_all_from(&self, joined: u64, last: u64) {
        let first = self.number();
        assert!(first <= joined, "{first}");
        for expected in first + 1..last {
            assert_eq!(self.number(), expected);
        }
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SUBSCRIBER: &str = "\
import sys, zmq, zmq.auth
endpoint = sys.argv[1]
certificate, hub = 'keys/siem.key_secret', zmq.auth.load_certificate('keys/hub.key')[0]
context = zmq.Context()
def connect(certificate, server):
    feed = context.socket(zmq.SUB)
    feed.curve_publickey, feed.curve_secretkey = zmq.auth.load_certificate(certificate)
    feed.curve_serverkey = server
    feed.rcvhwm = 0
    feed.subscribe(b'findings/')
    feed.connect(endpoint)
    return feed
old, new = connect(certificate, hub), None
poller = zmq.Poller()
poller.register(old, zmq.POLLIN)
poller.register(sys.stdin.fileno(), zmq.POLLIN)
seen = {}
def take(feed):
    topic, body, _ = feed.recv_multipart()
    if not body: return # a heartbeat
    number = int(body)
    seen.setdefault(feed, set()).add(number)
    print(number, 'new' if feed is new else 'old', flush=True)
while True:
    for feed, _ in poller.poll():
        if feed != sys.stdin.fileno():
            take(feed)
            continue
        line = sys.stdin.readline().strip()
        what, _, argument = line.partition(' ')
        if what in ('key', 'as'):
            new = connect(certificate, argument.encode()) if what == 'key' else connect(argument, hub)
            poller.register(new, zmq.POLLIN)
        elif line == 'leave old':
            poller.unregister(old)
            old.close(0)
            print('left', flush=True)
        else:
            sys.exit(0)
";

impl Theirs {
    fn start(dir: &Path, python: &Path, feed: &str) -> Self {
        let mut child = Command::new(python)
            .args(["-c", SUBSCRIBER, feed])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let tell = child.stdin.take();
        let lines = lines(child.stdout.take().expect("piped"));
        Self { child, tell, lines }
    }

    /// Its two sockets have each number once and in order, and together all.
    #[track_caller]
    fn has_all(mut self, last: u64) {
        let mut numbers = [Vec::new(), Vec::new()];
        while numbers[1].last() != Some(&(last - 1)) {
            let line = next(&self.lines);
            let Some((number, which)) = line.split_once(' ') else {
                continue;
            };
            if let Ok(number) = number.parse::<u64>() {
                numbers[usize::from(which == "new")].push(number);
            }
        }
        let [old, new] = numbers;
        for numbers in [&old, &new] {
            let in_order = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            assert!(in_order, "each once, in order");
        }
        assert_eq!(old[0], 0);
        assert!(new[0] <= old[old.len() - 1] + 1, "no gap between the two");
        self.tell("end");
    }

    fn tell(&mut self, line: &str) {
        let tell = self.tell.as_mut().expect("piped");
        writeln!(tell, "{line}").expect("it reads");
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes numbered messages one after the other, each confirmed before the next.
struct Publisher {
    child: Child,
    tell: ChildStdin,
    out: BufReader<ChildStdout>,
    sent: u64,
}

impl Publisher {
    fn start(dir: &Path) -> Self {
        Self::going_on(dir, 0)
    }

    /// After so many of an earlier one.
    fn going_on(dir: &Path, sent: u64) -> Self {
        let mut child = Command::new(crate::support::PROGRAM)
            .args([
                "pub",
                "--as",
                "ci-scanner",
                "--wait",
                "2",
                "--lines",
                "--json",
            ])
            .args(["findings/n", "-"])
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let tell = child.stdin.take().expect("piped");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            tell,
            out,
            sent,
        }
    }

    /// Publishes so many more; each request must be answered.
    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            writeln!(self.tell, "{}", self.sent).expect("it reads");
            self.sent += 1;
        }
        for _ in 0..count {
            let mut line = String::new();
            self.out.read_line(&mut line).expect("text");
            let sent: serde_json::Value = serde_json::from_str(&line).expect("an answer");
            let subscribers = sent["subscribers"].as_array().expect("names");
            assert!(!subscribers.is_empty(), "{line}");
        }
    }

    /// Publishes until so many links have subscribed; gives how many were sent then.
    fn publish_until_subscribed(&mut self, dir: &Path, links: usize) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.publish(10);
            let shown = curvelink(dir, "show --json").json()["sockets"][1]["links"].clone();
            let subscribed = shown.as_array().expect("links").iter();
            let subscribed = subscribed.filter(|link| link["subscriptions"].as_u64() > Some(0));
            if subscribed.count() == links {
                return self.sent;
            }
        }
        panic!("not so many links after {PATIENCE:?}");
    }

    fn end(mut self) -> i32 {
        drop(self.tell);
        self.child.wait().expect("it ends").code().expect("a code")
    }
}

#[test]
fn nothing_is_lost_when_the_hubs_key_is_replaced_under_load() {
    let Ok(python) = python::environment() else {
        return;
    };
    let site = Site::up();
    let dir: PathBuf = site.dir.clone();
    let before = Ours::start(&dir);
    let mut theirs = Theirs::start(&dir, &python, &site.feed);
    let mut publisher = Publisher::start(&dir);
    publisher.publish(100);

    // Begun under load: whoever is connected notices nothing.
    let begin = std::thread::spawn({
        let dir = dir.clone();
        move || curvelink(&dir, "key rotate hub --begin")
    });
    publisher.publish(300);
    let begun = begin.join().unwrap().ok();
    let new = curvelink(&dir, "key pub keys/hub.next.key_secret").ok();
    assert!(
        begun.contains(&format!("--server-key '{}'", new.trim())),
        "{begun}"
    );

    // Their client takes the new key at its own pace, and so overlaps; ours that starts now pins
    // both.
    theirs.tell(&format!("key {}", new.trim()));
    let after = Ours::start(&dir);
    let joined = publisher.publish_until_subscribed(&dir, 4);
    publisher.publish(100);
    theirs.tell("leave old");

    let mut finished = None;
    for _ in 0..20 {
        publisher.publish(25);
        finished.get_or_insert_with(|| {
            let dir = dir.clone();
            let line = "key rotate hub --finish --even-if-peers-are-left-behind";
            std::thread::spawn(move || curvelink(&dir, line))
        });
    }
    finished.expect("begun").join().unwrap().ok();
    publisher.publish(100);
    let last = publisher.sent;

    for expected in 0..last {
        assert_eq!(before.number(), expected, "each once, in order");
    }
    after.has_all_from(joined, last);
    theirs.has_all(last);
    assert_eq!(publisher.end(), 0);
    let shown = curvelink(&dir, "show --json").json();
    assert_eq!(shown["keys"]["next"], serde_json::Value::Null);
}

/// Begins or ends a rotation while messages pass.
fn under_load(publisher: &mut Publisher, dir: &Path, line: &'static str) -> String {
    let dir = dir.to_owned();
    let rotating = std::thread::spawn(move || curvelink(&dir, line));
    while !rotating.is_finished() {
        publisher.publish(25);
    }
    let done = rotating.join().expect("it ends").ok();
    publisher.publish(100);
    done
}

#[test]
fn nothing_is_lost_when_identities_keys_are_replaced_under_load() {
    let Ok(python) = python::environment() else {
        return;
    };
    let site = Site::up();
    let dir: PathBuf = site.dir.clone();
    let old = fingerprint(&dir, "keys/siem.key");
    let before = Ours::start(&dir);
    let mut theirs = Theirs::start(&dir, &python, &site.feed);
    let mut publisher = Publisher::start(&dir);
    publisher.publish(100);

    // The subscribers' key: who is connected by the old one stays, who comes may use the new one.
    under_load(&mut publisher, &dir, "key rotate siem --begin");
    theirs.tell("as keys/siem.key_secret");
    let after = Ours::start(&dir);
    let joined = publisher.publish_until_subscribed(&dir, 4);
    publisher.publish(100);
    theirs.tell("leave old");
    let confirmed = publisher.sent;
    under_load(
        &mut publisher,
        &dir,
        "key rotate siem --finish --even-if-peers-are-left-behind",
    );
    let shown = curvelink(&dir, "show --json").json();
    assert!(!shown["sockets"].to_string().contains(&old), "{shown}");

    // The publisher's: one run ends with the old key, the next goes on with the new one.
    under_load(&mut publisher, &dir, "key rotate ci-scanner --begin");
    let sent = publisher.sent;
    assert_eq!(publisher.end(), 0);
    let mut publisher = Publisher::going_on(&dir, sent);
    publisher.publish(100);
    under_load(&mut publisher, &dir, "key rotate ci-scanner --finish");
    let last = publisher.sent;
    assert_eq!(publisher.end(), 0);

    for expected in 0..confirmed {
        assert_eq!(before.number(), expected, "each once, in order");
    }
    after.has_all_from(joined, last);
    theirs.has_all(last);
}
