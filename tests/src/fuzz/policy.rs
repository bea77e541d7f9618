//! A policy file: what it does not say is not allowed, and a mistake in it is an error.

use std::time::{Duration, SystemTime};

use curvelink_proto::{Credentials, MechanismName, PeerAddress, PublicKey, ZapRequest};
use curvelink_zap::{Policy, Question, Who, explain, lints};

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policy = match Policy::from_toml(&text, "zap.toml") {
        Ok(policy) => policy,
        Err(error) => {
            assert!(error.to_string().starts_with("zap.toml"));
            return;
        }
    };
    assert!(policy.identities().len() > 0, "a policy names somebody");
    for identity in policy.identities() {
        for key in &identity.curve {
            let owner = policy.identity_of_key(&key.key).expect("a listed key");
            assert_eq!(owner.name, identity.name);
            let written = text.contains(&key.key.to_z85())
                || text.to_ascii_lowercase().contains(&key.key.to_hex())
                || text.contains('\\');
            assert!(written, "every key stands in the file");
            ask(&policy, key.key, Some(&identity.name));
        }
        explain_all(&policy, Who::Name(&identity.name));
    }
    let _advice = lints(&policy, SystemTime::now());
    let stranger = PublicKey::from_octets([9; 32]).expect("a strong key");
    if policy.identity_of_key(&stranger).is_none() {
        ask(&policy, stranger, None);
    }
}

/// Whoever is admitted is admitted under the name of the key's owner.
fn ask(policy: &Policy, key: PublicKey, owner: Option<&str>) {
    for domain in ["", "findings"] {
        let who = Credentials::Curve(key);
        let request = ZapRequest::new(domain, PeerAddress::Inproc, MechanismName::CURVE, who);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let reply = policy.decide(&request, now).settle();
        assert!(!reply.is_admitted() || owner.is_some());
    }
    explain_all(policy, Who::Key(&key));
}

fn explain_all(policy: &Policy, who: Who<'_>) {
    let question = Question {
        from: Some(PeerAddress::Inproc),
        endpoint: Some("tcp://0.0.0.0:1"),
        routing_id: Some(b"worker"),
        domain: Some("findings"),
        publish: Some(b"findings/"),
        subscribe: Some(b""),
        ..Question::new(who, SystemTime::now())
    };
    let explanation = explain(policy, &question);
    let every = explanation.answers.iter().all(|answer| answer.allowed);
    assert_eq!(explanation.allowed, every);
}
