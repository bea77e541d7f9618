//! How fast the audit journal is: entries written under two durabilities, entries verified, one
//! entry proven. Each figure stands beside what is asked of it.
//!
//! ```text
//! journal [ENTRIES] [FOLDER]
//! ```
//!
//! `ENTRIES` (default 300 000) is how large the journal gets that is verified and proven from;
//! `FOLDER` is where it stands for the time, which should be on a disk and no tmpfs.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use curvelink_audit::{
    Durability, Journal, JournalReader, JournalSettings, Record, Verdict, VerifyOptions, verify,
};
use curvelink_proto::{EventId, PeerAddress, SecurityEvent};

/// Entries that wait for the disk at a time: as many links at once as it takes to share a wait.
const OUTSTANDING: usize = 1024;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let entries = args.next().map_or(Ok(300_000), |text| text.parse())?;
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;

    let durable = folder.path().join("durable");
    let (_, rate) = write(&durable, Durability::Event, 30_000)?;
    tell("written, durability = event", rate, 10_000.0, "entries/s");

    let large = folder.path().join("large");
    let interval = Durability::Interval(Duration::from_millis(200));
    let (anchor, rate) = write(&large, interval, entries)?;
    tell(
        "written, durability = interval",
        rate,
        100_000.0,
        "entries/s",
    );

    let began = Instant::now();
    let options = VerifyOptions::new(anchor.parse()?);
    let report = verify(&large.join("audit"), &options, &mut ())?;
    ensure!(report.verdict == Verdict::Sound, "{:?}", report.checks);
    let rate = report.size as f64 / began.elapsed().as_secs_f64();
    tell("verified", rate, 200_000.0, "entries/s");

    let times = (0..100).map(|number| prove(&large, report.size * number / 100));
    let mut times = times.collect::<Result<Vec<_>>>()?;
    times.sort();
    let worst = times.last().context("a proof")?.as_secs_f64() * 1e3;
    println!(
        "{:<32} {worst:>12.3} ms of {:>9} entries, the slowest of 100 (asked: 10 ms)",
        "proven", report.size
    );
    Ok(())
}

fn tell(what: &str, rate: f64, asked: f64, unit: &str) {
    println!(
        "{what:<32} {rate:>12.0} {unit} (asked: {asked:.0}; {:.1} times that)",
        rate / asked
    );
}

/// Makes a journal of so many entries; its anchor, and entries a second.
fn write(folder: &Path, durability: Durability, entries: u64) -> Result<(String, f64)> {
    std::fs::create_dir(folder)?;
    let (audit, key) = (folder.join("audit"), folder.join("epoch.key"));
    let mut settings = JournalSettings::default();
    settings.durability = durability;
    let anchor = Journal::create(&audit, &key, "bench.example/audit", settings.clone())?;
    let journal = Journal::open(&audit, &key, settings)?;
    let record = record();
    let mut receipts = VecDeque::new();
    let began = Instant::now();
    for _ in 0..entries {
        if receipts.len() == OUTSTANDING {
            for receipt in receipts.drain(..OUTSTANDING / 2) {
                curvelink_audit::Receipt::wait(receipt)?;
            }
        }
        receipts.push_back(journal.append(record.clone()));
    }
    for receipt in receipts {
        receipt.wait()?;
    }
    let rate = entries as f64 / began.elapsed().as_secs_f64();
    journal.close()?;
    Ok((anchor, rate))
}

/// Opens the journal as a program does that is started for one proof, and proves one entry.
fn prove(folder: &Path, index: u64) -> Result<Duration> {
    let began = Instant::now();
    let proof = JournalReader::open(&folder.join("audit"))?.prove(index)?;
    let took = began.elapsed();
    ensure!(proof.index == index);
    Ok(took)
}

fn record() -> Record {
    let mut event = SecurityEvent::new(EventId::Accepted, SystemTime::now());
    event.at(Some(PeerAddress::Tcp(([192, 0, 2, 7], 4711).into())));
    event.endpoint = Some("tcp://0.0.0.0:5555".into());
    event.identity = Some("ci-scanner".into());
    event.detail("socket_type", "PUB");
    Record::from(&event)
}
