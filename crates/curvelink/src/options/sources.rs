//! What one source of connections may cost before anybody knows who it is.

use std::time::Duration;

use super::Options;

/// What a source may do before its connections are ready: one IPv4 address, or one /64 of IPv6,
/// which is what one customer of a provider has.
///
/// A connection over a limit, or of a source that pays a penalty, is accepted and closed at once,
/// without an octet read: [`Reason::RateLimited`](crate::Reason::RateLimited). Connections that are
/// ready are not touched.
///
/// Connections that wait are counted for each listener; the rate and the penalties for the whole
/// context, so that a source gains nothing by going from listener to listener. A context remembers
/// 4096 sources; a further one takes the place of the one that would be forgotten first, and never
/// of one that pays a penalty.
///
/// Programs on this host (loopback addresses) share one address and could lock each other out, so
/// they have no limits unless [`including_loopback`](Self::including_loopback) is said; ipc has
/// none.
///
/// ```
/// use curvelink::{Options, SourceLimits};
/// // Many clients behind one address.
/// let limits = SourceLimits::new().handshakes(128).rate(100).burst(500);
/// let options = Options::new().source_limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SourceLimits {
    pub(crate) handshakes: usize,
    pub(crate) rate: u32,
    pub(crate) burst: u32,
    pub(crate) failures: u32,
    pub(crate) window: Duration,
    pub(crate) penalty: Duration,
    pub(crate) penalty_max: Duration,
    pub(crate) loopback: bool,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self::new()
    }
}

impl SourceLimits {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            handshakes: 16,
            rate: 10,
            burst: 20,
            failures: 5,
            window: Duration::from_secs(60),
            penalty: Duration::from_secs(60),
            penalty_max: Duration::from_secs(600),
            loopback: false,
        }
    }

    /// Every limit as far away as it goes: one source may then take all of a listener's
    /// [`max_handshakes`](Options::max_handshakes).
    pub const fn none() -> Self {
        Self {
            handshakes: usize::MAX,
            rate: u32::MAX,
            burst: u32::MAX,
            failures: u32::MAX,
            ..Self::new()
        }
    }

    /// Connections of one listener whose handshake is not done. 1 and more. Default 16.
    pub const fn handshakes(mut self, connections: usize) -> Self {
        self.handshakes = connections;
        self
    }

    /// New connections in a second, over time. 1 and more. Default 10.
    pub const fn rate(mut self, connections: u32) -> Self {
        self.rate = connections;
        self
    }

    /// New connections at once, after a time without. 1 and more. Default 20.
    pub const fn burst(mut self, connections: u32) -> Self {
        self.burst = connections;
        self
    }

    /// Failures within [`window`](Self::window) that bring a penalty: handshakes that were refused,
    /// broken, given up half way or not done in time. A connection that closes without an octet,
    /// as health checks do, is none, and neither is a fault of our own side's. 1 and more.
    /// Default 5.
    pub const fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// How long failures are counted together, from the first on; not zero. Default 60 s.
    pub const fn window(mut self, time: Duration) -> Self {
        self.window = time;
        self
    }

    /// How long a source is refused for the first time. It doubles each further time, up to
    /// [`penalty_max`](Self::penalty_max); after as long as that without a failure all is
    /// forgotten. Default 60 s.
    pub const fn penalty(mut self, time: Duration) -> Self {
        self.penalty = time;
        self
    }

    /// The longest penalty, not shorter than the first. Default 10 min.
    pub const fn penalty_max(mut self, time: Duration) -> Self {
        self.penalty_max = time;
        self
    }

    /// Limits the programs of this host too. All of them are one source for each loopback address:
    /// one that fails locks out the others. Default: they have no limits.
    pub const fn including_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    pub(super) fn fit(&self) -> bool {
        self.handshakes > 0
            && self.rate > 0
            && self.burst > 0
            && self.failures > 0
            && !self.window.is_zero()
            && self.penalty <= self.penalty_max
    }
}

impl Options {
    /// What one source of connections may do before they are ready. Default:
    /// [`SourceLimits::new`].
    pub const fn source_limits(mut self, limits: SourceLimits) -> Self {
        self.transport.source_limits = limits;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_would_let_nobody_in_are_refused() {
        let good = SourceLimits::new();
        assert!(good.fit() && SourceLimits::none().fit());
        for bad in [
            good.handshakes(0),
            good.rate(0),
            good.burst(0),
            good.failures(0),
            good.window(Duration::ZERO),
            good.penalty_max(good.penalty - Duration::from_nanos(1)),
        ] {
            assert!(!bad.fit(), "{bad:?}");
        }
    }
}
