//! Whatever is done to a log, and however often: it is never called sound unless it is the log.

use indelible_event::leaf::{LeafHead, LeafView, write_leaf};
use indelible_event::{Micros, TenantId};
use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::tail::Tail;
use indelible_proof::verify::LogVerifier;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::forge::{Evidence, anchored_to, draft, log, verify, write};

/// One act of tampering.
#[derive(Debug, Clone)]
enum Act {
    Flip(Index, Index, u8),
    Remove(Index),
    Repeat(Index, Index),
    Swap(Index, Index),
    Cut(Index),
    /// Writes an event of the attacker's there and links everything after it anew.
    Rewrite(Index),
    Insert(Index, Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at(), 0..8_u8).prop_map(|(record, byte, bit)| Act::Flip(record, byte, bit)),
        at().prop_map(Act::Remove),
        (at(), at()).prop_map(|(from, to)| Act::Repeat(from, to)),
        (at(), at()).prop_map(|(a, b)| Act::Swap(a, b)),
        at().prop_map(Act::Cut),
        at().prop_map(Act::Rewrite),
        (at(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(to, leaf)| Act::Insert(to, leaf)),
    ]
}

fn tamper(leaves: &mut Vec<Vec<u8>>, act: &Act) {
    if leaves.is_empty() {
        return;
    }
    let count = leaves.len();
    match act {
        Act::Flip(record, byte, bit) => {
            let leaf = &mut leaves[record.index(count)];
            if !leaf.is_empty() {
                let byte = byte.index(leaf.len());
                leaf[byte] ^= 1 << bit;
            }
        }
        Act::Remove(record) => drop(leaves.remove(record.index(count))),
        Act::Repeat(from, to) => {
            leaves.insert(to.index(count + 1), leaves[from.index(count)].clone());
        }
        Act::Swap(a, b) => leaves.swap(a.index(count), b.index(count)),
        Act::Cut(record) => leaves.truncate(record.index(count + 1)),
        Act::Rewrite(record) => {
            for number in record.index(count)..count {
                let previous = number
                    .checked_sub(1)
                    .map_or(Hash::ZERO, |last| leaf_hash(&leaves[last]));
                leaves[number] = write(&draft(100 + number as u64), previous, number);
            }
        }
        Act::Insert(to, leaf) => leaves.insert(to.index(count + 1), leaf.clone()),
    }
}

