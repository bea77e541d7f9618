//! Witnesses of a hub's journal, over real sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use curvelink_tests::guide::blocks;
use curvelink_tests::python;
use tempfile::TempDir;

use crate::support::{Background, curvelink, curvelink_with, shell, site};

const PATIENCE: Duration = Duration::from_secs(60);

/// A witness that runs.
struct Witness {
    dir: PathBuf,
    /// What the hub has of it in its settings.
    table: String,
    process: Background,
}

impl Witness {
    /// Makes one in `root` that watches the journal of the hub in `demo` there, and starts it. Who
    /// has the key `hub` may ask.
    fn up(root: &Path, name: &str, hub: &str) -> Self {
        let line = format!("witness init {name} --name witness.example/{name}");
        let table = curvelink(root, line + " --endpoint tcp://127.0.0.1:0").ok();
        let dir = root.join(name);
        watch(&dir, hub);
        let mut process = Background::start(&dir, "up", "witness up");
        let endpoint = process.line().replace("ready", "");
        let endpoint = endpoint.trim();
        // The port that it has, so that it has it again.
        let settings = fs::read_to_string(dir.join("witness.toml")).unwrap();
        let settings = settings.replace("tcp://127.0.0.1:0", endpoint);
        fs::write(dir.join("witness.toml"), settings).unwrap();
        Self {
            dir,
            table: table.replace("tcp://127.0.0.1:0", endpoint),
            process,
        }
    }

    fn start_again(&mut self) {
        self.process = Background::start(&self.dir, "up", "witness up");
        self.process.line();
    }

    fn endpoint(&self) -> String {
        let line = self.table.lines().nth(1).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    fn vkey(&self) -> String {
        let vkey = fs::read_to_string(self.dir.join("cosigner.vkey")).unwrap();
        vkey.trim().to_owned()
    }

    /// The newest checkpoint that it signed.
    fn seen(&self) -> PathBuf {
        let shown = curvelink(&self.dir, "witness show --json").json();
        self.dir.join(shown["checkpoint"].as_str().unwrap())
    }
}

fn watch(dir: &Path, hub: &str) {
    let line = format!("witness watch ../demo/audit.vkey --hub ../demo/keys/{hub}.key");
    let said = curvelink(dir, line).ok();
    assert!(said.starts_with("watched: "), "{said}");
}

/// A hub and two witnesses that watch its journal.
struct Watched {
    dir: PathBuf,
    hub: Background,
    witnesses: [Witness; 2],
    _root: TempDir,
}

impl Watched {
    fn up() -> Self {
        Self::up_with("witness_within = 2\n")
    }

    fn up_with(audit: &str) -> Self {
        let (root, dir) = site();
        let witnesses = ["one", "two"].map(|name| Witness::up(root.path(), name, "hub"));
        settings(&dir, audit, &witnesses);
        let hub = start(&dir);
        Self {
            dir,
            hub,
            witnesses,
            _root: root,
        }
    }

    fn publish(&self) {
        let line = "pub --as ci-scanner --wait 0 findings/1 zap.toml";
        curvelink(&self.dir, line).ok();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("up.err")).unwrap()
    }

    /// Waits until the hub's log has a line with all of these words.
    fn told(&self, words: &[&str]) {
        let is_told = || self.log().lines().any(|line| has(line, words));
        until(&format!("{words:?}"), is_told, || self.log());
    }

    /// How many entries enough witnesses have signed.
    fn witnessed(&self) -> u64 {
        let shown = curvelink(&self.dir, "show --json").json();
        shown["witnessed"]["size"].as_u64().unwrap()
    }

    /// Waits until everything that has a checkpoint now is witnessed.
    fn all_witnessed(&self) -> u64 {
        let sealed = size(&self.dir.join("audit/checkpoint"));
        until("witnessed", || self.witnessed() >= sealed, || self.log());
        self.witnessed()
    }
}

fn has(line: &str, words: &[&str]) -> bool {
    words.iter().all(|word| line.contains(word))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool, log: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "no {what} in: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn settings(dir: &Path, audit: &str, witnesses: &[Witness]) {
    let path = dir.join("curvelink.toml");
    let mut text = fs::read_to_string(&path).unwrap() + "\n[audit]\n" + audit;
    witnesses.iter().for_each(|it| text += &it.table);
    fs::write(path, text).unwrap();
}

