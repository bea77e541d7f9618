//! A policy file that changes while it is in use: what is good counts soon, what is not never does.

#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use curvelink_zap::{FileWatch, Policy, PolicyHandler, RECHECK, Reload, watch};
use tempfile::TempDir;

/// A change is in force within this time, with one second to spare.
const SOON: Duration = Duration::from_secs(2);

const KEY: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";

fn text(name: &str) -> String {
    format!("version = 1\n[identities.{name}]\ncurve = [\"{KEY}\"]\ndomains = [\"d\"]\n")
}

/// What was told, in short.
#[derive(Debug, PartialEq)]
enum Told {
    Applied(String),
    Unchanged,
    Refused(String),
}

struct Watched {
    folder: TempDir,
    path: PathBuf,
    handler: Arc<PolicyHandler>,
    told: Receiver<Told>,
    _watch: FileWatch,
}

impl Watched {
    /// A file of one identity named `first`.
    fn start() -> Self {
        Self::start_in(|folder| {
            let path = folder.join("zap.toml");
            fs::write(&path, text("first")).unwrap();
            path
        })
    }

    fn start_in(prepare: impl FnOnce(&Path) -> PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = prepare(folder.path());
        let policy = Policy::from_file(&path).unwrap();
        let handler = Arc::new(PolicyHandler::new(policy));
        let (tell, told) = mpsc::channel();
        let tell = move |outcome: &Reload| {
            let told = match outcome {
                Reload::Applied { before, now } => {
                    assert_ne!(before.digest(), now.digest());
                    let names = now.identities().map(|identity| &*identity.name);
                    Told::Applied(names.collect::<Vec<_>>().join(" "))
                }
                Reload::Refused(error) => Told::Refused(error.to_string()),
                _ => Told::Unchanged,
            };
            tell.send(told).unwrap_or_default();
        };
        // Nothing here is found by looking every half minute.
        let watch = watch(&path, handler.clone(), RECHECK, tell).unwrap();
        Self {
            folder,
            path,
            handler,
            told,
            _watch: watch,
        }
    }

    fn next(&self) -> Told {
        self.told
            .recv_timeout(SOON)
            .expect("news within two seconds")
    }

    fn applied(&self, name: &str) {
        assert_eq!(self.next(), Told::Applied(name.to_owned()));
        assert!(self.handler.policy().identity(name).is_some());
    }

