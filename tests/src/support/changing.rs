//! A policy that a test changes while links are up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use curvelink::{
    BoxFuture, Credentials, PublicKey, Reason, Rights, ZapHandler, ZapReply, ZapRequest,
};
use tokio::sync::watch;

/// An allow-list by name; a change reaches every link.
#[derive(Clone)]
pub struct Changing(Arc<Inner>);

struct Inner {
    answers: Mutex<HashMap<Who, ZapReply>>,
    changes: watch::Sender<u64>,
}

/// What proves a peer.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Key(PublicKey),
    User(Vec<u8>),
}

impl Changing {
    /// Admits nobody yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            answers: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// Answers for a key from now on.
    pub fn answer(&self, key: PublicKey, reply: ZapReply) {
        self.change(|answers| {
            answers.insert(Who::Key(key), reply);
        });
    }

    /// Admits a key under a name, with these rights.
    pub fn admit(&self, key: PublicKey, name: &str, rights: Rights) {
        self.answer(key, ZapReply::admit(name, rights));
    }

    /// Admits a PLAIN user, whatever the password.
    pub fn admit_user(&self, user: &str, rights: Rights) {
        let who = Who::User(user.as_bytes().to_vec());
        self.change(|answers| {
            answers.insert(who, ZapReply::admit(user, rights));
        });
    }

    /// Admits nobody any more.
    pub fn revoke_all(&self) {
        self.change(HashMap::clear);
    }

    fn change(&self, act: impl FnOnce(&mut HashMap<Who, ZapReply>)) {
        act(&mut self.answers());
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<Who, ZapReply>> {
        let answers = self.0.answers.lock();
        answers.unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, request: &ZapRequest) -> ZapReply {
        let who = match &request.credentials {
            Credentials::Curve(key) => Who::Key(*key),
            Credentials::Plain { username, .. } => Who::User(username.to_vec()),
            _ => return ZapReply::deny(Reason::MechanismDenied),
        };
        let answer = self.answers().get(&who).cloned();
        answer.unwrap_or_else(|| ZapReply::deny(Reason::UnknownKey))
    }
}

impl Default for Changing {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Changing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changing(..)")
    }
}

impl ZapHandler for Changing {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async { self.decide(request) })
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        let mut changes = self.0.changes.subscribe();
        Box::pin(async move {
            let changed = changes.wait_for(|changes| *changes > seen).await;
            let number = changed.map(|changes| *changes);
            match number {
                Ok(number) => number,
                Err(_gone) => std::future::pending().await,
            }
        })
    }

    fn review(&self, request: &ZapRequest, _: &str) -> Option<ZapReply> {
        if let Credentials::Plain { password, .. } = &request.credentials {
            assert!(password.matches(b""), "no password is kept");
        }
        Some(self.decide(request))
    }
}
