//! NULL (RFC 37).
