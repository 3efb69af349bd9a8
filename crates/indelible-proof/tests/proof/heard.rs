//! Streams heard record by record and kept in between: the same verdicts as the verifier's.

use indelible_proof::finding::Span;
use indelible_proof::limits::{STREAM_CREDENTIALS_MAX, STREAMS_BYTES_MAX};
use indelible_proof::stream::{Figures, Streams, Uncovered};
use indelible_proof::verify::LogVerifier;
use proptest::prelude::*;
use serde_json::Value;

use crate::forge::{Draft, TENANT, claim, draft, link, statement, time};

/// Hears a log, written and read back before the records `again` names.
fn heard(leaves: &[Vec<u8>], again: impl Fn(usize) -> bool) -> Streams {
    let mut streams = Streams::new();
    for (at, leaf) in leaves.iter().enumerate() {
        if again(at) {
            let text = serde_json::to_string(&streams).unwrap();
            streams = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&streams).unwrap(), text);
        }
        assert!(streams.hear(leaf));
    }
    streams
}

fn verified(tenant: &str, leaves: &[Vec<u8>]) -> Vec<indelible_proof::stream::StreamVerdict> {
    let mut verifier = LogVerifier::new(tenant);
    for leaf in leaves {
        verifier.push(leaf);
    }
    verifier.finish().completeness
}

#[test]
fn the_vectors_are_heard_as_they_are_verified() {
    let vectors = include_str!("../../../../spec/vectors/stream.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let leaves = case["leaves"].as_array().unwrap().iter();
        let leaves: Vec<Vec<u8>> = leaves
            .map(|leaf| leaf.as_str().unwrap().as_bytes().to_vec())
            .collect();
        let verdicts = heard(&leaves, |_| true).verdicts();
        assert_eq!(verdicts, verified(TENANT, &leaves), "{}", case["name"]);
        let said: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
        let said = serde_json::to_value(said).unwrap();
        assert_eq!(said, case["verdicts"], "{}", case["name"]);
    }
}

fn with_ledger(n: u64, ledger: String) -> Draft {
    Draft { ledger, ..draft(n) }
}

