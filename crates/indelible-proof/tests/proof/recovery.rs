//! Logs that were recovered from a roll-back: what they declare, and checkpoints kept from before.

use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::finding::{FindingKind, Span};
use indelible_proof::stream::Completeness;
use indelible_proof::verify::{Anchor, LogVerifier, Trust, Verdict};

use crate::forge::{Draft, TENANT, claim, clean, drafts, event, id, key, link, only, root};

const LEDGER: &str = "indelible.dev/0123456789abcdef0123456789abcdef";

/// A log of `before` records, then its recovery, then `after` more.
fn recovered(before: u64, missing: &str, after: u64) -> Vec<Vec<u8>> {
    let mut all = drafts(before + 1 + after);
    all[usize::try_from(before).unwrap()].event = recovery(before, 2, missing);
    link(&all)
}

fn recovery(number: u64, incarnation: u64, missing: &str) -> String {
    format!(
        r#"{{"actor":{{"id":"indelible","type":"system"}},"audit_id":"{}","data":{{"findings":[],"incarnation":{incarnation},"missing":{missing}}},"event_type":"log.recovered","outcome":"success"}}"#,
        id(number)
    )
}

fn signed(leaves: &[Vec<u8>], size: usize, origin: &str) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: origin.to_owned(),
        size: size as u64,
        root: root(&leaves[..size]),
    };
    SignedCheckpoint::sign(checkpoint, &key().renamed(origin).unwrap()).unwrap()
}

fn verify(leaves: &[Vec<u8>], checkpoints: &[SignedCheckpoint]) -> Verdict {
    let mut verifier = LogVerifier::new(TENANT);
    for checkpoint in checkpoints {
        let key = key().renamed(&checkpoint.unverified().origin).unwrap();
        assert!(verifier.checkpoint(checkpoint, &key.verifier_key(), Trust::Key));
    }
    for leaf in leaves {
        verifier.push(leaf);
    }
    verifier.finish()
}

fn of(incarnation: u64) -> String {
    match incarnation {
        1 => format!("{LEDGER}/acme"),
        n => format!("{LEDGER}/{n}/acme"),
    }
}

#[test]
fn a_recovery_is_told_with_what_it_says_is_missing() {
    let verdict = verify(&drafts_of(6), &[]);
    assert_eq!((verdict.incarnation, verdict.recoveries.len()), (1, 0));
    let verdict = verify(&recovered(6, "[6,9]", 3), &[]);
    clean(&verdict);
    assert_eq!(verdict.incarnation, 2);
    assert_eq!(verdict.recoveries.len(), 1);
    let told = &verdict.recoveries[0];
    assert_eq!((told.record, told.incarnation), (6, 2));
    assert_eq!(told.missing, Some(Span::new(6, 9)));
    let words = told.to_string();
    assert!(
        words.contains("declared loss: at least records 6 to 9"),
        "{words}"
    );
    let json = serde_json::to_value(told).unwrap();
    assert_eq!(json["missing"], serde_json::json!([6, 9]));
    let verdict = verify(&recovered(6, "null", 0), &[]);
    assert_eq!(verdict.recoveries[0].missing, None);
    let words = verdict.recoveries[0].to_string();
    assert!(words.contains("how many is not known here"), "{words}");
}

fn drafts_of(count: u64) -> Vec<Vec<u8>> {
    link(&drafts(count))
}

#[test]
fn a_recovery_in_an_altered_record_is_not_believed() {
    let mut leaves = recovered(6, "[6,9]", 3);
    let text = String::from_utf8(leaves[6].clone()).unwrap();
    leaves[6] = text.replace("[6,9]", "[6,7]").into_bytes();
    let verdict = verify(&leaves, &[]);
    only(&verdict, FindingKind::ContentMismatch, Span::one(6));
    assert_eq!(verdict.recoveries, []);
    // The last record, which only a checkpoint speaks for.
    let mut leaves = recovered(6, "[6,9]", 0);
    let newest = [signed(&leaves, 6, &of(1)), signed(&leaves, 7, &of(2))];
    assert_eq!(verify(&leaves, &newest).recoveries.len(), 1);
    let text = String::from_utf8(leaves[6].clone()).unwrap();
    leaves[6] = text.replace("[6,9]", "[6,7]").into_bytes();
    let verdict = verify(&leaves, &newest);
    assert!(!verdict.is_sound());
    assert_eq!(verdict.recoveries, []);
}

