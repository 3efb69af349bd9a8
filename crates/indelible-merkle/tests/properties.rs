//! Against `ct-merkle`, an independent implementation, and against random damage.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use indelible_merkle::{
    Frontier, Hash, ProveError, consistency_proof, inclusion_proof, leaf_hash, root_of,
    verify_consistency, verify_inclusion,
};
use proptest::prelude::*;
use sha2::Sha256;

type Subtrees = HashMap<(u32, u64), Hash>;

/// Our tree of the leaves "0", "1", … and every complete subtree in it, and theirs.
fn grown(size: u64) -> (Frontier, Subtrees, MemoryBackedTree<Sha256, String>) {
    let (mut ours, mut subtrees, mut theirs) =
        (Frontier::new(), Subtrees::new(), MemoryBackedTree::new());
    for n in 0..size {
        let leaf = n.to_string();
        ours.append_with(leaf_hash(leaf.as_bytes()), |level, index, hash| {
            assert_eq!(subtrees.insert((level, index), hash), None);
        });
        theirs.push(leaf);
    }
    (ours, subtrees, theirs)
}

fn read(subtrees: &Subtrees) -> impl FnMut(u32, u64) -> Result<Hash, String> {
    |level, index| {
        subtrees
            .get(&(level, index))
            .copied()
            .ok_or(format!("{level}/{index}"))
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.to_bytes()).collect()
}

#[test]
fn every_small_tree_agrees_with_ct_merkle() {
    for size in 1..=70_u64 {
        let (ours, subtrees, theirs) = grown(size);
        let root = ours.root();
        assert_eq!(root.as_bytes()[..], theirs.root().as_bytes()[..]);
        for index in 0..size {
            let proof = inclusion_proof(index, size, read(&subtrees)).unwrap();
            let expected = theirs.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(bytes(&proof), expected.as_bytes(), "leaf {index} of {size}");
            let leaf = leaf_hash(index.to_string().as_bytes());
            assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        }
        for old in 1..size {
            let proof = consistency_proof(old, size, read(&subtrees)).unwrap();
            let expected = theirs.prove_consistency(usize::try_from(size - old).unwrap());
            assert_eq!(bytes(&proof), expected.as_bytes(), "{old} of {size}");
            let old_root = root_of((0..old).map(|n| leaf_hash(n.to_string().as_bytes())));
            assert_eq!(
                verify_consistency(old, size, &proof, &old_root, &root),
                Ok(())
            );
        }
    }
}

#[test]
fn a_reader_that_fails_is_passed_on() {
    let mut asked = 0;
    let failed = inclusion_proof(3, 9, |_, _| {
        asked += 1;
        Err::<Hash, _>("disk on fire")
    });
    assert_eq!(failed, Err(ProveError::Read("disk on fire")));
    assert_eq!(asked, 1);
    let beyond = inclusion_proof(9, 9, |_, _| Ok::<_, String>(Hash::ZERO));
    assert_eq!(beyond, Err(ProveError::OutOfRange { asked: 9, size: 9 }));
    let shrinking = consistency_proof(9, 8, |_, _| Ok::<_, String>(Hash::ZERO));
    assert_eq!(shrinking, Err(ProveError::OutOfRange { asked: 9, size: 8 }));
}

#[test]
fn the_empty_tree_is_a_prefix_of_every_tree_and_only_that() {
    let root = root_of([leaf_hash(b"x")]);
    let empty = Frontier::new().root();
    assert!(verify_consistency(0, 1, &[], &empty, &root).is_ok());
    assert!(verify_consistency(0, 1, &[], &root, &root).is_err());
    assert!(verify_consistency(0, 1, &[root], &empty, &root).is_err());
    assert!(verify_consistency(1, 1, &[], &root, &root).is_ok());
    assert!(verify_consistency(1, 1, &[root], &root, &root).is_err());
    assert!(verify_consistency(1, 0, &[], &root, &empty).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn large_trees_agree_with_ct_merkle(
        size in 1_u64..3_000, a in any::<u64>(), b in any::<u64>()
    ) {
        let (ours, subtrees, theirs) = grown(size);
        let (index, old) = (a % size, b % size);
        let root: [u8; 32] = (*theirs.root().as_bytes()).into();
        prop_assert_eq!(ours.root(), Hash::from_bytes(root));
        let proof = inclusion_proof(index, size, read(&subtrees)).unwrap();
        let expected = theirs.prove_inclusion(usize::try_from(index).unwrap());
        prop_assert_eq!(bytes(&proof), expected.as_bytes());
        let kept = Frontier::from_parts(size, ours.hashes().to_vec()).unwrap();
        prop_assert_eq!(kept.root(), ours.root());
        if old > 0 {
            let proof = consistency_proof(old, size, read(&subtrees)).unwrap();
            let expected = theirs.prove_consistency(usize::try_from(size - old).unwrap());
            prop_assert_eq!(bytes(&proof), expected.as_bytes());
        }
    }

    #[test]
    fn a_damaged_proof_never_verifies(
        size in 2_u64..300, at in any::<u64>(), hash in any::<prop::sample::Index>(),
        bit in 0..256_usize
    ) {
        let (ours, subtrees, _) = grown(size);
        let index = at % size;
        let leaf = leaf_hash(index.to_string().as_bytes());
        let good = inclusion_proof(index, size, read(&subtrees)).unwrap();
        let root = ours.root();

        let mut damaged = good.clone();
        let which = hash.index(damaged.len());
        let mut flipped = damaged[which].to_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damaged[which] = Hash::from_bytes(flipped);
        prop_assert!(verify_inclusion(&leaf, index, size, &damaged, &root).is_err());

        prop_assert!(verify_inclusion(&leaf, index, size, &good[1..], &root).is_err());
        let mut longer = good.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(&leaf, index, size, &longer, &root).is_err());
        let elsewhere = (index + 1) % size;
        prop_assert!(verify_inclusion(&leaf, elsewhere, size, &good, &root).is_err());
    }

    #[test]
    fn any_bytes_verify_without_panic(
        old in any::<u64>(), new in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash::from_bytes), 0..130),
    ) {
        let root = Hash::ZERO;
        prop_assert!(verify_inclusion(&root, old, new, &proof, &root).is_err());
        if old != new {
            prop_assert!(verify_consistency(old, new, &proof, &root, &root).is_err());
        }
    }
}
