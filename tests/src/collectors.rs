//! Collectors that we did not write: rsyslog and systemd's journal, each in a folder of its own.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::interop::{self, Skipped};

/// How long a collector may take to write what it was sent.
const PATIENCE: Duration = Duration::from_secs(60);

/// An rsyslogd that writes `out.json` in its folder: an object in each line.
#[derive(Debug)]
pub struct Rsyslog {
    process: Ended,
    folder: TempDir,
    records: Vec<Value>,
    /// Octets of its output that are in `records`.
    read: u64,
}

impl Rsyslog {
    /// Starts it where Debian's packages are there, with what `configure` writes for a folder.
    ///
    /// # Errors
    /// [`Skipped`] without rsyslogd, or one of its modules that the configuration loads.
    ///
    /// # Panics
    /// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
    pub fn start(configure: impl FnOnce(&Path) -> String) -> Result<Self, Skipped> {
        interop::program("rsyslogd", "-v")?;
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        let own = format!(
            "global(workDirectory=\"{}\" net.enableDNS=\"off\" maxMessageSize=\"64k\")\n",
            work.display()
        );
        let path = folder.path().join("rsyslog.conf");
        fs::write(&path, own + &configure(folder.path())).unwrap();
        let check = Command::new("rsyslogd")
            .args(["-N1", "-f"])
            .arg(&path)
            .output();
        let check = check.unwrap();
        if !check.status.success() {
            let said = String::from_utf8_lossy(&check.stderr).replace('\n', "; ");
            return Err(Skipped::because("rsyslogd with its modules", &said));
        }
        Ok(Self {
            process: Self::spawn(folder.path()),
            folder,
            records: Vec::new(),
            read: 0,
        })
    }

    fn spawn(folder: &Path) -> Ended {
        // One that was killed left its pid file.
        let pid = folder.join("work/pid");
        let _ = fs::remove_file(&pid);
        Ended::start(
            folder,
            Command::new("setpriv")
                .args(["--pdeathsig=KILL", "rsyslogd", "-n", "-f"])
                .arg(folder.join("rsyslog.conf"))
                .arg("-i")
                .arg(pid),
        )
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it; what it has not written is lost.
    pub fn stop(&mut self) {
        self.process.end();
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.process = Self::spawn(self.folder.path());
    }

    /// What it has written so far.
    ///
    /// # Panics
    /// When it has ended by itself.
    pub fn records(&mut self) -> &[Value] {
        self.process.assert_runs();
        let Ok(mut file) = File::open(self.folder.path().join("out.json")) else {
            return &self.records;
        };
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut more = String::new();
        file.read_to_string(&mut more).unwrap();
        let whole = more.split_inclusive('\n');
        for line in whole.filter(|line| line.ends_with('\n')) {
            self.read += line.len() as u64;
            self.records.push(serde_json::from_str(line).unwrap());
        }
        &self.records
    }

    /// Waits until it has written what is wanted.
    ///
    /// # Panics
    /// After a minute, or when it has ended by itself.
    pub fn wait(&mut self, wanted: impl Fn(&[Value]) -> bool) -> &[Value] {
        patiently(|| wanted(self.records()));
        &self.records
    }
}

/// A systemd-journald that has a `/run` of its own.
#[derive(Debug)]
pub struct Journald {
    process: Ended,
    folder: TempDir,
}

/// In namespaces of its own: this host's journal, if it has one, is another.
const JOURNALD: &str = r#"
    mount --bind "$1/run" /run && mount --bind "$1/machine-id" /etc/machine-id &&
    exec setpriv --pdeathsig=KILL /lib/systemd/systemd-journald
"#;

impl Journald {
    /// Starts it, for root alone, and waits until it listens.
    ///
    /// # Errors
    /// [`Skipped`] without systemd-journald or the right to mount.
    ///
    /// # Panics
    /// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
    pub fn start() -> Result<Self, Skipped> {
        interop::program("journalctl", "--version")?;
        // It has no argument that would only make it say what it is.
        if fs::metadata("/lib/systemd/systemd-journald").is_err() {
            return Err(Skipped::because("systemd-journald", "it is not installed"));
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("run/systemd/journald.conf.d");
        fs::create_dir_all(&settings).unwrap();
        fs::write(
            settings.join("test.conf"),
            "[Journal]\nStorage=volatile\nReadKMsg=no\nRateLimitIntervalSec=0\n",
        )
        .unwrap();
        let id = folder.path().join("machine-id");
        fs::write(id, "c0ffee00c0ffee00c0ffee00c0ffee00\n").unwrap();
        let process = Ended::start(
            folder.path(),
            Command::new("unshare")
                .args(["--mount", "sh", "-c", JOURNALD, "sh"])
                .arg(folder.path()),
        );
        let mut started = Self { process, folder };
        let since = Instant::now();
        while !started.socket().exists() {
            if started.process.has_ended() || since.elapsed() > PATIENCE {
                let said = fs::read_to_string(started.folder.path().join("said"));
                let said = said.unwrap_or_default().replace('\n', "; ");
                return Err(Skipped::because("systemd-journald by itself", &said));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(started)
    }

    /// Where it listens to the native protocol.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/systemd/journal/socket")
    }

    /// Where its files are, for `journalctl -D`.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("run/log/journal")
    }

    /// What `journalctl` makes of it, given these arguments.
    ///
    /// # Panics
    /// When it has ended by itself, or journalctl fails.
    pub fn read(&mut self, arguments: &[&str]) -> Vec<Value> {
        self.process.assert_runs();
        let mut read = Command::new("journalctl");
        read.args(["--no-pager", "-o", "json", "-D"])
            .arg(self.files());
        let output = read.args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until it has what is wanted.
    ///
    /// # Panics
    /// After a minute, or when it has ended by itself.
    pub fn wait(&mut self, arguments: &[&str], wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut found = Vec::new();
        patiently(|| {
            found = self.read(arguments);
            wanted(&found)
        });
        found
    }
}

/// Files of other programs: nothing tells when they grow.
fn patiently(mut is_done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_done() {
        assert!(since.elapsed() < PATIENCE, "it has not come in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with this, and with the thread that started it.
#[derive(Debug)]
struct Ended(Child);

impl Ended {
    /// What it says goes to the file `said` of the folder.
    fn start(folder: &Path, command: &mut Command) -> Self {
        let said = File::create(folder.join("said")).unwrap();
        let process = command
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn();
        Self(process.unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    fn assert_runs(&mut self) {
        assert!(!self.has_ended(), "the collector has ended");
    }

    fn end(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}
