//! The walk of events through a ledger in memory: committed once, in order, proved, published.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use indelible_log::prove::prove;
use indelible_log::verify::{Anchors, Kept, verify_log, verify_registry};
use indelible_log::{Log, Outcome};
use indelible_proof::finding::FindingKind;
use indelible_proof::note::VerifierKey;
use indelible_store::{Kind, Ledger, State, Stored};
use support::{Failure, ORIGIN, World, event, submission, tenant};

fn submit(log: &Log, name: &str, numbers: impl IntoIterator<Item = u64>) -> Vec<Outcome> {
    log.submit(
        numbers
            .into_iter()
            .map(|n| submission(name, event(n, "x")))
            .collect(),
    )
    .wait()
}

fn new_numbers(outcomes: &[Outcome]) -> Vec<u64> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::New(receipt) => receipt.sequence_number,
            other => panic!("not new: {other:?}"),
        })
        .collect()
}

fn key() -> VerifierKey {
    World::key().verifier_key()
}

fn anchors() -> Anchors {
    Anchors {
        key: Some(key()),
        kept: Kept::Elsewhere,
        checkpoint: None,
        values: true,
    }
}

fn assert_clean(world: &World, name: &str, records: u64) {
    let verdict = verify_log(
        &world.stores(),
        &world.keyring(),
        &tenant(name),
        &anchors(),
        &mut |_, _| ControlFlow::Continue(()),
    );
    let verdict = verdict.unwrap();
    assert_eq!(verdict.integrity, vec![], "{name}");
    assert_eq!(verdict.records_checked, records, "{name}");
}

#[test]
fn events_become_records_and_the_same_events_add_nothing() {
    let world = World::new(1);
    let log = world.open();
    let first = submit(&log, "acme", 0..200);
    assert_eq!(
        new_numbers(&first),
        (1..=200).collect::<Vec<_>>(),
        "0 is log.created"
    );
    let again = submit(&log, "acme", 0..200);
    for (a, b) in first.iter().zip(&again) {
        let (Outcome::New(a), Outcome::Repeat { receipt: b, .. }) = (a, b) else {
            panic!("{a:?} {b:?}")
        };
        assert_eq!(a, b);
    }
    log.publish().unwrap();
    drop(log);
    // And after a restart, with the keys read from their store.
    let log = world.open();
    for (a, b) in first.iter().zip(submit(&log, "acme", 0..200)) {
        assert_eq!(a.receipt(), b.receipt());
    }
    assert_clean(&world, "acme", 201);
    assert_clean(&world, "_system", 2);
}

#[test]
fn copies_within_one_batch_are_one_record() {
    let world = World::new(2);
    let log = world.open();
    let outcomes = submit(&log, "acme", [5, 6, 5, 5, 7, 6]);
    let numbers: Vec<_> = outcomes
        .iter()
        .map(|o| o.receipt().unwrap().sequence_number)
        .collect();
    assert_eq!(numbers, vec![1, 2, 1, 1, 3, 2]);
    let repeats = outcomes
        .iter()
        .filter(|o| matches!(o, Outcome::Repeat { .. }))
        .count();
    assert_eq!(repeats, 3);
    assert_clean(&world, "acme", 4);
}

#[test]
fn other_content_under_a_known_id_is_a_conflict_and_recorded_once_a_minute() {
    let world = World::new(3);
    let log = world.open();
    submit(&log, "acme", 0..1);
    let other = || submission("acme", event(0, "y"));
    let outcomes = log.submit(vec![other(), other(), other()]).wait();
    for outcome in &outcomes {
        assert!(
            matches!(outcome, Outcome::Conflict(r) if r.sequence_number == 1),
            "{outcome:?}"
        );
    }
    // log.created, the event, one event.conflicted
    assert_clean(&world, "acme", 3);
    let mut last = String::new();
    let read = world.ledger.read(&tenant("acme"), 2..3, &mut |stored| {
        if let Stored::Record(record) = stored {
            last = String::from_utf8(record.leaf.to_vec()).unwrap();
        }
        ControlFlow::Break(())
    });
    read.unwrap();
    assert!(
        last.contains("\"event_type\":\"event.conflicted\""),
        "{last}"
    );
}

