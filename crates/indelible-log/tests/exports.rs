//! Exports: what they give, and what they say where that is not what was published.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;

use indelible_log::export::{Exported, export, published_head};
use indelible_log::verify::{Anchors, Kept, verify_log};
use indelible_proof::verify::Anchor;
use support::{World, event, submission, tenant};

/// Twenty events of acme behind its first record, published.
fn published() -> World {
    let world = World::new(7);
    let log = world.open();
    let batch = (0..20).map(|n| submission("acme", event(n, "x")));
    log.submit(batch.collect()).wait();
    log.publish().unwrap();
    world
}

fn anchors() -> Anchors {
    Anchors {
        key: Some(World::key().verifier_key()),
        kept: Kept::Elsewhere,
        checkpoint: None,
        values: true,
    }
}

#[test]
fn an_export_verifies_alone_and_opens_to_what_was_sent() {
    let world = published();
    let mut joined = Vec::new();
    let summary = export(
        &world.stores(),
        &world.keyring(),
        &tenant("acme"),
        Some(&published_head(&world.stores(), &tenant("acme")).unwrap()),
        &mut |item| {
            if let Exported::Record {
                joined: event,
                disclosures,
                sequence_number,
                ..
            } = item
            {
                assert_eq!(disclosures.is_empty(), sequence_number == 0);
                joined.push(String::from_utf8(event.to_vec()).unwrap());
            }
            ControlFlow::Continue(())
        },
    );
    let summary = summary.unwrap();
    assert_eq!((summary.records, summary.closed), (21, 0));
    assert!(!summary.forked);
    assert_eq!(joined[5], String::from_utf8(event(4, "x")).unwrap());
    let verdict = verify_log(
        &world.stores(),
        &world.keyring(),
        &tenant("acme"),
        &anchors(),
        &mut |_, _| ControlFlow::Continue(()),
    );
    assert!(matches!(
        verdict.unwrap().anchored,
        Anchor::Checkpoint { size: 21, .. }
    ));
}

#[test]
fn an_export_of_records_that_are_not_those_published_says_so() {
    let world = published();
    for altered in [0, 7, 20] {
        *world.ledger.altered.lock().unwrap() = Some(altered);
        let head = published_head(&world.stores(), &tenant("acme")).unwrap();
        let (stores, keyring) = (world.stores(), world.keyring());
        let give = &mut |_: Exported<'_>| ControlFlow::Continue(());
        let summary = export(&stores, &keyring, &tenant("acme"), Some(&head), give).unwrap();
        assert!(summary.forked && summary.records == 21, "{summary:?}");
    }
}
