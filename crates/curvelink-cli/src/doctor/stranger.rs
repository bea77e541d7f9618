//! What octets look like that are no greeting of ZMTP.

/// What a service says first, or in answer to a greeting that it does not understand.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"HTTP/", "HTTP"),
    (b"<!DOCTYPE", "HTTP"),
    (b"<html", "HTTP"),
    (b"SSH-", "SSH"),
    (b"\x15\x03", "TLS"),
    (b"\x16\x03", "TLS"),
    (b"AMQP", "AMQP"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
    (b"INFO {", "NATS"),
    (b"-ERR", "Redis"),
    (b"+OK", "POP3 or Redis"),
    (b"* OK", "IMAP"),
    (b"RFB ", "VNC"),
    (b"@RSYNCD", "rsync"),
];

/// The name of a protocol that begins with these octets.
pub(super) fn name(octets: &[u8]) -> Option<&'static str> {
    let mut known = SIGNATURES.iter();
    let (_, name) = known.find(|(signature, _)| octets.starts_with(signature))?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_services_are_told_by_their_first_octets() {
        for (octets, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Some("HTTP")),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", Some("SSH")),
            (b"\x15\x03\x01\x00\x02\x02\x46", Some("TLS")),
            (b"SSH", None),
            (b"", None),
            (b"\xff\0\0\0\0\0\0\0\x01\x7f", None),
        ] {
            assert_eq!(name(octets), expected);
        }
    }
}
