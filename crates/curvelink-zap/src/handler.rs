//! Answers ZAP requests from a policy that can be replaced while it is in use.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use curvelink_proto::{
    BoxFuture, PeerAddress, Reason, ZapHandler, ZapReply, ZapRequest, ZapStatus,
};

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
    /// is one whose key's time is over ([`Reason::KeyExpired`]). A password is not asked again, but
    /// whoever came with one that has been changed since is denied.
    fn review(&self, request: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        let decision = self.policy().decide_proven(request, SystemTime::now());
        let is_same = decision
            .identity()
            .is_none_or(|identity| &*identity.name == user_id);
        let reply = decision.reply();
        Some(if !is_same {
            // The link would go on under a name that is no longer its owner's.
            ZapReply::deny(Reason::UnknownKey)
        } else if reply.mark != request.mark && reply.status == ZapStatus::Admitted {
            ZapReply::deny(Reason::UnknownUser)
        } else {
            reply
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Wake, Waker};

    use curvelink_proto::{Credentials, MechanismName, Password, PublicKey};

    use super::*;

    const CLIENT: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const OTHER: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ$PslqiZeKpqVvrjA2su2xYw";

    fn user(name: &str, hash: &str) -> Policy {
        let text = format!(
            "version = 1\n[identities.peer]\ndomains = [\"findings\"]\n\
             plain = [{{ username = \"{name}\", password_hash = \"{hash}\" }}]\n"
        );
        Policy::from_toml(&text, "zap.toml").unwrap()
    }

    fn login(username: &'static str, password: &[u8]) -> ZapRequest {
        let credentials = Credentials::Plain {
            username: username.into(),
            password: Password::new(password),
        };
        let address = PeerAddress::Inproc;
        ZapRequest::new("findings", address, MechanismName::PLAIN, credentials)
    }

    fn curve(key: &str) -> ZapRequest {
        let credentials = Credentials::Curve(PublicKey::from_z85(key).unwrap());
        let address = PeerAddress::Inproc;
        ZapRequest::new("findings", address, MechanismName::CURVE, credentials)
    }

    /// Wakes the thread that waits.
    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(value) => return value,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    fn once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

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

    #[test]
    fn t13_a_password_is_checked_on_another_thread_and_only_the_right_one_admits() {
        let handler = PolicyHandler::new(user("joe", HASH));
        let right = login("joe", b"p");
        let mut waiting = handler.authenticate(&right);
        let at_once = once(waiting.as_mut());
        assert!(at_once.is_none_or(|reply| reply.status == ZapStatus::Admitted));
        for (username, password, status) in [
            ("joe", &b"p"[..], ZapStatus::Admitted),
            ("joe", b"", ZapStatus::Denied),
            ("joe", b"P", ZapStatus::Denied),
            ("jo", b"p", ZapStatus::Denied),
            ("", b"", ZapStatus::Denied),
        ] {
            let reply = wait(handler.authenticate(&login(username, password)));
            assert_eq!(reply.status, status, "{username} {password:?}");
            let reason = (status == ZapStatus::Denied).then_some(Reason::UnknownUser);
            assert!(reason.is_none_or(|reason| reply.reason == reason));
        }
    }

    #[test]
    fn t13_more_passwords_than_may_wait_are_told_to_come_back_and_nobody_waits_for_ever() {
        // Dear enough that the queue fills while the first is checked.
        let hash = HASH.replace("m=8192,t=1", "m=65536,t=2");
        let handler = PolicyHandler::new(user("joe", &hash));
        let requests: Vec<_> = (0..100).map(|_| login("joe", b"x")).collect();
        let mut waiting: Vec<_> = requests.iter().map(|it| handler.authenticate(it)).collect();
        let mut turned_away = 0;
        for answer in &mut waiting {
            if let Some(reply) = once(answer.as_mut()) {
                assert_eq!(reply.status, ZapStatus::Temporary);
                turned_away += 1;
            }
        }
        assert!((1..=36).contains(&turned_away), "{turned_away}");
        // Those who have gone are not looked at: as soon as the one hash that was begun is done,
        // the next in the queue is somebody who is there.
        drop(waiting);
        let stranger = login("nobody", b"x");
        let reply = loop {
            let reply = wait(handler.authenticate(&stranger));
            if reply.status != ZapStatus::Temporary {
                break reply;
            }
            std::thread::yield_now();
        };
        assert_eq!(reply.status, ZapStatus::Denied);
    }

    #[test]
    fn whoever_waits_for_a_change_is_told_of_each_and_of_those_missed_at_once() {
        let handler = PolicyHandler::new(policy(CLIENT));
        let (mut first, mut second) = (handler.changed(0), handler.changed(0));
        assert_eq!(once(first.as_mut()), None);
        assert_eq!(once(second.as_mut()), None);
        drop(second);
        handler.replace(policy(OTHER));
        assert_eq!(once(first.as_mut()), Some(1));
        assert_eq!(once(handler.changed(1).as_mut()), None);
        handler.replace(policy(CLIENT));
        assert_eq!(once(handler.changed(0).as_mut()), Some(2));
        assert_eq!(once(handler.changed(1).as_mut()), Some(2));
        // And it is woken, not only told when it asks.
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait(handler.changed(2)));
            handler.replace(policy(OTHER));
            assert_eq!(waiter.join().unwrap(), 3);
        });
    }

    #[test]
    fn a_review_gives_the_answer_of_the_policy_in_force() {
        let handler = PolicyHandler::new(policy(CLIENT));
        let review = |request: &ZapRequest, name| handler.review(request, name).unwrap();
        let client = curve(CLIENT);
        assert_eq!(review(&client, "peer").status, ZapStatus::Admitted);
        let renamed = review(&client, "somebody-else");
        assert_eq!(
            (renamed.status, renamed.reason),
            (ZapStatus::Denied, Reason::UnknownKey)
        );

        handler.replace(policy(OTHER));
        let gone = review(&client, "peer");
        assert_eq!(
            (gone.status, gone.reason),
            (ZapStatus::Denied, Reason::UnknownKey)
        );

        let over = format!(
            "version = 1\n[identities.peer]\ndomains = [\"findings\"]\n\
             curve = [{{ key = \"{CLIENT}\", not_after = 2000-01-01T00:00:00Z }}]\n"
        );
        handler.replace(Policy::from_toml(&over, "zap.toml").unwrap());
        assert_eq!(review(&client, "peer").reason, Reason::KeyExpired);

        handler.replace(user("joe", HASH));
        let mut joe = login("joe", b"the password is not kept");
        let decision = handler.policy().decide_proven(&joe, SystemTime::now());
        joe.mark = decision.reply().mark;
        assert_eq!(review(&joe, "peer").status, ZapStatus::Admitted);
        // The same hash with another salt: whether the password is another, nobody can tell.
        handler.replace(user("joe", &HASH.replace("c2FsdHNhbHQ", "c2FsdHNhbHU")));
        assert_eq!(review(&joe, "peer").status, ZapStatus::Denied);
        handler.replace(user("joe", HASH));
        assert_eq!(review(&joe, "peer").status, ZapStatus::Admitted);
        handler.replace(user("jim", HASH));
        let gone = review(&joe, "peer");
        assert_eq!(
            (gone.status, gone.reason),
            (ZapStatus::Denied, Reason::UnknownUser)
        );
    }

    #[test]
    fn an_address_is_admitted_where_somebody_could_come_from_it() {
        let text = format!(
            "version = 1\n[identities.peer]\ncurve = [\"{CLIENT}\"]\ndomains = [\"findings\"]\n\
             sources = [\"10.0.0.0/8\"]\n[identities.other]\ncurve = [\"{OTHER}\"]\n\
             domains = [\"jobs\"]\n[identities.signer]\n\
             sign = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]\n\
             domains = \"everything\"\n"
        );
        let handler = PolicyHandler::new(Policy::from_toml(&text, "zap.toml").unwrap());
        let tcp = |ip: [u8; 4]| PeerAddress::Tcp((ip, 1).into());
        for (domain, address, admitted) in [
            ("findings", tcp([10, 1, 2, 3]), true),
            ("findings", tcp([11, 1, 2, 3]), false),
            ("findings", PeerAddress::Inproc, false),
            ("jobs", tcp([11, 1, 2, 3]), true),
            ("", tcp([10, 1, 2, 3]), false),
            ("none", tcp([10, 1, 2, 3]), false),
        ] {
            let told = handler.admits_address(domain, &address);
            assert_eq!(told, admitted, "{domain} {address}");
        }
    }
}
