//! Answers ZAP requests from a policy that can be replaced while it is in use.

use std::sync::{Arc, PoisonError, RwLock};

use curvelink_proto::{BoxFuture, ZapHandler, ZapReply, ZapRequest};

use crate::policy::Policy;

/// A handler for sockets of this process, and for whatever serves RFC 27 to others.
///
/// It answers at once, without waiting: a decision is a lookup.
#[derive(Debug)]
pub struct PolicyHandler {
    current: RwLock<Arc<Policy>>,
}

impl PolicyHandler {
    /// Answers from this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            current: RwLock::new(Arc::new(policy)),
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
    /// are being decided end under the old one; peers admitted earlier are not asked again.
    pub fn replace(&self, policy: Policy) -> Arc<Policy> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(policy))
    }
}

impl ZapHandler for PolicyHandler {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async move { self.policy().decide(request).reply() })
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
