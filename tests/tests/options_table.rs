//! `docs/options.md`: every option of libzmq has a row, every row a method and a test or a reason,
//! and every method of ours a row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use curvelink::Options;
use curvelink_tests::proofs::{files, missing, named, root};
use curvelink_tests::python;

/// The socket options of libzmq 4.3.5 that are no drafts.
const SOCKET: &[(&str, u32)] = &[
    ("AFFINITY", 4),
    ("ROUTING_ID", 5),
    ("SUBSCRIBE", 6),
    ("UNSUBSCRIBE", 7),
    ("RATE", 8),
    ("RECOVERY_IVL", 9),
    ("SNDBUF", 11),
    ("RCVBUF", 12),
    ("RCVMORE", 13),
    ("FD", 14),
    ("EVENTS", 15),
    ("TYPE", 16),
    ("LINGER", 17),
    ("RECONNECT_IVL", 18),
    ("BACKLOG", 19),
    ("RECONNECT_IVL_MAX", 21),
    ("MAXMSGSIZE", 22),
    ("SNDHWM", 23),
    ("RCVHWM", 24),
    ("MULTICAST_HOPS", 25),
    ("RCVTIMEO", 27),
    ("SNDTIMEO", 28),
    ("LAST_ENDPOINT", 32),
    ("ROUTER_MANDATORY", 33),
    ("TCP_KEEPALIVE", 34),
    ("TCP_KEEPALIVE_CNT", 35),
    ("TCP_KEEPALIVE_IDLE", 36),
    ("TCP_KEEPALIVE_INTVL", 37),
    ("IMMEDIATE", 39),
    ("XPUB_VERBOSE", 40),
    ("ROUTER_RAW", 41),
    ("IPV6", 42),
    ("MECHANISM", 43),
    ("PLAIN_SERVER", 44),
    ("PLAIN_USERNAME", 45),
    ("PLAIN_PASSWORD", 46),
    ("CURVE_SERVER", 47),
    ("CURVE_PUBLICKEY", 48),
    ("CURVE_SECRETKEY", 49),
    ("CURVE_SERVERKEY", 50),
    ("PROBE_ROUTER", 51),
    ("REQ_CORRELATE", 52),
    ("REQ_RELAXED", 53),
    ("CONFLATE", 54),
    ("ZAP_DOMAIN", 55),
    ("ROUTER_HANDOVER", 56),
    ("TOS", 57),
    ("CONNECT_ROUTING_ID", 61),
    ("GSSAPI_SERVER", 62),
    ("GSSAPI_PRINCIPAL", 63),
    ("GSSAPI_SERVICE_PRINCIPAL", 64),
    ("GSSAPI_PLAINTEXT", 65),
    ("HANDSHAKE_IVL", 66),
    ("SOCKS_PROXY", 68),
    ("XPUB_NODROP", 69),
    ("XPUB_MANUAL", 71),
    ("XPUB_WELCOME_MSG", 72),
    ("STREAM_NOTIFY", 73),
    ("INVERT_MATCHING", 74),
    ("HEARTBEAT_IVL", 75),
    ("HEARTBEAT_TTL", 76),
    ("HEARTBEAT_TIMEOUT", 77),
    ("XPUB_VERBOSER", 78),
    ("CONNECT_TIMEOUT", 79),
    ("TCP_MAXRT", 80),
    ("THREAD_SAFE", 81),
    ("MULTICAST_MAXTPDU", 84),
    ("VMCI_BUFFER_SIZE", 85),
    ("VMCI_BUFFER_MIN_SIZE", 86),
    ("VMCI_BUFFER_MAX_SIZE", 87),
    ("VMCI_CONNECT_TIMEOUT", 88),
    ("USE_FD", 89),
    ("GSSAPI_PRINCIPAL_NAMETYPE", 90),
    ("GSSAPI_SERVICE_PRINCIPAL_NAMETYPE", 91),
    ("BINDTODEVICE", 92),
];

/// The context options of libzmq 4.3.5 that are no drafts.
const CONTEXT: &[(&str, u32)] = &[
    ("IO_THREADS", 1),
    ("MAX_SOCKETS", 2),
    ("SOCKET_LIMIT", 3),
    ("THREAD_PRIORITY", 3),
    ("THREAD_SCHED_POLICY", 4),
    ("MAX_MSGSZ", 5),
    ("MSG_T_SIZE", 6),
    ("THREAD_AFFINITY_CPU_ADD", 7),
    ("THREAD_AFFINITY_CPU_REMOVE", 8),
    ("THREAD_NAME_PREFIX", 9),
    ("IPV6", 42),
    ("BLOCKY", 70),
];