fn submitted(number: u64, by: &str) -> String {
    format!(r#"{{"stream":{{"epoch":7,"id":"web","number":{number}}},"submitted_by":"{by}"}}"#)
}

#[test]
fn what_is_kept_has_a_form_of_its_own() {
    let leaves = link(&[
        draft(0),
        with_ledger(1, submitted(0, "key:a")),
        with_ledger(2, submitted(2, "key:b")),
        statement(
            3,
            "stream.lost",
            r#"{"count":1,"epoch":7,"first":1,"reason":"full","stream":"web"}"#,
        ),
        statement(
            4,
            "stream.coverage",
            r#"{"epoch":7,"ranges":[[0,0],[2,2]],"stream":"web"}"#,
        ),
        with_ledger(5, "{}".to_owned()),
    ]);
    let streams = heard(&leaves, |_| false);
    assert_eq!(
        serde_json::to_string(&streams).unwrap(),
        concat!(
            r#"{"epochs":[{"stream":"web","epoch":7,"seen":[[0,0],[2,2]],"covered":[[0,0],[2,2]],"#,
            r#""lost":[[1,1]],"losses":[[1,1,"full"]],"records":2,"opened":false,"ended":null,"#,
            r#""ended_twice":false,"limited":false,"cut":false,"#,
            r#""last_heard":"2026-01-02T00:00:04.000004Z","#,
            r#""stated_at":"2026-01-02T00:00:04.000004Z","credentials":["key:a","key:b",""]}],"#,
            r#""unfollowed":0,"unnumbered":1,"unnumbered_heard":"2026-01-02T00:00:05.000005Z"}"#,
        )
    );
    assert_eq!(streams.credentials("web", 7), ["key:a", "key:b", ""]);
    assert!(streams.credentials("web", 8).is_empty());
    assert_eq!(
        streams.received("web", 7, Span::new(0, 9)),
        [Span::one(0), Span::one(2)]
    );
    let figures = Figures {
        received: 2,
        lost: 1,
        missing: 0,
        unclean: 0,
    };
    assert_eq!(streams.figures(), figures);
    for bad in [
        r#""seen":[[2,2],[0,0]]"#,
        r#""seen":[[1,0]]"#,
        r#""seen":[[0,-1]]"#,
        r#""more":1"#,
    ] {
        let text = serde_json::to_string(&streams).unwrap();
        let text = text.replace(r#""seen":[[0,0],[2,2]]"#, bad);
        assert!(serde_json::from_str::<Streams>(&text).is_err(), "{bad}");
    }
}

#[test]
fn what_is_not_covered_is_stated_once_a_day() {
    let mut drafts = vec![draft(0)];
    for (n, number) in [(1, 0), (2, 1), (3, 5)] {
        drafts.push(with_ledger(n, claim("web", 7, number)));
    }
    let uncovered = |drafts: &[Draft], day| heard(&link(drafts), |_| false).uncovered(day);
    let stated = |ranges: &[Span]| {
        vec![Uncovered {
            stream: "web".to_owned(),
            epoch: 7,
            ranges: ranges.to_vec(),
        }]
    };
    // On its first day an epoch is not stated, on the next it is.
    assert_eq!(uncovered(&drafts, Some("2026-01-02")), []);
    let all = [Span::new(0, 1), Span::one(5)];
    assert_eq!(uncovered(&drafts, Some("2026-01-03")), stated(&all));
    let mut covered = statement(
        4,
        "stream.coverage",
        r#"{"epoch":7,"ranges":[[0,1],[5,5]],"stream":"web"}"#,
    );
    covered.time = time(4).replace("01-02", "01-03");
    drafts.push(covered);
    assert_eq!(uncovered(&drafts, Some("2026-01-09")), [], "nothing is new");
    let mut next = with_ledger(5, claim("web", 7, 6));
    next.time = time(5).replace("01-02", "01-03");
    drafts.push(next);
    assert_eq!(uncovered(&drafts, None), stated(&[Span::new(5, 6)]));
    assert_eq!(uncovered(&drafts, Some("2026-01-03")), [], "not twice");
    let later = uncovered(&drafts, Some("2026-01-04"));
    assert_eq!(later, stated(&[Span::new(5, 6)]));
}

#[test]
fn what_producers_say_cannot_grow_without_bound() {
    let mut streams = Streams::new();
    let reason = "r".repeat(30_000);
    let mut n = 0;
    let mut hear = |n: u64, ledger: &str, data: &str| {
        let said = statement(n, "stream.lost", data);
        let leaf = &link(&[Draft {
            ledger: ledger.to_owned(),
            ..said
        }])[0];
        assert!(streams.hear(leaf));
    };
    // Losses with long reasons, of ever new streams, by ever new credentials.
    for _ in 0..600 {
        n += 1;
        let data =
            format!(r#"{{"count":1,"epoch":{n},"first":{n},"reason":"{reason}","stream":"web"}}"#);
        hear(n, "{}", &data);
    }
    for by in 0..20 {
        let data = r#"{"count":1,"epoch":1,"first":9,"reason":"r","stream":"web"}"#;
        hear(n, &format!(r#"{{"submitted_by":"key:{by}"}}"#), data);
    }
    let written = serde_json::to_string(&streams).unwrap().len();
    assert!(written < STREAMS_BYTES_MAX + 1_000, "{written}");
    assert!(written > STREAMS_BYTES_MAX / 2, "{written}");
    let known = streams.credentials("web", 1).len();
    assert!(known <= STREAM_CREDENTIALS_MAX, "{known}");
    let text = serde_json::to_string(&streams).unwrap();
    let again: Streams = serde_json::from_str(&text).unwrap();
    assert_eq!(again.verdicts(), streams.verdicts());
    assert!(streams.verdicts().iter().any(|verdict| verdict.limited));
}

/// A record about one of two streams and three epochs, or of none.
fn about_streams() -> impl Strategy<Value = (u8, u8, u64, u64)> {
    (0..8_u8, 0..2_u8, 6..9_u64, 0..12_u64)
}

fn record(n: u64, (kind, stream, epoch, number): (u8, u8, u64, u64)) -> Draft {
    let name = ["web", "job"][usize::from(stream)];
    let said = |event_type: &str, rest: &str| {
        let data = format!(r#"{{"epoch":{epoch},{rest}"stream":"{name}"}}"#);
        statement(n, event_type, &data)
    };
    match kind {
        0 => with_ledger(n, "{}".to_owned()),
        1 => said("stream.opened", ""),
        2 => said(
            "stream.lost",
            &format!(r#""count":2,"first":{number},"reason":"r{number}","#),
        ),
        3 => said("stream.ended", &format!(r#""next_number":{number},"#)),
        4 => said(
            "stream.coverage",
            &format!(r#""ranges":[[{number},{}]],"#, number + 1),
        ),
        5 if number == 0 => statement(n, "log.recovered", r#"{"incarnation":2,"missing":null}"#),
        _ => with_ledger(n, claim(name, epoch, number)),
    }
}

proptest! {
    #[test]
    fn any_log_is_heard_as_it_is_verified(
        records in prop::collection::vec(about_streams(), 0..40), every in 1..9_usize,
    ) {
        let mut drafts = vec![draft(0)];
        drafts.extend((1..).zip(records).map(|(n, about)| record(n, about)));
        let leaves = link(&drafts);
        let verdicts = heard(&leaves, |at| at % every == 0).verdicts();
        prop_assert_eq!(verdicts, verified(TENANT, &leaves));
    }
}
