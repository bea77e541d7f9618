//! Answers ZAP requests from a policy that can be replaced while it is in use.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use curvelink_proto::{BoxFuture, PeerAddress, Reason, ZapHandler, ZapReply, ZapRequest};

use crate::changed::Changes;
use crate::decision::Outcome;
use crate::policy::Policy;
use crate::worker::Worker;

/// A handler for sockets of this process, and for whatever serves RFC 27 to others.
///
/// It answers at once, since a decision is a lookup, except where a password is to be checked. That
/// is done on one thread of the handler's own, which starts with the first password. Up to 64
/// passwords wait for it; a peer that comes when so many do is told to come back later (ZAP 300).
#[derive(Debug)]
pub struct PolicyHandler {
    current: RwLock<Arc<Policy>>,
    changes: Changes,
    worker: Worker,
    /// Held while a file is read to replace the policy.
    pub(crate) reloading: Mutex<()>,
}

impl PolicyHandler {
    /// Answers from this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            current: RwLock::new(Arc::new(policy)),
            changes: Changes::default(),
            worker: Worker::default(),
            reloading: Mutex::default(),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        // The lock guards one pointer: a panic elsewhere cannot have left it half-written.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Puts another policy in force, whole and at once, and returns the one before. Requests that
    /// are being decided end under the old one. Peers admitted earlier are asked again: whoever
    /// runs links is told by [`changed`](ZapHandler::changed), and [`review`](ZapHandler::review)
    /// answers for each.
    pub fn replace(&self, policy: Policy) -> Arc<Policy> {
        let policy = Arc::new(policy);
        let before = {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, policy)
        };
        // After the lock: those who are woken ask for the policy at once.
        self.changes.tell();
        before
    }
}

impl ZapHandler for PolicyHandler {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async move {
            match self.policy().decide(request, SystemTime::now()) {
                Outcome::Decided(decision) => decision.reply(),
                Outcome::Password(check) => self.worker.check(check).await,
            }
        })
    }

    fn admits_address(&self, domain: &str, address: &PeerAddress) -> bool {
        self.policy().admits_address(domain, address)
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        Box::pin(self.changes.after(seen))
    }

    /// A peer whose key or user is no longer listed, or is another identity's now, is denied; so
    /// is one whose key's time is over ([`Reason::KeyExpired`]). A password is not asked again:
    /// one that was changed counts from the next connection on.
    fn review(&self, request: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        let decision = self.policy().decide_proven(request, SystemTime::now());
        let is_same = decision
            .identity()
            .is_none_or(|identity| &*identity.name == user_id);
        Some(if is_same {
            decision.reply()
        } else {
            // The link would go on under a name that is no longer its owner's.
            ZapReply::deny(Reason::UnknownKey)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use curvelink_proto::{Credentials, MechanismName, PeerAddress, PublicKey, ZapStatus};

    use super::*;

    const CLIENT: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const OTHER: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    fn policy(key: &str) -> Policy {
        let text = format!(
            "version = 1\n[identities.peer]\ncurve = [\"{key}\"]\ndomains = [\"findings\"]\n"
        );
        Policy::from_toml(&text, "zap.toml").unwrap()
    }

    fn status(handler: &PolicyHandler, key: &str) -> ZapStatus {
        let credentials = Credentials::Curve(PublicKey::from_z85(key).unwrap());
        let request = ZapRequest::new(
            "findings",
            PeerAddress::Inproc,
            MechanismName::CURVE,
            credentials,
        );
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(handler.authenticate(&request)).poll(&mut cx) {
            Poll::Ready(reply) => reply.status,
            Poll::Pending => panic!("a decision must not wait"),
        }
    }

    #[test]
    fn the_answer_is_the_policys_in_force() {
        let handler = PolicyHandler::new(policy(CLIENT));
        assert_eq!(status(&handler, CLIENT), ZapStatus::Admitted);
        assert_eq!(status(&handler, OTHER), ZapStatus::Denied);

        let before = handler.replace(policy(OTHER));
        assert_eq!(status(&handler, CLIENT), ZapStatus::Denied);
        assert_eq!(status(&handler, OTHER), ZapStatus::Admitted);
        let key = PublicKey::from_z85(CLIENT).unwrap();
        assert!(before.identity_of_key(&key).is_some());
        assert!(handler.policy().identity_of_key(&key).is_none());
    }
}
