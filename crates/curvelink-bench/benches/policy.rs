//! How long the allow-list takes to decide about a key.

use std::fmt::Write;
use std::time::SystemTime;

use curvelink_proto::{Credentials, MechanismName, PeerAddress, PublicKey, ZapRequest};
use curvelink_zap::Policy;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// The last is about what a policy file of the largest size holds.
const IDENTITIES: [usize; 3] = [10, 1000, 13_000];

/// Keys that are listed.
#[divan::bench(args = IDENTITIES)]
fn decide_about_the_listed(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, identities, 0, true);
}

/// Keys that are not.
#[divan::bench(args = IDENTITIES)]
fn decide_about_strangers(bencher: Bencher<'_, '_>, identities: usize) {
    decide(bencher, identities, identities, false);
}

fn decide(bencher: Bencher<'_, '_>, identities: usize, from: usize, admitted: bool) {
    let mut file = "version = 1\n[identities]\n".to_owned();
    for number in 0..identities {
        let key = key(number).to_z85();
        // One key of 40 printable characters, none of which a literal string of TOML ends at.
        writeln!(file, "i{number}={{curve=['{key}'],domains=['p']}}").expect("memory");
    }
    let policy = Policy::from_toml(&file, "zap.toml").expect("a policy");
    let requests: Vec<_> = (0..1000)
        .map(|number| {
            let key = key(from + number * 7919 % identities);
            let (address, who) = (PeerAddress::Inproc, Credentials::Curve(key));
            ZapRequest::new("p", address, MechanismName::CURVE, who)
        })
        .collect();
    let mut requests = requests.iter().cycle();
    let now = SystemTime::now();
    bencher.bench_local(|| {
        let request = requests.next().expect("a cycle");
        let decision = policy.decide(black_box(request), now).settle();
        assert_eq!(decision.is_admitted(), admitted);
    });
}

/// Any 32 octets but a few are a public key.
fn key(number: usize) -> PublicKey {
    let mut octets = [0x5a; 32];
    octets[..8].copy_from_slice(&number.to_le_bytes());
    PublicKey::from_octets(octets).expect("not of low order")
}