    fn refused(&self) -> String {
        match self.next() {
            Told::Refused(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Nothing is told until a change that is.
    fn silent_until(&self, name: &str) {
        replace(&self.path, &text(name));
        self.applied(name);
    }
}

/// Writes beside the file and renames.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn a_file_that_is_written_or_renamed_over_is_in_force_soon() {
    let watched = Watched::start();
    fs::write(&watched.path, text("second")).unwrap();
    watched.applied("second");
    replace(&watched.path, &text("third"));
    watched.applied("third");
    // What changes nothing is no news.
    fs::write(&watched.path, text("third")).unwrap();
    fs::write(watched.path.with_file_name("other"), "x").unwrap();
    watched.silent_until("fourth");
}

#[test]
fn a_change_that_came_before_the_watch_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zap.toml");
    fs::write(&path, text("first")).unwrap();
    let handler = Arc::new(PolicyHandler::new(Policy::from_file(&path).unwrap()));
    replace(&path, &text("second"));
    let (tell, told) = mpsc::channel();
    let tell = move |outcome: &Reload| tell.send(outcome.to_string()).unwrap_or_default();
    let _watch = watch(&path, handler.clone(), RECHECK, tell).unwrap();
    told.recv_timeout(SOON).unwrap();
    assert!(handler.policy().identity("second").is_some());
}

#[test]
fn a_swapped_link_is_followed_as_kubernetes_swaps_it() {
    let version = |folder: &Path, name: &str| {
        let dated = folder.join(format!("..{name}"));
        fs::create_dir(&dated).unwrap();
        fs::write(dated.join("zap.toml"), text(name)).unwrap();
        dated
    };
    let watched = Watched::start_in(|folder| {
        let dated = version(folder, "first");
        symlink(dated.file_name().unwrap(), folder.join("..data")).unwrap();
        symlink("..data/zap.toml", folder.join("zap.toml")).unwrap();
        folder.join("zap.toml")
    });
    let folder = watched.folder.path();
    for (old, new) in [("first", "second"), ("second", "third")] {
        let dated = version(folder, new);
        symlink(dated.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.join(format!("..{old}"))).unwrap();
        watched.applied(new);
    }
}

#[test]
fn a_link_to_a_file_elsewhere_is_watched_there() {
    let watched = Watched::start_in(|folder| {
        let elsewhere = folder.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::create_dir(folder.join("here")).unwrap();
        fs::write(elsewhere.join("policy"), text("first")).unwrap();
        let path = folder.join("here/zap.toml");
        symlink("../elsewhere/policy", &path).unwrap();
        path
    });
    let file = watched.folder.path().join("elsewhere/policy");
    replace(&file, &text("second"));
    watched.applied("second");
}

#[test]
fn a_file_or_a_directory_that_goes_and_comes_back_is_found() {
    let watched = Watched::start_in(|folder| {
        let path = folder.join("a/b/zap.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text("first")).unwrap();
        path
    });
    fs::remove_file(&watched.path).unwrap();
    watched.refused();
    fs::write(&watched.path, text("second")).unwrap();
    watched.applied("second");
    let above = watched.folder.path().join("a");
    fs::remove_dir_all(&above).unwrap();
    watched.refused();
    assert!(watched.handler.policy().identity("second").is_some());
    fs::create_dir_all(watched.path.parent().unwrap()).unwrap();
    fs::write(&watched.path, text("third")).unwrap();
    watched.applied("third");
}

/// Files that are wrong, each in its own way.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let good = text("first");
    let with = |from: &str, to: &str| good.replace(from, to).into_bytes();
    let twice = format!("{good}[identities.again]\ncurve = [\"{KEY}\"]\ndomains = [\"d\"]\n");
    vec![
        ("empty", Vec::new()),
        ("white space", b" \n\n".to_vec()),
        ("cut in a key", good.as_bytes()[..40].to_vec()),
        ("cut in a table", good.as_bytes()[..20].to_vec()),
        ("cut in a list", good.as_bytes()[..good.len() - 3].to_vec()),
        ("no version", with("version = 1\n", "")),
        ("another version", with("version = 1", "version = 2")),
        ("no identity", b"version = 1\n".to_vec()),
        ("a key twice", twice.into_bytes()),
        ("an unknown field", with("domains", "domain")),
        ("an empty list", with("[\"d\"]", "[]")),
        ("a wildcard", with("\"d\"", "\"*\"")),
        ("everything in a list", with("\"d\"", "\"everything\"")),
        ("a key of zeroes", with(KEY, &"0".repeat(40))),
        ("a key cut short", with(KEY, &KEY[1..])),
        ("a bad name", with("first", "First")),
        ("not UTF-8", [good.as_bytes(), &[0xff]].concat()),
        ("zeroes, as after a crash", vec![0; good.len()]),
        ("no TOML", b"<?xml version='1.0'?>".to_vec()),
        ("too large", vec![b'#'; (1 << 20) + 1]),
    ]
}

#[test]
fn a_broken_file_keeps_the_policy_in_force_and_is_told_once() {
    let watched = Watched::start();
    for (what, octets) in broken() {
        // A change of the same outcome is no news, so the last octets are put in their place at once.
        let beside = watched.path.with_extension("new");
        fs::write(&beside, octets).unwrap();
        fs::rename(&beside, &watched.path).unwrap();
        let error = watched.refused();
        assert!(
            error.contains("zap.toml") && !error.contains('\n'),
            "{what}: {error}"
        );
        assert!(
            watched.handler.policy().identity("first").is_some(),
            "{what}"
        );
        let touched = fs::metadata(&watched.path).unwrap().permissions();
        fs::set_permissions(&watched.path, touched).unwrap();
        replace(&watched.path, &text("first"));
        assert_eq!(watched.next(), Told::Unchanged, "{what}: good again");
    }
    watched.silent_until("second");
}

#[test]
fn a_file_that_others_could_have_written_keeps_the_policy_in_force() {
    let watched = Watched::start();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    fs::write(&watched.path, text("second")).unwrap();
    watched.applied("second");
    mode(&watched.path, 0o666);
    assert!(watched.refused().contains("writable"));
    mode(&watched.path, 0o644);
    assert_eq!(watched.next(), Told::Unchanged);
    mode(watched.folder.path(), 0o777);
    assert!(watched.refused().contains("writable"));
    mode(watched.folder.path(), 0o700);
    assert_eq!(watched.next(), Told::Unchanged);

    fs::remove_file(&watched.path).unwrap();
    fs::create_dir(&watched.path).unwrap();
    watched.refused();
    assert!(watched.handler.policy().identity("second").is_some());
    fs::remove_dir(&watched.path).unwrap();
    fs::write(&watched.path, text("third")).unwrap();
    while watched.next() != Told::Applied("third".to_owned()) {}
}

#[test]
fn a_reload_by_hand_takes_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zap.toml");
    fs::write(&path, text("first")).unwrap();
    let handler = PolicyHandler::new(Policy::from_file(&path).unwrap());
    assert!(matches!(handler.reload(&path), Reload::Unchanged));
    fs::write(&path, text("second")).unwrap();
    let Reload::Applied { before, now } = handler.reload(&path) else {
        panic!("not applied");
    };
    assert!(before.identity("first").is_some() && now.identity("second").is_some());
    fs::write(&path, "").unwrap();
    let refused = handler.reload(&path);
    assert!(
        refused.to_string().ends_with("the policy in force stays"),
        "{refused}"
    );
    assert_eq!(handler.policy().digest(), now.digest());
}

#[test]
fn a_noise_that_does_not_end_does_not_put_a_change_off() {
    let watched = Watched::start();
    let began = Instant::now();
    fs::write(&watched.path, text("second")).unwrap();
    let noisy = watched.path.clone();
    let (_stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let same = fs::metadata(&noisy).unwrap().permissions();
            fs::set_permissions(&noisy, same).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    watched.applied("second");
    assert!(began.elapsed() < SOON);
}
