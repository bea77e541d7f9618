//! Floods of events that nobody has to make: the sum is exact, and the lines are few.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use curvelink_proto::{EventId, PeerAddress, Reason, SecurityEvent};

use super::aggregate::Aggregator;
use super::table::WINDOW;

fn refused(host: u32, reason: Reason) -> SecurityEvent {
    let address = IpAddr::V4(Ipv4Addr::from_bits(host));
    let mut event = SecurityEvent::new(EventId::Refused, SystemTime::UNIX_EPOCH);
    event.at(Some(PeerAddress::Tcp(SocketAddr::new(address, 4711))));
    event.reason = Some(reason.code());
    event
}

fn named(id: EventId, name: &str) -> SecurityEvent {
    let mut event = refused(0, Reason::Denied);
    (event.id, event.identity) = (id, Some(name.into()));
    event
}

/// The aggregator, a clock, and what was told when.
struct Log {
    aggregator: Aggregator,
    start: Instant,
    now: Instant,
    told: Vec<SecurityEvent>,
    lines: Vec<Duration>,
}

impl Log {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            aggregator: Aggregator::default(),
            start,
            now: start,
            told: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Time passes, and who sleeps until something is due wakes for it.
    fn pass(&mut self, time: Duration) {
        let then = self.now + time;
        while let Some(due) = self.aggregator.due().filter(|due| *due <= then) {
            assert!(due >= self.now, "nothing was due before");
            self.now = due;
            self.aggregator.tick(due, &mut self.told);
            self.stamp();
        }
        self.now = then;
    }

    fn note(&mut self, event: SecurityEvent) {
        self.aggregator.note(event, self.now, &mut self.told);
        self.stamp();
    }

    fn flush(&mut self) {
        self.aggregator.flush(&mut self.told);
        self.stamp();
    }

    fn stamp(&mut self) {
        self.lines.resize(self.told.len(), self.now - self.start);
    }

    fn counts(&self) -> Vec<u64> {
        self.told.iter().map(|event| event.count).collect()
    }

    fn sum(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// The most lines within any minute.
    fn busiest_minute(&self) -> usize {
        let within = |from: &Duration| {
            let minute = *from..*from + Duration::from_secs(60);
            self.lines.iter().filter(|at| minute.contains(at)).count()
        };
        self.lines.iter().map(within).max().unwrap_or_default()
    }
}

#[test]
fn the_first_is_told_at_once_and_the_others_as_one_when_the_minute_is_over() {
    let mut log = Log::new();
    for _ in 0..1000 {
        log.note(refused(1, Reason::UnknownKey));
        log.pass(Duration::from_millis(10));
    }
    assert_eq!(log.counts(), [1]);
    log.pass(WINDOW);
    assert_eq!(log.counts(), [1, 999]);
    assert_eq!(log.aggregator.due(), None, "nothing is left to wait for");
    log.pass(10 * WINDOW);
    assert_eq!(log.counts(), [1, 999]);
    log.note(refused(1, Reason::UnknownKey));
    assert_eq!(
        log.counts(),
        [1, 999, 1],
        "after silence it is told at once"
    );
}

#[test]
fn a_flood_that_goes_on_is_one_line_a_minute() {
    let mut log = Log::new();
    for _ in 0..600 {
        log.note(refused(1, Reason::UnknownKey));
        log.pass(Duration::from_secs(1));
    }
    log.pass(WINDOW);
    assert_eq!(log.sum(), 600);
    assert_eq!(log.told.len(), 1 + 10, "{:?}", log.counts());
}

#[test]
fn sources_and_reasons_are_told_apart_and_neighbours_are_not() {
    let mut log = Log::new();
    let ours = refused(0xc000_0201, Reason::UnknownKey);
    let neighbour = refused(0xc000_02ff, Reason::UnknownKey);
    let other = refused(0xc000_0301, Reason::UnknownKey);
    let why = refused(0xc000_0201, Reason::Malformed);
    for event in [&ours, &neighbour, &other, &why, &ours] {
        log.note(event.clone());
    }
    assert_eq!(log.counts(), [1, 1, 1]);
    log.flush();
    assert_eq!(log.counts(), [1, 1, 1, 2]);
    assert_eq!(log.told[3].network, ours.network);
}

#[test]
fn a7_a_million_refusals_in_a_minute_are_less_than_a_hundred_lines_and_none_is_lost() {
    for sources in [1, 100, 1 << 24] {
        let mut log = Log::new();
        let mut naive: HashMap<&str, u64> = HashMap::new();
        let mut state = 7_u32;
        for _ in 0..1_000_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let reason = Reason::ALL[(state >> 8) as usize % Reason::ALL.len()];
            *naive.entry(reason.code()).or_default() += 1;
            log.note(refused((state % sources) << 8, reason));
            log.pass(Duration::from_micros(60));
        }
        log.pass(WINDOW);
        log.flush();
        let mut told: HashMap<&str, u64> = HashMap::new();
        for event in &log.told {
            *told.entry(event.reason.unwrap()).or_default() += event.count;
        }
        assert_eq!(told, naive, "{sources} sources");
        let most = log.busiest_minute();
        assert!(most <= 100, "{most} lines in a minute, {sources} sources");
    }
}

