//! PLAIN (RFC 24).
