//! What an admitted peer may not do, told without flooding the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink_proto::{Action, Escaped, LinkEventKind, Peer};

/// At most one event of each action and link in this time; the rest is counted.
const QUIET: Duration = Duration::from_secs(1);

/// Counts what a peer tried outside its rights.
#[derive(Debug, Default)]
pub(super) struct Denials {
    publish: Denied,
    subscribe: Denied,
}

#[derive(Debug, Default)]
struct Denied {
    count: u64,
    /// The first topic that was not told.
    topic: Option<Arc<str>>,
    told: Option<Instant>,
}

impl Denials {
    /// Counts one; gives the event that is due.
    pub(super) fn count(
        &mut self,
        action: Action,
        peer: &Peer,
        topic: &[u8],
    ) -> Option<LinkEventKind> {
        self.count_at(Instant::now(), action, peer, topic)
    }

    fn count_at(
        &mut self,
        now: Instant,
        action: Action,
        peer: &Peer,
        topic: &[u8],
    ) -> Option<LinkEventKind> {
        let denied = match action {
            Action::Publish => &mut self.publish,
            _ => &mut self.subscribe,
        };
        denied.count += 1;
        denied
            .topic
            .get_or_insert_with(|| Escaped(topic).to_string().into());
        if denied.told.is_some_and(|told| now < told + QUIET) {
            return None;
        }
        denied.told = Some(now);
        denied.take(action, peer)
    }

    /// What was counted and not told, at the end of a link.
    pub(super) fn flush(&mut self, peer: &Peer) -> Vec<LinkEventKind> {
        let all = [
            self.publish.take(Action::Publish, peer),
            self.subscribe.take(Action::Subscribe, peer),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Denied {
    fn take(&mut self, action: Action, peer: &Peer) -> Option<LinkEventKind> {
        let topic = self.topic.take()?;
        Some(LinkEventKind::Denied {
            action,
            name: peer.name.clone(),
            topic,
            count: std::mem::take(&mut self.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use curvelink_proto::{PeerAddress, SocketType};

    use super::*;

    #[test]
    fn every_denial_is_told_or_counted_once_with_the_first_topic_of_its_event() {
        let peer = Peer::anonymous(PeerAddress::Inproc, SocketType::Pub);
        let mut denials = Denials::default();
        let start = Instant::now();
        let mut told = Vec::new();
        for i in 0..1000 {
            let now = start + Duration::from_millis(i * 7);
            let topic = format!("{i}\n");
            told.extend(denials.count_at(now, Action::Publish, &peer, topic.as_bytes()));
        }
        let rest = denials.flush(&peer);
        assert!(rest.len() == 1 && denials.flush(&peer).is_empty());
        told.extend(rest);
        let mut next = 0;
        for event in told {
            let LinkEventKind::Denied { topic, count, .. } = event else {
                panic!("{event}");
            };
            assert_eq!(*topic, format!("{next}\\n"));
            next += count;
        }
        assert_eq!(next, 1000);
    }
}
