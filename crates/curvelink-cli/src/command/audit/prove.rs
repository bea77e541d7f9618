//! `curvelink audit prove`

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use curvelink_audit::{JournalReader, RecipientKey};
use curvelink_envelope::{Trailer, file};
use serde_json::json;

use super::{entries, folder, record, told};
use crate::args::audit::AuditProveArgs;
use crate::exit::{Exit, failure, usage};
use crate::output;

pub(super) fn run(args: &AuditProveArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let reader = JournalReader::open(&folder(args.journal.as_deref(), dir)?).map_err(told)?;
    let key = args.reading.key()?;
    let index = match (&args.message, args.index) {
        (Some(message), _) => of_message(&reader, message, key.as_ref())?,
        (None, Some(index)) => index,
        (None, None) => return Err(usage("which entry: give its index, or --message")),
    };
    let proof = reader.prove(index).map_err(told)?;
    if let Some(path) = &args.entry {
        let entry = reader.entries(index..index + 1).next();
        let entry = entry.context("the entry is gone")?.map_err(told)?;
        let shown = path.display();
        fs::write(path, entry.octets).with_context(|| format!("cannot write {shown}"))?;
    }
    let proof = proof.to_string();
    let shown = json!({ "origin": reader.origin(), "index": index, "proof": &proof });
    Ok(output::either(args.json, &shown, || {
        proof.trim_end_matches('\n').to_owned()
    })?)
}

/// The first entry that tells of a saved message.
fn of_message(
    reader: &JournalReader,
    message: &Path,
    key: Option<&RecipientKey>,
) -> anyhow::Result<u64> {
    let kept = file::load(message)?;
    let trailer = kept.last().map(|last| Trailer::parse(last));
    let trailer = trailer.context("the message has no envelope")??;
    let digest = output::hex(&trailer.statement_digest());
    for entry in entries(reader, reader.range(), key) {
        let entry = entry.map_err(told)?;
        let told_of = record(&entry.octets);
        let told_of = told_of.as_ref().and_then(|record| record.field("digest"));
        if told_of.and_then(|value| value.as_text()) == Some(&*digest) {
            return Ok(entry.index);
        }
    }
    Err(failure(
        Exit::VerificationFailed,
        "no entry of the journal tells of this message",
    ))
}
