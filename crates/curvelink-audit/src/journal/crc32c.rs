//! CRC-32C (Castagnoli), which tells octets that a crash left half-written. It is no protection
//! against anybody: signatures are.

/// The polynomial 0x1EDC6F41 with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut value = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ (POLYNOMIAL & (value & 1).wrapping_neg());
            bit += 1;
        }
        table[octet] = value;
        octet += 1;
    }
    table
}

/// The checksum of these parts, one after the other.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let octets = parts.iter().copied().flatten();
    !octets.fold(!0, |crc, octet| {
        // A `u8` is always within the table.
        (crc >> 8) ^ TABLE[usize::from(*octet ^ crc.to_le_bytes()[0])]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answers_of_rfc_3720_come_out() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(crc32c(&[&ascending]), 0x46dd_794e);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn parts_are_as_good_as_a_whole() {
        assert_eq!(crc32c(&[b"12", b"", b"3456789"]), crc32c(&[b"123456789"]));
    }
}
