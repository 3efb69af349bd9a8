//! Lines of disclosures and lines that are no records: one act on a file is one finding.

use indelible_proof::disclosure::{DisclosureLine, commitment_root, disclosure_bytes};
use indelible_proof::finding::{FindingKind, Span};
use indelible_proof::verify::{LogVerifier, Verdict};

use crate::forge::{Evidence, TENANT, clean, drafts, id, link, log, only, verify};

const COUNT: usize = 9;
const LAST: usize = COUNT - 1;

/// A log in which every record but the first two seals a value, of one subject or another, and the
/// lines that show them.
fn all_sealed() -> (Vec<Vec<u8>>, Vec<String>) {
    let mut drafts = drafts(COUNT as u64);
    let mut lines = Vec::new();
    for (number, draft) in drafts.iter_mut().enumerate().skip(2) {
        let mut members = Vec::new();
        for subject in [
            format!("sub_{:032x}", number % 2),
            format!("sub_{:032x}", 7),
        ] {
            let salt = [u8::try_from(number).unwrap(); 32];
            let value = disclosure_bytes(&salt, "/actor/name", format!("\"{subject}\"").as_bytes());
            let root = commitment_root(std::slice::from_ref(&value));
            members.push(format!(r#"{{"root":"{root}","subject":"{subject}"}}"#));
            lines.push(format!(
                r#"{{"audit_id":"{}","disclosures":[{}],"sequence_number":{number},"subject":"{subject}","tenant_id":"{TENANT}"}}"#,
                id(number as u64),
                String::from_utf8(value).unwrap()
            ));
        }
        let event = draft.event.strip_suffix('}').unwrap();
        draft.event = format!("{event},\"sealed\":[{}]}}", members.join(","));
    }
    (link(&drafts), lines)
}

/// Gives each line no earlier than its record, as they are read from a file.
fn disclosed_in_step(leaves: &[Vec<u8>], lines: &[String]) -> Verdict {
    let mut verifier = LogVerifier::new(TENANT);
    verifier.expect_disclosures();
    let mut lines = lines
        .iter()
        .map(|line| DisclosureLine::parse(line.as_bytes()).unwrap())
        .peekable();
    for (number, leaf) in (0..).zip(leaves) {
        while let Some(line) = lines.next_if(|line| line.sequence_number <= number) {
            assert!(verifier.disclosures(line));
        }
        verifier.push(leaf);
    }
    lines.for_each(|line| assert!(verifier.disclosures(line)));
    verifier.finish()
}

#[test]
fn one_act_on_lines_of_disclosures_is_one_finding() {
    let (leaves, lines) = all_sealed();
    clean(&disclosed_in_step(&leaves, &lines));
    let kind_of = |lines: &[String], why: &str| {
        let verdict = disclosed_in_step(&leaves, lines);
        assert_eq!(
            verdict.integrity.len(),
            1,
            "{why}: {:#?}",
            verdict.integrity
        );
        assert!(verdict.integrity[0].records.is_some(), "{why}");
        verdict.integrity[0].kind
    };
    let count = lines.len();
    for a in 0..count {
        let mut changed = lines.clone();
        changed.remove(a);
        let kind = kind_of(&changed, &format!("without {a}"));
        assert_eq!(kind, FindingKind::SealedValueMissing);
        changed.truncate(a);
        let kind = kind_of(&changed, &format!("cut at {a}"));
        assert_eq!(kind, FindingKind::SealedValueMissing);
        for b in 0..count {
            let mut changed = lines.clone();
            changed.insert(b, lines[a].clone());
            let kind = kind_of(&changed, &format!("{a} again at {b}"));
            let twice = [
                FindingKind::DuplicateRecord,
                FindingKind::SealedValueMismatch,
            ];
            assert!(twice.contains(&kind), "{a} again at {b}: {kind}");
            if a < b {
                let mut changed = lines.clone();
                changed.swap(a, b);
                let kind = kind_of(&changed, &format!("{a} and {b} swapped"));
                assert_eq!(kind, FindingKind::OutOfOrder, "{a} and {b} swapped");
            }
        }
        for said in 0..20 {
            let own = a / 2 + 2;
            let mut changed = lines.clone();
            let number = |number| format!("\"sequence_number\":{number},");
            changed[a] = lines[a].replace(&number(own), &number(said));
            if said != own {
                let kind = kind_of(&changed, &format!("line {a} says {said}"));
                assert_eq!(kind, FindingKind::SealedValueMismatch);
            }
        }
    }
}

#[test]
fn disclosures_of_another_log_are_one_finding() {
    let (leaves, lines) = all_sealed();
    let tenant = format!("\"{TENANT}\"");
    let of_tenant = |line: &String| line.replace(&tenant, "\"beta\"");
    // Some subjects and numbers are those of this log, others are not.
    let of_ledger = |line: &String| {
        let other = line.replace("/actor/name", "/actor/email");
        other.replace(&format!("{:032x}", 1), &format!("{:032x}", 9))
    };
    let all: [Vec<String>; 3] = [
        lines.iter().map(of_tenant).collect(),
        lines.iter().map(of_ledger).collect(),
        lines.iter().skip(3).map(of_ledger).collect(),
    ];
    for lines in all {
        let verdict = disclosed_in_step(&leaves, &lines);
        let all = Span::new(0, LAST as u64);
        only(&verdict, FindingKind::SealedValueMismatch, all);
        assert!(verdict.integrity[0].message.contains("another log"));
    }
}

#[test]
fn lines_that_cannot_be_read_explain_the_values_that_are_missing() {
    let (leaves, lines) = all_sealed();
    let place = || indelible_proof::finding::Place {
        file: "x.disclosures".to_owned(),
        bytes: 5..9,
    };
    for (gone, between, span) in [
        (4..6, Span::new(3, 5), Span::new(4, 4)),
        (
            4..lines.len(),
            Span::new(3, u64::MAX),
            Span::new(4, LAST as u64),
        ),
        (
            0..lines.len(),
            Span::new(0, u64::MAX),
            Span::new(2, LAST as u64),
        ),
        (0..0, Span::new(3, 4), Span::new(3, 4)),
    ] {
        let mut verifier = LogVerifier::new(TENANT);
        verifier.expect_disclosures();
        for (number, line) in lines.iter().enumerate() {
            if !gone.contains(&number) {
                let line = DisclosureLine::parse(line.as_bytes()).unwrap();
                assert!(verifier.disclosures(line));
            }
        }
        for leaf in &leaves {
            verifier.push(leaf);
        }
        verifier.unreadable_disclosures(between, place(), "these lines are none");
        let verdict = verifier.finish();
        only(&verdict, FindingKind::Corrupt, span);
        let notes = &verdict.integrity[0].notes;
        assert_eq!(notes.len(), usize::from(!gone.is_empty()), "{notes:?}");
    }
}

/// Lines that are no records, as a line feed that was changed or put somewhere leaves them.
#[test]
fn lines_that_are_no_records_are_one_finding() {
    let leaves = log(COUNT as u64);
    let checked = |changed: &[Vec<u8>]| verify(changed, &Evidence::at(&leaves, &[COUNT]));
    for (there, note) in [
        (1, "1 line there that is no record"),
        (2, "2 lines there that are no records"),
    ] {
        let mut lost = leaves.clone();
        lost.splice(3..6, vec![b"x".to_vec(); there]);
        let found = checked(&lost).integrity;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].notes.contains(&note.to_owned()), "{found:#?}");
    }
    for number in 0..COUNT {
        let half = leaves[number].len() / 2;
        let mut split = leaves.clone();
        let rest = split[number].split_off(half);
        split.insert(number + 1, rest);
        let verdict = checked(&split);
        assert_eq!(
            verdict.integrity.len(),
            1,
            "{number}: {:#?}",
            verdict.integrity
        );
        let mut cut = leaves[..=number].to_vec();
        cut[number].truncate(half);
        let verdict = checked(&cut);
        assert_eq!(
            verdict.integrity.len(),
            1,
            "{number}: {:#?}",
            verdict.integrity
        );
        if number < LAST {
            let kind = verdict.integrity[0].kind;
            assert_eq!(kind, FindingKind::TruncatedTail);
            let mut joined = leaves.clone();
            let next = joined.remove(number + 1);
            joined[number].extend(next);
            let verdict = checked(&joined);
            assert_eq!(
                verdict.integrity.len(),
                1,
                "{number}: {:#?}",
                verdict.integrity
            );
        }
    }
}
