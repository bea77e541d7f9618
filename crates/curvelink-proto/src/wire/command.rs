//! Commands: a name, its length before it, and a body (RFC 37, "Commands").

use bytes::{BufMut, BytesMut};

use super::frame_header::FrameHeader;

pub(crate) const ERROR: &str = "ERROR";
pub(crate) const SUBSCRIBE: &str = "SUBSCRIBE";
pub(crate) const CANCEL: &str = "CANCEL";
pub(crate) const PING: &str = "PING";
pub(crate) const PONG: &str = "PONG";
/// Not of any RFC: the last frame of a sealed stream that its sender ends on purpose, without a
/// body. Sent only to a peer that announced it too.
pub(crate) const END_OF_STREAM: &str = "ENDOFSTREAM";

/// What libzmq's PLAIN server and client take for the start of ERROR: its source spells the
/// length prefix as a hexadecimal escape that swallows the first letter.
const PLAIN_ERROR_OF_LIBZMQ: &[u8] = b"\x5eRROR";

/// A command as it came: borrowed from the frame that carries it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Command<'a> {
    /// The name, 1 to 255 octets as the peer sent them.
    pub name: &'a [u8],
    /// What follows the name.
    pub body: &'a [u8],
}

impl<'a> Command<'a> {
    /// Cuts the body of a command frame in name and body; `None` if there is no whole name.
    #[must_use]
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        if let Some(body) = octets.strip_prefix(PLAIN_ERROR_OF_LIBZMQ) {
            // A name of 0x5e octets would be the grammar's reading, and no such command exists.
            return Some(Self {
                name: ERROR.as_bytes(),
                body,
            });
        }
        let (length, rest) = octets.split_first()?;
        let (name, body) = rest.split_at_checked(usize::from(*length))?;
        (!name.is_empty()).then_some(Self { name, body })
    }

    /// Whether the command has this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }

    /// The three digits of an ERROR's reason, where it has such; 300, 400 and 500 are in use.
    #[must_use]
    pub fn error_status(&self) -> Option<u16> {
        let digits = match self.body {
            [3, digits @ ..] if digits.len() == 3 => digits,
            _ => return None,
        };
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// Appends a command frame; `None`, and nothing written, unless the name has 1 to 255 octets.
pub(crate) fn write(out: &mut BytesMut, name: &str, body: &[u8]) -> Option<()> {
    let length = u8::try_from(name.len()).ok().filter(|length| *length > 0)?;
    FrameHeader::command(1 + name.len() + body.len()).write(out);
    out.put_u8(length);
    out.put_slice(name.as_bytes());
    out.put_slice(body);
    Some(())
}

/// Appends an ERROR command with a status. Under PLAIN it takes the form that libzmq knows:
/// its clients report the other as a broken protocol, not as a refusal.
pub(crate) fn write_error(out: &mut BytesMut, status: u16, plain: bool) {
    let digits = status.to_string();
    let mut reason = BytesMut::new();
    reason.put_u8(u8::try_from(digits.len()).unwrap_or_default());
    reason.put_slice(digits.as_bytes());
    if plain {
        FrameHeader::command(PLAIN_ERROR_OF_LIBZMQ.len() + reason.len()).write(out);
        out.put_slice(PLAIN_ERROR_OF_LIBZMQ);
        out.put_slice(&reason);
    } else {
        let _always_named = write(out, ERROR, &reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_cut_where_its_length_says() {
        let command = Command::parse(b"\x04PING\0\x0a!").unwrap();
        assert!(command.is(PING) && command.body == b"\0\x0a!");
        for bad in [&b""[..], b"\0", b"\0PING", b"\x05PING", b"\xff"] {
            assert!(Command::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn both_forms_of_error_are_understood() {
        for (octets, status) in [
            (&b"\x05ERROR\x03400"[..], Some(400)),
            (b"\x5eRROR\x03500", Some(500)),
            (b"\x05ERROR\x00", None),
            (b"\x05ERROR", None),
            (b"\x05ERROR\x03abc", None),
            (b"\x05ERROR\x034000", None),
        ] {
            let command = Command::parse(octets).unwrap();
            assert!(command.is(ERROR));
            assert_eq!(command.error_status(), status, "{octets:?}");
        }
    }

    #[test]
    fn what_is_written_is_a_command_frame() {
        let mut out = BytesMut::new();
        write(&mut out, PING, b"\0\0").unwrap();
        assert_eq!(&out[..], b"\x04\x07\x04PING\0\0");
        assert!(write(&mut out, "", b"").is_none());
        assert!(write(&mut out, &"x".repeat(256), b"").is_none());
        for (plain, expected) in [
            (false, &b"\x04\x0a\x05ERROR\x03400"[..]),
            (true, b"\x04\x09\x5eRROR\x03400"),
        ] {
            let mut out = BytesMut::new();
            write_error(&mut out, 400, plain);
            assert_eq!(out, expected);
        }
    }
}
