//! A journal in a folder of its own, and a clock that a test turns.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curvelink_audit::{
    Clock, Journal, JournalError, JournalReader, JournalSettings, Origin, Receipt, Record, Report,
    VerifyOptions, verify,
};
use curvelink_proto::{EventId, SecurityEvent};
use curvelink_tlog::NoteSigner;
use tempfile::TempDir;

pub const ORIGIN: &str = "hub.example/audit";

/// A journal's folder and key file; both are gone with it.
#[derive(Debug)]
pub struct Place {
    pub folder: TempDir,
    pub anchor: String,
}

impl Place {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: JournalSettings) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), settings)
    }

    pub fn within(folder: TempDir, settings: JournalSettings) -> Self {
        let (audit, key) = paths(folder.path());
        let anchor = Journal::create(&audit, &key, ORIGIN, settings).expect("a journal");
        Self { folder, anchor }
    }

    pub fn audit(&self) -> PathBuf {
        paths(self.folder.path()).0
    }

    pub fn key(&self) -> PathBuf {
        paths(self.folder.path()).1
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.audit().join(name)
    }

    pub fn open(&self, settings: JournalSettings) -> Result<Journal, JournalError> {
        Journal::open(&self.audit(), &self.key(), settings)
    }

    pub fn open_at(&self, settings: JournalSettings, clock: &Arc<TestClock>) -> Journal {
        let clock: Arc<dyn Clock> = clock.clone();
        Journal::open_with(&self.audit(), &self.key(), settings, clock).expect("opens")
    }

    /// Opens, appends so many records, and closes.
    pub fn fill(&self, count: u64) {
        let journal = self.open(settings()).expect("opens");
        append(&journal, count);
        journal.close().expect("closes");
    }

    pub fn options(&self) -> VerifyOptions {
        VerifyOptions::new(self.anchor.parse().expect("an anchor"))
    }

    pub fn verify(&self) -> Report {
        verify(&self.audit(), &self.options(), &mut ()).expect("readable")
    }

    pub fn reader(&self) -> JournalReader {
        JournalReader::open(&self.audit()).expect("a journal")
    }

    /// Every file below the journal's folder, by its name there.
    pub fn files(&self) -> Vec<String> {
        let root = self.audit();
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below").to_str();
                    found.push(name.expect("text").to_owned());
                }
            }
        }
        found.sort();
        found
    }

    /// A copy of the folder and the key as they are now.
    pub fn copy(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(self.folder.path(), folder.path());
        let anchor = self.anchor.clone();
        Self { folder, anchor }
    }
}

/// The key of the epoch, as a thief finds it.
pub fn stolen_key(place: &Place) -> NoteSigner {
    let text = fs::read_to_string(place.key()).expect("a key");
    let seed = STANDARD.decode(text.lines().nth(3).expect("a seed"));
    let seed = seed.expect("base64").try_into().expect("32 octets");
    NoteSigner::from_seed(ORIGIN, &seed).expect("a key")
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

pub fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("audit"), folder.join("epoch.key"))
}

pub fn settings() -> JournalSettings {
    let mut settings = JournalSettings::default();
    settings.origin = Origin::new("hub.example", "b007", "curvelink 0.1.0");
    settings
}

pub fn record(number: u64) -> Record {
    let mut event = SecurityEvent::new(EventId::Subscription, UNIX_EPOCH);
    event.topic = Some(format!("topic {number}").into());
    Record::from(&event)
}

/// Appends records numbered from 0 on and waits for all.
pub fn append(journal: &Journal, count: u64) {
    let receipts: Vec<Receipt> = (0..count).map(|it| journal.append(record(it))).collect();
    for receipt in receipts {
        receipt.wait().expect("written");
    }
}

/// Stands still until it is turned.
#[derive(Debug, Default)]
pub struct TestClock {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl TestClock {
    pub fn at(wall: Duration) -> Arc<Self> {
        let clock = Self::default();
        clock.jump(wall);
        Arc::new(clock)
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        let ms = time.as_millis() as u64;
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock is set.
    pub fn jump(&self, wall: Duration) {
        self.wall_ms
            .store(wall.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::Relaxed))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }
}

/// A file system of its own that holds so little; `None` where this test may not have one.
#[derive(Debug)]
pub struct Small(TempDir);

impl Small {
    pub fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("SKIPPED: only root may mount a small file system");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", options])
            .arg(self.0.path())
            .status();
        assert!(status.expect("mount runs").success(), "{options}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
