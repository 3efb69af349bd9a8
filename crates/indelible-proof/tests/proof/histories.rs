//! Histories rewritten, joined, pruned or damaged where they are stored.

use indelible_merkle::leaf_hash;
use indelible_proof::finding::{FindingKind, Place, Span};
use indelible_proof::verify::{Expected, LogVerifier, Trust};

use crate::forge::*;

#[test]
fn a_rewritten_suffix_is_a_root_mismatch() {
    let truth = truth();
    for number in POSITIONS {
        let mut drafts = drafts(COUNT as u64);
        drafts[number].event = event(999);
        let rewritten = link(&drafts);
        clean(&verify(&rewritten, &Evidence::default()));
        let verdict = verify(&rewritten, &Evidence::at(&truth, &[COUNT]));
        only(&verdict, FindingKind::RootMismatch, span(0, LAST));
        assert_eq!(anchored_to(&verdict), None);
        if number > 1 {
            // An earlier checkpoint narrows the range, down to one record.
            let verdict = verify(&rewritten, &Evidence::at(&truth, &[number - 1, COUNT]));
            only(&verdict, FindingKind::RootMismatch, span(number - 1, LAST));
        }
    }
    // Rewritten, and longer than before.
    let mut drafts = drafts(COUNT as u64 + 4);
    drafts[6].event = event(999);
    let rewritten = link(&drafts);
    let verdict = verify(&rewritten, &Evidence::at(&truth, &[4, 8, COUNT]));
    only(&verdict, FindingKind::RootMismatch, span(4, 7));
    assert_eq!(anchored_to(&verdict), Some(4));
    assert_eq!(verdict.integrity[0].notes.len(), 1);
}

#[test]
fn joined_histories_break_the_link_between_them() {
    let truth = truth();
    for number in POSITIONS {
        // Another history from `number` on, whose hashes the store took over.
        let mut drafts = drafts(COUNT as u64);
        if number > 0 {
            drafts[number - 1].event = event(999);
        }
        let mut leaves = link(&drafts);
        if number == 0 {
            let foreign = write(&draft(0), leaf_hash(b"elsewhere"), 0);
            leaves = vec![foreign];
            for (place, draft) in drafts.iter().enumerate().skip(1) {
                let previous = leaf_hash(&leaves[place - 1]);
                leaves.push(write(draft, previous, place));
            }
        } else {
            leaves[..number].clone_from_slice(&truth[..number]);
        }
        only(
            &verify(&leaves, &Evidence::stored(&leaves)),
            FindingKind::LinkBroken,
            at(number),
        );
        if number > 0 {
            // A checkpoint vouches for the part before as well as hashes kept elsewhere.
            let mut evidence = Evidence::at(&truth, &[number]);
            only(
                &verify(&leaves, &evidence),
                FindingKind::LinkBroken,
                at(number),
            );
            evidence
                .checkpoints
                .extend(Evidence::at(&truth, &[COUNT]).checkpoints);
            let kind = match number {
                LAST => FindingKind::ContentMismatch,
                _ => FindingKind::LinkBroken,
            };
            only(&verify(&leaves, &evidence), kind, at(number));
        }
    }
}

#[test]
fn a_wrong_stored_hash_is_derived_damage() {
    let leaves = truth();
    for number in POSITIONS {
        let mut stored = hashes(&leaves);
        stored[number] = leaf_hash(b"bit rot");
        // The last record has no successor to speak for it; the checkpoint does.
        let checkpoints = Evidence::at(&leaves, &[COUNT]).checkpoints;
        let evidence = Evidence {
            stored: Some(stored),
            checkpoints,
        };
        let verdict = verify(&leaves, &evidence);
        only(&verdict, FindingKind::DerivedDamaged, at(number));
        assert!(verdict.integrity[0].kind.repairable());
        assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
    }
}

