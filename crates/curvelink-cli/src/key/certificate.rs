//! The certificate files of czmq, which pyzmq, rsyslog and others read too (ZPL, RFC 4).
//!
//! ```text
//! #   comment
//! metadata
//!     name = "ci-scanner"
//! curve
//!     public-key = "40 characters of Z85"
//!     secret-key = "40 characters of Z85"      (only in the file for its owner)
//! ```

use curvelink::{KeyPair, PublicKey, SecretKey};
use curvelink_envelope::Timestamp;
use zeroize::Zeroizing;

use super::Key;
use crate::exit::usage;

/// Reads the `curve` section; metadata and unknown settings are of no account.
pub(super) fn parse(text: &str) -> anyhow::Result<Key> {
    let mut public = None;
    let mut secret = None;
    for line in text.lines().map(str::trim) {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let slot = match name.trim() {
            "public-key" => &mut public,
            "secret-key" => &mut secret,
            _ => continue,
        };
        if slot.replace(unquote(value.trim())?).is_some() {
            return Err(usage(
                "a certificate names each key once: remove the second",
            ));
        }
    }
    let public = public.map(PublicKey::from_z85).transpose()?;
    let secret = secret.map(SecretKey::from_z85).transpose()?;
    match (secret, public) {
        (Some(secret), Some(public)) => Ok(Key::Curve(KeyPair::from_parts(secret, public)?)),
        (Some(secret), None) => Ok(Key::Curve(KeyPair::from_secret(secret))),
        (None, Some(public)) => Ok(Key::CurvePublic(public)),
        (None, None) => Err(usage(
            "neither a certificate nor a key: a line `public-key = \"...\"` is missing",
        )),
    }
}

/// Writes the owner's file.
pub(super) fn secret(pair: &KeyPair, name: Option<&str>, now: Timestamp) -> Zeroizing<String> {
    let secret = pair.secret().expose_z85();
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str(&head(
        "secret certificate: its owner's alone",
        &pair.public(),
        name,
        now,
    ));
    text.push_str("    secret-key = \"");
    text.push_str(&secret);
    text.push_str("\"\n");
    text
}

/// Writes the file that is given to others.
pub(super) fn public(key: &PublicKey, name: Option<&str>, now: Timestamp) -> String {
    head("public certificate", key, name, now)
}

fn head(what: &str, key: &PublicKey, name: Option<&str>, now: Timestamp) -> String {
    let metadata = name
        .map(|name| format!("    name = \"{name}\"\n"))
        .unwrap_or_default();
    format!(
        "#   CURVE {what}\n\
         #   made {now} by curvelink\n\
         #   {fingerprint}\n\
         \n\
         metadata\n\
         {metadata}\
         curve\n    \
             public-key = \"{key}\"\n",
        fingerprint = key.fingerprint(),
        key = key.to_z85(),
    )
}

fn unquote(value: &str) -> anyhow::Result<&str> {
    let quoted = |quote| {
        value
            .strip_prefix(quote)
            .map(|rest: &str| rest.split_once(quote))
    };
    match quoted('"').or_else(|| quoted('\'')) {
        Some(Some((inner, _comment))) => Ok(inner.trim()),
        Some(None) => Err(usage("a certificate has a value without its closing quote")),
        // Without quotes a value ends at white space: `#` is a character of Z85.
        None => Ok(value.split_whitespace().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> KeyPair {
        KeyPair::from_secret(SecretKey::from_octets(&[3; 32]).unwrap())
    }

    fn curve_of(text: &str) -> PublicKey {
        parse(text).unwrap().into_curve().unwrap().public()
    }

    #[test]
    fn what_was_written_is_read() {
        let now = Timestamp::now();
        let text = secret(&pair(), Some("hub"), now);
        assert_eq!(curve_of(&text), pair().public());
        let public = public(&pair().public(), None, now);
        assert!(!public.contains("secret-key") && !parse(&public).unwrap().is_secret());
    }

    #[test]
    fn any_quotes_comments_and_white_space_are_read() {
        let (z85, secret) = (pair().public().to_z85(), pair().secret().expose_z85());
        for text in [
            format!(
                "curve\n\tpublic-key='{z85}'\n secret-key =  '{}'\n",
                *secret
            ),
            format!(
                "curve\r\n    secret-key = \"{}\"   # mine\r\n\r\n\r\n",
                *secret
            ),
            format!(
                "# c\nmetadata\n  x = \"1\"\ncurve\n  secret-key = {}\n",
                *secret
            ),
        ] {
            assert_eq!(curve_of(&text), pair().public(), "{text}");
        }
    }

    #[test]
    fn contradictions_and_damage_are_refused() {
        let z85 = pair().public().to_z85();
        let other = PublicKey::from_octets([9; 32]).unwrap().to_z85();
        let secret = pair().secret().expose_z85();
        for text in [
            format!("public-key = \"{z85}\"\npublic-key = \"{z85}\""),
            format!("public-key = \"{other}\"\nsecret-key = \"{}\"", *secret),
            format!("public-key = \"{z85}"),
            format!("public-key = \"{}\"", &z85[1..]),
            "metadata\n    name = \"x\"\n".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }
}
