//! `curvelink sign TOPIC FILE... --out m.cle`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use curvelink_envelope::{Timestamp, Trailer, VerifyError, file};
use serde::Serialize;

use crate::args::sign::SignFileArgs;
use crate::args::socket::TrustArgs;
use crate::exit::{Exit, OrExit, failure, one_line, usage};
use crate::home::Home;
use crate::link::PATIENCE;
use crate::output;
use crate::sign::{Pen, Remarks};
use crate::trust::Trust;

pub(crate) async fn run(args: &SignFileArgs, dir: Option<&Path>) -> anyhow::Result<()> {
    let home = Home::find_any(dir)?;
    let pen = Pen::new(
        &args.sign,
        args.identity.as_deref(),
        home.as_ref(),
        &args.topic,
    )?;
    let pen = pen.ok_or_else(|| match &home {
        Some(_) => usage("this topic is not signed, says curvelink.toml: give --sign-key"),
        None => usage("no curvelink.toml here or above: give --dir DIR, or --sign-key"),
    })?;
    let (folder, stem) = place(&args.out)?;
    let mut frames = vec![args.topic.clone().into_bytes()];
    for path in &args.files {
        let body = fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        frames.push(body?);
    }
    let first = args.files.first().map(PathBuf::as_path);
    let remarks = Remarks::new(&args.sign, first.unwrap_or_else(|| Path::new("")))?;
    let mut signer = pen.signer(PATIENCE).await?;
    frames.push(signer.sign_with(&frames, &remarks.about(), Timestamp::now())?);
    // A key of one's own is nobody's in this folder.
    let home = home.filter(|_| args.sign.sign_key.is_none());
    let kept = Kept::of(&args.out, &frames, home.as_ref())?;
    let saved = file::save(folder, stem, &frames);
    saved.with_context(|| format!("cannot save {} and its body beside it", args.out.display()))?;
    // Not before: a number that was given to nothing would be missed.
    signer.save()?;
    Ok(output::either(args.json, &kept, || kept.text())?)
}

/// The folder and the stem of a name that ends in `.cle`.
fn place(out: &Path) -> anyhow::Result<(&Path, &str)> {
    let name = out.file_name().and_then(|name| name.to_str());
    let stem = name.and_then(|name| name.strip_suffix(".cle"));
    let stem = stem.ok_or_else(|| usage("--out is a name that ends in .cle"))?;
    Ok((out.parent().unwrap_or_else(|| Path::new("")), stem))
}

/// What is told of a message that waits to be sent.
#[derive(Serialize)]
pub(super) struct Kept {
    file: String,
    topic: String,
    signer: String,
    /// The fingerprints of all keys that have signed it by itself.
    keys: Vec<String>,
    /// How many of those whom the topic needs have signed, and how many must; none where that is
    /// not known, or one is enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    signers: Option<Signers>,
    /// When the hub begins to find it stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
struct Signers {
    needed: usize,
    present: usize,
}

impl Kept {
    /// Of the message, which is checked where there is a folder that knows its signers.
    ///
    /// # Errors
    /// Where anything is wrong with it, but that more must sign.
    pub(super) fn of(path: &Path, frames: &[Vec<u8>], home: Option<&Home>) -> anyhow::Result<Self> {
        let trailer = Trailer::parse(frames.last().map_or(&[][..], Vec::as_slice))?;
        let statement = trailer.statement()?;
        let trust = Trust::new(&TrustArgs::default(), home)?;
        let (mut signers, mut before) = (None, None);
        if let Some((home, trust)) = home.zip(trust) {
            let envelope = &home.config.envelope;
            let checked = signers_of(frames, &trust, envelope.signers(&statement.topic));
            signers = checked
                .with_context(|| path.display().to_string())
                .or_exit(Exit::VerificationFailed)?;
            before = last_moment(statement.time, envelope.max_skew());
        }
        if before.is_some_and(|before| before < Timestamp::now()) {
            let path = path.display();
            let stale = "it is too old to be sent (max_skew in curvelink.toml): sign it anew";
            return Err(failure(
                Exit::VerificationFailed,
                format!("{path}: {stale}"),
            ));
        }
        let keys = trailer.signatures().iter();
        Ok(Self {
            file: one_line(&path.display().to_string()),
            topic: one_line(&statement.topic),
            signer: statement.signer,
            keys: keys.map(|by| by.key().fingerprint()).collect(),
            signers,
            before: before.map(|before| before.to_string()),
        })
    }

    pub(super) fn text(&self) -> String {
        let signers = self.signers.map(|signers| {
            let Signers { needed, present } = signers;
            format!("  {present} of {needed} signers")
        });
        let before = self.before.as_ref();
        let before = before.map(|before| format!("  to be sent before {before}"));
        format!(
            "{}  {}  signed by {} {}{}{}",
            self.file,
            self.topic,
            one_line(&self.signer),
            self.keys.join(" "),
            signers.unwrap_or_default(),
            before.unwrap_or_default()
        )
    }
}

/// How many have signed of those whom the topic needs, if it needs any.
fn signers_of(
    frames: &[Vec<u8>],
    trust: &Trust,
    needed: Option<(usize, &[String])>,
) -> Result<Option<Signers>, VerifyError> {
    match trust.verifier.verify_at_rest(frames) {
        Ok(verified) => Ok(needed.map(|(needed, names)| {
            let signer = std::iter::once(&verified.statement.signer);
            let all = signer.chain(&verified.cosigners);
            let present = all.filter(|name| names.contains(name)).count();
            Signers { needed, present }
        })),
        Err(VerifyError::TooFewSigners { needed, present }) => {
            Ok(Some(Signers { needed, present }))
        }
        Err(error) => Err(error),
    }
}

/// When a hub begins to find a message stale; never where it takes those of any age.
fn last_moment(time: Timestamp, max_skew: Duration) -> Option<Timestamp> {
    let skew = i64::try_from(max_skew.as_millis()).unwrap_or(i64::MAX);
    let last = Timestamp::from_unix_ms(time.unix_ms().saturating_add(skew));
    last.filter(|_| skew > 0)
}
