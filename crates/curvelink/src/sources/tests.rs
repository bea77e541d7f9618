use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn v4(number: u32) -> Source {
    Source::V4(number)
}

/// Brings a penalty on a source; when.
fn penalise(sources: &mut Sources, source: Source, now: Instant, limits: &SourceLimits) {
    for _ in 0..limits.failures {
        sources.failed(source, now, limits);
    }
    assert!(!sources.admit(source, now, limits));
}

#[test]
fn one_source_is_one_ipv4_address_or_half_an_ipv6_address() {
    let limits = SourceLimits::new();
    let of = |ip: &str| {
        let address = PeerAddress::Tcp(SocketAddr::new(ip.parse().unwrap(), 5555));
        Source::of(&address, &limits)
    };
    assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
    assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    for local in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(of(local), None);
    }
    let address = PeerAddress::Tcp(SocketAddr::new("127.0.0.1".parse().unwrap(), 1));
    assert!(Source::of(&address, &limits.including_loopback()).is_some());
    assert_eq!(
        Source::of(&PeerAddress::Inproc, &limits.including_loopback()),
        None
    );
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    let (limits, start) = (SourceLimits::new(), Instant::now());
    let mut sources = Sources::default();
    let burst = (0..100).filter(|_| sources.admit(v4(1), start, &limits));
    assert_eq!(burst.count(), 20);
    assert!(sources.admit(v4(2), start, &limits), "another has its own");
    for i in 1..=50 {
        let now = start + i * SECOND / 10;
        assert!(sources.admit(v4(1), now, &limits), "{i}");
        assert!(!sources.admit(v4(1), now, &limits), "{i}");
    }
    let rested = start + 60 * SECOND;
    let burst = (0..100).filter(|_| sources.admit(v4(1), rested, &limits));
    assert_eq!(burst.count(), 20, "no more is saved up");
}

#[test]
fn failures_bring_penalties_that_double_and_are_forgotten() {
    let limits = SourceLimits::new();
    let mut sources = Sources::default();
    let mut now = Instant::now();
    for seconds in [60, 120, 240, 480, 600, 600] {
        for _ in 1..limits.failures {
            sources.failed(v4(1), now, &limits);
            assert!(sources.admit(v4(1), now, &limits));
            now += SECOND;
        }
        sources.failed(v4(1), now, &limits);
        for _ in 0..100 {
            sources.failed(v4(1), now, &limits);
        }
        let end = now + seconds * SECOND;
        let before = end - Duration::from_nanos(1);
        assert!(!sources.admit(v4(1), before, &limits), "{seconds}");
        assert!(sources.admit(v4(2), before, &limits), "others may");
        assert!(sources.admit(v4(1), end, &limits), "{seconds}");
        now = end;
    }
    now += 600 * SECOND;
    penalise(&mut sources, v4(1), now, &limits);
    assert!(sources.admit(v4(1), now + 60 * SECOND, &limits), "anew");
}

#[test]
fn failures_that_are_far_apart_bring_none() {
    let limits = SourceLimits::new();
    let mut sources = Sources::default();
    let mut now = Instant::now();
    for _ in 0..100 {
        for _ in 1..limits.failures {
            sources.failed(v4(1), now, &limits);
        }
        assert!(sources.admit(v4(1), now, &limits));
        now += limits.window;
    }
}

#[test]
fn who_was_here_only_once_is_forgotten() {
    let (limits, start) = (SourceLimits::new(), Instant::now());
    let mut sources = Sources::default();
    for i in 0..1000 {
        assert!(sources.admit(v4(i), start, &limits));
    }
    assert_eq!(sources.records.len(), 1000);
    assert!(sources.admit(v4(1), start + SECOND, &limits));
    assert_eq!((sources.records.len(), sources.ends.len()), (1, 1));
}

#[test]
fn many_addresses_do_not_clear_a_penalty() {
    let (limits, start) = (SourceLimits::new(), Instant::now());
    let mut sources = Sources::default();
    penalise(&mut sources, v4(0), start, &limits);
    for i in 1..100_000 {
        assert!(sources.admit(v4(i), start, &limits));
        for _ in 1..limits.failures {
            sources.failed(v4(i), start, &limits);
        }
    }
    assert_eq!(sources.records.len(), CAPACITY);
    let before = start + 60 * SECOND - Duration::from_nanos(1);
    assert!(!sources.admit(v4(0), before, &limits));
    // It is not even forgotten for the next time.
    let end = start + 60 * SECOND;
    for i in 1..100_000 {
        assert!(sources.admit(v4(i), end, &limits));
    }
    penalise(&mut sources, v4(0), end, &limits);
    assert!(!sources.admit(v4(0), end + 119 * SECOND, &limits));
}

