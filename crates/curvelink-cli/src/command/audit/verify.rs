//! `curvelink audit verify`

use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use curvelink_audit::{
    ONLY_A_WITNESS, Outcome, Report, Rule, Time, Verdict, VerifyOptions, verify,
};
use curvelink_tlog::VerifyingCosignerKey;
use serde_json::{Value, json};

use super::{folder, note, small_text, text_or_file, told};
use crate::args::audit::AuditVerifyArgs;
use crate::audit::{Place, interruptible};
use crate::exit::{Exit, failure, usage};
use crate::home::Home;
use crate::output;

pub(super) async fn run(args: AuditVerifyArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let folder = folder(args.journal.folder.as_deref(), dir)?;
    let mut options = VerifyOptions::new(anchor(&args, dir)?.parse().map_err(|_| {
        usage("the anchor is no key of a journal: give the line that `audit init` printed")
    })?);
    for path in &args.witness {
        options.witnessed.push(note(path)?);
    }
    (options.cosigners, options.min_witnesses) = witnesses(&args, dir)?;
    options.allow_tail = args.allow_tail;
    options.allow_archive = args.archive;
    let report = interruptible("verifying", move |progress| {
        verify(&folder, &options, progress).map_err(told)
    })
    .await?;
    output::either(args.json, &shown(&report), || text(&report))?;
    match report.verdict {
        Verdict::Sound => Ok(()),
        verdict => Err(failure(exit(verdict), complaint(&report))),
    }
}

/// Whose signatures count, and how many there must be.
fn witnesses(
    args: &AuditVerifyArgs,
    dir: Option<&Path>,
) -> anyhow::Result<(Vec<VerifyingCosignerKey>, usize)> {
    let mut keys = Vec::new();
    for key in &args.cosigner {
        let key = text_or_file(key)?;
        let key = key.trim().parse().context("not a witness' public key");
        keys.push(key.map_err(|error| usage(format!("{error:#}")))?);
    }
    let mut wanted = keys.len();
    if keys.is_empty() && args.journal.folder.is_none() {
        let settings = Home::find(dir)?.config.audit.settings();
        (keys, wanted) = (settings.cosigners, settings.min_witnesses);
    }
    let wanted = args.min_witnesses.unwrap_or(wanted);
    if wanted > keys.len() {
        return Err(usage(format!(
            "{wanted} witnesses must have signed, and {} are known: name each with --cosigner",
            keys.len()
        )));
    }
    Ok((keys, wanted))
}

/// The anchor as it was given, or the folder's own copy.
fn anchor(args: &AuditVerifyArgs, dir: Option<&Path>) -> anyhow::Result<String> {
    let given = match &args.anchor {
        Some(given) => text_or_file(given)?,
        None => {
            let place = Place::of(&Home::find(dir)?);
            output::note(&format!(
                "the anchor is the folder's own copy, {}: --anchor takes the one that was kept \
                 elsewhere",
                place.anchor.display()
            ));
            small_text(&place.anchor)?
        }
    };
    Ok(given.trim().to_owned())
}

const fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Damaged => Exit::Damaged,
        _ => Exit::VerificationFailed,
    }
}

pub(super) fn complaint(report: &Report) -> String {
    let what = report.problem().map(|(_, damage)| damage.to_string());
    let what = what.unwrap_or_else(|| "the journal is not what was signed".to_owned());
    // A running hub has written what it signs within a second: no reason for alarm.
    let do_what = if report.tail > 0 && report.problem().is_some_and(|it| it.0 == Rule::Growth) {
        "while a hub writes it, say --allow-tail; otherwise keep the folder as it is, and compare it \
         with a copy"
    } else {
        "keep the folder as it is, and compare it with a copy"
    };
    format!("{what}: {do_what}")
}

fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report.checks.iter().map(ToString::to_string).collect();
    if report.verdict == Verdict::Sound {
        lines.push(summary(report));
        if report.witnessed.is_none() {
            lines.push(format!("not checked from here: {ONLY_A_WITNESS}"));
        }
    }
    lines.join("\n")
}

pub(crate) fn summary(report: &Report) -> String {
    let times = report.times.map(|(first, last)| {
        let [first, last] = [first, last].map(time);
        format!(", {first} to {last}")
    });
    let mut text = format!(
        "ok: {} entries from {}, {} checkpoints by {} keys{}",
        report.size - report.first,
        report.first,
        report.checkpoints,
        report.epochs,
        times.unwrap_or_default(),
    );
    if let Some(root) = report.root {
        text += &format!(", root {root}");
    }
    let unwitnessed = report.witnessed.map_or(0, |size| report.size - size);
    for (count, what) in [
        (unwitnessed, "entries follow what was kept elsewhere"),
        (report.tail, "entries follow the newest checkpoint"),
        (report.lost, "events were lost before they were written"),
        (report.encrypted, "entries only their recipients can read"),
    ] {
        if count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    text
}

fn time(time: std::time::SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_us(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

fn shown(report: &Report) -> Value {
    let checks: Vec<Value> = report
        .checks
        .iter()
        .map(|check| {
            let (outcome, detail) = match &check.outcome {
                Outcome::Holds => ("ok", None),
                Outcome::Warning(text) => ("warning", Some(json!({ "text": text }))),
                Outcome::Broken(damage) => (
                    "failed",
                    Some(json!({
                        "index": damage.index, "file": damage.file, "what": damage.what,
                    })),
                ),
                _ => ("not-checked", None),
            };
            json!({
                "rule": check.rule.code(), "demand": check.rule.demand(), "outcome": outcome,
                "detail": detail,
            })
        })
        .collect();
    let verdict = match report.verdict {
        Verdict::Sound => "sound",
        Verdict::Damaged => "damaged",
        _ => "bad",
    };
    json!({
        "verdict": verdict, "checks": checks, "origin": report.origin, "first": report.first,
        "size": report.size, "root": report.root.map(|root| root.to_string()),
        "checkpoints": report.checkpoints, "epochs": report.epochs, "tail": report.tail,
        "lost": report.lost, "encrypted": report.encrypted, "archive": report.is_archive,
        "witnessed": report.witnessed,
        "times": report.times.map(|(first, last)| [first, last].map(|it| time(it).to_string())),
        "only_a_witness_can_tell": ONLY_A_WITNESS,
    })
}
