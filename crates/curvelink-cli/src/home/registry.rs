//! Who may sign what: the policy's identities, as the envelope's verifier wants them.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use curvelink_envelope::{Identity, Registry, Timestamp, VerifyingKey};
use curvelink_zap::{Policy, Scope};

/// Every identity of the policy that has a signing key, with when it counts and with the topics
/// that it may publish.
pub(super) fn registry(policy: &Policy) -> anyhow::Result<Registry> {
    let mut identities = Vec::new();
    for listed in policy.identities() {
        let mut identity = Identity::new(&*listed.name);
        for dated in &listed.sign {
            let key = VerifyingKey::from_octets(&dated.key)
                .with_context(|| format!("{}:{}: sign", policy.file(), dated.line))?;
            let first = dated.not_before.map(first_within);
            let last = dated.not_after.map(last_before);
            identity = identity.with_key_valid(key, first, last);
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

/// The first millisecond that does not begin before a moment.
fn first_within(moment: SystemTime) -> Timestamp {
    timestamp(moment, |since| since.as_nanos().div_ceil(1_000_000))
}

/// The last millisecond that begins before a moment: the policy's `not_after` is the first moment
/// at which a key no longer counts, the verifier's the last at which it does.
fn last_before(moment: SystemTime) -> Timestamp {
    timestamp(moment, |since| {
        since.as_nanos().div_ceil(1_000_000).saturating_sub(1)
    })
}

/// Statements are of 1970 and later, up to the end of 9999.
fn timestamp(moment: SystemTime, ms: fn(Duration) -> u128) -> Timestamp {
    const LAST: i64 = 253_402_300_799_999;
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    let ms = i64::try_from(ms(since.unwrap_or_default())).unwrap_or(LAST);
    Timestamp::from_unix_ms(ms.min(LAST)).unwrap_or_else(Timestamp::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_key_counts_from_its_first_moment_to_before_its_last() {
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        for (nanos, first, last) in [
            (0, 0, 0),
            (1, 1, 0),
            (1_000_000, 1, 0),
            (1_000_001, 2, 1),
            (9_000_000, 9, 8),
        ] {
            assert_eq!(first_within(at(nanos)).unix_ms(), first, "{nanos}");
            assert_eq!(last_before(at(nanos)).unix_ms(), last, "{nanos}");
        }
        let long_ago = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(first_within(long_ago).unix_ms(), 0);
    }
}
