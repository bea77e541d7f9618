//! Whole connections without a network: two engines, a virtual clock, and every liberty of those
//! who stand between them.

mod admission;
mod case;
mod commands;
mod costs;
mod edits;
mod endings;
mod flood;
mod forms;
mod heartbeat;
mod lengths;
mod metadata;
mod middle;
mod pair;
mod random;
mod raw;
mod reasons;
mod rogue;
mod splits;
mod transcript;
mod truncation;
mod unsent;
mod versions;
mod vouch;
mod wire;