#[test]
fn what_floods_most_keeps_its_source_and_the_rest_is_told_by_reason() {
    let mut log = Log::new();
    for host in 0..5000_u32 {
        log.note(refused(host << 8, Reason::UnknownKey));
    }
    for _ in 0..100 {
        log.note(refused(30 << 8, Reason::UnknownKey));
    }
    log.flush();
    let sums: Vec<_> = log.told.iter().filter(|event| event.count > 1).collect();
    let most = refused(30 << 8, Reason::UnknownKey).network;
    assert_eq!(sums.len(), 2);
    assert!(
        sums.iter()
            .any(|event| event.count == 101 && event.network == most)
    );
    assert!(
        sums.iter()
            .any(|event| event.count > 4900 && event.network.is_none())
    );
    assert_eq!(log.sum(), 5100);
}

#[test]
fn whoever_the_policy_has_named_is_told_singly_until_it_floods() {
    let mut log = Log::new();
    for host in 0..500 {
        log.note(named(EventId::Accepted, &format!("client {host}")));
    }
    assert_eq!(
        log.told.len(),
        500,
        "one each: all of them are worth a line"
    );
    for _ in 0..10_000 {
        log.note(named(EventId::Accepted, "mad"));
        log.note(named(EventId::Denied, "mad"));
    }
    assert_eq!(log.told.len(), 500 + 30 + 1);
    log.pass(WINDOW);
    assert_eq!(log.told.len(), 500 + 30 + 1 + 2);
    assert_eq!(log.sum(), 500 + 20_000);
}

#[test]
fn what_no_peer_can_cause_at_will_is_told_each_time() {
    let mut log = Log::new();
    for _ in 0..100 {
        log.note(named(EventId::Cut, "ci"));
    }
    assert_eq!(log.told.len(), 100);
    assert_eq!(log.aggregator.due(), None);
}

#[test]
fn a_sum_says_from_when_to_when() {
    let mut log = Log::new();
    for second in [0, 5, 9] {
        let mut event = refused(1, Reason::Nonce);
        event.first += Duration::from_secs(second);
        event.last = event.first;
        log.note(event);
    }
    log.flush();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!((log.told[1].first, log.told[1].last), (at(5), at(9)));
}

/// Any mixture of sources, reasons, kinds, pauses and flushes: each event is told once, within two
/// minutes, and never as another.
#[test]
fn any_mixture_is_told_exactly_once() {
    for seed in 0..200_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut log = Log::new();
        let mut naive: HashMap<(EventId, &str), u64> = HashMap::new();
        let ids = [
            EventId::Refused,
            EventId::Accepted,
            EventId::Denied,
            EventId::Cut,
        ];
        for _ in 0..2000 {
            let reason = Reason::ALL[next(4) as usize];
            let mut event = refused((next(2000) << 8) as u32, reason);
            event.id = ids[next(4) as usize];
            event.identity = (next(2) == 0).then(|| format!("{}", next(50)).into());
            event.count = 1 + next(3);
            *naive.entry((event.id, reason.code())).or_default() += event.count;
            log.note(event);
            match next(100) {
                0 => log.flush(),
                1 => log.pass(Duration::from_secs(next(200))),
                _ => log.pass(Duration::from_millis(next(100))),
            }
        }
        log.pass(WINDOW);
        assert_eq!(log.aggregator.due(), None, "seed {seed}");
        let mut told: HashMap<(EventId, &str), u64> = HashMap::new();
        for event in &log.told {
            *told.entry((event.id, event.reason.unwrap())).or_default() += event.count;
        }
        assert_eq!(told, naive, "seed {seed}");
        let names: HashSet<_> = log.told.iter().map(|event| event.id).collect();
        assert_eq!(names.len(), ids.len());
    }
}
