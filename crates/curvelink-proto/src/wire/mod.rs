//! Octets and nothing else: greeting, frame headers, commands, metadata (RFC 37).

pub(crate) mod command;
pub(crate) mod frame_header;
pub(crate) mod greeting;
pub(crate) mod metadata;
