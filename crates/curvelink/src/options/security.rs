//! What keeps strangers out: the mechanism and the questions to the policy.

use std::sync::Arc;
use std::time::Duration;

use curvelink_proto::{Mechanism, MechanismName, Null, OnDeny, SocketType};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Security {
    pub(crate) mechanism: Arc<dyn Mechanism>,
    pub(crate) zap_domain: Arc<str>,
    pub(crate) zap_timeout: Duration,
    pub(crate) on_deny: OnDeny,
    pub(crate) clear_text: bool,
}

impl Default for Security {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            mechanism: Arc::new(Null::new()),
            zap_domain: Arc::from(""),
            zap_timeout: 2 * second,
            on_deny: OnDeny::Error,
            clear_text: false,
        }
    }
}

impl Security {
    /// The name of an option that is set and that this type of socket does not have: what a STREAM
    /// says is clear text, and anybody says what it hears.
    pub(crate) fn misplaced(&self, kind: SocketType) -> Option<&'static str> {
        if !kind.is_raw() {
            None
        } else if self.mechanism.name() != MechanismName::NULL {
            Some("security")
        } else if !self.zap_domain.is_empty() {
            Some("zap_domain")
        } else {
            None
        }
    }
}

impl Options {
    /// The security mechanism. Default: NULL, which binds and connects on this host only.
    pub fn security(mut self, mechanism: impl Mechanism) -> Self {
        self.security.mechanism = Arc::new(mechanism);
        self
    }

    /// The domain in questions to the policy, 0 to 255 octets. Default: empty. With a domain, NULL
    /// asks the policy too (RFC 27, "Overall Operation"), and so does a CURVE client, about the key
    /// that its server has proven: what the policy says of that key holds for what the server sends.
    /// Then `connect` needs a policy as `bind` does.
    #[doc(alias = "ZMQ_ZAP_DOMAIN")]
    pub fn zap_domain(mut self, domain: &str) -> Self {
        self.security.zap_domain = Arc::from(domain);
        self
    }

    /// How long the policy may take to answer; a slower one refuses. Default 2 s.
    pub const fn zap_timeout(mut self, timeout: Duration) -> Self {
        self.security.zap_timeout = timeout;
        self
    }

    /// What a refused peer is told. Default: ERROR with the status, as libzmq does.
    pub const fn on_deny(mut self, on_deny: OnDeny) -> Self {
        self.security.on_deny = on_deny;
        self
    }

    /// Lets NULL and PLAIN bind and connect beyond this host, where anybody on the way can read,
    /// change and forge every message, and PLAIN's passwords.
    pub const fn allow_clear_text_beyond_this_host(mut self) -> Self {
        self.security.clear_text = true;
        self
    }
}
