//! Ed25519 public keys, as far as an allow-list must know them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Problem;

/// SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4) before the key's 32 octets.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Reads 64 hexadecimal digits, or base64 of the 32 octets or of the SubjectPublicKeyInfo around
/// them (the line between the armour of a PEM file). Refuses keys of small order, under which one
/// signature fits any message.
pub(crate) fn parse(text: &str) -> Result<[u8; 32], Problem> {
    let octets = if text.len() == 64 {
        decode_hex(text)
    } else {
        decode_base64(text)
    };
    let octets = octets.ok_or(Problem::SignKeyForm)?;
    if is_small_order(&octets) {
        return Err(Problem::SignKeyWeak);
    }
    Ok(octets)
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    for (pair, out) in text.as_bytes().chunks_exact(2).zip(&mut octets) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *out = *out << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(octets)
}

fn decode_base64(text: &str) -> Option<[u8; 32]> {
    let octets = STANDARD.decode(text).ok()?;
    octets
        .strip_prefix(&SPKI_PREFIX)
        .unwrap_or(&octets)
        .try_into()
        .ok()
}

/// Whether the point's order divides 8: y is 0, 1, -1 or one of the two of order 8, each also in
/// the spelling above 2^255 - 19, with either sign of x.
fn is_small_order(octets: &[u8; 32]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
           \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
           \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    ];
    let mut y = *octets;
    y[31] &= 0x7f;
    let [lowest, middle @ .., highest] = y;
    let zero_or_one = lowest <= 1 && middle == [0; 30] && highest == 0;
    let near_the_prime = (0xec..=0xee).contains(&lowest) && middle == [0xff; 30] && highest == 0x7f;
    zero_or_one || near_the_prime || ORDER_8.contains(&y)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1.
    const HEX: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn each_form_gives_the_same_key() {
        let key = parse(HEX).unwrap();
        assert_eq!(parse(&HEX.to_uppercase()).unwrap(), key);
        assert_eq!(parse(&STANDARD.encode(key)).unwrap(), key);
        let spki = [&SPKI_PREFIX[..], &key].concat();
        assert!(STANDARD.encode(&spki).starts_with("MCowBQYDK2VwAyEA"));
        assert_eq!(parse(&STANDARD.encode(&spki)).unwrap(), key);
    }

    #[test]
    fn t11_other_lengths_forms_and_prefixes_are_refused() {
        let x25519 = [
            b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00",
            &[9; 32][..],
        ]
        .concat();
        let mut texts: Vec<String> = (0..100).map(|n| STANDARD.encode(vec![9; n])).collect();
        texts.retain(|text| text.len() != 44 || STANDARD.decode(text).unwrap().len() != 32);
        texts.extend([
            STANDARD.encode(x25519),
            format!("{HEX}0"),
            HEX.replace('d', "g"),
            STANDARD.encode([9; 32]).replace('=', ""),
            format!(" {}", STANDARD.encode([9; 32])),
            "é".repeat(32),
        ]);
        for text in texts {
            assert!(matches!(parse(&text), Err(Problem::SignKeyForm)), "{text}");
        }
    }

    #[test]
    fn t11_keys_of_small_order_are_refused_with_either_sign() {
        let weak = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for text in weak {
            assert!(matches!(parse(text), Err(Problem::SignKeyWeak)), "{text}");
            let mut octets = decode_hex(text).unwrap();
            octets[31] |= 0x80;
            assert!(is_small_order(&octets), "{text}");
        }
        let strong = "ebffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
        assert!(parse(strong).is_ok());
    }
}
