//! Another user of this host who sits where a server is expected (L3).
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use curvelink::{BindError, Context, Curve, Pull, Push, Reason, Side};
use curvelink_tests::interop::Skipped;
use curvelink_tests::support::{deadline, keys, quick, refusal};
use tempfile::TempDir;

/// The user `nobody`.
const NOBODY: u32 = 65534;

/// A program of another user's that listens.
struct Squatter {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Squatter {
    /// Starts it, and says where it listens; `None` where this process cannot be two users.
    fn start(arguments: &[&str]) -> Option<(Self, String)> {
        let program =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/squatter.py"));
        let mut command = Command::new("python3");
        command
            .arg("-c")
            .arg(program.expect("the program"))
            .args(arguments);
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            Skipped::because("a second user", "needs root and python3");
            return None;
        };
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        let (uid, at) = line.trim().split_once(' ').expect("its user, and where");
        assert_eq!(uid, NOBODY.to_string());
        Some((Self { child, lines }, at.to_owned()))
    }

    /// Everything that it heard.
    fn heard(mut self) -> String {
        let mut heard = String::new();
        self.lines.read_line(&mut heard).expect("what it heard");
        assert!(self.child.wait().expect("its end").success());
        heard.trim().to_owned()
    }
}

fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    folder
}

async fn learns_nothing(squatter: Squatter, endpoint: &str) {
    let context = Context::new().unwrap();
    let server = keys().public();
    let push = context.socket::<Push>(quick().security(Curve::client(keys(), server)));
    let mut events = push.monitor();
    push.connect(endpoint).unwrap();
    push.send("precious").await.unwrap();
    let (_, refusal) = refusal(&mut events).await;
    assert_eq!(
        (refusal.by, refusal.reason, refusal.fingerprint),
        (Side::Us, Reason::Malformed, None),
        "{refusal}"
    );
    push.close();
    let heard = tokio::task::spawn_blocking(|| squatter.heard());
    let heard = heard.await.unwrap();
    assert_eq!(heard.len() / 2, 64 + 2 + 200, "greeting and HELLO: {heard}");
    let words: String = b"precious"
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert!(!heard.contains(&words));
}

#[tokio::test]
async fn l3_whoever_sits_on_a_tcp_port_learns_nothing_from_a_client_that_pins_its_server() {
    let _deadline = deadline();
    let Some((squatter, port)) = Squatter::start(&["tcp"]) else {
        return;
    };
    let endpoint = format!("tcp://127.0.0.1:{port}");
    let context = Context::new().unwrap();
    let bound = context.socket::<Pull>(quick()).bind(&endpoint);
    assert!(matches!(bound, Err(BindError::Io(_))), "the server is told");
    learns_nothing(squatter, &endpoint).await;
}

#[tokio::test]
async fn l3_whoever_sits_on_an_ipc_path_learns_nothing_and_keeps_it() {
    let _deadline = deadline();
    let folder = open_folder();
    let path = folder.path().join("s");
    let path = path.to_str().unwrap();
    let Some((squatter, _)) = Squatter::start(&["ipc", path]) else {
        return;
    };
    let endpoint = format!("ipc://{path}");
    let context = Context::new().unwrap();
    let bound = context.socket::<Pull>(quick()).bind(&endpoint);
    assert!(matches!(bound, Err(BindError::Io(_))), "the server is told");
    assert_eq!(fs::metadata(path).unwrap().uid(), NOBODY, "not replaced");
    learns_nothing(squatter, &endpoint).await;
}

#[tokio::test]
async fn l3_nobody_else_can_sit_on_a_path_below_a_folder_of_ones_own() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mut command = Command::new("python3");
    command.args([
        "-c",
        "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
    ]);
    command
        .arg(&path)
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .stderr(Stdio::piped());
    let Ok(output) = command.output() else {
        Skipped::because("a second user", "needs root and python3");
        return;
    };
    assert!(!output.status.success() && !path.exists());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("PermissionError"), "{said}");
}
