//! Sinks that are slow, away and gone, and what is told of that.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use curvelink::{
    Context, Curve, EventId, KeyPair, Options, OsEntropy, Pull, SecurityEvent, SecurityEvents,
};
use curvelink_audit::{Journal, JournalSettings, Record};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UnixDatagram};
use tokio::time::timeout;

use super::queue::{LineKind, Told};
use super::{LAST, Sinks};
use crate::args::hub::InitArgs;
use crate::audit::{Keeper, here};
use crate::command::init;
use crate::home::Home;

/// As many lines as wait.
const MOST: u64 = 4096;

/// A folder of a hub, and a context that tells what its sinks tell.
struct Place {
    folder: TempDir,
    context: Context,
    told: SecurityEvents,
}

impl Place {
    fn new() -> Self {
        let context = Context::new().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            told: context.events(),
            context,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the sinks of some more settings.
    fn start(&self, settings: &str) -> Sinks {
        let dir = self.path("demo");
        let args = InitArgs { dir, port: 0 };
        init::make(&args).unwrap();
        let file = args.dir.join("curvelink.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{text}\n{settings}")).unwrap();
        let home = Home::find(Some(&args.dir)).unwrap();
        Sinks::start(&self.context, &home).unwrap().unwrap()
    }

    /// Sinks to Unix sockets of these names.
    fn start_unix(&self, names: &[&str]) -> Sinks {
        let table =
            |name: &&str| format!("[[sink]]\nto = \"unix:{}\"\n", self.path(name).display());
        self.start(&names.iter().map(table).collect::<String>())
    }

    fn listen(&self, name: &str) -> UnixDatagram {
        UnixDatagram::bind(self.path(name)).unwrap()
    }

    /// The next event of that action.
    async fn told(&mut self, action: &str) -> SecurityEvent {
        loop {
            let event = soon(self.told.recv()).await.expect("the context is open");
            assert_eq!(event.id, EventId::Sink);
            if event.action == Some(action) {
                return event;
            }
        }
    }