/// How many logs each property is tried on; `INDELIBLE_TAMPER_CASES` says another number.
fn cases() -> ProptestConfig {
    let cases = indelible_testing::rounds("INDELIBLE_TAMPER_CASES", 1_500, 100_000);
    ProptestConfig::with_cases(u32::try_from(cases).unwrap())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_tampered_log_is_never_sound(
        acts in prop::collection::vec(act(), 1..5),
        sizes in prop::collection::btree_set(0..14_usize, 0..9),
    ) {
        let truth = log(14);
        let mut leaves = truth.clone();
        for act in &acts {
            tamper(&mut leaves, act);
        }
        let sizes: Vec<usize> = sizes.into_iter().chain([14]).collect();
        let verdict = verify(&leaves, &Evidence::at(&truth, &sizes));
        // A record well linked behind the last checkpoint is what a log that goes on looks like.
        let goes_on = leaves.len() > truth.len() && leaves.starts_with(&truth);
        if !goes_on {
            prop_assert_eq!(verdict.is_sound(), leaves == truth, "{:?}", verdict.integrity);
        }
        prop_assert_eq!(verdict.records_checked, leaves.len() as u64);
        for finding in &verdict.integrity {
            prop_assert_eq!(finding.tenant_id.as_deref(), Some("acme"));
            prop_assert!(!finding.message.is_empty());
        }
        if leaves == truth {
            prop_assert_eq!(anchored_to(&verdict), Some(14));
        }
        // What is anchored without a finding before it is the log as it was committed.
        if let Some(size) = anchored_to(&verdict) {
            let whole = verdict.integrity.iter().all(|finding| {
                finding.records.is_some_and(|records| records.first >= size)
            });
            let size = usize::try_from(size).unwrap();
            if whole {
                prop_assert!(truth[..size].iter().all(|leaf| leaves.contains(leaf)));
            }
        }
    }

    /// One cause, one finding.
    #[test]
    fn one_act_is_one_finding(act in act()) {
        let truth = log(14);
        let mut leaves = truth.clone();
        tamper(&mut leaves, &act);
        let verdict = verify(&leaves, &Evidence::at(&truth, &[14]));
        let expected = usize::from(leaves != truth);
        prop_assert_eq!(verdict.integrity.len(), expected, "{:#?}", verdict.integrity);
    }

    #[test]
    fn any_bytes_for_leaves_are_checked_without_panic(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6),
    ) {
        let mut verifier = LogVerifier::new("acme");
        for leaf in &leaves {
            verifier.push(leaf);
        }
        prop_assert!(!verifier.finish().is_sound());
    }

    /// The scan of the tail and the parser of leaves read the same members.
    #[test]
    fn scanning_agrees_with_parsing(
        word in "[a-z\"\\\\{},:é]{0,12}", sequence_number in any::<u64>(), epoch in any::<u64>(),
        micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000,
        previous_hash in any::<[u8; 32]>(), claimed in any::<bool>(),
    ) {
        let text = serde_json::Value::from(word.as_str());
        let event = format!(r#"{{"audit_id":"01932c3e-9a80-7abc-8def-0123456789ab","data":{{"ledger":{text}}},"event_type":{text}}}"#);
        let ledger = if claimed { format!(r#"{{"stream":{{"epoch":{epoch},"id":{text},"number":1}}}}"#) } else { "{}".to_owned() };
        let tenant_id = TenantId::parse("acme").unwrap();
        let head = LeafHead {
            ingested_at: Micros(micros),
            ledger: ledger.as_bytes(),
            previous_hash: &previous_hash,
            sequence_number,
            tenant_id: &tenant_id,
        };
        let mut leaf = Vec::new();
        write_leaf(&mut leaf, event.as_bytes(), &head).unwrap();
        let view = LeafView::locate(&leaf).unwrap();
        let tail = Tail::scan(&leaf).unwrap();
        prop_assert_eq!(&leaf[tail.event.clone()], view.event());
        prop_assert_eq!(&leaf[tail.ledger.clone()], view.ledger());
        prop_assert_eq!(tail.tenant_id, view.tenant_id());
        prop_assert_eq!(tail.sequence_number, sequence_number);
        prop_assert_eq!(tail.previous().unwrap().to_bytes(), previous_hash);
        prop_assert_eq!(tail.ingested_at, Micros(micros).to_rfc3339());
        let claim = tail.claim(&leaf);
        prop_assert_eq!(claim.is_some(), claimed);
        if let Some(claim) = claim {
            prop_assert_eq!(format!("\"{}\"", claim.id), text.to_string());
            prop_assert_eq!((claim.epoch, claim.number), (epoch, 1));
        }
    }
}

/// What the leaf vectors accept, the scan reads; what it reads of those refused is still hashed.
#[test]
fn the_leaf_vectors_are_read_the_same() {
    let vectors = include_str!("../../../../spec/vectors/leaf.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let leaves = vectors["leaves"].as_array().unwrap();
    assert!(!leaves.is_empty());
    for vector in leaves {
        let leaf = vector["leaf"].as_str().unwrap().as_bytes();
        let tail = Tail::scan(leaf).unwrap();
        let number = vector["sequence_number"].to_string();
        assert_eq!(tail.sequence_number.to_string(), number.trim_matches('"'));
        assert_eq!(tail.tenant_id, vector["tenant_id"].as_str().unwrap());
        assert_eq!(
            leaf_hash(leaf).to_string(),
            vector["record_hash"].as_str().unwrap()
        );
    }
    for vector in vectors["refuse"].as_array().unwrap() {
        let mut verifier = LogVerifier::new("acme");
        verifier.push(vector["leaf"].as_str().unwrap_or_default().as_bytes());
        assert_eq!(verifier.finish().records_checked, 1);
    }
}
