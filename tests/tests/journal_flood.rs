//! A journal cannot be filled by those who are refused: what a flood leaves in it is a few entries
//! whose counts add up.
//!
//! `CURVELINK_FULL=1` makes the flood as large as the promise says.
#![cfg(target_os = "linux")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use curvelink::{
    BoxFuture, Context, LinkEventKind, Pull, Push, Reason, Rights, SecurityEvents, ZapHandler,
    ZapReply, ZapRequest,
};
use curvelink_audit::{Audited, Journal, JournalReader, JournalSettings, Record};
use curvelink_tests::support::{bind_tcp, event, quick, raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

const TASKS: u64 = 16;

/// Admits one address alone.
#[derive(Debug)]
struct Door;

impl ZapHandler for Door {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        let listed = request.address.ip() == Some([127, 0, 0, 1].into());
        Box::pin(std::future::ready(if listed {
            ZapReply::admit("ci", Rights::all())
        } else {
            ZapReply::deny(Reason::AddressDenied)
        }))
    }
}

fn octets_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => octets_below(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    sizes.sum()
}

/// Comes from one of 60 000 addresses, in 240 networks, and is refused: before or after the
/// handler was asked.
async fn stranger(number: u64, server: SocketAddr) {
    let (net, host) = (number % 240, number / 240 % 250);
    let socket = TcpSocket::new_v4().unwrap();
    let source = SocketAddr::from(([127, 1, net as u8, host as u8 + 1], 0));
    socket.bind(source).unwrap();
    let mut stream = socket.connect(server).await.unwrap();
    let says = match number % 2 {
        0 => b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        _ => raw::null_peer(&[("Socket-Type", b"PUSH")]),
    };
    // Whoever has been penalised is cut before that.
    let _cut = stream.write_all(&says).await;
    while stream
        .read(&mut [0; 256])
        .await
        .is_ok_and(|octets| octets > 0)
    {}
}

async fn record(mut events: SecurityEvents, journal: Arc<Journal>) {
    while let Some(event) = events.recv().await {
        journal.append(Record::from(&event)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refusals_leaves_a_small_journal_that_counts_each_of_them() {
    let total: u64 = match std::env::var_os("CURVELINK_FULL") {
        Some(_) => 100_000,
        None => 4000,
    };
    let folder = tempfile::tempdir().unwrap();
    let (audit, key) = (folder.path().join("audit"), folder.path().join("key"));
    Journal::create(&audit, &key, "flood.example", JournalSettings::default()).unwrap();
    let journal = Journal::open(&audit, &key, JournalSettings::default()).unwrap();
    let journal = Arc::new(journal);
    let before = octets_below(&audit);

    let context = Context::new().unwrap();
    context.set_zap_handler(Audited::new(Door, Arc::clone(&journal)));
    let recorder = tokio::spawn(record(context.events(), Arc::clone(&journal)));
    let pull = context.socket::<Pull>(quick().zap_domain("flood"));
    let endpoint = bind_tcp(&pull);
    let server = endpoint.trim_start_matches("tcp://").parse().unwrap();
    let floods: Vec<_> = (0..TASKS)
        .map(|task| {
            tokio::spawn(async move {
                for number in 0..total / TASKS {
                    stranger(number * TASKS + task, server).await;
                }
            })
        })
        .collect();
    for flood in floods {
        flood.await.unwrap();
    }
    assert_eq!(pull.statistics().refused, total);

    // The journal still takes who is let in.
    let push = context.socket::<Push>(quick());
    let mut monitor = push.monitor();
    push.connect(&endpoint).unwrap();
    let joined = event(&mut monitor, |event| {
        matches!(event.kind, LinkEventKind::HandshakeSucceeded(_)).then_some(())
    });
    joined.await;
    context.shutdown().await;
    drop((push, pull, monitor, context));
    recorder.await.unwrap();
    journal.seal().unwrap();

    let grown = octets_below(&audit) - before;
    println!("{total} refused: the journal grew by {grown} octets");
    assert!(grown < 1_000_000, "{grown}");
    let reader = JournalReader::open(&audit).unwrap();
    let entries = reader.entries(0..u64::MAX).map(Result::unwrap);
    let records: Vec<_> = entries
        .map(|entry| Record::from_json(&entry.octets).unwrap())
        .collect();
    let count = |id| {
        let those = records.iter().filter(|record| record.id() == id);
        those.map(Record::count).sum::<u64>()
    };
    assert_eq!(count("CL1002"), total);
    assert_eq!(count("CL1010"), 1, "the one that was let in");
}
