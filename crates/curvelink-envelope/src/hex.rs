//! Lower-case hexadecimal of 32 octets: the form that in-toto gives a SHA-256 digest.

/// `octets` as 64 lower-case digits.
pub(crate) fn encode(octets: &[u8; 32]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    let digits = octets.iter().flat_map(|octet| [octet >> 4, octet & 0xf]);
    digits.map(digit).collect()
}

/// The octets of exactly 64 lower-case digits; upper case is refused, so that one digest has one
/// spelling.
pub(crate) fn decode(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut octets = [0; 32];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            *octet = *octet << 4 | value(*digit)?;
        }
    }
    Some(octets)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_and_every_other_spelling_is_refused() {
        let octets: [u8; 32] = std::array::from_fn(|index| (index * 37 + 9) as u8);
        let text = encode(&octets);
        assert_eq!(decode(&text), Some(octets));
        assert_eq!(decode(&text.to_uppercase()), None);
        assert_eq!(decode(&text[1..]), None);
        assert_eq!(decode(&format!("{text}0")), None);
        assert_eq!(decode(&text.replace('9', "g")), None);
    }
}
