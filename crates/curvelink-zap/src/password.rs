//! PLAIN passwords at rest: Argon2id hashes, in the one line of the PHC form.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curvelink_proto::{Entropy, EntropyError, Password};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::Problem;
use crate::source::number;

/// The hash of a password: Argon2id (RFC 9106), as `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
///
/// Whoever has it can try passwords against it, so it is a secret of a lesser kind: `Debug` does
/// not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

/// What one look at a password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Memory, KiB.
    memory: u32,
    /// Passes over it.
    passes: u32,
    /// Lanes: how many processors could share the work. Here one does all of it.
    lanes: u32,
}

/// What [`PasswordHash::new`] asks for: about 25 ms and 19 MiB for each look.
const USUAL: Cost = Cost {
    memory: 19 * 1024,
    passes: 2,
    lanes: 1,
};

/// The least memory, KiB. With less, a stolen file is a list of passwords.
const MIN_MEMORY: u32 = 8 * 1024;
/// The most memory, KiB, passes and lanes: whoever connects makes us spend them.
const MAX: Cost = Cost {
    memory: 256 * 1024,
    passes: 16,
    lanes: 4,
};
/// KiB times passes below which a hash is called weak: `m=19456,t=2` is above it, `m=12288,t=3` at it.
const WEAK: u64 = 36 * 1024;

const SALT: std::ops::RangeInclusive<usize> = 8..=64;
const HASH: std::ops::RangeInclusive<usize> = 16..=64;

impl PasswordHash {
    /// Hashes a password with a salt of its own. Takes about 25 ms and 19 MiB.
    ///
    /// # Errors
    /// [`EntropyError`] when there are no random octets to be had.
    pub fn new(password: &Password, entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut salt = vec![0; 16];
        entropy.fill(&mut salt)?;
        let cost = USUAL;
        let hash = cost.hash(password, &salt, 32);
        let hash = hash.map(|hash| hash.to_vec()).unwrap_or_default();
        Ok(Self { cost, salt, hash })
    }

    /// Reads the one line that [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let fields: Vec<&str> = text.split('$').collect();
        let ["", "argon2id", "v=19", cost, salt, hash] = fields[..] else {
            return Err(Problem::PasswordHash);
        };
        let cost = Cost::parse(cost).ok_or(Problem::PasswordHash)?;
        let (salt, hash) = (octets(salt, SALT)?, octets(hash, HASH)?);
        if !cost.is_bearable() {
            return Err(Problem::PasswordHashCost);
        }
        Ok(Self { cost, salt, hash })
    }

    /// A hash that costs as much and that no password has.
    pub(crate) fn decoy(&self) -> Self {
        Self {
            // No password fits an empty hash.
            hash: Vec::new(),
            ..self.clone()
        }
    }

    /// Whether it is the hash of this password. Takes as long as its cost says; the comparison
    /// afterwards takes the same time whatever it finds.
    pub(crate) fn matches(&self, password: &Password) -> bool {
        let length = self.hash.len().max(*HASH.start());
        let found = self.cost.hash(password, &self.salt, length);
        found.is_some_and(|found| found.ct_eq(&self.hash).into())
    }

    /// Whether somebody who has the file could try many passwords.
    pub(crate) fn is_weak(&self) -> bool {
        self.cost.work() < WEAK
    }

    /// Tells it from other hashes, and nothing about the password.
    pub(crate) fn mark(&self) -> u64 {
        let mut digest = Sha256::new();
        for part in [&self.salt, &self.hash] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
    }

    /// What one look costs.
    pub(crate) const fn cost(&self) -> Cost {
        self.cost
    }
}

