//! Files, streams and variables that hold secrets: how they are made and read.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::{PublicKey, z85};
use zeroize::Zeroizing;

use crate::exit::usage;

/// No key file is longer.
const MAX_TEXT: usize = 64 * 1024;

/// Where a secret is read from. Never the command line itself: every user of the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `-`: standard input.
    Stdin,
    /// `env:NAME`: an environment variable.
    Variable(String),
    /// `fd:N`: an open file descriptor.
    Descriptor(u32),
    /// `file:PATH`, or a path.
    File(PathBuf),
}

impl Source {
    /// Takes what was typed. The text is repeated in no error: it may be the secret itself.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        // A path can have 40 characters too: then there is something at it.
        if looks_like_a_key(text) && !Path::new(text).exists() {
            return Err(usage(
                "a key was given on the command line, where every user can see it: \
                 give a file, `-`, env:NAME or fd:N, and replace the key if it is secret",
            ));
        }
        Ok(match text.split_once(':') {
            _ if text == "-" => Self::Stdin,
            Some(("env", name)) => Self::Variable(name.to_owned()),
            Some(("fd", number)) => {
                let number = number.parse().ok();
                Self::Descriptor(number.ok_or_else(|| usage("fd: takes a number: fd:3"))?)
            }
            Some(("file", path)) => Self::File(path.into()),
            _ => Self::File(text.into()),
        })
    }

    /// Reads the text, and says whether others can read it too.
    pub(crate) fn read(&self) -> anyhow::Result<SecretText> {
        match self {
            Self::Stdin => text_of(io::stdin().lock()).context("standard input"),
            Self::Variable(name) => {
                let value = Zeroizing::new(env::var(name).map_err(|_| {
                    usage(format!("the environment has no text named {name}: set it"))
                })?);
                text_of(value.as_bytes()).context("environment")
            }
            Self::Descriptor(number) => {
                text_of_file(Path::new(&format!("/dev/fd/{number}"))).context("file descriptor")
            }
            Self::File(path) => {
                text_of_file(path).with_context(|| format!("cannot read {}", path.display()))
            }
        }
    }
}

/// Refuses to read standard input (`-`) for two of these: the first would take all of it.
pub(crate) fn share_no_stdin<'a>(
    readers: impl IntoIterator<Item = Option<&'a str>>,
) -> anyhow::Result<()> {
    if readers
        .into_iter()
        .filter(|reader| *reader == Some("-"))
        .count()
        > 1
    {
        return Err(usage(
            "standard input cannot be several things at once: give a key or the body as a file",
        ));
    }
    Ok(())
}

/// What was read from a [`Source`]; wiped when dropped.
pub(crate) struct SecretText {
    pub(crate) text: Zeroizing<String>,
    /// Whether the file's mode lets its group or others read it.
    pub(crate) is_exposed: bool,
}

fn text_of_file(path: &Path) -> anyhow::Result<SecretText> {
    let file = File::open(path)?;
    let is_exposed = is_exposed(&file)?;
    Ok(SecretText {
        is_exposed,
        ..text_of(file)?
    })
}

fn text_of(reader: impl Read) -> anyhow::Result<SecretText> {
    // Room for all of it at once: a vector that grows leaves secret octets behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_TEXT + 1));
    reader.take(MAX_TEXT as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > MAX_TEXT {
        return Err(usage("it is too long for a key: give a key file"));
    }
    let text = str::from_utf8(&octets).map_err(|_| usage("it is not text: give a key file"))?;
    Ok(SecretText {
        text: Zeroizing::new(text.to_owned()),
        is_exposed: false,
    })
}

/// Whether a text is a key, or the beginning of a file of one.
pub(crate) fn looks_like_a_key(text: &str) -> bool {
    let text = text.trim();
    z85::decode(text).map(Zeroizing::new).is_ok()
        || PublicKey::from_hex(text).is_ok()
        || text.contains("PRIVATE KEY")
        || text.contains("secret-key")
}

/// Makes a file for a secret: it must not exist yet, not even as a symbolic link, and only its
/// owner can read it whatever the umask is.
pub(crate) fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    create_with(path, text, 0o600)
}

/// Makes a file that anybody may read and only its owner can write; it must not exist yet either.
pub(crate) fn create_public(path: &Path, text: &str) -> anyhow::Result<()> {
    create_with(path, text, 0o644)
}

fn create_with(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => usage(format!(
            "{} exists: choose another name, a key file is never overwritten",
            path.display()
        )),
        _ => usage(format!("cannot create {}: {error}", path.display())),
    })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worse than none: it would be taken for one.
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a secret on standard output. Where that is a file (`> FILE`), the file becomes its
/// owner's alone before the first octet is in it.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        use std::os::unix::fs::PermissionsExt;

        let file = File::from(out.as_fd().try_clone_to_owned()?);
        if file.metadata()?.is_file() {
            file.set_permissions(fs::Permissions::from_mode(0o600))
                .context("cannot make the output file private: use --out FILE")?;
        }
    }
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_from_a_path() {
        let source = |text| Source::parse(text).unwrap();
        assert_eq!(source("-"), Source::Stdin);
        assert_eq!(source("env:HUB_KEY"), Source::Variable("HUB_KEY".into()));
        assert_eq!(source("fd:3"), Source::Descriptor(3));
        assert_eq!(source("file:-"), Source::File("-".into()));
        assert_eq!(source("keys/hub.key"), Source::File("keys/hub.key".into()));
        assert!(Source::parse("fd:three").is_err());
    }

    #[test]
    fn a_key_in_place_of_a_source_is_refused_and_not_repeated() {
        let z85 = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
        let hex = "54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652";
        for key in [
            z85,
            hex,
            "-----BEGIN PRIVATE KEY-----",
            "secret-key = \"x\"",
        ] {
            let error = Source::parse(key).unwrap_err().to_string();
            assert!(error.contains("command line"), "{error}");
            assert!(!error.contains(key), "{error}");
        }
    }
}
