//! placeholder
#![allow(missing_docs)]
mod endpoint;
mod entropy;
mod error;
mod event;
mod frame;
mod keys;
mod mechanism;
mod message;
mod peer;
mod rights;
mod socket_type;
mod wire;
pub mod z85;
mod zap;

pub use endpoint::*;
pub use entropy::*;
pub use error::*;
pub use event::*;
pub use frame::Frame;
pub use keys::*;
pub use mechanism::*;
pub use message::*;
pub use peer::*;
pub use rights::*;
pub use socket_type::*;
pub use wire::{command::Command, metadata::Metadata};
pub use zap::*;