fn start(dir: &Path) -> Background {
    let mut hub = Background::start(dir, "up", "up");
    hub.line();
    hub
}

/// How many entries a checkpoint is of.
fn size(checkpoint: &Path) -> u64 {
    let text = fs::read_to_string(checkpoint).unwrap();
    text.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_journal_is_witnessed_and_strangers_find_that_it_is() {
    let mut site = Watched::up();
    site.publish();
    let covered = site.all_witnessed();
    let shown = curvelink(&site.dir, "show").ok();
    for line in [
        format!("  witnessed: {covered} entries, "),
        "(at least 2 of 2)".to_owned(),
        "  witness: witness.example/one, signs, ".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line}: {shown}");
    }
    site.hub.terminate();
    let verify = "audit verify --anchor audit.vkey";
    let said = curvelink(&site.dir, verify).ok();
    assert!(said.contains("R6 ok"), "{said}");
    let [one, two] = site.witnesses.each_ref().map(Witness::vkey);
    let elsewhere = format!("{verify} audit --cosigner {one} --cosigner {two}");
    let said = curvelink(&site.dir, elsewhere.as_str()).ok();
    assert!(said.contains("R6 ok"), "{said}");
    curvelink(&site.dir, elsewhere + " --min-witnesses 3").fails(1);
    let stranger = format!("{verify} audit --cosigner {}", one.replace("one", "two"));
    curvelink(&site.dir, stranger).fails(1);
    // An archive has what they signed.
    let unpack = "mkdir unpacked && tar xf a.tar -C unpacked";
    curvelink(&site.dir, "audit export --as archive --out a.tar").ok();
    shell(&site.dir, unpack).ok();
    let archived = format!("{verify} unpacked --archive --cosigner {one} --cosigner {two}");
    curvelink(&site.dir, archived.as_str()).ok();
    fs::remove_file(site.dir.join("unpacked/checkpoint.witnessed")).unwrap();
    curvelink(&site.dir, archived.as_str()).fails(2);
    // What a witness kept is what a journal is verified against.
    for witness in &site.witnesses {
        let seen = witness.seen();
        assert_eq!(size(&seen), covered);
        curvelink(&site.dir, format!("{verify} --witness {}", seen.display())).ok();
    }

    let Ok(python) = python::environment() else {
        return;
    };
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/python/verify_cosignature.py"
    );
    let path = site.dir.join("audit/checkpoint.witnessed");
    let verdict = || {
        let mut command = Command::new(&python);
        command.arg(script).arg(&path).args([&one, &two]);
        command.output().expect("it runs")
    };
    let good = verdict();
    let said = String::from_utf8_lossy(&good.stdout).into_owned();
    assert!(good.status.success(), "{good:?}");
    assert!(said.contains("witness.example/one ") && said.contains("witness.example/two "));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(&format!("\n{covered}\n"), "\n1\n", 1)).unwrap();
    assert!(!verdict().status.success());
}

#[test]
fn a_witness_that_is_away_is_told_and_so_is_its_return() {
    let mut site = Watched::up();
    site.all_witnessed();
    let before = site.witnessed();
    site.witnesses[1].process.terminate();
    site.publish();
    site.told(&["CL3010", "action=\"few\""]);
    site.told(&["CL3010", "action=\"away\"", "witness.example/two"]);
    assert!(site.witnessed() >= before);
    let shown = curvelink(&site.dir, "show").ok();
    assert!(shown.contains("witness.example/two, away"), "{shown}");
    assert!(shown.contains("witness.example/one, signs"), "{shown}");
    site.witnesses[1].start_again();
    site.told(&["CL3010", "action=\"back\"", "witness.example/two"]);
    site.told(&["CL3010", "action=\"enough\""]);
    site.all_witnessed();
    assert_eq!(site.hub.terminate(), 0);
    // All that stands in the journal too.
    let told = curvelink(&site.dir, "audit show --type witness").ok();
    for action in ["few", "away", "back", "enough"] {
        assert!(told.contains(&format!("action={action}")), "{told}");
    }
}

