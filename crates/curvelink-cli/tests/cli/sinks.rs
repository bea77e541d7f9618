//! The hub's events and checkpoints in collectors that we did not write.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use curvelink_tests::collectors::{Journald, Rsyslog};
use curvelink_tests::guide::blocks;
use serde_json::Value;

use crate::support::{Background, Site, add_settings, curvelink, shell, site};

/// A block of the guide's page, the one that has these words, with something else in the place of
/// what it names.
fn block(language: &str, words: &str, replaced: &[(&str, String)]) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/siem.md");
    let page = fs::read_to_string(page).expect("a page");
    let blocks = blocks(&page).into_iter();
    let mut found = blocks.filter(|(it, text)| *it == language && text.contains(words));
    let (_, mut text) = found.next().expect("a block");
    for (written, ours) in replaced {
        assert!(text.contains(written), "the page has {written}");
        text = text.replace(written, ours);
    }
    text
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// An address of this host that nobody is bound to.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The configuration of the guide for a Unix socket and a file of lines.
fn lines(folder: &Path) -> String {
    let shown = block(
        "rsyslog",
        "imuxsock",
        &[
            ("/run/curvelink.syslog", shown(&folder.join("lines.sock"))),
            ("/var/log/curvelink.log", shown(&folder.join("lines.log"))),
        ],
    );
    // Not this host's own.
    format!("module(load=\"imuxsock\" SysSock.Use=\"off\")\n{shown}")
}

/// The configuration of the guide for CURVE, and with its rules for a Unix socket and for tcp.
fn everything(folder: &Path, curve: &str, tcp: &str) -> String {
    let shown = block(
        "rsyslog",
        "imczmq",
        &[
            ("/etc/rsyslog.d/curvelink/", format!("{}/", shown(folder))),
            ("/var/log/curvelink.json", shown(&folder.join("out.json"))),
            ("tcp://*:2514", format!("tcp://{curve}")),
        ],
    );
    let (address, port) = tcp.split_once(':').expect("a port");
    format!(
        "{}{shown}module(load=\"imptcp\")\n\
         input(type=\"imptcp\" address=\"{address}\" port=\"{port}\" ruleset=\"curvelink\")\n\
         input(type=\"imuxsock\" socket=\"{}\" useSpecialParser=\"off\" useSysTimeStamp=\"off\" \
         ruleset=\"curvelink\")\n",
        lines(folder),
        folder.join("fields.sock").display(),
    )
}

fn element(record: &Value) -> &Value {
    &record["$!"]["rfc5424-sd"]["curvelink@32473"]
}

/// The records that came one way, but for checkpoints, and for how the other sinks do: one may be
/// reached a little later.
fn events<'a>(records: &'a [Value], input: &str) -> Vec<&'a Value> {
    let records = records.iter();
    let of_input = records.filter(|record| record["inputname"] == input);
    of_input
        .filter(|it| it["msgid"] != "CL3008" && it["msgid"] != "CL3009")
        .collect()
}

fn has_stopped(records: &[Value], input: &str) -> bool {
    let is_stop = |it: &&Value| it["msgid"] == "CL3001" && element(it)["action"] == "stop";
    events(records, input).iter().any(is_stop)
}

const INPUTS: [&str; 3] = ["imuxsock", "imptcp", "imczmq"];

/// Somebody is let in and heard, somebody is denied, refused, and cut.
fn let_everything_happen(dir: &Path) {
    let mut sub = Background::start(dir, "sub", "sub --as siem findings/");
    curvelink(dir, "pub --as ci-scanner findings/x zap.toml").ok();
    sub.line();
    curvelink(dir, "pub --as ci-scanner --wait 0 other/x zap.toml").fails(4);
    curvelink(dir, "key gen --out stranger").ok();
    curvelink(dir, "pub --key stranger findings/x zap.toml").fails(4);
    // The subscriber's key is another from now on: its link is cut.
    let key = curvelink(dir, "key gen --out other").ok();
    let policy = fs::read_to_string(dir.join("zap.toml")).unwrap();
    let old = curvelink(dir, "key pub keys/siem.key_secret").ok();
    let old = old.trim();
    assert!(policy.contains(old), "{policy}");
    fs::write(dir.join("zap.toml"), policy.replace(old, key.trim())).unwrap();
    curvelink(dir, "reload").ok();
    assert_ne!(sub.wait(), 0);
}