    /// How many events were told to be lost from now on, once all is told.
    async fn lost(&mut self) -> u64 {
        self.context.shutdown().await;
        let told = std::iter::from_fn(|| self.told.try_recv());
        let lost = told.filter(|event| event.action == Some("lost"));
        lost.map(|event| event.count).sum()
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let longest = Duration::from_secs(60);
    timeout(longest, future).await.expect("it is not late")
}

fn record(number: u64) -> Record {
    let event = SecurityEvent::new(EventId::Reload, SystemTime::now());
    Record::from(&event).with_origin(here().numbered(number))
}

/// A parameter of the next line.
async fn field(socket: &UnixDatagram, name: &str) -> String {
    let mut line = vec![0; 1 << 16];
    let length = soon(socket.recv(&mut line)).await.unwrap();
    part(std::str::from_utf8(&line[..length]).unwrap(), name)
}

fn part(line: &str, name: &str) -> String {
    let start = line.split_once(&format!(" {name}=\"")).expect("the field");
    start.1.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn what_a_sink_that_is_away_misses_is_told_first_when_it_comes() {
    let mut place = Place::new();
    let sinks = place.start_unix(&["log"]);
    let away = place.told("away").await;
    assert!(away.endpoint.unwrap().ends_with("/log"));
    assert!(
        away.details[0].1.contains("No such file"),
        "{:?}",
        away.details
    );
    for number in 1..=MOST + 904 {
        sinks.tell(&record(number));
    }
    assert_eq!(place.told("lost").await.count, 1, "at once");
    let socket = place.listen("log");
    assert_eq!(field(&socket, "count").await, "904");
    for number in 905..=MOST + 904 {
        assert_eq!(field(&socket, "sequence").await, number.to_string());
    }
    place.told("back").await;
    assert_eq!(place.lost().await, 903, "the others, together");
    sinks.close().await;
}

#[tokio::test]
async fn a_sink_that_reads_nothing_holds_nothing_up() {
    let mut place = Place::new();
    let socket = place.listen("log");
    let sinks = place.start_unix(&["log"]);
    let all = 3 * MOST;
    for number in 1..=all {
        sinks.tell(&record(number));
    }
    let closing = tokio::spawn(sinks.close());
    let (mut lines, mut lost) = (0, 0);
    while lines + lost < all {
        let mut line = vec![0; 1 << 16];
        let length = soon(socket.recv(&mut line)).await.unwrap();
        let line = std::str::from_utf8(&line[..length]).unwrap();
        if line.contains(" CL3007 ") {
            lost += part(line, "count").parse::<u64>().unwrap();
        } else {
            lines += 1;
        }
    }
    closing.await.unwrap();
    assert_eq!((lines + lost, place.lost().await), (all, lost));
}

#[tokio::test]
async fn what_nobody_took_is_told_at_the_end() {
    let mut place = Place::new();
    // One takes what the system keeps for it, the other is not there.
    let socket = place.listen("full");
    let sinks = place.start_unix(&["full", "away"]);
    for number in 1..=1000 {
        sinks.tell(&record(number));
    }
    sinks.close().await;
    let mut taken = 0;
    while socket.try_recv(&mut [0; 1]).is_ok() {
        taken += 1;
    }
    assert!((1..1000).contains(&taken), "{taken}");
    assert_eq!(place.lost().await, 2000 - taken, "the one in between too");
}

#[tokio::test]
async fn a_line_that_a_socket_did_not_take_is_sent_to_the_next() {
    let mut place = Place::new();
    let socket = place.listen("log");
    let sinks = place.start_unix(&["log"]);
    sinks.tell(&record(1));
    assert_eq!(field(&socket, "sequence").await, "1");
    drop(socket);
    std::fs::remove_file(place.path("log")).unwrap();
    for number in 2..=3 {
        sinks.tell(&record(number));
    }
    place.told("away").await;
    let socket = place.listen("log");
    for number in 2..=3 {
        assert_eq!(field(&socket, "sequence").await, number.to_string());
    }
    place.told("back").await;
    sinks.close().await;
    assert_eq!(place.lost().await, 0);
}

#[tokio::test]
async fn that_a_forwarder_has_gone_is_seen_before_a_line_is_lost_to_it() {
    let mut place = Place::new();
    let forwarder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sinks = place.start(&format!(
        "[[sink]]\nto = \"tcp://{}\"\n",
        forwarder.local_addr().unwrap()
    ));
    let (mut stream, _) = soon(forwarder.accept()).await.unwrap();
    sinks.tell(&record(1));
    assert_eq!(part(&counted(&mut stream).await, "sequence"), "1");
    drop(stream);
    place.told("away").await;
    sinks.tell(&record(2));
    let (mut stream, _) = soon(forwarder.accept()).await.unwrap();
    assert_eq!(part(&counted(&mut stream).await, "sequence"), "2");
    place.told("back").await;
    drop(stream);
    let (mut stream, _) = soon(forwarder.accept()).await.unwrap();
    sinks.tell(&record(3));
    assert_eq!(part(&counted(&mut stream).await, "sequence"), "3");
    sinks.close().await;
    let rest = soon(stream.read(&mut [0; 1])).await.unwrap();
    assert_eq!(rest, 0, "the end, and no other line");
    // A second time within a minute is told with all others of it.
    place.context.shutdown().await;
    let told = std::iter::from_fn(|| place.told.try_recv());
    let told: Vec<_> = told.map(|event| (event.action, event.count)).collect();
    assert_eq!(told, [(Some("away"), 1), (Some("back"), 1)]);
}

/// The next line of an octet-counted stream.
async fn counted(stream: &mut TcpStream) -> String {
    let mut length = 0;
    loop {
        match soon(stream.read_u8()).await.unwrap() {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut line = vec![0; length];
    soon(stream.read_exact(&mut line)).await.unwrap();
    assert_ne!(line.last(), Some(&b'\n'), "its length says where it ends");
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn a_sink_that_is_away_does_not_hold_up_the_end() {
    let mut place = Place::new();
    let server_key = KeyPair::generate(&mut OsEntropy).unwrap().public();
    // A port that nobody listens at, and a socket that is not there.
    let sinks = place.start(&format!(
        "[[sink]]\nto = \"curve+tcp://127.0.0.1:1\"\nserver_key = \"{}\"\n\
         [[sink]]\nto = \"unix:{}\"\n",
        server_key.to_z85(),
        place.path("away").display(),
    ));
    for _ in 0..2 {
        place.told("away").await;
    }
    timeout(LAST / 2, sinks.close())
        .await
        .expect("it does not wait");
}

#[tokio::test]
async fn two_sinks_that_are_away_do_not_keep_each_other_busy() {
    let mut place = Place::new();
    let sinks = place.start_unix(&["one", "other"]);
    for number in 1..=MOST {
        sinks.tell(&record(number));
    }
    // What is told is told to the other, as the hub does it.
    for _ in 0..2 {
        sinks.tell(&Record::from(&place.told("away").await));
    }
    sinks.tell(&record(0));
    for _ in 0..2 {
        let lost = place.told("lost").await;
        assert_eq!(lost.count, 2, "the event's place and the notice's");
        sinks.tell(&Record::from(&lost));
    }
    assert_eq!(place.lost().await, 0, "and no more");
    // Nor does what is told in the place of lost events count as one.
    let record = record(0);
    let lost = Told {
        count: 5,
        first: record.first(),
        last: record.last(),
    };
    let line = sinks.sinks[0].missing(lost);
    assert_eq!((line.kind, line.told), (LineKind::Notice, lost));
}

#[tokio::test]
async fn a_sink_is_told_of_the_others_and_not_of_itself() {
    let mut place = Place::new();
    let (one, other) = (place.listen("one"), place.listen("other"));
    let sinks = place.start_unix(&["one", "other"]);
    let name = format!("unix:{}", place.path("one").display());
    sinks.tell(&Record::from(&super::told::back(&name)));
    sinks.tell(&record(7));
    assert_eq!(field(&one, "sequence").await, "7");
    assert_eq!(field(&other, "endpoint").await, name);
    assert_eq!(field(&other, "sequence").await, "7");
    sinks.close().await;
    assert_eq!(place.lost().await, 0);
}

#[tokio::test]
async fn what_matters_less_is_not_sent_but_checkpoints_are() {
    let place = Place::new();
    let socket = place.listen("log");
    let to = place.path("log");
    let settings = format!(
        "[[sink]]\nto = \"unix:{}\"\nmin_severity = \"medium\"",
        to.display()
    );
    let sinks = place.start(&settings);
    sinks.tell(&record(1));
    let refused = SecurityEvent::new(EventId::Refused, SystemTime::now());
    sinks.tell(&Record::from(&refused));
    sinks.tell_checkpoint("no note at all");
    assert_eq!(field(&socket, "name").await, "handshake-refused");
    assert_eq!(field(&socket, "note").await, "bm8gbm90ZSBhdCBhbGw=");
    sinks.close().await;
}

#[tokio::test]
async fn every_line_reaches_a_collector_over_curve_before_the_end() {
    let mut place = Place::new();
    let keys = KeyPair::generate(&mut OsEntropy).unwrap();
    let server_key = keys.public().to_z85();
    let elsewhere = Context::new().unwrap();
    let curve = Curve::server(keys).accept_anyone();
    let collector = elsewhere.socket::<Pull>(Options::new().security(curve));
    let endpoint = collector.bind("tcp://127.0.0.1:*").unwrap();
    let settings = format!(
        "[[sink]]\nto = \"curve+{endpoint}\"\nserver_key = \"{server_key}\"\nas = \"ocsf\""
    );
    let sinks = place.start(&settings);
    for number in 1..=MOST {
        sinks.tell(&record(number));
    }
    let closing = tokio::spawn(sinks.close());
    for number in 1..=MOST {
        let message = soon(collector.recv()).await.unwrap();
        assert_eq!(message.len(), 1, "one frame is one record");
        assert_eq!(message.frame(0).unwrap().last(), Some(&b'}'));
        let event: serde_json::Value = serde_json::from_slice(message.frame(0).unwrap()).unwrap();
        assert_eq!(event["metadata"]["sequence"], number);
    }
    closing.await.unwrap();
    assert_eq!(place.lost().await, 0);
}

#[tokio::test]
async fn checkpoints_are_told_as_long_as_the_hub_is_idle_and_the_journal_does_not_grow_by_it() {
    let place = Place::new();
    let socket = place.listen("log");
    let sinks = place.start_unix(&["log"]);
    let mut settings = JournalSettings::default();
    settings.seal_after = Duration::from_millis(5);
    settings.heartbeat = Duration::from_millis(5);
    let (folder, key) = (place.path("audit"), place.path("epoch.key"));
    Journal::create(&folder, &key, "host/idle", settings.clone()).unwrap();
    let journal = std::sync::Arc::new(Journal::open(&folder, &key, settings).unwrap());
    let keeper = Keeper::start(&place.context, Some(&journal), Some(sinks)).unwrap();
    let size = journal.status().size.to_string();
    assert_eq!(field(&socket, "action").await, "epoch", "of this run");
    for _ in 0..20 {
        assert_eq!(field(&socket, "size").await, size);
    }
    keeper.close().await.unwrap();
    assert_eq!(journal.status().size.to_string(), size);
}

#[tokio::test]
async fn that_the_journal_takes_nothing_is_told_once() {
    let mut place = Place::new();
    let socket = place.listen("log");
    let sinks = place.start_unix(&["log"]);
    let mut settings = JournalSettings::default();
    settings.queue = 0;
    let (folder, key) = (place.path("audit"), place.path("epoch.key"));
    Journal::create(&folder, &key, "host/full", settings.clone()).unwrap();
    let journal = std::sync::Arc::new(Journal::open(&folder, &key, settings).unwrap());
    let keeper = Keeper::start(&place.context, Some(&journal), Some(sinks)).unwrap();
    let reload = || SecurityEvent::new(EventId::Reload, SystemTime::now());
    place.context.record(reload());
    while field(&socket, "name").await != "state-not-saved" {}
    place.context.record(reload());
    while field(&socket, "name").await != "config-reload" {}
    keeper.close().await.unwrap();
    let told = std::iter::from_fn(|| place.told.try_recv());
    let told: Vec<EventId> = told.map(|event| event.id).collect();
    assert_eq!(
        told,
        [EventId::Reload, EventId::NotSaved, EventId::Reload],
        "of itself it tells no more"
    );
}

#[tokio::test]
async fn without_a_journal_lines_are_numbered_from_one() {
    let place = Place::new();
    let socket = place.listen("log");
    let sinks = place.start_unix(&["log"]);
    let keeper = Keeper::start(&place.context, None, Some(sinks)).unwrap();
    for number in 1..=3 {
        let event = SecurityEvent::new(EventId::Reload, SystemTime::now());
        place.context.record(event);
        assert_eq!(field(&socket, "sequence").await, number.to_string());
    }
    keeper.close().await.unwrap();
}