#[test]
fn a_table_full_of_penalties_keeps_them_and_locks_nobody_else_out() {
    let (limits, start) = (SourceLimits::new(), Instant::now());
    let mut sources = Sources::default();
    let all = CAPACITY as u32;
    for i in 0..all {
        penalise(&mut sources, v4(i), start, &limits);
    }
    for i in all..2 * all {
        assert!(sources.admit(v4(i), start, &limits));
        sources.failed(v4(i), start, &limits);
    }
    assert_eq!(sources.records.len(), CAPACITY);
    for i in 0..all {
        assert!(!sources.admit(v4(i), start, &limits), "{i}");
    }
    // Once they are over, there is room again.
    let end = start + 60 * SECOND;
    penalise(&mut sources, v4(2 * all), end, &limits);
    assert_eq!(sources.records.len(), CAPACITY);
}

#[test]
fn times_that_no_clock_reaches_are_long_penalties() {
    let start = Instant::now();
    let long = Duration::MAX;
    let limits = SourceLimits::new()
        .window(long)
        .penalty(long)
        .penalty_max(long);
    let mut sources = Sources::default();
    penalise(&mut sources, v4(1), start, &limits);
    assert!(!sources.admit(v4(1), start + 1_000_000 * SECOND, &limits));
    let none = SourceLimits::none();
    assert!((0..100_000).all(|_| sources.admit(v4(2), start, &none)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes when, in no stretch of time does more pass than burst and rate allow.
    #[test]
    fn no_stretch_of_time_lets_more_pass_than_burst_and_rate(
        (rate, burst) in (1_u32..50, 1_u32..50),
        waits in prop::collection::vec(0_u64..200, 1..400),
    ) {
        let limits = SourceLimits::new().rate(rate).burst(burst);
        let mut sources = Sources::default();
        let mut now = Instant::now();
        let mut passed: Vec<Instant> = Vec::new();
        for wait in waits {
            now += Duration::from_millis(wait);
            if sources.admit(v4(1), now, &limits) {
                passed.push(now);
            }
        }
        for (i, first) in passed.iter().enumerate() {
            for (j, last) in passed.iter().enumerate().skip(i) {
                let time = (*last - *first).as_secs_f64();
                let most = f64::from(burst) + f64::from(rate) * time + 1e-3;
                prop_assert!((j - i + 1) as f64 <= most);
            }
        }
    }

    /// Who is let in is who a model with lists and no bounds lets in, and the two tables agree.
    #[test]
    fn penalties_are_those_of_a_model_without_bounds(
        acts in prop::collection::vec((any::<bool>(), 0_u32..10, 0_u64..3000), 1..500),
    ) {
        let limits = SourceLimits::new().failures(3).rate(1000);
        let (mut sources, mut models) = (Sources::default(), HashMap::<u32, Model>::new());
        let start = Instant::now();
        let mut now = start;
        for (fails, source, wait) in acts {
            now += Duration::from_millis(wait);
            let model = models.entry(source).or_default();
            let time = now - start;
            if fails {
                sources.failed(v4(source), now, &limits);
                model.fail(time);
            } else {
                let admitted = sources.admit(v4(source), now, &limits);
                prop_assert_eq!(admitted, !model.is_barred(time));
            }
            prop_assert_eq!(sources.records.len(), sources.ends.len());
            for (end, source) in &sources.ends {
                prop_assert_eq!(sources.records[source].end(), *end);
            }
        }
    }
}

/// The failures that count together, and the penalties that are not forgotten: when they end, and
/// when what follows them was last seen.
#[derive(Default)]
struct Model {
    failures: Vec<Duration>,
    penalties: Vec<Duration>,
    last: Duration,
}

impl Model {
    fn is_barred(&self, now: Duration) -> bool {
        self.penalties.last().is_some_and(|end| now < *end)
    }

    fn fail(&mut self, now: Duration) {
        if self.is_barred(now) {
            return;
        }
        let quiet = self.penalties.last().map(|end| self.last.max(*end));
        if quiet.is_some_and(|quiet| now >= quiet + 600 * SECOND) {
            self.penalties.clear();
        }
        if self
            .failures
            .first()
            .is_some_and(|first| now >= *first + 60 * SECOND)
        {
            self.failures.clear();
        }
        self.failures.push(now);
        self.last = now;
        if self.failures.len() == 3 {
            self.failures.clear();
            let doubled = 60 * SECOND * 2_u32.pow(self.penalties.len() as u32);
            self.penalties.push(now + doubled.min(600 * SECOND));
        }
    }
}
