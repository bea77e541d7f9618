//! What an admitted peer may not do, told without flooding the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink_proto::{Action, LinkEventKind};

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
    told: Option<Instant>,
}

impl Denials {
    /// Counts one; gives the event that is due.
    pub(super) fn count(
        &mut self,
        action: Action,
        name: Option<Arc<str>>,
        now: Instant,
    ) -> Option<LinkEventKind> {
        let denied = match action {
            Action::Publish => &mut self.publish,
            _ => &mut self.subscribe,
        };
        denied.count += 1;
        if denied.told.is_some_and(|told| now < told + QUIET) {
            return None;
        }
        denied.told = Some(now);
        let count = std::mem::take(&mut denied.count);
        Some(LinkEventKind::Denied {
            action,
            name,
            count,
        })
    }

    /// What was counted and not told, at the end of a link.
    pub(super) fn flush(&mut self, name: &Option<Arc<str>>) -> Vec<LinkEventKind> {
        let all = [
            (Action::Publish, &mut self.publish),
            (Action::Subscribe, &mut self.subscribe),
        ];
        let untold = all.into_iter().filter(|(_, denied)| denied.count > 0);
        untold
            .map(|(action, denied)| {
                let count = std::mem::take(&mut denied.count);
                LinkEventKind::Denied {
                    action,
                    name: name.clone(),
                    count,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_denial_is_told_or_counted_once() {
        let mut denials = Denials::default();
        let start = Instant::now();
        let mut told = 0;
        let mut add = |event: Option<LinkEventKind>| {
            if let Some(LinkEventKind::Denied { count, .. }) = event {
                told += count;
            }
        };
        for i in 0..1000 {
            let now = start + Duration::from_millis(i * 7);
            add(denials.count(Action::Publish, None, now));
        }
        let rest = denials.flush(&None);
        assert!(rest.len() <= 1 && denials.flush(&None).is_empty());
        rest.into_iter().for_each(|event| add(Some(event)));
        assert_eq!(told, 1000);
    }
}
