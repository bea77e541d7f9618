//! What the micro-benchmarks and the instruction counts measure: a connection without a network.
//!
//! How fast sockets are is measured from outside, by the program `curvelink-peer`.

mod link;
mod mask;
pub mod timing;

pub use crate::link::{Link, batch};
