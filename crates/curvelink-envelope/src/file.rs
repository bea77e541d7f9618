//! A signed message on disk: `STEM.cle` and its body beside it, in files that other programs read.
//!
//! ```text
//! 000042.cle        the trailer frame, octet for octet
//! 000042.sarif      frame 1, the first body frame
//! 000042.2.sarif    frame 2, and so on
//! ```
//!
//! Frame 0, the topic, is taken from the statement. The ending of the body's files comes from a
//! fixed table of media types: `sarif`, `json`, `txt`, otherwise `bin`. So a peer has no part in
//! any file name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::malformed::Malformed;
use crate::store::private;
use crate::trailer::{MAX_TRAILER, Trailer};

/// The frames of a saved message have at most this many octets together: 256 MiB.
pub const MAX_SAVED: u64 = 256 << 20;
const MAX_STEM: usize = 100;

/// Writes a message to `dir` and returns the path of its `.cle` file.
///
/// `message` is all its frames, the trailer last; verify it first, this function does not. `stem`
/// is 1 to 100 characters of `A-Z a-z 0-9 - _`, chosen by the program that saves and never taken
/// from a message. The files can be read by their owner only. The `.cle` file is written last, so
/// whoever sees it finds the body complete.
///
/// # Errors
///
/// [`FileError`]; also when one of the files exists already. What had been written is removed
/// again.
pub fn save(dir: &Path, stem: &str, message: &[impl AsRef<[u8]>]) -> Result<PathBuf, FileError> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    if !(1..=MAX_STEM).contains(&stem.len()) || !stem.bytes().all(is_plain) {
        return Err(FileError::Stem);
    }
    let (trailer, frames) = message.split_last().ok_or(Malformed::NoTrailer)?;
    let statement = Trailer::parse(trailer.as_ref())?.statement()?;
    if frames.len() != statement.frames.len() {
        return Err(FileError::FrameCount);
    }
    let size: u64 = frames.iter().map(|frame| frame.as_ref().len() as u64).sum();
    if size > MAX_SAVED {
        return Err(FileError::TooLarge);
    }
    let envelope = dir.join(format!("{stem}.cle"));
    let bodies = frames.iter().enumerate().skip(1).map(|(index, frame)| {
        (
            body_path(dir, stem, index, &statement.content_type),
            frame.as_ref(),
        )
    });
    let mut written = Vec::new();
    for (path, octets) in bodies.chain([(envelope.clone(), trailer.as_ref())]) {
        if let Err(error) = write_new(&path, octets, &mut written) {
            for path in written {
                // The first error is the one to report.
                let _ = fs::remove_file(path);
            }
            return Err(error.into());
        }
    }
    Ok(envelope)
}

/// Reads the message whose `.cle` file is `path`: all its frames, the trailer last, ready for
/// [`Verifier::verify_at_rest`](crate::Verifier::verify_at_rest).
///
/// # Errors
///
/// [`FileError`]; whether the frames are the ones that were signed is for the verifier to say.
pub fn load(path: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or(FileError::NotAnEnvelope)?;
    let stem = name.strip_suffix(".cle").ok_or(FileError::NotAnEnvelope)?;
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let octets = read_at_most(path, MAX_TRAILER as u64)?;
    let statement = Trailer::parse(&octets)?.statement()?;
    let mut left = MAX_SAVED;
    let mut message = vec![statement.topic.into_bytes()];
    for index in 1..statement.frames.len() {
        let body = body_path(dir, stem, index, &statement.content_type);
        let frame = read_at_most(&body, left).map_err(|error| match error {
            FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                FileError::NoBody { frame: index }
            }
            other => other,
        })?;
        left = left.saturating_sub(frame.len() as u64);
        message.push(frame);
    }
    message.push(octets);
    Ok(message)
}

fn body_path(dir: &Path, stem: &str, index: usize, content_type: &str) -> PathBuf {
    let ending = ending_of(content_type);
    dir.join(match index {
        1 => format!("{stem}.{ending}"),
        _ => format!("{stem}.{index}.{ending}"),
    })
}

fn ending_of(content_type: &str) -> &'static str {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match &*essence {
        "application/sarif+json" => "sarif",
        "application/json" => "json",
        "text/plain" => "txt",
        _ => "bin",
    }
}

fn write_new(path: &Path, octets: &[u8], written: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut file = private().create_new(true).open(path)?;
    written.push(path.to_owned());
    file.write_all(octets)
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile);
    }
    if metadata.len() > limit {
        return Err(FileError::TooLarge);
    }
    // The file may grow meanwhile.
    let mut octets = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut octets)?;
    if octets.len() as u64 > limit {
        return Err(FileError::TooLarge);
    }
    Ok(octets)
}

