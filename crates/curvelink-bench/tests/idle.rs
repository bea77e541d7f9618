//! What a link costs the process that listens while nothing comes over it, seen from outside.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, iter};

use curvelink::{Context, Curve, KeyPair, Message, Options, Push, SecretKey, Socket};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use tokio::runtime::Builder;

/// What an idle link may cost, octets.
const BOUND: f64 = 12.0 * 1024.0;

/// Links enough that what a process costs without them is nothing beside them.
const LINKS: usize = 1000;

/// glibc keeps much of what is freed to use it again. Where links have freed something, it is told
/// to give all of that to the system: what links hold is to be seen, not what it holds.
const GIVE_BACK: &str = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:\
                         glibc.malloc.mmap_threshold=2048:glibc.malloc.top_pad=0:\
                         glibc.malloc.trim_threshold=4096";

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_idle_link_costs_at_most_12_kib() {
    for curve in [false, true] {
        let mut listener = Listener::start(LINKS, curve, "");
        let links = Process::start("conns-dial", LINKS, curve, listener.port, "");
        listener.wait_for_links();
        let each = listener.each(RESIDENT);
        eprintln!("{each:.0} octets of each, curve {curve}");
        // Less than this no link can cost: then something else was measured.
        assert!(each > 2048.0, "{each} octets, curve {curve}");
        assert!(each <= BOUND, "{each} octets, curve {curve}");
        drop((links, listener));
    }
}

#[test]
fn what_links_hold_is_seen() {
    let held = 16 * 1024;
    let mut listener = Listener::start(LINKS, false, "");
    let links = iter::repeat_with(|| half_a_message(listener.port, held));
    let links: Vec<_> = links.take(LINKS).collect();
    listener.wait_for_links();
    wait_until("all octets are held", || {
        listener.each(RESIDENT) >= held as f64
    });
    drop(links);
}

#[test]
fn a_link_that_was_busy_costs_no_more_than_an_idle_one_once_it_is_quiet() {
    for curve in [false, true] {
        let mut listener = Listener::start(LINKS, curve, GIVE_BACK);
        let context = Context::with_io_threads(1).unwrap();
        let links: Vec<_> = (0..LINKS)
            .map(|_| listener.connect(&context, curve))
            .collect();
        send(&links, 8, 1);
        listener.wait_for_links();
        send(&links, 64 * 1024, 3);
        wait_until("the links were busy", || {
            listener.each(MOST_RESIDENT) > 2.0 * BOUND
        });
        wait_until("the links are idle again", || {
            listener.each(RESIDENT) <= BOUND
        });
        assert!(
            links
                .iter()
                .all(|link| link.statistics().queued_to_peers == 0)
        );
    }
}

/// Looks until it is so; fails after a time that no machine needs.
fn wait_until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Lines of `/proc/PID/status`.
const RESIDENT: &str = "VmRSS:";
const MOST_RESIDENT: &str = "VmHWM:";

/// A PULL in a process of its own that keeps its connections, and drops what it receives.
struct Listener {
    process: Process,
    links: usize,
    port: u16,
    before: f64,
}

impl Listener {
    fn start(links: usize, curve: bool, tunables: &str) -> Self {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let port = free_port();
        let mut process = Process::start("conns-listen", links, curve, port, tunables);
        assert_eq!(process.line().trim_end(), "READY");
        let before = process.status(RESIDENT);
        Self {
            process,
            links,
            port,
            before,
        }
    }

    /// Until the first message of each has come.
    fn wait_for_links(&mut self) {
        let line = self.process.line();
        let result: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(result["n"], self.links, "{result}");
    }

    /// What a line of its status says beyond what it was without links, of each link, octets.
    fn each(&self, line: &str) -> f64 {
        (self.process.status(line) - self.before) / self.links as f64
    }

    fn connect(&self, context: &Context, curve: bool) -> Socket<Push> {
        let pair = |secret| KeyPair::from_secret(SecretKey::from_octets(&[secret; 32]).unwrap());
        let options = if curve {
            // The keys that `curvelink-peer` has.
            let server = pair(0x11).public();
            Options::new().security(Curve::client(pair(0x22), server))
        } else {
            Options::new()
        };
        let link = context.socket::<Push>(options);
        let endpoint = format!("tcp://127.0.0.1:{}", self.port);
        link.connect(&endpoint).unwrap();
        link
    }
}

struct Process {
    output: BufReader<ChildStdout>,
    /// Closed, it would tell the process to leave.
    _input: ChildStdin,
    child: Child,
}

impl Process {
    fn start(command: &str, links: usize, curve: bool, port: u16, tunables: &str) -> Self {
        let endpoint = format!("tcp://127.0.0.1:{port}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_curvelink-peer"))
            .args([command, "--endpoint", &endpoint, "--n", &links.to_string()])
            .args(["--stay", "--idle-ms", "60000"])
            .args(curve.then_some("--curve"))
            .env_remove("CURVELINK_FACE")
            .env("GLIBC_TUNABLES", tunables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built");
        Self {
            output: BufReader::new(child.stdout.take().unwrap()),
            _input: child.stdin.take().unwrap(),
            child,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Octets that a line of its status tells.
    fn status(&self, line: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kibi = status.lines().find_map(|text| text.strip_prefix(line));
        let kibi = kibi.and_then(|text| text.trim().strip_suffix(" kB"));
        1024.0 * kibi.unwrap().parse::<f64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed does not leave it behind either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(links: &[Socket<Push>], octets: usize, messages: usize) {
    let message = Message::from(vec![7; octets]);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for _ in 0..messages {
            for link in links {
                link.send(message.clone()).await.unwrap();
            }
        }
    });
}

/// A link without a library at the other end: a whole message, then part of one twice as long as
/// what comes of it.
fn half_a_message(port: u16, part: usize) -> TcpStream {
    let mut octets = vec![0; 64];
    octets[0] = 0xff;
    octets[9..12].copy_from_slice(&[0x7f, 3, 1]);
    octets[12..16].copy_from_slice(b"NULL");
    octets.extend(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH");
    octets.extend(b"\x00\x0812345678");
    octets.push(2);
    octets.extend((2 * part as u64).to_be_bytes());
    octets.extend(iter::repeat_n(7, part));
    let mut link = TcpStream::connect(("127.0.0.1", port)).unwrap();
    link.write_all(&octets).unwrap();
    link
}

fn free_port() -> u16 {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap().port()
}