/// Names that libzmq 4.3.5 calls deprecated.
const DEPRECATED: &[(&str, u32)] = &[
    ("IDENTITY", 5),
    ("IPV4ONLY", 31),
    ("FAIL_UNROUTABLE", 33),
    ("ROUTER_BEHAVIOR", 33),
    ("TCP_ACCEPT_FILTER", 38),
    ("DELAY_ATTACH_ON_CONNECT", 39),
    ("IPC_FILTER_PID", 58),
    ("IPC_FILTER_UID", 59),
    ("IPC_FILTER_GID", 60),
    ("CONNECT_RID", 61),
];

/// The first number of a draft option.
const FIRST_DRAFT: u32 = 93;

/// Names for which pyzmq keeps a number that libzmq 4 does not take any more.
const NOT_OF_LIBZMQ_4: &[&str] = &["HWM"];

/// One option.
#[derive(Debug)]
struct Row {
    section: String,
    name: String,
    /// Of libzmq's; those of our own have none.
    number: Option<u32>,
    /// Our name: a type and a method, or why there is none.
    ours: String,
    cells: Vec<String>,
}

impl Row {
    fn parse(section: &str, line: &str) -> Option<Self> {
        let line = line.strip_prefix("| ")?.strip_suffix('|')?;
        let cells: Vec<String> = line
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        if cells[0] == "option" {
            return None;
        }
        let number = cells.get(1).and_then(|cell| cell.parse().ok());
        let ours = cells.get(1 + usize::from(number.is_some()))?.clone();
        Some(Self {
            section: section.to_owned(),
            name: cells[0].trim_matches('`').to_owned(),
            number,
            ours,
            cells,
        })
    }

    fn proof(&self) -> &str {
        self.cells.last().expect("cells")
    }

    /// What is wrong with it, if anything is.
    fn fault(&self, methods: &BTreeSet<String>) -> Option<String> {
        let fault = |what: &str| Some(format!("{}: {what}", self.name));
        if self.cells.len() != 6 + usize::from(self.number.is_some()) {
            return fault("not all its cells");
        }
        if self.cells.iter().any(|cell| cell.is_empty() || cell == "-") {
            return fault("an empty cell");
        }
        let tests = named(self.proof());
        if let Some(what) = missing(&tests) {
            return fault(&what);
        }
        if let Some(reason) = self.proof().strip_prefix("**Refused.** ") {
            return match (&*self.ours, reason.len()) {
                ("refused", 20..) => None,
                _ => fault("refused, and why is not said, or it has a method"),
            };
        }
        let method = self.ours.trim_matches('`');
        if !methods.contains(method) {
            return fault(&format!("there is no {method}"));
        }
        if tests.is_empty() {
            return fault("no test");
        }
        None
    }
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/options.md")).unwrap();
    let mut section = "";
    let mut rows = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("## ") {
            Some(title) => section = title,
            None => rows.extend(Row::parse(section, line)),
        }
    }
    rows
}

/// The public functions of the sources, as `Type::method`: the type of the `impl` they stand in.
fn methods() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files("crates", &["rs"]) {
        let text = fs::read_to_string(file).unwrap();
        let mut of = String::new();
        for line in text.lines() {
            if let Some(header) = line.strip_prefix("impl") {
                of = implemented(header);
            } else if let Some(name) = public(line) {
                found.insert(format!("{of}::{name}"));
            }
        }
    }
    // Derived and blanket ones have no line of their own.
    found.insert("Socket::clone".to_owned());
    found
}

/// The type of `impl<K: Sends> Socket<K> {`.
fn implemented(header: &str) -> String {
    let header = header.split(" for ").last().unwrap_or(header);
    let header = without_parameters(header);
    let word = header.trim().split(['<', ' ', '{']).next();
    word.unwrap_or_default().to_owned()
}

/// What follows the `<…>` that an `impl` may begin with.
fn without_parameters(header: &str) -> &str {
    let mut depth = 0;
    for (at, character) in header.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &header[at + usize::from(at > 0)..];
        }
    }
    header
}

/// The name of a method that is public: of `    pub const fn linger(mut self, …`.
fn public(line: &str) -> Option<&str> {
    let line = line.strip_prefix("    pub ")?;
    let (words, rest) = line.split_once("fn ")?;
    let known = words
        .split(' ')
        .all(|word| ["", "const", "async"].contains(&word));
    let name = rest.split(['(', '<']).next()?;
    known.then_some(name)
}