#[test]
fn one_that_is_away_does_not_hold_up_the_others() {
    let mut site = Watched::up_with("min_witnesses = 1\nwitness_within = 30\n");
    site.all_witnessed();
    // It does not answer, and does not close its connection either.
    let pid = site.witnesses[1].process.id();
    shell(&site.dir, &format!("kill -STOP {pid}")).ok();
    site.publish();
    site.told(&["CL3010", "action=\"away\"", "witness.example/two"]);
    for _ in 0..3 {
        site.publish();
        site.all_witnessed();
    }
    assert!(!site.log().contains("action=\"few\""), "{}", site.log());
    shell(&site.dir, &format!("kill -CONT {pid}")).ok();
    site.told(&["CL3010", "action=\"back\"", "witness.example/two"]);
    site.hub.terminate();
}

#[test]
fn a_journal_that_was_cut_back_is_refused_by_its_witnesses_and_told() {
    let mut site = Watched::up();
    site.publish();
    site.all_witnessed();
    site.hub.terminate();
    shell(&site.dir, "cp -a audit old && cp state/epoch.key old.key").ok();
    let old = size(&site.dir.join("audit/checkpoint"));
    site.hub = start(&site.dir);
    (0..8).for_each(|_| site.publish());
    // By far more than what the next start brings.
    let is_more = || site.witnessed() > old + 16;
    until("more witnessed", is_more, || site.log());
    let covered = site.witnessed();
    site.hub.terminate();
    let bring_back = "rm -r audit && mv old audit && cp old.key state/epoch.key";
    shell(&site.dir, bring_back).ok();
    let inside = "audit verify --anchor audit.vkey";
    curvelink(&site.dir, inside).ok();
    let seen = site.witnesses[0].seen();
    let with_seen = format!("{inside} --witness {}", seen.display());
    let line = curvelink(&site.dir, with_seen.as_str()).fails(2);
    let said = shape(written("text", 2).trim_end());
    assert!(shape(&line).contains(&said), "{said}: {line}");

    // The hub goes on from the old copy, at first with fewer entries than the witnesses saw...
    site.hub = start(&site.dir);
    let told = written("text", 1);
    let told = shape(told.lines().next().unwrap());
    until(&told, || shape(&site.log()).contains(&told), || site.log());
    let log = || fs::read_to_string(site.witnesses[0].dir.join("up.err")).unwrap();
    let is_told = || {
        let log = log();
        log.lines().any(|line| has(line, &["CL3010", "behind"]))
    };
    until("word of the witness", is_told, log);
    // ...and then with more, which are not those.
    while size(&site.dir.join("audit/checkpoint")) <= covered {
        site.publish();
    }
    let forked = ["inconsistent", "bad-certificate", "bad-signature"];
    let is_told = || {
        let log = site.log();
        log.lines()
            .any(|line| line.contains("CL3010") && forked.iter().any(|code| line.contains(code)))
    };
    until("refusal of a fork", is_told, || site.log());
    site.told(&["CL3010", "action=\"few\""]);
    assert_eq!(site.witnessed(), 0);
    site.hub.terminate();
    let told = curvelink(&site.dir, "audit show --type witness --json").ok();
    let mut behind = told.lines().filter(|line| line.contains("\"behind\""));
    assert!(behind.next().unwrap().contains("\"severity\":\"high\""));
    curvelink(&site.dir, with_seen.as_str()).fails(2);
    fs::remove_file(site.dir.join("audit/checkpoint.witnessed")).unwrap();
    let line = curvelink(&site.dir, inside).fails(2);
    assert!(line.contains("as many witnesses"), "{line}");
}

#[test]
fn a_hub_that_is_not_listed_is_refused_until_it_is() {
    let (root, dir) = site();
    let witnesses = [("one", "siem"), ("two", "hub")];
    let witnesses = witnesses.map(|(name, hub)| Witness::up(root.path(), name, hub));
    settings(&dir, "", &witnesses);
    let hub = start(&dir);
    let site = Watched {
        dir,
        hub,
        witnesses,
        _root: root,
    };
    site.told(&["CL3010", "action=\"away\"", "does not list it"]);
    assert_eq!(site.witnessed(), 0);
    watch(&site.witnesses[0].dir, "hub");
    // What is there already is not added twice.
    let policy = fs::read_to_string(site.witnesses[0].dir.join("zap.toml")).unwrap();
    watch(&site.witnesses[0].dir, "hub");
    let again = fs::read_to_string(site.witnesses[0].dir.join("zap.toml")).unwrap();
    assert_eq!(policy, again);
    site.told(&["CL3010", "action=\"back\""]);
    site.all_witnessed();
}

