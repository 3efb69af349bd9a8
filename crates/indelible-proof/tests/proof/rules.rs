//! Records that were committed as they stand but break a rule: each rule is its own finding.

use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::checkpoint::{Checkpoint, SignedCheckpoint};
use indelible_proof::disclosure::{DisclosureLine, commitment_root, disclosure_bytes};
use indelible_proof::finding::{FindingKind, Span};
use indelible_proof::note::SigningKey;
use indelible_proof::stream::Completeness;
use indelible_proof::verify::{LogVerifier, Start, Trust, Verdict};

use crate::forge::{
    Draft, Evidence, ORIGIN, TENANT, anchored_to, checkpoint, claim, clean, drafts, event, id,
    link, log, only, root, statement, time, verify, vkey, write,
};

const COUNT: usize = 9;
const LAST: usize = COUNT - 1;
const POSITIONS: [usize; 3] = [0, 4, LAST];

fn at(number: usize) -> Span {
    Span::one(number as u64)
}

fn push_all(verifier: &mut LogVerifier, leaves: &[Vec<u8>]) {
    for leaf in leaves {
        verifier.push(leaf);
    }
}

/// Verifies a log as committed with `change` made at `number`, anchored at its end.
fn committed_with(number: usize, change: impl Fn(&mut Draft)) -> Verdict {
    let mut drafts = drafts(COUNT as u64);
    change(&mut drafts[number]);
    let leaves = link(&drafts);
    let verdict = verify(&leaves, &Evidence::at(&leaves, &[COUNT]));
    assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
    verdict
}

#[test]
fn a_record_of_another_tenant() {
    for number in POSITIONS {
        let verdict = committed_with(number, |draft| draft.tenant = "umbra".to_owned());
        only(&verdict, FindingKind::WrongTenant, at(number));
        assert!(verdict.integrity[0].message.contains("umbra"));
    }
    // A whole log of another tenant is one finding.
    let leaves = log(COUNT as u64);
    let mut verifier = LogVerifier::new("umbra");
    push_all(&mut verifier, &leaves);
    only(
        &verifier.finish(),
        FindingKind::WrongTenant,
        Span::new(0, LAST as u64),
    );
}

#[test]
fn a_record_of_an_unknown_version() {
    for number in POSITIONS {
        let verdict = committed_with(number, |draft| draft.version = 2);
        only(&verdict, FindingKind::UnknownVersion, at(number));
    }
}

#[test]
fn a_record_committed_before_the_one_before_it() {
    for number in [1, 4, LAST] {
        let verdict = committed_with(number, |draft| {
            draft.time = "2025-12-31T00:00:00.000000Z".into();
        });
        only(&verdict, FindingKind::TimeRegression, at(number));
        let verdict = committed_with(number, |draft| draft.time = time(number as u64 - 1));
        clean(&verdict);
    }
}

#[test]
fn bytes_in_the_place_of_a_record() {
    for number in POSITIONS {
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        for (place, draft) in drafts(COUNT as u64).iter().enumerate() {
            let previous = leaves.last().map_or(Hash::ZERO, |leaf| leaf_hash(leaf));
            let leaf = if place == number {
                b"{}".to_vec()
            } else {
                write(draft, previous, place)
            };
            leaves.push(leaf);
        }
        let verdict = verify(&leaves, &Evidence::at(&leaves, &[COUNT]));
        only(&verdict, FindingKind::BadLeaf, at(number));
        assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
    }
    let verdict = committed_with(4, |draft| {
        draft.event = r#"{"event_type":"user.login"}"#.into();
    });
    only(&verdict, FindingKind::BadLeaf, at(4));
}

#[test]
fn one_id_twice() {
    for number in [1, 4, LAST] {
        for first in [0, number - 1] {
            let verdict = committed_with(number, |draft| {
                draft.event = draft.event.replace(&id(number as u64), &id(first as u64));
            });
            only(&verdict, FindingKind::DuplicateAuditId, at(number));
            assert!(
                verdict.integrity[0]
                    .message
                    .contains(&format!("record {first} "))
            );
        }
    }
    // The same event under the same number of its stream is one cause, not two.
    let verdict = committed_with(4, |draft| {
        draft.event = event(3);
        draft.ledger = claim("web", 7, 2);
    });
    only(&verdict, FindingKind::DuplicateAuditId, at(4));
}

