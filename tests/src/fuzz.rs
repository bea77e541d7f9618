//! The bodies of the fuzz targets: each takes any octets, and panics when a promise is broken.
//!
//! `fuzz/` runs them under libFuzzer; `tests/tests/corpora.rs` replays what that has found under
//! plain `cargo test`. They use what any program can use: no private item, no forged state. After
//! each input, a good peer must still be served by the same configuration.

mod command;
mod curve;
mod curve_client;
mod curve_server;
mod envelope;
mod frame;
mod greeting;
mod input;
mod meaning;
mod metadata;
pub(crate) mod nacl;
mod pair;
mod policy;
mod side;
mod z85;
mod zap_reply;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target by its name: that of its corpus below `fuzz/corpus` and of its program.
pub const TARGETS: &[(&str, Target)] = &[
    ("greeting", greeting::run),
    ("frame", frame::run),
    ("command", command::run),
    ("metadata", metadata::run),
    ("z85", z85::run),
    ("curve_server", curve_server::run),
    ("curve_client", curve_client::run),
    ("zap_reply", zap_reply::run),
    ("policy", policy::run),
    ("envelope", envelope::run),
    ("pair", pair::run),
];

/// Runs a target by its name.
///
/// # Panics
/// If there is no such target, and when a promise is broken.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target of the table");
    target(data);
}
