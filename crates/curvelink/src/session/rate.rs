//! How many messages a peer may send in a second: the rest waits with the peer.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use curvelink_proto::Message;

use super::{LinkEnd, Session};

/// What a peer may send at once, as the time in which it may send as much.
const BURST: Duration = Duration::from_secs(1);

/// How often a peer that is not read hears that we are there: the question whether we are waits
/// among what it has sent.
const SIGN_OF_LIFE: Duration = Duration::from_millis(250);

/// A peer's messages against its rate: one number, the time up to which they are paid for.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: NonZeroU32,
    paid_until: Instant,
    /// When the peer hears of us next, while its messages wait.
    next_sign: Option<Instant>,
}

impl Rate {
    fn new(per_second: NonZeroU32, now: Instant) -> Self {
        Self {
            per_second,
            paid_until: now,
            next_sign: None,
        }
    }

    /// How many messages may be received now.
    fn available(&self, now: Instant) -> usize {
        let saved = (now + BURST).saturating_duration_since(self.paid_until.max(now));
        let messages = saved.as_nanos() * u128::from(self.per_second.get()) / BURST.as_nanos();
        usize::try_from(messages).unwrap_or(usize::MAX)
    }

    fn pay(&mut self, messages: usize, now: Instant) {
        self.paid_until = self.paid_until.max(now) + self.worth(messages);
    }

    /// Rounded up: what is waited for is there then.
    fn worth(&self, messages: usize) -> Duration {
        let nanoseconds = (messages as u64).saturating_mul(1_000_000_000);
        Duration::from_nanos(nanoseconds.div_ceil(self.per_second.get().into()))
    }

    /// When the next message may be received.
    fn next(&self) -> Instant {
        let paid = self.paid_until + self.worth(1);
        paid.checked_sub(BURST).unwrap_or(paid)
    }
}

impl Session {
    /// Keeps a peer that was admitted to its rate; beginning anew where its rights are others now.
    pub(super) fn set_rate(&mut self, per_second: Option<NonZeroU32>) {
        let rate = |per_second| Box::new(Rate::new(per_second, Instant::now()));
        self.rate = per_second.map(rate);
    }

    /// Takes the messages out of the inbox that are beyond the peer's rate.
    pub(super) fn hold_back(&mut self) -> VecDeque<Message> {
        match &self.rate {
            None => VecDeque::new(),
            Some(rate) => {
                let available = rate.available(Instant::now());
                self.inbox.split_off(available.min(self.inbox.len()))
            }
        }
    }

    /// Takes note of messages that went to the socket, and puts back what was held.
    pub(super) fn pay(&mut self, messages: usize, mut held: VecDeque<Message>) {
        if let Some(rate) = &mut self.rate {
            let now = Instant::now();
            rate.pay(messages, now);
            // While the socket has no room, it is that which is waited for, and not the time.
            let waits = self.inbox.is_empty() && !held.is_empty();
            let sign = rate.next_sign.unwrap_or(now + SIGN_OF_LIFE);
            rate.next_sign = Some(sign).filter(|_| waits);
            self.inbox.append(&mut held);
        }
    }

    /// When there is something to do about messages that wait for the rate.
    pub(super) fn rate_deadline(&self) -> Option<Instant> {
        let rate = self.rate.as_ref()?;
        Some(rate.next_sign?.min(rate.next()))
    }

    /// Gives a sign of life to a peer whose messages wait.
    pub(super) fn check_rate(&mut self, now: Instant) -> Result<(), LinkEnd> {
        let sign = self.rate.as_mut().and_then(|rate| rate.next_sign.as_mut());
        if let Some(sign) = sign.filter(|sign| now >= **sign) {
            *sign = now + SIGN_OF_LIFE;
            self.engine.keep_alive()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u32) -> (Rate, Instant) {
        let now = Instant::now();
        (Rate::new(NonZeroU32::new(per_second).unwrap(), now), now)
    }

    #[test]
    fn one_seconds_worth_may_come_at_once_and_then_as_many_in_a_second() {
        for per_second in [1, 3, 1000, 999_983] {
            let (mut rate, start) = rate(per_second);
            let burst = per_second as usize;
            assert_eq!(rate.available(start), burst);
            rate.pay(burst, start);
            assert_eq!(rate.available(start), 0, "{per_second}");
            let next = rate.next();
            assert!(next > start && rate.available(next) == 1, "{per_second}");
            assert_eq!(rate.available(next - Duration::from_micros(1)), 0);
            // After ten seconds of silence no more than one second is saved.
            assert_eq!(rate.available(start + 10 * BURST), burst);
        }
    }

    #[test]
    fn over_a_long_time_as_many_come_as_the_rate_says() {
        let (mut rate, start) = rate(100);
        let (mut now, mut sent) = (start, 0);
        while now < start + 60 * BURST {
            let some = rate.available(now);
            assert!(some > 0);
            rate.pay(some, now);
            sent += some;
            now = rate.next();
        }
        assert!((6000..=6100).contains(&sent), "{sent}");
    }

    #[test]
    fn no_number_is_a_panic() {
        let (mut rate, start) = rate(1);
        rate.pay(1 << 20, start);
        assert_eq!(rate.available(start), 0);
        assert!(rate.next() > start);
        let (mut rate, start) = self::rate(u32::MAX);
        rate.pay(usize::MAX, start);
        rate.pay(0, start);
        assert_eq!(rate.available(start + BURST), 0);
    }
}
