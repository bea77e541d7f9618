//! The backends against each other: the same octets, the same refusals.

use std::sync::Arc;

use proptest::prelude::*;

use crate::mechanism::curve::CurveBackend;
use crate::mechanism::curve::backend::{Cipher, TrafficBox};
use crate::mechanism::curve::nacl::{PairBox, TAG};
use crate::mechanism::curve::tests::public;

const NONCE: [u8; 24] = *b"CurveZMQMESSAGEC\0\0\0\0\0\0\0\x09";

/// One key for both.
fn both() -> [TrafficBox; 2] {
    let key = Arc::new(PairBox::of_octets(&public(1), &[2; 32]));
    [CurveBackend::Dryoc, CurveBackend::RustCrypto]
        .map(|backend| TrafficBox::new(key.clone(), Cipher::new(backend).unwrap()))
}

fn sealed(traffic: &TrafficBox, clear: &[u8]) -> Vec<u8> {
    let mut body = [&[0; TAG], clear].concat();
    traffic.seal(&NONCE, &mut body).unwrap();
    body
}

/// Whether it opens; what does not open has not been touched.
fn opens(traffic: &TrafficBox, nonce: &[u8; 24], body: &[u8]) -> bool {
    let mut opened = body.to_vec();
    let is_open = traffic.open(nonce, &mut opened).is_some();
    assert!(is_open || opened == body, "changed though it was refused");
    is_open
}

/// Octets that differ from one seed to the next.
fn octets(length: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        seed.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Both give the same box of `clear`, and each opens it.
fn agree([one, other]: &[TrafficBox; 2], clear: &[u8]) -> Vec<u8> {
    let sealed = [one, other].map(|traffic| sealed(traffic, clear));
    assert!(sealed[0] == sealed[1], "another box of {}", clear.len());
    for traffic in [one, other] {
        let mut body = sealed[0].clone();
        let opened = traffic.open(&NONCE, &mut body).map(|opened| &*opened);
        assert!(opened == Some(clear), "{traffic:?} of {}", clear.len());
    }
    let [sealed, _same] = sealed;
    sealed
}

#[test]
fn both_give_the_same_box_at_every_length_and_refuse_it_changed() {
    let both = both();
    for length in 0..=4096 {
        let box_of = agree(&both, &octets(length, length as u64));
        // Each octet is changed at one length or another.
        let at = length.wrapping_mul(2_654_435_761) % box_of.len();
        for traffic in &both {
            for at in [at, length % TAG] {
                let mut changed = box_of.clone();
                changed[at] ^= 1 << (length % 8);
                assert!(!opens(traffic, &NONCE, &changed), "{length} {at}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_give_the_same_box_at_any_length(length in 4097..=1_usize << 20, seed: u64, at: prop::sample::Index) {
        let both = both();
        let mut changed = agree(&both, &octets(length, seed));
        let at = at.index(changed.len());
        changed[at] ^= 1;
        for traffic in &both {
            prop_assert!(!opens(traffic, &NONCE, &changed));
        }
    }

    #[test]
    fn neither_opens_what_was_cut_lengthened_or_counted_otherwise(
        length in 0..2000_usize,
        seed: u64,
        bit in 0..192_usize,
        cut: prop::sample::Index,
    ) {
        let both = both();
        let box_of = agree(&both, &octets(length, seed));
        let mut nonce = NONCE;
        nonce[bit / 8] ^= 1 << (bit % 8);
        let longer = [&box_of[..], &[0]].concat();
        let other = TrafficBox::new(
            Arc::new(PairBox::of_octets(&public(1), &[3; 32])),
            Cipher::new(CurveBackend::Dryoc).unwrap(),
        );
        for traffic in &both {
            prop_assert!(opens(traffic, &NONCE, &box_of));
            prop_assert!(!opens(traffic, &nonce, &box_of));
            prop_assert!(!opens(traffic, &NONCE, &longer));
            prop_assert!(!opens(traffic, &NONCE, &box_of[..cut.index(box_of.len())]));
        }
        prop_assert!(!opens(&other, &NONCE, &box_of));
    }
}

#[test]
fn a_body_without_room_for_the_tag_is_refused_by_both() {
    for traffic in both() {
        for length in 0..TAG {
            assert!(traffic.seal(&NONCE, &mut vec![0; length]).is_err());
            assert!(!opens(&traffic, &NONCE, &vec![0; length]));
        }
    }
}
