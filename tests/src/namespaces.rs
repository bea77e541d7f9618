//! Two network namespaces with a link between them, bad or good, and processes of a test inside.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::interop::{self, Skipped};

/// How long a process may take to say a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// The environment variable that tells a process what it is.
pub const ROLE: &str = "CURVELINK_ROLE";

/// A link that does nothing to packets, as fast as the kernel is, until its input ends. Namespace
/// `a` may connect from any address of 10.215.0.0/16 too.
const DIRECT_LINK: &str = r#"
    trap '' INT TERM
    ip netns add "$1-a" && ip netns add "$1-b" &&
    ip -n "$1-a" link add veth0 type veth peer name veth0 netns "$1-b" &&
    ip -n "$1-a" addr add 10.213.0.1/24 dev veth0 &&
    ip -n "$1-b" addr add 10.213.0.2/24 dev veth0 &&
    for side in a b; do
        ip -n "$1-$side" link set veth0 up && ip -n "$1-$side" link set lo up || exit
    done &&
    ip -n "$1-a" route add local 10.215.0.0/16 dev lo &&
    ip -n "$1-b" route add 10.215.0.0/16 via 10.213.0.1 && echo ready && cat
    ip netns del "$1-a"; ip netns del "$1-b"
"#;

/// Namespace `a` has 10.213.0.1 and .11, `b` .2 and .12. The link between them is a Python program,
/// which loses, delays and reorders packets as the kernel's `netem` would where there is one. It
/// removes all when this is dropped, or when this process dies.
#[derive(Debug)]
pub struct Network {
    name: String,
    link: Talk,
}

impl Network {
    /// Makes the namespaces.
    ///
    /// # Errors
    /// [`Skipped`] without root, `ip`, Python or `/dev/net/tun`.
    ///
    /// # Panics
    /// Instead of returning [`Skipped`], when `CURVELINK_REQUIRE_INTEROP=1` is set.
    pub fn start() -> Result<Self, Skipped> {
        let python = interop::program("python3", "--version")?;
        if fs::metadata("/dev/net/tun").is_err() {
            return Err(skip("there is no /dev/net/tun"));
        }
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/python/lossy_link.py");
        Self::with(Command::new(python).arg(program))
    }

    /// Makes namespaces with a good link, of one address each: 10.213.0.1 and .2; `a` connects from
    /// any of 10.215.0.0/16 as well.
    ///
    /// # Errors
    /// [`Skipped`] without root, `ip` or virtual Ethernet.
    ///
    /// # Panics
    /// As [`start`](Self::start) does.
    pub fn direct() -> Result<Self, Skipped> {
        Self::with(Command::new("sh").args(["-c", DIRECT_LINK, "sh"]))
    }

    fn with(link: &mut Command) -> Result<Self, Skipped> {
        interop::program("ip", "-V")?;
        if fs::metadata("/proc/self").map_or(1, |own| own.uid()) != 0 {
            return Err(skip("only root may make them"));
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("curvelink-{}-{next}", std::process::id());
        let link = Talk::start(link.arg(&name)).map_err(|error| skip(&error.to_string()))?;
        match link.next() {
            Some(line) if line == "ready" => Ok(Self { name, link }),
            _ => Err(skip("the kernel does not let us")),
        }
    }

    /// Tells the link what to do: `loss 0.1`, `delay 0.01`, `cut`, `restore`.
    ///
    /// # Panics
    /// If the link has ended.
    pub fn say(&mut self, command: &str) {
        self.link.say(command);
    }

    /// Writes what `/etc/hosts` says to the processes of a side, those that run included.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn set_hosts(&self, side: char, hosts: &str) {
        let folder = PathBuf::from("/etc/netns").join(format!("{}-{side}", self.name));
        fs::create_dir_all(&folder).expect("a folder");
        // In place: a process that runs has the file itself, not its name.
        fs::write(folder.join("hosts"), hosts).expect("a file");
    }

    /// Starts the test `name` of this very program within a side, telling it its role.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn process(&self, side: char, name: &str, role: &str) -> Talk {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("{}-{side}", self.name)])
            .arg(std::env::current_exe().expect("a program"))
            .args(["--exact", name, "--nocapture"])
            .env(ROLE, role);
        Talk::start(&mut command).expect("it starts")
    }
}

fn skip(reason: &str) -> Skipped {
    Skipped::because("network namespaces", reason)
}

/// A process that is told lines, and says some that begin with `@` (or, if it is the link, any).
#[derive(Debug)]
pub struct Talk {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Talk {
    fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let (said, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test harness says things of its own, and does not end every line.
                let line = line.split_once('@').map_or(&*line, |(_, ours)| ours);
                if said.send(line.to_owned()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            input: process.stdin.take(),
            process,
            lines,
        })
    }

    /// # Panics
    /// If the process has ended.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{line}").expect("it lives");
    }

    fn next(&self) -> Option<String> {
        self.lines.recv_timeout(PATIENCE).ok()
    }

    /// What follows `word` on the next line that begins with it; other lines are skipped.
    ///
    /// # Panics
    /// If none comes in time.
    #[track_caller]
    pub fn hear(&self, word: &str) -> String {
        loop {
            let line = self.next();
            let line = line.unwrap_or_else(|| panic!("{word:?} was not said in time"));
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }
}

/// Its input ends, which is its end; one that does not take the hint is killed.
impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.input.take());
        for _ in 0..500 {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _died_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}