#[test]
fn a_bad_event_does_not_touch_its_neighbours() {
    let world = World::new(4);
    let log = world.open();
    let mut batch: Vec<_> = (0..5).map(|n| submission("acme", event(n, "x"))).collect();
    batch[2].event = br#"{"actor":{"id":7},"event_type":"x"}"#.to_vec();
    batch[3].event = b"{\"a\":".to_vec();
    let outcomes = log.submit(batch).wait();
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|o| o.receipt().map(|r| r.sequence_number))
        .collect();
    assert_eq!(kinds, vec![Some(1), Some(2), None, None, Some(3)]);
    let Outcome::Refused(problems) = &outcomes[2] else {
        panic!("{:?}", outcomes[2])
    };
    assert!(problems.len() >= 3, "all problems at once: {problems:?}");
    assert!(
        problems.iter().any(|p| p.pointer == "/actor/id"),
        "{problems:?}"
    );
}

#[test]
fn many_threads_and_tenants_keep_every_log_in_order() {
    let world = World::new(5);
    let log = world.open();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let log = &log;
            scope.spawn(move || {
                for round in 0..10 {
                    let batch = (0..30)
                        .map(|n| {
                            let number = thread * 1000 + round * 30 + n;
                            submission(&format!("t{}", n % 3), event(number, "x"))
                        })
                        .collect();
                    for outcome in log.submit(batch).wait() {
                        assert!(matches!(outcome, Outcome::New(_)), "{outcome:?}");
                    }
                }
            });
        }
    });
    for name in ["t0", "t1", "t2"] {
        assert_clean(&world, name, 401);
    }
    log.publish().unwrap();
    assert_eq!(
        verify_registry(&world.stores(), &anchors()).unwrap(),
        vec![]
    );
}

#[test]
fn every_record_is_proved_under_the_newest_checkpoint_and_no_other() {
    let world = World::new(6);
    let log = world.open();
    for round in 0..4 {
        submit(&log, "acme", round * 10..round * 10 + 10);
        submit(&log, "beta", round * 3..round * 3 + 3);
        assert_eq!(log.publish().unwrap().snapshots, round + 1);
    }
    assert_eq!(
        log.publish().unwrap().moved,
        0,
        "nothing new, nothing signed"
    );
    let stores = world.stores();
    for (name, size) in [("acme", 41), ("beta", 13), ("_system", 3)] {
        for number in 0..size {
            let proof = prove(&stores, &tenant(name), number, None)
                .unwrap()
                .unwrap();
            let mut leaf = Vec::new();
            let read = world
                .ledger
                .read(&tenant(name), number..number + 1, &mut |stored| {
                    if let Stored::Record(record) = stored {
                        leaf = record.leaf.to_vec();
                    }
                    ControlFlow::Break(())
                });
            read.unwrap();
            proof.verify(&key(), Some(&leaf)).unwrap();
            let mut moved = proof.clone();
            moved.receipt.sequence_number ^= 1;
            assert!(
                moved.verify(&key(), None).is_err(),
                "another place is not proved"
            );
        }
    }
    submit(&log, "acme", 1000..1001);
    let unpublished = prove(&stores, &tenant("acme"), 41, None).unwrap_err();
    assert_eq!(unpublished.kind(), Kind::NotFound);
}

