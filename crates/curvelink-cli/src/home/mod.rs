//! The folder that `curvelink init` makes: where its settings, keys and policy are.
//!
//! ```text
//! curvelink.toml                the settings
//! zap.toml                      who may connect, publish and subscribe
//! keys/NAME.key_secret          connects as NAME (CURVE)      keys/NAME.key        its public half
//! keys/NAME.sign.secret.pem     signs as NAME (Ed25519)       keys/NAME.sign.pem   its public half
//! run/hub.json                  where the running hub listens
//! state/                        what hub and signers remember between runs
//! ```

mod config;
mod envelope;
mod registry;
mod witnesses;

pub(crate) use config::{Config, NewConfig};
pub(crate) use envelope::EnvelopeConfig;
#[cfg(test)]
pub(crate) use envelope::tests::table;
use registry::registry;
pub(crate) use witnesses::WitnessConfig;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink::{KeyPair, PublicKey};
use curvelink_envelope::SigningKey;
use curvelink_zap::{OwnedFile, Policy};
use serde::{Deserialize, Serialize};

use crate::exit::usage;
use crate::key::{self, Bare, Key};
use crate::source::Source;

/// The name of the settings file, by which the folder is found.
pub(crate) const CONFIG: &str = "curvelink.toml";
/// The name of the hub's key in `keys/`.
pub(crate) const HUB: &str = "hub";

/// The name of the key that follows it, while there are two.
pub(crate) const NEXT_HUB: &str = "hub.next";

/// A folder made by `curvelink init`.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
    pub(crate) config: Config,
}

/// Where a hub listens: with the ports that it got, once it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints {
    /// Where publishers send (ROUTER).
    pub(crate) ingest: String,
    /// Where subscribers listen (XPUB).
    pub(crate) feed: String,
}

