//! What a proxy has moved.

use std::ops::{AddAssign, Sub};

use curvelink_proto::Message;

/// What a [`Proxy`](crate::Proxy) has moved since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStatistics {
    /// What came in and went out at the frontend.
    pub frontend: ProxyTraffic,
    /// What came in and went out at the backend.
    pub backend: ProxyTraffic,
    /// Messages that the capture socket had no room for.
    pub not_captured: u64,
    /// Messages that were dropped because nobody will take them: on a ROUTER with
    /// `router_mandatory`, no peer has the routing id.
    pub undeliverable: u64,
}

/// Both directions of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyTraffic {
    /// From its peers, and passed on.
    pub received: ProxyCount,
    /// To its peers.
    pub sent: ProxyCount,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyCount {
    /// Whole messages.
    pub messages: u64,
    /// Their frames, among them routing ids and delimiters: what libzmq counts.
    pub frames: u64,
    /// The octets of these frames.
    pub octets: u64,
}

/// The way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    Backend,
    Frontend,
}

impl ProxyStatistics {
    /// Where a direction comes from, and where it goes.
    pub(super) const fn of(&mut self, towards: Towards) -> (&mut ProxyCount, &mut ProxyCount) {
        let (front, back) = (&mut self.frontend, &mut self.backend);
        match towards {
            Towards::Backend => (&mut front.received, &mut back.sent),
            Towards::Frontend => (&mut back.received, &mut front.sent),
        }
    }
}

impl ProxyCount {
    pub(super) fn of(messages: &[Message]) -> Self {
        let frames = || messages.iter().flatten();
        Self {
            messages: messages.len() as u64,
            frames: frames().count() as u64,
            octets: frames().map(|frame| frame.len() as u64).sum(),
        }
    }
}

impl Sub for ProxyCount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            frames: self.frames.saturating_sub(other.frames),
            octets: self.octets.saturating_sub(other.octets),
        }
    }
}

impl AddAssign for ProxyCount {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.frames += other.frames;
        self.octets += other.octets;
    }
}