#[test]
fn a_checkpoint_of_what_was_lost_is_held_against_the_log() {
    let mut old = drafts(12);
    old[7].event = event(700);
    let old = link(&old);
    for missing in ["[6,9]", "null"] {
        for after in [0, 3, 20] {
            let new = recovered(6, missing, after);
            let newest = signed(&new, new.len(), &of(2));
            for size in [7, 8, 12] {
                let kept = signed(&old, size, &of(1));
                for checkpoints in [vec![kept.clone()], vec![kept, newest.clone()]] {
                    let verdict = verify(&new, &checkpoints);
                    let lost = Span::new(6, size as u64 - 1);
                    only(&verdict, FindingKind::RolledBack, lost);
                    let note = &verdict.integrity[0].notes[0];
                    assert!(note.contains("declared loss"), "{note}");
                }
            }
            // What it kept from before still holds.
            for size in [3, 6] {
                let verdict = verify(&new, &[signed(&old, size, &of(1)), newest.clone()]);
                clean(&verdict);
            }
        }
    }
}

#[test]
fn an_incarnation_that_the_log_does_not_declare_shows_it_went_back() {
    let log = drafts_of(6);
    for size in [3, 6] {
        let verdict = verify(&log, &[signed(&log, size, &of(2))]);
        let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
        assert_eq!(kinds, [FindingKind::RolledBack]);
    }
    let longer = recovered(6, "null", 4);
    let verdict = verify(&longer[..6], &[signed(&longer, 9, &of(2))]);
    let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FindingKind::RolledBack]);
    let verdict = verify(&longer, &[signed(&longer, 9, &of(3))]);
    let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FindingKind::RolledBack]);
}

#[test]
fn a_log_made_in_a_later_incarnation_need_not_declare_it() {
    let mut all = drafts(4);
    all[0].event = all[0]
        .event
        .replace(r#""data":{"#, r#""data":{"incarnation":2,"#);
    let log = link(&all);
    let verdict = verify(&log, &[signed(&log, 4, &of(2))]);
    clean(&verdict);
    assert_eq!(verdict.incarnation, 2);
    // One of its name that was before is lost altogether.
    let verdict = verify(&log, &[signed(&drafts_of(9), 3, &of(1))]);
    only(&verdict, FindingKind::RolledBack, Span::new(0, 2));
}

#[test]
fn checkpoints_of_others_and_of_other_histories_are_named() {
    let log = drafts_of(6);
    for origin in [
        format!("{LEDGER}/globex"),
        format!("{LEDGER}/02/acme"),
        format!("{LEDGER}/1/acme"),
        "indelible.dev/other/acme".to_owned(),
        LEDGER.to_owned(),
    ] {
        for size in [1, 4, 6] {
            let verdict = verify(&log, &[signed(&log, size, &origin)]);
            let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
            assert_eq!(kinds, [FindingKind::UnknownCheckpoint], "{origin} {size}");
            assert_eq!(verdict.anchored, Anchor::None);
        }
    }
    // Of an incarnation that was left, at a size that both have.
    let mut other = drafts(6);
    other[2].event = event(700);
    let other = link(&other);
    let new = recovered(6, "null", 2);
    let verdict = verify(&new, &[signed(&other, 4, &of(1)), signed(&new, 4, &of(2))]);
    let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FindingKind::Forked]);
}

#[test]
fn the_end_of_a_stream_is_unknown_until_a_higher_number_comes() {
    let log = |higher: bool| {
        let mut all: Vec<Draft> = drafts(6);
        for draft in &mut all {
            "{}".clone_into(&mut draft.ledger);
        }
        for (at, number) in [(1, 0), (2, 1)] {
            all[at].ledger = claim("web", 7, number);
        }
        all[3].event = recovery(3, 2, "null");
        if higher {
            all[4].ledger = claim("web", 7, 3);
        }
        link(&all)
    };
    let word = |leaves: &[Vec<u8>]| {
        let verdict = verify(leaves, &[]);
        clean(&verdict);
        let mut streams = verdict.completeness.iter();
        let web = streams.find(|s| s.stream.as_deref() == Some("web"));
        web.unwrap().completeness()
    };
    assert_eq!(word(&log(false)[..3]), Completeness::Open);
    assert_eq!(word(&log(false)), Completeness::EndedUnclean);
    // The number lost in between is still nobody's declared loss.
    assert_eq!(word(&log(true)), Completeness::UndeclaredGap);
}