impl Home {
    /// The folder that was named, or the nearest one at or above the current folder.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Self> {
        Self::find_any(named)?.ok_or_else(|| {
            usage(format!(
                "no {CONFIG} here or above: run `curvelink init DIR`, or give --dir DIR"
            ))
        })
    }

    /// As [`find`](Self::find), for commands that can do without.
    pub(crate) fn find_any(named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let root = find_folder(named, CONFIG)?;
        root.as_deref().map(Self::open).transpose()
    }

    fn open(root: &Path) -> anyhow::Result<Self> {
        let path = root.join(CONFIG);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = Config::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Self {
            root: root.to_owned(),
            config,
        })
    }

    /// A path below the folder.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The policy, with which a hub admits peers and everybody knows who signs what.
    pub(crate) fn policy(&self) -> anyhow::Result<Policy> {
        Ok(Policy::from_file(self.policy_path())?)
    }

    /// The secret connection key of an identity.
    pub(crate) fn curve_key(&self, name: &str) -> anyhow::Result<KeyPair> {
        let path = self.key_path(name, "key_secret")?;
        if !path.exists() {
            return Err(usage(format!(
                "{} has no key of {name}: is the name spelt right?",
                self.path("keys").display()
            )));
        }
        Key::load(&Source::File(path), Bare::Secret)?.into_curve()
    }

    /// The secret signing key of an identity; `None` where it does not sign.
    pub(crate) fn sign_key(&self, name: &str) -> anyhow::Result<Option<SigningKey>> {
        let path = self.key_path(name, "sign.secret.pem")?;
        if !path.exists() {
            return Ok(None);
        }
        Key::load(&Source::File(path), Bare::Unknown)?
            .into_sign()
            .map(Some)
    }

    /// The hub's own key and, while clients change over, its next.
    ///
    /// # Errors
    /// Where a key that clients demand is neither: they would not talk to the hub.
    pub(crate) fn server_keys(&self) -> anyhow::Result<(KeyPair, Option<KeyPair>)> {
        let current = self.curve_key(HUB)?;
        let next = match self.key_path(NEXT_HUB, "key_secret")?.exists() {
            true => Some(self.curve_key(NEXT_HUB)?),
            false => None,
        };
        let own = [Some(&current), next.as_ref()];
        let is_own = |key: &PublicKey| own.iter().flatten().any(|pair| pair.public() == *key);
        if self.hub_keys()?.iter().all(is_own) {
            return Ok((current, next));
        }
        Err(usage(
            "public_key in curvelink.toml is not that of keys/hub.key_secret: correct it, or no \
             client will talk to this hub",
        ))
    }

    /// The policy file.
    pub(crate) fn policy_path(&self) -> PathBuf {
        self.path(&self.config.hub.policy)
    }

    /// The same folder, its settings read again.
    pub(crate) fn reread(&self) -> anyhow::Result<Self> {
        Self::open(&self.root)
    }

    /// The keys of which the hub must have one.
    pub(crate) fn hub_keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        let next = self.config.hub.next_public_key.as_deref();
        let next = next.map(key::curve_public).transpose();
        let keys = [
            Some(self.hub_key()?),
            next.context("next_public_key of the hub")?,
        ];
        Ok(keys.into_iter().flatten().collect())
    }

    /// The hub's public key, which clients demand of it.
    pub(crate) fn hub_key(&self) -> anyhow::Result<PublicKey> {
        key::curve_public(&self.config.hub.public_key).context("public_key of the hub")
    }

    /// The path of a key of the folder.
    ///
    /// # Errors
    /// A name that leads out of it.
    pub(crate) fn key_path(&self, name: &str, ending: &str) -> anyhow::Result<PathBuf> {
        if is_name(name) {
            Ok(self.path("keys").join(format!("{name}.{ending}")))
        } else {
            Err(usage(
                "a name is 1 to 64 of a-z, 0-9, dot, dash, underscore, none of them first",
            ))
        }
    }

    /// Where the hub listens. While none has run, what the settings say; `None` if that is any
    /// port.
    pub(crate) fn endpoints(&self) -> Option<Endpoints> {
        let told = fs::read(self.path("run/hub.json")).ok();
        told.and_then(|text| serde_json::from_slice(&text).ok())
            .or_else(|| {
                let hub = &self.config.hub;
                let fixed = [&hub.ingest, &hub.feed]
                    .iter()
                    .all(|endpoint| !endpoint.ends_with(":0") && !endpoint.ends_with(":*"));
                fixed.then(|| Endpoints {
                    ingest: hub.ingest.clone(),
                    feed: hub.feed.clone(),
                })
            })
    }

    /// Tells clients where the hub listens.
    pub(crate) fn tell_endpoints(&self, endpoints: &Endpoints) -> anyhow::Result<()> {
        let path = self.path("run/hub.json");
        let new = self.path("run/hub.json.new");
        fs::create_dir_all(self.path("run"))
            .and_then(|()| fs::write(&new, serde_json::to_vec(endpoints)?))
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes back what [`tell_endpoints`](Self::tell_endpoints) told.
    pub(crate) fn forget_endpoints(&self) {
        // A stop that cannot tidy up is still a stop.
        let _ = fs::remove_file(self.path("run/hub.json"));
    }

    /// The folder for what is remembered between runs.
    pub(crate) fn state_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.path("state");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// The folder that was named, or the nearest one at or above the current folder that has `file`.
pub(crate) fn find_folder(named: Option<&Path>, file: &str) -> anyhow::Result<Option<PathBuf>> {
    if let Some(root) = named {
        return Ok(Some(root.to_owned()));
    }
    let here = env::current_dir().context("the current folder")?;
    let Some(root) = here.ancestors().find(|folder| folder.join(file).exists()) else {
        return Ok(None);
    };
    // Found, not named: in /tmp anybody could have put it there.
    let path = root.join(file);
    let checked = OwnedFile::open(&path).and_then(|file| file.check_writers());
    checked.map_err(|problem| {
        let path = path.display();
        usage(format!("{path}: {problem}, or give --dir to use it"))
    })?;
    // The path that people know is the short one.
    let root = root
        .strip_prefix(&here)
        .map_or_else(|_| root.to_owned(), Path::to_owned);
    Ok(Some(root))
}

/// Whether a name can stand in a path and in a policy.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b".-_".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_way_out_of_the_keys_folder() {
        for name in ["ci-scanner", "siem", "a.b_c-1"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "", ".", "..", ".hidden", "-x", "a/b", "../hub", "a\0b", "a b", "é",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"a".repeat(65)));
    }
}
