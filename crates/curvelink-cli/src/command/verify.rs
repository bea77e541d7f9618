//! `curvelink verify FILE...`

use std::path::{Path, PathBuf};
use std::time::Duration;

use curvelink_envelope::{Flag, Trailer, Verified, Verifier, Via, file};
use serde::Serialize;

use crate::args::evidence::VerifyArgs;
use crate::exit::{Exit, failure, one_line, usage};
use crate::home::Home;
use crate::{output, trust};

/// Checks messages at rest: each alone, and together for gaps and repetitions.
pub(crate) fn run(args: &VerifyArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = if args.trust.signer.is_empty() {
        Some(Home::find(dir)?)
    } else {
        None
    };
    let verifier = trust::verifier(&args.trust, home.as_ref())?
        .ok_or_else(|| usage("this folder asks for no signatures: name a --signer to check"))?;
    // Messages at rest are of any age, and the connection that they came over is gone.
    let mut verifier = verifier.with_max_skew(Duration::ZERO);
    let mut files: Vec<Saved> = args.files.iter().enumerate().map(Saved::load).collect();
    // A signer's messages are judged in the order in which they were signed, and told in that in
    // which they were named.
    files.sort_by_key(|file| file.order);
    let reports = files.into_iter().map(|file| file.check(&mut verifier));
    let mut reports: Vec<Report> = reports.collect();
    reports.sort_by_key(|report| report.index);
    let mut failed = None;
    for report in &reports {
        output::either(args.json, &report.shown, || report.shown.text())?;
        failed = worse(failed, report.exit);
    }
    let Some(exit) = failed else {
        if !args.json {
            output::line(&summary(&reports))?;
        }
        return Ok(());
    };
    let bad = reports
        .iter()
        .filter(|report| report.exit.is_some())
        .count();
    Err(failure(
        exit,
        format!(
            "{bad} of {} messages failed: act on none of them before it is clear why",
            reports.len()
        ),
    ))
}

/// A message that fails a check is worse news than one that cannot be read.
fn worse(one: Option<Exit>, other: Option<Exit>) -> Option<Exit> {
    match (one, other) {
        (Some(Exit::VerificationFailed), _) | (_, None) => one,
        (_, other) => other,
    }
}

fn summary(reports: &[Report]) -> String {
    let missing: u64 = reports.iter().map(|report| report.shown.missing).sum();
    let gap = match missing {
        0 => "no gap".to_owned(),
        missing => format!("{missing} messages are not here"),
    };
    format!(
        "ok: signature, digests, identity, topic right, audience, {gap}, no replay ({} {})",
        reports.len(),
        if reports.len() == 1 {
            "message"
        } else {
            "messages"
        }
    )
}

/// A message as it was found on the disk.
struct Saved {
    /// Which of the files that were named.
    index: usize,
    file: String,
    frames: Result<Vec<Vec<u8>>, String>,
    /// Epoch and number, as far as they can be told.
    order: (u64, u64),
}

impl Saved {
    fn load((index, path): (usize, &PathBuf)) -> Self {
        let frames = file::load(path);
        let order = frames.as_ref().ok().and_then(|frames| {
            let statement = Trailer::parse(frames.last()?).ok()?.statement().ok()?;
            Some((statement.epoch, statement.seq))
        });
        Self {
            index,
            file: one_line(&path.display().to_string()),
            frames: frames.map_err(|error| error.to_string()),
            order: order.unwrap_or_default(),
        }
    }

    fn check(self, verifier: &mut Verifier) -> Report {
        let file = self.file;
        let (shown, exit) = match self.frames {
            Err(error) => (Shown::failed(file, "damaged", error), Some(Exit::Damaged)),
            Ok(frames) => match verifier.verify(&frames, Via::Relay) {
                Ok(verified) => (Shown::passed(file, &verified), None),
                Err(error) => (
                    Shown::failed(file, error.code(), error.to_string()),
                    Some(Exit::VerificationFailed),
                ),
            },
        };
        Report {
            index: self.index,
            shown,
            exit,
        }
    }
}

struct Report {
    index: usize,
    shown: Shown,
    exit: Option<Exit>,
}

/// What is told of one message.
#[derive(Serialize)]
struct Shown {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    statement: Option<Stated>,
    flags: Vec<&'static str>,
    missing: u64,
}

#[derive(Serialize)]
struct Stated {
    topic: String,
    signer: String,
    key: String,
    audience: String,
    epoch: u64,
    seq: u64,
    time: String,
    digest: String,
}

impl Shown {
    fn failed(file: String, code: &'static str, reason: String) -> Self {
        let reason = Some(one_line(&reason));
        let code = Some(code);
        Self {
            file,
            ok: false,
            code,
            reason,
            statement: None,
            flags: Vec::new(),
            missing: 0,
        }
    }

    fn passed(file: String, verified: &Verified) -> Self {
        let statement = &verified.statement;
        let missing = verified.flags.iter().map(|flag| match flag {
            Flag::Gap { missing } => *missing,
            Flag::JoinedLate { missed } => *missed,
            _ => 0,
        });
        Self {
            file,
            ok: true,
            code: None,
            reason: None,
            statement: Some(Stated {
                topic: one_line(&statement.topic),
                signer: statement.signer.clone(),
                key: verified.key.fingerprint(),
                audience: statement.audience.clone(),
                epoch: statement.epoch,
                seq: statement.seq,
                time: statement.time.to_string(),
                digest: output::hex(&verified.digest),
            }),
            flags: verified.flags.iter().map(|flag| flag.code()).collect(),
            missing: missing.sum(),
        }
    }

    fn text(&self) -> String {
        match &self.statement {
            None => format!(
                "FAIL  {}: {}",
                self.file,
                self.reason.as_deref().unwrap_or_default()
            ),
            Some(stated) => format!(
                "ok    {}: {}  seq {}  {}  signed by {} {}",
                self.file, stated.topic, stated.seq, stated.time, stated.signer, stated.key
            ),
        }
    }
}
