//! Helpers shared by the tests.

pub mod interop;
pub mod node;
pub mod peer;
pub mod python;
pub mod support;