#[test]
fn one_number_of_a_stream_for_two_events() {
    for number in [2, 4, LAST] {
        for taken in [0, number - 2] {
            let ledger = claim("web", 7, taken as u64);
            let verdict = committed_with(number, |draft| draft.ledger.clone_from(&ledger));
            only(&verdict, FindingKind::StreamEquivocation, at(number));
        }
        // Another epoch or another stream has numbers of its own.
        for ledger in [claim("web", 8, 0), claim("app", 7, 0)] {
            clean(&committed_with(number, |draft| {
                draft.ledger.clone_from(&ledger);
            }));
        }
    }
    // A number that was covered before its record was pruned is taken, too.
    let mut drafts = drafts(3);
    drafts[1] = statement(
        1,
        "stream.coverage",
        r#"{"epoch":7,"ranges":[[0,5]],"stream":"web"}"#,
    );
    only(
        &verify(&link(&drafts), &Evidence::default()),
        FindingKind::StreamEquivocation,
        at(2),
    );
}

#[test]
fn an_undeclared_gap_is_a_finding_of_completeness_only() {
    for missing in [0, 3] {
        let mut drafts = drafts(6);
        drafts.remove(1 + missing);
        let verdict = verify(&link(&drafts), &Evidence::default());
        clean(&verdict);
        let stream = &verdict.completeness[0];
        assert_eq!(stream.completeness(), Completeness::UndeclaredGap);
        let findings = stream.findings(TENANT);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].kind, FindingKind::UndeclaredGap);
        assert_eq!(
            stream.to_string().split(" · ").next().unwrap(),
            format!("undeclared gap (1, {missing})")
        );
    }
    assert_eq!(
        verify(&log(6), &Evidence::default()).completeness[0].findings(TENANT),
        []
    );
}

#[test]
fn checkpoints_that_cannot_be_believed() {
    let leaves = log(COUNT as u64);
    let run = |signed: &SignedCheckpoint| {
        let mut verifier = LogVerifier::new(TENANT);
        assert!(verifier.checkpoint(signed, &vkey(), Trust::Key));
        push_all(&mut verifier, &leaves);
        verifier.finish()
    };
    let good = checkpoint(&leaves, COUNT);
    clean(&run(&good));
    let kind = |verdict: &Verdict| {
        assert_eq!(verdict.anchored, indelible_proof::verify::Anchor::None);
        assert_eq!(verdict.integrity.len(), 1, "{:?}", verdict.integrity);
        verdict.integrity[0].kind
    };

    let forged = good.to_string().replace(&format!("\n{COUNT}\n"), "\n7\n");
    let forged = SignedCheckpoint::parse(forged.as_bytes()).unwrap();
    assert_eq!(kind(&run(&forged)), FindingKind::BadSignature);

    let stranger = SigningKey::from_seed(ORIGIN, &[9; 32]).unwrap();
    let unknown = SignedCheckpoint::sign(good.unverified().clone(), &stranger).unwrap();
    assert_eq!(kind(&run(&unknown)), FindingKind::UnknownCheckpoint);

    let other = SigningKey::from_seed("example.com/other", &[7; 32]).unwrap();
    let elsewhere = Checkpoint {
        origin: other.name().to_owned(),
        ..good.unverified().clone()
    };
    let elsewhere = SignedCheckpoint::sign(elsewhere, &other).unwrap();
    assert_eq!(kind(&run(&elsewhere)), FindingKind::UnknownCheckpoint);
}

