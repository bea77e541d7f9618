//! How far long work has come, and whether it is to go on.

/// Is told how far long work has come.
pub trait Progress {
    /// `done` of about `of` entries are done. Answers whether to go on.
    fn tell(&mut self, done: u64, of: u64) -> bool;
}

/// Whoever does not want to know.
impl Progress for () {
    fn tell(&mut self, _: u64, _: u64) -> bool {
        true
    }
}

impl<F: FnMut(u64, u64) -> bool> Progress for F {
    fn tell(&mut self, done: u64, of: u64) -> bool {
        self(done, of)
    }
}