#[test]
fn what_cannot_be_read_is_corrupt_with_its_place() {
    let truth = truth();
    for number in POSITIONS {
        for length in [1, 3] {
            let lost = number..(number + length).min(COUNT);
            let mut verifier = LogVerifier::new(TENANT);
            for checkpoint in Evidence::at(&truth, &[COUNT]).checkpoints {
                let trust = Trust::Key;
                assert!(verifier.checkpoint(&checkpoint, &vkey(), trust));
            }
            for leaf in &truth[..lost.start] {
                verifier.push(leaf);
            }
            let place = Place {
                file: "journal/1".to_owned(),
                bytes: 10..20,
            };
            let records = span(lost.start, lost.end - 1);
            verifier.unreadable(records, &place);
            for leaf in &truth[lost.end..] {
                verifier.push(leaf);
            }
            let verdict = verifier.finish();
            only(&verdict, FindingKind::Corrupt, records);
            assert_eq!(verdict.integrity[0].place, Some(place));
        }
    }
}

#[test]
fn stubs_stand_for_pruned_records() {
    let truth = truth();
    for number in POSITIONS {
        let mut verifier = LogVerifier::new(TENANT);
        assert!(verifier.stored_head(COUNT as u64, root(&truth)));
        for (place, leaf) in truth.iter().enumerate() {
            if place == number {
                verifier.push_stub(leaf_hash(leaf));
            } else {
                verifier.push(leaf);
            }
        }
        let verdict = verifier.finish();
        clean(&verdict);
        assert_eq!((verdict.stubs, verdict.records_checked), (1, LAST as u64));
        assert_eq!(verdict.head.root, Some(root(&truth)));
        assert_eq!(anchored_to(&verdict), None);
    }
}

#[test]
fn a_record_at_another_place_than_it_says_is_a_mismatch_at_its_place() {
    let truth = truth();
    for number in POSITIONS {
        let mut verifier = LogVerifier::new(TENANT);
        for (place, leaf) in truth.iter().enumerate() {
            let leaf = if place == number {
                &truth[(place + 3) % COUNT]
            } else {
                leaf
            };
            let expected = Expected {
                sequence_number: Some(place as u64),
                record_hash: Some(leaf_hash(&truth[place])),
            };
            verifier.push_expecting(leaf, expected);
        }
        only(&verifier.finish(), FindingKind::ContentMismatch, at(number));
    }
}

/// A store may make its head from the bytes that it finds; what was signed decides which record is
/// the altered one.
#[test]
fn a_head_made_from_altered_bytes_vouches_for_nothing() {
    let truth = log(9);
    for (number, signed) in [(3, 9), (7, 9), (3, 5), (7, 5)] {
        let mut leaves = truth.clone();
        let at = leaves[number].len() / 2;
        let digit = leaves[number][..at]
            .iter()
            .rposition(u8::is_ascii_digit)
            .unwrap();
        leaves[number][digit] ^= 1;
        let mut verifier = LogVerifier::new(TENANT);
        assert!(verifier.stored_head(9, root(&leaves)));
        assert!(verifier.checkpoint(&checkpoint(&truth, signed), &vkey(), Trust::Key));
        for leaf in &leaves {
            verifier.push(leaf);
        }
        let verdict = verifier.finish();
        only(
            &verdict,
            FindingKind::ContentMismatch,
            Span::one(number as u64),
        );
    }
}

/// Where no hash and no checkpoint speaks for the last record, its form has to.
#[test]
fn a_last_record_that_cannot_have_been_written_is_found_without_a_checkpoint() {
    let truth = log(5);
    let last = String::from_utf8(truth[4].clone()).unwrap();
    let deep = format!("\"outcome\":{}", "[".repeat(9_000));
    for (from, to) in [
        ("\"outcome\":", "\"outcome\" :"),
        ("\"outcome\":", "\"outcome\":{{{"),
        ("\"outcome\":", deep.as_str()),
        ("\"ledger\":{", "\"ledger\":{\"aaa\":1,"),
        ("{\"event\":{", "{\"event\":{\"actor\":1,\"actor\":2,"),
    ] {
        let mut leaves = truth.clone();
        let altered = last.replacen(from, to, 1);
        assert_ne!(altered, last, "{from}");
        leaves[4] = altered.into_bytes();
        let verdict = verify(&leaves, &Evidence::default());
        only(&verdict, FindingKind::BadLeaf, Span::one(4));
    }
    let mut leaves = truth.clone();
    let at = memchr::memmem::find(&leaves[4], b"\"outcome\":\"").unwrap() + 12;
    leaves[4][at] = 0xFF;
    only(
        &verify(&leaves, &Evidence::default()),
        FindingKind::BadLeaf,
        Span::one(4),
    );
}
