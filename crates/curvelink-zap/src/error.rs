//! What can be wrong with a policy file, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use curvelink_proto::{EndpointError, KeyError};
use thiserror::Error;

/// The first mistake in a policy file: `config/zap.toml:12: what is wrong and what to do`.
///
/// One line; it never shows a password or a key.
#[derive(Debug, Error)]
#[error("{file}{}: {problem}", At(*line))]
pub struct PolicyError {
    file: Arc<str>,
    line: Option<usize>,
    problem: Problem,
}

impl PolicyError {
    pub(crate) fn new(file: &str, line: Option<usize>, problem: Problem) -> Self {
        Self {
            file: Arc::from(file),
            line,
            problem,
        }
    }

    /// The file, as its name was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, the first being 1; `None` where the file as a whole is refused.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &Problem {
        &self.problem
    }
}

struct At(Option<usize>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What is wrong with a policy file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The operating system said no.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// A directory, a pipe, a device.
    #[error("is not a regular file: give the path of one")]
    NotRegular,
    /// Somebody else could change who gets in.
    #[error("{0} is writable by others, who could let anybody in: run chmod go-w on it")]
    Writable(&'static str),
    /// Somebody else owns what decides who gets in.
    #[error("{0} belongs to another user: chown it to root or to the user that runs this")]
    Owner(&'static str),
    /// Somebody else could read the hashes of passwords, and try passwords against them.
    #[error("holds password hashes and is readable by others: run chmod 600 on it")]
    Readable,
    /// More than 1 MiB.
    #[error("is larger than 1 MiB: is it a policy file?")]
    TooLarge,
    /// Not text.
    #[error("is not UTF-8: save it as UTF-8 text")]
    NotUtf8,
    /// Not TOML, or not the fields of a policy; says which.
    #[error("{0}")]
    Toml(String),
    /// No `version`.
    #[error("the version is missing: begin the file with version = 1")]
    VersionMissing,
    /// A `version` from another time.
    #[error("this version of the format is not known: write version = 1, or update curvelink")]
    VersionUnknown,
    /// No identity: nobody could enter.
    #[error("no identity is listed, so nobody could connect: add a table [identities.NAME]")]
    NoIdentity,
    /// A name outside the grammar.
    #[error(
        "an identity's name is 1 to 64 of a-z, 0-9, dot, dash and underscore, \
         a letter or digit first: rename it"
    )]
    IdentityName,
    /// Nothing proves the identity.
    #[error("this identity has no credential: give it curve, plain or sign")]
    NoCredential,
    /// A CURVE key that is none.
    #[error("{0}")]
    CurveKey(KeyError),
    /// An Ed25519 key that is none.
    #[error(
        "an Ed25519 public key is 64 hex digits, or the base64 line of its PEM file: \
         check that it was copied whole"
    )]
    SignKeyForm,
    /// An Ed25519 key under which anybody can sign.
    #[error("the Ed25519 key is all zeroes or of small order: generate a new one")]
    SignKeyWeak,
    /// One key in two places.
    #[error(
        "the same key stands on line {0} already: a key proves one identity and serves one \
         purpose, so remove one of the two"
    )]
    KeyTwice(usize),
    /// One PLAIN user in two places.
    #[error("the same PLAIN user stands on line {0} already: remove one of the two")]
    UserTwice(usize),
    /// A PLAIN user name outside the grammar.
    #[error("a PLAIN user name has 1 to 255 octets and no control characters: choose another")]
    Username,
    /// A password in clear.
    #[error(
        "a password must not stand in the file: write password_hash, with the line that \
         `curvelink policy password` prints"
    )]
    ClearPassword,
    /// A PLAIN user without a password.
    #[error(
        "this user has no password_hash: write the line that `curvelink policy password` prints"
    )]
    PasswordMissing,
    /// A password hash that is none.
    #[error(
        "a password_hash is one line $argon2id$v=19$m=...,t=...,p=...$salt$hash: \
         write what `curvelink policy password` prints"
    )]
    PasswordHash,
    /// A password hash that is too cheap or too dear.
    #[error(
        "a password_hash has m of 8192 to 262144 KiB, t of 1 to 16 and p of 1 to 4: \
         write what `curvelink policy password` prints"
    )]
    PasswordHashCost,
    /// A time that depends on where it is read.
    #[error("a time has a date and an offset: write it as in 2026-11-01T00:00:00Z")]
    LocalTime,
    /// A key that is never valid.
    #[error("not_before must be earlier than not_after: correct one of the two")]
    TimeOrder,
    /// A source that is none.
    #[error(
        "an entry of sources is a network (10.0.0.0/8, 2001:db8::/32), an address, \
         \"ipc\" or \"ipc:uid=1000\": correct it"
    )]
    Source,
    /// A network that is not what it says.
    #[error("this source has bits behind its prefix, or is IPv4 in another form: write {0}")]
    SourceForm(String),
    /// An endpoint that is none.
    #[error("{0}")]
    Endpoint(EndpointError),
    /// An endpoint by which no peer can come.
    #[error(
        "an entry of endpoints is one that peers come by, with its port or path: tcp://HOST:PORT \
         or ipc://PATH; of inproc nobody is asked"
    )]
    EndpointForm,
    /// A type of socket that does not exist.
    #[error(
        "an entry of patterns is REQ, REP, DEALER, ROUTER, PUB, SUB, XPUB, XSUB, PUSH, PULL or \
         PAIR: correct it"
    )]
    Pattern,
    /// One routing id of two identities.
    #[error(
        "the same routing id stands on line {0} already: it belongs to one identity, so remove \
         one of the two"
    )]
    RoutingIdTwice(usize),
    /// A size outside the grammar.
    #[error(
        "a size is a number of octets from 1, or a text as in \"4 MiB\" (B, KiB, MiB, GiB): \
         leave {0} out to set none"
    )]
    Size(&'static str),
    /// A rate outside the range.
    #[error(
        "a rate is a whole number of messages per second, from 1 to 4294967295: \
         leave {0} out to set none"
    )]
    Rate(&'static str),
    /// A duration outside the grammar.
    #[error(
        "a duration is a text as in \"12h\" (s, m, h, d), from 1s to 3650d: \
         leave {0} out to set none"
    )]
    Duration(&'static str),
    /// A list without entries.
    #[error("{0} = [] allows nothing: leave {0} out to say so, or list something")]
    EmptyList(&'static str),
    /// A word where only one is known.
    #[error("{0} is a list in [brackets], or the one word \"everything\" without them")]
    Word(&'static str),
    /// The word inside a list.
    #[error(
        "\"everything\" in a list is only a name: \
         write {0} = \"everything\" without brackets if all is meant"
    )]
    WordInList(&'static str),
    /// A pattern, or an empty string that would match all.
    #[error(
        "{0} takes no wildcard and no empty string: \
         write {0} = \"everything\" if all is meant, or list names"
    )]
    Wildcard(&'static str),
    /// A domain, topic or routing id outside the grammar.
    #[error(
        "an entry of {0} has 1 to 255 octets, no control characters and no white space \
         at its ends: correct it"
    )]
    Entry(&'static str),
    /// The same entry again.
    #[error("the same entry stands in {0} already: remove one of the two")]
    EntryTwice(&'static str),
}
