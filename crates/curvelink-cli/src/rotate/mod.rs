//! Keys replaced while everything runs: the hub's own, and those of identities.
//!
//! A rotation has two steps that change something, each a few small changes in an order in which
//! every state between them works: what was cut short is repeated, and goes on where it ended.
//!
//! ```text
//! hub       begin    make the next key; clients of the folder pin both; the hub answers to both
//!           finish   clients pin the next one only; it takes the place of the old, which is gone
//! identity  begin    make the next key; the policy lists both; --as NAME uses it, the old one waits
//!           finish   the policy lists the next one only; the old one is gone
//! ```

mod edit;
mod hub;
mod identity;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::PublicKey;

use crate::args::key::RotateArgs;
use crate::command::reload::reload;
use crate::control::{Answer, Request, Shown, ask};
use crate::exit::{Exit, failure, usage};
use crate::home::{HUB, Home};
use crate::key::{Bare, Form, Key};
use crate::source::Source;
use crate::{output, secret_file};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Say what would be done.
    Plan,
    Begin,
    Finish,
    Abort,
}

pub(crate) async fn run(args: &RotateArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find(dir)?;
    let _one_at_a_time = lock(&home.path("keys"))?;
    let step = match (args.begin, args.finish, args.abort) {
        (true, ..) => Step::Begin,
        (_, true, _) => Step::Finish,
        (.., true) => Step::Abort,
        _ => Step::Plan,
    };
    let rotation = Rotation {
        home: &home,
        name: &args.name,
        leaves_behind: args.even_if_peers_are_left_behind,
    };
    let said = match args.name == HUB {
        true => hub::run(&rotation, step).await?,
        false => identity::run(&rotation, step).await?,
    };
    Ok(output::line(said.trim_end())?)
}

/// One key's.
pub(super) struct Rotation<'a> {
    home: &'a Home,
    name: &'a str,
    /// Peers that would be cut off are no reason to stop.
    leaves_behind: bool,
}

impl Rotation<'_> {
    /// The path of one of the key's files: `ending` is `key_secret` or `key`, `which` is empty for
    /// the one in use.
    fn path(&self, which: &str, ending: &str) -> anyhow::Result<PathBuf> {
        self.home.key_path(&format!("{}{which}", self.name), ending)
    }

    /// The public half of a key of the folder; `None` where there is no such key.
    fn public(&self, which: &str) -> anyhow::Result<Option<PublicKey>> {
        let path = self.path(which, "key_secret")?;
        if !path.exists() {
            return Ok(None);
        }
        let key = Key::load(&Source::File(path), Bare::Secret)?;
        key.into_curve_public().map(Some)
    }

    /// The key in use.
    fn current(&self) -> anyhow::Result<PublicKey> {
        let name = self.name;
        self.public("")?.ok_or_else(|| {
            usage(format!(
                "this folder has no key of {name}: its owner makes the new one, and you list it in \
                 the policy"
            ))
        })
    }

    /// The next key, made if there is none.
    fn make_next(&self) -> anyhow::Result<PublicKey> {
        if let Some(next) = self.public(NEXT)? {
            return Ok(next);
        }
        let key = Key::generate(false)?;
        let public = key.to_public();
        // The public half first: where there is a secret, there are both.
        let path = self.path(NEXT, "key")?;
        forget(&path)?;
        secret_file::create_public(&path, &Form::Czmq.write(&public, Some(self.name))?)?;
        let text = Form::Czmq.write(&key, Some(self.name))?;
        secret_file::create(&self.path(NEXT, "key_secret")?, &text)?;
        edit::sync_folder(&path)?;
        key.into_curve_public()
    }

    /// Renames a key: the secret last, since it is what says how far things are.
    fn rename(&self, from: &str, to: &str) -> anyhow::Result<()> {
        for ending in ["key", "key_secret"] {
            let (from, to) = (self.path(from, ending)?, self.path(to, ending)?);
            match fs::rename(&from, &to) {
                // The public half was renamed by a run that was cut short, or never was there.
                Err(error) if error.kind() == io::ErrorKind::NotFound && ending == "key" => {}
                renamed => renamed.with_context(|| from.display().to_string())?,
            }
        }
        edit::sync_folder(&self.path(to, "key")?)
    }

    /// Gives a key a second name.
    fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        for ending in ["key", "key_secret"] {
            let (from, to) = (self.path(from, ending)?, self.path(to, ending)?);
            match fs::hard_link(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && ending == "key" => {}
                linked => linked.with_context(|| to.display().to_string())?,
            }
        }
        edit::sync_folder(&self.path(to, "key")?)
    }

    /// Deletes a key: the secret first.
    fn forget(&self, which: &str) -> anyhow::Result<()> {
        for ending in ["key_secret", "key"] {
            forget(&self.path(which, ending)?)?;
        }
        edit::sync_folder(&self.path(which, "key")?)
    }

    /// Has a hub that runs read its files again; says so.
    async fn reload(&self) -> anyhow::Result<String> {
        Ok(match reload(self.home).await? {
            Some(_) => "the hub has read it".to_owned(),
            None => "no hub runs in this folder: it will read it when it starts".to_owned(),
        })
    }

    /// What the hub that runs tells of itself.
    async fn shown(&self) -> anyhow::Result<Option<Shown>> {
        Ok(match ask(&self.home.path("run"), Request::Show {}).await? {
            Some(Answer::Shown(shown)) => Some(*shown),
            _ => None,
        })
    }

    /// Stops where peers would be left behind, unless that is meant.
    fn leave(&self, behind: &[String], what: &str) -> anyhow::Result<()> {
        if behind.is_empty() || self.leaves_behind {
            return Ok(());
        }
        Err(failure(
            Exit::Refused,
            format!(
                "{} still use{} {what}: wait for them (see `curvelink show`), or say \
                 --even-if-peers-are-left-behind",
                behind.join(", "),
                if behind.len() == 1 { "s" } else { "" },
            ),
        ))
    }
}

/// Added to a name: the key that comes.
pub(super) const NEXT: &str = ".next";
/// Added to a name: the key that goes.
pub(super) const OLD: &str = ".old";

fn forget(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| path.display().to_string()),
    }
}

/// Held by whoever changes keys.
fn lock(keys: &Path) -> anyhow::Result<File> {
    let folder = File::open(keys).with_context(|| keys.display().to_string())?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(TryLockError::WouldBlock) => Err(usage("another rotation is at work: wait for it")),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| keys.display().to_string()),
    }
}

/// The names of links, each once.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}