/// Id, level and some fields of what happened.
type Happened = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const HAPPENED: &[Happened] = &[
    (
        "CL1001",
        "6",
        &[("identity", "ci-scanner"), ("mechanism", "CURVE")],
    ),
    (
        "CL1002",
        "4",
        &[
            ("reason", "unknown-key"),
            ("by", "us"),
            ("network", "127.0.0.0/24"),
        ],
    ),
    (
        "CL1004",
        "4",
        &[("identity", "siem"), ("reason", "revoked")],
    ),
    (
        "CL1020",
        "4",
        &[("identity", "ci-scanner"), ("topic", "other/x")],
    ),
    ("CL2002", "6", &[("topic", "findings/x")]),
    ("CL3002", "5", &[("action", "applied")]),
    ("CL3004", "6", &[("action", "epoch")]),
];

fn assert_happened(records: &[&Value]) {
    for (id, level, fields) in HAPPENED {
        let found = records.iter().find(|it| {
            let has = |(name, value): &(&str, &str)| element(it)[*name] == *value;
            it["msgid"] == *id && fields.iter().all(has)
        });
        let found = found.unwrap_or_else(|| panic!("{id}: {records:?}"));
        assert_eq!(found["syslogseverity"], *level, "{id}");
        assert_eq!(found["syslogfacility"], "10", "{id}");
        assert_eq!(found["app-name"], "curvelink", "{id}");
    }
}

#[test]
fn rsyslog_gets_every_event_over_each_way_as_the_journal_has_it() {
    let (root, dir) = site();
    let (curve, tcp) = (free(), free());
    let mut server_key = String::new();
    let started = Rsyslog::start(|folder| {
        fs::create_dir(folder.join("clients")).unwrap();
        let commands = [("/etc/rsyslog.d/curvelink", shown(folder))];
        server_key = shell(&dir, &block("sh", "key gen", &commands)).ok();
        everything(folder, &curve, &tcp)
    });
    let Ok(mut rsyslog) = started else { return };
    let settings = format!(
        "[[sink]]\nto = \"unix:{}\"\n[[sink]]\nto = \"tcp://{tcp}\"\n\
         [[sink]]\nto = \"curve+tcp://{curve}\"\nserver_key = \"{}\"\nas = \"syslog\"\n",
        rsyslog.folder().join("fields.sock").display(),
        server_key.trim(),
    );
    add_settings(&dir, &settings);
    let mut site = Site::up_in(root, dir);
    let_everything_happen(&site.dir);
    site.hub.terminate();

    let all = rsyslog.wait(|all| INPUTS.iter().all(|input| has_stopped(all, input)));
    let [unix, tcp, curve] = INPUTS.map(|input| events(all, input));
    let ids = |records: &[&Value]| -> Vec<String> {
        records.iter().map(|it| it["msgid"].to_string()).collect()
    };
    assert_eq!(ids(&unix), ids(&tcp));
    // This way takes a handshake, of which the others are told nothing.
    assert_eq!(ids(&unix), ids(&curve));
    assert_happened(&tcp);
    curvelink(&site.dir, "audit export --as syslog --out written").ok();
    let written = fs::read_to_string(site.dir.join("written")).unwrap();
    let written: BTreeSet<&str> = written.lines().collect();
    for record in unix.iter().chain(&tcp).chain(&curve) {
        let line = record["rawmsg"].as_str().unwrap();
        assert!(written.contains(line), "{line}");
    }
}

#[test]
fn a_key_that_rsyslog_does_not_list_is_told_so_and_the_hub_works_on() {
    let (root, dir) = site();
    let curve = free();
    let mut server_key = String::new();
    let started = Rsyslog::start(|folder| {
        fs::create_dir(folder.join("clients")).unwrap();
        let out = format!("key gen --out {}/rsyslog.key", folder.display());
        server_key = curvelink(&dir, out).ok();
        everything(folder, &curve, &free())
    });
    let Ok(mut rsyslog) = started else { return };
    let settings = format!(
        "[[sink]]\nto = \"curve+tcp://{curve}\"\nserver_key = \"{}\"\n[[sink]]\nto = \"unix:{}\"\n",
        server_key.trim(),
        rsyslog.folder().join("fields.sock").display(),
    );
    add_settings(&dir, &settings);
    let mut site = Site::up_in(root, dir);
    site.wait_for_log("action=\"away\"");
    let log = site.log();
    let line = log.lines().find(|line| line.contains("CL3009")).unwrap();
    assert!(
        line.contains(&format!("endpoint=\"curve+tcp://{curve}\"")),
        "{line}"
    );
    assert!(line.contains("error=refused by the peer"), "{line}");
    // The other sink is told, and of the one that is away nothing came.
    let all = rsyslog.wait(|all| all.iter().any(|it| it["msgid"] == "CL3009"));
    assert!(events(all, "imczmq").is_empty(), "{all:?}");
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/x zap.toml",
    )
    .ok();
    assert_eq!(site.hub.terminate(), 0);
    let all = rsyslog.wait(|all| has_stopped(all, "imuxsock"));
    assert!(events(all, "imczmq").is_empty(), "{all:?}");
}

