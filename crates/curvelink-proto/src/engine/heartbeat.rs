//! Signs of life: when to send PING, and when a silence has lasted too long.

use std::time::{Duration, Instant};

use crate::engine::config::Heartbeat;
use crate::error::ProtocolError;

/// The largest TTL that goes out, tenths of a second: above it libzmq's arithmetic wraps.
const MAX_TTL: u16 = 655;

/// The longest context of a PING, octets (R37-78).
const MAX_CONTEXT: usize = 16;

/// The clocks of one connection. Any received octet is a sign of life (R37-80), so that one long
/// message under way does not look like silence.
#[derive(Debug)]
pub(crate) struct Pulse {
    config: Heartbeat,
    heard: Instant,
    /// The PING that nothing has come after.
    pinged: Option<Instant>,
    /// The last PING that told the peer how long it may wait for us: however much the peer has to
    /// say, it must hear of us again in time.
    promised: Option<Instant>,
    /// How long the peer allows itself to be silent; from its last PING.
    peer_ttl: Option<Duration>,
}

impl Pulse {
    pub(crate) const fn new(config: Heartbeat, now: Instant) -> Self {
        Self {
            config,
            heard: now,
            pinged: None,
            promised: None,
            peer_ttl: None,
        }
    }

    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let ours = match self.pinged {
            Some(pinged) => pinged.checked_add(self.config.timeout),
            None if self.config.interval.is_zero() => None,
            None => self.heard.checked_add(self.config.interval),
        };
        let theirs = self.peer_ttl.map(|ttl| self.heard + ttl);
        let promise = self.promised.map(|ping| ping + self.config.interval);
        [ours, theirs, promise].into_iter().flatten().min()
    }

    /// The body of the PING that is due now, if one is.
    ///
    /// # Errors
    /// [`ProtocolError::Timeout`] when the silence has lasted too long.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<Option<[u8; 2]>, ProtocolError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        let expired = self.peer_ttl.is_some_and(|ttl| now >= self.heard + ttl);
        let unanswered = self
            .pinged
            .is_some_and(|ping| now >= ping + self.config.timeout);
        if unanswered || expired {
            return Err(ProtocolError::Timeout("the peer's heartbeat"));
        }
        self.pinged.get_or_insert(now);
        let ttl = u16::try_from(self.config.ttl.as_millis() / 100).unwrap_or(MAX_TTL);
        self.promised = (ttl > 0).then_some(now);
        Ok(Some(ttl.min(MAX_TTL).to_be_bytes()))
    }

    /// Takes note of a PING and gives the context that the PONG returns.
    ///
    /// # Errors
    /// A PING without a whole TTL, or with more context than RFC 37 allows.
    pub(crate) fn ping<'a>(&mut self, body: &'a [u8]) -> Result<&'a [u8], ProtocolError> {
        let (ttl, context) = body
            .split_first_chunk::<2>()
            .ok_or(ProtocolError::Malformed("PING"))?;
        if context.len() > MAX_CONTEXT {
            return Err(ProtocolError::Malformed(
                "PING: its context is over 16 octets",
            ));
        }
        let ttl = u64::from(u16::from_be_bytes(*ttl)) * 100;
        self.peer_ttl = (ttl > 0).then_some(Duration::from_millis(ttl));
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(now: Instant, ttl: Duration) -> Pulse {
        let second = Duration::from_secs(1);
        Pulse::new(
            Heartbeat {
                interval: second,
                timeout: second,
                ttl,
            },
            now,
        )
    }

    #[test]
    fn silence_brings_one_ping_and_then_the_end() {
        let start = Instant::now();
        let mut pulse = pulse(start, Duration::ZERO);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(pulse.tick(at(999)), Ok(None));
        assert_eq!(pulse.tick(at(1000)), Ok(Some([0, 0])));
        assert_eq!(pulse.tick(at(1999)), Ok(None));
        assert!(pulse.tick(at(2000)).is_err());
        pulse.heard(at(2000));
        assert_eq!(pulse.tick(at(2500)), Ok(None));
        assert_eq!(pulse.deadline(), Some(at(3000)));
    }

    #[test]
    fn a_peer_that_was_given_a_time_hears_of_us_however_much_it_talks() {
        let start = Instant::now();
        for (ttl, pings) in [(0, 0), (2000, 9)] {
            let mut pulse = pulse(start, Duration::from_millis(ttl));
            let at = |ms| start + Duration::from_millis(ms);
            assert!(pulse.tick(at(1000)).unwrap().is_some());
            let talk = (1100..=10_000).step_by(100);
            let pinged = talk.filter(|ms| {
                pulse.heard(at(*ms));
                pulse.tick(at(*ms)).unwrap().is_some()
            });
            assert_eq!(pinged.count(), pings, "{ttl} ms");
        }
    }

    #[test]
    fn further_pings_do_not_put_off_the_end() {
        let start = Instant::now();
        let mut pulse = pulse(start, Duration::from_secs(9));
        pulse.config.timeout = Duration::from_millis(2500);
        let at = |ms| start + Duration::from_millis(ms);
        for ms in [1000, 2000, 3000] {
            assert!(pulse.tick(at(ms)).unwrap().is_some(), "{ms}");
        }
        assert_eq!(pulse.deadline(), Some(at(3500)));
        assert!(pulse.tick(at(3500)).is_err());
    }

    #[test]
    fn t06_no_ttl_above_655_goes_out_and_every_ttl_comes_in() {
        let start = Instant::now();
        for (ttl, sent) in [
            (0, 0),
            (100, 1),
            (65_500, 655),
            (65_600, 655),
            (10_000_000_000, 655),
        ] {
            let mut pulse = pulse(start, Duration::from_millis(ttl));
            let ping = pulse.tick(start + Duration::from_secs(1)).unwrap().unwrap();
            assert_eq!(u16::from_be_bytes(ping), sent, "{ttl} ms");
        }
        for ttl in [0, 1, 655, 656, u16::MAX] {
            let mut pulse = pulse(start, Duration::ZERO);
            pulse.ping(&ttl.to_be_bytes()).unwrap();
            let expected = (ttl > 0).then(|| Duration::from_millis(u64::from(ttl) * 100));
            assert_eq!(pulse.peer_ttl, expected, "{ttl}");
        }
    }

    #[test]
    fn t06_short_pings_and_long_contexts_are_refused() {
        let mut pulse = pulse(Instant::now(), Duration::ZERO);
        assert!(pulse.ping(b"").is_err() && pulse.ping(b"\0").is_err());
        for length in 0..64 {
            let body = vec![0; 2 + length];
            assert_eq!(pulse.ping(&body).is_ok(), length <= MAX_CONTEXT, "{length}");
        }
    }

    #[test]
    fn a_peer_that_outlives_its_own_ttl_is_cut() {
        let start = Instant::now();
        let off = Heartbeat {
            interval: Duration::ZERO,
            ..Heartbeat::default()
        };
        let mut pulse = Pulse::new(off, start);
        assert_eq!(pulse.deadline(), None);
        pulse.ping(&[0, 5]).unwrap();
        assert_eq!(pulse.tick(start + Duration::from_millis(499)), Ok(None));
        assert!(pulse.tick(start + Duration::from_millis(500)).is_err());
    }
}
