//! Helpers shared by the tests.

// An example that imports what it does not use misleads its reader.
#![doc(test(attr(deny(unused_imports))))]

pub mod api;
#[cfg(target_os = "linux")]
pub mod collectors;
pub mod differential;
pub mod fuzz;
pub mod golang;
pub mod guide;
pub mod handshakes;
pub mod interop;
#[cfg(target_os = "linux")]
pub mod namespaces;
pub mod node;
pub mod peer;
pub mod proofs;
pub mod python;
pub mod support;
