//! Claims, statements, and the books of streams: as a fresh verification has it, whatever happened.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use indelible_event::{LeafView, Ledger as LedgerObject, LedgerFlag, StreamClaim};
use indelible_log::recover::recover;
use indelible_log::streams::Progress;
use indelible_log::verify::{Anchors, verify_log};
use indelible_log::{Log, Outcome, Submission};
use indelible_proof::stream::StreamVerdict;
use indelible_store::{Change, Ledger, State, Stored};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{World, event, submission, tenant};

const DAY_MICROS: i64 = 86_400_000_000;

/// An event as an emitter sends it.
fn claimed(n: u64, epoch: u64, number: u64) -> Submission {
    let claim = format!(r#"{{"_stream":{{"epoch":{epoch},"id":"web","number":{number}}},"#);
    let event = [claim.as_bytes(), &event(n, "x")[1..]].concat();
    submission("acme", event)
}

fn statement(n: u64, event_type: &str, data: &Value) -> Submission {
    let mut event: Value = serde_json::from_slice(&event(n, "x")).unwrap();
    event["data"] = data.clone();
    event["event_type"] = json!(event_type);
    event["actor"] = json!({"id": "web-1", "type": "service"});
    submission("acme", event.to_string().into_bytes())
}

fn lost(n: u64, first: u64, last: u64) -> Submission {
    let data = json!({
        "epoch": 7, "first": first, "last": last, "reason": "queue full", "stream": "web",
    });
    statement(n, "stream.lost", &data)
}

fn one(log: &Log, submission: Submission) -> Outcome {
    log.submit(vec![submission]).wait().pop().unwrap()
}

#[track_caller]
fn refused(outcome: Outcome) -> Vec<(String, String)> {
    let Outcome::Refused(problems) = outcome else {
        panic!("{outcome:?}");
    };
    let place = |p: indelible_event::Problem| (p.pointer, p.code.to_string());
    problems.into_iter().map(place).collect()
}

#[track_caller]
fn new(outcome: Outcome) -> indelible_proof::receipt::Receipt {
    match outcome {
        Outcome::New(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

fn verified(world: &World) -> Vec<StreamVerdict> {
    let (stores, keyring) = (world.stores(), world.keyring());
    let go_on = &mut |_: u64, _: &[u8]| ControlFlow::Continue(());
    let anchors = Anchors::default();
    let verdict = verify_log(&stores, &keyring, &tenant("acme"), &anchors, go_on).unwrap();
    verdict.completeness
}

fn looked(log: &Log) -> Vec<StreamVerdict> {
    let (known, progress) = log.books().look(&tenant("acme"), 99).unwrap();
    assert_eq!(progress.behind, 0);
    known.into_iter().map(|known| known.verdict).collect()
}

fn words(verdicts: &[StreamVerdict]) -> Vec<String> {
    verdicts.iter().map(ToString::to_string).collect()
}

/// The events and ledger objects of acme's log.
fn records(world: &World) -> Vec<(Value, LedgerObject)> {
    let mut records = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        if let Stored::Record(record) = stored {
            let leaf = LeafView::parse(record.leaf).unwrap();
            let event = serde_json::from_slice(leaf.event()).unwrap();
            records.push((event, LedgerObject::parse(leaf.ledger()).unwrap()));
        }
        ControlFlow::Continue(())
    };
    let ledger = &world.ledger;
    ledger.read(&tenant("acme"), 0..u64::MAX, visit).unwrap();
    records
}

#[test]
fn a_claim_goes_beside_the_event_and_a_repeat_gets_the_first_receipt() {
    let world = World::new(1);
    let log = world.open();
    let first = new(one(&log, claimed(0, 7, 0)));
    // The same event claims another place, or none, or says it elsewhere.
    let elsewhere = {
        let mut event: Value = serde_json::from_slice(&event(0, "x")).unwrap();
        event["\u{5f}stream"] = json!({"epoch": 7, "id": "web", "number": 3});
        let text = serde_json::to_string_pretty(&event).unwrap();
        submission(
            "acme",
            text.replace("_stream", "\\u005fstream").into_bytes(),
        )
    };
    let apart = Submission {
        stream: Some(StreamClaim {
            epoch: 7,
            id: "web".to_owned(),
            number: 4,
        }),
        ..submission("acme", event(0, "x"))
    };
    for (again, other) in [
        (claimed(0, 7, 0), false),
        (claimed(0, 9, 9), true),
        (submission("acme", event(0, "x")), true),
        (elsewhere, true),
        (apart, true),
    ] {
        let Outcome::Repeat {
            receipt,
            other_claim,
        } = one(&log, again)
        else {
            panic!("no repeat");
        };
        assert_eq!((receipt, other_claim), (first.clone(), other));
    }
    drop(log);
    let records = records(&world);
    assert_eq!(records.len(), 2);
    let (event, ledger) = &records[1];
    assert!(event.get("_stream").is_none());
    let claim = StreamClaim {
        epoch: 7,
        id: "web".to_owned(),
        number: 0,
    };
    assert_eq!(ledger.stream, Some(claim));
}

#[test]
fn a_bad_claim_is_named_and_its_neighbours_are_unharmed() {
    let world = World::new(2);
    let log = world.open();
    let with = |claim: &str| {
        let event = event(50, "x");
        let text = [br#"{"_stream":"#, claim.as_bytes(), b",", &event[1..]].concat();
        submission("acme", text)
    };
    let good = r#"{"epoch":7,"id":"web","number":1}"#;
    let outcomes = log
        .submit(vec![
            claimed(0, 7, 0),
            with(r#"{"epoch":7,"id":"web","number":-1}"#),
            with(r#"{"epoch":7,"id":"web","number":1,"x":2}"#),
            with(r#"{"epoch":7,"id":"","number":1}"#),
            with("[]"),
            with(&format!(r#"{good},"_stream":{good}"#)),
            claimed(1, 7, 1),
        ])
        .wait();
    let mut outcomes = outcomes.into_iter();
    new(outcomes.next().unwrap());
    for place in [
        ("/_stream/number", "out-of-range"),
        ("/_stream/x", "unknown-word"),
        ("/_stream/id", "required-missing"),
        ("/_stream", "wrong-type"),
        ("/_stream", "duplicate-key"),
    ] {
        let (pointer, code) = place;
        let places = refused(outcomes.next().unwrap());
        assert_eq!(places, [(pointer.to_owned(), code.to_owned())]);
    }
    new(outcomes.next().unwrap());
    // A claim without an id, and one that came apart as well.
    let mut nameless: Value = serde_json::from_slice(&event(60, "x")).unwrap();
    nameless.as_object_mut().unwrap().remove("audit_id");
    nameless["_stream"] = json!({"epoch": 7, "id": "web", "number": 9});
    let nameless = submission("acme", nameless.to_string().into_bytes());
    let places = refused(one(&log, nameless));
    assert_eq!(
        places,
        [("/audit_id".to_owned(), "required-missing".to_owned())]
    );
    let twice = Submission {
        stream: Some(StreamClaim {
            epoch: 7,
            id: "web".to_owned(),
            number: 2,
        }),
        ..claimed(61, 7, 2)
    };
    assert_eq!(refused(one(&log, twice))[0].1, "duplicate-key");
    // Places are those of the bytes that were sent.
    let Submission { event, .. } = claimed(62, 7, 2);
    let text = String::from_utf8(event).unwrap();
    let text = text.replace("\"success\"", "\"done\"");
    let sent = submission("acme", text.clone().into_bytes());
    let Outcome::Refused(problems) = one(&log, sent) else {
        panic!("it was taken");
    };
    assert_eq!(&text[problems[0].offset.unwrap()..][..6], "\"done\"");
    assert_eq!(words(&looked(&log)).len(), 1);
    assert_eq!(looked(&log)[0].last, Some(1));
}

#[test]
fn statements_are_taken_and_held_against_what_is_there() {
    let world = World::new(3);
    let log = world.open();
    let opened = json!({"epoch": 7, "stream": "web"});
    new(one(&log, statement(0, "stream.opened", &opened)));
    for n in [0, 1, 4] {
        new(one(&log, claimed(10 + n, 7, n)));
    }
    let declared = new(one(&log, lost(20, 2, 3)));
    let places = refused(one(&log, lost(21, 3, 9)));
    let contradicted = [("/data/first".to_owned(), "stream-contradicted".to_owned())];
    assert_eq!(places, contradicted);
    let Outcome::Refused(problems) = one(&log, lost(22, 0, 9)) else {
        panic!("it was taken");
    };
    assert!(problems[0].message.contains("0 to 1, 4"), "{problems:?}");
    // Number 2 comes after all. The statement sent again is the one that was taken.
    new(one(&log, claimed(12, 7, 2)));
    match one(&log, lost(20, 2, 3)) {
        Outcome::Repeat { receipt, .. } => assert_eq!(receipt, declared),
        other => panic!("{other:?}"),
    }
    let verdicts = words(&looked(&log));
    assert!(
        verdicts[0].starts_with("declared loss (1, queue full) · open to 4"),
        "{verdicts:?}"
    );
    let ended = json!({"epoch": 7, "next_number": 5, "stream": "web"});
    let mut claims = statement(30, "stream.ended", &ended);
    claims.stream = Some(StreamClaim {
        epoch: 7,
        id: "web".to_owned(),
        number: 5,
    });
    let places = refused(one(&log, claims));
    assert_eq!(
        places,
        [("/_stream".to_owned(), "contradiction".to_owned())]
    );
    new(one(&log, statement(30, "stream.ended", &ended)));
    let coverage = json!({"epoch": 7, "ranges": [[0, 9]], "stream": "web"});
    let places = refused(one(&log, statement(31, "stream.coverage", &coverage)));
    assert_eq!(places[0].1, "reserved-type");
    let places = refused(one(&log, statement(32, "stream.ended", &opened)));
    assert_eq!(places[0].0, "/data/next_number");
    assert_eq!(words(&looked(&log)), ["declared loss (1, queue full)"]);
    drop(log);
    assert_eq!(words(&verified(&world)), ["declared loss (1, queue full)"]);
}

#[test]
fn who_spoke_for_a_stream_is_kept() {
    let world = World::new(4);
    let log = world.open();
    new(one(&log, claimed(0, 7, 0)));
    let other = Arc::new(indelible_log::Admission {
        submitted_by: Some("key:other".to_owned()),
        ..(*support::admission()).clone()
    });
    let by_other = |submission: Submission| Submission {
        admission: Arc::clone(&other),
        ..submission
    };
    new(one(&log, by_other(claimed(1, 7, 1))));
    new(one(&log, by_other(claimed(2, 8, 0))));
    new(one(&log, submission("acme", event(3, "x"))));
    let (known, _) = log.books().look(&tenant("acme"), 99).unwrap();
    let credentials: Vec<_> = known.iter().map(|k| k.credentials.clone()).collect();
    let expected = [vec!["test", "key:other"], vec!["key:other"], vec![]];
    assert_eq!(credentials, expected);
}

#[test]
fn coverage_is_stated_once_a_day_and_only_of_what_is_new() {
    let world = World::new(5);
    let log = world.open();
    let acme = tenant("acme");
    for n in [0, 1, 3] {
        new(one(&log, claimed(n, 7, n)));
    }
    assert_eq!(
        log.state_coverage(&acme).unwrap(),
        0,
        "not on its first day"
    );
    world.clock.0.fetch_add(DAY_MICROS, Ordering::SeqCst);
    assert_eq!(log.state_coverage(&acme).unwrap(), 1);
    assert_eq!(log.state_coverage(&acme).unwrap(), 0, "once");
    new(one(&log, claimed(4, 7, 4)));
    assert_eq!(log.state_coverage(&acme).unwrap(), 0, "once a day");
    world.clock.0.fetch_add(DAY_MICROS, Ordering::SeqCst);
    assert_eq!(log.state_coverage(&acme).unwrap(), 1);
    world.clock.0.fetch_add(DAY_MICROS, Ordering::SeqCst);
    assert_eq!(log.state_coverage(&acme).unwrap(), 0, "nothing is new");
    let verdicts = looked(&log);
    drop(log);
    let stated: Vec<Value> = records(&world)
        .into_iter()
        .filter(|(event, _)| event["event_type"] == "stream.coverage")
        .map(|(event, _)| event["data"]["ranges"].clone())
        .collect();
    assert_eq!(stated, [json!([[0, 1], [3, 3]]), json!([[3, 4]])]);
    assert_eq!(verdicts, verified(&world));
    // Another writer after a restart does not state it again.
    assert_eq!(world.open().state_coverage(&acme).unwrap(), 0);
}

#[test]
fn coverage_of_many_ranges_takes_several_records() {
    let world = World::new(6);
    let log = world.open();
    let acme = tenant("acme");
    let all = (0..2_500).map(|n| claimed(n, 7, n * 2));
    log.submit(all.collect()).wait();
    world.clock.0.fetch_add(DAY_MICROS, Ordering::SeqCst);
    let mut stated = 0;
    // It is stated when all is counted, which takes some turns.
    for _ in 0..9 {
        stated += log.state_coverage(&acme).unwrap();
    }
    assert_eq!(stated, 3);
    let (figures, open) = log.books().figures(&acme).unwrap();
    assert_eq!((figures.received, figures.missing), (2_500, 2_499));
    assert!(!open);
    drop(log);
    assert_eq!(verified(&world)[0].gaps.len(), 2_499);
}

#[test]
fn an_altered_record_counts_for_nothing_and_is_never_stated() {
    let world = World::new(7);
    let log = world.open();
    for n in 0..4 {
        new(one(&log, claimed(n, 7, n)));
    }
    *world.ledger.altered.lock().unwrap() = Some(2);
    let (known, progress) = log.books().look(&tenant("acme"), 99).unwrap();
    assert_eq!((progress.counted, progress.behind), (5, 0));
    assert!(
        known[0]
            .verdict
            .to_string()
            .starts_with("undeclared gap (1, 1)")
    );
    // So does the last one, of which only the head speaks.
    *world.ledger.altered.lock().unwrap() = Some(5);
    new(one(&log, claimed(9, 7, 4)));
    let (known, _) = log.books().look(&tenant("acme"), 99).unwrap();
    assert_eq!(known[0].verdict.last, Some(3));
}

#[test]
fn a_book_does_not_outlive_the_log_it_was_made_of() {
    let mut world = World::new(8);
    let log = world.open();
    for n in 0..3 {
        new(one(&log, claimed(n, 7, n)));
    }
    log.publish().unwrap();
    let old = world.ledger.inner.copy();
    for n in 3..6 {
        new(one(&log, claimed(n, 7, n)));
    }
    log.publish().unwrap();
    assert_eq!(looked(&log)[0].last, Some(5));
    drop(log);
    world.ledger.inner = Arc::new(old);
    let (stores, keyring) = (world.stores(), world.keyring());
    let kept = world.kept.clone();
    let recovered = recover(&stores, &keyring, &World::key(), kept, &world.env()).unwrap();
    let log = world.try_open(&recovered.origin).unwrap();
    // As long as before and longer, with other records.
    for n in 20..29 {
        new(one(&log, submission("acme", event(n, "x"))));
    }
    let verdicts = looked(&log);
    assert_eq!(verdicts, verified(&world));
    assert_eq!(
        verdicts[0].to_string(),
        "ended unclean after 2 (tail unknown)"
    );
}

#[test]
fn a_tenant_without_a_log_has_an_empty_book() {
    let world = World::new(9);
    let log = world.open();
    let (known, progress) = log.books().look(&tenant("nobody"), 99).unwrap();
    assert_eq!((known, progress), (Vec::new(), Progress::default()));
    assert_eq!(log.state_coverage(&tenant("nobody")).unwrap(), 0);
}

/// What happens to a ledger with streams.
#[derive(Clone, Debug)]
enum Step {
    Claim(u64, u64),
    Plain,
    Lost(u64),
    Ended(u64),
    Follow,
    Restart,
    /// The book is changed at a byte, or removed.
    Damage(Option<prop::sample::Index>, u8),
    Day,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (6..8_u64, 0..20_u64).prop_map(|(epoch, number)| Step::Claim(epoch, number)),
        2 => Just(Step::Plain),
        2 => (0..20_u64).prop_map(Step::Lost),
        1 => (0..20_u64).prop_map(Step::Ended),
        2 => Just(Step::Follow),
        2 => Just(Step::Restart),
        2 => (any::<Option<prop::sample::Index>>(), 1..=255_u8)
            .prop_map(|(at, with)| Step::Damage(at, with)),
        1 => Just(Step::Day),
    ]
}

fn damage(world: &World, at: Option<prop::sample::Index>, with: u8) {
    let Some((mut bytes, _)) = world.state.get("streams", b"acme").unwrap() else {
        return;
    };
    let value = at.map(|at| {
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        bytes
    });
    let change = Change {
        space: "streams",
        key: b"acme".to_vec(),
        expected: None,
        value,
    };
    world.state.apply(&[change]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_book_says_what_a_fresh_pass_over_the_log_says(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let world = World::new(10);
        let acme = tenant("acme");
        let mut log = world.open();
        for (n, step) in (0..).zip(steps) {
            let sent = match step {
                Step::Claim(epoch, number) => Some(claimed(n, epoch, number)),
                Step::Plain => Some(submission("acme", event(n, "x"))),
                Step::Lost(first) => Some(lost(n, first, first + 2)),
                Step::Ended(next) => {
                    let data = json!({"epoch": 7, "next_number": next, "stream": "web"});
                    Some(statement(n, "stream.ended", &data))
                }
                Step::Follow => {
                    log.books().follow(&acme).unwrap();
                    None
                }
                Step::Restart => {
                    drop(log);
                    log = world.open();
                    None
                }
                Step::Damage(at, with) => {
                    drop(log);
                    damage(&world, at, with);
                    log = world.open();
                    None
                }
                Step::Day => {
                    world.clock.0.fetch_add(DAY_MICROS, Ordering::SeqCst);
                    log.state_coverage(&acme).unwrap();
                    None
                }
            };
            if let Some(sent) = sent {
                let taken = !matches!(one(&log, sent), Outcome::Failed(_) | Outcome::Conflict(_));
                prop_assert!(taken);
            }
        }
        prop_assert_eq!(looked(&log), verified(&world));
    }
}

#[test]
fn what_is_said_of_a_stream_is_taken_by_a_wrong_clock_and_never_of_another_stream() {
    let world = World::new(3);
    let log = world.open();
    let ahead = |mut sent: Submission| {
        let mut event: Value = serde_json::from_slice(&sent.event).unwrap();
        event["occurred_at"] = json!("2099-01-02T03:04:05Z");
        sent.event = event.to_string().into_bytes();
        sent
    };
    let places = refused(one(&log, ahead(submission("acme", event(1, "x")))));
    assert_eq!(places[0].1, "future-time");
    new(one(&log, ahead(lost(2, 0, 0))));
    let said = words(&looked(&log)).remove(0);
    assert!(
        said.starts_with("declared loss (1, queue full) · open to 0"),
        "{said}"
    );
    for name in ["ops@example.com", "Bearer abcdef0123456789abcdef0123456789"] {
        let data = json!({"epoch": 7, "stream": name});
        let places = refused(one(&log, statement(3, "stream.opened", &data)));
        assert_eq!(
            places,
            [("/data/stream".to_owned(), "contradiction".to_owned())]
        );
    }
    drop(log);
    let records = records(&world);
    assert!(records[1].1.flags.contains(&LedgerFlag::Future));
}
