//! `curvelink verify FILE...`

use std::path::{Path, PathBuf};
use std::time::Duration;

use curvelink_envelope::{Trailer, Verified, Verifier, Via, export, file};
use serde::Serialize;

use crate::args::evidence::VerifyArgs;
use crate::exit::{Exit, failure, one_line, usage};
use crate::home::Home;
use crate::output;
use crate::trust::Trust;

/// Checks messages at rest: each alone, and together for gaps and repetitions.
pub(crate) fn run(args: &VerifyArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = if args.trust.signer.is_empty() {
        Some(Home::find(dir)?)
    } else {
        None
    };
    let trust = Trust::new(&args.trust, home.as_ref())?
        .ok_or_else(|| usage("this folder asks for no signatures: name a --signer to check"))?;
    // Messages at rest are of any age, and the connection that they came over is gone.
    let mut verifier = trust.verifier.with_max_skew(Duration::ZERO);
    // A signer's messages are judged in the order in which they were signed, and told in that in
    // which they were named. Each is read twice rather than all of them kept.
    let mut files: Vec<(usize, &PathBuf)> = args.files.iter().enumerate().collect();
    files.sort_by_cached_key(|(_, path)| order(path));
    let reports = files
        .into_iter()
        .map(|(index, path)| (index, check(path, &mut verifier)));
    let mut reports: Vec<(usize, Report)> = reports.collect();
    reports.sort_by_key(|(index, _)| *index);
    let reports: Vec<Report> = reports.into_iter().map(|(_, report)| report).collect();
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
    let stated = reports
        .iter()
        .filter_map(|report| report.shown.statement.as_ref());
    let beats = stated.filter(|stated| stated.heartbeat).count();
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let mut counted = count(reports.len().saturating_sub(beats), "message");
    if beats > 0 {
        counted = format!("{counted}, {}", count(beats, "heartbeat"));
    }
    format!("ok: signature, digests, identity, topic right, audience, {gap}, no replay ({counted})")
}

/// Epoch and number of a saved message, as far as they can be told.
fn order(path: &Path) -> Option<(u64, u64)> {
    let frames = file::load(path).ok()?;
    let statement = Trailer::parse(frames.last()?).ok()?.statement().ok()?;
    Some((statement.epoch, statement.seq))
}

fn check(path: &Path, verifier: &mut Verifier) -> Report {
    let file = one_line(&path.display().to_string());
    let frames = match file::load(path) {
        Ok(frames) => frames,
        Err(error) => {
            let shown = Shown::failed(file, "damaged", &error.to_string());
            return Report {
                shown,
                exit: Some(Exit::Damaged),
            };
        }
    };
    match verifier.verify(&frames, Via::Relay) {
        Ok(verified) => {
            let trailer = frames.last().and_then(|last| Trailer::parse(last).ok());
            let is_batch = trailer.is_some_and(|it| export::tlog_origin(&it).is_some());
            Report {
                shown: Shown::passed(file, &verified, is_batch),
                exit: None,
            }
        }
        Err(error) => {
            let shown = Shown::failed(file, error.code(), &error.to_string());
            Report {
                shown,
                exit: Some(Exit::VerificationFailed),
            }
        }
    }
}

struct Report {
    shown: Shown,
    /// What a failure ends the program with.
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
#[serde(rename_all = "camelCase")]
struct Stated {
    topic: String,
    signer: String,
    key: String,
    audience: String,
    epoch: u64,
    seq: u64,
    time: String,
    digest: String,
    /// No message: the signer said how far the topic has come.
    heartbeat: bool,
    /// By the batch, so that `export` makes a tlog-proof of it.
    batch: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cosigners: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// How many messages of the topic there were in the signer's run, this one included.
    #[serde(skip)]
    count: u64,
}

impl Shown {
    fn failed(file: String, code: &'static str, reason: &str) -> Self {
        let reason = Some(one_line(reason));
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

    fn passed(file: String, verified: &Verified, is_batch: bool) -> Self {
        let statement = &verified.statement;
        let missing = verified.flags.iter().map(|flag| flag.missing());
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
                digest: output::hex(&verified.digest()),
                heartbeat: statement.heartbeat,
                batch: is_batch,
                cosigners: verified.cosigners.clone(),
                in_reply_to: statement
                    .in_reply_to
                    .map(|digest| format!("sha256:{}", output::hex(&digest))),
                traceparent: statement.traceparent.clone(),
                count: statement.tseq.saturating_add(1),
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
            Some(stated) => format!("ok    {}: {}", self.file, stated.text()),
        }
    }
}

impl Stated {
    fn text(&self) -> String {
        let what = match self.heartbeat {
            true => format!("heartbeat, {} messages so far", self.count),
            false => format!("seq {}", self.seq),
        };
        let by = match self.batch {
            true => "signed in a batch by",
            false => "signed by",
        };
        let others = match self.cosigners.is_empty() {
            true => String::new(),
            false => format!(" and {}", one_line(&self.cosigners.join(", "))),
        };
        format!(
            "{}  {what}  {}  {by} {} {}{others}",
            self.topic, self.time, self.signer, self.key
        )
    }
}