#[test]
fn checkpoints_that_cannot_both_hold_are_a_fork() {
    let leaves = log(COUNT as u64);
    let mut other = drafts(COUNT as u64);
    other[2].event = event(999);
    let other = link(&other);
    for size in [3, 5, COUNT] {
        let evidence = Evidence {
            stored: None,
            checkpoints: vec![checkpoint(&leaves, size), checkpoint(&other, size)],
        };
        let verdict = verify(&leaves, &evidence);
        let kinds: Vec<_> = verdict
            .integrity
            .iter()
            .map(|finding| finding.kind)
            .collect();
        assert_eq!(kinds, [FindingKind::Forked]);
        assert_eq!(anchored_to(&verdict), Some(size as u64));
    }
    for size in [3, 5, LAST] {
        let evidence = Evidence {
            stored: None,
            checkpoints: vec![checkpoint(&other, size), checkpoint(&leaves, COUNT)],
        };
        let verdict = verify(&leaves, &evidence);
        let kinds: Vec<_> = verdict
            .integrity
            .iter()
            .map(|finding| finding.kind)
            .collect();
        assert_eq!(kinds, [FindingKind::Forked]);
        assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
    }
}

#[test]
fn a_key_that_only_the_log_names_is_told_apart() {
    let leaves = log(3);
    let mut verifier = LogVerifier::new(TENANT);
    assert!(verifier.checkpoint(&checkpoint(&leaves, 3), &vkey(), Trust::Named));
    assert!(verifier.stored_head(3, root(&leaves)));
    push_all(&mut verifier, &leaves);
    assert!(
        !verifier.checkpoint(&checkpoint(&leaves, 1), &vkey(), Trust::Key),
        "too late"
    );
    let verdict = verifier.finish();
    clean(&verdict);
    let expected = indelible_proof::verify::Anchor::Checkpoint {
        size: 3,
        origin: ORIGIN.to_owned(),
        trust: Trust::Named,
    };
    assert_eq!(verdict.anchored, expected);
}

#[test]
fn a_part_of_a_log_is_verified_from_where_an_earlier_run_ended() {
    let leaves = log(COUNT as u64);
    let start = |number: usize| Start {
        number: number as u64,
        last_hash: Some(
            number
                .checked_sub(1)
                .map_or(Hash::ZERO, |last| leaf_hash(&leaves[last])),
        ),
        tree: Some(
            leaves[..number]
                .iter()
                .map(|leaf| leaf_hash(leaf))
                .collect(),
        ),
    };
    for number in POSITIONS {
        let mut verifier = LogVerifier::starting_at(TENANT, &start(number));
        assert!(verifier.checkpoint(&checkpoint(&leaves, COUNT), &vkey(), Trust::Key));
        push_all(&mut verifier, &leaves[number..]);
        let verdict = verifier.finish();
        clean(&verdict);
        assert_eq!(anchored_to(&verdict), Some(COUNT as u64));
        assert_eq!(verdict.records_checked, (COUNT - number) as u64);

        let mut wrong = start(number);
        wrong.last_hash = Some(leaf_hash(b"elsewhere"));
        let mut verifier = LogVerifier::starting_at(TENANT, &wrong);
        push_all(&mut verifier, &leaves[number..]);
        only(&verifier.finish(), FindingKind::LinkBroken, at(number));
    }
    // Without the tree nothing can be compared with a root, and nothing is claimed.
    let mut verifier = LogVerifier::starting_at(
        TENANT,
        &Start {
            tree: None,
            ..start(4)
        },
    );
    assert!(verifier.checkpoint(&checkpoint(&leaves, COUNT), &vkey(), Trust::Key));
    push_all(&mut verifier, &leaves[4..]);
    let verdict = verifier.finish();
    clean(&verdict);
    assert_eq!((anchored_to(&verdict), verdict.head.root), (None, None));
}

