//! Who signs: a key, the name that receivers know it by, and whom messages are for.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use curvelink_envelope::{
    About, Progress, ProgressFile, SignError, SignMode, Signer, SigningKey, Timestamp,
};
use tokio::time::{Instant, sleep};

use crate::args::socket::SignArgs;
use crate::exit::{Exit, failure, usage};
use crate::home::Home;
use crate::key::{Bare, Key};
use crate::message::content_type;
use crate::source::Source;

/// How often to look whether another program has ended that signs with the same key.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that a signer needs, ready to begin.
#[derive(Debug)]
pub(crate) struct Pen {
    key: SigningKey,
    name: String,
    audience: String,
    /// How messages of the topic are signed.
    mode: SignMode,
    /// Where the numbering is kept; without one, each run starts from the clock.
    progress: Option<PathBuf>,
}

impl Pen {
    /// What the arguments mean for messages of `topic`; `None` where they are not signed.
    pub(crate) fn new(
        args: &SignArgs,
        identity: Option<&str>,
        home: Option<&Home>,
        topic: &str,
    ) -> anyhow::Result<Option<Self>> {
        let envelope = home.map(|home| &home.config.envelope);
        let mode = envelope.map(|envelope| envelope.modes().mode(topic.as_bytes()));
        if let (Some(key), Some(name), Some(audience)) =
            (&args.sign_key, &args.signer, &args.audience)
        {
            let key = Key::load(&Source::parse(key)?, Bare::SecretSeed)?.into_sign()?;
            let (name, audience) = (name.clone(), audience.clone());
            return Ok(Some(Self {
                key,
                name,
                audience,
                // Whoever gives a key wants a signature.
                mode: mode
                    .filter(|mode| *mode != SignMode::None)
                    .unwrap_or_default(),
                progress: None,
            }));
        }
        let Some(((home, name), mode)) = home.zip(identity).zip(mode) else {
            return Ok(None);
        };
        if mode == SignMode::None {
            return Ok(None);
        }
        let key = home.sign_key(name)?.ok_or_else(|| {
            usage(format!(
                "{name} has no signing key and the hub asks for signatures: make one with \
                 `curvelink key gen --sign --out keys/{name}.sign.secret.pem` and list its public \
                 key in the policy"
            ))
        })?;
        Ok(Some(Self {
            key,
            name: name.to_owned(),
            audience: home.config.envelope.audience.clone(),
            mode,
            progress: Some(home.state_folder()?.join(format!("{name}.progress.json"))),
        }))
    }

    /// How messages are signed: each by itself, or by the batch.
    pub(crate) const fn mode(&self) -> SignMode {
        self.mode
    }

    /// Begins to sign. Waits while another program signs with the same key.
    pub(crate) async fn signer(self, patience: Duration) -> anyhow::Result<Signer> {
        let Self {
            key,
            name,
            audience,
            progress,
            ..
        } = self;
        let Some(path) = progress else {
            let start = Signer::start(key, &name, &audience, Progress::default(), Timestamp::now());
            return Ok(start?);
        };
        let store = open(&path, patience).await?;
        let started = Signer::start(key, &name, &audience, store, Timestamp::now());
        started.map_err(|error| {
            let exit = match &error {
                SignError::Store(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                    Exit::Damaged
                }
                _ => Exit::Usage,
            };
            failure(exit, format!("{}: {error}", path.display()))
        })
    }
}

/// What a statement says beside the message itself.
#[derive(Debug)]
pub(crate) struct Remarks {
    content_type: String,
    traceparent: Option<String>,
}

impl Remarks {
    /// What the arguments and the environment say of a body that comes from `file`.
    ///
    /// # Errors
    /// Where that is nothing that a statement can say.
    pub(crate) fn new(args: &SignArgs, file: &Path) -> anyhow::Result<Self> {
        let by_name = || content_type(file).to_owned();
        let named = env::var_os("TRACEPARENT").filter(|text| !text.is_empty());
        let named = named.map(|text| text.to_string_lossy().into_owned());
        let remarks = Self {
            content_type: args.content_type.clone().unwrap_or_else(by_name),
            traceparent: args.traceparent.clone().or(named),
        };
        remarks.about().check()?;
        Ok(remarks)
    }

    pub(crate) fn about(&self) -> About<'_> {
        let about = About::new(&self.content_type);
        match &self.traceparent {
            Some(text) => about.traceparent(text),
            None => about,
        }
    }
}

async fn open(path: &Path, patience: Duration) -> anyhow::Result<ProgressFile> {
    let deadline = Instant::now() + patience;
    loop {
        match ProgressFile::open(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if Instant::now() >= deadline {
                    return Err(failure(Exit::TimedOut, error.to_string()));
                }
                sleep(LOOK).await;
            }
            opened => return opened.with_context(|| path.display().to_string()),
        }
    }
}