#[test]
fn every_option_has_a_method_and_a_test_or_a_reason() {
    let (rows, methods) = (rows(), methods());
    assert!(rows.len() > 100, "the table is read: {}", rows.len());
    let faults: Vec<String> = rows.iter().filter_map(|row| row.fault(&methods)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let refused = rows.iter().filter(|row| row.ours == "refused").count();
    println!("{} options, {refused} refused", rows.len());
}

#[test]
fn every_option_of_libzmq_has_a_row() {
    let rows = rows();
    for (section, official) in [
        ("Socket options", SOCKET),
        ("Context options", CONTEXT),
        ("Deprecated names", DEPRECATED),
    ] {
        let told: Vec<(&str, u32)> = rows
            .iter()
            .filter(|row| row.section == section)
            .map(|row| (&*row.name, row.number.expect("a number")))
            .collect();
        assert_eq!(told, official, "{section}");
    }
    let drafts = rows
        .iter()
        .filter(|row| row.section == "Draft options that are offered");
    for row in drafts {
        assert!(row.number.is_some_and(|number| number >= FIRST_DRAFT));
    }
}

#[test]
fn every_option_of_ours_has_a_row() {
    let told: BTreeSet<String> = rows()
        .iter()
        .map(|row| row.ours.trim_matches('`').to_owned())
        .collect();
    let builders = methods()
        .into_iter()
        .filter(|method| method.starts_with("Options::") && method != "Options::new");
    let untold: Vec<String> = builders.filter(|method| !told.contains(method)).collect();
    assert!(untold.is_empty(), "no row: {untold:?}");
}

/// Options with a number or a time for a default: the row, what it says, and how `Options` shows
/// the same.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("LINGER", "5 s", "linger: 5s"),
    ("RECONNECT_IVL", "100 ms", "reconnect_interval: 100ms"),
    ("RECONNECT_IVL_MAX", "10 s", "reconnect_interval_max: 10s"),
    ("BACKLOG", "1024", "backlog: 1024"),
    ("MAXMSGSIZE", "16 MiB", "message: 16777216"),
    ("SNDHWM", "1000", "send_hwm: 1000"),
    ("RCVHWM", "1000", "recv_hwm: 1000"),
    ("RCVTIMEO", "for ever", "recv_timeout: None"),
    ("SNDTIMEO", "for ever", "send_timeout: None"),
    ("ROUTER_MANDATORY", "off", "router_mandatory: false"),
    ("TCP_KEEPALIVE", "the system's choice", "keepalive: None"),
    ("IMMEDIATE", "off", "immediate: false"),
    ("IPV6", "off", "ipv6: false"),
    ("MECHANISM", "NULL", "mechanism: Null(())"),
    ("PROBE_ROUTER", "off", "probe_router: false"),
    ("REQ_CORRELATE", "off", "req_correlate: false"),
    ("REQ_RELAXED", "off", "req_relaxed: false"),
    ("CONFLATE", "off", "conflate: false"),
    ("ZAP_DOMAIN", "empty", "zap_domain: \"\""),
    ("ROUTER_HANDOVER", "off", "router_handover: false"),
    ("TOS", "0", "type_of_service: 0"),
    ("HANDSHAKE_IVL", "5 s", "handshake_timeout: 5s"),
    ("SOCKS_PROXY", "empty", "socks_proxy: \"\""),
    ("XPUB_NODROP", "off", "nodrop: false"),
    ("XPUB_MANUAL", "off", "manual: false"),
    ("STREAM_NOTIFY", "on", "stream_notify: true"),
    ("INVERT_MATCHING", "off", "invert: false"),
    ("HEARTBEAT_IVL", "30 s", "interval: 30s"),
    ("HEARTBEAT_TTL", "not told", "ttl: 0ns"),
    ("HEARTBEAT_TIMEOUT", "30 s", "timeout: 30s"),
    ("CONNECT_TIMEOUT", "10 s", "connect_timeout: 10s"),
    ("time for the policy", "2 s", "zap_timeout: 2s"),
    (
        "what a refused peer is told",
        "`OnDeny::Error`",
        "on_deny: Error",
    ),
    (
        "clear text beyond this host",
        "not allowed",
        "clear_text: false",
    ),
    ("octets in queues", "64 MiB", "queue_octets: 67108864"),
    ("frames of a message", "1024", "frames: 1024"),
    ("time for the greeting", "2 s", "greeting_timeout: 2s"),
    ("wait after a refusal", "60 s", "refused_interval: 60s"),
    ("handshakes at once", "256", "max_handshakes: 256"),
    (
        "what one source may do before it is ready",
        "16 handshakes for each listener; 10 new connections in a second after 20 at once; 5 \
         failures in 60 s are a penalty of 60 s, doubling to 10 min",
        "handshakes: 16, rate: 10, burst: 20, failures: 5, window: 60s, penalty: 60s, \
         penalty_max: 600s",
    ),
    ("mode of an ipc file", "0600", "ipc_mode: 384"),
];

