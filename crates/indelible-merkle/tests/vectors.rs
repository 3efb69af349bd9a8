//! The published Certificate Transparency vectors (`spec/vectors/merkle.json`).
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;

use indelible_merkle::{
    Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, root_of, verify_consistency,
    verify_inclusion,
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../spec/vectors/merkle.json")).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn leaf_hashes(vectors: &Value) -> Vec<Hash> {
    let leaves = vectors["leaves_hex"].as_array().unwrap();
    leaves
        .iter()
        .map(|leaf| leaf_hash(&unhex(leaf.as_str().unwrap())))
        .collect()
}

fn hashes(value: &Value) -> Vec<Hash> {
    serde_json::from_value(value.clone()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap()
}

/// Complete subtrees, computed the slow and obvious way.
fn subtree(leaves: &[Hash], level: u32, at: u64) -> Hash {
    let width = 1_usize << level;
    root_of(leaves[index(at) * width..][..width].iter().copied())
}

#[test]
fn roots() {
    let vectors = vectors();
    let leaves = leaf_hashes(&vectors);
    let roots = hashes(&vectors["roots"]);
    assert_eq!(roots.len(), 9);
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), roots[0]);
    for (leaf, root) in leaves.iter().zip(&roots[1..]) {
        frontier.append(*leaf);
        assert_eq!(frontier.root(), *root);
    }
}

#[test]
fn inclusion() {
    let vectors = vectors();
    let leaves = leaf_hashes(&vectors);
    let roots = hashes(&vectors["roots"]);
    let cases = vectors["inclusion"].as_array().unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (size, at, proof) = (
            number(&case["size"]),
            number(&case["index"]),
            hashes(&case["proof"]),
        );
        let made = inclusion_proof(at, size, |level, i| {
            Ok::<_, Infallible>(subtree(&leaves[..index(size)], level, i))
        });
        assert_eq!(made.unwrap(), proof);
        let (leaf, root) = (leaves[index(at)], roots[index(size)]);
        assert_eq!(verify_inclusion(&leaf, at, size, &proof, &root), Ok(()));
        assert!(verify_inclusion(&Hash::ZERO, at, size, &proof, &root).is_err());
    }
}

#[test]
fn consistency() {
    let vectors = vectors();
    let leaves = leaf_hashes(&vectors);
    let roots = hashes(&vectors["roots"]);
    let cases = vectors["consistency"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let (old, new, proof) = (
            number(&case["old"]),
            number(&case["new"]),
            hashes(&case["proof"]),
        );
        let made = consistency_proof(old, new, |level, i| {
            Ok::<_, Infallible>(subtree(&leaves[..index(new)], level, i))
        });
        assert_eq!(made.unwrap(), proof);
        let (old_root, new_root) = (roots[index(old)], roots[index(new)]);
        assert_eq!(
            verify_consistency(old, new, &proof, &old_root, &new_root),
            Ok(())
        );
        assert!(verify_consistency(old, new, &proof, &Hash::ZERO, &new_root).is_err());
    }
}