#[test]
fn a_published_checkpoint_that_cannot_be_read_is_a_finding() {
    let world = World::new(7);
    let log = world.open();
    submit(&log, "acme", 0..20);
    log.publish().unwrap();
    assert_clean(&world, "acme", 21);
    for (key, bytes, version) in world.state.scan("published", b"", None, 100).unwrap() {
        let mut head: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        head["checkpoint"] = "no checkpoint".into();
        let change = indelible_store::Change {
            space: "published",
            key,
            expected: Some(version),
            value: Some(head.to_string().into_bytes()),
        };
        world.state.apply(&[change]).unwrap();
    }
    let acme = tenant("acme");
    let (stores, keyring) = (world.stores(), world.keyring());
    let verdict = verify_log(&stores, &keyring, &acme, &anchors(), &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let kinds: Vec<_> = verdict.integrity.iter().map(|f| f.kind).collect();
    assert_eq!(
        kinds,
        [FindingKind::BadSignature],
        "{:?}",
        verdict.integrity
    );
    assert_eq!(verdict.integrity[0].tenant_id.as_deref(), Some("acme"));
}

#[test]
fn time_that_goes_back_does_not_take_records_with_it() {
    let world = World::new(8);
    let log = world.open();
    submit(&log, "acme", 0..3);
    world
        .clock
        .0
        .fetch_sub(3_600_000_000, std::sync::atomic::Ordering::SeqCst);
    submit(&log, "acme", 3..6);
    assert_clean(&world, "acme", 7);
}

/// Every way an append can go wrong, at every place of a run, in every pair of ways.
#[test]
fn failed_appends_lose_nothing_acknowledged_and_double_nothing() {
    let ways = [
        None,
        Some(Failure::Failed(Kind::NoSpace)),
        Some(Failure::Failed(Kind::Conflict)),
        Some(Failure::Persisted),
        Some(Failure::Lost),
    ];
    for place in [0, 1, 3] {
        for first in ways {
            for second in ways {
                let mut world = World::new(9);
                world.group_records_max = 7;
                let log = world.open();
                {
                    let mut plan = world.ledger.plan.lock().unwrap();
                    plan.extend((0..place).map(|_| None));
                    plan.extend([first, second]);
                }
                let batches: Vec<_> = (0..6_u64)
                    .map(|batch| {
                        let events = batch * 10..batch * 10 + 10;
                        log.submit(events.map(|n| submission("acme", event(n, "x"))).collect())
                    })
                    .collect();
                let mut receipts = BTreeMap::new();
                for (number, outcome) in batches
                    .into_iter()
                    .flat_map(indelible_log::Pending::wait)
                    .enumerate()
                {
                    match outcome {
                        Outcome::New(r) | Outcome::Repeat { receipt: r, .. } => {
                            assert!(receipts.insert(r.sequence_number, number).is_none());
                        }
                        Outcome::Failed(e) => assert_eq!(e.kind(), Kind::NoSpace),
                        other => panic!("{other:?}"),
                    }
                }
                let head = world.ledger.head(&tenant("acme")).unwrap().unwrap();
                let size = head.frontier.size();
                assert_eq!(
                    receipts.len() as u64 + 1,
                    size,
                    "{place} {first:?} {second:?}"
                );
                assert_clean(&world, "acme", size);
                // What failed may be sent again, and is there once.
                let again = submit(&log, "acme", 0..60);
                assert!(again.iter().all(|o| o.receipt().is_some()));
                assert_clean(&world, "acme", 61);
            }
        }
    }
}

#[test]
fn a_publication_cut_short_anywhere_is_finished_at_the_next_start() {
    use indelible_store::{Change, State};
    // Cut after staging, and cut after signing: the state store refuses the n-th change set.
    struct Cut {
        inner: std::sync::Arc<indelible_store::memory::MemoryState>,
        left: std::sync::atomic::AtomicI64,
    }
    impl State for Cut {
        fn get(
            &self,
            space: &'static str,
            key: &[u8],
        ) -> indelible_store::Result<Option<(Vec<u8>, u64)>> {
            self.inner.get(space, key)
        }
        fn scan(
            &self,
            space: &'static str,
            prefix: &[u8],
            after: Option<&[u8]>,
            limit: usize,
        ) -> indelible_store::Result<Vec<(Vec<u8>, Vec<u8>, u64)>> {
            self.inner.scan(space, prefix, after, limit)
        }
        fn apply(&self, changes: &[Change]) -> indelible_store::Result<()> {
            if self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) <= 0 {
                return Err(indelible_store::Error::new(Kind::Unavailable, "cut"));
            }
            self.inner.apply(changes)
        }
    }
    for cut in 0..2 {
        let world = World::new(10);
        let log = world.open();
        submit(&log, "acme", 0..5);
        log.publish().unwrap();
        submit(&log, "acme", 5..9);
        drop(log);
        let state = std::sync::Arc::new(Cut {
            inner: world.state.clone(),
            left: std::sync::atomic::AtomicI64::new(cut),
        });
        let mut stores = world.stores();
        stores.state = state;
        let options = indelible_log::Options {
            origin: ORIGIN.to_owned(),
            verifier_key: key().to_string(),
            create_tenants: true,
            limits: indelible_log::Limits::default(),
        };
        let signer = Some(world.signer(ORIGIN));
        let log = Log::open(stores, world.keyring(), signer, options, world.env()).unwrap();
        assert_eq!(log.publish().unwrap_err().kind(), Kind::Unavailable);
        drop(log);
        let log = world.open();
        assert_eq!(log.publish().unwrap().snapshots, 2, "cut {cut}");
        assert_eq!(
            verify_registry(&world.stores(), &anchors()).unwrap(),
            vec![]
        );
        let proof = prove(&world.stores(), &tenant("acme"), 9, None)
            .unwrap()
            .unwrap();
        proof.verify(&key(), None).unwrap();
    }
}

