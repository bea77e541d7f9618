//! Proofs written, read, altered and refused.

use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;
use crate::note::NoteSigner;
use crate::tree::tests::{leaves, tree};
use crate::tree::{TreeHead, prove_inclusion, root_of};

const ORIGIN: &str = "example.com/fancylog";

fn signer() -> NoteSigner {
    NoteSigner::from_seed(ORIGIN, &[1; 32]).expect("a name")
}

fn proof(index: u64, size: usize) -> TlogProof {
    let tree = tree(&leaves(size));
    let size = size as u64;
    let head = TreeHead {
        size,
        root: root_of(&tree, size).expect("in memory"),
    };
    let checkpoint = Checkpoint::new(ORIGIN, head).expect("sound").to_string();
    TlogProof {
        extra: None,
        index,
        hashes: prove_inclusion(&tree, index, size).expect("in memory"),
        checkpoint: signer().sign(&checkpoint).expect("signs").to_string(),
    }
}

fn leaf(index: u64) -> Hash {
    leaf_hash(index.to_string().as_bytes())
}

#[test]
fn a_proof_comes_back_from_its_text_and_verifies() {
    for (index, size) in [(0, 1), (1, 2), (63, 64), (5, 1_000)] {
        let made = TlogProof {
            extra: Some(b"hint".to_vec()),
            ..proof(index, size)
        };
        for made in [made, proof(index, size)] {
            let read: TlogProof = made.to_string().parse().expect("a proof");
            assert_eq!(read, made);
            let checkpoint = read.verify(leaf(index), signer().verifying_key(), ORIGIN);
            assert_eq!(
                checkpoint.map(|checkpoint| checkpoint.head.size),
                Ok(size as u64)
            );
        }
    }
    let text = proof(1, 3).to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["c2sp.org/tlog-proof@v1", "index 1"]);
    assert_eq!(lines[2], leaf(0).to_string());
    assert_eq!(lines[3], leaf(2).to_string());
    assert_eq!(lines[4..7], ["", ORIGIN, "3"]);
    let extra = TlogProof {
        extra: Some(Vec::new()),
        ..proof(0, 1)
    }
    .to_string();
    assert!(
        extra.starts_with("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nexample"),
        "{extra}"
    );
}

#[test]
fn another_leaf_key_origin_or_place_is_refused() {
    let proof = proof(5, 9);
    let key = signer().verifying_key().clone();
    let refused = TlogProofError::Refuted(Refuted);
    assert_eq!(proof.verify(leaf(6), &key, ORIGIN), Err(refused));
    let moved = TlogProof {
        index: 4,
        ..proof.clone()
    };
    assert_eq!(moved.verify(leaf(5), &key, ORIGIN), Err(refused));
    let other = CheckpointError::OtherOrigin.into();
    assert_eq!(proof.verify(leaf(5), &key, "example.com"), Err(other));
    let stranger = NoteSigner::from_seed(ORIGIN, &[2; 32]).expect("a name");
    let not_signed = NoteError::NotSigned.into();
    assert_eq!(
        proof.verify(leaf(5), stranger.verifying_key(), ORIGIN),
        Err(not_signed)
    );
}

#[test]
fn every_other_form_is_refused() {
    let good = TlogProof {
        extra: Some(vec![1, 2, 3]),
        ..proof(5, 9)
    }
    .to_string();
    for (from, to) in [
        ("@v1", "@v2"),
        ("c2sp", " c2sp"),
        ("extra AQID\n", "extra AQID\nextra AQID\n"),
        ("extra AQID", "extra AQI"),
        ("extra AQID", "extra"),
        ("extra AQID", "other AQID"),
        ("extra AQID\n", "\n"),
        ("index 5", "index 05"),
        ("index 5", "index"),
        ("index 5", "index 9223372036854775808"),
        ("index 5\n", ""),
        ("index 5\n", "index 5\nAAAA\n"),
        ("index 5\n", "index 5\r\n"),
    ] {
        let other = good.replacen(from, to, 1);
        assert_ne!(other, good);
        assert_eq!(
            other.parse::<TlogProof>(),
            Err(TlogProofError::Form),
            "{from} -> {to}"
        );
    }
    let hash = format!("{}\n", leaf(1));
    let many = |count| good.replacen("index 5\n", &format!("index 5\n{}", hash.repeat(count)), 1);
    assert!(many(60).parse::<TlogProof>().is_ok());
    assert!(many(61).parse::<TlogProof>().is_err());
    let long = TlogProof {
        extra: Some(vec![0; MAX_EXTRA + 1]),
        ..proof(0, 1)
    };
    assert!(long.to_string().parse::<TlogProof>().is_err());
    let long = format!("{good}{}", "x".repeat(MAX_PROOF));
    assert!(long.parse::<TlogProof>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Only `extra` is free, and there is none here.
    #[test]
    fn no_edit_of_the_text_verifies(at in any::<proptest::sample::Index>(), octet in any::<u8>(), cut in any::<bool>()) {
        let good = proof(5, 9).to_string();
        let mut octets = good.clone().into_bytes();
        let at = at.index(octets.len());
        if cut {
            octets.truncate(at);
        } else {
            octets[at] = octet;
        }
        let Ok(edited) = String::from_utf8(octets) else { return Ok(()) };
        let Ok(read) = edited.parse::<TlogProof>() else { return Ok(()) };
        prop_assert_eq!(&read.to_string(), &edited);
        let verdict = read.verify(leaf(5), signer().verifying_key(), ORIGIN);
        prop_assert_eq!(verdict.is_ok(), edited == good);
    }
}
