//! Z85, the printable form of keys (RFC 32): four octets as five characters, big-endian.

use crate::error::KeyError;

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Encodes a key of 32 octets as 40 characters.
///
/// RFC 32, "Formal Specification".
#[must_use]
pub fn encode(octets: &[u8; 32]) -> String {
    octets
        .chunks_exact(4)
        .flat_map(|group| {
            let mut value = group
                .iter()
                .fold(0_u32, |value, octet| value << 8 | u32::from(*octet));
            let mut characters = [0_u8; 5];
            for character in characters.iter_mut().rev() {
                *character = ALPHABET[(value % 85) as usize];
                value /= 85;
            }
            characters
        })
        .map(char::from)
        .collect()
}

/// Decodes a key: exactly 40 characters of the alphabet, surrounding white space not included.
///
/// # Errors
/// [`KeyError::Length`] unless there are 40 characters; [`KeyError::Character`] for one outside
/// the alphabet; [`KeyError::Overflow`] for a group above 2^32 - 1, which five characters can
/// express and four octets cannot.
pub fn decode(text: &str) -> Result<[u8; 32], KeyError> {
    let characters: &[u8; 40] = text.as_bytes().try_into().map_err(|_| KeyError::Length {
        form: "Z85",
        expected: 40,
    })?;
    let mut octets = [0; 32];
    for (group, out) in characters.chunks_exact(5).zip(octets.chunks_exact_mut(4)) {
        let mut value = 0_u64;
        for character in group {
            value = value * 85 + u64::from(digit(*character)?);
        }
        let value = u32::try_from(value).map_err(|_| KeyError::Overflow)?;
        out.copy_from_slice(&value.to_be_bytes());
    }
    Ok(octets)
}

fn digit(character: u8) -> Result<u8, KeyError> {
    ALPHABET
        .iter()
        .position(|candidate| *candidate == character)
        .and_then(|position| u8::try_from(position).ok())
        .ok_or(KeyError::Character { form: "Z85" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test key of RFC 26 libraries, published in libzmq's own documentation.
    const TEXT: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    #[test]
    fn a_published_key_survives_both_ways() {
        let octets = decode(TEXT).unwrap();
        assert_eq!(encode(&octets), TEXT);
        assert_eq!(octets[..4], [0x54, 0xfc, 0xba, 0x24]);
    }

    #[test]
    fn the_frame_of_the_rfc_encodes_as_helloworld() {
        let frame = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let octets: [u8; 32] = frame.repeat(4).try_into().unwrap();
        let text = "HelloWorld".repeat(4);
        assert_eq!(encode(&octets), text);
        assert_eq!(decode(&text), Ok(octets));
        assert_ne!(decode(&text.to_lowercase()), Ok(octets));
    }

    #[test]
    fn the_alphabet_is_the_85_characters_in_their_order() {
        let rest = ".-:+=^!/*?&<>()[]{}@%$#".chars();
        let letters = ('0'..='9').chain('a'..='z').chain('A'..='Z');
        let alphabet: Vec<char> = letters.chain(rest).collect();
        assert_eq!(alphabet.len(), 85);
        for (value, character) in alphabet.into_iter().enumerate() {
            let mut octets = [0; 32];
            octets[3] = u8::try_from(value).unwrap();
            let text = format!("0000{character}{}", "0".repeat(35));
            assert_eq!(encode(&octets), text, "{value}");
            assert_eq!(decode(&text), Ok(octets), "{value}");
        }
    }

    #[test]
    fn the_first_value_above_four_octets_is_refused() {
        let highest = "%nSc0".repeat(8);
        assert_eq!(decode(&highest).unwrap(), [0xff; 32]);
        let above = highest.replacen("%nSc0", "%nSc1", 1);
        assert_eq!(decode(&above), Err(KeyError::Overflow));
        assert_eq!(decode(&"#".repeat(40)), Err(KeyError::Overflow));
    }

    #[test]
    fn wrong_lengths_and_characters_are_refused() {
        for length in (0..100).filter(|length| *length != 40) {
            assert!(decode(&"0".repeat(length)).is_err(), "{length}");
        }
        for bad in [
            "\"", "\\", ",", " ", "\0", "\n", "~", "|", ";", "'", "_", "`", "é",
        ] {
            let mut text = "0".repeat(40 - bad.len());
            text.push_str(bad);
            assert_eq!(
                decode(&text),
                Err(KeyError::Character { form: "Z85" }),
                "{bad:?}"
            );
        }
    }
}