/// A verifier that has what the signer keeps says so too, even without any registry left.
fn assert_rolled_back(world: &World) {
    let kept = world.signer(ORIGIN).kept().unwrap().unwrap();
    let anchors = Anchors {
        key: Some(key()),
        kept: Kept::Checkpoint(kept.unwrap()),
        checkpoint: None,
        values: true,
    };
    let mut bare = world.stores();
    bare.state = std::sync::Arc::new(indelible_store::memory::MemoryState::new());
    for stores in [world.stores(), bare] {
        let findings = verify_registry(&stores, &anchors).unwrap();
        let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::RolledBack]);
    }
}

#[test]
fn a_rolled_back_ledger_refuses_to_write_and_a_recovery_says_what_is_missing() {
    use indelible_log::OpenError;
    use indelible_log::recover::recover;
    use indelible_proof::finding::FindingKind;

    let mut world = World::new(11);
    let log = world.open();
    submit(&log, "acme", 0..5);
    log.publish().unwrap();
    drop(log);
    // Two backups of everything but what the signer keeps.
    let old = (world.ledger.inner.copy(), world.state.copy());
    let mut other = world.clone();
    other.ledger = support::Flaky::new();
    other.ledger.inner = std::sync::Arc::new(world.ledger.inner.copy());
    other.state = std::sync::Arc::new(world.state.copy());
    let log = world.open();
    submit(&log, "acme", 5..9);
    log.publish().unwrap();
    drop(log);
    world.ledger.inner = std::sync::Arc::new(old.0);
    world.state = std::sync::Arc::new(old.1);
    let Err(OpenError::NotExtending(findings)) = world.try_open(ORIGIN) else {
        panic!("a ledger that went back opens")
    };
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, vec![FindingKind::RolledBack]);
    assert_rolled_back(&world);
    let recovered = recover(
        &world.stores(),
        &world.keyring(),
        &World::key(),
        world.kept.clone(),
        &world.env(),
    )
    .unwrap();
    assert_eq!(recovered.incarnation, 2);
    let log = world.try_open(&recovered.origin).unwrap();
    submit(&log, "acme", 5..7);
    log.publish().unwrap();
    drop(log);
    // log.created of both, tenant.created, and what was found.
    assert_clean(&world, "_system", 3);
    assert_clean(&world, "acme", 9);
    let proof = prove(&world.stores(), &tenant("acme"), 8, None)
        .unwrap()
        .unwrap();
    let key = key().renamed(&recovered.origin).unwrap();
    proof.verify(&key, None).unwrap();
    assert!(
        world.try_open(ORIGIN).is_err(),
        "the old origin is never signed for again"
    );
    let again = recover(
        &world.stores(),
        &world.keyring(),
        &World::key(),
        world.kept.clone(),
        &world.env(),
    );
    assert_eq!(
        again.unwrap_err().kind(),
        Kind::Invalid,
        "there is nothing to recover from"
    );
}
