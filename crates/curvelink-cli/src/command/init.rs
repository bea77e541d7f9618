//! `curvelink init DIR`: a hub and two identities, ready to run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::PublicKey;
use curvelink_envelope::VerifyingKey;
use curvelink_zap::Policy;

use crate::args::hub::InitArgs;
use crate::audit::Place;
use crate::exit::usage;
use crate::home::{CONFIG, HUB, Home, NewConfig};
use crate::key::{Form, Key};
use crate::{output, secret_file};

const DOMAIN: &str = "findings";
const TOPICS: &str = "findings/";
/// Signs and publishes.
pub(crate) const PUBLISHER: &str = "ci-scanner";
/// Subscribes.
pub(crate) const SUBSCRIBER: &str = "siem";

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    let made = make(args)?;
    output::line(&made.text(&args.dir))?;
    Ok(())
}

/// Makes the folder and everything in it.
pub(crate) fn make(args: &InitArgs) -> anyhow::Result<Made> {
    make_empty_folder(&args.dir)?;
    let keys = args.dir.join("keys");
    make_private_folder(&keys)?;
    let mut made = Made {
        hub: curve(&keys, HUB)?,
        publisher: curve(&keys, PUBLISHER)?,
        signer: sign(&keys, PUBLISHER)?,
        subscriber: curve(&keys, SUBSCRIBER)?,
        anchor: String::new(),
    };
    let feed_port = match args.port {
        0 => 0,
        port => port
            .checked_add(1)
            .ok_or_else(|| usage("--port is at most 65534: choose less"))?,
    };
    let config = NewConfig {
        ingest: &format!("tcp://127.0.0.1:{}", args.port),
        feed: &format!("tcp://127.0.0.1:{feed_port}"),
        public_key: &made.hub.to_z85(),
        domain: DOMAIN,
        audience: &audience(&args.dir),
    };
    secret_file::create_public(&args.dir.join(CONFIG), &config.to_string())?;
    let policy = args.dir.join("zap.toml");
    secret_file::create_public(&policy, &made.policy())?;
    Policy::from_file(&policy).context("the new policy would not be accepted")?;
    let home = Home::find(Some(&args.dir))?;
    made.anchor = Place::of(&home).create(&home, None)?;
    Ok(made)
}

/// The public halves of what was made.
pub(crate) struct Made {
    hub: PublicKey,
    publisher: PublicKey,
    signer: VerifyingKey,
    subscriber: PublicKey,
    /// The public key that every verification of the hub's journal begins with.
    anchor: String,
}

impl Made {
    fn policy(&self) -> String {
        format!(
            "# Who may connect to the hub, publish and subscribe. What is not said is not allowed.\n\
             # Look at it with: curvelink policy check zap.toml\n\
             version = 1\n\
             \n\
             [identities.{PUBLISHER}]\n\
             curve = [{:?}]\n\
             sign = [\"{}\"]\n\
             domains = [\"{DOMAIN}\"]\n\
             publish = [\"{TOPICS}\"]\n\
             \n\
             [identities.{SUBSCRIBER}]\n\
             curve = [{:?}]\n\
             domains = [\"{DOMAIN}\"]\n\
             subscribe = [\"{TOPICS}\"]\n",
            self.publisher.to_z85(),
            output::hex(self.signer.as_octets()),
            self.subscriber.to_z85(),
        )
    }

    fn text(&self, dir: &Path) -> String {
        let mut text = String::new();
        for (name, key, note) in [
            (HUB, self.hub, "the server"),
            (PUBLISHER, self.publisher, "may publish findings/"),
            (SUBSCRIBER, self.subscriber, "may subscribe to findings/"),
        ] {
            let _ = writeln!(text, "{name:<11} {}  {note}", key.fingerprint());
        }
        let signer = self.signer.fingerprint();
        let _ = writeln!(
            text,
            "{:<11} {signer}  signs the messages of {PUBLISHER}",
            ""
        );
        let _ = writeln!(text, "{:<11} {}  keep this elsewhere", "audit", self.anchor);
        let _ = write!(text, "next: cd {} && curvelink up", dir.display());
        text
    }
}

pub(super) fn make_empty_folder(dir: &Path) -> anyhow::Result<()> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(usage(format!(
            "{} is not empty: name a new folder",
            dir.display()
        ))),
        Ok(false) => Ok(()),
        Err(_) => make_private_folder(dir),
    }
}

pub(super) fn make_private_folder(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))
}

pub(super) fn curve(keys: &Path, name: &str) -> anyhow::Result<PublicKey> {
    let key = Key::generate(false)?;
    let secret = Form::Czmq.write(&key, Some(name))?;
    secret_file::create(&path(keys, name, "key_secret"), &secret)?;
    let public = Form::Czmq.write(&key.to_public(), Some(name))?;
    secret_file::create_public(&path(keys, name, "key"), &public)?;
    key.into_curve_public()
}

pub(super) fn sign(keys: &Path, name: &str) -> anyhow::Result<VerifyingKey> {
    let key = Key::generate(true)?;
    let secret = Form::Pem.write(&key, Some(name))?;
    secret_file::create(&path(keys, name, "sign.secret.pem"), &secret)?;
    let public = Form::Pem.write(&key.to_public(), Some(name))?;
    secret_file::create_public(&path(keys, name, "sign.pem"), &public)?;
    key.into_verify()
}

fn path(keys: &Path, name: &str, ending: &str) -> PathBuf {
    keys.join(format!("{name}.{ending}"))
}

/// Whom messages are signed for: by default the folder's name, so that a message for one hub is
/// not taken by another.
fn audience(dir: &Path) -> String {
    let name = dir.canonicalize().ok();
    let name = name
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let plain: String = name
        .unwrap_or_default()
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || "-_.".contains(*character))
        .take(64)
        .collect();
    if plain.is_empty() {
        HUB.to_owned()
    } else {
        plain
    }
}
