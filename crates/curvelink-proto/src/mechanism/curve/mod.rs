//! CURVE (RFC 25, 26).

pub(crate) mod nacl;
