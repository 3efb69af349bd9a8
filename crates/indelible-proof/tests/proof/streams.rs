//! Completeness: the words, and that no verdict is better than the truth.

use std::collections::BTreeSet;

use indelible_proof::finding::Span;
use indelible_proof::stream::{Completeness, Statement, StreamTail, StreamVerdict, Streams};
use indelible_proof::tail::Claim;
use proptest::prelude::*;
use serde_json::json;

use crate::forge::{Draft, Evidence, claim, clean, draft, drafts, link, statement, verify};

/// One thing that a log holds about streams.
#[derive(Debug, Clone)]
enum Entry {
    Number(u64),
    Said(String, String),
}

fn said(event_type: &str, epoch: u64, rest: &str) -> Entry {
    let data = format!(r#"{{"epoch":{epoch},{rest}"stream":"web"}}"#);
    Entry::Said(event_type.to_owned(), data)
}

fn take(streams: &mut Streams, epoch: u64, entry: &Entry, heard: &str) -> bool {
    match entry {
        Entry::Number(number) => {
            let id = streams.locate(&Claim {
                id: "web",
                epoch,
                number: *number,
            });
            streams.claim(id, *number, heard)
        }
        Entry::Said(event_type, data) => {
            let event = format!(r#"{{"data":{data},"event_type":"{event_type}"}}"#);
            streams.state(Statement::parse(event.as_bytes()).unwrap(), heard);
            true
        }
    }
}

fn words(entries: &[Entry]) -> String {
    let mut streams = Streams::new();
    for entry in entries {
        take(&mut streams, 7, entry, "T");
    }
    streams.verdicts()[0].to_string()
}

#[test]
fn every_word() {
    use Entry::Number as N;
    let opened = || said("stream.opened", 7, "");
    let ended = |next| said("stream.ended", 7, &format!(r#""next_number":{next},"#));
    let lost = |rest: &str| said("stream.lost", 7, rest);
    assert_eq!(words(&[opened()]), "open to nothing, last heard T");
    assert_eq!(
        words(&[opened(), ended(0)]),
        "complete to nothing (clean end)"
    );
    assert_eq!(words(&[opened(), N(0), N(1)]), "open to 1, last heard T");
    assert_eq!(words(&[N(1), ended(2), N(0)]), "complete to 1 (clean end)");
    assert_eq!(
        words(&[N(0), N(2)]),
        "undeclared gap (1, 1) · open to 2, last heard T"
    );
    assert_eq!(words(&[N(0), ended(4)]), "undeclared gap (3, 1 to 3)");
    let full = r#""first":1,"last":2,"reason":"queue full","#;
    assert_eq!(
        words(&[N(0), lost(full), N(3), ended(4)]),
        "declared loss (2, queue full)"
    );
    let count = r#""count":2,"first":1,"reason":"queue full","#;
    assert_eq!(
        words(&[N(0), lost(count), N(3), ended(4)]),
        "declared loss (2, queue full)"
    );
    assert_eq!(
        words(&[N(0), lost(full)]),
        "declared loss (2, queue full) · open to 2, last heard T"
    );
    assert_eq!(
        words(&[N(0), lost(full), N(5)]),
        "undeclared gap (2, 3 to 4) · declared loss (2, queue full) · open to 5, last heard T"
    );
    // What was declared lost and came after all is not lost.
    assert_eq!(
        words(&[N(0), lost(full), N(1), N(2), ended(3)]),
        "complete to 2 (clean end)"
    );
    let covered = said("stream.coverage", 7, r#""ranges":[[0,4],[6,6]],"#);
    assert_eq!(
        words(&[covered.clone(), N(5), ended(7)]),
        "complete to 6 (clean end)"
    );
    assert_eq!(words(&[covered, ended(7)]), "undeclared gap (1, 5)");
}

#[test]
fn numbers_lost_for_different_reasons_keep_each_its_own() {
    let lost = |first: u64, last: u64, reason: &str| {
        let data = format!(r#""first":{first},"last":{last},"reason":"{reason}","#);
        said("stream.lost", 7, &data)
    };
    let told = |entries: &[Entry]| {
        let mut streams = Streams::new();
        for entry in entries {
            take(&mut streams, 7, entry, "T");
        }
        let ended = said("stream.ended", 7, r#""next_number":100,"#);
        take(&mut streams, 7, &ended, "T");
        let verdict = serde_json::to_value(&streams.verdicts()[0]).unwrap();
        (verdict["verdict"].clone(), verdict["lost"].clone())
    };
    // Ranges that touch, in either order.
    let touching = [lost(0, 2, "sampled: one in 4"), lost(3, 99, "queue full")];
    let words = "declared loss (100: 3 sampled: one in 4, 97 queue full)";
    let ranges = json!([[0, 2, "sampled: one in 4"], [3, 99, "queue full"]]);
    assert_eq!(told(&touching), (json!(words), ranges.clone()));
    let [a, b] = touching;
    assert_eq!(told(&[b, a]), (json!(words), ranges));
    // Ranges that overlap: who declared first keeps the numbers. What arrived is nobody's.
    let middle = [
        lost(10, 19, "refused"),
        lost(0, 99, "queue full"),
        Entry::Number(15),
    ];
    assert_eq!(
        told(&middle),
        (
            json!("declared loss (99: 90 queue full, 9 refused)"),
            json!([
                [0, 9, "queue full"],
                [10, 14, "refused"],
                [16, 19, "refused"],
                [20, 99, "queue full"]
            ])
        )
    );
    // Of one reason it is one range, in whatever pieces it was said.
    let pieces = [lost(50, 99, "queue full"), lost(0, 60, "queue full")];
    assert_eq!(
        told(&pieces),
        (
            json!("declared loss (100, queue full)"),
            json!([[0, 99, "queue full"]])
        )
    );
}

#[test]
fn an_end_that_is_contradicted_is_not_clean() {
    use Entry::Number as N;
    let ended = |next| said("stream.ended", 7, &format!(r#""next_number":{next},"#));
    let unclean = "ended unclean after 1 (tail unknown)";
    assert_eq!(words(&[N(0), ended(1), N(1)]), unclean);
    assert_eq!(words(&[N(0), N(1), ended(1), ended(2)]), unclean);
    // Said twice in the same words, as after a retry, it is not contradicted.
    assert_eq!(
        words(&[N(0), ended(1), ended(1)]),
        "complete to 0 (clean end)"
    );
}

#[test]
fn a_later_epoch_shows_that_the_one_before_broke_off() {
    let mut streams = Streams::new();
    for (epoch, number) in [(7, 0), (7, 1), (9, 0), (8, 0), (7, 2)] {
        assert!(take(&mut streams, epoch, &Entry::Number(number), "T"));
    }
    let verdicts: Vec<_> = streams.verdicts().iter().map(ToString::to_string).collect();
    assert_eq!(
        verdicts,
        [
            "ended unclean after 2 (tail unknown)",
            "ended unclean after 0 (tail unknown)",
            "open to 0, last heard T",
        ]
    );
}

#[test]
fn records_without_a_claim_are_said_to_be_unnumbered() {
    let mut drafts = drafts(4);
    drafts[2].ledger = r#"{"via":"http"}"#.to_owned();
    drafts[3].ledger = claim("web", 7, 1);
    let verdict = verify(&link(&drafts), &Evidence::default());
    clean(&verdict);
    let said: Vec<_> = verdict
        .completeness
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(said[0], format!("open to 1, last heard {}", drafts[3].time));
    assert_eq!(said[1], "unnumbered (no claim)");
    assert_eq!(verdict.completeness[1].records, 1);
}

#[test]
fn statements_that_are_not_of_their_shape_say_nothing() {
    for (event_type, data) in [
        ("stream.ended", r#"{"epoch":7,"stream":"web"}"#),
        (
            "stream.ended",
            r#"{"epoch":"7","next_number":1,"stream":"web"}"#,
        ),
        (
            "stream.lost",
            r#"{"epoch":7,"first":3,"last":2,"stream":"web"}"#,
        ),
        (
            "stream.lost",
            r#"{"count":1,"epoch":7,"first":3,"last":3,"stream":"web"}"#,
        ),
        (
            "stream.lost",
            r#"{"count":0,"epoch":7,"first":3,"stream":"web"}"#,
        ),
        (
            "stream.coverage",
            r#"{"epoch":7,"ranges":[[2,1]],"stream":"web"}"#,
        ),
        ("stream.other", r#"{"epoch":7,"stream":"web"}"#),
        (
            "user.login",
            r#"{"epoch":7,"next_number":1,"stream":"web"}"#,
        ),
    ] {
        let event = format!(r#"{{"data":{data},"event_type":"{event_type}"}}"#);
        assert_eq!(Statement::parse(event.as_bytes()), None, "{event}");
    }
    // A producer's event that only looks like a statement is not taken for one.
    let mut drafts = drafts(3);
    let nested = statement(
        1,
        "user.note",
        r#"{"event_type":"stream.ended","next_number":1}"#,
    );
    drafts[1].event = nested.event;
    let verdict = verify(&link(&drafts), &Evidence::default());
    assert_eq!(verdict.completeness[0].completeness(), Completeness::Open);
}

#[test]
fn an_altered_claim_is_not_believed() {
    let truth = link(&drafts(5));
    let mut leaves = truth.clone();
    let text = String::from_utf8(leaves[2].clone()).unwrap();
    leaves[2] = text.replace("\"number\":1", "\"number\":9").into_bytes();
    let verdict = verify(&leaves, &Evidence::at(&truth, &[5]));
    assert_eq!(verdict.integrity.len(), 1);
    assert_eq!(verdict.completeness[0].gaps, [Span::one(1)]);
    assert_eq!(verdict.completeness[0].last, Some(3));
}

/// How an epoch really went.
#[derive(Debug, Clone)]
struct Truth {
    /// Per number given out: 0 committed, 1 lost and declared, 2 lost in silence.
    fates: Vec<u8>,
    /// 0 runs on, 1 ended cleanly, 2 broke off.
    end: u8,
    /// Numbers below are pruned after their coverage was stated.
    pruned: u64,
    /// How the order of arrival is mixed.
    mix: Vec<prop::sample::Index>,
}

fn truth() -> impl Strategy<Value = Truth> {
    let fates = prop::collection::vec(
        prop_oneof![6 => Just(0_u8), 1 => Just(1), 1 => Just(2)],
        0..24,
    );
    let mix = prop::collection::vec(any::<prop::sample::Index>(), 0..12);
    (fates, 0..3_u8, 0..10_u64, mix).prop_map(|(fates, end, pruned, mix)| Truth {
        fates,
        end,
        pruned,
        mix,
    })
}

impl Truth {
    fn numbers(&self, fate: u8) -> BTreeSet<u64> {
        (0..)
            .zip(&self.fates)
            .filter(|(_, f)| **f == fate)
            .map(|(n, _)| n)
            .collect()
    }

    /// What stands in the log: coverage of the pruned part, then the rest in mixed order.
    fn entries(&self) -> Vec<Entry> {
        let committed = self.numbers(0);
        let pruned = |n: &u64| *n < self.pruned;
        let ranges: Vec<String> = committed
            .iter()
            .filter(|n| pruned(n))
            .map(|n| format!("[{n},{n}]"))
            .collect();
        let mut rest: Vec<Entry> = committed
            .iter()
            .filter(|n| !pruned(n))
            .map(|n| Entry::Number(*n))
            .collect();
        for n in self.numbers(1) {
            rest.push(said(
                "stream.lost",
                7,
                &format!(r#""count":1,"first":{n},"reason":"full","#),
            ));
        }
        if self.end == 1 {
            let next = self.fates.len();
            rest.push(said(
                "stream.ended",
                7,
                &format!(r#""next_number":{next},"#),
            ));
        }
        for (at, with) in self.mix.iter().enumerate() {
            if !rest.is_empty() {
                let (a, b) = (at % rest.len(), with.index(rest.len()));
                rest.swap(a, b);
            }
        }
        let covered = format!(r#""ranges":[{}],"#, ranges.join(","));
        let mut entries = vec![
            said("stream.opened", 7, ""),
            said("stream.coverage", 7, &covered),
        ];
        entries.extend(rest);
        entries
    }
}

fn numbers(spans: impl IntoIterator<Item = Span>) -> BTreeSet<u64> {
    spans
        .into_iter()
        .flat_map(|span| span.first..=span.last)
        .collect()
}

/// Checks one verdict against what really happened up to `heard` entries of the log.
fn never_better(
    truth: &Truth,
    verdict: &StreamVerdict,
    all_heard: bool,
) -> Result<(), TestCaseError> {
    let (committed, declared, silent) = (truth.numbers(0), truth.numbers(1), truth.numbers(2));
    let given = truth.fates.len() as u64;
    let gaps = numbers(verdict.gaps.iter().copied());
    let lost = numbers(verdict.lost.iter().map(|loss| loss.span));
    let upto = verdict.last.map_or(0, |last| last + 1);
    // Every number it vouches for was given out, and is committed unless it says otherwise.
    prop_assert!(upto <= given);
    for number in 0..upto {
        if !gaps.contains(&number) && !lost.contains(&number) {
            prop_assert!(
                committed.contains(&number),
                "{number} is not there: {verdict}"
            );
        }
    }
    prop_assert!(lost.is_subset(&declared));
    if verdict.tail == StreamTail::CleanEnd {
        prop_assert!(truth.end == 1);
        prop_assert_eq!(upto, given);
    }
    if all_heard {
        prop_assert!(gaps.is_subset(&silent));
        if truth.end == 1 {
            // A clean end tells the whole truth.
            prop_assert_eq!(gaps, silent.clone());
            prop_assert_eq!(lost, declared.clone());
            prop_assert_eq!(&verdict.tail, &StreamTail::CleanEnd);
            let word = match (silent.is_empty(), declared.is_empty()) {
                (false, _) => Completeness::UndeclaredGap,
                (true, false) => Completeness::DeclaredLoss,
                (true, true) => Completeness::Complete,
            };
            prop_assert_eq!(verdict.completeness(), word);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_verdict_is_better_than_the_truth(truth in truth(), cut in any::<prop::sample::Index>()) {
        let entries = truth.entries();
        // Cut anywhere: what has not arrived yet is not there either.
        let cut = cut.index(entries.len() + 1);
        for heard in [cut, entries.len()] {
            let mut streams = Streams::new();
            for entry in &entries[..heard] {
                prop_assert!(take(&mut streams, 7, entry, "T"), "no number comes twice");
            }
            for verdict in streams.verdicts() {
                never_better(&truth, &verdict, heard == entries.len())?;
            }
        }
    }

    #[test]
    fn a_broken_off_epoch_is_never_called_open_or_complete(truth in truth()) {
        let mut streams = Streams::new();
        for entry in truth.entries() {
            prop_assert!(take(&mut streams, 7, &entry, "T"));
        }
        prop_assert!(take(&mut streams, 8, &Entry::Number(0), "T"));
        let verdict = &streams.verdicts()[0];
        let expected = if truth.end == 1 { StreamTail::CleanEnd } else { StreamTail::Unclean };
        prop_assert_eq!(&verdict.tail, &expected);
        never_better(&truth, verdict, true)?;
    }
}

/// A number that was declared lost and came after all, such as a dead letter that was sent again:
/// deleting its record must not look like the loss that was declared before.
#[test]
fn no_declared_loss_explains_a_record_that_was_taken_away() {
    let with = |n: u64, ledger: String| Draft { ledger, ..draft(n) };
    let lost = r#"{"count":1,"epoch":7,"first":1,"reason":"given up","stream":"web"}"#;
    let ended = r#"{"epoch":7,"next_number":2,"stream":"web"}"#;
    let whole = link(&[
        draft(0),
        with(1, claim("web", 7, 0)),
        statement(2, "stream.lost", lost),
        with(3, claim("web", 7, 1)),
        statement(4, "stream.ended", ended),
    ]);
    let word = |leaves: &[Vec<u8>]| {
        let verdict = verify(leaves, &Evidence::default());
        verdict.completeness[0].to_string()
    };
    assert_eq!(word(&whole), "complete to 1 (clean end)");
    let without = |number: usize| {
        let mut leaves = whole.clone();
        leaves.remove(number);
        word(&leaves)
    };
    assert_eq!(without(3), "undeclared gap (1, 1)");
    // Whatever is missing, it may have been that number.
    let mut never_came = whole.clone();
    never_came.truncate(3);
    assert!(word(&never_came).starts_with("declared loss (1, given up)"));
    never_came.remove(1);
    assert!(word(&never_came).starts_with("undeclared gap (2, 0 to 1)"));
}
