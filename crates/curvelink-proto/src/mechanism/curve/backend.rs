//! Which implementation seals and opens MESSAGE, and the proof that it works on this machine.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use crate::error::{MechanismError, UnknownBackend};

use super::nacl::{PairBox, TAG, sha256};

/// The implementation of NaCl's box (XSalsa20-Poly1305) that seals and opens what flows once the
/// handshake of [`Curve`](super::Curve) is done.
///
/// Both are always there and give the same octets, so the two sides of a link need not agree.
/// Before a process first uses one, it must give known answers and refuse what was changed. If it
/// fails, every handshake that was to use it ends with [`MechanismError::SelfTest`]: the other is
/// never taken in its place.
///
/// The handshake (key exchange, its boxes, the cookie) is no matter of this choice: it is always
/// done by dalek and RustCrypto.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CurveBackend {
    /// `dryoc`, the default: the crate dryoc, with the vector instructions that it finds on the
    /// processor. Four to seven times as fast as the other; but young, of one maintainer, with
    /// `unsafe` code and without an audit.
    #[default]
    Dryoc,
    /// `rustcrypto`: crypto_secretbox, salsa20 and poly1305 of the RustCrypto project, in wide use
    /// for years.
    RustCrypto,
}

impl CurveBackend {
    /// Every backend, the default first.
    pub const ALL: &'static [Self] = &[Self::Dryoc, Self::RustCrypto];

    /// The name, as events, settings and the command line have it; never changes once released.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.primitive().name
    }

    const fn primitive(self) -> &'static Primitive {
        static DRYOC: Primitive =
            Primitive::new("dryoc", PairBox::seal_by_dryoc, PairBox::open_by_dryoc);
        static RUST_CRYPTO: Primitive = Primitive::new("rustcrypto", PairBox::seal, PairBox::open);
        match self {
            Self::Dryoc => &DRYOC,
            Self::RustCrypto => &RUST_CRYPTO,
        }
    }
}

impl fmt::Display for CurveBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// By its [`name`](CurveBackend::name), and by nothing like it.
impl FromStr for CurveBackend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        let mut all = Self::ALL.iter().copied();
        all.find(|backend| backend.name() == name)
            .ok_or(UnknownBackend)
    }
}

/// The key of a connection, and what seals and opens its messages under it.
#[derive(Clone, Debug)]
pub(super) struct TrafficBox {
    key: Arc<PairBox>,
    cipher: Cipher,
}

impl TrafficBox {
    pub(super) const fn new(key: Arc<PairBox>, cipher: Cipher) -> Self {
        Self { key, cipher }
    }

    pub(super) const fn cipher(&self) -> &'static str {
        self.cipher.0.name
    }

    /// As [`PairBox::seal`].
    ///
    /// # Errors
    /// As that.
    pub(super) fn seal(&self, nonce: &[u8; 24], body: &mut [u8]) -> Result<(), MechanismError> {
        (self.cipher.0.seal)(&self.key, nonce, body)
    }

    /// As [`PairBox::open`].
    pub(super) fn open<'a>(&self, nonce: &[u8; 24], body: &'a mut [u8]) -> Option<&'a mut [u8]> {
        (self.cipher.0.open)(&self.key, nonce, body)
    }
}

/// An implementation that has passed its self-test; there is no other way to one.
#[derive(Clone, Copy)]
pub(super) struct Cipher(&'static Primitive);

impl Cipher {
    /// The first call of a process for each backend takes some tenths of a millisecond.
    ///
    /// # Errors
    /// [`MechanismError::SelfTest`].
    pub(super) fn new(backend: CurveBackend) -> Result<Self, MechanismError> {
        Self::tested(backend.primitive())
    }

    fn tested(primitive: &'static Primitive) -> Result<Self, MechanismError> {
        if *primitive.passed.get_or_init(|| passes(primitive)) {
            Ok(Self(primitive))
        } else {
            Err(MechanismError::SelfTest)
        }
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({})", self.0.name)
    }
}

type Seal = fn(&PairBox, &[u8; 24], &mut [u8]) -> Result<(), MechanismError>;
type Open = for<'a> fn(&PairBox, &[u8; 24], &'a mut [u8]) -> Option<&'a mut [u8]>;

