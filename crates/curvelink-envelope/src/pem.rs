//! The one-block PEM files (RFC 7468) that hold keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// An Ed25519 key takes some 120 characters; OpenSSL adds nothing worth a thousand.
const MAX_TEXT: usize = 1_024;
const LINE: usize = 64;

/// The text is not the one PEM block that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// Longer than any Ed25519 key.
    #[error("the file is too long for a key: expected one pem block of at most 1024 characters")]
    TooLong,
    /// The block has another label, or there is none or more than one.
    #[error("expected one pem block and nothing else: -----BEGIN {expected}-----")]
    Label {
        /// The label that was asked for: `PRIVATE KEY` or `PUBLIC KEY`.
        expected: &'static str,
    },
    /// Between the two lines stands no base64.
    #[error("the pem block is damaged: its lines are no base64")]
    Base64,
}

/// The octets of the one block named `label`; white space around lines is of no account.
pub(crate) fn decode(label: &'static str, text: &str) -> Result<Zeroizing<Vec<u8>>, PemError> {
    if text.len() > MAX_TEXT {
        return Err(PemError::TooLong);
    }
    let body = text
        .trim()
        .strip_prefix(&*format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&*format!("-----END {label}-----")))
        .filter(|body| !body.contains('-'))
        .ok_or(PemError::Label { expected: label })?;
    // Room for all of it at once: a vector that grows leaves secret octets behind.
    let mut joined = Zeroizing::new(Vec::with_capacity(body.len()));
    joined.extend(body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
    let mut octets = Zeroizing::new(vec![0; base64::decoded_len_estimate(joined.len())]);
    let length = STANDARD
        .decode_slice(&*joined, &mut octets)
        .map_err(|_| PemError::Base64)?;
    octets.truncate(length);
    Ok(octets)
}

/// One block named `label`, with lines of 64 characters and a final line feed.
pub(crate) fn encode(label: &str, octets: &[u8]) -> Zeroizing<String> {
    let mut base64 = Zeroizing::new(vec![0; octets.len().div_ceil(3) * 4]);
    // The buffer has the exact size, so this cannot fail.
    let _ = STANDARD.encode_slice(octets, &mut base64);
    let frame = 2 * (label.len() + 20);
    let mut text = Zeroizing::new(String::with_capacity(base64.len() * 65 / LINE + 1 + frame));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in base64.chunks(LINE) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_whatever_the_line_ends() {
        for length in 0..100 {
            let octets = vec![0xa5; length];
            let text = encode("PUBLIC KEY", &octets);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert_eq!(decode("PUBLIC KEY", &text).as_deref(), Ok(&octets));
            let dos = format!("\r\n {}\r\n", text.replace('\n', "\r\n"));
            assert_eq!(decode("PUBLIC KEY", &dos).as_deref(), Ok(&octets));
        }
    }

    #[test]
    fn a_second_block_or_another_label_is_refused() {
        let text = encode("PUBLIC KEY", &[1, 2, 3]);
        let label = |expected| Err(PemError::Label { expected });
        assert_eq!(decode("PRIVATE KEY", &text), label("PRIVATE KEY"));
        assert_eq!(decode("PUBLIC KEY", &text.repeat(2)), label("PUBLIC KEY"));
        assert_eq!(
            decode("PUBLIC KEY", &format!("{}x", *text)),
            label("PUBLIC KEY")
        );
        assert_eq!(decode("PUBLIC KEY", ""), label("PUBLIC KEY"));
    }

    #[test]
    fn damaged_and_oversized_text_is_refused() {
        let text = encode("PUBLIC KEY", &[1, 2, 3]);
        assert_eq!(
            decode("PUBLIC KEY", &text.replace("AQID", "AQ!D")),
            Err(PemError::Base64)
        );
        assert_eq!(
            decode("PUBLIC KEY", &text.replace("AQID", "AQI")),
            Err(PemError::Base64)
        );
        assert_eq!(
            decode("PUBLIC KEY", &" ".repeat(MAX_TEXT + 1)),
            Err(PemError::TooLong)
        );
    }
}
