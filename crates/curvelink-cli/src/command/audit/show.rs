//! `curvelink audit show`, `curvelink audit tail`

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curvelink_audit::{Entries, Entry, JournalReader, Record, Time};

use super::{entries, folder, record, told};
use crate::args::audit::{AuditShowArgs, AuditTailArgs, EntryForm, SelectionArgs};

/// How often a journal is looked at for more.
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn run(args: &AuditShowArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let reader = args.journal.open(dir)?;
    let since = args.since.map(ago);
    let key = args.selection.reading.key()?;
    let entries = entries(&reader, args.from..args.to, key.as_ref());
    print(entries, &args.selection, since)
}

/// Prints what is sealed from now on.
pub(super) async fn tail(args: &AuditTailArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let key = args.selection.reading.key()?;
    let folder = folder(args.journal.folder.as_deref(), dir)?;
    let mut next = JournalReader::open(&folder).map_err(told)?.range().end;
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let reader = JournalReader::open(&folder).map_err(told)?;
        let end = reader.range().end;
        if end > next {
            let entries = entries(&reader, next..end, key.as_ref());
            print(entries, &args.selection, None)?;
            next = end;
        }
    }
}

fn print(
    entries: Entries<'_>,
    selection: &SelectionArgs,
    since: Option<Time>,
) -> anyhow::Result<()> {
    let form = if selection.json {
        EntryForm::Json
    } else {
        selection.form
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    for entry in entries {
        let entry = entry.map_err(told)?;
        let record = record(&entry.octets);
        if !is_wanted(record.as_ref(), selection, since) {
            continue;
        }
        match (form.format(), &record) {
            (Some(format), Some(record)) => out.write_all(&format.entry(record))?,
            // What only its recipients read has no other form.
            (Some(_), None) => {}
            (None, record) => writeln!(out, "{}", line(&entry, record.as_ref()))?,
        }
    }
    Ok(out.flush()?)
}

/// What nobody here can read is wanted where everything is.
fn is_wanted(record: Option<&Record>, selection: &SelectionArgs, since: Option<Time>) -> bool {
    let Some(record) = record else {
        return selection.kinds.is_empty();
    };
    let of_kind = |kind: &String| kind == record.id() || kind == record.name();
    (selection.kinds.is_empty() || selection.kinds.iter().any(of_kind))
        && since.is_none_or(|since| record.last() >= since)
}

fn ago(span: Duration) -> Time {
    let then = SystemTime::now().checked_sub(span).unwrap_or(UNIX_EPOCH);
    let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_us(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// `INDEX TIME ID NAME key=value...`; a value that could pass for something else is quoted.
fn line(entry: &Entry, record: Option<&Record>) -> String {
    let index = entry.index;
    let Some(record) = record else {
        let octets = entry.octets.len();
        return format!("{index}\t{octets} octets that only their recipients read");
    };
    let mut line = format!(
        "{index}\t{} {} {}",
        record.first(),
        record.id(),
        record.name()
    );
    if record.count() > 1 {
        line += &format!(" count={}", record.count());
    }
    for (name, value) in record.fields() {
        line += &format!(" {name}={}", quoted(&value.to_string()));
    }
    line
}

fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        text.chars().fold("\"".to_owned(), |quoted, c| match c {
            '"' | '\\' => quoted + "\\" + &String::from(c),
            ' ' => quoted + " ",
            c if is_plain(c) => quoted + &String::from(c),
            c => quoted + &c.escape_unicode().to_string(),
        }) + "\""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_no_line_and_starts_no_field() {
        assert_eq!(quoted("tcp://127.0.0.1:5570"), "tcp://127.0.0.1:5570");
        for (text, shown) in [
            ("", "\"\""),
            ("a b=c", "\"a b=c\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("a\nb\u{1b}[31m\u{202e}", "\"a\\u{a}b\\u{1b}[31m\\u{202e}\""),
        ] {
            assert_eq!(quoted(text), shown);
        }
    }
}
