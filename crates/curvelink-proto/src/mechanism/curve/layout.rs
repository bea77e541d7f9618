//! What the commands look like: lengths, nonces, and a reader of fixed fields.

use crate::error::MechanismError;
use crate::wire::metadata;

pub(super) const HELLO: &str = "HELLO";
pub(super) const WELCOME: &str = "WELCOME";
pub(super) const INITIATE: &str = "INITIATE";
pub(super) const READY: &str = "READY";

/// CurveZMQ 1.0, as HELLO announces it.
pub(super) const VERSION: [u8; 2] = [1, 0];

/// What HELLO is filled up with, so that WELCOME is never longer: a server cannot be made to
/// send a third party more than was sent to it (R26-8).
pub(super) const PADDING: [u8; 72] = [0; 72];

/// What the box of HELLO holds.
pub(super) const SIGNATURE: [u8; 64] = [0; 64];

/// The octets of a cookie: the nonce and the box of C' and s'.
pub(super) const COOKIE: usize = 16 + 80;

/// The octets of a vouch: the nonce and the box of C' and S.
pub(super) const VOUCH: usize = 16 + 80;

// RFC 26 counts a command's name; the bodies below begin after it.
pub(super) const HELLO_BODY: usize = 200 - 6;
pub(super) const WELCOME_BODY: usize = 168 - 8;
pub(super) const INITIATE_BODY: usize = 257 - 9;
pub(super) const READY_BODY: usize = 30 - 6;

/// The nonce of a transient key: a prefix that names the command, and the sender's counter.
pub(super) fn short_nonce(prefix: &[u8; 16], counter: u64) -> [u8; 24] {
    let mut nonce = [0; 24];
    let (name, count) = nonce.split_at_mut(16);
    name.copy_from_slice(prefix);
    count.copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// The nonce of a permanent key: a prefix that names the command, and random octets.
pub(super) fn long_nonce(prefix: &[u8; 8], random: &[u8; 16]) -> [u8; 24] {
    let mut nonce = [0; 24];
    let (name, unique) = nonce.split_at_mut(8);
    name.copy_from_slice(prefix);
    unique.copy_from_slice(random);
    nonce
}

/// Cuts fields of fixed lengths off a command's body or the clear octets of a box.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    error: MechanismError,
}

impl<'a> Fields<'a> {
    /// A body of one exact length; `error` says so of any other.
    pub(super) fn exactly(
        length: usize,
        body: &'a [u8],
        error: &'static str,
    ) -> Result<Self, MechanismError> {
        Self::checked(body.len() == length, body, error)
    }

    /// A body that ends in metadata of 0 octets to 8 KiB. Longer is refused here, before anything
    /// is copied or opened.
    pub(super) fn with_metadata(
        length: usize,
        body: &'a [u8],
        error: &'static str,
    ) -> Result<Self, MechanismError> {
        let longest = length + metadata::MAX_OCTETS;
        Self::checked((length..=longest).contains(&body.len()), body, error)
    }

    fn checked(fits: bool, rest: &'a [u8], error: &'static str) -> Result<Self, MechanismError> {
        let error = MechanismError::Malformed(error);
        if fits {
            Ok(Self { rest, error })
        } else {
            Err(error)
        }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], MechanismError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(self.error)?;
        self.rest = rest;
        Ok(field)
    }

    pub(super) fn counter(&mut self) -> Result<u64, MechanismError> {
        self.take().copied().map(u64::from_be_bytes)
    }

    /// What follows the fields that were taken.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.rest
    }
}