#[test]
fn what_is_no_request_is_answered_so_and_harms_nobody() {
    let site = Watched::up();
    site.all_witnessed();
    let witness = &site.witnesses[0];
    let as_hub = format!(
        "req {} --key keys/hub.key_secret --server-key {}",
        witness.endpoint(),
        witness.dir.join("keys/witness.key").display()
    );
    let checkpoint = fs::read_to_string(site.dir.join("audit/checkpoint")).unwrap();
    let other = checkpoint.replacen("demo", "omed", 1);
    for (request, answer) in [
        ("hello".to_owned(), "malformed"),
        (format!("old 0\n\n{other}"), "unknown-log"),
        (format!("old 0\n\n{checkpoint}"), "elsewhere "),
        (format!("old 99999\n\n{checkpoint}"), "elsewhere "),
        ("old 0\n".repeat(100_000), "malformed"),
    ] {
        let frames = serde_json::json!({ "frames": [request] }).to_string();
        let line = as_hub.clone() + " --jsonl";
        let said = curvelink_with(&site.dir, line, &(frames + "\n")).ok();
        assert!(said.starts_with(answer), "{answer}: {said}");
    }
    let frames = vec!["x"; 1000];
    let frames = serde_json::json!({ "frames": frames }).to_string();
    let said = curvelink_with(&site.dir, as_hub.clone() + " --jsonl", &(frames + "\n"));
    assert_eq!(said.ok().trim_end(), "malformed");
    let long = "x".repeat(3 << 20);
    let run = curvelink_with(&site.dir, as_hub.clone() + " --timeout 2", &long);
    assert_ne!(run.code, 0, "{run:?}");
    curvelink(&site.dir, "key gen --out stranger").ok();
    let stranger = as_hub.replace("keys/hub.key_secret", "stranger");
    let run = curvelink_with(&site.dir, stranger, "hello\n");
    assert_eq!(run.code, 4, "{run:?}");
    site.publish();
    site.all_witnessed();
}

/// Has the server key of a witness, and signs with none of its keys.
const LIAR: &str = r#"
import base64, os, sys, zmq, zmq.auth
folder, answer = sys.argv[1:]
name, key_id, _ = open(f"{folder}/cosigner.vkey").read().split("+", 2)
liar = zmq.Context.instance().socket(zmq.REP)
liar.curve_publickey, liar.curve_secretkey = zmq.auth.load_certificate(f"{folder}/keys/witness.key_secret")
liar.curve_server = True
print("ready", f"tcp://127.0.0.1:{liar.bind_to_random_port('tcp://127.0.0.1')}", flush=True)
signature = base64.b64encode(bytes.fromhex(key_id) + bytes(8) + os.urandom(64)).decode()
while True:
    size = liar.recv_multipart()[0].split(b"\n\n")[1].split(b"\n")[1].decode()
    liar.send_string(answer.replace("SIZE", size).replace("LINE", f"\u2014 {name} {signature}"))
"#;

#[test]
fn a_witness_is_not_believed_what_it_cannot_have_signed() {
    let Ok(python) = python::environment() else {
        return;
    };
    for answer in [
        "cosigned SIZE 1\nLINE\n",
        "cosigned SIZE 1\n",
        "cosigned\n",
        "elsewhere 0 0\n",
        "fine\n",
        "",
    ] {
        let (root, dir) = site();
        let witness = Witness::up(root.path(), "one", "hub");
        let mut command = Command::new(&python);
        command.args(["-c", LIAR, witness.dir.to_str().unwrap(), answer]);
        let mut liar = Background::of(root.path(), "liar", &mut command);
        let endpoint = liar.line().replace("ready ", "");
        let table = witness.table.replace(&witness.endpoint(), endpoint.trim());
        let witness = Witness { table, ..witness };
        settings(&dir, "", std::slice::from_ref(&witness));
        let hub = start(&dir);
        let log = || fs::read_to_string(dir.join("up.err")).unwrap();
        let words = ["CL3010", "\"refused\"", "no-answer-of-a-witness"];
        let is_told = || log().lines().any(|line| has(line, &words));
        until(answer, is_told, log);
        let shown = curvelink(&dir, "show --json").json();
        assert_eq!(shown["witnessed"]["size"], 0, "{shown}");
        assert!(!dir.join("audit/checkpoint.witnessed").exists());
        drop((hub, liar));
    }
}

