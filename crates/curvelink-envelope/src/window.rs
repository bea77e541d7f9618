//! Which sequence numbers have been seen: the sliding window of RFC 6479.

use serde::{Deserialize, Serialize};

/// How far behind the highest number a late one may come.
pub(crate) const WINDOW: u64 = 1_024;

/// One word more than the window needs: the word being filled is not whole.
const WORDS: usize = WINDOW as usize / 64 + 1;

/// A ring of bits over the last [`WINDOW`] numbers up to the highest one seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    highest: u64,
    words: [u64; WORDS],
}

impl Window {
    /// A window that has seen `first` only.
    pub(crate) fn starting_with(first: u64) -> Self {
        let mut window = Self {
            highest: first,
            words: [0; WORDS],
        };
        window.insert(first);
        window
    }

    /// The highest number seen.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether `number` is neither seen nor too far behind to tell.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        if number > self.highest {
            return true;
        }
        let (word, bit) = place(number);
        self.highest - number < WINDOW && self.words.get(word).is_some_and(|word| word & bit == 0)
    }

    /// Marks `number`, which is new, as seen.
    pub(crate) fn insert(&mut self, number: u64) {
        if number > self.highest {
            let passed = (number / 64 - self.highest / 64).min(WORDS as u64);
            for step in 1..=passed {
                self.clear((self.highest / 64).wrapping_add(step));
            }
            self.highest = number;
        }
        let (word, bit) = place(number);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    fn clear(&mut self, index: u64) {
        if let Some(word) = self.words.get_mut(index as usize % WORDS) {
            *word = 0;
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    ((number / 64) as usize % WORDS, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_window_ends_exactly_at_its_width() {
        for highest in 5_000..5_200 {
            let window = Window::starting_with(highest);
            assert!(!window.is_new(highest));
            assert!(window.is_new(highest - 1));
            assert!(window.is_new(highest + 1 - WINDOW));
            assert!(!window.is_new(highest - WINDOW), "{highest}");
            assert!(!window.is_new(0));
        }
    }

    #[test]
    fn a_leap_forgets_everything_behind_it() {
        let mut window = Window::starting_with(0);
        for number in 1..2_000 {
            window.insert(number);
        }
        window.insert(1 << 52);
        assert!(window.is_new((1 << 52) - WINDOW + 1));
        assert!(!window.is_new(1_999));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_all_numbers(steps in proptest::collection::vec(-1_300_i64..1_300, 1..400)) {
            let mut window = Window::starting_with(10_000);
            let mut seen = HashSet::from([10_000_u64]);
            for step in steps {
                let number = window.highest().saturating_add_signed(step);
                let in_reach = number + WINDOW > window.highest();
                prop_assert_eq!(window.is_new(number), in_reach && !seen.contains(&number));
                if window.is_new(number) {
                    window.insert(number);
                    seen.insert(number);
                }
            }
        }
    }
}
