//! Random numbers that a failing test can be run again with.

use std::hash::{BuildHasher as _, RandomState};

/// A generator (SplitMix64). Its seed is printed, and taken from `CURVELINK_SEED` if set.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with a seed of its own.
    #[must_use]
    pub fn new() -> Self {
        let given = std::env::var("CURVELINK_SEED").ok();
        let seed = given
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("CURVELINK_SEED={seed}");
        Self(seed)
    }

    /// A generator with this seed, whatever the environment says.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % end
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
