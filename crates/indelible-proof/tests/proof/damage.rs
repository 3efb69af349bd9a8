//! A sound log, then every way of tampering with stored records: each gives exactly one finding.

use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::finding::FindingKind;

use crate::forge::*;

/// Alters the event of record `number`, as an attacker with a text editor would.
fn altered(number: usize) -> Vec<Vec<u8>> {
    let mut leaves = truth();
    let text = String::from_utf8(leaves[number].clone()).unwrap();
    leaves[number] = text.replace("success", "failure").into_bytes();
    assert_ne!(leaves, truth());
    leaves
}

#[test]
fn an_untouched_log_is_clean_under_all_evidence() {
    let leaves = truth();
    for evidence in [
        Evidence::default(),
        Evidence::stored(&leaves),
        Evidence::at(&leaves, &[COUNT]),
        Evidence::at(&leaves, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ] {
        let verdict = verify(&leaves, &evidence);
        clean(&verdict);
        assert_eq!(verdict.records_checked, COUNT as u64);
        assert_eq!(verdict.checked, Some(span(0, LAST)));
        assert_eq!(verdict.head.size, COUNT as u64);
        assert_eq!(verdict.head.root, Some(root(&leaves)));
        assert_eq!(verdict.head.last_hash, Some(leaf_hash(&leaves[LAST])));
        assert_eq!(verdict.identity.unwrap().slot, 3);
        assert_eq!(verdict.audit_ids_compared, COUNT as u64);
    }
    assert_eq!(anchored_to(&verify(&leaves, &Evidence::default())), None);
    assert_eq!(
        anchored_to(&verify(&leaves, &Evidence::at(&leaves, &[4, 9]))),
        Some(9)
    );
    let empty = verify(&[], &Evidence::at(&leaves, &[0]));
    clean(&empty);
    assert_eq!((empty.records_checked, empty.checked), (0, None));
}

#[test]
fn an_altered_record_is_a_content_mismatch_there() {
    let truth = truth();
    for number in POSITIONS {
        let leaves = altered(number);
        only(
            &verify(&leaves, &Evidence::stored(&truth)),
            FindingKind::ContentMismatch,
            at(number),
        );
        let sizes: Vec<usize> = (0..=COUNT).collect();
        let checkpoints = Evidence::at(&truth, &sizes);
        only(
            &verify(&leaves, &checkpoints),
            FindingKind::ContentMismatch,
            at(number),
        );
        if number < LAST {
            let verdict = verify(&leaves, &Evidence::default());
            only(&verdict, FindingKind::ContentMismatch, at(number));
            let verdict = verify(&leaves, &Evidence::at(&truth, &[COUNT]));
            only(&verdict, FindingKind::ContentMismatch, at(number));
            // The rest is vouched for, since the successor says what the record was.
            assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_is_one_finding_there() {
    let truth = truth();
    let stored = Evidence::stored(&truth);
    let checkpoint = Evidence::at(&truth, &[LAST, COUNT]);
    let only_end = Evidence::at(&truth, &[COUNT]);
    for number in POSITIONS {
        for byte in 0..truth[number].len() {
            for bit in [0, 5] {
                let mut leaves = truth.clone();
                leaves[number][byte] ^= 1 << bit;
                let verdict = verify(&leaves, &stored);
                only(&verdict, FindingKind::ContentMismatch, at(number));
                let verdict = verify(&leaves, &checkpoint);
                only(&verdict, FindingKind::ContentMismatch, at(number));
                let verdict = verify(&leaves, &only_end);
                if number == LAST && verdict.integrity[0].kind == FindingKind::RootMismatch {
                    only(&verdict, FindingKind::RootMismatch, span(0, LAST));
                } else {
                    only(&verdict, FindingKind::ContentMismatch, at(number));
                }
                if number < LAST {
                    let verdict = verify(&leaves, &Evidence::default());
                    assert_eq!(verdict.integrity.len(), 1, "{:?}", verdict.integrity);
                    let finding = &verdict.integrity[0];
                    assert_eq!(finding.kind, FindingKind::ContentMismatch);
                    assert!(finding.records.unwrap().contains(number as u64));
                    assert!(finding.records.unwrap().count() <= 2);
                }
            }
        }
    }
}

#[test]
fn neighbours_that_were_altered_are_one_finding() {
    let truth = truth();
    let mut leaves = altered(4);
    leaves[5].clone_from(&altered(5)[5]);
    for evidence in [
        Evidence::stored(&truth),
        Evidence::at(&truth, &[COUNT]),
        Evidence::default(),
    ] {
        only(
            &verify(&leaves, &evidence),
            FindingKind::ContentMismatch,
            span(4, 5),
        );
    }
    // Apart from each other they are two.
    leaves[8].clone_from(&altered(8)[8]);
    let verdict = verify(&leaves, &Evidence::at(&truth, &[COUNT]));
    let found: Vec<_> = verdict
        .integrity
        .iter()
        .map(|f| f.records.unwrap())
        .collect();
    assert_eq!(found, [span(4, 5), at(8)]);
}

/// The record after the border is rewritten with all that follows, then the one before it altered:
/// what the checkpoint at the border has shown of the first is not taken back for the second.
#[test]
fn altered_records_on_both_sides_of_a_checkpoint_are_both_named() {
    let truth = truth();
    for border in 1..LAST {
        let mut leaves = truth.clone();
        let mut previous = leaf_hash(&truth[border - 1]);
        for (number, leaf) in leaves.iter_mut().enumerate().skip(border) {
            *leaf = write(&draft(100 + number as u64), previous, number);
            previous = leaf_hash(leaf);
        }
        leaves[border - 1].clone_from(&altered(border - 1)[border - 1]);
        let verdict = verify(&leaves, &Evidence::at(&truth, &[border, border + 1]));
        only(
            &verdict,
            FindingKind::ContentMismatch,
            span(border - 1, border),
        );
        assert_eq!(anchored_to(&verdict), Some(border as u64));
        // Without the checkpoint at the border nobody can tell whether the first was altered, and
        // the finding says so.
        let verdict = verify(&leaves[..=border], &Evidence::at(&truth, &[border + 1]));
        only(&verdict, FindingKind::ContentMismatch, at(border));
        let note = format!("record {} was altered as well", border - 1);
        let notes = &verdict.integrity[0].notes;
        assert!(notes.iter().any(|n| n.contains(&note)), "{notes:?}");
    }
}

/// What a checkpoint has shown stays shown when so much is missing later that no root can be
/// computed any more.
#[test]
fn what_a_checkpoint_has_shown_does_not_depend_on_what_is_missing_later() {
    let truth = truth();
    for number in 0..5 {
        let mut leaves = altered(number);
        leaves.drain(7..9);
        let verdict = verify(&leaves, &Evidence::at(&truth, &[number + 1, COUNT]));
        let found: Vec<_> = verdict
            .integrity
            .iter()
            .map(|f| (f.kind, f.records.unwrap()))
            .collect();
        let expected = [
            (FindingKind::ContentMismatch, at(number)),
            (FindingKind::MissingRecord, span(7, 8)),
        ];
        assert_eq!(found, expected, "{:#?}", verdict.integrity);
        assert_eq!(anchored_to(&verdict), Some(number as u64 + 1));
    }
}

/// Two records that contradict each other, the checkpoint between them vouching for the first: the
/// second is named, alone.
#[test]
fn a_record_that_a_checkpoint_vouches_for_is_not_named_with_its_neighbour() {
    let truth = truth();
    for border in 1..LAST {
        let mut leaves = truth.clone();
        leaves[border] = write(&draft(100), Hash::ZERO, border);
        let verdict = verify(&leaves, &Evidence::at(&truth, &[border]));
        only(&verdict, FindingKind::ContentMismatch, at(border));
    }
}

#[test]
fn a_removed_record_is_missing_or_the_cut_tail() {
    let truth = truth();
    for number in [0, 5, LAST - 1] {
        let mut leaves = truth.clone();
        leaves.remove(number);
        let mut stored = hashes(&truth);
        stored.remove(number);
        let stored = Evidence {
            stored: Some(stored),
            checkpoints: Vec::new(),
        };
        for evidence in [
            stored,
            Evidence::default(),
            Evidence::at(&truth, &[3, COUNT]),
        ] {
            only(
                &verify(&leaves, &evidence),
                FindingKind::MissingRecord,
                at(number),
            );
        }
        // The successor says what the missing record's hash was, so the rest is still vouched for.
        let verdict = verify(&leaves, &Evidence::at(&truth, &[COUNT]));
        assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
    }
    let mut leaves = truth.clone();
    leaves.drain(3..6);
    let verdict = verify(&leaves, &Evidence::at(&truth, &[COUNT]));
    only(&verdict, FindingKind::MissingRecord, span(3, 5));
    assert!(verdict.integrity[0].notes[0].contains("cannot be computed"));
    assert_eq!(anchored_to(&verdict), None);
}

#[test]
fn a_cut_tail_is_seen_against_a_checkpoint() {
    let truth = truth();
    for kept in [0, 5, LAST] {
        let leaves = truth[..kept].to_vec();
        let evidence = Evidence::at(&truth, &[COUNT]);
        only(
            &verify(&leaves, &evidence),
            FindingKind::TruncatedTail,
            span(kept, LAST),
        );
        clean(&verify(&leaves, &Evidence::default()));
    }
}

#[test]
fn a_swapped_pair_is_out_of_order() {
    let truth = truth();
    for (a, b) in [(0, 1), (5, 6), (LAST - 1, LAST), (2, 9), (0, LAST)] {
        let mut leaves = truth.clone();
        leaves.swap(a, b);
        for evidence in [Evidence::default(), Evidence::at(&truth, &[1, 6, COUNT])] {
            only(
                &verify(&leaves, &evidence),
                FindingKind::OutOfOrder,
                span(a, b),
            );
        }
    }
    let mut leaves = truth.clone();
    let moved = leaves.remove(3);
    leaves.push(moved);
    only(
        &verify(&leaves, &Evidence::at(&truth, &[COUNT])),
        FindingKind::OutOfOrder,
        span(3, 4),
    );
}

#[test]
fn a_record_that_comes_after_it_was_given_up_was_late_not_missing() {
    let count = indelible_proof::limits::EARLY_RECORDS_MAX + 10;
    let truth = log(count as u64);
    let mut leaves = truth.clone();
    let moved = leaves.remove(3);
    only(
        &verify(&leaves, &Evidence::default()),
        FindingKind::MissingRecord,
        at(3),
    );
    leaves.push(moved);
    let verdict = verify(&leaves, &Evidence::at(&truth, &[count]));
    only(&verdict, FindingKind::OutOfOrder, span(3, 4));
    assert_eq!(anchored_to(&verdict), Some(count as u64));
    let other = leaves.pop().unwrap();
    leaves.push(
        String::from_utf8(other)
            .unwrap()
            .replace("success", "failure")
            .into_bytes(),
    );
    let verdict = verify(&leaves, &Evidence::default());
    let kinds: Vec<_> = verdict
        .integrity
        .iter()
        .map(|finding| finding.kind)
        .collect();
    assert_eq!(
        kinds,
        [FindingKind::ContentMismatch, FindingKind::OutOfOrder]
    );
}

#[test]
fn a_record_that_stands_twice_is_a_duplicate_and_another_version_a_fork() {
    let truth = truth();
    for number in POSITIONS {
        for place in [number + 1, COUNT] {
            let mut leaves = truth.clone();
            leaves.insert(place, truth[number].clone());
            let evidence = Evidence::at(&truth, &[COUNT]);
            only(
                &verify(&leaves, &evidence),
                FindingKind::DuplicateRecord,
                at(number),
            );
            leaves[place].clone_from(&altered(number)[number]);
            only(&verify(&leaves, &evidence), FindingKind::Forked, at(number));
        }
        // The other version before the committed one.
        let mut leaves = truth.clone();
        leaves.insert(number, altered(number)[number].clone());
        for evidence in [Evidence::at(&truth, &[COUNT]), Evidence::default()] {
            only(&verify(&leaves, &evidence), FindingKind::Forked, at(number));
        }
    }
}

#[test]
fn many_altered_records_are_each_named_and_the_rest_is_still_vouched_for() {
    let truth = log(40);
    let mut leaves = truth.clone();
    for number in (1..38).step_by(4) {
        let text = String::from_utf8(leaves[number].clone()).unwrap();
        leaves[number] = text.replace("success", "failure").into_bytes();
    }
    let verdict = verify(&leaves, &Evidence::at(&truth, &[40]));
    let found: Vec<_> = verdict
        .integrity
        .iter()
        .map(|f| (f.kind, f.records.unwrap()))
        .collect();
    let each = (1..38)
        .step_by(4)
        .map(|number| (FindingKind::ContentMismatch, at(number)));
    assert_eq!(found, each.collect::<Vec<_>>());
    assert_eq!(anchored_to(&verdict), Some(40));
}

#[test]
fn findings_beyond_the_bound_are_counted() {
    let beyond = 25;
    let altered = indelible_proof::limits::FINDINGS_MAX + beyond;
    let truth = log(2 * altered as u64 + 1);
    let mut leaves = truth.clone();
    for number in (0..2 * altered).step_by(2) {
        let text = String::from_utf8(leaves[number].clone()).unwrap();
        leaves[number] = text.replace("success", "failure").into_bytes();
    }
    for evidence in [Evidence::default(), Evidence::stored(&truth)] {
        let verdict = verify(&leaves, &evidence);
        assert_eq!(
            verdict.integrity.len(),
            indelible_proof::limits::FINDINGS_MAX
        );
        assert_eq!(verdict.findings_left_out, beyond as u64);
    }
}

/// A check that cannot fail is a defect: every kind has a test that makes it fire.
#[test]
fn every_kind_of_finding_has_a_test() {
    let tests = [
        include_str!("damage.rs"),
        include_str!("histories.rs"),
        include_str!("rules.rs"),
        include_str!("signing.rs"),
    ];
    for kind in FindingKind::ALL {
        let name = format!("FindingKind::{kind:?}");
        assert!(
            tests.iter().any(|test| test.contains(&name)),
            "{name} is in no test"
        );
    }
}
