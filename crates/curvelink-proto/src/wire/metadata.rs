//! Metadata: the properties that peers tell each other in the handshake (RFC 37, "Metadata").

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::MechanismError;

/// Most properties that a peer may send.
const MAX_PROPERTIES: usize = 32;

/// Most octets that a peer's properties may take in all.
pub(crate) const MAX_OCTETS: usize = 8 * 1024;

/// Names that only this side may give to a peer: the policy and the transport know them.
const RESERVED: [&str; 3] = ["User-Id", "Peer-Address", "__fd"];

/// The property that names the socket's type.
pub(crate) const SOCKET_TYPE: &str = "Socket-Type";

/// The property by which a side announces that it says when its stream ends. An application's name
/// as RFC 37 has them (R37-40): libzmq keeps it and does nothing with it.
pub(crate) const END_OF_STREAM: &str = "X-End-Of-Stream";

/// The property that asks for a routing id.
pub(crate) const IDENTITY: &str = "Identity";

/// A peer's properties, checked: at most 32, at most 8 KiB, no name empty or twice.
///
/// Names are compared without regard to case (R37-39), so that `user-id` is as reserved as
/// `User-Id`. Properties of a reserved name are dropped: a peer cannot speak for the policy.
#[derive(Clone, Debug, Default)]
pub struct Metadata(Vec<(Bytes, Bytes)>);

impl Metadata {
    /// Reads the octets of READY or INITIATE.
    ///
    /// # Errors
    /// [`MechanismError::Malformed`] for what the grammar or the limits do not allow.
    pub fn parse(octets: &[u8]) -> Result<Self, MechanismError> {
        if octets.len() > MAX_OCTETS {
            return Err(MechanismError::Malformed("metadata of more than 8 KiB"));
        }
        let mut rest = octets;
        let mut properties: Vec<(Bytes, Bytes)> = Vec::new();
        while !rest.is_empty() {
            let (name, value, after) =
                property(rest).ok_or(MechanismError::Malformed("metadata property"))?;
            rest = after;
            if name.is_empty() {
                return Err(MechanismError::Malformed("metadata name: it is empty"));
            }
            if properties
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                return Err(MechanismError::Malformed("metadata name: it comes twice"));
            }
            if properties.len() == MAX_PROPERTIES {
                return Err(MechanismError::Malformed(
                    "metadata of more than 32 properties",
                ));
            }
            properties.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
        }
        properties.retain(|(name, _)| {
            !RESERVED
                .iter()
                .any(|reserved| name.eq_ignore_ascii_case(reserved.as_bytes()))
        });
        Ok(Self(properties))
    }

    /// Whether the peer says when its stream ends.
    pub(crate) fn announces_end(&self) -> bool {
        self.property(END_OF_STREAM)
            .is_some_and(|value| value == "1")
    }

    /// The value of a property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Bytes> {
        let named = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value)
    }
}

fn property(octets: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    Some((name, value, rest))
}

/// Appends a property; nothing is written unless the name has 1 to 255 octets and the value fits.
pub(crate) fn write(out: &mut BytesMut, name: &str, value: &[u8]) {
    if let (Ok(name_length @ 1..), Ok(value_length)) =
        (u8::try_from(name.len()), u32::try_from(value.len()))
    {
        out.put_u8(name_length);
        out.put_slice(name.as_bytes());
        out.put_u32(value_length);
        out.put_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(properties: &[(&str, &[u8])]) -> BytesMut {
        let mut out = BytesMut::new();
        for (name, value) in properties {
            write(&mut out, name, value);
        }
        out
    }

    #[test]
    fn properties_are_found_without_regard_to_case() {
        let octets = encoded(&[("Socket-Type", b"PUSH"), ("X-Build", b"")]);
        let metadata = Metadata::parse(&octets).unwrap();
        assert_eq!(metadata.property("socket-type").unwrap(), "PUSH");
        assert_eq!(metadata.property("X-BUILD").unwrap(), "");
        assert_eq!(metadata.property("Identity"), None);
    }

    #[test]
    fn t23_reserved_names_never_come_from_the_peer() {
        for name in [
            "User-Id",
            "user-id",
            "USER-ID",
            "Peer-Address",
            "peer-address",
            "__fd",
        ] {
            let metadata = Metadata::parse(&encoded(&[(name, b"root")])).unwrap();
            assert_eq!(metadata.property(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_has_1_to_255_characters() {
        for length in [1, 2, 254, 255] {
            let name = "n".repeat(length);
            let octets = encoded(&[(&name, b"value")]);
            assert_eq!(octets.len(), 1 + length + 4 + 5);
            let metadata = Metadata::parse(&octets).unwrap();
            assert_eq!(metadata.property(&name).unwrap(), "value");
        }
        for length in [0, 256] {
            let name = "n".repeat(length);
            assert!(encoded(&[(&name, b"value")]).is_empty(), "{length}");
        }
        assert!(Metadata::parse(b"\0\0\0\0\x05value").is_err());
    }

    #[test]
    fn every_cut_and_every_trailing_octet_is_refused() {
        let whole = encoded(&[("Socket-Type", b"PUSH"), ("Identity", b"")]);
        for cut in 1..whole.len() {
            let at_a_boundary = cut == 20;
            assert_eq!(
                Metadata::parse(&whole[..cut]).is_ok(),
                at_a_boundary,
                "{cut}"
            );
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert!(Metadata::parse(&longer).is_err());
    }

    #[test]
    fn limits_names_and_lengths_are_enforced() {
        let names: Vec<String> = (0..33).map(|i| format!("X-{i}")).collect();
        let many: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
        assert!(Metadata::parse(&encoded(&many[..32])).is_ok());
        assert!(Metadata::parse(&encoded(&many)).is_err());
        assert!(Metadata::parse(&encoded(&[("A", b"1"), ("a", b"2")])).is_err());
        assert!(Metadata::parse(b"\0\0\0\0\0").is_err());
        assert!(Metadata::parse(b"\x01A\xff\xff\xff\xff").is_err());
        assert!(Metadata::parse(b"\x01A\x7f\xff\xff\xffX").is_err());
        let large = vec![0; MAX_OCTETS];
        assert!(Metadata::parse(&encoded(&[("X", &large)])).is_err());
        assert!(Metadata::parse(&encoded(&[("X", &large[..MAX_OCTETS - 6])])).is_ok());
    }
}
