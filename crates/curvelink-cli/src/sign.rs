//! Who signs: a key, the name that receivers know it by, and whom messages are for.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use curvelink_envelope::{Progress, ProgressFile, SignError, Signer, SigningKey, Timestamp};
use tokio::time::{Instant, sleep};

use crate::args::socket::SignArgs;
use crate::exit::{Exit, failure, usage};
use crate::home::{Home, Sign};
use crate::key::{Bare, Key};
use crate::source::Source;

/// How often to look whether another program has ended that signs with the same key.
const LOOK: Duration = Duration::from_millis(20);

/// Everything that a signer needs, ready to begin.
#[derive(Debug)]
pub(crate) struct Pen {
    key: SigningKey,
    name: String,
    audience: String,
    /// Where the numbering is kept; without one, each run starts from the clock.
    progress: Option<PathBuf>,
}

impl Pen {
    /// What the arguments mean; `None` where nothing is signed.
    pub(crate) fn new(
        args: &SignArgs,
        identity: Option<&str>,
        home: Option<&Home>,
    ) -> anyhow::Result<Option<Self>> {
        if let (Some(key), Some(name), Some(audience)) =
            (&args.sign_key, &args.signer, &args.audience)
        {
            let key = Key::load(&Source::parse(key)?, Bare::SecretSeed)?.into_sign()?;
            let (name, audience) = (name.clone(), audience.clone());
            return Ok(Some(Self {
                key,
                name,
                audience,
                progress: None,
            }));
        }
        let Some((home, name)) = home.zip(identity) else {
            return Ok(None);
        };
        match (home.sign_key(name)?, home.config.envelope.sign) {
            (Some(key), _) => Ok(Some(Self {
                key,
                name: name.to_owned(),
                audience: home.config.envelope.audience.clone(),
                progress: Some(home.state_folder()?.join(format!("{name}.progress.json"))),
            })),
            (None, Sign::None) => Ok(None),
            (None, Sign::Each) => Err(usage(format!(
                "{name} has no signing key and the hub asks for signatures: make one with \
                 `curvelink key gen --sign --out keys/{name}.sign.secret.pem` and list its public \
                 key in the policy"
            ))),
        }
    }

    /// Begins to sign. Waits while another program signs with the same key.
    pub(crate) async fn signer(self, patience: Duration) -> anyhow::Result<Signer> {
        let Self {
            key,
            name,
            audience,
            progress,
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
