//! A policy file that is read again: whole and valid it takes the place of the one before, else
//! nothing changes.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use crate::error::PolicyError;
use crate::handler::PolicyHandler;
use crate::policy::Policy;

/// What came of reading the policy file again.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reload {
    /// Another policy is in force. [`Policy::digest`] tells the two apart in records.
    Applied {
        /// The policy that was in force.
        before: Arc<Policy>,
        /// The policy that is now.
        now: Arc<Policy>,
    },
    /// The file holds the policy that is in force.
    Unchanged,
    /// The file cannot be used: the policy that was in force stays so.
    Refused(PolicyError),
}

impl PolicyHandler {
    /// Reads a file as [`Policy::from_file`] does and puts it in force; if it is wrong in any way,
    /// the policy that was in force stays. One call at a time: others wait.
    ///
    /// Peers that are up are then asked about again by whoever runs their links.
    pub fn reload(&self, path: impl AsRef<Path>) -> Reload {
        let _turn = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match Policy::from_file(path) {
            Err(error) => Reload::Refused(error),
            Ok(policy) if policy.digest() == self.policy().digest() => Reload::Unchanged,
            Ok(policy) => {
                let before = self.replace(policy);
                let now = self.policy();
                Reload::Applied { before, now }
            }
        }
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied { before, now } => {
                write!(f, "{}: in force, SHA-256 ", now.file())?;
                hex(f, now.digest())?;
                f.write_str(" in the place of ")?;
                hex(f, before.digest())
            }
            Self::Unchanged => f.write_str("the policy file is as the policy in force"),
            Self::Refused(error) => write!(f, "{error}; the policy in force stays"),
        }
    }
}

fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}
