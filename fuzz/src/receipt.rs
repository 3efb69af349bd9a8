//! Receipts and proofs of records.

use std::sync::LazyLock;

use indelible_proof::note::VerifierKey;
use indelible_proof::receipt::Receipt;
use indelible_proof::registry::RecordProof;

use crate::vectors::{texts, vectors};

/// What the vectors were made with, and the proofs they hold.
struct Known {
    key: VerifierKey,
    leaves: Vec<Vec<u8>>,
    proofs: Vec<RecordProof>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let vectors = vectors("receipt");
    let key = vectors["vkey"].as_str().and_then(|key| key.parse().ok());
    let proofs = serde_json::from_value(vectors["proofs"].clone());
    Known {
        key: key.expect("the key of the vectors"),
        leaves: texts(&vectors, &["leaves"]),
        proofs: proofs.expect("the proofs of the vectors"),
    }
});

/// Whether it is a receipt or a proof; panics where one changes by being written, or where a proof
/// holds of a record that was never under the key's signature.
///
/// # Panics
/// See above.
pub fn run(input: &[u8]) -> bool {
    let receipt = serde_json::from_slice::<Receipt>(input);
    if let Ok(receipt) = &receipt {
        let written = serde_json::to_vec(receipt).expect("a receipt is JSON");
        let again = serde_json::from_slice(&written);
        assert_eq!(again.ok().as_ref(), Some(receipt));
        for leaf in &KNOWN.leaves {
            let _ = receipt.check(leaf);
        }
    }
    let Ok(proof) = serde_json::from_slice::<RecordProof>(input) else {
        return receipt.is_ok();
    };
    let written = serde_json::to_vec(&proof).expect("a proof is JSON");
    let again = serde_json::from_slice(&written);
    assert_eq!(again.ok().as_ref(), Some(&proof));
    for leaf in KNOWN
        .leaves
        .iter()
        .map(|leaf| Some(leaf.as_slice()))
        .chain([None])
    {
        if proof.verify(&KNOWN.key, leaf).is_err() {
            continue;
        }
        let of = |known: &&RecordProof| known.receipt.record_hash == proof.receipt.record_hash;
        let known = KNOWN
            .proofs
            .iter()
            .find(of)
            .expect("a record that was signed");
        assert_eq!(proof.receipt.sequence_number, known.receipt.sequence_number);
        assert_eq!(proof.log, known.log);
        // Without the leaf nothing vouches for the rest of the receipt.
        assert!(leaf.is_none() || proof.receipt == known.receipt);
    }
    true
}

/// The receipts and proofs of the vectors.
pub fn seeds() -> Vec<Vec<u8>> {
    let proofs = &KNOWN.proofs;
    let receipts = proofs
        .iter()
        .map(|proof| serde_json::to_vec(&proof.receipt));
    let proofs = proofs.iter().map(serde_json::to_vec);
    receipts.chain(proofs).filter_map(Result::ok).collect()
}