#[test]
fn a_sink_may_come_after_the_hub_go_and_come_again() {
    let tcp = free();
    let mut site = Site::up_with(&format!("[[sink]]\nto = \"tcp://{tcp}\"\n"));
    let away = block("text", "CL3009", &[("127.0.0.1:601", tcp.clone())]);
    let (away, back) = away.split_once('\n').expect("two lines");
    site.wait_for_log(away);
    let started = Rsyslog::start(|folder| {
        fs::create_dir(folder.join("clients")).unwrap();
        let out = format!("key gen --out {}/rsyslog.key", folder.display());
        curvelink(&site.dir, out).ok();
        everything(folder, &free(), &tcp)
    });
    let Ok(mut rsyslog) = started else { return };
    site.wait_for_log(back.trim());
    // What happened before it came is not lost.
    rsyslog.wait(|all| all.iter().any(|it| element(it)["action"] == "start"));
    let before = events(rsyslog.records(), "imptcp").len();
    rsyslog.stop();
    curvelink(
        &site.dir,
        "pub --as ci-scanner --wait 0 findings/x zap.toml",
    )
    .ok();
    rsyslog.start_again();
    rsyslog.wait(|all| {
        let new = &events(all, "imptcp")[before..];
        new.iter().any(|it| it["msgid"] == "CL2002")
    });
    site.hub.terminate();
    let all = rsyslog.wait(|all| has_stopped(all, "imptcp"));
    assert!(
        all.iter().all(|it| it["msgid"] != "CL3007"),
        "nothing is missing"
    );
    // Of itself a sink is not told.
    assert!(all.iter().all(|it| it["msgid"] != "CL3009"), "{all:?}");
}

/// The commands of the guide that take a checkpoint out of what a collector kept, and judge with it.
fn judge(dir: &Path, words: &str, replaced: &[(&str, String)]) -> (i32, String) {
    let run = shell(dir, &block("sh", words, replaced));
    (run.code, run.out)
}

/// A hub that ran twice, with the journal as it was in between put back in the end.
fn cut_back(site: &mut Site, judge: impl Fn(&Path) -> (i32, String)) {
    let publish = |site: &Site, topic: &str| {
        let line = format!("pub --as ci-scanner --wait 0 findings/{topic} zap.toml");
        curvelink(&site.dir, line).ok();
    };
    publish(site, "1");
    site.hub.terminate();
    fs::copy(site.dir.join("audit.vkey"), site.dir.join("kept.vkey")).unwrap();
    shell(&site.dir, "cp -a audit old").ok();
    site.hub = Background::start(&site.dir, "again", "up");
    site.hub.line();
    publish(site, "2");
    site.hub.terminate();
    let (code, said) = judge(&site.dir);
    assert!(code == 0 && said.contains("R6 ok"), "{code}: {said}");
    let kept = fs::read(site.dir.join("kept.checkpoint")).unwrap();
    let newest = fs::read(site.dir.join("audit/checkpoint")).unwrap();
    assert_eq!(kept, newest, "the last one that was signed");
    shell(&site.dir, "rm -r audit && mv old audit").ok();
    curvelink(&site.dir, "audit verify --anchor kept.vkey").ok();
    let (code, said) = judge(&site.dir);
    assert!(code == 2 && said.contains("R6 FAILED"), "{code}: {said}");
}

