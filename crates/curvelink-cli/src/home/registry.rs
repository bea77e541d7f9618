//! Who may sign what: the policy's identities, as the envelope's verifier wants them.

use anyhow::Context;
use curvelink_envelope::{Identity, Registry, VerifyingKey};
use curvelink_zap::{Policy, Scope};

/// Every identity of the policy that has a signing key, with the topics that it may publish.
pub(crate) fn registry(policy: &Policy) -> anyhow::Result<Registry> {
    let mut identities = Vec::new();
    for listed in policy.identities() {
        let mut identity = Identity::new(&*listed.name);
        for octets in &listed.sign {
            let key = VerifyingKey::from_octets(octets)
                .with_context(|| format!("{}:{}: sign", policy.file(), listed.line))?;
            identity = identity.with_key(key);
        }
        identity = match &listed.publish.scope {
            Scope::Nothing => identity,
            Scope::Everything => identity.may_publish(""),
            Scope::Listed(prefixes) => prefixes
                .iter()
                .fold(identity, |identity, prefix| identity.may_publish(prefix)),
        };
        identities.push(identity);
    }
    Registry::new(identities).with_context(|| policy.file().to_owned())
}
