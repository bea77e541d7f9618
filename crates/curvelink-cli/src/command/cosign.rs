//! `curvelink cosign m.cle`

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use curvelink_envelope::{SigningKey, Trailer, file};

use super::sign::Kept;
use crate::args::sign::CosignArgs;
use crate::exit::{Exit, OrExit, one_line, usage};
use crate::home::Home;
use crate::key::{Bare, Key};
use crate::source::Source;
use crate::{output, secret_file};

/// Adds a signature to a saved message. What comes of it is checked before it is written: nobody
/// puts their name to what does not hold.
pub(crate) fn run(args: &CosignArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = match args.sign_key {
        Some(_) => None,
        None => Some(Home::find(dir)?),
    };
    let path = &args.file;
    let name = || path.display().to_string();
    let mut frames = file::load(path).with_context(name).or_exit(Exit::Damaged)?;
    let key = key(args, home.as_ref(), &frames)?;
    let trailer = Trailer::countersign(&frames, &key)
        .with_context(name)
        .or_exit(Exit::VerificationFailed)?;
    frames.pop();
    frames.push(trailer);
    let kept = Kept::of(path, &frames, home.as_ref())?;
    replace(path, frames.last().map_or(&[][..], Vec::as_slice))?;
    Ok(output::either(args.json, &kept, || kept.text())?)
}

fn key(args: &CosignArgs, home: Option<&Home>, frames: &[Vec<u8>]) -> anyhow::Result<SigningKey> {
    if let Some(key) = &args.sign_key {
        return Key::load(&Source::parse(key)?, Bare::SecretSeed)?.into_sign();
    }
    let (Some(home), Some(name)) = (home, &args.identity) else {
        return Err(usage("who signs? give --as NAME, or --sign-key KEY"));
    };
    let topic = frames.first().map_or(&[][..], Vec::as_slice);
    let topic = String::from_utf8_lossy(topic);
    if let Some((_, names)) = home.config.envelope.signers(&topic)
        && !names.contains(name)
    {
        return Err(usage(format!(
            "{} counts the signatures of {} only: sign as one of them",
            one_line(&topic),
            names.join(", ")
        )));
    }
    let key = home.sign_key(name)?;
    key.ok_or_else(|| usage(format!("{name} has no signing key in keys/")))
}

/// The whole of the new file takes the place of the old.
fn replace(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    let mut new = OsString::from(path);
    new.push(".new");
    let new = PathBuf::from(new);
    // Left behind by a run that was cut short.
    let _ = fs::remove_file(&new);
    secret_file::create(&new, octets)?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}
