//! The folder that `curvelink witness init` makes.
//!
//! ```text
//! witness.toml                       the settings
//! zap.toml                           which hubs may ask
//! logs.vkey                          the anchors of their journals, one on each line
//! keys/witness.key_secret            its server key (CURVE)      keys/witness.key    public half
//! keys/cosigner.sign.secret.pem      what it signs with (Ed25519)
//! cosigner.vkey                      its public half, as hubs and auditors have it
//! state/witness.json                 how far each journal had come
//! seen/NAME.checkpoint               the newest checkpoint that it signed of each, for auditors
//! ```

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use curvelink::{KeyPair, PublicKey};
use curvelink_audit::Witness;
use curvelink_tlog::{Checkpoint, Cosigner, Note, VerifyingCosignerKey, VerifyingNoteKey};
use curvelink_zap::{OwnedFile, Policy};
use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::audit::tame;
use crate::exit::{Exit, failure, usage};
use crate::home::find_folder;
use crate::key::{self, Bare, Key};
use crate::source::Source;

/// The name of the settings file, by which the folder is found.
const CONFIG: &str = "witness.toml";
/// The ZAP domain that hubs enter.
pub(super) const DOMAIN: &str = "witness";
const MAX_LOGS: usize = 1 << 20;

/// A witness' folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    config: Config,
}

/// What the file does not know is an error: a misspelt setting would be no setting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    version: u32,
    /// Where hubs ask.
    endpoint: String,
    /// Its public CURVE key.
    public_key: String,
    /// What its signatures go by.
    name: String,
}

/// A journal, as far as this witness has seen it.
pub(crate) struct Seen {
    pub(crate) checkpoint: Checkpoint,
    /// Seconds since 1970 when it was signed.
    pub(crate) time: u64,
    pub(crate) file: PathBuf,
}

impl Folder {
    /// The folder that was named, or the nearest one at or above the current folder.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        let root = find_folder(named, CONFIG)?.ok_or_else(|| {
            usage(format!(
                "no {CONFIG} here or above: run `curvelink witness init DIR`, or give --dir DIR"
            ))
        })?;
        let path = root.join(CONFIG);
        let shown = path.display();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
        let config: Config = toml::from_str(&text).map_err(|error| {
            let what = error.message().trim().replace('\n', ", ");
            usage(format!("{shown}: {what}"))
        })?;
        if config.version != 1 {
            return Err(usage(format!(
                "{shown}: this version of the settings is not known: write version = 1"
            )));
        }
        Ok(Self { root, config })
    }

    /// Where hubs ask.
    pub(super) fn endpoint(&self) -> &str {
        &self.config.endpoint
    }

    /// Which hubs may ask.
    pub(super) fn policy_path(&self) -> PathBuf {
        self.root.join("zap.toml")
    }

    /// Its server key.
    ///
    /// # Errors
    /// Where it is not the one that hubs demand: they would not talk to this witness.
    pub(super) fn server_key(&self) -> anyhow::Result<KeyPair> {
        let path = self.root.join("keys/witness.key_secret");
        let pair = Key::load(&Source::File(path), Bare::Secret)?.into_curve()?;
        let listed = key::curve_public(&self.config.public_key);
        if listed.context("public_key of the witness")? == pair.public() {
            return Ok(pair);
        }
        Err(usage(
            "public_key in witness.toml is not that of keys/witness.key_secret: correct it",
        ))
    }

    /// What it signs with.
    fn cosigner(&self) -> anyhow::Result<Cosigner> {
        let path = self.root.join("keys/cosigner.sign.secret.pem");
        Key::load(&Source::File(path), Bare::Unknown)?.into_cosigner(&self.config.name)
    }

    /// Takes hold of its memory.
    ///
    /// # Errors
    /// Where another witness has it, and where it is gone or damaged: a witness that forgot would
    /// sign anything.
    pub(super) fn memory(&self) -> anyhow::Result<Witness> {
        let path = self.state_path();
        let shown = path.display();
        if !path.exists() {
            return Err(failure(
                Exit::Damaged,
                format!(
                    "{shown} is gone: a witness that forgot would sign anything, bring it back or \
                     make another with `curvelink witness init`"
                ),
            ));
        }
        Witness::open(&path, self.cosigner()?).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => usage("another witness runs in this folder: stop it first"),
            ErrorKind::InvalidData => failure(
                Exit::Damaged,
                format!("{shown} is damaged: bring back a copy that is as new"),
            ),
            _ => usage(format!("{shown}: {error}")),
        })
    }

    fn state_path(&self) -> PathBuf {
        self.root.join("state/witness.json")
    }

    /// The anchors of the journals that it watches.
    pub(super) fn logs(&self) -> anyhow::Result<Vec<VerifyingNoteKey>> {
        let path = self.logs_path();
        let cannot = || path.display().to_string();
        let read = || {
            let file = OwnedFile::open(&path)?;
            file.check_writers()?;
            file.read(MAX_LOGS)
        };
        let octets = read().map_err(|problem| usage(format!("{} {problem}", cannot())))?;
        let text = str::from_utf8(&octets).with_context(cannot)?;
        let mut logs = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let key = line.parse();
                let wrong = |_| usage(format!("{}:{number}: no anchor", cannot()));
                logs.push(key.map_err(wrong)?);
            }
        }
        Ok(logs)
    }

    fn logs_path(&self) -> PathBuf {
        self.root.join("logs.vkey")
    }

    /// Watches another journal, and lets its hub ask. What is there already stays as it is.
    pub(crate) fn watch(&self, anchor: &VerifyingNoteKey, hub: &PublicKey) -> anyhow::Result<()> {
        let logs = self.logs()?;
        let named = logs.iter().find(|log| log.name() == anchor.name());
        if named.is_some_and(|log| log != anchor) {
            return Err(usage(format!(
                "another journal of the name {} is watched: begin the new one with \
                 `curvelink audit init --origin`, or take the old line out of logs.vkey",
                anchor.name()
            )));
        }
        if named.is_none() {
            append(&self.logs_path(), &format!("{anchor}\n"), |_| Ok(()))?;
        }
        let path = self.policy_path();
        // One that lists nobody is no policy yet.
        let policy = Policy::from_file(&path);
        if policy.is_ok_and(|policy| policy.identity_of_key(hub).is_some()) {
            return Ok(());
        }
        let table = format!(
            "\n[identities.{:?}]\ncurve = [{:?}]\ndomains = [{DOMAIN:?}]\n",
            identity(anchor.name(), hub),
            hub.to_z85()
        );
        append(&path, &table, |text| {
            let policy = Policy::from_toml(text, "zap.toml");
            policy.map(drop).map_err(anyhow::Error::from)
        })
    }

    /// Keeps a checkpoint that was signed, for whoever verifies the journal against it.
    pub(super) fn keep(&self, anchor: &VerifyingNoteKey, note: &Note) -> io::Result<()> {
        let folder = self.root.join("seen");
        fs::create_dir_all(&folder)?;
        let id: String = anchor.id().iter().map(|it| format!("{it:02x}")).collect();
        let path = folder.join(format!("{}-{id}.checkpoint", tame(anchor.name())));
        replace(&path, note.to_string().as_bytes())
    }

    /// What was kept.
    pub(crate) fn seen(&self) -> anyhow::Result<Vec<Seen>> {
        let key: VerifyingCosignerKey = self.vkey()?;
        let entries = match fs::read_dir(self.root.join("seen")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut seen = Vec::new();
        for entry in entries {
            let file = entry?.path();
            let text = fs::read_to_string(&file).unwrap_or_default();
            // Not by this witness: somebody else put it there.
            let note: Option<Note> = text.parse().ok();
            let read = note.and_then(|note| {
                let time = key.verify(&note).ok()?;
                Some((note.text().parse().ok()?, time))
            });
            if let Some((checkpoint, time)) = read {
                seen.push(Seen {
                    checkpoint,
                    time,
                    file,
                });
            }
        }
        seen.sort_by(|one, other| one.checkpoint.origin.cmp(&other.checkpoint.origin));
        Ok(seen)
    }

    fn vkey(&self) -> anyhow::Result<VerifyingCosignerKey> {
        let path = self.root.join("cosigner.vkey");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let key = text.trim().parse();
        key.map_err(|error| usage(format!("{}: {error}", path.display())))
    }
}

