//! The journal.

mod checkpoints;
mod crc32c;
mod files;
mod wal;
