//! The greeting: 64 octets that each side sends first (RFC 37, "Greeting").

use crate::error::ProtocolError;
use crate::mechanism::MechanismName;

/// Its length, octets.
pub(crate) const LENGTH: usize = 64;

/// Its first part, signature and major version, is what a peer needs to tell our version.
pub(crate) const FIRST_PART: usize = MAJOR + 1;

const MAJOR: usize = 10;
const MINOR: usize = 11;
const MECHANISM: usize = 12;
const AS_SERVER: usize = 32;

/// Our greeting.
pub(crate) fn write(mechanism: MechanismName, as_server: bool) -> [u8; LENGTH] {
    let mut octets = [0; LENGTH];
    octets[0] = 0xff;
    octets[9] = 0x7f;
    octets[MAJOR] = 3;
    octets[MINOR] = 1;
    octets[MECHANISM..AS_SERVER].copy_from_slice(mechanism.as_octets());
    octets[AS_SERVER] = u8::from(as_server);
    octets
}

/// Checks as much of the peer's greeting as has come, so that a stranger is refused at its first
/// wrong octet; gives the minor version once all 64 are there.
///
/// Octets 1 to 8 are padding that libzmq fills (R37-5), octet 32 is as-server, which libzmq never
/// sets (R37-9), and the last 31 are filler: none of them is looked at.
///
/// # Errors
/// [`ProtocolError::NotZmtp`], [`ProtocolError::LegacyVersion`] (RFC 37, "Backwards
/// Interoperability", allows to refuse it; R37-8), [`ProtocolError::MechanismMismatch`] (R37-17).
pub(crate) fn check(octets: &[u8], ours: MechanismName) -> Result<Option<u8>, ProtocolError> {
    match octets.first() {
        None => return Ok(None),
        Some(0xff) => {}
        // ZMTP 1.0 begins with a frame: a length, then flags 0. Anything else is a stranger.
        Some(length) => {
            return match octets.get(1) {
                Some(0) if *length > 0 && *length < 0x20 => {
                    Err(ProtocolError::LegacyVersion { major: 1 })
                }
                None if *length > 0 && *length < 0x20 => Ok(None),
                _ => Err(ProtocolError::NotZmtp),
            };
        }
    }
    match octets.get(9) {
        Some(0x7f) | None => {}
        // The lowest bit tells ZMTP 1.0 with a long first frame from later versions.
        Some(end) if end & 1 == 0 => return Err(ProtocolError::LegacyVersion { major: 1 }),
        Some(_) => return Err(ProtocolError::NotZmtp),
    }
    match octets.get(MAJOR) {
        Some(0) => return Err(ProtocolError::NotZmtp),
        Some(major @ 1..=2) => return Err(ProtocolError::LegacyVersion { major: *major }),
        Some(_) | None => {}
    }
    let arrived = octets.get(MECHANISM..).unwrap_or_default();
    if arrived
        .iter()
        .zip(ours.as_octets())
        .any(|(theirs, ours)| theirs != ours)
    {
        return Err(ProtocolError::MechanismMismatch);
    }
    // R37-6: a later version keeps what 3.1 has. What 3.0 lacks, only 3.0 lacks.
    let minor = |greeting: &[u8]| {
        if greeting[MAJOR] == 3 {
            greeting[MINOR]
        } else {
            1
        }
    };
    Ok(octets.get(..LENGTH).map(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: MechanismName = MechanismName::CURVE;

    #[test]
    fn our_greeting_is_accepted_at_its_last_octet_and_not_before() {
        let greeting = write(CURVE, true);
        for cut in 0..LENGTH {
            assert_eq!(check(&greeting[..cut], CURVE), Ok(None), "{cut}");
        }
        assert_eq!(check(&greeting, CURVE), Ok(Some(1)));
    }

    #[test]
    fn t01_each_octet_flipped_is_refused_or_means_nothing() {
        for index in 0..LENGTH {
            for bit in 0..8 {
                let mut greeting = write(CURVE, false);
                greeting[index] ^= 1 << bit;
                let free = matches!(index, 1..=8 | MINOR | AS_SERVER..LENGTH);
                let later_major = index == MAJOR && greeting[MAJOR] >= 3;
                let accepted = check(&greeting, CURVE).is_ok();
                assert_eq!(accepted, free || later_major, "octet {index} bit {bit}");
            }
        }
    }

    #[test]
    fn t01_downgrade_matrix() {
        for mechanism in [MechanismName::NULL, MechanismName::PLAIN, CURVE] {
            for ours in [MechanismName::NULL, MechanismName::PLAIN, CURVE] {
                for (major, minor, accepted) in [
                    (0, 0, false),
                    (1, 0, false),
                    (2, 0, false),
                    (3, 0, true),
                    (3, 1, true),
                    (4, 0, true),
                ] {
                    let mut greeting = write(mechanism, false);
                    greeting[MAJOR] = major;
                    greeting[MINOR] = minor;
                    let result = check(&greeting, ours);
                    assert_eq!(
                        result.is_ok(),
                        accepted && mechanism == ours,
                        "{major}.{minor}"
                    );
                }
            }
        }
        let short_v1 = b"\x01\x00";
        let long_v1 = b"\xff\0\0\0\0\0\0\0\x01\0";
        assert_eq!(
            check(short_v1, CURVE),
            Err(ProtocolError::LegacyVersion { major: 1 })
        );
        assert_eq!(
            check(long_v1, CURVE),
            Err(ProtocolError::LegacyVersion { major: 1 })
        );
    }

    #[test]
    fn a_later_version_has_what_3_1_has() {
        for (major, minor, taken) in [(3, 0, 0), (3, 1, 1), (3, 2, 2), (4, 0, 1), (255, 9, 1)] {
            let mut greeting = write(CURVE, false);
            greeting[MAJOR] = major;
            greeting[MINOR] = minor;
            assert_eq!(check(&greeting, CURVE), Ok(Some(taken)), "{major}.{minor}");
        }
    }

    #[test]
    fn t14_strangers_are_refused_at_their_first_octets() {
        for stranger in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\r\n\r\n",
            b"\0\0\0\0",
            b"HELP",
        ] {
            assert_eq!(
                check(stranger, CURVE),
                Err(ProtocolError::NotZmtp),
                "{stranger:?}"
            );
        }
    }
}
