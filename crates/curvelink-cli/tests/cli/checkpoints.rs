//! The checkpoints of the hub's journal, as its feed tells them to who may hear them.

use std::fs;
use std::process::Command;

use curvelink_audit::JournalReader;
use curvelink_tests::python;
use curvelink_tlog::Note;

use crate::support::{Background, PROGRAM, Site, curvelink};

/// Gives siem the hub's own topics, ci-scanner those of findings to subscribe to.
fn site() -> Site {
    let site = Site::up();
    let path = site.dir.join("zap.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "\nsubscribe = [\"findings/\"]\n",
        "\nsubscribe = [\"findings/\", \"$sys/\"]\n",
    );
    let text = text.replace(
        "publish = [\"findings/\"]",
        "publish = [\"findings/\", \"$sys/\"]\nsubscribe = [\"findings/\"]",
    );
    fs::write(&path, text).unwrap();
    curvelink(&site.dir, "reload").ok();
    site
}

#[test]
fn a_checkpoint_comes_over_the_feed_and_is_one_to_verify_against() {
    let mut site = site();
    let kept = curvelink(&site.dir, "sub --as siem --raw --count 1 $sys/checkpoint").ok();
    let _: Note = kept.parse().expect("a signed note");
    fs::write(site.dir.join("kept"), &kept).unwrap();
    site.hub.terminate();
    let newest = JournalReader::open(&site.dir.join("audit")).unwrap();
    newest.diff(&kept, newest.note()).unwrap();
    curvelink(&site.dir, "audit verify --anchor audit.vkey --witness kept").ok();
    let size = kept.lines().nth(1).unwrap();
    let altered = kept.replacen(&format!("\n{size}\n"), "\n1\n", 1);
    fs::write(site.dir.join("kept"), altered).unwrap();
    curvelink(&site.dir, "audit verify --anchor audit.vkey --witness kept").fails(2);
}

#[test]
fn nobody_publishes_below_the_hubs_own_prefix_and_others_do_not_hear_it() {
    let site = site();
    let publish = "pub --as ci-scanner --wait 0 $sys/checkpoint zap.toml";
    let line = curvelink(&site.dir, publish).fails(4);
    assert!(line.contains("the hub's own"), "{line}");
    assert!(site.log().contains("topic-denied"));
    let line = curvelink(&site.dir, "sub --as ci-scanner $sys/checkpoint").fails(4);
    assert!(line.contains("ci-scanner may not subscribe"), "{line}");
    let line = curvelink(&site.dir, "sub --as siem --save inbox $sys/").fails(1);
    assert!(line.contains("--save"), "{line}");
}

#[test]
fn who_subscribes_to_everything_is_not_disturbed_by_checkpoints() {
    let site = site();
    let path = site.dir.join("zap.toml");
    let text = fs::read_to_string(&path).unwrap();
    let everything = "subscribe = \"everything\"";
    let text = text.replace("subscribe = [\"findings/\", \"$sys/\"]", everything);
    fs::write(&path, text).unwrap();
    curvelink(&site.dir, "reload").ok();
    let all = ["sub", "--as", "siem", "", "--json", "--count", "1"];
    let mut all = Background::start(&site.dir, "all", all);
    site.wait_for_log("CL1021");
    let system = "sub --as siem $sys/checkpoint --count 1";
    curvelink(&site.dir, system).ok();
    curvelink(&site.dir, "pub --as ci-scanner findings/1 zap.toml").ok();
    assert!(all.line().contains("\"findings/1\""));
    assert_eq!(all.wait(), 0);
}

/// Two subscribers of another implementation: one that may hear the checkpoints, and one that only
/// asks for them.
const SUBSCRIBERS: &str = r#"
import subprocess, sys, zmq, zmq.auth
program, endpoint = sys.argv[1:]
server, _ = zmq.auth.load_certificate("keys/hub.key")

def subscriber(name):
    feed = zmq.Context.instance().socket(zmq.SUB)
    feed.curve_publickey, feed.curve_secretkey = zmq.auth.load_certificate(f"keys/{name}.key_secret")
    feed.curve_serverkey, feed.rcvtimeo = server, 90000
    feed.subscribe(b"$sys/")
    return feed

def publish(topic):
    line = f"pub --as ci-scanner --wait 1 {topic} zap.toml"
    subprocess.run([program, *line.split()], check=True, stdout=subprocess.DEVNULL)

other, siem = subscriber("ci-scanner"), subscriber("siem")
other.subscribe(b"findings/")
other.connect(endpoint)
publish("findings/1")
assert other.recv_multipart()[0] == b"findings/1"
siem.connect(endpoint)
topic, note = siem.recv_multipart()
assert topic == b"$sys/checkpoint", topic
publish("findings/2")
topic = other.recv_multipart()[0]
assert topic == b"findings/2", topic
sys.stdout.write(note.decode())
"#;

#[test]
fn pyzmq_hears_checkpoints_where_its_identity_may_and_nothing_where_not() {
    let Ok(python) = python::environment() else {
        return;
    };
    let site = site();
    let output = Command::new(python)
        .args(["-c", SUBSCRIBERS, PROGRAM, &site.feed])
        .current_dir(&site.dir)
        .output();
    let output = output.expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let note = String::from_utf8(output.stdout).unwrap();
    let journal = JournalReader::open(&site.dir.join("audit")).unwrap();
    journal.diff(&note, journal.note()).unwrap();
}