/// A log in which record `number` seals two values of one subject, and the line that shows them.
fn sealed(number: usize) -> (Vec<Vec<u8>>, String) {
    let subject = "sub_00112233445566778899aabbccddeeff";
    let values = [
        disclosure_bytes(&[1; 32], "/actor/email", br#""a@example.com""#),
        disclosure_bytes(&[2; 32], "/actor/ip", br#""192.0.2.7""#),
    ];
    let member = format!(
        r#","sealed":[{{"root":"{}","subject":"{subject}"}}]}}"#,
        commitment_root(&values)
    );
    let mut drafts = drafts(COUNT as u64);
    let event = drafts[number].event.strip_suffix('}').unwrap().to_owned() + &member;
    drafts[number].event = event;
    let [a, b] = values.map(|value| String::from_utf8(value).unwrap());
    let line = format!(
        r#"{{"audit_id":"{}","disclosures":[{a},{b}],"sequence_number":{number},"subject":"{subject}","tenant_id":"{TENANT}"}}"#,
        id(number as u64)
    );
    (link(&drafts), line)
}

fn disclosed(leaves: &[Vec<u8>], lines: &[String]) -> Verdict {
    let mut verifier = LogVerifier::new(TENANT);
    verifier.expect_disclosures();
    for line in lines {
        assert!(verifier.disclosures(DisclosureLine::parse(line.as_bytes()).unwrap()));
    }
    push_all(&mut verifier, leaves);
    verifier.finish()
}

#[test]
fn sealed_values_are_compared_with_their_commitments() {
    for number in POSITIONS {
        let (leaves, line) = sealed(number);
        clean(&disclosed(&leaves, std::slice::from_ref(&line)));
        // Not asked for, not missed.
        clean(&verify(&leaves, &Evidence::default()));

        only(
            &disclosed(&leaves, &[]),
            FindingKind::SealedValueMissing,
            at(number),
        );
        for (from, to) in [
            ("192.0.2.7", "192.0.2.8"),
            ("/actor/ip", "/actor/iq"),
            ("0202", "0203"),
            (&id(number as u64), &id(77)),
            ("sub_00", "sub_01"),
            ("\"tenant_id\":\"", "\"tenant_id\":\"x"),
        ] {
            let wrong = line.replacen(from, to, 1);
            let verdict = disclosed(&leaves, &[wrong]);
            only(&verdict, FindingKind::SealedValueMismatch, at(number));
        }
        let two = line.replace(
            &format!("\"sequence_number\":{number}"),
            "\"sequence_number\":40",
        );
        let verdict = disclosed(&leaves, &[line, two]);
        only(&verdict, FindingKind::SealedValueMismatch, at(40));
    }
}

#[test]
fn values_of_an_erased_subject_are_not_missing() {
    let (mut leaves, _) = sealed(4);
    let data = r#"{"subjects":["sub_00112233445566778899aabbccddeeff"]}"#;
    let erased = statement(900, "privacy.erased", data);
    leaves.push(write(&erased, leaf_hash(&leaves[LAST]), COUNT));
    clean(&disclosed(&leaves, &[]));
    // A producer's own text does not erase anybody.
    let (mut leaves, _) = sealed(4);
    let fake = statement(
        900,
        "user.note",
        &format!(r#"{{"event_type":"privacy.erased","x":{data}}}"#),
    );
    leaves.push(write(&fake, leaf_hash(&leaves[LAST]), COUNT));
    only(
        &disclosed(&leaves, &[]),
        FindingKind::SealedValueMissing,
        at(4),
    );
}

#[test]
fn wrong_values_of_an_altered_record_are_a_note_under_it() {
    let (mut leaves, line) = sealed(4);
    let stored = Evidence::stored(&leaves).stored.unwrap();
    let text = String::from_utf8(leaves[4].clone()).unwrap();
    let root = text.find("\"root\":\"").unwrap() + 8;
    leaves[4][root] ^= 1;
    let mut verifier = LogVerifier::new(TENANT);
    assert!(verifier.disclosures(DisclosureLine::parse(line.as_bytes()).unwrap()));
    for (leaf, hash) in leaves.iter().zip(stored) {
        let expected = indelible_proof::verify::Expected {
            sequence_number: None,
            record_hash: Some(hash),
        };
        verifier.push_expecting(leaf, expected);
    }
    let verdict = verifier.finish();
    only(&verdict, FindingKind::ContentMismatch, at(4));
    assert_eq!(verdict.integrity[0].notes.len(), 1);
}