#[test]
fn a_witness_that_forgot_or_shares_its_memory_does_not_start() {
    let (root, _dir) = site();
    let mut witness = Witness::up(root.path(), "one", "hub");
    let up = |dir: &Path| curvelink(dir, "witness up");
    let line = up(&witness.dir).fails(1);
    assert!(line.contains("another witness"), "{line}");
    assert_eq!(witness.process.terminate(), 0);
    let secret = witness.dir.join("keys/cosigner.sign.secret.pem");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secret), 0o600);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let line = up(&witness.dir).fails(1);
    assert!(line.contains("others can read"), "{line}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let state = witness.dir.join("state/witness.json");
    let kept = fs::read_to_string(&state).unwrap();
    fs::write(&state, "{").unwrap();
    assert!(up(&witness.dir).fails(3).contains("damaged"));
    fs::remove_file(&state).unwrap();
    let line = up(&witness.dir).fails(3);
    assert!(line.contains("forgot"), "{line}");
    fs::write(&state, kept).unwrap();
    for file in ["logs.vkey", "zap.toml", "witness.toml"] {
        let path = witness.dir.join(file);
        let kept = fs::read_to_string(&path).unwrap();
        fs::write(&path, kept.clone() + "nonsense = 1\n").unwrap();
        up(&witness.dir).fails(1);
        fs::write(&path, kept).unwrap();
    }
    witness.start_again();
}

/// A block of the guide's section on witnesses.
fn written(language: &str, nth: usize) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/audit.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## Witnesses\n").expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = blocks(section).into_iter();
    let mut of_language = blocks.by_ref().filter(|(it, _)| *it == language);
    of_language.nth(nth).expect("a block").1
}

/// Text without its numbers.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.replace("seconds", "second").chars() {
        match c {
            '0'..='9' if shape.ends_with('#') => {}
            '0'..='9' => shape.push('#'),
            c => shape.push(c),
        }
    }
    shape
}

#[test]
fn the_guides_session_with_a_witness_is_as_written() {
    let (root, dir) = site();
    let root = root.path();
    fs::copy(dir.join("audit.vkey"), root.join("kept.vkey")).unwrap();
    fs::copy(dir.join("keys/hub.key"), root.join("hub.key")).unwrap();
    let any_port = |text: String| text.replace("127.0.0.1:5580", "127.0.0.1:0");
    let said = shell(root, &any_port(written("sh", 0))).ok();
    for line in any_port(written("toml", 0)).lines() {
        let known = line.split('…').next().unwrap();
        assert!(said.contains(known), "{known}: {said}");
    }
    let up = written("sh", 1);
    let up = up.trim().strip_prefix("curvelink ").unwrap();
    let mut witness = Background::start(root, "witness", up);
    let endpoint = witness.line();
    let endpoint = endpoint.trim().strip_prefix("ready  ").unwrap();
    let (table, _) = said.split_once("watched: ").unwrap();
    let table = table.replace("tcp://127.0.0.1:0", endpoint);
    let path = dir.join("curvelink.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &table).unwrap();
    let mut hub = start(&dir);
    let shown = || curvelink(&dir, "show").ok();
    for line in written("text", 0).lines() {
        until(line, || shape(&shown()).contains(&shape(line)), shown);
    }
    hub.terminate();
    let said = curvelink(&dir, "audit verify --anchor ../kept.vkey").ok();
    assert!(said.contains("R6 ok"), "{said}");
}

#[test]
fn witnesses_that_cannot_be_enough_keep_the_hub_down() {
    let (root, dir) = site();
    let witness = Witness::up(root.path(), "one", "hub");
    settings(&dir, "min_witnesses = 2\n", &[witness]);
    let line = curvelink(&dir, "up").fails(1);
    assert!(line.contains("min_witnesses is 2"), "{line}");
    assert!(!dir.join("run/hub.json").exists());
}
