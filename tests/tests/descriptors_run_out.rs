//! A process that has no file descriptor left.
//!
//! It is this program itself, started by a shell that lowers the limit: see
//! [`a_process_with_few_descriptors`].
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use curvelink::{Context, LinkEventKind, Pull, Push};
use curvelink_tests::support::{bind_tcp, deadline, event, number, peers, quick};

const ROLE: &str = "CURVELINK_DESCRIPTORS";
const LIMIT: &str = "80";

/// The errno of a process that has too many open files.
const EMFILE: i32 = 24;

#[test]
fn a_listener_without_descriptors_neither_spins_nor_stops_for_good() {
    let _deadline = deadline();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n \"$2\" && exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["a_process_with_few_descriptors", LIMIT])
        .env(ROLE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{output:?}");
    assert!(said.contains("it went on"), "{said}");
}

/// Does nothing unless it is started by the test above.
#[tokio::test]
async fn a_process_with_few_descriptors() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let processors = Processors::open();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick().greeting_timeout(Duration::from_secs(60)));
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    let push = context.socket::<Push>(quick());
    push.connect(&endpoint).unwrap();
    peers(&pull, 1).await;

    // Nothing is accepted while this does not wait: the kernel has them all.
    let address = endpoint.trim_start_matches("tcp://");
    let mut strangers: Vec<TcpStream> = std::iter::repeat_with(|| TcpStream::connect(address))
        .map_while(Result::ok)
        .collect();
    let all = strangers.len();
    assert!((20..80).contains(&all), "{all}");
    let start = Instant::now();
    let before = processors.time();
    for i in 0..20 {
        let code = event(&mut monitor, |event| match event.kind {
            LinkEventKind::AcceptFailed { error } => Some(error.code),
            _ => None,
        });
        assert_eq!(code.await, Some(EMFILE));
        push.send(i.to_string()).await.unwrap();
        assert_eq!(number(&pull.recv().await.unwrap()), i, "links go on");
        if start.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    let (time, spent) = (start.elapsed(), processors.time() - before);
    assert!(time > Duration::from_millis(900), "a pause each: {time:?}");
    assert!(spent * 4 < time, "{spent:?} of {time:?}");

    // Those that were waiting were closed one by one, and not left without an answer.
    strangers[0]
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    assert_eq!(strangers[0].read(&mut [0]).unwrap_or(0), 0);

    drop(strangers);
    let other = context.socket::<Push>(quick());
    other.connect(&endpoint).unwrap();
    peers(&pull, 2).await;
    println!("it went on");
}

/// What this process has had of the processors: a file that is open before none can be opened.
struct Processors(File);

impl Processors {
    fn open() -> Self {
        Self(File::open("/proc/self/stat").unwrap())
    }

    fn time(&self) -> Duration {
        let mut octets = [0; 1024];
        let length = self.0.read_at(&mut octets, 0).unwrap();
        let stat = String::from_utf8_lossy(&octets[..length]).into_owned();
        // The name before may have spaces; two fields of hundredths of a second, 11 further on.
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>());
        Duration::from_millis(ticks.map(Result::unwrap).sum::<u64>() * 10)
    }
}
