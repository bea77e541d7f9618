//! Where secrets are read from: files, streams, variables and credentials. Never the command line
//! itself: every user of the machine sees it.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::{PublicKey, z85};
use curvelink_zap::{FileProblem, OwnedFile};
use zeroize::Zeroizing;

use crate::exit::usage;

/// No key file is longer.
const MAX_TEXT: usize = 64 * 1024;

/// Where a secret is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `-`: standard input.
    Stdin,
    /// `env:NAME`: an environment variable.
    Variable(String),
    /// `fd:N`: an open file descriptor.
    Descriptor(u32),
    /// `cred:NAME`: a file of the folder that systemd makes for a service's credentials.
    Credential(String),
    /// `file:PATH`, or a path: a file that its owner alone reaches.
    File(PathBuf),
    /// `exposed-file:PATH`: a file, whoever else reaches it.
    ExposedFile(PathBuf),
}

/// What was read from a [`Source`]; wiped when dropped.
pub(crate) struct SecretText {
    pub(crate) text: Zeroizing<String>,
    /// Who else reaches the file: then it is no place for a secret.
    pub(crate) exposed: Option<FileProblem>,
}

impl Source {
    /// Takes what was typed. The text is repeated in no error: it may be the secret itself.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        // A path can have 40 characters too: then there is something at it.
        if looks_like_a_key(text) && !Path::new(text).exists() {
            return Err(usage(
                "a key was given on the command line, where every user can see it: \
                 give a file, `-`, env:NAME, fd:N or cred:NAME, and replace the key if it is secret",
            ));
        }
        Ok(match text.split_once(':') {
            _ if text == "-" => Self::Stdin,
            Some(("env", name)) => Self::Variable(name.to_owned()),
            Some(("fd", number)) => {
                let number = number.parse().ok();
                Self::Descriptor(number.ok_or_else(|| usage("fd: takes a number: fd:3"))?)
            }
            Some(("cred", name)) => Self::Credential(credential(name)?.to_owned()),
            Some(("file", path)) => Self::File(path.into()),
            Some(("exposed-file", path)) => Self::ExposedFile(path.into()),
            _ => Self::File(text.into()),
        })
    }

    /// Reads the text, and says who else could have.
    pub(crate) fn read(&self) -> anyhow::Result<SecretText> {
        match self {
            Self::Stdin => text_of_stream(io::stdin().lock()).context("standard input"),
            Self::Variable(name) => {
                let value = Zeroizing::new(env::var(name).map_err(|_| {
                    usage(format!("the environment has no text named {name}: set it"))
                })?);
                text_of_stream(value.as_bytes()).context("environment")
            }
            Self::Descriptor(number) => File::open(format!("/dev/fd/{number}"))
                .map_err(anyhow::Error::from)
                .and_then(text_of_stream)
                .context("file descriptor"),
            Self::Credential(name) => {
                let folder = env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    usage(
                        "CREDENTIALS_DIRECTORY is not set: cred: is for a service of systemd with \
                         LoadCredential= or SetCredentialEncrypted=",
                    )
                })?;
                // Who may read it is systemd's care: it grants that by access lists, which look
                // like a mode that is too open.
                text_of_file(&Path::new(&folder).join(name), OwnedFile::check_writers)
            }
            Self::File(path) => text_of_file(path, reached_by_its_owner_alone),
            Self::ExposedFile(path) => text_of_file(path, |_| Ok(())),
        }
    }

    /// What it is called in an error.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::ExposedFile(path) => path.display().to_string(),
            Self::Credential(name) => format!("cred:{name}"),
            Self::Stdin | Self::Variable(_) | Self::Descriptor(_) => "the key".to_owned(),
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

/// Whether a text is a key, or the beginning of a file of one.
pub(crate) fn looks_like_a_key(text: &str) -> bool {
    let text = text.trim();
    z85::decode(text).map(Zeroizing::new).is_ok()
        || PublicKey::from_hex(text).is_ok()
        || text.contains("PRIVATE KEY")
        || text.contains("secret-key")
}

/// The name of a file in the folder of credentials, and of none elsewhere.
fn credential(name: &str) -> anyhow::Result<&str> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(usage(
            "cred: takes the name of a credential, without a slash: cred:hub",
        ));
    }
    Ok(name)
}

fn reached_by_its_owner_alone(file: &OwnedFile) -> Result<(), FileProblem> {
    file.check_not_a_link()?;
    // Where modes are not known, who reads it is the administrator's care.
    if cfg!(unix) {
        file.check_readers()?;
    }
    file.check_writers()
}

fn text_of_file(
    path: &Path,
    check: impl FnOnce(&OwnedFile) -> Result<(), FileProblem>,
) -> anyhow::Result<SecretText> {
    let read = || -> Result<_, FileProblem> {
        let file = OwnedFile::open(path)?;
        let exposed = check(&file).err();
        Ok((file.read(MAX_TEXT)?, exposed))
    };
    let (octets, exposed) = read().map_err(|problem| match problem {
        FileProblem::Read(error) => usage(format!("cannot read {}: {error}", path.display())),
        problem => usage(format!("{} {problem}", path.display())),
    })?;
    let text = text(&octets).with_context(|| path.display().to_string())?;
    Ok(SecretText { text, exposed })
}

fn text_of_stream(reader: impl Read) -> anyhow::Result<SecretText> {
    // Room for all of it at once: a vector that grows leaves secret octets behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_TEXT + 1));
    reader.take(MAX_TEXT as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > MAX_TEXT {
        return Err(usage("it is too long for a key: give a key file"));
    }
    Ok(SecretText {
        text: text(&octets)?,
        exposed: None,
    })
}

fn text(octets: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    let text = str::from_utf8(octets).map_err(|_| usage("it is not text: give a key file"))?;
    Ok(Zeroizing::new(text.to_owned()))
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
        assert_eq!(source("cred:hub"), Source::Credential("hub".into()));
        assert_eq!(source("file:-"), Source::File("-".into()));
        assert_eq!(source("exposed-file:k"), Source::ExposedFile("k".into()));
        assert_eq!(source("keys/hub.key"), Source::File("keys/hub.key".into()));
        assert!(Source::parse("fd:three").is_err());
    }

    #[test]
    fn a_credential_is_no_way_out_of_its_folder() {
        for name in ["cred:", "cred:a/b", "cred:/etc/passwd", "cred:..", "cred:."] {
            assert!(Source::parse(name).is_err(), "{name}");
        }
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