/// An implementation, and whether it has passed its self-test, once that is known.
struct Primitive {
    name: &'static str,
    seal: Seal,
    open: Open,
    passed: OnceLock<bool>,
}

impl Primitive {
    const fn new(name: &'static str, seal: Seal, open: Open) -> Self {
        Self {
            name,
            seal,
            open,
            passed: OnceLock::new(),
        }
    }
}

/// The key of NaCl's box test: of Alice's secret and Bob's public key.
pub(super) const KEY: [u8; 32] =
    hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
pub(super) const NONCE: [u8; 24] = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
pub(super) const CLEAR: [u8; 131] = hex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc\
     e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31\
     0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde\
     048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864\
     5e0705",
);
pub(super) const BOX: [u8; TAG + 131] = hex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce\
     48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972\
     71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae\
     90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3\
     7973f622a43d14a6599b1f654cb45a74e355a5",
);

/// Lengths on both sides of what implementations do at once: a block, a run of blocks in vector
/// registers, several runs and a rest.
const LENGTHS: [usize; 14] = [
    0, 1, 31, 32, 33, 64, 127, 256, 500, 1024, 1100, 2049, 4096, 10_001,
];
/// SHA-256 of the boxes of these lengths, one after the other, as libsodium gives them.
const MANY_BOXES: [u8; 32] =
    hex("78d1da30fe0ce855567e2dd87ecd864b402428f3c1aeb60c2a2344e812112679");

/// Whether an implementation gives the known answers.
fn passes(primitive: &Primitive) -> bool {
    let Some(sealed) = answer(primitive, &CLEAR) else {
        return false;
    };
    let many: Option<Vec<_>> = LENGTHS
        .iter()
        .map(|length| answer(primitive, &pattern(*length)))
        .collect();
    sealed == BOX && many.is_some_and(|boxes| sha256(&boxes.concat()) == MANY_BOXES)
}

/// The box of `clear`, if it opens again, and does not open with an octet of its tag or its end
/// changed.
fn answer(primitive: &Primitive, clear: &[u8]) -> Option<Vec<u8>> {
    let key = PairBox::of_key(&KEY);
    let mut sealed = [&[0; TAG], clear].concat();
    (primitive.seal)(&key, &NONCE, &mut sealed).ok()?;
    for at in [0, TAG - 1, sealed.len() - 1] {
        let mut changed = sealed.clone();
        *changed.get_mut(at)? ^= 1;
        if (primitive.open)(&key, &NONCE, &mut changed).is_some() {
            return None;
        }
    }
    let mut opened = sealed.clone();
    let opened = (primitive.open)(&key, &NONCE, &mut opened)?;
    (opened == clear).then_some(sealed)
}

/// Octets that are not all the same, nor the same for two lengths.
fn pattern(length: usize) -> Vec<u8> {
    let octet = |at: usize| at.wrapping_mul(7).wrapping_add(length).to_le_bytes()[0];
    (0..length).map(octet).collect()
}

