//! The records that the ledger writes itself say when it wrote them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ops::ControlFlow;

use indelible_event::leaf::LeafView;
use indelible_event::{EventView, Field};
use indelible_store::{Ledger, Stored};
use support::*;

#[test]
fn what_the_ledger_writes_occurs_when_it_is_ingested() {
    let world = World::new(1);
    let log = world.open();
    log.submit(vec![submission("acme", event(0, "x"))]).wait();
    log.submit(vec![submission("acme", event(0, "other"))])
        .wait();
    // A conflict is answered before its record is committed.
    drop(log);
    let mut seen = Vec::new();
    for name in ["acme", "_system"] {
        let visit = &mut |stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("damaged");
            };
            let leaf = LeafView::locate(record.leaf).unwrap();
            let event = EventView::parse(leaf.event()).unwrap();
            let text = |field| event.text(field).unwrap().into_owned();
            let what = text(Field::EventType);
            if what != "content.create" {
                let ingested_at = leaf.ingested_at.to_rfc3339();
                assert_eq!(text(Field::OccurredAt), ingested_at, "{what} of {name}");
                seen.push(what);
            }
            ControlFlow::Continue(())
        };
        world.ledger.read(&tenant(name), 0..9, visit).unwrap();
    }
    seen.sort();
    let own = [
        "event.conflicted",
        "log.created",
        "log.created",
        "tenant.created",
    ];
    assert_eq!(seen, own);
}
