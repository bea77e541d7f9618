//! Whole connections without a network: two engines, a virtual clock, and every liberty of those
//! who stand between them.

mod admission;
mod case;
mod commands;
mod lengths;
mod metadata;
mod pair;
mod splits;
mod transcript;
mod versions;
mod vouch;