/// Octets from hexadecimal digits, when compiled.
pub(super) const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 2 * N, "another length");
    let mut octets = [0; N];
    let mut at = 0;
    while at < N {
        octets[at] = 16 * digit(text[2 * at]) + digit(text[2 * at + 1]);
        at += 1;
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_passes_its_self_test_and_goes_by_its_name() {
        for backend in CurveBackend::ALL {
            let cipher = Cipher::new(*backend).unwrap();
            let traffic = TrafficBox::new(PairBox::of_key(&KEY).into(), cipher);
            assert_eq!(traffic.cipher(), backend.name());
            assert_eq!(backend.to_string().parse(), Ok(*backend));
        }
        assert_eq!(CurveBackend::default().name(), "dryoc");
        assert_eq!("rustcrypto".parse(), Ok(CurveBackend::RustCrypto));
        for name in ["", "Dryoc", "dryoc ", "RustCrypto", "libsodium"] {
            assert_eq!(name.parse::<CurveBackend>(), Err(UnknownBackend));
        }
    }

    fn seal_wrongly(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &mut [u8],
    ) -> Result<(), MechanismError> {
        key.seal(nonce, body)?;
        body[TAG - 1] ^= 0x80;
        Ok(())
    }

    /// Another cipher than NaCl's at one length, as a kernel would be that is wrong there.
    fn seal_otherwise<const LENGTH: usize>(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &mut [u8],
    ) -> Result<(), MechanismError> {
        key.seal(&other_nonce(nonce, body.len() == TAG + LENGTH), body)
    }

    fn open_otherwise<'a, const LENGTH: usize>(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        key.open(&other_nonce(nonce, body.len() == TAG + LENGTH), body)
    }

    fn other_nonce(nonce: &[u8; 24], other: bool) -> [u8; 24] {
        let mut nonce = *nonce;
        nonce[0] ^= u8::from(other);
        nonce
    }

    fn seal_nothing(_: &PairBox, _: &[u8; 24], _: &mut [u8]) -> Result<(), MechanismError> {
        Ok(())
    }

    fn seal_never(_: &PairBox, _: &[u8; 24], _: &mut [u8]) -> Result<(), MechanismError> {
        Err(MechanismError::Malformed("box"))
    }

    fn open_anything<'a>(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let mut copy = body.to_vec();
        if key.open(nonce, &mut copy).is_some() {
            body.copy_from_slice(&copy);
        }
        Some(&mut body[TAG..])
    }

    /// Does not look at one bit: of the octet `AT` of the tag, or else of the last that is sealed.
    fn open_without<'a, const AT: usize>(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let at = AT.min(body.len() - 1);
        let looks_away = AT < TAG || at >= TAG;
        if looks_away && key.open(nonce, &mut body.to_vec()).is_none() {
            body[at] ^= 1;
        }
        key.open(nonce, body)
    }

    fn open_nothing<'a>(_: &PairBox, _: &[u8; 24], _: &'a mut [u8]) -> Option<&'a mut [u8]> {
        None
    }

    fn open_wrongly<'a>(
        key: &PairBox,
        nonce: &[u8; 24],
        body: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let clear = key.open(nonce, body)?;
        if let Some(octet) = clear.last_mut() {
            *octet ^= 1;
        }
        Some(clear)
    }

    #[test]
    fn a_backend_that_is_wrong_in_any_way_is_never_used() {
        static SOUND: Primitive = Primitive::new("sound", PairBox::seal, PairBox::open);
        static BROKEN: [Primitive; 11] = [
            Primitive::new("wrong tag", seal_wrongly, PairBox::open),
            Primitive::new("other box", seal_otherwise::<131>, open_otherwise::<131>),
            Primitive::new(
                "other long box",
                seal_otherwise::<10_001>,
                open_otherwise::<10_001>,
            ),
            Primitive::new("in clear", seal_nothing, open_anything),
            Primitive::new("seals nothing", seal_never, PairBox::open),
            Primitive::new("opens anything", PairBox::seal, open_anything),
            Primitive::new("tag's beginning", PairBox::seal, open_without::<0>),
            Primitive::new("tag's end", PairBox::seal, open_without::<{ TAG - 1 }>),
            Primitive::new("end", PairBox::seal, open_without::<{ usize::MAX }>),
            Primitive::new("opens nothing", PairBox::seal, open_nothing),
            Primitive::new("opens wrongly", PairBox::seal, open_wrongly),
        ];
        assert!(Cipher::tested(&SOUND).is_ok());
        for broken in &BROKEN {
            for _ in 0..2 {
                let refused = Cipher::tested(broken);
                assert_eq!(
                    refused.err(),
                    Some(MechanismError::SelfTest),
                    "{}",
                    broken.name
                );
            }
        }
    }

    #[test]
    fn the_self_test_runs_once() {
        use std::sync::atomic::{AtomicUsize, Ordering};

        static SEALED: AtomicUsize = AtomicUsize::new(0);
        fn seal(key: &PairBox, nonce: &[u8; 24], body: &mut [u8]) -> Result<(), MechanismError> {
            SEALED.fetch_add(1, Ordering::Relaxed);
            key.seal(nonce, body)
        }
        static COUNTED: Primitive = Primitive::new("counted", seal, PairBox::open);
        for _ in 0..3 {
            assert!(Cipher::tested(&COUNTED).is_ok());
            assert_eq!(SEALED.load(Ordering::Relaxed), 1 + LENGTHS.len());
        }
    }
}
