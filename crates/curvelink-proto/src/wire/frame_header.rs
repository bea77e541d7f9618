//! Frame headers: one octet of flags, one or eight of length (RFC 37, "Framing").

use bytes::{BufMut, BytesMut};

use crate::error::ProtocolError;
use crate::mechanism::FrameFlags;

const MORE: u8 = 0x01;
const LONG: u8 = 0x02;
const COMMAND: u8 = 0x04;
const RESERVED: u8 = !(MORE | LONG | COMMAND);

/// The longest header, octets.
pub(crate) const MAX_HEADER: usize = 9;

/// What stands before a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) flags: FrameFlags,
    /// Octets of the body.
    pub(crate) length: usize,
}

impl FrameHeader {
    pub(crate) const fn message(length: usize, more: bool) -> Self {
        Self {
            flags: FrameFlags {
                more,
                command: false,
            },
            length,
        }
    }

    pub(crate) const fn command(length: usize) -> Self {
        Self {
            flags: FrameFlags {
                more: false,
                command: true,
            },
            length,
        }
    }

    /// Reads a header and how long it is; `None` while octets are missing.
    ///
    /// # Errors
    /// Reserved flags (R37-25), MORE on a command (R37-26), and any length over `limit`: all before
    /// a single octet of the body is waited for or made room for.
    pub(crate) fn parse(
        octets: &[u8],
        limit: usize,
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((flags, rest)) = octets.split_first() else {
            return Ok(None);
        };
        if flags & RESERVED != 0 {
            return Err(ProtocolError::Malformed("frame: reserved flags are set"));
        }
        let command = flags & COMMAND != 0;
        let more = flags & MORE != 0;
        if command && more {
            return Err(ProtocolError::Malformed(
                "frame: a command has no further frames",
            ));
        }
        let (announced, header) = if flags & LONG != 0 {
            let Some(length) = rest.first_chunk::<8>() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*length), MAX_HEADER)
        } else {
            let Some(length) = rest.first() else {
                return Ok(None);
            };
            (u64::from(*length), 2)
        };
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(ProtocolError::TooLarge {
                what: "frame",
                announced,
                limit: limit as u64,
            })?;
        Ok(Some((
            Self {
                flags: FrameFlags { more, command },
                length,
            },
            header,
        )))
    }

    /// Appends the header, in its short form where the length allows.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let mut flags = 0;
        if self.flags.more {
            flags |= MORE;
        }
        if self.flags.command {
            flags |= COMMAND;
        }
        if let Ok(length) = u8::try_from(self.length) {
            out.put_u16(u16::from_be_bytes([flags, length]));
        } else {
            out.put_u8(flags | LONG);
            out.put_u64(self.length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t03_every_length_over_the_limit_is_refused_from_the_header_alone() {
        let limit = 1 << 20;
        let lengths = [0_u64, 1, 254, 255, 256, 257, 65_535, 65_536, 65_537]
            .into_iter()
            .chain([31, 32, 63].into_iter().flat_map(|bit| {
                let power = 1_u64 << bit;
                [power - 1, power, power + 1]
            }))
            .chain([u64::MAX - 1, u64::MAX]);
        for announced in lengths {
            let mut octets = vec![LONG];
            octets.extend(announced.to_be_bytes());
            let parsed = FrameHeader::parse(&octets, limit);
            if announced <= limit as u64 {
                let (header, length) = parsed.unwrap().unwrap();
                assert_eq!((header.length as u64, length), (announced, 9));
            } else {
                let limit = limit as u64;
                let error = ProtocolError::TooLarge {
                    what: "frame",
                    announced,
                    limit,
                };
                assert_eq!(parsed, Err(error));
            }
        }
    }

    #[test]
    fn reserved_flags_and_more_on_commands_are_refused() {
        for flags in 0..=u8::MAX {
            let parsed = FrameHeader::parse(&[flags, 0, 0, 0, 0, 0, 0, 0, 0], 10);
            let allowed = flags & RESERVED == 0 && flags & (MORE | COMMAND) != (MORE | COMMAND);
            assert_eq!(parsed.is_ok(), allowed, "{flags:#x}");
        }
    }

    #[test]
    fn commands_take_the_short_header_up_to_255_octets() {
        for (length, expected) in [
            (0, &b"\x04\0"[..]),
            (255, b"\x04\xff"),
            (256, b"\x06\0\0\0\0\0\0\x01\0"),
            (70_000, b"\x06\0\0\0\0\0\x01\x11\x70"),
        ] {
            let mut out = BytesMut::new();
            FrameHeader::command(length).write(&mut out);
            assert_eq!(out, expected, "{length}");
        }
    }

    #[test]
    fn our_flags_are_those_of_the_grammar() {
        for (header, expected) in [
            (FrameHeader::message(255, false), 0),
            (FrameHeader::message(255, true), 1),
            (FrameHeader::message(256, false), 2),
            (FrameHeader::message(256, true), 3),
            (FrameHeader::command(255), 4),
            (FrameHeader::command(256), 6),
        ] {
            let mut out = BytesMut::new();
            header.write(&mut out);
            assert_eq!(out[0], expected, "{header:?}");
        }
    }

    #[test]
    fn headers_are_read_as_written_and_wait_for_missing_octets() {
        for length in [0, 1, 255, 256, 70_000] {
            for more in [false, true] {
                let header = FrameHeader::message(length, more);
                let mut out = BytesMut::new();
                header.write(&mut out);
                assert_eq!(out.len(), if length < 256 { 2 } else { 9 });
                let parsed = FrameHeader::parse(&out, 1 << 20).unwrap();
                assert_eq!(parsed, Some((header, out.len())));
                for cut in 0..out.len() {
                    assert_eq!(FrameHeader::parse(&out[..cut], 1 << 20), Ok(None), "{cut}");
                }
            }
        }
    }
}
