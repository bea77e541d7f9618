//! Keys as people keep them: CURVE and Ed25519, in every form that other tools read and write.

mod certificate;
mod form;
mod pem;

pub(crate) use form::Form;

use anyhow::Context;
use curvelink::{KeyPair, OsEntropy, PublicKey, SecretKey};
use curvelink_envelope::{SigningKey, VerifyingKey};
use curvelink_tlog::Cosigner;
use curvelink_zap::FileProblem;

use crate::exit::usage;
use crate::source::Source;

/// A key of either kind, whole or its public half only.
#[derive(Debug)]
pub(crate) enum Key {
    /// X25519, for connections: secret and public.
    Curve(KeyPair),
    /// X25519, public only.
    CurvePublic(PublicKey),
    /// Ed25519, for signatures: secret and public.
    Sign(Box<SigningKey>),
    /// Ed25519, public only.
    SignPublic(VerifyingKey),
}

/// What 40 or 64 characters mean that do not say themselves whether they are secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// A secret key of CURVE.
    Secret,
    /// A public key of CURVE.
    Public,
    /// The secret seed of Ed25519.
    SecretSeed,
    /// Nothing: the text is refused.
    Unknown,
}

impl Key {
    /// Makes a new key.
    pub(crate) fn generate(sign: bool) -> anyhow::Result<Self> {
        Ok(if sign {
            Self::Sign(Box::new(SigningKey::generate()?))
        } else {
            Self::Curve(KeyPair::generate(&mut OsEntropy)?)
        })
    }

    /// Reads a key in any form. A secret in a file that others can read or replace is refused.
    pub(crate) fn load(source: &Source, bare: Bare) -> anyhow::Result<Self> {
        let secret = source.read()?;
        let key = Self::parse(&secret.text, bare).with_context(|| source.name())?;
        match secret.exposed {
            Some(problem) if key.is_secret() => Err(exposed(&source.name(), &problem)),
            _ => Ok(key),
        }
    }

    /// Tells the form from the text; white space and comment lines are of no account.
    pub(crate) fn parse(text: &str, bare: Bare) -> anyhow::Result<Self> {
        if text.contains("-----BEGIN") {
            return pem::parse(text);
        }
        let mut lines = text.lines().map(str::trim);
        let mut lines = lines
            .by_ref()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (None, _) => Err(usage(
                "there is no key in it: make one with `curvelink key gen`",
            )),
            (Some(only), None) if !only.contains('=') || only.len() == 40 => bare.parse(only),
            _ => certificate::parse(text),
        }
    }

    /// Whether it holds a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Self::Curve(_) | Self::Sign(_))
    }

    /// The public half.
    pub(crate) fn to_public(&self) -> Self {
        match self {
            Self::Curve(pair) => Self::CurvePublic(pair.public()),
            Self::CurvePublic(key) => Self::CurvePublic(*key),
            Self::Sign(key) => Self::SignPublic(key.verifying_key()),
            Self::SignPublic(key) => Self::SignPublic(*key),
        }
    }

    /// The short name of the public half, for eyes.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Curve(pair) => pair.public().fingerprint().to_string(),
            Self::CurvePublic(key) => key.fingerprint().to_string(),
            Self::Sign(key) => key.verifying_key().fingerprint(),
            Self::SignPublic(key) => key.fingerprint(),
        }
    }

    /// What it is, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Curve(_) => "CURVE secret key",
            Self::CurvePublic(_) => "CURVE public key",
            Self::Sign(_) => "Ed25519 signing key",
            Self::SignPublic(_) => "Ed25519 public key",
        }
    }

    /// The pair, where this is a whole CURVE key.
    pub(crate) fn into_curve(self) -> anyhow::Result<KeyPair> {
        match self {
            Self::Curve(pair) => Ok(pair),
            other => Err(usage(format!(
                "this is an {}: a CURVE secret key is needed, as `curvelink key gen` makes it",
                other.kind()
            ))),
        }
    }

    /// The public CURVE key of either half.
    pub(crate) fn into_curve_public(self) -> anyhow::Result<PublicKey> {
        match self.to_public() {
            Self::CurvePublic(key) => Ok(key),
            other => Err(usage(format!(
                "this is an {}: a CURVE key is needed",
                other.kind()
            ))),
        }
    }

    /// The secret signing key.
    pub(crate) fn into_sign(self) -> anyhow::Result<SigningKey> {
        match self {
            Self::Sign(key) => Ok(*key),
            other => Err(usage(format!(
                "this is a {}: a signing key is needed, as `curvelink key gen --sign` makes it",
                other.kind()
            ))),
        }
    }

    /// The secret signing key as that of a witness that goes by `name`.
    pub(crate) fn into_cosigner(self, name: &str) -> anyhow::Result<Cosigner> {
        let seed = pem::seed(&self.into_sign()?)?;
        Cosigner::from_seed(name, &seed).map_err(|error| usage(format!("{name}: {error}")))
    }

    /// The public signing key of either half.
    pub(crate) fn into_verify(self) -> anyhow::Result<VerifyingKey> {
        match self.to_public() {
            Self::SignPublic(key) => Ok(key),
            other => Err(usage(format!(
                "this is a {}: an Ed25519 key is needed",
                other.kind()
            ))),
        }
    }
}