/// What a hub is called in the policy: a hub that has another key now is another identity.
fn identity(origin: &str, hub: &PublicKey) -> String {
    let key: String = hub.to_hex().chars().take(8).collect();
    let origin: String = tame(origin).to_ascii_lowercase().chars().take(48).collect();
    format!("hub-{key}-{origin}")
}

/// Appends to a file if the result is right. It is replaced as a whole: whoever reads it sees the old or the new text.
fn append(
    path: &Path,
    more: &str,
    check: impl Fn(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(more);
    check(&text)?;
    replace(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = NamedTempFile::new_in(parent)?;
    file.write_all(octets)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What the settings of a new folder are made of.
pub(crate) struct NewWitness<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) public_key: &'a str,
    pub(crate) name: &'a str,
}

impl NewWitness<'_> {
    /// Fills a folder that has its keys.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<VerifyingCosignerKey> {
        use crate::secret_file::{create, create_public};

        create_public(&dir.join(CONFIG), &self.to_string())?;
        create_public(&dir.join("zap.toml"), POLICY)?;
        create_public(&dir.join("logs.vkey"), LOGS)?;
        let state = dir.join("state");
        fs::create_dir(&state).with_context(|| format!("cannot make {}", state.display()))?;
        create(&state.join("witness.json"), "{}")?;
        let key = Folder::find(Some(dir))?.cosigner()?.verifying_key().clone();
        create_public(&dir.join("cosigner.vkey"), &format!("{key}\n"))?;
        Ok(key)
    }
}

impl fmt::Display for NewWitness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "# A witness: it remembers how far journals had come, and signs what goes on from there.\n\
             version = 1\n\
             endpoint = {:?}    # hubs ask here\n\
             public_key = {:?}  # and talk to the owner of this key only\n\
             name = {:?}        # what its signatures go by, for ever\n",
            self.endpoint, self.public_key, self.name
        )
    }
}

const POLICY: &str = "\
# Which hubs may ask: `curvelink witness watch` adds them.
version = 1
";

const LOGS: &str = "\
# The anchors of the journals that are watched, one on each line: `curvelink witness watch` adds them.
";
