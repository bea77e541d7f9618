//! Running the program.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_curvelink");

/// The words of a command line.
pub(crate) trait Words {
    fn words(self) -> Vec<OsString>;
}

/// A line, cut at white space.
impl Words for &str {
    fn words(self) -> Vec<OsString> {
        self.split_whitespace().map(OsString::from).collect()
    }
}

impl Words for String {
    fn words(self) -> Vec<OsString> {
        self.as_str().words()
    }
}

/// Words that may hold white space, or be empty.
impl<const N: usize> Words for [&str; N] {
    fn words(self) -> Vec<OsString> {
        self.map(OsString::from).into()
    }
}

/// What one run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The output of a run that must have ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// The one line of a run that must have failed with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {} err: {}", self.out, self.err);
        let lines: Vec<&str> = self
            .err
            .lines()
            .filter(|line| !line.starts_with("listening on "))
            .collect();
        let [line] = lines[..] else {
            panic!("{}", self.err)
        };
        assert!(line.starts_with("curvelink: "), "{line}");
        line.to_owned()
    }

    /// The output as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }
}

/// Runs the program in `dir` with nothing on standard input.
pub(crate) fn curvelink(dir: &Path, args: impl Words) -> Run {
    curvelink_with(dir, args, "")
}

/// Runs the program in `dir` with `input` on standard input.
pub(crate) fn curvelink_with(dir: &Path, args: impl Words, input: &str) -> Run {
    let mut command = Command::new(PROGRAM);
    command.args(args.words()).current_dir(dir);
    run(&mut command, input)
}

/// Runs a line of shell in `dir`, with the program on the PATH.
pub(crate) fn shell(dir: &Path, line: &str) -> Run {
    let folder = Path::new(PROGRAM).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    // What runs behind is waited for, and what never ends fails the test that began it.
    let mut command = Command::new("timeout");
    let line = format!("trap wait EXIT\n{line}");
    command.args(["120", "sh", "-c", &line]).current_dir(dir);
    command.env("PATH", format!("{}:{path}", folder.display()));
    run(&mut command, "")
}

fn run(command: &mut Command, input: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may end without having read: then there is nobody to write to.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().expect("it ends");
    Run {
        code: status.code().expect("an exit code, not a signal"),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    }
}

/// A run that goes on while the test does other things; killed when dropped.
pub(crate) struct Background {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Background {
    /// Starts the program in `dir`; standard error goes to the file `name.err` there.
    pub(crate) fn start(dir: &Path, name: &str, args: impl Words) -> Self {
        let mut command = Command::new(PROGRAM);
        Self::of(dir, name, command.args(args.words()))
    }

    /// Starts another program in the same way.
    pub(crate) fn of(dir: &Path, name: &str, command: &mut Command) -> Self {
        let errors = dir.join(format!("{name}.err"));
        let mut child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors).expect("a file"))
            .spawn()
            .expect("the program starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, out, errors }
    }

    /// Waits for the next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("text");
        assert!(
            !line.is_empty(),
            "it ended: {:?}",
            fs::read_to_string(&self.errors)
        );
        line
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as a service manager would, and waits: its exit code.
    pub(crate) fn terminate(&mut self) -> i32 {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        self.wait()
    }

    /// Waits for its end: its exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        self.child
            .wait()
            .expect("it ends")
            .code()
            .expect("an exit code, not a signal")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder made by `init`, with its hub running.
pub(crate) struct Site {
    _root: TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) hub: Background,
    pub(crate) ingest: String,
    pub(crate) feed: String,
}

impl Site {
    pub(crate) fn up() -> Self {
        Self::up_with("")
    }

    /// With more settings than `init` writes.
    pub(crate) fn up_with(settings: &str) -> Self {
        let (root, dir) = site();
        add_settings(&dir, settings);
        Self::up_in(root, dir)
    }

    /// In a folder that `init` made.
    pub(crate) fn up_in(root: TempDir, dir: PathBuf) -> Self {
        let mut hub = Background::start(&dir, "up", "up --json");
        let ready: serde_json::Value = serde_json::from_str(&hub.line()).expect("JSON");
        let endpoint = |name: &str| ready[name].as_str().expect("text").to_owned();
        let (ingest, feed) = (endpoint("ingest"), endpoint("feed"));
        Self {
            _root: root,
            dir,
            hub,
            ingest,
            feed,
        }
    }

    /// What the hub has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("up.err")).expect("text")
    }
}

impl Site {
    /// Waits until the hub has logged `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text} in: {}", self.log());
            std::thread::yield_now();
        }
    }
}

/// A folder made by `init`, for any ports.
pub(crate) fn site() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("a folder");
    curvelink(root.path(), "init demo --port 0").ok();
    let dir = root.path().join("demo");
    (root, dir)
}

/// Adds to the settings of a folder.
pub(crate) fn add_settings(dir: &Path, settings: &str) {
    let path = dir.join("curvelink.toml");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(path, format!("{text}\n{settings}")).expect("it is written");
}

/// The findings that the program carries.
pub(crate) fn findings() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/bandit.sarif"
    ))
}