fn octets(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, Problem> {
    let decoded = STANDARD_NO_PAD.decode(text).ok();
    decoded
        .filter(|octets| lengths.contains(&octets.len()))
        .ok_or(Problem::PasswordHash)
}

impl Cost {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(',').collect();
        let [memory, passes, lanes] = fields[..] else {
            return None;
        };
        Some(Self {
            memory: number(memory.strip_prefix("m=")?)?,
            passes: number(passes.strip_prefix("t=")?)?,
            lanes: number(lanes.strip_prefix("p=")?)?,
        })
    }

    const fn is_bearable(self) -> bool {
        MIN_MEMORY <= self.memory
            && self.memory <= MAX.memory
            && 1 <= self.passes
            && self.passes <= MAX.passes
            && 1 <= self.lanes
            && self.lanes <= MAX.lanes
    }

    /// KiB that one look writes: its time, as far as it can be told beforehand.
    pub(crate) const fn work(self) -> u64 {
        self.memory as u64 * self.passes as u64
    }

    /// `None` for parameters that Argon2 does not know, of which a read or made hash has none.
    fn hash(self, password: &Password, salt: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(length)).ok()?;
        let mut out = Zeroizing::new(vec![0; length]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.expose_octets(), salt, &mut out)
            .ok()?;
        Some(out)
    }
}

/// The line for `password_hash`.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost {
            memory,
            passes,
            lanes,
        } = self.cost;
        let [salt, hash] = [&self.salt, &self.hash].map(|octets| STANDARD_NO_PAD.encode(octets));
        write!(
            f,
            "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"
        )
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by the reference implementation (libargon2): password, line.
    const KNOWN: [(&[u8], &str); 4] = [
        (
            b"open sesame",
            "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1hbGljZS0wMA$\
             VgGd8b7sBUeQsdjCM4U4Wouk51oUzCsqf/AC7ZlqM8E",
        ),
        (
            b"correct horse",
            "$argon2id$v=19$m=12288,t=3,p=4$c2FsdC1vZi1ib2ItMDAwMA$\
             azTlSAgO+vDYASGI3rLXkDtVHHhNjToLyegWfTBNk1ePwfnndt0AfAWzmX0OatjZWtfvzHU6XAupXUw2jhet6g",
        ),
        (
            b"",
            "$argon2id$v=19$m=8192,t=2,p=2$c2FsdC1vZi1lbXB0eS0wMA$\
             enSRTZJJN9nU6Cu/v1uPMKB5wZ16hTiOlGATUIoGP6A",
        ),
        (
            &[0xff; 255],
            "$argon2id$v=19$m=8192,t=1,p=1$c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nz\
             c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzcw$+o6f692njU9UZuRZxa5rhX66Vp02u9g04ctxypoRY2o",
        ),
    ];

    #[test]
    fn hashes_of_the_reference_implementation_are_those_of_their_passwords_alone() {
        for (password, line) in KNOWN {
            let hash = PasswordHash::parse(line).unwrap();
            assert_eq!(hash.to_string(), line);
            assert!(hash.matches(&Password::new(password)), "{line}");
            for (other, _) in KNOWN {
                let other = Password::new(other);
                assert_eq!(hash.matches(&other), other.matches(password), "{line}");
            }
            let longer = Password::new([password, b"\0"].concat());
            assert!(!hash.matches(&longer), "{line}");
        }
    }

    #[test]
    fn a_decoy_costs_the_same_and_no_password_fits() {
        for (password, line) in KNOWN {
            let hash = PasswordHash::parse(line).unwrap();
            let decoy = hash.decoy();
            assert_eq!(decoy.cost(), hash.cost());
            assert!(!decoy.matches(&Password::new(password)), "{line}");
        }
    }

    #[test]
    fn a_new_hash_is_read_back_and_has_a_salt_of_its_own() {
        let password = Password::new(*b"open sesame");
        let new = || PasswordHash::new(&password, &mut curvelink_proto::OsEntropy).unwrap();
        let (one, two) = (new(), new());
        assert_ne!(one, two);
        assert!(!one.is_weak() && one.cost() == USUAL);
        assert_eq!(PasswordHash::parse(&one.to_string()).unwrap(), one);
        assert!(one.matches(&password) && !one.matches(&Password::new(*b"open sesam")));
        assert!(PasswordHash::parse(KNOWN[0].1).unwrap().is_weak());
    }

    #[test]
    fn t20_debug_shows_no_password_hash() {
        let hash = PasswordHash::parse(KNOWN[0].1).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
