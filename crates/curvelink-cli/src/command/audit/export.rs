//! `curvelink audit export`

use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use curvelink_audit::format::Format;
use curvelink_audit::{Entries, JournalError, JournalReader, Progress};
use serde_json::json;
use tempfile::NamedTempFile;

use super::{entries, record, told};
use crate::args::audit::AuditExportArgs;
use crate::audit::interruptible;
use crate::exit::usage;
use crate::output;

/// Entries between two looks at whether to go on.
const STEP: u64 = 256;

pub(super) async fn run(args: AuditExportArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let reader = args.journal.open(dir)?;
    let key = args.reading.key()?;
    let out = args.out.clone();
    let range = interruptible("exporting", move |progress| {
        // It appears under its name when it is whole; what was there before stays until then.
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(parent.unwrap_or_else(|| Path::new(".")));
        let file = file.with_context(|| format!("cannot write beside {}", out.display()))?;
        let mut writer = BufWriter::new(file);
        let range = args.from..args.to;
        let written = match args.form.format() {
            Some(format) => {
                let range = kept(&reader, range)?;
                let entries = entries(&reader, range.clone(), key.as_ref());
                lines(entries, &range, format, &mut writer, progress)?;
                range
            }
            None => {
                let exported = reader.export(range, args.proofs, &mut writer, progress);
                exported.map_err(told)?.range
            }
        };
        let file = writer.into_inner().map_err(|error| error.into_error())?;
        file.as_file().sync_all()?;
        file.persist(&out)
            .map_err(|error| error.error)
            .with_context(|| format!("cannot write {}", out.display()))?;
        Ok(written)
    })
    .await?;
    let out = args.out.display().to_string();
    let written = json!({ "out": out, "from": range.start, "to": range.end });
    Ok(output::either(args.json, &written, || {
        let last = range.end.saturating_sub(1);
        format!("entries {} to {last} written", range.start)
    })?)
}

/// The part of a range that the journal has.
fn kept(reader: &JournalReader, range: Range<u64>) -> anyhow::Result<Range<u64>> {
    let kept = reader.range();
    let range = range.start.max(kept.start)..range.end.min(kept.end);
    if range.is_empty() {
        return Err(told(JournalError::Range));
    }
    Ok(range)
}

fn lines(
    entries: Entries<'_>,
    range: &Range<u64>,
    format: Format,
    out: &mut dyn Write,
    progress: &mut dyn Progress,
) -> anyhow::Result<()> {
    let total = range.end - range.start;
    for entry in entries {
        let entry = entry.map_err(told)?;
        let done = entry.index - range.start;
        if done.is_multiple_of(STEP) && !progress.tell(done, total) {
            return Err(usage("interrupted: nothing is written, run it again"));
        }
        let record = record(&entry.octets).with_context(|| {
            format!(
                "entry {} can be read by its recipients alone: give --key, or export an archive",
                entry.index
            )
        })?;
        out.write_all(&format.entry(&record))?;
    }
    Ok(())
}
