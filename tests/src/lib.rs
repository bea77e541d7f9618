//! Helpers shared by the tests.

pub mod interop;
pub mod node;
pub mod python;