impl Bare {
    fn parse(self, text: &str) -> anyhow::Result<Key> {
        Ok(match (self, text.len()) {
            (Self::Secret, 40) => Key::Curve(KeyPair::from_secret(SecretKey::from_z85(text)?)),
            (Self::Secret, 64) => Key::Curve(KeyPair::from_secret(SecretKey::from_hex(text)?)),
            (Self::Public, 40) => Key::CurvePublic(PublicKey::from_z85(text)?),
            (Self::Public, 64) => Key::CurvePublic(PublicKey::from_hex(text)?),
            // An Ed25519 seed is any 32 octets, and so is what this type checks and wipes.
            (Self::SecretSeed, 64) => {
                let seed = SecretKey::from_hex(text)?;
                Key::Sign(Box::new(SigningKey::from_seed(seed.expose_octets())))
            }
            (Self::Unknown, 40 | 64) => {
                return Err(usage(
                    "the text does not say whether it is secret: add --secret or --public",
                ));
            }
            _ => {
                return Err(usage(
                    "not a key: a certificate file, PEM, 40 characters of Z85 or 64 of hex are",
                ));
            }
        })
    }
}

fn exposed(name: &str, problem: &FileProblem) -> anyhow::Error {
    usage(match problem {
        FileProblem::Readable => format!(
            "{name} is a secret that others can read: chmod 600 {name}, and replace the key if \
             somebody may have read it"
        ),
        problem => format!("{name} is refused as a secret key: {problem}"),
    })
}

/// A public key of CURVE as it is typed: 40 characters of Z85, 64 of hex, or a file.
pub(crate) fn curve_public(text: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = PublicKey::from_z85(text).or_else(|_| PublicKey::from_hex(text)) {
        return Ok(key);
    }
    let key = Key::load(&Source::File(text.into()), Bare::Public);
    key?.into_curve_public().with_context(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> KeyPair {
        KeyPair::from_secret(SecretKey::from_octets(&[7; 32]).unwrap())
    }

    #[test]
    fn a_bare_key_is_what_the_caller_says_and_nothing_without() {
        let text = format!("# mine\n\n  {}\t\n", *curve().secret().expose_z85());
        let secret = Key::parse(&text, Bare::Secret).unwrap();
        assert_eq!(secret.into_curve().unwrap().public(), curve().public());
        let public = Key::parse(&curve().public().to_hex(), Bare::Public).unwrap();
        assert_eq!(public.into_curve_public().unwrap(), curve().public());
        assert!(Key::parse(&text, Bare::Unknown).is_err());
    }

    #[test]
    fn text_that_is_no_key_is_refused_without_repeating_it() {
        for text in [
            "",
            "# only a comment\n",
            "hunter2",
            "hunter2 = x\nhunter2 = y",
        ] {
            for bare in [Bare::Secret, Bare::Public, Bare::Unknown] {
                let error = format!("{:#}", Key::parse(text, bare).unwrap_err());
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
    }

    #[test]
    fn a_z85_key_with_an_equals_sign_is_no_certificate() {
        let pair = (1..=255)
            .map(|octet| SecretKey::from_octets(&[octet; 32]).unwrap().public())
            .find(|key| key.to_z85().contains('='))
            .unwrap();
        let read = Key::parse(&pair.to_z85(), Bare::Public).unwrap();
        assert_eq!(read.into_curve_public().unwrap(), pair);
    }

    #[test]
    fn a_key_of_the_other_kind_is_refused() {
        let sign = || Key::Sign(Box::new(SigningKey::from_seed(&[1; 32])));
        assert!(sign().into_curve().is_err() && sign().into_curve_public().is_err());
        assert!(sign().into_sign().is_ok() && sign().into_verify().is_ok());
        assert!(Key::Curve(curve()).into_sign().is_err());
        assert!(Key::Curve(curve()).into_verify().is_err());
    }

    #[test]
    fn t20_debug_shows_no_secret() {
        for sign in [false, true] {
            let key = Key::generate(sign).unwrap();
            let secret = Form::Hex.write(&key, None).unwrap();
            let octets = secret
                .trim()
                .as_bytes()
                .chunks(2)
                .map(|pair| str::from_utf8(pair).unwrap());
            let octets: Vec<u8> = octets
                .map(|pair| u8::from_str_radix(pair, 16).unwrap())
                .collect();
            let shown = format!("{key:?}");
            assert!(!shown.contains(secret.trim()), "{shown}");
            let decimal = format!("{octets:?}");
            assert!(!shown.contains(decimal.trim_matches(['[', ']'])), "{shown}");
        }
    }
}
