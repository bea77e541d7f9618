//! The forms that a key can be written in.

use clap::ValueEnum;
use curvelink_envelope::Timestamp;
use zeroize::Zeroizing;

use super::{Key, certificate, pem};
use crate::exit::usage;

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// 40 characters of RFC 32 (CURVE).
    Z85,
    /// 64 hexadecimal digits.
    Hex,
    /// What OpenSSL reads: PKCS#8, or SPKI for a public key.
    Pem,
    /// A certificate file of czmq, which pyzmq and rsyslog read too (CURVE).
    Czmq,
}

impl Form {
    /// Writes `key`, with a final line feed. Comments hold the public key and the date where the
    /// form has comments.
    pub(crate) fn write(self, key: &Key, name: Option<&str>) -> anyhow::Result<Zeroizing<String>> {
        let now = Timestamp::now();
        match (self, key) {
            (Self::Z85, Key::Curve(pair)) => Ok(line(&pair.secret().expose_z85())),
            (Self::Z85, Key::CurvePublic(key)) => Ok(line(&key.to_z85())),
            (Self::Hex, Key::Curve(pair)) => Ok(line(&hex(pair.secret().expose_octets()))),
            (Self::Hex, Key::CurvePublic(key)) => Ok(line(&key.to_hex())),
            (Self::Hex, Key::Sign(key)) => Ok(line(&hex(&*pem::seed(key)?))),
            (Self::Hex, Key::SignPublic(key)) => Ok(line(&hex(key.as_octets()))),
            (Self::Czmq, Key::Curve(pair)) => Ok(certificate::secret(pair, name, now)),
            (Self::Czmq, Key::CurvePublic(key)) => {
                Ok(Zeroizing::new(certificate::public(key, name, now)))
            }
            (Self::Pem, Key::CurvePublic(_) | Key::SignPublic(_)) => Ok(pem::write(key)),
            (Self::Pem, Key::Curve(_) | Key::Sign(_)) => Ok(commented(key, now)),
            (Self::Z85 | Self::Czmq, Key::Sign(_) | Key::SignPublic(_)) => {
                Err(usage("an Ed25519 key has no such form: use pem or hex"))
            }
        }
    }

    /// The form in which a key of this kind is kept unless another is asked for.
    pub(crate) const fn usual(key: &Key) -> Self {
        match key {
            Key::Curve(_) => Self::Czmq,
            Key::CurvePublic(_) => Self::Z85,
            Key::Sign(_) | Key::SignPublic(_) => Self::Pem,
        }
    }
}

fn commented(key: &Key, now: Timestamp) -> Zeroizing<String> {
    let block = pem::write(key);
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(&format!(
        "#   {}: its owner's alone\n#   made {now} by curvelink\n#   {}\n",
        key.kind(),
        key.fingerprint()
    ));
    if let Ok(public) = Form::Hex.write(&key.to_public(), None) {
        text.push_str(&format!("#   public key {}", *public));
    }
    text.push_str(&block);
    text
}

fn line(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    line.push_str(text);
    line.push('\n');
    line
}

fn hex(octets: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    for octet in octets {
        text.extend(
            [octet >> 4, octet & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use curvelink_envelope::SigningKey;

    use super::*;
    use crate::key::Bare;

    #[test]
    fn every_form_of_a_curve_key_is_read_back() {
        let key = Key::generate(false).unwrap();
        for (key, bare) in [(&key, Bare::Secret), (&key.to_public(), Bare::Public)] {
            for form in [Form::Z85, Form::Hex, Form::Pem, Form::Czmq] {
                let read = Key::parse(&form.write(key, None).unwrap(), bare).unwrap();
                assert_eq!(read.is_secret(), key.is_secret(), "{form:?}");
                assert_eq!(read.fingerprint(), key.fingerprint(), "{form:?}");
            }
        }
    }

    #[test]
    fn an_ed25519_key_has_pem_and_hex_and_no_other_form() {
        let key = Key::Sign(Box::new(SigningKey::from_seed(&[1; 32])));
        for form in [Form::Pem, Form::Hex] {
            let read = Key::parse(&form.write(&key, None).unwrap(), Bare::SecretSeed).unwrap();
            assert_eq!(read.fingerprint(), key.fingerprint(), "{form:?}");
        }
        for form in [Form::Z85, Form::Czmq] {
            assert!(form.write(&key, None).is_err() && form.write(&key.to_public(), None).is_err());
        }
    }

    #[test]
    fn the_form_of_a_public_key_holds_no_secret() {
        let key = Key::generate(false).unwrap();
        let secret = Form::Z85.write(&key, None).unwrap();
        for form in [Form::Z85, Form::Hex, Form::Pem, Form::Czmq] {
            let public = form.write(&key.to_public(), None).unwrap();
            assert!(!public.contains(secret.trim()), "{form:?}");
        }
    }
}
