//! Whether the time that something takes tells two kinds of input apart (Reparaz, Balasch and
//! Verbauwhede, "Dude, is my code constant time?", 2017): Welch's t between the two, measured in
//! random order. Evidence, not proof.

use std::hint::black_box;
use std::time::Instant;

/// The part of the samples, the fastest, that each test keeps: what an interrupt slowed down says
/// nothing.
const KEPT: [f64; 5] = [1.0, 0.99, 0.9, 0.75, 0.5];

/// What was measured.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "figures for a table")]
pub struct Timing {
    /// How many inputs were measured, of both kinds together.
    pub samples: usize,
    /// The largest |t| of the tests. Under 5 nothing was found, over 10 there is something.
    pub t: f64,
    /// The median of each kind, nanoseconds.
    pub medians: [f64; 2],
}

/// Measures `samples` inputs, of kind 0 or 1 at random.
///
/// `prepare` makes an input of a kind, and must do the same work for both; `run` is timed.
pub fn compare<I, O>(
    samples: usize,
    mut random: impl FnMut() -> u64,
    mut prepare: impl FnMut(usize) -> I,
    mut run: impl FnMut(I) -> O,
) -> Timing {
    let mut measured = Vec::with_capacity(samples);
    let warm_up = samples / 50;
    for sample in 0..samples + warm_up {
        let kind = (random() >> 32) as usize & 1;
        let input = black_box(prepare(kind));
        let begin = Instant::now();
        let output = black_box(run(input));
        let took = begin.elapsed();
        drop(output);
        if sample >= warm_up {
            measured.push((took.as_nanos() as f64, kind));
        }
    }
    evaluate(measured)
}

/// The verdict on durations of each kind.
fn evaluate(mut measured: Vec<(f64, usize)>) -> Timing {
    measured.sort_by(|one, other| one.0.total_cmp(&other.0));
    let kept = |part: f64| &measured[..(measured.len() as f64 * part) as usize];
    let t = KEPT.map(|part| welch(kept(part)).abs());
    let median = |kind: usize| {
        let of_kind: Vec<_> = measured.iter().filter(|(_, of)| *of == kind).collect();
        of_kind.get(of_kind.len() / 2).map_or(f64::NAN, |it| it.0)
    };
    Timing {
        samples: measured.len(),
        t: t.into_iter().fold(0.0, f64::max),
        medians: [median(0), median(1)],
    }
}

/// Welch's t of two samples; 0 where there is nothing to compare.
fn welch(measured: &[(f64, usize)]) -> f64 {
    let mut sums = [(0.0, 0.0, 0.0); 2];
    for (took, kind) in measured {
        let (count, mean, squares) = &mut sums[*kind];
        // Welford's way, which loses nothing to rounding.
        *count += 1.0;
        let before = took - *mean;
        *mean += before / *count;
        *squares += before * (took - *mean);
    }
    let spread = |(count, _, squares): (f64, f64, f64)| squares / (count - 1.0) / count;
    let spread = spread(sums[0]) + spread(sums[1]);
    if spread > 0.0 {
        (sums[0].1 - sums[1].1) / spread.sqrt()
    } else {
        0.0
    }
}

/// INSECURE: gives up at the first octet that differs. What the instrument must find.
#[must_use]
pub fn leaky_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|pair| black_box(pair.0 == pair.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn random(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }

    /// Durations of 1000 to 1255, those of kind 1 longer by `shift`; now and then an interrupt.
    fn durations(shift: f64) -> Vec<(f64, usize)> {
        let mut random = random(1);
        let one = |_| {
            let (kind, noise) = ((random() & 1) as usize, (random() & 255) as f64);
            let interrupt = if random().is_multiple_of(100) {
                50_000.0
            } else {
                0.0
            };
            (1000.0 + noise + interrupt + shift * kind as f64, kind)
        };
        (0..100_000).map(one).collect()
    }

    #[test]
    fn equal_durations_are_found_equal_and_others_are_not() {
        let equal = evaluate(durations(0.0));
        assert!(equal.t < 5.0, "{equal:?}");
        let longer = evaluate(durations(10.0));
        assert!(longer.t > 10.0, "{longer:?}");
        assert!(longer.medians[1] > longer.medians[0], "{longer:?}");
    }

    #[test]
    fn t_is_as_a_table_has_it() {
        // Means 3 and 8, variances 2.5 and 10, five of each: -5 / sqrt(12.5 / 5).
        let of = |kind| move |took: f64| (took, kind);
        let measured = [1.0, 2.0, 3.0, 4.0, 5.0].map(of(0));
        let other = [4.0, 6.0, 8.0, 10.0, 12.0].map(of(1));
        let t = welch(&[measured, other].concat());
        assert!((t + 5.0 / 2.5_f64.sqrt()).abs() < 1e-9, "{t}");
        assert!(welch(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_comparison_that_gives_up_early_is_found() {
        let secret = [7_u8; 256];
        let wrong = [0, 255].map(|position: usize| {
            let mut guess = secret;
            guess[position] = 8;
            guess
        });
        let timing = compare(
            20_000,
            random(2),
            |kind| wrong[kind],
            |guess| leaky_equal(black_box(&secret), &guess),
        );
        assert!(timing.t > 10.0, "{timing:?}");
    }
}
