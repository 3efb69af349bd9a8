//! Going on after a roll-back: what each log says of it, whichever store went back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_event::LeafView;
use indelible_log::prove::prove;
use indelible_log::recover::{Recovered, recover};
use indelible_log::verify::{Anchors, Kept, verify_log};
use indelible_log::{Log, Outcome};
use indelible_proof::finding::Span;
use indelible_proof::verify::{Anchor, Verdict};
use indelible_store::{Kind, Ledger, Stored};
use serde_json::Value;
use support::{Failure, ORIGIN, World, event, submission, tenant};

fn submit(log: &Log, name: &str, numbers: impl IntoIterator<Item = u64>) {
    let events = numbers.into_iter().map(|n| submission(name, event(n, "x")));
    for outcome in log.submit(events.collect()).wait() {
        assert!(matches!(outcome, Outcome::New(_)), "{outcome:?}");
    }
}

fn recovered(world: &World) -> Recovered {
    let kept = world.kept.clone();
    let (stores, keyring) = (world.stores(), world.keyring());
    recover(&stores, &keyring, &World::key(), kept, &world.env()).unwrap()
}

fn verdict(world: &World, name: &str) -> Verdict {
    let anchors = Anchors {
        key: Some(World::key().verifier_key()),
        kept: Kept::Elsewhere,
        checkpoint: None,
        values: true,
    };
    let (stores, keyring) = (world.stores(), world.keyring());
    let verdict = verify_log(&stores, &keyring, &tenant(name), &anchors, &mut |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(verdict.integrity, [], "{name}");
    verdict
}

/// The `data` of every `log.recovered` of a log, in order.
fn said(world: &World, name: &str) -> Vec<Value> {
    let mut said = Vec::new();
    let visit = &mut |stored: Stored<'_>| {
        if let Stored::Record(record) = stored {
            let leaf = LeafView::locate(record.leaf).unwrap();
            let event: Value = serde_json::from_slice(leaf.event()).unwrap();
            if event["event_type"] == "log.recovered" {
                said.push(event["data"].clone());
            }
        }
        ControlFlow::Continue(())
    };
    let ledger = &world.ledger.inner;
    ledger.read(&tenant(name), 0..u64::MAX, visit).unwrap();
    said
}

/// A ledger of two tenants whose records went back, but not what was published of them.
fn records_went_back() -> World {
    let mut world = World::new(21);
    let log = world.open();
    submit(&log, "acme", 0..5);
    submit(&log, "globex", 100..103);
    log.publish().unwrap();
    drop(log);
    let old = world.ledger.inner.copy();
    let log = world.open();
    submit(&log, "acme", 5..9);
    log.publish().unwrap();
    drop(log);
    world.ledger.inner = Arc::new(old);
    world
}

#[test]
fn every_log_says_what_is_missing_of_it_and_nothing_of_others() {
    let world = records_went_back();
    let recovered = recovered(&world);
    let log = world.try_open(&recovered.origin).unwrap();
    log.publish().unwrap();
    drop(log);
    let acme = verdict(&world, "acme");
    assert_eq!((acme.incarnation, acme.recoveries.len()), (2, 1));
    assert_eq!(acme.recoveries[0].record, 6);
    assert_eq!(acme.recoveries[0].missing, Some(Span::new(6, 9)));
    assert!(matches!(acme.anchored, Anchor::Checkpoint { size: 7, .. }));
    let globex = verdict(&world, "globex");
    assert_eq!(globex.incarnation, 2);
    assert_eq!(globex.recoveries[0].missing, None);
    let said = |name| said(&world, name).remove(0);
    let acme = said("acme");
    assert_eq!(acme["findings"][0]["finding"], "truncated-tail");
    assert_eq!(acme["last_signed"]["size"], 10);
    assert_eq!(said("globex")["findings"], Value::Array(vec![]));
    assert_eq!(said("_system")["findings"], Value::Array(vec![]));
    assert_eq!(said("_system")["logs"], 3);
    // A log made since is of the ledger's first origin, like the others.
    let log = world.try_open(&recovered.origin).unwrap();
    submit(&log, "initech", 200..201);
    log.publish().unwrap();
    drop(log);
    let who = verdict(&world, "initech").identity.unwrap();
    assert_eq!((who.origin.as_str(), who.incarnation), (ORIGIN, 2));
}

#[test]
fn two_recoveries_are_both_said() {
    let mut world = records_went_back();
    let first = recovered(&world);
    let log = world.try_open(&first.origin).unwrap();
    submit(&log, "acme", 5..7);
    log.publish().unwrap();
    drop(log);
    let old = world.ledger.inner.copy();
    let log = world.try_open(&first.origin).unwrap();
    submit(&log, "acme", 7..8);
    log.publish().unwrap();
    drop(log);
    world.ledger.inner = Arc::new(old);
    let second = recovered(&world);
    assert_eq!(second.incarnation, 3);
    drop(world.try_open(&second.origin).unwrap());
    let acme = verdict(&world, "acme");
    assert_eq!(acme.incarnation, 3);
    let missing: Vec<_> = acme.recoveries.iter().map(|told| told.missing).collect();
    assert_eq!(missing, [Some(Span::new(6, 9)), Some(Span::one(9))]);
}

#[test]
fn a_log_that_cannot_be_written_to_says_it_later_and_is_not_vouched_for_before() {
    let world = records_went_back();
    let recovered = recovered(&world);
    // However the records are grouped, the first of them fails.
    let refusal = Some(Failure::Failed(Kind::Corrupt));
    world.ledger.plan.lock().unwrap().push_back(refusal);
    let log = world.try_open(&recovered.origin).unwrap();
    log.publish().unwrap();
    drop(log);
    let silent: Vec<_> = ["_system", "acme", "globex"]
        .into_iter()
        .filter(|name| said(&world, name).is_empty())
        .collect();
    assert!(!silent.is_empty());
    for name in &silent {
        assert_eq!(verdict(&world, name).anchored, Anchor::None);
    }
    let log = world.try_open(&recovered.origin).unwrap();
    log.publish().unwrap();
    drop(log);
    for name in ["_system", "acme", "globex"] {
        assert_eq!(said(&world, name).len(), 1, "{name}");
        assert_ne!(verdict(&world, name).anchored, Anchor::None);
    }
}

#[test]
fn a_log_that_the_registry_forgot_is_published_again() {
    let mut world = World::new(22);
    let log = world.open();
    submit(&log, "acme", 0..5);
    log.publish().unwrap();
    drop(log);
    let old = world.state.copy();
    let log = world.open();
    submit(&log, "initech", 200..202);
    submit(&log, "globex", 100..103);
    log.publish().unwrap();
    drop(log);
    world.state = Arc::new(old);
    let recovered = recovered(&world);
    let log = world.try_open(&recovered.origin).unwrap();
    submit(&log, "globex", 103..104);
    log.publish().unwrap();
    drop(log);
    for (name, slot, last) in [("initech", 2, 3), ("globex", 3, 5)] {
        let verdict = verdict(&world, name);
        let who = verdict.identity.unwrap();
        assert_eq!((verdict.incarnation, who.slot), (2, slot));
        let proof = prove(&world.stores(), &tenant(name), last, None)
            .unwrap()
            .unwrap();
        assert_eq!(
            (proof.snapshot.slot, &proof.log.log_id),
            (slot, &who.log_id)
        );
        let key = World::key().verifier_key().renamed(&recovered.origin);
        proof.verify(&key.unwrap(), None).unwrap();
    }
}