#[test]
fn a_checkpoint_out_of_rsyslogs_file_shows_that_a_journal_was_cut_back() {
    let Ok(rsyslog) = Rsyslog::start(lines) else {
        return;
    };
    let folder = rsyslog.folder();
    let to = folder.join("lines.sock");
    let mut site = Site::up_with(&format!("[[sink]]\nto = \"unix:{}\"\n", to.display()));
    let file = folder.join("lines.log");
    let topic = "other/ CL3008 [x note=\"Zm9yZ2Vk\"] ";
    let forged = [
        "pub",
        "--as",
        "ci-scanner",
        "--wait",
        "0",
        topic,
        "zap.toml",
    ];
    curvelink(&site.dir, forged).fails(4);
    cut_back(&mut site, |dir| {
        // It writes when it likes.
        let newest = fs::read_to_string(dir.join("audit/checkpoint")).unwrap();
        let size = newest.lines().nth(1).unwrap();
        let is_there = format!(
            "until grep -q 'size=\"{size}\"' {}; do sleep 0.05; done",
            shown(&file)
        );
        shell(dir, &is_there).ok();
        judge(
            dir,
            "/var/log/curvelink.log",
            &[("/var/log/curvelink.log", shown(&file))],
        )
    });
    // What a peer chose is taken for no checkpoint.
    let newest = " | tail -n 1 | base64 -d > kept.checkpoint";
    let commands = block("sh", newest, &[("/var/log/curvelink.log", shown(&file))]);
    let notes = shell(
        &site.dir,
        commands.lines().next().unwrap().trim_end_matches(newest),
    )
    .ok();
    let lines = fs::read_to_string(&file).unwrap();
    assert!(lines.contains("Zm9yZ2Vk") && !notes.contains("Zm9yZ2Vk"));
    let is_checkpoint = |line: &&str| line.split(' ').nth(5) == Some("CL3008");
    assert_eq!(
        notes.lines().count(),
        lines.lines().filter(is_checkpoint).count()
    );
}

#[test]
fn journald_has_every_field_and_its_checkpoints_show_that_a_journal_was_cut_back() {
    let Ok(mut journald) = Journald::start() else {
        return;
    };
    let to = journald.socket();
    let mut site = Site::up_with(&format!("[[sink]]\nto = \"journald:{}\"\n", to.display()));
    curvelink(&site.dir, "key gen --out stranger").ok();
    curvelink(&site.dir, "pub --key stranger findings/x zap.toml").fails(4);
    let refused = ["MESSAGE_ID=f74b04ae936c452585befec10f83a63f"];
    let refused = journald.wait(&refused, |found| !found.is_empty());
    for (name, value) in [
        ("CURVELINK_ID", "CL1002"),
        ("CURVELINK_REASON", "unknown-key"),
        ("CURVELINK_NETWORK", "127.0.0.0/24"),
        ("PRIORITY", "4"),
        ("SYSLOG_FACILITY", "10"),
        ("SYSLOG_IDENTIFIER", "curvelink"),
        // By the journal's own knowledge, not by what was sent.
        ("_COMM", "curvelink"),
        ("_TRANSPORT", "journal"),
    ] {
        assert_eq!(refused[0][name], value, "{name}: {refused:?}");
    }
    let files = shown(&journald.files());
    cut_back(&mut site, |dir| {
        let journalctl = [("journalctl ", format!("journalctl -q -D {files} "))];
        judge(dir, "journalctl", &journalctl)
    });
    let started = journald.read(&["CURVELINK_ID=CL3001", "CURVELINK_ACTION=start"]);
    assert_eq!(started.len(), 2);
    // Each is an entry of the hub's journal, but for the checkpoints.
    let all = journald.read(&["SYSLOG_IDENTIFIER=curvelink"]);
    for record in &all {
        let is_checkpoint = record["CURVELINK_ID"] == "CL3008";
        assert_eq!(
            record["CURVELINK_SEQUENCE"] == "0",
            is_checkpoint,
            "{record}"
        );
    }
}

#[test]
fn a_sink_that_is_written_wrongly_keeps_the_hub_from_starting() {
    let (_root, dir) = site();
    let shown = block("text", "line 17", &[]);
    let settings = fs::read_to_string(dir.join("curvelink.toml")).unwrap();
    for (table, cause) in [
        (
            "to = \"tcp://192.0.2.9:601\"",
            shown.trim().split_once("line 17: ").unwrap().1,
        ),
        (
            "to = \"unix:/dev/log\"\nas = \"ocsf\"",
            "does not read ocsf",
        ),
        (
            "to = \"curve+tcp://siem.example:2514\"",
            "server_key is missing",
        ),
        ("to = \"journald\"\nserver_key = \"x\"", "has no server_key"),
        (
            "to = \"journald\"\nseverity = \"high\"",
            "unknown field `severity`",
        ),
        ("to = \"syslog\"", "a sink goes to"),
        (
            "to = \"journald\"\n[[sink]]\nto = \"journald\"",
            "two sinks to journald",
        ),
    ] {
        fs::write(
            dir.join("curvelink.toml"),
            format!("{settings}\n[[sink]]\n{table}\n"),
        )
        .unwrap();
        let line = curvelink(&dir, "up").fails(1);
        assert!(line.contains(cause), "{line}");
        let lines = settings.lines().count();
        let is_named = (lines..lines + 5).any(|at| line.contains(&format!("line {at}:")));
        assert!(is_named, "{line}");
    }
}
