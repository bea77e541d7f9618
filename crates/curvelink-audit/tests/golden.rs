//! Each format over every event of the catalogue, held to files that a reviewer can read.
//!
//! After a change that is meant, `CURVELINK_BLESS=1 cargo test -p curvelink-audit --test golden`
//! writes them anew.

use std::fs;
use std::path::Path;

use curvelink_audit::format::Format;

#[path = "support/samples.rs"]
mod samples;

#[test]
fn every_event_is_written_as_the_files_say() {
    for format in Format::ALL {
        let written: Vec<u8> = samples::records()
            .iter()
            .flat_map(|record| format.entry(record))
            .collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = path.join(format.name());
        if std::env::var_os("CURVELINK_BLESS").is_some_and(|value| value == "1") {
            fs::write(&path, &written).unwrap();
        }
        let kept = fs::read(&path).unwrap();
        let lines = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (written, kept) = (lines(&written), lines(&kept));
        for (number, (written, kept)) in written.lines().zip(kept.lines()).enumerate() {
            assert_eq!(written, kept, "{format}, line {}", number + 1);
        }
        assert_eq!(
            written.len(),
            kept.len(),
            "{format} has more or fewer lines"
        );
    }
}

#[test]
fn a_record_is_one_line_in_every_format_of_lines() {
    for format in Format::ALL {
        for record in samples::records() {
            let entry = format.entry(&record);
            let ends = entry.iter().filter(|octet| **octet < b' ').count();
            let is_lines = *format != Format::Journald;
            assert!(!is_lines || ends == 1, "{format}: {}", record.id());
            assert_eq!(entry.last(), Some(&b'\n'), "{format}: {}", record.id());
        }
    }
}
