//! Transparency logs without I/O: trees of hashes (RFC 6962), their tiles, signed notes,
//! checkpoints, proofs and cosignatures as C2SP writes them.
//!
//! What is made here is checked by tools that this project did not write, and what they make is
//! checked here. The crate reads and writes no file: whoever keeps a log hands in its hashes.