/// A message was not saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The name to save under is not a plain one.
    #[error("the name to save under has 1 to 100 characters of A-Z a-z 0-9 - _")]
    Stem,
    /// The file's name does not end in `.cle`.
    #[error("not a saved message: give the file whose name ends in .cle")]
    NotAnEnvelope,
    /// The envelope is not one that can be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The message has more or fewer frames than were signed.
    #[error("the message has another number of frames than were signed: it was not saved")]
    FrameCount,
    /// A body file is not there.
    #[error("the file of frame/{frame} is missing: it belongs beside the .cle file")]
    NoBody {
        /// Which frame; 1 is the first of the body.
        frame: usize,
    },
    /// A name belongs to a folder, pipe, device or symbolic link.
    #[error("not a regular file")]
    NotAFile,
    /// More octets than a message may have.
    #[error("too large for a saved message: the body may have 256 MiB, the .cle file 75 KB")]
    TooLarge,
    /// The operating system says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Progress, Signer, SigningKey, Timestamp};

    fn message(frames: &[&str], content_type: &str) -> Vec<Vec<u8>> {
        let key = SigningKey::from_seed(&[7; 32]);
        let now = Timestamp::from_unix_ms(1_000).expect("in range");
        let mut signer = Signer::start(key, "a", "b", Progress::default(), now).expect("starts");
        let trailer = signer.sign_at(frames, content_type, now).expect("signs");
        frames
            .iter()
            .map(|frame| frame.as_bytes().to_vec())
            .chain([trailer])
            .collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir)
            .expect("a folder")
            .map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_message_comes_back_from_its_files() {
        for (frames, content_type, expected) in [
            (&["t"][..], "text/plain", &["m.cle"][..]),
            (
                &["t/x", "{}"],
                "application/sarif+json",
                &["m.cle", "m.sarif"],
            ),
            (
                &["", "{}"],
                "Application/JSON; charset=utf-8",
                &["m.cle", "m.json"],
            ),
            (
                &["t", "a", "", "c"],
                "text/plain",
                &["m.2.txt", "m.3.txt", "m.cle", "m.txt"],
            ),
            (&["t", "x"], "text/../../etc", &["m.bin", "m.cle"]),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            let message = message(frames, content_type);
            let path = save(dir.path(), "m", &message).expect("saves");
            assert_eq!(names(dir.path()), expected);
            assert_eq!(load(&path).expect("loads"), message);
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let message = message(&["t", "x"], "text/plain");
        for stem in [
            "",
            ".",
            "..",
            "a.2",
            "../a",
            "/a",
            "a b",
            "\u{e4}",
            &"a".repeat(101),
        ] {
            assert!(
                matches!(save(dir.path(), stem, &message), Err(FileError::Stem)),
                "{stem}"
            );
        }
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_written_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let message = message(&["t", "x", "y"], "text/plain");
        for existing in ["m.txt", "m.2.txt", "m.cle"] {
            fs::write(dir.path().join(existing), "mine").expect("writes");
            let refusal = save(dir.path(), "m", &message);
            assert!(matches!(refusal, Err(FileError::Io(_))));
            assert_eq!(names(dir.path()), [existing]);
            assert_eq!(fs::read(dir.path().join(existing)).expect("reads"), b"mine");
            fs::remove_file(dir.path().join(existing)).expect("removes");
        }
    }

    #[test]
    fn a_message_that_is_none_is_not_saved() {
        let dir = tempfile::tempdir().expect("a folder");
        let whole = message(&["t", "x"], "text/plain");
        let short = [whole[0].clone(), whole[2].clone()];
        assert!(matches!(
            save(dir.path(), "m", &short),
            Err(FileError::FrameCount)
        ));
        assert!(matches!(
            save(dir.path(), "m", &whole[..2]),
            Err(FileError::Malformed(_))
        ));
        assert!(matches!(
            save(dir.path(), "m", &whole[..0]),
            Err(FileError::Malformed(_))
        ));
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        let path = save(dir.path(), "m", &message(&["t", "x"], "text/plain")).expect("saves");
        assert!(matches!(load(&at("m.txt")), Err(FileError::NotAnEnvelope)));
        assert!(matches!(load(&at("n.cle")), Err(FileError::Io(_))));
        fs::remove_file(at("m.txt")).expect("removes");
        assert!(matches!(load(&path), Err(FileError::NoBody { frame: 1 })));
        fs::create_dir(at("m.txt")).expect("makes");
        assert!(matches!(load(&path), Err(FileError::NotAFile)));
        fs::write(&path, vec![b'C'; MAX_TRAILER + 1]).expect("writes");
        assert!(matches!(load(&path), Err(FileError::TooLarge)));
        fs::write(&path, "CLE1").expect("writes");
        assert!(matches!(load(&path), Err(FileError::Malformed(_))));
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = save(dir.path(), "m", &message(&["t", "x"], "text/plain")).expect("saves");
        let body = File::options()
            .write(true)
            .open(dir.path().join("m.txt"))
            .expect("opens");
        body.set_len(MAX_SAVED + 1).expect("a sparse file");
        assert!(matches!(load(&path), Err(FileError::TooLarge)));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private_and_links_are_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let dir = tempfile::tempdir().expect("a folder");
        let path = save(dir.path(), "m", &message(&["t", "x"], "text/plain")).expect("saves");
        for name in ["m.cle", "m.txt"] {
            let mode = fs::metadata(dir.path().join(name))
                .expect("there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        fs::rename(dir.path().join("m.txt"), dir.path().join("real")).expect("renames");
        symlink("real", dir.path().join("m.txt")).expect("links");
        assert!(matches!(load(&path), Err(FileError::NotAFile)));
    }
}