#[test]
fn the_defaults_of_the_table_are_those_of_options() {
    let rows = rows();
    let shown = format!("{:?}", Options::new());
    for (name, told, shows) in DEFAULTS {
        let row = rows.iter().find(|row| row.name == *name).expect(name);
        let default = &row.cells[row.cells.len() - 3];
        let same = default == told || default.starts_with(&format!("{told} ("));
        assert!(
            same || default.starts_with(&format!("{told},")),
            "{name}: {default}"
        );
        let part = [format!(" {shows},"), format!(" {shows} ")];
        assert!(
            part.iter().any(|part| shown.contains(part)),
            "{name}: {shown}"
        );
    }
}

#[test]
fn the_list_of_libzmq_is_the_one_that_pyzmq_knows() {
    let Ok(python) = python::environment() else {
        return;
    };
    let script = "import zmq\n\
                  from zmq.constants import ContextOption, SocketOption\n\
                  print(zmq.zmq_version())\n\
                  for kind in (SocketOption, ContextOption):\n\
                  \x20for name, option in kind.__members__.items():\n\
                  \x20\x20print(kind.__name__, name, option.value)\n";
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (version, list) = text.split_once('\n').unwrap();
    assert_eq!(version.trim(), "4.3.5");

    let all: BTreeMap<(String, u32), &str> = rows()
        .into_iter()
        .filter_map(|row| Some(((row.name, row.number?), "")))
        .collect();
    let mut seen = 0;
    for line in list.lines() {
        let [kind, name, number] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let number: u32 = number.parse().unwrap();
        let told = all.contains_key(&(name.to_owned(), number));
        let draft = kind == "SocketOption" && number >= FIRST_DRAFT;
        assert!(told || draft || NOT_OF_LIBZMQ_4.contains(&name), "{line}");
        // Where we offer a draft option, its number is right.
        let named = all.keys().any(|(known, _)| known == name);
        assert_eq!(named && !NOT_OF_LIBZMQ_4.contains(&name), told, "{line}");
        seen += 1;
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn a_row_with_a_fault_would_be_found() {
    let methods = BTreeSet::from(["Options::linger".to_owned()]);
    let link = "[`a_row_with_a_fault_would_be_found`](../tests/tests/options_table.rs)";
    let fault = |line: &str| Row::parse("x", line).expect("a row").fault(&methods);
    let good = format!("| `LINGER` | 17 | `Options::linger` | times | 5 s | none | {link} |");
    assert_eq!(fault(&good), None);
    let refused =
        "| `RATE` | 8 | refused | numbers | 100 | none | **Refused.** Because nobody can do it. |";
    assert_eq!(fault(refused), None);
    for bad in [
        good.replace("times", ""),
        good.replace("times", "-"),
        good.replace("| none", ""),
        good.replace("Options::linger", "Options::lingers"),
        good.replace("a_row_with_a_fault", "a_row_without_a_fault"),
        good.replace(link, "see there"),
        refused.replace("Because nobody can do it.", "No."),
        refused.replace("refused |", "`Options::linger` |"),
        refused.replace(
            "do it.",
            "do it: [`no_such_test`](../tests/tests/options_table.rs).",
        ),
    ] {
        assert!(fault(&bad).is_some(), "{bad}");
    }
}

#[test]
fn methods_are_found_with_their_types() {
    let all = methods();
    for method in [
        "Options::linger",
        "Socket::subscribe",
        "Context::with_io_threads",
    ] {
        assert!(all.contains(method), "{method}");
    }
    assert_eq!(implemented("<K: Sends> Socket<K> {"), "Socket");
    assert_eq!(implemented(" Mechanism for Curve {"), "Curve");
    assert_eq!(implemented(" Options {"), "Options");
    assert_eq!(implemented(" Socket<Sub> {"), "Socket");
    assert_eq!(
        implemented("<M: Into<Vec<u8>>> From<M> for Frame {"),
        "Frame"
    );
    assert_eq!(public("    pub(crate) fn check(&self)"), None);
    assert_eq!(public("    pub const fn linger(mut self)"), Some("linger"));
    assert_eq!(public("    pub fn named<K: Kind>(self)"), Some("named"));
}
